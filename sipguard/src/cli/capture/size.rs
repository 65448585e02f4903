//! Sizes of files, as people write them: `64K`, `100M`, `2G`.

use std::{fmt, str::FromStr};

/// Units, largest first, in bytes.
const UNITS: [(char, u64); 4] = [('T', 1 << 40), ('G', 1 << 30), ('M', 1 << 20), ('K', 1 << 10)];

/// Bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Size(pub(in crate::cli) u64);

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let unit = UNITS.iter().find(|(letter, _)| text.ends_with(*letter));
        let (number, unit) = unit.map_or((text, 1), |(letter, unit)| {
            (text.strip_suffix(*letter).unwrap_or(text), *unit)
        });
        let digits = number.bytes().all(|byte| byte.is_ascii_digit());
        let bytes = number.parse::<u64>().ok().filter(|_| digits);
        let bytes = bytes.and_then(|number| number.checked_mul(unit));
        bytes.map(Self).ok_or_else(|| "no size: write for example 64K, 100M or 2G".to_owned())
    }
}

impl fmt::Display for Size {
    /// Whole units as they are written, others with one decimal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(bytes) = *self;
        match UNITS.iter().find(|(_, unit)| bytes >= *unit) {
            None => write!(f, "{bytes}"),
            Some((letter, unit)) if bytes % unit == 0 => write!(f, "{}{letter}", bytes / unit),
            Some((letter, unit)) => {
                let tenths = u128::from(bytes) * 10 / u128::from(*unit);
                write!(f, "{}.{}{letter}", tenths / 10, tenths % 10)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_and_shown() {
        let size = |text: &str| text.parse::<Size>().map(|Size(bytes)| bytes);
        assert_eq!(size("65536"), Ok(65_536));
        assert_eq!(size("64K"), Ok(65_536));
        assert_eq!(size("100M"), Ok(104_857_600));
        assert_eq!(size("2G"), Ok(2 << 30));
        for wrong in ["", "K", "1.5M", "-1", "+1", "1 M", "1m", "99999999T"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
        let shown = |bytes| Size(bytes).to_string();
        assert_eq!([shown(100), shown(64 << 10), shown(1_600_000)], ["100", "64K", "1.5M"]);
        assert_eq!(shown(u64::MAX), "16777215.9T");
    }
}
