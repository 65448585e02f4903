//! When the stream is read next, and whether all of it.

use std::time::Duration;

use super::Reach;

/// How seldom it is tried where nobody answers.
const SELDOM: Duration = Duration::from_secs(60);

/// After so long without an answer, changes alone are not trusted: the local API
/// may have forgotten who was told what.
const FORGOTTEN: Duration = Duration::from_secs(3600);

/// Turns of the stream. Times are since any fixed moment.
#[derive(Clone, Debug, Default)]
pub struct Schedule {
    next: Duration,
    failures: u32,
    last_ok: Option<Duration>,
    needs_all: bool,
}

impl Schedule {
    /// The first turn is now, and asks for everything.
    #[must_use]
    pub fn new(now: Duration) -> Self {
        Self { next: now, needs_all: true, ..Self::default() }
    }

    #[must_use]
    pub fn next(&self) -> Duration {
        self.next
    }

    /// Whether everything is asked for, and not only what has changed.
    #[must_use]
    pub fn needs_all(&self, now: Duration) -> bool {
        let silent = self.last_ok.map(|last| now.saturating_sub(last));
        self.needs_all || silent.is_none_or(|silent| silent > FORGOTTEN)
    }

    /// An answer was taken.
    pub fn answered(&mut self, now: Duration, interval: Duration) {
        *self = Self {
            next: now.saturating_add(interval),
            failures: 0,
            last_ok: Some(now),
            needs_all: false,
        };
    }

    /// There was none, or none that could be taken. `chance` is any number: nodes
    /// that have lost the same local API do not come back at once.
    pub fn failed(&mut self, now: Duration, interval: Duration, reach: Reach, chance: u32) {
        self.needs_all |= reach == Reach::Perhaps;
        let most = SELDOM.max(interval);
        let wait = interval.saturating_mul(1 << self.failures.min(10)).min(most);
        self.failures = self.failures.saturating_add(1);
        let share = f64::from(chance) / f64::from(u32::MAX);
        self.next = now.saturating_add(wait.mul_f64(0.5 + share));
    }

    /// What has changed elsewhere makes everything new.
    pub fn begin_anew(&mut self, now: Duration) {
        *self = Self::new(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEN: Duration = Duration::from_secs(10);
    /// In the middle.
    const HALF: u32 = u32::MAX / 2;

    #[test]
    fn f48_everything_first_then_changes() {
        let mut schedule = Schedule::new(TEN);
        assert!(schedule.needs_all(TEN) && schedule.next() == TEN);
        schedule.answered(TEN, TEN);
        assert!(!schedule.needs_all(2 * TEN) && schedule.next() == 2 * TEN);
    }

    #[test]
    fn f48_failures_are_tried_again_ever_later_up_to_a_minute() {
        let mut schedule = Schedule::new(TEN);
        schedule.answered(TEN, TEN);
        let mut now = 2 * TEN;
        for seconds in [10, 20, 40, 60, 60, 60] {
            schedule.failed(now, TEN, Reach::Nobody, HALF);
            assert_eq!((schedule.next() - now).as_secs_f64().round(), f64::from(seconds));
            now = schedule.next();
        }
        // Nobody has heard us: what we know is still what we were told last.
        assert!(!schedule.needs_all(now));
        schedule.failed(now, TEN, Reach::Perhaps, 0);
        assert!(schedule.needs_all(now));
        assert_eq!((schedule.next() - now).as_secs(), 30);
        schedule.failed(now, TEN, Reach::Nobody, u32::MAX);
        assert!(schedule.needs_all(now), "until an answer was taken");
        assert_eq!((schedule.next() - now).as_secs(), 90);
        schedule.answered(now, TEN);
        assert!(!schedule.needs_all(now + TEN));
    }

    #[test]
    fn f48_after_an_hour_of_silence_everything_is_asked_for() {
        let mut schedule = Schedule::new(TEN);
        schedule.answered(TEN, TEN);
        schedule.failed(2 * TEN, TEN, Reach::Nobody, HALF);
        assert!(!schedule.needs_all(TEN + FORGOTTEN));
        assert!(schedule.needs_all(TEN + FORGOTTEN + TEN));
    }
}
