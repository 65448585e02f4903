//! Rates as operators write them: `"5/s"`, `"20/60s"`, `"6/h"`.

use std::{fmt, str::FromStr};

use serde::{Serialize, Serializer};
use sipguard_common::bucket::Limit;

/// The largest burst.
pub const MAX_BURST: u64 = 1_000_000;

/// The fastest rate, in packets per second.
const MAX_PER_SECOND: u64 = 1_000_000;

/// The slowest rate is one packet in this many seconds.
const MAX_SECONDS_PER_PACKET: u64 = 3600;

const NS_PER_SECOND: u64 = 1_000_000_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Second,
    Minute,
    Hour,
}

impl Unit {
    const fn seconds(self) -> u64 {
        match self {
            Self::Second => 1,
            Self::Minute => 60,
            Self::Hour => 3600,
        }
    }

    const fn letter(self) -> char {
        match self {
            Self::Second => 's',
            Self::Minute => 'm',
            Self::Hour => 'h',
        }
    }
}

/// Packets per time, between 1 per hour and 1,000,000 per second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    packets: u64,
    count: u64,
    unit: Unit,
}

/// Why a text is no [`Rate`], or a rate and a burst no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RateError {
    #[error("a rate is a number of packets, a slash and a time")]
    Form,
    #[error("the number of packets must be a whole number of at least 1")]
    Packets,
    #[error("the time must be s, m or h, with a whole number of at least 1 before it or none")]
    Period,
    #[error("slower than 1 packet per hour")]
    TooSlow,
    #[error("faster than 1,000,000 packets per second")]
    TooFast,
    #[error("the burst must be between 1 and 1,000,000")]
    Burst,
    #[error("at this rate the burst takes more than 30 days to refill")]
    Refill,
}

impl RateError {
    /// What to do about it.
    #[must_use]
    pub const fn remedy(self) -> &'static str {
        match self {
            Self::Form | Self::Packets | Self::Period => {
                "write for example \"5/s\", \"20/60s\", \"30/m\" or \"6/h\""
            }
            Self::TooSlow => "write \"1/h\" or more; to stop a source altogether, block it",
            Self::TooFast => "write \"1000000/s\" or less, or \"unlimited\" for no limit",
            Self::Burst => "write a burst of 1 to 1000000",
            Self::Refill => "write a smaller burst or a higher rate",
        }
    }
}

impl Rate {
    /// `packets` per second.
    ///
    /// For the built-in defaults, which a test holds against the rules of
    /// [`Rate::from_str`].
    pub(crate) const fn per_second(packets: u64) -> Self {
        Self { packets, count: 1, unit: Unit::Second }
    }

    /// Packets in one [period](Self::seconds).
    #[must_use]
    pub const fn packets(self) -> u64 {
        self.packets
    }

    /// The period, in seconds.
    #[must_use]
    pub const fn seconds(self) -> u64 {
        self.count * self.unit.seconds()
    }

    fn is_slower(self, other: Self) -> bool {
        let product = |one: Self, two: Self| u128::from(one.packets) * u128::from(two.seconds());
        product(self, other) < product(other, self)
    }

    /// The bucket with this rate and `burst` packets.
    ///
    /// # Errors
    /// The burst is out of range or takes more than 30 days to refill.
    pub const fn limit(self, burst: u64) -> Result<Limit, RateError> {
        if burst == 0 || burst > MAX_BURST {
            return Err(RateError::Burst);
        }
        match Limit::new(self.packets, self.seconds() * NS_PER_SECOND, burst) {
            Some(limit) => Ok(limit),
            None => Err(RateError::Refill),
        }
    }
}

impl FromStr for Rate {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Self, RateError> {
        let (packets, period) = text.split_once('/').ok_or(RateError::Form)?;
        let packets = whole_number(packets).ok_or(RateError::Packets)?;
        let (count, unit) = match period.as_bytes() {
            [count @ .., b's'] => (count, Unit::Second),
            [count @ .., b'm'] => (count, Unit::Minute),
            [count @ .., b'h'] => (count, Unit::Hour),
            _ => return Err(RateError::Period),
        };
        let count = match count {
            [] => 1,
            // The unit is one ASCII byte, so the text may be cut before it.
            _ => whole_number(&period[..period.len() - 1]).ok_or(RateError::Period)?,
        };
        let seconds = u128::from(count) * u128::from(unit.seconds());
        if u128::from(packets) * u128::from(MAX_SECONDS_PER_PACKET) < seconds {
            return Err(RateError::TooSlow);
        }
        if u128::from(packets) > seconds * u128::from(MAX_PER_SECOND) {
            return Err(RateError::TooFast);
        }
        // 30 days at most, as for every span of a bucket: then no product of
        // this module can overflow 64 bits.
        if seconds > 30 * 86_400 {
            return Err(RateError::Period);
        }
        Ok(Self { packets, count, unit })
    }
}

/// Digits only (the parser of integers takes a plus sign), not 0.
fn whole_number(text: &str) -> Option<u64> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|number| digits && *number != 0)
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { packets, count, unit } = self;
        match count {
            1 => write!(f, "{packets}/{}", unit.letter()),
            _ => write!(f, "{packets}/{count}{}", unit.letter()),
        }
    }
}

/// A limit as written in sipguard.toml.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RateLimit {
    Unlimited,
    Limited {
        rate: Rate,
        /// Packets that a source may send at once after a silence.
        burst: u64,
        /// Both, as the kernel counts them.
        limit: Limit,
    },
}

impl RateLimit {
    /// A limit that is known to be in range: a default.
    pub(crate) const fn fixed(per_second: u64, burst: u64) -> Self {
        match Self::new(Rate::per_second(per_second), burst) {
            Ok(limit) => limit,
            Err(_) => panic!("a default limit is out of range"),
        }
    }

