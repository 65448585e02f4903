//! Numbers as they fit into columns, and as bars.

/// Steps of a bar, from low to high; the highest leaves a gap to the row above.
const STEPS: [char; 7] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇'];

/// A rate in at most seven characters.
pub(super) fn rate(rate: f64) -> String {
    match rate {
        rate if !rate.is_finite() || rate <= 0.0 => "0".to_owned(),
        // Less than one in twenty seconds is no rate of a second.
        rate if rate < 0.05 => "<0.1".to_owned(),
        rate if rate < 9.95 => format!("{rate:.1}"),
        rate => short(rate),
    }
}

/// A count in at most nine characters.
#[expect(clippy::cast_precision_loss, reason = "shown with three digits")]
pub(super) fn count(count: u64) -> String {
    if count < 10_000_000 { grouped(count) } else { short(count as f64) }
}

/// A part of a whole in percent.
#[expect(clippy::cast_precision_loss, reason = "shown without a fraction")]
pub(super) fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "positive and below a million"
)]
fn short(number: f64) -> String {
    match number {
        number if number < 99_999.5 => grouped(number.round() as u64),
        number if number < 999_500.0 => format!("{:.0}k", number / 1e3),
        number if number < 99.95e6 => format!("{:.1}M", number / 1e6),
        number if number < 999.5e6 => format!("{:.0}M", number / 1e6),
        number if number < 999.5e9 => format!("{:.1}G", number / 1e9),
        _ => ">999G".to_owned(),
    }
}

fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// The least that fills a bar: a packet now and then is no mountain.
const LEAST: f64 = 8.0;

/// A character for each rate, the highest of them full. What is more than
/// nothing is seen, nothing is not.
pub(super) fn bars(values: &[f64]) -> String {
    let max = values.iter().copied().fold(LEAST, f64::max);
    values.iter().map(|value| bar(*value, max)).collect()
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "between zero and the number of steps"
)]
fn bar(value: f64, max: f64) -> char {
    if value.is_nan() || value <= 0.0 {
        return ' ';
    }
    let step = (value / max * 7.0).ceil().clamp(1.0, 7.0) as usize - 1;
    STEPS.get(step).copied().unwrap_or('▇')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_fit_their_column() {
        for (number, text) in [
            (0.0, "0"),
            (-1.0, "0"),
            (f64::NAN, "0"),
            (0.01, "<0.1"),
            (0.5, "0.5"),
            (9.94, "9.9"),
            (9.96, "10"),
            (999.4, "999"),
            (12_345.0, "12,345"),
            (99_999.0, "99,999"),
            (99_999.9, "100k"),
            (999_600.0, "1.0M"),
            (45.67e6, "45.7M"),
            (450.0e6, "450M"),
            (2.5e9, "2.5G"),
            (1e15, ">999G"),
        ] {
            assert_eq!(rate(number), text, "{number}");
        }
    }

    #[test]
    fn nothing_is_wider_than_its_column() {
        let mut number = 0.001_f64;
        while number < 1e20 {
            assert!(rate(number).chars().count() <= 7, "{number}: {}", rate(number));
            number *= 1.01;
        }
        for shift in 0..64 {
            let number = 1_u64 << shift;
            for number in [number - 1, number, number + number / 3] {
                assert!(count(number).chars().count() <= 9, "{number}: {}", count(number));
            }
        }
        assert_eq!(count(u64::MAX), ">999G");
        assert_eq!(count(1_234_567), "1,234,567");
    }

    #[test]
    fn bars_show_what_there_is() {
        assert_eq!(bars(&[0.0, 0.01, 50.0, 100.0]), " ▁▄▇");
        assert_eq!(bars(&[0.0, 0.0]), "  ");
        assert_eq!(bars(&[f64::NAN, -1.0, 3.0]), "  ▃");
        assert_eq!(bars(&[]), "");
    }

    #[test]
    fn percentages() {
        assert!((percent(1, 4) - 25.0).abs() < 1e-9);
        assert!(percent(1, 0).abs() < 1e-9);
    }
}
