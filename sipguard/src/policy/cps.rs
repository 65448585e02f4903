//! Calls per second of trusted peers that shall be held to a limit.

use serde::Serialize;
use sipguard_common::{abi::cps, bucket::Limit};

/// How many INVITEs per second a trusted peer may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CpsClass {
    Small,
    Medium,
    Large,
    Premium,
}

impl CpsClass {
    /// Every class, as written in trusted.toml.
    pub const ALL: [Self; 4] = [Self::Small, Self::Medium, Self::Large, Self::Premium];

    /// The word in trusted.toml.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Small => "small",
            Self::Medium => "medium",
            Self::Large => "large",
            Self::Premium => "premium",
        }
    }

    /// INVITEs per second.
    #[must_use]
    pub const fn rate(self) -> u64 {
        match self {
            Self::Small => 10,
            Self::Medium => 30,
            Self::Large => 100,
            Self::Premium => 200,
        }
    }

    /// The bucket: [`Self::rate`], and two seconds of it at once.
    #[must_use]
    pub const fn limit(self) -> Limit {
        LIMITS[self as usize]
    }

    /// The number in entries of the kernel's list.
    #[must_use]
    pub const fn abi(self) -> u8 {
        match self {
            Self::Small => cps::SMALL,
            Self::Medium => cps::MEDIUM,
            Self::Large => cps::LARGE,
            Self::Premium => cps::PREMIUM,
        }
    }
}

const LIMITS: [Limit; CpsClass::ALL.len()] = {
    let mut limits = [Limit::UNLIMITED; CpsClass::ALL.len()];
    let mut i = 0;
    while i < limits.len() {
        let rate = CpsClass::ALL[i].rate();
        limits[i] = match Limit::new(rate, 1_000_000_000, 2 * rate) {
            Some(limit) => limit,
            None => panic!("a class is out of range"),
        };
        i += 1;
    }
    limits
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_have_limits_and_numbers_of_their_own() {
        for (number, class) in (1..).zip(CpsClass::ALL) {
            assert_eq!(class.abi(), number);
            let limit = class.limit();
            assert_eq!(limit.interval_ns, 1_000_000_000 / class.rate());
            // The first packet and those that may follow at once are a burst.
            let burst = limit.tolerance_ns + limit.interval_ns;
            assert!((1_999_999_999..=2_000_000_000).contains(&burst), "{burst}");
        }
    }
}
