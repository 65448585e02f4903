//! Times of the kernel program on the wall clock.

use jiff::{SignedDuration, Timestamp, Unit};

use super::lists::now;

/// Both clocks at one moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    wall: Timestamp,
    now_ns: u64,
}

impl Clock {
    pub(super) fn read() -> Self {
        Self { wall: Timestamp::now(), now_ns: now() }
    }

    /// CLOCK_MONOTONIC, in nanoseconds.
    pub(super) const fn now_ns(self) -> u64 {
        self.now_ns
    }

    /// A time of CLOCK_MONOTONIC on the wall clock as it stands now, to the
    /// second, or else it would differ a little each time.
    pub(super) fn at(self, then_ns: u64) -> Timestamp {
        let nanoseconds = i128::from(then_ns) - i128::from(self.now_ns);
        let away = SignedDuration::from_nanos(i64::try_from(nanoseconds).unwrap_or(i64::MAX));
        let then = self.wall.checked_add(away).and_then(|then| then.round(Unit::Second));
        then.unwrap_or(Timestamp::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_by_the_wall_clock() {
        let clock = Clock { wall: Timestamp::UNIX_EPOCH, now_ns: 5_000_000_000 };
        let seconds = |then_ns| clock.at(then_ns).as_second();
        assert_eq!([seconds(0), seconds(5_000_000_000), seconds(7_400_000_000)], [-5, 0, 2]);
        // However far: no overflow.
        assert!(clock.at(u64::MAX).as_second() > 1_000_000_000);
    }
}