    /// A rate with a burst.
    ///
    /// # Errors
    /// As [`Rate::limit`].
    pub const fn new(rate: Rate, burst: u64) -> Result<Self, RateError> {
        match rate.limit(burst) {
            Ok(limit) => Ok(Self::Limited { rate, burst, limit }),
            Err(error) => Err(error),
        }
    }

    /// The higher rate of the two with the higher burst.
    #[must_use]
    pub fn at_least(self, other: Self) -> Self {
        let (
            Self::Limited { rate: one, burst: first, .. },
            Self::Limited { rate: two, burst: second, .. },
        ) = (self, other)
        else {
            return Self::Unlimited;
        };
        let rate = if one.is_slower(two) { two } else { one };
        // In range: it refills no slower than the one of the two with this
        // burst.
        Self::new(rate, first.max(second)).unwrap_or(Self::Unlimited)
    }

    /// What the kernel counts by.
    #[must_use]
    pub const fn limit(self) -> Limit {
        match self {
            Self::Unlimited => Limit::UNLIMITED,
            Self::Limited { limit, .. } => limit,
        }
    }
}

impl fmt::Display for RateLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unlimited => f.write_str("unlimited"),
            Self::Limited { rate, burst, .. } => write!(f, "{rate} burst {burst}"),
        }
    }
}

impl Serialize for RateLimit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_operators_write() {
        for (text, packets, seconds) in [
            ("5/s", 5, 1),
            ("20/60s", 20, 60),
            ("30/m", 30, 60),
            ("100/10m", 100, 600),
            ("6/h", 6, 3600),
            ("1/1h", 1, 3600),
            ("48/24h", 48, 86_400),
            ("1000000/s", 1_000_000, 1),
        ] {
            let rate: Rate = text.parse().expect(text);
            assert_eq!((rate.packets(), rate.seconds()), (packets, seconds), "{text}");
        }
        assert_eq!("20/60s".parse::<Rate>().unwrap().limit(20).unwrap().interval_ns, 3_000_000_000);
    }

    #[test]
    fn what_is_refused_and_why() {
        for (text, error) in [
            ("", RateError::Form),
            ("5", RateError::Form),
            ("5 per second", RateError::Form),
            ("/s", RateError::Packets),
            ("0/s", RateError::Packets),
            ("-1/s", RateError::Packets),
            ("+1/s", RateError::Packets),
            ("1.5/s", RateError::Packets),
            (" 5/s", RateError::Packets),
            ("99999999999999999999/s", RateError::Packets),
            ("5/", RateError::Period),
            ("5/d", RateError::Period),
            ("5/0s", RateError::Period),
            ("5/sec", RateError::Period),
            ("5/ s", RateError::Period),
            ("5/s/s", RateError::Period),
            ("5/é", RateError::Period),
            ("100000/1000h", RateError::Period),
            ("1/2h", RateError::TooSlow),
            ("1/3601s", RateError::TooSlow),
            ("1000001/s", RateError::TooFast),
            ("18446744073709551615/18446744073709551615s", RateError::Period),
        ] {
            assert_eq!(text.parse::<Rate>(), Err(error), "{text}");
        }
        let hourly: Rate = "1/h".parse().unwrap();
        assert_eq!(hourly.limit(0), Err(RateError::Burst));
        assert_eq!(hourly.limit(1_000_001), Err(RateError::Burst));
        assert_eq!(hourly.limit(1_000), Err(RateError::Refill));
    }

    #[test]
    fn at_least_takes_the_higher_of_each() {
        let limit = |rate: &str, burst| RateLimit::new(rate.parse().unwrap(), burst).unwrap();
        let slow = limit("30/m", 1000);
        assert_eq!(slow.at_least(limit("1/s", 5)), limit("1/s", 1000));
        assert_eq!(limit("1/s", 5).at_least(slow), limit("1/s", 1000));
        assert_eq!(slow.at_least(limit("1/h", 1)), slow);
        assert_eq!(slow.at_least(limit("60/2m", 1)), slow, "the same rate: its own words");
        assert_eq!(slow.at_least(RateLimit::Unlimited), RateLimit::Unlimited);
        assert_eq!(RateLimit::Unlimited.at_least(slow), RateLimit::Unlimited);
        // The burst that takes longest to refill.
        let longest = limit("1/h", 721);
        assert_eq!(longest.at_least(limit("2/h", 1)), limit("2/h", 721));
    }

    proptest! {
        #[test]
        fn never_panics(text in "[0-9]{0,21}[/.+ -]?[0-9]{0,21}[smhd]?") {
            let _ = text.parse::<Rate>();
        }

        /// Every rate in range is taken, shows as itself, and costs what it
        /// says.
        #[test]
        fn exact_where_valid(packets in 1u64..2_000_000, count in 1u64..100_000, unit in 0usize..3) {
            let (letter, seconds) = [("s", 1), ("m", 60), ("h", 3600)][unit];
            let seconds = seconds * count;
            let text = format!("{packets}/{count}{letter}");
            let valid = packets * 3600 >= seconds && packets <= seconds * 1_000_000
                && seconds <= 30 * 86_400;
            prop_assert_eq!(text.parse::<Rate>().is_ok(), valid);
            if let Ok(rate) = text.parse::<Rate>() {
                prop_assert_eq!(rate.to_string().parse::<Rate>().unwrap(), rate);
                let limit = rate.limit(1).unwrap();
                prop_assert_eq!(limit.interval_ns, seconds * 1_000_000_000 / packets);
                prop_assert_eq!(limit.tolerance_ns, 0);
            }
        }
    }
}
