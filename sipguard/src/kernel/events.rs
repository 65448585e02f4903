//! How many events the kernel program kept for itself.

use aya::maps::{MapData, PerCpuArray};
use sipguard_common::abi::EventLimits;

use super::{
    KernelError,
    maps::{Maps, typed},
};

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
    pub(super) fn take(maps: &mut impl Maps) -> Result<Self, KernelError> {
        Ok(Self(typed(maps, "EVENT_LIMITS")?))
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
