//! Which addresses of a partly blocked IPv4 /24 are blocked: what the index
//! leads to.

use std::{
    collections::{BTreeSet, VecDeque},
    time::{Duration, Instant},
};

use sipguard_common::networks::{Bits, PLACES};

use crate::kernel::{
    KernelError,
    maps::{ArrayMap, Maps, typed},
};

/// How long a place stays empty before other bits come there: no packet that is
/// being judged has read an index that is so old.
const REST: Duration = Duration::from_secs(1);

pub(super) struct BlockedBits {
    map: ArrayMap<Bits>,
    /// Places from here on were never taken.
    fresh: u32,
    /// Those that were given back, the oldest first.
    free: VecDeque<(Instant, u32)>,
}

impl BlockedBits {
    pub(super) fn take(maps: &mut impl Maps) -> Result<Self, KernelError> {
        Ok(Self { map: typed(maps, "BLOCKED_BITS")?, fresh: 0, free: VecDeque::new() })
    }

    /// These places are taken already.
    pub(super) fn adopt(&mut self, taken: &BTreeSet<u32>) {
        self.fresh = taken.last().map_or(0, |last| last + 1);
        let now = Instant::now();
        let free = (0..self.fresh).filter(|place| !taken.contains(place));
        self.free = free.map(|place| (now, place)).collect();
    }

    /// Takes a place for the bits of a network; `None` where there is no room.
    pub(super) fn put(&mut self, bits: Bits) -> Result<Option<u32>, KernelError> {
        let rested = |(since, _): &mut (Instant, u32)| since.elapsed() >= REST;
        let place = match self.free.pop_front_if(rested) {
            Some((_, place)) => place,
            None if self.fresh < PLACES => {
                self.fresh += 1;
                self.fresh - 1
            }
            None => return Ok(None),
        };
        self.write(place, bits)?;
        Ok(Some(place))
    }

    /// Changes the bits at a place to others of the same network. A packet reads
    /// one of them, the old or the new one.
    pub(super) fn change(&mut self, place: u32, bits: Bits) -> Result<(), KernelError> {
        let there =
            self.map.get(&place, 0).map_err(KernelError::map("reading the blocked bits"))?;
        if there == bits { Ok(()) } else { self.write(place, bits) }
    }

    /// Gives a place back that the index no longer leads to. A packet that is on
    /// its way there has to ask the list.
    pub(super) fn give_back(&mut self, place: u32) -> Result<(), KernelError> {
        self.free.push_back((Instant::now(), place));
        self.write(place, Bits::NOBODY)
    }

    fn write(&mut self, place: u32, bits: Bits) -> Result<(), KernelError> {
        self.map.set(place, bits, 0).map_err(KernelError::map("writing the blocked bits"))
    }
}
