//! Reading a message: a copy of the payload, the lines of its header, and the
//! values that signatures look at.
//!
//! The position lives in the scratch memory and is masked after every load,
//! for the verifier (Linux 6.1) follows neither a growing register nor state
//! on a caller's stack through `bpf_loop`. The steps below are therefore
//! written over raw pointers; on the host they run in plain loops.

use crate::{
    abi::Policy,
    automaton::{self, Field, NO_ROOT, Table},
    decide::Content,
    frame::Packet,
    message::{self, Start},
};

/// Bytes of a payload that are read: what a packet of 1,500 bytes can carry.
pub const PAYLOAD_MAX: u32 = 1472;

/// Written behind the payload: ends every value, line and header, and hides
/// what an earlier packet left there.
/// Written twice.
pub const SEAL: [u8; 8] = *b"\r\n\r\n\r\n\r\n";

const MASK: u32 = 2047;
const BUFFER: usize = 2048 + 8;

/// Header values of one message that are looked at.
pub const MAX_HITS: u32 = 16;

/// A header value of interest.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Hit {
    /// Where its automaton starts to read.
    pub offset: u16,
    /// A [`Field`].
    pub field: u16,
}

/// Working memory for one packet.
#[derive(Debug)]
#[repr(C)]
pub struct Scratch {
    /// Where the scan or the automaton stands.
    pub position: u32,
    /// Bytes of the payload in `bytes`.
    pub len: u32,
    /// State of the automaton.
    pub state: u32,
    /// The hit that the automaton reads.
    pub hit: u32,
    /// How many `hits` there are.
    pub found: u32,
    /// Index of the signature that matched, plus one.
    pub signature: u32,
    /// [`crate::abi::cps`] class and bucket of the trusted entry that was found.
    pub class: u32,
    pub peer: u32,
    pub packet: Packet,
    pub hits: [Hit; MAX_HITS as usize],
    /// Payload, seal, and what earlier packets left.
    pub bytes: [u8; BUFFER],
}

impl Scratch {
    /// Empty memory.
    pub const ZERO: Self = Self {
        position: 0,
        len: 0,
        state: 0,
        hit: 0,
        found: 0,
        signature: 0,
        class: 0,
        peer: 0,
        packet: Packet::ZERO,
        hits: [Hit { offset: 0, field: 0 }; MAX_HITS as usize],
        bytes: [0; BUFFER],
    };
}

macro_rules! load {
    ($scratch:ident.$field:ident) => {
        (&raw const (*$scratch).$field).read_volatile()
    };
}
macro_rules! store {
    ($scratch:ident.$field:ident = $value:expr) => {
        (&raw mut (*$scratch).$field).write_volatile($value)
    };
}

#[inline(always)]
fn masked(position: u32) -> u32 {
    (crate::opaque(u64::from(position)) & u64::from(MASK)) as u32
}

/// # Safety
/// `scratch` is valid.
#[inline(always)]
unsafe fn byte(scratch: *const Scratch, position: u32) -> u8 {
    // SAFETY: a masked position lies in `bytes`.
    unsafe { (&raw const (*scratch).bytes).cast::<u8>().add(masked(position) as usize).read() }
}

/// Eight bytes in memory order as a little-endian word.
///
/// # Safety
/// `scratch` is valid.
#[inline(always)]
unsafe fn word(scratch: *const Scratch, position: u32) -> u64 {
    // SAFETY: `bytes` is 8 longer than a masked position can reach.
    u64::from_le(unsafe {
        (&raw const (*scratch).bytes)
            .cast::<u8>()
            .add(masked(position) as usize)
            .cast::<u64>()
            .read_unaligned()
    })
}

/// # Safety
/// `scratch` is valid.
#[inline(always)]
unsafe fn put(scratch: *mut Scratch, position: u32, byte: u8) {
    // SAFETY: a masked position lies in `bytes`.
    unsafe {
        (&raw mut (*scratch).bytes).cast::<u8>().add(masked(position) as usize).write(byte);
    }
}

/// Makes the scratch memory ready for a new payload, empty until [`seal`].
///
/// # Safety
/// `scratch` is valid.
#[inline(always)]
pub unsafe fn begin(scratch: *mut Scratch) {
    // SAFETY: as the caller promises.
    unsafe {
        store!(scratch.position = 0);
        store!(scratch.len = 0);
        store!(scratch.found = 0);
        store!(scratch.signature = 0);
    }
}

