//! The ring buffer of events.

use std::os::fd::{AsFd, BorrowedFd};

use aya::{
    Ebpf,
    maps::{MapData, PerCpuArray, RingBuf},
};
use sipguard_common::abi::{Event, EventLimits};

use super::{KernelError, take_map, typed};

/// Takes events out of the kernel program's ring buffer. Readable, for
/// whoever waits, when there is one.
pub struct EventReader {
    ring: RingBuf<MapData>,
}

impl EventReader {
    pub(super) fn take(ebpf: &mut Ebpf) -> Result<Self, KernelError> {
        let ring = RingBuf::try_from(take_map(ebpf, "EVENTS")?)
            .map_err(KernelError::map("opening the ring buffer of events"))?;
        Ok(Self { ring })
    }

    /// The oldest event that was not taken yet.
    pub fn next_event(&mut self) -> Option<Event> {
        loop {
            let item = self.ring.next()?;
            if item.len() >= size_of::<Event>() {
                // SAFETY: as long as an event, of which every bit pattern is
                // valid.
                return Some(unsafe { item.as_ptr().cast::<Event>().read_unaligned() });
            }
        }
    }
}

impl AsFd for EventReader {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the ring buffer, and with it the descriptor, lives as long
        // as self.
        unsafe { BorrowedFd::borrow_raw(std::os::fd::AsRawFd::as_raw_fd(&self.ring)) }
    }
}

/// Events that never came out of the kernel program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EventLosses {
    /// Held back by the limits of `[events]`.
    pub suppressed: u64,
    /// Without room in the ring buffer.
    pub lost: u64,
}

pub(super) struct EventCounters(PerCpuArray<MapData, EventLimits>);

impl EventCounters {
    pub(super) fn take(ebpf: &mut Ebpf) -> Result<Self, KernelError> {
        Ok(Self(typed(ebpf, "EVENT_LIMITS")?))
    }

    pub(super) fn losses(&self) -> Result<EventLosses, KernelError> {
        let per_cpu = self.0.get(&0, 0).map_err(KernelError::map("reading event counters"))?;
        let mut sum = EventLosses::default();
        for EventLimits { suppressed, lost, .. } in per_cpu.iter() {
            sum.suppressed += suppressed;
            sum.lost += lost;
        }
        Ok(sum)
    }
}
