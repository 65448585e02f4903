//! What the kernel program tells of single packets.

use super::Address;
use crate::rule::RULE_SLOTS;

/// Bytes of a payload that an event holds.
pub const EVENT_BYTES: usize = 256;

/// A packet that was dropped, or would have been: one record of the ring
/// buffer `EVENTS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Event {
    /// CLOCK_MONOTONIC.
    pub time_ns: u64,
    pub source: Address,
    pub destination: Address,
    pub ifindex: u32,
    /// In network byte order; zero in later fragments.
    pub source_port: [u8; 2],
    pub destination_port: [u8; 2],
    /// [`crate::rule::Rule`] number.
    pub rule: u8,
    /// [`crate::method::Method`] number.
    pub method: u8,
    /// [`outcome`].
    pub outcome: u8,
    /// The protocol number of IP: 6 is TCP, 17 UDP; 0 in later fragments.
    pub protocol: u8,
    /// Slot of the signature that matched, plus one; 0 for none.
    pub signature: u32,
    /// Bytes of the payload.
    pub len: u32,
    /// How many of them are in `bytes`.
    pub captured: u32,
    /// The start of the payload; what is behind it is undefined.
    pub bytes: [u8; EVENT_BYTES],
}

/// What became of the packet of an event.
pub mod outcome {
    pub const DROPPED: u8 = 0;
    /// The rule is in mode observe: the packet went on.
    pub const WOULD_DROP: u8 = 1;
    /// A TCP segment: the server's half of the connection was closed.
    pub const RESET: u8 = 2;
}

/// What keeps a flood from becoming a flood of events, on one CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct EventLimits {
    /// The tick of the kernel's clock in which an event of each rule was last
    /// thought of, and how many were: a few for each tick are enough.
    pub tick: [u64; RULE_SLOTS],
    /// Events that the limits kept back.
    pub suppressed: u64,
    /// Events that the ring buffer had no room for.
    pub lost: u64,
}

/// Buckets for the sources of events, found by a hash: two sources may share
/// one, and then have fewer events.
pub const EVENT_SOURCES: u32 = 4096;

const _: () = {
    assert!(size_of::<Event>() == 320);
    assert!(size_of::<EventLimits>() == 528);
};