/// Seals the `len` bytes (at most [`PAYLOAD_MAX`]) that were copied to `bytes`.
///
/// # Safety
/// `scratch` is valid.
#[inline(always)]
pub unsafe fn seal(scratch: *mut Scratch, len: u32) {
    // SAFETY: a masked position lies in `bytes`, and the seal of the longest
    // payload too.
    unsafe {
        store!(scratch.len = len);
        let len = if len > PAYLOAD_MAX { PAYLOAD_MAX } else { len };
        (&raw mut (*scratch).bytes)
            .cast::<u8>()
            .add(masked(len) as usize)
            .cast::<[u8; 8]>()
            .write_unaligned(SEAL);
        (&raw mut (*scratch).bytes)
            .cast::<u8>()
            .add(masked(len + 8) as usize)
            .cast::<[u8; 8]>()
            .write_unaligned(SEAL);
    }
}

/// Steps of one call from the loop helper, which itself costs as much as
/// several of them.
pub const STEPS: u32 = 32;
/// Calls that the line scan may take: more than one step for each word and
/// each line of the largest payload, if its lines have 4 bytes or more.
pub const SCAN_CALLS: u32 = 18;
/// Calls that skipping the leading line ends may take: a step for each byte.
pub const SKIP_CALLS: u32 = PAYLOAD_MAX.div_ceil(STEPS);
/// Bytes that the automaton reads in one call.
pub const MATCH_STEPS: u32 = 16;
/// Calls that the automaton may take: a byte may be read once for each hit.
pub const MATCH_CALLS: u32 = PAYLOAD_MAX / MATCH_STEPS + 2 * MAX_HITS;

/// Skips CR, LF and NUL from `position` on (RFC 3261 section 7.5, and the
/// keepalives of section 4.4.1 of RFC 5626). True once something else stands
/// there or the payload is over.
///
/// # Safety
/// `scratch` is valid.
#[inline(always)]
pub unsafe fn skip_call(scratch: *mut Scratch) -> bool {
    // SAFETY: as the caller promises.
    unsafe {
        for _ in 0..STEPS {
            let position = masked(load!(scratch.position));
            if position >= load!(scratch.len) || !is_skipped(byte(scratch, position)) {
                return true;
            }
            store!(scratch.position = position + 1);
        }
    }
    false
}

#[inline(always)]
const fn is_skipped(byte: u8) -> bool {
    matches!(byte, b'\r' | b'\n' | 0)
}

/// Whether the payload starts with something to skip.
///
/// # Safety
/// `scratch` is valid.
#[inline(always)]
#[must_use]
pub unsafe fn needs_skip(scratch: *const Scratch) -> bool {
    // SAFETY: as the caller promises.
    unsafe { is_skipped(byte(scratch, 0)) }
}

