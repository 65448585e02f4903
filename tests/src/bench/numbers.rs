//! Medians and percentiles.

/// The middle of the values; of an even number, the mean of the middle two.
#[must_use]
pub fn median(values: &[f64]) -> Option<f64> {
    let sorted = sorted(values);
    let middle = sorted.len() / 2;
    let upper = *sorted.get(middle)?;
    match sorted.len() % 2 {
        0 => Some(f64::midpoint(sorted[middle - 1], upper)),
        _ => Some(upper),
    }
}

/// The median of the ratios of each round: what was slow for both in one round
/// goes out of the comparison.
#[must_use]
pub fn median_ratio(rounds: &[f64], base: &[f64]) -> Option<f64> {
    let ratios: Vec<f64> = rounds
        .iter()
        .zip(base)
        .filter(|(_, base)| **base > 0.0)
        .map(|(value, base)| value / base)
        .collect();
    median(&ratios)
}

/// The smallest value that at least this share of the values does not exceed.
#[must_use]
pub fn percentile(values: &[f64], share: f64) -> Option<f64> {
    let sorted = sorted(values);
    let rank = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(rank.max(1) - 1).copied()
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

#[cfg(test)]
mod tests {
    use super::{median, median_ratio, percentile};

    #[test]
    fn medians() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0]), Some(3.0));
        assert_eq!(median(&[9.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 9.0]), Some(3.0));
    }

    /// A round in which everything was slow does not count double.
    #[test]
    fn ratios_are_of_the_same_round() {
        assert_eq!(median_ratio(&[2.0, 40.0, 3.0], &[1.0, 20.0, 1.0]), Some(2.0));
        assert_eq!(median_ratio(&[2.0, 9.0], &[0.0, 3.0]), Some(3.0));
        assert_eq!(median_ratio(&[2.0], &[]), None);
    }

    #[test]
    fn percentiles() {
        let hundred: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        assert_eq!(percentile(&hundred, 0.99), Some(99.0));
        assert_eq!(percentile(&hundred, 0.5), Some(50.0));
        assert_eq!(percentile(&[7.0], 0.99), Some(7.0));
        assert_eq!(percentile(&[7.0], 0.0), Some(7.0));
        assert_eq!(percentile(&[], 0.99), None);
    }
}
