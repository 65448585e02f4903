//! The section `[auth]`: when the server's replies ban somebody.

use serde::Serialize;
use sipguard_common::{abi, bucket::Limit};

use super::choices::Posture;
use crate::ttl::Ttl;

/// How many wrong passwords are too many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AuthProfile {
    Standard,
    #[default]
    Internet,
    Attack,
    HighLatency,
}

impl AuthProfile {
    /// Every profile, as written in sipguard.toml.
    pub const ALL: [Self; 4] = [Self::Standard, Self::Internet, Self::Attack, Self::HighLatency];

    /// The word in sipguard.toml.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Internet => "internet",
            Self::Attack => "attack",
            Self::HighLatency => "highlatency",
        }
    }

    /// Wrong passwords that ban.
    #[must_use]
    pub const fn failures(self) -> u32 {
        match self {
            Self::Standard => 6,
            Self::Internet => 5,
            Self::Attack => 3,
            Self::HighLatency => 8,
        }
    }

    /// The time in which they count.
    #[must_use]
    pub const fn window(self) -> Ttl {
        match self {
            Self::Standard => Ttl::THREE_MINUTES,
            Self::Internet => Ttl::TEN_MINUTES,
            Self::Attack => Ttl::QUARTER,
            Self::HighLatency => Ttl::FIVE_MINUTES,
        }
    }
}

/// Who is banned for what the server has refused, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuthSettings {
    pub profile: AuthProfile,
    /// Wrong passwords that ban, as written or as the profile says.
    pub failures: u32,
    /// The time in which they count, likewise.
    pub window: Ttl,
    /// How long the first ban lasts.
    pub ban: Ttl,
    /// How long a ban lasts at most, of those who come again; never less than
    /// the first one.
    pub ban_max: Ttl,
    /// Challenges and unknown users, without any success, that ban.
    pub harvest: u32,
}

/// REGISTERs with credentials of one stranger until one is right: `failures` at
/// once, and then in an hour two for each five of them where the sender may be
/// forged, and six where it is not. Together with the defaults that is 18 in an
/// hour, whatever a guesser makes of nonces (N08).
fn tries(failures: u32) -> [Limit; 2] {
    const HOUR_NS: u64 = 3600 * 1_000_000_000;
    let failures = u64::from(failures);
    let limit = |hourly: u64| Limit::new((failures * hourly / 5).max(1), HOUR_NS, failures);
    if failures == 0 {
        return [Limit::UNLIMITED; 2];
    }
    [limit(2), limit(6)].map(|limit| limit.unwrap_or(Limit::UNLIMITED))
}

impl Default for AuthSettings {
    /// The reasons for these numbers stand in config/sipguard.toml.
    fn default() -> Self {
        let profile = AuthProfile::default();
        Self {
            profile,
            failures: profile.failures(),
            window: profile.window(),
            ban: Ttl::TEN_MINUTES,
            ban_max: Ttl::DAY,
            harvest: 30,
        }
    }
}

impl AuthSettings {
    /// As in force under a posture. Under `open` nobody is banned for what the
    /// server says: failures and harvest are 0.
    #[must_use]
    pub fn under(self, posture: Posture) -> Self {
        match posture {
            Posture::Open => Self { failures: 0, harvest: 0, ..self },
            Posture::Guarded | Posture::Closed => self,
            Posture::Attack => {
                let strict = AuthProfile::Attack;
                let ban = self.ban.max(Ttl::QUARTER);
                Self {
                    failures: self.failures.min(strict.failures()),
                    window: self.window.max(strict.window()),
                    ban,
                    ban_max: self.ban_max.max(ban),
                    harvest: self.harvest.div_ceil(2),
                    ..self
                }
            }
        }
    }

    /// As the kernel program reads it.
    pub(super) fn abi(self) -> abi::Auth {
        abi::Auth {
            failures: self.failures,
            harvest: self.harvest,
            window_ns: self.window.nanoseconds(),
            // Whoever forges another's address takes it away for no longer.
            unproven_ban_ns: Ttl::MINUTE.min(self.ban).nanoseconds(),
            tries: tries(self.failures),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ttl(text: &str) -> Ttl {
        text.parse().unwrap()
    }

    #[test]
    fn postures_only_ever_lead_to_valid_settings() {
        let strict = AuthSettings {
            failures: 2,
            window: ttl("1h"),
            ban: ttl("10s"),
            ban_max: ttl("10s"),
            harvest: 5,
            ..AuthSettings::default()
        };
        let loose = AuthSettings { failures: 50, harvest: 1000, ..AuthSettings::default() };
        for auth in [strict, loose, AuthSettings::default()] {
            assert_eq!(auth.under(Posture::Guarded), auth);
            assert_eq!(auth.under(Posture::Closed), auth);
            let open = auth.under(Posture::Open);
            assert_eq!((open.failures, open.harvest, open.ban), (0, 0, auth.ban));
            let attack = auth.under(Posture::Attack);
            assert!(attack.failures <= auth.failures.min(3) && attack.failures > 0);
            assert!(attack.window >= auth.window.max(ttl("900s")));
            assert!(attack.ban >= auth.ban.max(ttl("900s")) && attack.ban_max >= attack.ban);
            assert!(attack.harvest <= auth.harvest && attack.harvest > 0);
            assert_eq!(attack.under(Posture::Attack).failures, attack.failures);
        }
        assert_eq!(strict.abi().unproven_ban_ns, 10_000_000_000);
        assert_eq!(loose.abi().unproven_ban_ns, 60_000_000_000);
    }
}
