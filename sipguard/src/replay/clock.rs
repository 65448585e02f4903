//! The program's clock, made of the capture's times.

use jiff::Timestamp;

/// What the clock shows at the capture's first packet, in nanoseconds: twelve
/// days, as on a machine that has been up for a while.
const ORIGIN_NS: u64 = 1_000_000_000_000_000;

/// Packets of several queues stand in a capture somewhat out of order. What
/// goes back by more, in nanoseconds, has had its clock set, or its files
/// joined.
const JITTER_NS: i128 = 1_000_000_000;

/// A clock that follows a capture's times and never goes back.
#[derive(Debug)]
pub(super) struct Clock {
    /// A time of the capture, and what the clock shows then.
    anchor: Option<(Timestamp, u64)>,
    now_ns: u64,
}

/// Where the capture's times have led the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// On, or hardly back.
    On,
    /// Far back: the clock stood still, and goes on from there.
    Back,
}

impl Clock {
    /// A clock at its origin, for a capture that starts at `first`.
    pub(super) fn new(first: Option<Timestamp>) -> Self {
        Self { anchor: first.map(|first| (first, ORIGIN_NS)), now_ns: ORIGIN_NS }
    }

    pub(super) fn now_ns(&self) -> u64 {
        self.now_ns
    }

    /// Goes to the time of the next packet.
    pub(super) fn follow(&mut self, time: Timestamp) -> Step {
        let Some((anchor, shown)) = self.anchor else {
            self.anchor = Some((time, self.now_ns));
            return Step::On;
        };
        let wanted = i128::from(shown) + time.as_nanosecond() - anchor.as_nanosecond();
        let now = i128::from(self.now_ns);
        if now - wanted > JITTER_NS {
            self.anchor = Some((time, self.now_ns));
            return Step::Back;
        }
        // Half of what fits, so that the program can add to it: 292 years.
        self.now_ns = u64::try_from(wanted.max(now)).unwrap_or(u64::MAX).min(u64::MAX / 2);
        Step::On
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: i64) -> Timestamp {
        Timestamp::from_millisecond(1_700_000_000_000 + milliseconds).unwrap()
    }

    fn shown(clock: &Clock) -> u64 {
        (clock.now_ns() - ORIGIN_NS) / 1_000_000
    }

    #[test]
    fn it_shows_what_has_passed_since_the_first_packet() {
        let mut clock = Clock::new(Some(at(0)));
        for (time, expected) in [(0, 0), (250, 250), (250, 250), (86_400_000, 86_400_000)] {
            assert_eq!(clock.follow(at(time)), Step::On);
            assert_eq!(shown(&clock), expected);
        }
    }

    #[test]
    fn packets_out_of_order_neither_take_it_back_nor_make_it_fast() {
        let mut clock = Clock::new(Some(at(0)));
        for (time, expected) in [(100, 100), (40, 100), (101, 101), (50, 101), (150, 150)] {
            assert_eq!(clock.follow(at(time)), Step::On);
            assert_eq!(shown(&clock), expected);
        }
    }

    #[test]
    fn a_clock_that_was_set_back_goes_on_from_where_it_was() {
        let mut clock = Clock::new(Some(at(0)));
        assert_eq!(clock.follow(at(7_200_000)), Step::On);
        assert_eq!(clock.follow(at(3_600_000)), Step::Back);
        assert_eq!(shown(&clock), 7_200_000);
        assert_eq!(clock.follow(at(3_600_500)), Step::On);
        assert_eq!(shown(&clock), 7_200_500);
    }

    #[test]
    fn any_time_is_taken() {
        let mut clock = Clock::new(Some(Timestamp::MIN));
        assert_eq!(clock.follow(Timestamp::MAX), Step::On);
        assert_eq!(clock.now_ns(), u64::MAX / 2);
        assert_eq!(clock.follow(Timestamp::MIN), Step::Back);
        let mut clock = Clock::new(None);
        assert_eq!(clock.follow(at(5)), Step::On);
        assert_eq!(clock.follow(at(6)), Step::On);
        assert_eq!(shown(&clock), 1);
    }
}
