//! Who sends, and how much: a table that a flood of made-up addresses neither
//! fills nor makes dear.

use super::Address;

/// Sets of [`TALLY_WAYS`] slots; a source belongs to one set by its hash.
pub const TALLY_SETS: u32 = 2048;

/// Slots of a set: a source that is new to it takes the one that was quiet the
/// longest.
pub const TALLY_WAYS: u32 = 4;

/// Slots of the table.
pub const TALLIES: usize = (TALLY_SETS * TALLY_WAYS) as usize;

/// One source since it took the slot. Where packets come faster than
/// [`SAMPLES_EACH_TICK`] in a tick of the kernel's clock, some stand for the
/// others, and the counts are estimates. CPUs do not wait for each other: two at
/// one slot at once lose a packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Tally {
    /// An address, IPv6 masked to [`super::Policy::source_mask`].
    pub source: Address,
    /// Packets at a protected port.
    pub packets: u64,
    /// Bytes of their frames.
    pub bytes: u64,
    /// Those of them that were dropped.
    pub dropped: u64,
    /// Requests by method, where the method was read.
    pub options: u64,
    pub register: u64,
    pub invite: u64,
    /// Packets that were looked at.
    pub samples: u64,
    /// When the last one was; 0 in a slot that was never used.
    pub last_ns: u64,
    /// [`crate::rule::Rule`] number of the last one.
    pub rule: u32,
    /// [`crate::method::Method`] number of the last request, or 0.
    pub method: u32,
}

/// A set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct TallySet(pub [Tally; TALLY_WAYS as usize]);

/// The set of a source: the multiplier of the golden ratio.
#[inline(always)]
#[must_use]
pub const fn tally_set(source: &Address) -> u32 {
    let Address([head, tail]) = *source;
    let hash = (head ^ tail.rotate_left(29)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (hash >> 40) as u32 % TALLY_SETS
}

/// Packets that one interface on one CPU looks at in each tick of the kernel's
/// clock, of which there are 100 to 1,000 a second.
pub const SAMPLES_EACH_TICK: u32 = 64;

/// Ticks after which what was passed over before is forgotten: a busy CPU looks
/// at packets in some ticks only.
const TICKS_NEAR: u64 = 25;

/// Which packets of one interface on one CPU stand for others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Sampling {
    /// The tick that these are of.
    pub tick: u64,
    /// Packets that were looked at in it.
    pub taken: u32,
    /// How many that were passed over each of them stands for.
    pub share: u32,
    /// Packets that were not looked at, and that none stood for yet.
    pub passed_over: u64,
}

impl Sampling {
    /// One packet more in tick `now`: for how many it stands, or 0 where it is
    /// not looked at.
    #[inline(always)]
    #[must_use]
    pub fn take(&mut self, now: u64) -> u32 {
        if self.tick != now {
            // What was passed over longer ago says nothing of who sends now.
            if now - self.tick > TICKS_NEAR {
                self.passed_over = 0;
            }
            self.share = self.passed_over as u32 / SAMPLES_EACH_TICK;
            self.tick = now;
            self.taken = 0;
        }
        if self.taken < SAMPLES_EACH_TICK {
            self.taken += 1;
            // At most what was passed over: packets of this tick come behind.
            self.passed_over -= u64::from(self.share);
            return 1 + self.share;
        }
        self.passed_over += 1;
        0
    }
}

const _: () = {
    assert!(size_of::<Tally>() == 88);
    assert!(size_of::<Sampling>() == 24);
    assert!(TALLY_SETS.is_power_of_two());
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_sampled_and_none_of_it_lost() {
        let mut sampling = Sampling::default();
        let mut stands_for = 0;
        let (ticks, each) = (100, 5000);
        for tick in 1..=ticks {
            for _ in 0..each {
                stands_for += u64::from(sampling.take(tick));
            }
        }
        let sent = ticks * each;
        // The last tick's are still to come.
        assert!(stands_for <= sent && stands_for > sent - each - ticks * 64, "{stands_for}");
    }

    #[test]
    fn few_packets_are_all_counted_once() {
        let mut sampling = Sampling::default();
        for tick in 1..100 {
            let weights: [u32; 64] = core::array::from_fn(|_| sampling.take(tick));
            assert_eq!(weights, [1; 64]);
        }
    }

    #[test]
    fn a_flood_that_is_over_weighs_on_nobody() {
        let mut sampling = Sampling::default();
        (0..5000).for_each(|_| _ = sampling.take(1));
        assert_eq!(sampling.take(2 + TICKS_NEAR), 1);
    }
}
