//! Block lists that somebody else keeps: where each comes from, and how far it
//! is believed.

use std::{fmt, path::PathBuf};

use ipnet::IpNet;
use serde::Serialize;

use crate::ttl::Ttl;

/// Feeds at most.
pub const MAX_FEEDS: usize = 32;

/// What stands for the key in a URL.
pub const KEY_MARK: &str = "{key}";

/// Where a feed comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FeedSource {
    /// Over HTTP or HTTPS, with [`KEY_MARK`] where the key belongs.
    Url(String),
    /// A file of this machine.
    Path(PathBuf),
}

impl fmt::Display for FeedSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(url) => f.write_str(url),
            Self::Path(path) => path.display().fmt(f),
        }
    }
}

/// How a feed is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FeedFormat {
    /// One address or network a line.
    #[default]
    List,
    /// Pages of JSON, each of which names the next one.
    Apiban,
}

impl FeedFormat {
    /// Every format, as written in sipguard.toml.
    pub const ALL: [Self; 2] = [Self::List, Self::Apiban];

    /// The word in sipguard.toml.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::List => "list",
            Self::Apiban => "apiban",
        }
    }
}

/// One `[[feeds.feed]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedSettings {
    pub source: FeedSource,
    pub format: FeedFormat,
    /// How often it is read.
    pub interval: Ttl,
    /// How long its last good version holds.
    pub max_age: Ttl,
    /// A version with more entries is refused.
    pub max_entries: usize,
    /// A version of more bytes is refused; what counts is what they unpack to.
    pub max_bytes: u64,
    /// Wider networks are left out.
    pub min_prefix_v4: u8,
    pub min_prefix_v6: u8,
    /// The file that holds the key.
    pub key_file: Option<PathBuf>,
    pub enabled: bool,
}

impl FeedSettings {
    /// The defaults for a source.
    #[must_use]
    pub const fn of(source: FeedSource) -> Self {
        Self {
            source,
            format: FeedFormat::List,
            interval: Ttl::HOUR,
            max_age: Ttl::THREE_DAYS,
            max_entries: 200_000,
            max_bytes: 16 << 20,
            min_prefix_v4: PrefixLimits::DEFAULT.v4,
            min_prefix_v6: PrefixLimits::DEFAULT.v6,
            key_file: None,
            enabled: true,
        }
    }

    /// Whether a network is narrow enough to be taken.
    #[must_use]
    pub fn takes(&self, net: IpNet) -> bool {
        PrefixLimits { v4: self.min_prefix_v4, v6: self.min_prefix_v6 }.take(net)
    }
}

/// How wide a network of somebody else's may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrefixLimits {
    pub v4: u8,
    pub v6: u8,
}

impl PrefixLimits {
    /// What a slip must not exceed.
    pub const DEFAULT: Self = Self { v4: 16, v6: 32 };

    /// Whether a network is narrow enough.
    #[must_use]
    pub fn take(self, net: IpNet) -> bool {
        let least = match net {
            IpNet::V4(_) => self.v4,
            IpNet::V6(_) => self.v6,
        };
        net.prefix_len() >= least
    }
}
