//! The words of sipguard.toml: settings that are one of a few.

use serde::Serialize;
use sipguard_common::abi;

/// How the program attaches to an interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// In the driver where it can, else generic.
    #[default]
    Auto,
    /// In the driver or not at all.
    Native,
    /// In the network stack, behind the driver.
    Generic,
}

impl Mode {
    /// Every mode, as written in sipguard.toml.
    pub const ALL: [Self; 3] = [Self::Auto, Self::Native, Self::Generic];

    /// The word in sipguard.toml.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Native => "native",
            Self::Generic => "generic",
        }
    }
}

/// What becomes of the filter when the daemon is gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FailMode {
    /// It stays, and goes on by what it has.
    #[default]
    Keep,
    /// It leaves, and everything passes.
    Open,
}

impl FailMode {
    /// Every mode, as written in sipguard.toml.
    pub const ALL: [Self; 2] = [Self::Keep, Self::Open];

    /// The word in sipguard.toml.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Open => "open",
        }
    }
}

/// How strict the filter is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Posture {
    /// Lists and signatures only.
    Open,
    /// With limits, and bans for what the server refuses.
    #[default]
    Guarded,
    /// With a quarter of the limits of strangers, and sooner bans; OPTIONS of
    /// strangers are dropped.
    Attack,
    /// Trusted sources, and those with somebody verified, only.
    Closed,
}

impl Posture {
    /// Every posture, as written in sipguard.toml.
    pub const ALL: [Self; 4] = [Self::Open, Self::Guarded, Self::Attack, Self::Closed];

    /// The word in sipguard.toml.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Guarded => "guarded",
            Self::Attack => "attack",
            Self::Closed => "closed",
        }
    }

    pub(super) const fn abi(self) -> u32 {
        match self {
            Self::Open => abi::posture::OPEN,
            Self::Guarded => abi::posture::GUARDED,
            Self::Attack => abi::posture::ATTACK,
            Self::Closed => abi::posture::CLOSED,
        }
    }
}

/// What happens to OPTIONS from strangers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum OptionsRule {
    #[default]
    Drop,
    /// Within the limit of their class.
    Limit,
    Pass,
}

impl OptionsRule {
    /// Every choice, as written in sipguard.toml.
    pub const ALL: [Self; 3] = [Self::Drop, Self::Limit, Self::Pass];

    /// The word in sipguard.toml.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Drop => "drop",
            Self::Limit => "limit",
            Self::Pass => "pass",
        }
    }

    pub(super) const fn abi(self) -> u32 {
        match self {
            Self::Drop => abi::options::DROP,
            Self::Limit => abi::options::LIMIT,
            Self::Pass => abi::options::PASS,
        }
    }
}

/// What happens to later fragments of strangers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Fragments {
    #[default]
    Pass,
    Drop,
}

impl Fragments {
    /// Every choice, as written in sipguard.toml.
    pub const ALL: [Self; 2] = [Self::Pass, Self::Drop];

    /// The word in sipguard.toml.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Drop => "drop",
        }
    }

    pub(super) const fn abi(self) -> u32 {
        match self {
            Self::Pass => abi::fragments::PASS,
            Self::Drop => abi::fragments::DROP,
        }
    }
}

/// Which of the server's replies strangers get.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Stealth {
    All,
    /// Provisional ones, successes and challenges: what else the server says
    /// becomes a challenge.
    #[default]
    Challenges,
    None,
}

impl Stealth {
    /// Every choice, as written in sipguard.toml.
    pub const ALL: [Self; 3] = [Self::All, Self::Challenges, Self::None];

    /// The word in sipguard.toml.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Challenges => "challenges",
            Self::None => "none",
        }
    }

    pub(super) const fn abi(self) -> u32 {
        match self {
            Self::All => abi::stealth::ALL,
            Self::Challenges => abi::stealth::CHALLENGES,
            Self::None => abi::stealth::NONE,
        }
    }
}
