//! Token buckets as GCRA (generic cell rate algorithm, ITU-T I.371): one
//! 64-bit word per bucket, the theoretical arrival time of the next packet.
//!
//! Against the common defects of token buckets: no fraction of a token is
//! ever rounded away (time is the token), a long idle cannot overflow (the
//! word is never subtracted from), and one word can be compared and swapped,
//! so that several CPUs cannot spend the same token.

/// A rate with a burst. Times in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Limit {
    /// What one packet costs; 0 means unlimited.
    pub interval_ns: u64,
    /// How far ahead of time the bucket may run: (burst - 1) x interval.
    pub tolerance_ns: u64,
}

/// The longest interval and tolerance a limit may have: 30 days each. Sums of
/// a clock and a few of these cannot overflow 64 bits.
pub const MAX_SPAN_NS: u64 = 30 * 86_400 * 1_000_000_000;

impl Limit {
    /// No limit at all.
    pub const UNLIMITED: Self = Self { interval_ns: 0, tolerance_ns: 0 };

    /// `packets` per `period_ns` with a burst of `burst` packets.
    ///
    /// `None` where a number is 0, the interval rounds to less than 1 ns, or
    /// interval or tolerance exceed [`MAX_SPAN_NS`].
    #[must_use]
    pub const fn new(packets: u64, period_ns: u64, burst: u64) -> Option<Self> {
        if packets == 0 || burst == 0 {
            return None;
        }
        let interval_ns = period_ns / packets;
        // The tolerance from the exact fraction: a burst of a million must not
        // add up a million roundings.
        let tolerance_ns = (burst as u128 - 1) * period_ns as u128 / packets as u128;
        if interval_ns == 0 || interval_ns > MAX_SPAN_NS || tolerance_ns > MAX_SPAN_NS as u128 {
            return None;
        }
        Some(Self { interval_ns, tolerance_ns: tolerance_ns as u64 })
    }
}

/// What a bucket says to one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Within the limit, once this word is stored.
    Take(u64),
    /// Over the limit; nothing to store.
    Over,
    /// Over the limit, and the word lies further ahead than any packet could
    /// have put it (the clock went back, or the limit was tightened): store
    /// this one instead, so that the source is not locked out for longer than
    /// an empty bucket takes to fill.
    Reset(u64),
}

