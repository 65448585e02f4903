//! The one place where time is read.

use aya_ebpf::helpers::generated::{bpf_ktime_get_coarse_ns, bpf_ktime_get_ns};

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

/// The same as of the kernel's last tick, up to 10 ms ago, for half the price:
/// for what ends, and not for what is counted by the second.
#[inline(always)]
pub(crate) fn tick() -> u64 {
    if maps::is_test() {
        return now();
    }
    // SAFETY: takes and changes nothing. Linux 5.11.
    unsafe { bpf_ktime_get_coarse_ns() }
}