/// What the payload is, once `position` stands behind what is skipped.
///
/// # Safety
/// `scratch` and `policy` are valid.
#[inline(always)]
#[must_use]
pub unsafe fn content(scratch: *const Scratch, policy: *const Policy) -> Content {
    // SAFETY: as the caller promises.
    unsafe {
        let start = load!(scratch.position);
        let len = load!(scratch.len);
        if start >= len || len < message::MIN_MESSAGE {
            return Content::Keepalive;
        }
        let first = word(scratch, start);
        let second = word(scratch, start + 8);
        match message::classify(first, second) {
            Start::Request(method) => Content::Request(method),
            Start::Response => Content::Response,
            other => {
                // Only a packet that starts so is a keepalive, not one that
                // has line ends before it.
                let configured = message::is_configured_keepalive(
                    word(scratch, 0),
                    word(scratch, 8),
                    &(*policy).keepalives,
                );
                if configured || message::is_stun(word(scratch, 0), len) {
                    Content::Keepalive
                } else if other == Start::Letter {
                    Content::Letter
                } else {
                    Content::Garbage
                }
            }
        }
    }
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;
const FOLD: u64 = 0x2020_2020_2020_2020;
const USER_AGENT: u64 = u64::from_le_bytes(*b"user-age");

/// High bit of each byte that is LF; right up to and including the first one.
#[inline(always)]
const fn line_feeds(word: u64) -> u64 {
    let difference = word ^ (ONES * b'\n' as u64);
    difference.wrapping_sub(ONES) & !difference & HIGHS
}

/// Index of the lowest byte whose high bit is set, without a count instruction.
#[inline(always)]
const fn first_byte(highs: u64) -> u32 {
    let lowest = (highs & highs.wrapping_neg()) >> 7;
    ((lowest.wrapping_sub(1) & ONES).wrapping_mul(ONES) >> 56) as u32
}

/// One step of the line scan: a word without line end, or the start of the
/// next line. True at the end of the header.
///
/// # Safety
/// `scratch` is valid and its payload sealed.
#[inline(always)]
unsafe fn scan_step(scratch: *mut Scratch) -> bool {
    // SAFETY: as the caller promises.
    unsafe {
        let position = masked(load!(scratch.position));
        let ends = line_feeds(word(scratch, position));
        if ends == 0 {
            store!(scratch.position = position + 8);
            return false;
        }
        let line = masked(position + first_byte(ends) + 1);
        let head = word(scratch, line);
        let first = head as u8;
        if first == b'\n' || head & 0xffff == 0x0a0d {
            return true;
        }
        if first == b' ' || first == b'\t' {
            // A folded line (RFC 3261 section 7.3.1) continues the one before.
            put(scratch, line.wrapping_sub(1), b' ');
            if byte(scratch, line.wrapping_sub(2)) == b'\r' {
                put(scratch, line.wrapping_sub(2), b' ');
            }
        } else if head | FOLD == USER_AGENT {
            let found = load!(scratch.found);
            if found < MAX_HITS {
                let hit = Hit { offset: (line + 8) as u16, field: Field::UserAgent as u16 };
                let index = (crate::opaque(u64::from(found)) & u64::from(MAX_HITS - 1)) as usize;
                (&raw mut (*scratch).hits).cast::<Hit>().add(index).write(hit);
                store!(scratch.found = found + 1);
            }
        }
        let ahead = if line_feeds(head) == 0 { 8 } else { 0 };
        store!(scratch.position = line + ahead);
        false
    }
}

/// [`STEPS`] steps of the line scan. True at the end of the header.
///
/// # Safety
/// `scratch` is valid and its payload sealed.
#[inline(always)]
pub unsafe fn scan_call(scratch: *mut Scratch) -> bool {
    for _ in 0..STEPS {
        // SAFETY: as the caller promises.
        if unsafe { scan_step(scratch) } {
            return true;
        }
    }
    false
}

/// Puts the automaton before hit number `hit`; false where there is none.
///
/// # Safety
/// `scratch` and `table` are valid.
#[inline(always)]
pub unsafe fn match_begin(scratch: *mut Scratch, table: *const Table, hit: u32) -> bool {
    // SAFETY: as the caller promises; indices are compared or masked.
    unsafe {
        if hit >= load!(scratch.found) || hit >= MAX_HITS {
            return false;
        }
        let index = (crate::opaque(u64::from(hit)) & u64::from(MAX_HITS - 1)) as usize;
        let Hit { offset, .. } = (&raw const (*scratch).hits).cast::<Hit>().add(index).read();
        let root = (&raw const (*table).roots).cast::<u32>().add(Field::UserAgent as usize).read();
        if root == NO_ROOT {
            return false;
        }
        store!(scratch.hit = hit);
        store!(scratch.position = u32::from(offset));
        store!(scratch.state = root);
        true
    }
}

/// [`MATCH_STEPS`] bytes through the automaton. True once a signature has
/// matched (then `signature` tells which) or no hit is left.
///
/// # Safety
/// `scratch` and `table` are valid, the payload sealed.
#[inline(always)]
pub unsafe fn match_call(scratch: *mut Scratch, table: *const Table) -> bool {
    // SAFETY: as the caller promises.
    unsafe {
        let shift = (*table).shift;
        let accept_from = (*table).accept_from;
        let mut state = load!(scratch.state);
        let mut position = load!(scratch.position);
        for _ in 0..MATCH_STEPS {
            state = automaton::step(table, shift, state, byte(scratch, position));
            if state >= accept_from {
                store!(scratch.signature = state - accept_from + 1);
                return true;
            }
            if state == u32::from(automaton::DEAD) {
                return !match_begin(scratch, table, load!(scratch.hit) + 1);
            }
            position = masked(position + 1);
        }
        store!(scratch.state = state);
        store!(scratch.position = position);
        false
    }
}
