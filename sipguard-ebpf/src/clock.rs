//! The one place where time is read.

use aya_ebpf::helpers::generated::bpf_ktime_get_ns;

use crate::maps;

/// Nanoseconds of CLOCK_MONOTONIC; under test, what the map says.
#[inline(always)]
pub(crate) fn now() -> u64 {
    if maps::is_test() {
        return maps::CLOCK.get(0).copied().unwrap_or(0);
    }
    // SAFETY: takes and changes nothing.
    unsafe { bpf_ktime_get_ns() }
}
