//! Whole packets for captures, as XDP sees them: nobody behind it sees those
//! that are dropped.

use super::Address;
use crate::bucket::Limit;

/// Bytes of a frame that a tap copies at most: a jumbo frame.
pub const SNAPLEN_MAX: u32 = 9216;

/// Who can ask for packets at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Tap {
    /// `sipguard capture`.
    Capture = 0,
    /// The mirror to a collector.
    Mirror = 1,
}

/// How many there are.
pub const TAPS: usize = 2;

impl Tap {
    pub const ALL: [Self; TAPS] = [Self::Capture, Self::Mirror];

    /// Its bit in [`TappedHead::taps`] and in the map `TAPPING`.
    #[must_use]
    pub const fn bit(self) -> u32 {
        1 << self as u32
    }
}

/// Which packets one of them gets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct TapSpec {
    /// A packet's source under this mask must be `address`.
    pub mask: [u64; 2],
    pub address: Address,
    /// [`crate::rule::Rule::bit`]s of the rules that it must have been judged
    /// by, or would have been dropped by.
    pub rules: u64,
    /// Packets a second; interval 0 is no limit.
    pub limit: Limit,
    /// A bit per [`verdict`].
    pub verdicts: u32,
    /// Bytes of each frame, [`SNAPLEN_MAX`] at most.
    pub snaplen: u32,
}

/// What was judged.
pub mod verdict {
    pub const PASSED: u32 = 0;
    pub const DROPPED: u32 = 1;
    /// It went on, for the rule is in mode observe.
    pub const WOULD_DROP: u32 = 2;
}

/// What stands before the bytes of a frame in a record of the ring buffer
/// `TAPPED`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct TappedHead {
    /// CLOCK_MONOTONIC.
    pub time_ns: u64,
    pub ifindex: u32,
    /// [`crate::rule::Rule`] number.
    pub rule: u32,
    /// [`verdict`].
    pub verdict: u32,
    /// Whom it is for: a [`Tap::bit`] each.
    pub taps: u32,
    /// Bytes of the frame on the wire.
    pub length: u32,
    /// Bytes of it that follow.
    pub captured: u32,
    /// Slot of the signature that matched, plus one; 0 for none.
    pub signature: u32,
    /// [`crate::method::Method`] number.
    pub method: u32,
}

/// Bytes of the largest record.
pub const TAPPED_MAX: usize = size_of::<TappedHead>() + SNAPLEN_MAX as usize;

/// Where one CPU makes a record, and what it counts.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct TapBuffer {
    pub counts: TapCounts,
    pub head: TappedHead,
    pub bytes: [u8; SNAPLEN_MAX as usize],
}

/// Packets that a tap did not get although it asked for them, by number of the
/// tap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct TapCounts {
    /// Over the limit.
    pub held_back: [u64; TAPS],
    /// Without room in the ring buffer.
    pub lost: [u64; TAPS],
}

const _: () = {
    assert!(size_of::<TapSpec>() == 64);
    assert!(size_of::<TappedHead>() == 40);
    assert!(size_of::<TapCounts>() == 32);
    assert!(size_of::<TapBuffer>() == 32 + TAPPED_MAX);
};
