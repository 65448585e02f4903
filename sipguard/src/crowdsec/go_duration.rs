//! Durations as Go writes them: `3h59m49.4s`, `-1.071287872s`, `82.4ms`.

use std::time::Duration;

/// Units by their names, in nanoseconds; none begins with another that stands
/// behind it.
const UNITS: [(&str, f64); 8] = [
    ("ns", 1.0),
    ("us", 1e3),
    ("\u{b5}s", 1e3),
    ("\u{3bc}s", 1e3),
    ("ms", 1e6),
    ("s", 1e9),
    ("m", 60e9),
    ("h", 3600e9),
];

/// Nothing is decided for longer: whoever has an address then is somebody else.
pub(super) const LONGEST: Duration = Duration::from_secs(365 * 86_400);

/// Characters of the longest that Go writes, and more.
const MAX_TEXT: usize = 64;

/// How long something goes on, at most [`LONGEST`]; zero where it has ended.
/// `None` is no duration.
pub(super) fn parse(text: &str) -> Option<Duration> {
    if text.len() > MAX_TEXT {
        return None;
    }
    let (is_past, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(Duration::ZERO);
    }
    if rest.is_empty() {
        return None;
    }
    let mut nanoseconds = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, behind) = rest.split_at(digits);
        // Of digits and points alone, so neither NaN nor infinite words.
        let number: f64 = number.parse().ok()?;
        let (unit, size) = UNITS.iter().find(|(unit, _)| behind.starts_with(unit))?;
        nanoseconds += number * size;
        rest = &behind[unit.len()..];
    }
    if is_past {
        return Some(Duration::ZERO);
    }
    let seconds = (nanoseconds / 1e9).min(LONGEST.as_secs_f64());
    Duration::try_from_secs_f64(seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_go_writes_is_read() {
        for (text, seconds) in [
            ("3h59m49.4s", 3.0 * 3600.0 + 59.0 * 60.0 + 49.4),
            ("59m56.43245313s", 59.0 * 60.0 + 56.432_453_13),
            ("2.372611679s", 2.372_611_679),
            ("516.312005ms", 0.516_312_005),
            ("3\u{b5}s", 3e-6),
            ("3\u{3bc}s", 3e-6),
            ("7ns", 7e-9),
            ("0s", 0.0),
            ("0", 0.0),
            ("-1.071287872s", 0.0),
            ("-3h", 0.0),
            ("+4h", 4.0 * 3600.0),
            ("1.5h", 5400.0),
            (".5s", 0.5),
        ] {
            let read = parse(text).unwrap_or_else(|| panic!("{text}"));
            assert!((read.as_secs_f64() - seconds).abs() < 1e-9, "{text}: {read:?}");
        }
    }

    #[test]
    fn absurd_ones_are_as_long_as_any_or_none_at_all() {
        for text in ["999999999999999h", "8761h", "9e", "1e400h", "99999999999999999999999999999h"]
        {
            assert!(parse(text).is_none_or(|read| read == LONGEST), "{text}");
        }
        assert_eq!(parse("87600h"), Some(LONGEST));
        for text in
            ["", "-", "h", "3", "3x", "3h4", "1..2s", "inf", "NaNs", "4 h", "\u{0}", "4d", "-+3s"]
        {
            assert_eq!(parse(text), None, "{text:?}");
        }
        assert_eq!(parse(&"1h".repeat(1000)), None);
    }
}
