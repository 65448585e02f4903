//! How many endpoints are verified at an hour of an ordinary day.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;

use super::Moment;

/// Days that make the baseline.
pub(crate) const DAYS: i64 = 7;

/// Days that must be known of this hour.
const LEAST_DAYS: usize = 3;

/// Samples of an hour, one a minute, without which it is not kept.
const LEAST_SAMPLES: usize = 30;

/// How often a sample is taken.
const SAMPLE: Duration = Duration::from_secs(60);

/// How long after the start nothing is sampled: what the server has accepted is
/// learned anew then, and a registration is renewed within an hour.
const LEARNING: Duration = Duration::from_secs(3600);

/// Hours since 1970 in UTC.
#[must_use]
pub fn hour(at: Timestamp) -> i64 {
    at.as_second().div_euclid(3600)
}

/// The median of this hour of the day in the last seven days, without the
/// present hour; `None` as long as fewer than three days are known. `hours`
/// holds the median of each hour.
#[must_use]
pub fn baseline(hours: &BTreeMap<i64, u64>, now: Timestamp) -> Option<f64> {
    let now = hour(now);
    let mut same: Vec<u64> =
        (1..=DAYS).filter_map(|day| hours.get(&(now - 24 * day)).copied()).collect();
    if same.len() < LEAST_DAYS {
        return None;
    }
    same.sort_unstable();
    median(&same)
}

/// Of a sorted list.
#[expect(clippy::cast_precision_loss, reason = "numbers of endpoints, far below 2^52")]
fn median(sorted: &[u64]) -> Option<f64> {
    let middle = sorted.len() / 2;
    let upper = *sorted.get(middle)? as f64;
    if sorted.len() % 2 == 1 {
        return Some(upper);
    }
    Some(f64::midpoint(*sorted.get(middle.checked_sub(1)?)? as f64, upper))
}

/// Takes samples, and gives the median of each hour when it is over.
#[derive(Debug, Default)]
pub struct Hourly {
    started: Option<Duration>,
    sampled: Option<Duration>,
    hour: i64,
    samples: Vec<u64>,
}

impl Hourly {
    /// Hears how many are verified; gives the hour that has ended, with its
    /// median.
    pub fn sample(&mut self, now: Moment, verified: u64) -> Option<(i64, u64)> {
        let started = *self.started.get_or_insert(now.at);
        if now.at.saturating_sub(started) < LEARNING {
            return None;
        }
        let this = hour(now.wall);
        let ended = (this != self.hour).then(|| (self.hour, std::mem::take(&mut self.samples)));
        self.hour = this;
        if self.sampled.is_none_or(|last| now.at.saturating_sub(last) >= SAMPLE) {
            self.sampled = Some(now.at);
            // A clock that is set back may make an hour longer.
            if self.samples.len() < 2 * LEAST_SAMPLES {
                self.samples.push(verified);
            }
        }
        let (hour, mut samples) = ended?;
        samples.sort_unstable();
        let enough = samples.len() >= LEAST_SAMPLES;
        samples.get(samples.len() / 2).filter(|_| enough).map(|median| (hour, *median))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hour: i64) -> Timestamp {
        Timestamp::from_second(hour * 3600 + 1800).unwrap()
    }

    #[test]
    fn the_same_hour_of_three_days_makes_a_baseline() {
        let now = 1_000_000;
        let mut hours = BTreeMap::from([(now - 24, 100), (now - 48, 300), (now - 1, 7)]);
        assert_eq!(baseline(&hours, at(now)), None);
        // Eight days ago is too long ago, and this hour is not over.
        hours.extend([(now - 8 * 24, 9), (now, 9)]);
        assert_eq!(baseline(&hours, at(now)), None);
        hours.insert(now - 72, 120);
        assert_eq!(baseline(&hours, at(now)), Some(120.0));
        hours.insert(now - 96, 140);
        assert_eq!(baseline(&hours, at(now)), Some(130.0));
        assert_eq!(baseline(&hours, at(now + 1)), None);
    }

    /// What is learned anew after a start is no ordinary hour.
    #[test]
    fn whole_hours_are_kept_and_the_first_one_is_not() {
        let mut hourly = Hourly::default();
        let mut kept = Vec::new();
        let start = 1_000_000 * 3600;
        for second in 0..4 * 3600_u64 {
            let wall = Timestamp::from_second(start + second as i64).unwrap();
            let now = Moment { at: Duration::from_secs(second), wall };
            let verified = if second < 3600 { 3 } else { 50 + second / 3600 };
            kept.extend(hourly.sample(now, verified));
        }
        assert_eq!(kept, [(1_000_001, 51), (1_000_002, 52)]);
    }

    #[test]
    fn half_an_hour_is_too_little() {
        let mut hourly = Hourly::default();
        let start = 1_000_000 * 3600 + 1860;
        let kept: Vec<_> = (0..3 * 3600_u64)
            .filter_map(|second| {
                let wall = Timestamp::from_second(start + second as i64).unwrap();
                hourly.sample(Moment { at: Duration::from_secs(second), wall }, 5)
            })
            .collect();
        assert_eq!(kept, [(1_000_002, 5)]);
    }
}
