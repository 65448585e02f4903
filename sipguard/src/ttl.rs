//! How long an entry holds, as people write it: `90s`, `10m`, `1h30m`, `7d`.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize, de};

/// Units, longest first, in seconds.
const UNITS: [(char, u64); 5] =
    [('w', 7 * 86_400), ('d', 86_400), ('h', 3600), ('m', 60), ('s', 1)];

/// The longest time to live: ten years. Whatever shall hold longer belongs
/// into a file.
const MAX_SECONDS: u64 = 3650 * 86_400;

/// A time to live: whole seconds, at least one, at most ten years.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ttl(u64);

/// Why a text is no time to live.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TtlError {
    #[error("no duration: write 90s, 10m, 1h30m or 7d")]
    Empty,
    #[error("`{0}` has no unit: write {0}s, {0}m, {0}h or {0}d")]
    NoUnit(u64),
    #[error("unknown unit `{0}`: s, m, h, d and w are known")]
    UnknownUnit(char),
    #[error("a number is missing before `{0}`: write 90s, 10m, 1h30m or 7d")]
    NoNumber(char),
    #[error("0 is no duration: leave it out for an entry without end")]
    Zero,
    #[error("longer than 3650d: put the entry into the configuration files instead")]
    TooLong,
}

impl Ttl {
    /// Ten seconds.
    pub const TEN_SECONDS: Self = Self(10);
    /// One minute.
    pub const MINUTE: Self = Self(60);
    /// Three minutes.
    pub const THREE_MINUTES: Self = Self(180);
    /// Five minutes.
    pub const FIVE_MINUTES: Self = Self(300);
    /// Ten minutes.
    pub const TEN_MINUTES: Self = Self(600);
    /// A quarter of an hour.
    pub const QUARTER: Self = Self(900);
    /// One hour.
    pub const HOUR: Self = Self(3600);
    /// One day.
    pub const DAY: Self = Self(86_400);
    /// Three days.
    pub const THREE_DAYS: Self = Self(3 * 86_400);
    /// Seven days.
    pub const WEEK: Self = Self(7 * 86_400);

    /// `None` for 0 and for more than ten years.
    #[must_use]
    pub const fn from_seconds(seconds: u64) -> Option<Self> {
        if seconds == 0 || seconds > MAX_SECONDS { None } else { Some(Self(seconds)) }
    }

    /// The same as a duration.
    #[must_use]
    pub const fn duration(self) -> Duration {
        Duration::from_secs(self.0)
    }

    /// The same in nanoseconds: ten years of them fit.
    pub(crate) const fn nanoseconds(self) -> u64 {
        self.0 * 1_000_000_000
    }
}

impl FromStr for Ttl {
    type Err = TtlError;

    fn from_str(text: &str) -> Result<Self, TtlError> {
        let mut total: u64 = 0;
        let mut number: Option<u64> = None;
        for c in text.trim().chars() {
            if let Some(digit) = c.to_digit(10) {
                let next = number.unwrap_or(0).checked_mul(10);
                number = next.and_then(|n| n.checked_add(u64::from(digit)));
                if number.is_none() {
                    return Err(TtlError::TooLong);
                }
                continue;
            }
            let (_, seconds) = UNITS
                .into_iter()
                .find(|(unit, _)| *unit == c.to_ascii_lowercase())
                .ok_or(TtlError::UnknownUnit(c))?;
            let count = number.take().ok_or(TtlError::NoNumber(c))?;
            total = count
                .checked_mul(seconds)
                .and_then(|part| total.checked_add(part))
                .ok_or(TtlError::TooLong)?;
        }
        match number {
            Some(number) => Err(TtlError::NoUnit(number)),
            None if text.trim().is_empty() => Err(TtlError::Empty),
            None if total == 0 => Err(TtlError::Zero),
            None if total > MAX_SECONDS => Err(TtlError::TooLong),
            None => Ok(Self(total)),
        }
    }
}

impl fmt::Display for Ttl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut left = self.0;
        for (unit, seconds) in UNITS {
            let count = left / seconds;
            left %= seconds;
            if count > 0 {
                write!(f, "{count}{unit}")?;
            }
        }
        Ok(())
    }
}

impl Serialize for Ttl {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Ttl {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_as_people_write_them() {
        for (text, seconds) in [
            ("90s", 90),
            ("10m", 600),
            ("1h", 3600),
            ("1h30m", 5400),
            (" 7d ", 604_800),
            ("2W", 1_209_600),
            ("0h1s", 1),
            ("3650d", MAX_SECONDS),
        ] {
            assert_eq!(text.parse(), Ok(Ttl(seconds)), "{text}");
        }
    }

    #[test]
    fn errors_are_exact() {
        for (text, error) in [
            ("", TtlError::Empty),
            ("  ", TtlError::Empty),
            ("90", TtlError::NoUnit(90)),
            ("1h30", TtlError::NoUnit(30)),
            ("5y", TtlError::UnknownUnit('y')),
            ("-5s", TtlError::UnknownUnit('-')),
            ("1.5h", TtlError::UnknownUnit('.')),
            ("1 h", TtlError::UnknownUnit(' ')),
            ("h", TtlError::NoNumber('h')),
            ("1hm", TtlError::NoNumber('m')),
            ("0s", TtlError::Zero),
            ("3651d", TtlError::TooLong),
            ("99999999999999999999s", TtlError::TooLong),
            ("18446744073709551615w", TtlError::TooLong),
        ] {
            assert_eq!(text.parse::<Ttl>(), Err(error), "{text}");
        }
    }

    #[test]
    fn what_is_shown_can_be_read_again() {
        for text in ["90s", "1m30s", "1h", "1d1s", "1w", "521w3d"] {
            let ttl: Ttl = text.parse().unwrap();
            assert_eq!(ttl.to_string().parse(), Ok(ttl));
        }
        assert_eq!("90s".parse::<Ttl>().unwrap().to_string(), "1m30s");
    }
}
