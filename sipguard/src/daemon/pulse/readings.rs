//! What is read of the kernel for one second.

use jiff::Timestamp;
use sipguard_common::abi::{Counters, Replies};

use crate::{api::wire::MapFill, kernel::SourceTally};

/// All of it at one moment.
#[derive(Clone, Debug)]
pub(in crate::daemon) struct Readings {
    pub(in crate::daemon) time: Timestamp,
    /// The same in nanoseconds of CLOCK_MONOTONIC.
    pub(in crate::daemon) now_ns: u64,
    pub(in crate::daemon) posture: String,
    /// Of all interfaces.
    pub(in crate::daemon) counters: Counters,
    pub(in crate::daemon) replies: Replies,
    pub(in crate::daemon) tallies: Vec<SourceTally>,
    pub(in crate::daemon) blocked: usize,
    pub(in crate::daemon) trusted: usize,
    pub(in crate::daemon) events_lost: u64,
    pub(in crate::daemon) events_suppressed: u64,
}

/// What takes long to count where there is much of it.
#[derive(Clone, Debug, Default)]
pub(in crate::daemon) struct Held {
    pub(in crate::daemon) verified: usize,
    pub(in crate::daemon) banned: usize,
    pub(in crate::daemon) maps: Vec<MapFill>,
}
