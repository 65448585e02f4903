//! Times of packets on the wall clock.

use jiff::Timestamp;
use nix::time::{ClockId, clock_gettime};

/// Nanoseconds from CLOCK_MONOTONIC to the wall clock as it stands now.
#[must_use]
pub fn to_wall_ns() -> i128 {
    Timestamp::now().as_nanosecond() - i128::from(monotonic_ns())
}

/// CLOCK_MONOTONIC, in nanoseconds.
#[must_use]
pub fn monotonic_ns() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).ok();
    let ns = now.map(|now| now.tv_sec() * 1_000_000_000 + now.tv_nsec());
    ns.and_then(|ns| u64::try_from(ns).ok()).unwrap_or_default()
}