/// One packet at time `now_ns` (any monotonic clock) meets the bucket `tat_ns`.
#[inline(always)]
#[must_use]
pub fn step(tat_ns: u64, now_ns: u64, limit: Limit) -> Step {
    let horizon = now_ns.wrapping_add(limit.tolerance_ns);
    if tat_ns <= horizon {
        let base = if tat_ns > now_ns { tat_ns } else { now_ns };
        return Step::Take(base.wrapping_add(limit.interval_ns));
    }
    let empty = horizon.wrapping_add(limit.interval_ns);
    if tat_ns > empty { Step::Reset(empty) } else { Step::Over }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const S: u64 = 1_000_000_000;

    /// The exact reference: tokens as a fraction with denominator
    /// `period_ns`, refilled by `packets` per nanosecond of elapsed time.
    struct Reference {
        scaled: u128,
        last: u64,
    }

    impl Reference {
        fn admit(&mut self, now: u64, packets: u64, period_ns: u64, burst: u64) -> bool {
            let one = u128::from(period_ns);
            self.scaled = (self.scaled + u128::from(now - self.last) * u128::from(packets))
                .min(u128::from(burst) * one);
            self.last = now;
            let admitted = self.scaled >= one;
            if admitted {
                self.scaled -= one;
            }
            admitted
        }
    }

    fn admit(tat: &mut u64, now: u64, limit: Limit) -> bool {
        match step(*tat, now, limit) {
            Step::Take(next) => {
                *tat = next;
                true
            }
            Step::Over => false,
            Step::Reset(next) => {
                *tat = next;
                false
            }
        }
    }

    proptest! {
        /// Where the interval is a whole number of nanoseconds, GCRA and the
        /// exact reference agree on every single packet.
        #[test]
        fn agrees_with_the_exact_reference(
            interval in 1u64..=3600 * S,
            burst in 1u64..1000,
            start in 0u64..1 << 60,
            gaps in prop::collection::vec((0u64..4, 0u64..1 << 42), 1..400),
        ) {
            prop_assume!(interval.saturating_mul(burst) <= MAX_SPAN_NS);
            let limit = Limit::new(1, interval, burst).unwrap();
            let mut reference = Reference { scaled: u128::from(burst) * u128::from(interval), last: start };
            let (mut tat, mut now) = (0, start);
            for (kind, gap) in gaps {
                now += match kind {
                    0 => 0,
                    1 => gap % interval,
                    2 => interval,
                    _ => gap,
                };
                prop_assert_eq!(admit(&mut tat, now, limit), reference.admit(now, 1, interval, burst));
            }
        }

        /// Fractional intervals lose less than one packet in a million.
        #[test]
        fn long_run_rate_is_exact(packets in 1u64..=1_000_000, seconds in 1u64..=3600) {
            let limit = Limit::new(packets, seconds * S, 1).unwrap();
            let exact = seconds as f64 * S as f64 / packets as f64;
            prop_assert!((limit.interval_ns as f64 - exact).abs() <= 1.0);
            prop_assert!(limit.interval_ns < 1_000 || (limit.interval_ns as f64 / exact - 1.0).abs() < 1e-3);
        }

        /// Whatever the word holds and wherever the clock jumps, a bucket
        /// never locks for longer than tolerance and interval together.
        #[test]
        fn no_lock_out(tat in any::<u64>(), now in 0u64..1 << 62, packets in 1u64..1000, burst in 1u64..1000) {
            let limit = Limit::new(packets, 60 * S, burst).unwrap();
            let mut word = tat;
            if !admit(&mut word, now, limit) {
                prop_assert!(admit(&mut word, now + limit.tolerance_ns + limit.interval_ns + limit.tolerance_ns, limit));
            }
        }
    }

    #[test]
    fn one_per_hour() {
        let limit = Limit::new(1, 3600 * S, 1).unwrap();
        let mut tat = 0;
        assert!(admit(&mut tat, S, limit));
        assert!(!admit(&mut tat, 3600 * S, limit));
        assert!(admit(&mut tat, 3601 * S, limit));
    }

    #[test]
    fn a_million_per_second() {
        let limit = Limit::new(1_000_000, S, 10).unwrap();
        let mut tat = 0;
        // Offered every 100 ns for a second: ten times the rate.
        let passed = (0..10_000_000u64).filter(|i| admit(&mut tat, S + i * 100, limit)).count();
        assert!((1_000_000..=1_000_010).contains(&passed), "{passed}");
    }

    /// D13: a bucket that counts whole tokens at 20 per minute refills
    /// nothing for a source that asks once a second.
    #[test]
    fn d13_fractional_refill_is_kept() {
        let limit = Limit::new(20, 60 * S, 20).unwrap();
        let mut tat = 0;
        let passed = (0..600u64).filter(|i| admit(&mut tat, S + i * S, limit)).count();
        // The burst, and 599 s at one token per 3 s.
        assert_eq!(passed, 20 + 199);
    }

    #[test]
    fn long_idle_gives_one_burst_and_no_more() {
        let limit = Limit::new(5, S, 10).unwrap();
        let mut tat = 0;
        let late = 300 * 365 * 86_400 * S;
        assert_eq!((0..100).filter(|_| admit(&mut tat, late, limit)).count(), 10);
    }

    #[test]
    fn clock_going_back_resets_the_bucket() {
        let limit = Limit::new(5, S, 10).unwrap();
        let mut tat = 0;
        assert!(admit(&mut tat, 1_000_000 * S, limit));
        assert!(!admit(&mut tat, 10 * S, limit));
        assert!(admit(&mut tat, 10 * S + limit.interval_ns, limit));
    }

    #[test]
    fn refuses_what_cannot_be_kept() {
        assert_eq!(Limit::new(0, S, 1), None);
        assert_eq!(Limit::new(1, S, 0), None);
        assert_eq!(Limit::new(2 * S, S, 1), None);
        assert_eq!(Limit::new(1, 31 * 86_400 * S, 1), None);
        assert_eq!(Limit::new(1, 86_400 * S, 32), None);
    }
}
