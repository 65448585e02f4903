//! Reading a message: a copy of the payload, the lines of its header, and the
//! values that signatures look at.
//!
//! The position lives in the scratch memory and is masked after every load,
//! for the verifier (Linux 6.1) follows neither a growing register nor state
//! on a caller's stack through `bpf_loop`. The steps below are therefore
//! written over raw pointers; on the host they run in plain loops.

// Before the modules, which use them, too.
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

pub mod find;
#[cfg(not(target_arch = "bpf"))]
pub mod host;
pub mod identity;
pub mod lines;

use crate::{
    abi::{Address, Policy},
    automaton::{self, Field, Table},
    decide::Content,
    frame::{Packet, TCP},
    message::{self, Start},
    method::Method,
    rule::Rule,
};

/// Bytes of a payload that are read: what a packet of 1,500 bytes can carry.
pub const PAYLOAD_MAX: u32 = 1472;

/// Written behind the payload: ends every value, line and header, and hides
/// what an earlier packet left there.
/// Written twice.
pub const SEAL: [u8; 8] = *b"\r\n\r\n\r\n\r\n";

const MASK: u32 = 2047;
const BUFFER: usize = 2048 + 8;

/// Headers of one name that are looked at in a message. Each name has its own
/// share, so that many of one cannot hide another.
pub const MAX_HEADERS: u32 = 4;
/// Lines of a body that are looked at.
pub const MAX_BODY_LINES: u32 = 30;
/// Eight names of headers, start line and Request-URI, and the body.
pub const MAX_HITS: u32 = 64;
const _: () = assert!(8 * MAX_HEADERS + 2 + MAX_BODY_LINES <= MAX_HITS);

/// `Scratch::content_length` where no such header was seen.
pub const NO_LENGTH: u32 = u32::MAX;
/// Longer bodies count as this long.
const MAX_LENGTH: u32 = 100_000_000;

/// A value of interest.
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
    /// Start of the current message, behind what is skipped before it.
    pub start: u32,
    /// What is there, as [`Content::encode`] gives it.
    pub content: u32,
    /// Behind the body of the current message, at most `len`; `len` as long as
    /// the end of the header has not been seen.
    pub end: u32,
    /// Value of Content-Length, or [`NO_LENGTH`]: then the body takes what is
    /// left.
    pub content_length: u32,
    /// Header lines seen, each with the folded ones that continue it.
    pub lines: u32,
    /// Bytes of the longest of them or of the start line, with its line end.
    pub longest: u32,
    /// Start of the line that the scan is in.
    line: u32,
    /// Behind the empty line; 0 as long as that was not seen.
    header_end: u32,
    /// A bit for each [`kind`] of header that was seen.
    pub named: u32,
    /// With all of these seen, [`find`] need not go on.
    need: u32,
    /// Name of the line: kind and length.
    name: u32,
    /// Fields that signatures look at, a bit each.
    fields: u32,
    /// State of the automaton.
    pub state: u32,
    /// The hit that the automaton reads.
    pub hit: u32,
    /// How many `hits` there are.
    pub found: u32,
    /// How many there are of each field, four bits each, the body's above.
    counts: u64,
    /// Conditions that hold, a bit each.
    pub conditions: u64,
    /// Index of the signature that matched, plus one.
    pub signature: u32,
    /// [`crate::abi::cps`] class and bucket of the trusted entry that was found.
    pub class: u32,
    pub peer: u32,
    /// Who sent the packet, or of the way out, who gets it:
    /// [`crate::decide::standing`].
    pub standing: u32,
    /// By how many bits a stranger's limits are raised: [`crate::abi::Site`].
    pub shift: u32,
    /// The source that the address belongs to.
    pub source: Address,
    /// [`Rule::bit`]s of the rules in mode observe that would have dropped the
    /// packet.
    pub would: u64,
    /// Behind the name of the first header of each [`kind`], where it is in
    /// `named`.
    pub at: [u32; 16],
    /// What [`identity`] has read of the message.
    pub hash: u64,
    /// Number of the CSeq header, and its method by number.
    pub cseq: u32,
    pub cseq_method: u32,
    /// Seconds that the header has given so far; [`identity::NO_SECONDS`] for
    /// none.
    pub seconds: u32,
    /// Where the nonce of the credentials or of the challenge starts, or 0, and
    /// the response in the credentials; and whether the nonce is stale.
    pub nonce_at: u32,
    pub response_at: u32,
    pub stale: u32,
    /// The status code of the reply that is read.
    pub status: u32,
    /// Where the request came from that it answers: [`crate::abi::Endpoint::place`];
    /// 0 where that was not noted.
    pub place: u64,
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
        start: 0,
        content: 0,
        end: 0,
        content_length: 0,
        lines: 0,
        longest: 0,
        line: 0,
        header_end: 0,
        named: 0,
        need: 0,
        name: 0,
        fields: 0,
        state: 0,
        hit: 0,
        found: 0,
        counts: 0,
        conditions: 0,
        signature: 0,
        class: 0,
        peer: 0,
        standing: 0,
        shift: 0,
        source: Address([0; 2]),
        would: 0,
        at: [0; 16],
        hash: 0,
        cseq: 0,
        cseq_method: 0,
        seconds: 0,
        nonce_at: 0,
        response_at: 0,
        stale: 0,
        status: 0,
        place: 0,
        packet: Packet::ZERO,
        hits: [Hit { offset: 0, field: 0 }; MAX_HITS as usize],
        bytes: [0; BUFFER],
    };
}

impl Scratch {
    /// Behind the empty line that ends the header; 0 as long as that was not
    /// seen.
    #[inline(always)]
    #[must_use]
    pub fn header_end(&self) -> u32 {
        self.header_end
    }
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

/// Makes the scratch memory ready for a new packet.
///
/// # Safety
/// `scratch` is valid.
#[inline(always)]
pub unsafe fn new_packet(scratch: *mut Scratch) {
    // SAFETY: as the caller promises.
    unsafe {
        store!(scratch.class = 0);
        store!(scratch.signature = 0);
        store!(scratch.would = 0);
    }
}

/// Notes that a rule in mode observe would have dropped the packet.
///
/// # Safety
/// `scratch` is valid.
#[inline(always)]
pub unsafe fn would(scratch: *mut Scratch, rule: Rule) {
    // SAFETY: as the caller promises.
    unsafe { store!(scratch.would = load!(scratch.would) | rule.bit()) }
}

/// What was found in a packet: the signature by index plus one, or 0, and the
/// bits of the rules that would have dropped it.
///
/// # Safety
/// `scratch` is valid.
#[inline(always)]
#[must_use]
pub unsafe fn found(scratch: *const Scratch) -> (u32, u64) {
    // SAFETY: as the caller promises.
    unsafe { (load!(scratch.signature), load!(scratch.would)) }
}

/// Whether the message is over the policy's limits on size and header lines.
///
/// # Safety
/// `scratch` and `policy` are valid, and the line scan has run.
#[inline(always)]
#[must_use]
pub unsafe fn is_oversize(scratch: *const Scratch, policy: *const Policy) -> bool {
    let over = |value: u32, max: u32| max != 0 && value > max;
    // SAFETY: as the caller promises.
    unsafe {
        over((&raw const (*scratch).packet.declared).read(), (*policy).max_message)
            || over(load!(scratch.longest), (*policy).max_line)
            || over(load!(scratch.lines), (*policy).max_lines)
    }
}

/// Forgets what was read of a message.
///
/// # Safety
/// `scratch` is valid.
#[inline(always)]
unsafe fn forget(scratch: *mut Scratch) {
    // SAFETY: as the caller promises.
    unsafe {
        store!(scratch.content_length = NO_LENGTH);
        store!(scratch.lines = 0);
        store!(scratch.longest = 0);
        store!(scratch.header_end = 0);
        store!(scratch.named = 0);
        store!(scratch.found = 0);
        store!(scratch.counts = 0);
        store!(scratch.conditions = 0);
        store!(scratch.signature = 0);
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
        store!(scratch.start = 0);
        store!(scratch.len = 0);
        store!(scratch.end = 0);
        forget(scratch);
    }
}

/// Goes on behind the current message. True where another one may start there:
/// then [`needs_skip`] and [`content`] again.
///
/// # Safety
/// `scratch` is valid and its payload sealed.
#[inline(always)]
pub unsafe fn advance(scratch: *mut Scratch) -> bool {
    // SAFETY: as the caller promises.
    unsafe {
        let (end, len) = (load!(scratch.end), load!(scratch.len));
        store!(scratch.position = end);
        store!(scratch.start = end);
        store!(scratch.end = len);
        forget(scratch);
        end < len
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
        store!(scratch.end = len);
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
pub const STEPS: u32 = 16;
/// [`STEPS`] steps of a scan, one call from the loop helper; ends early, and gives
/// true, with the first step that says that it was the last.
///
/// # Safety
/// As the step asks for.
#[inline(always)]
unsafe fn steps(scratch: *mut Scratch, step: unsafe fn(*mut Scratch) -> bool) -> bool {
    for _ in 0..STEPS {
        // SAFETY: as the caller promises.
        if unsafe { step(scratch) } {
            return true;
        }
    }
    false
}

/// Calls that the line scan may take: more than one step for each word and
/// each line of the largest payload, if its lines have 4 bytes or more.
pub const SCAN_CALLS: u32 = 36;
/// Calls that skipping the leading line ends may take: a step for each byte.
pub const SKIP_CALLS: u32 = PAYLOAD_MAX.div_ceil(STEPS);
/// Bytes that the automaton reads in one call.
pub const MATCH_STEPS: u32 = 16;
/// Calls that the automaton may take: lines do not overlap, but the start line
/// may be read three times, and each hit reads one byte behind its value.
pub const MATCH_CALLS: u32 = (3 * PAYLOAD_MAX + MAX_HITS).div_ceil(MATCH_STEPS);
/// Bytes of the value of Content-Length that are read, white space counted.
const LENGTH_STEPS: u32 = 24;

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

/// Whether something to skip stands at `position`.
///
/// # Safety
/// `scratch` is valid.
#[inline(always)]
#[must_use]
pub unsafe fn needs_skip(scratch: *const Scratch) -> bool {
    // SAFETY: as the caller promises.
    unsafe { is_skipped(byte(scratch, load!(scratch.position))) }
}

/// What the payload is, once `position` stands behind what is skipped.
///
/// # Safety
/// `scratch` and `policy` are valid.
#[inline(always)]
pub unsafe fn content(scratch: *mut Scratch, policy: *const Policy) -> Content {
    // SAFETY: as the caller promises.
    unsafe {
        let content = classify(scratch, policy);
        store!(scratch.content = content.encode());
        content
    }
}

/// # Safety
/// As [`content`].
#[inline(always)]
unsafe fn classify(scratch: *mut Scratch, policy: *const Policy) -> Content {
    // SAFETY: as the caller promises.
    unsafe {
        let start = load!(scratch.position);
        let len = load!(scratch.len);
        store!(scratch.start = start);
        if start >= len {
            return Content::Keepalive;
        }
        let first = word(scratch, start);
        let second = word(scratch, start + 8);
        if len < message::MIN_MESSAGE {
            return if message::is_bare_method(first, second, len - start) {
                Content::Letter
            } else {
                Content::Keepalive
            };
        }
        match message::classify(first, second) {
            Start::Request(method) => Content::Request(method),
            Start::Response => Content::Response,
            other => {
                // Only a packet that starts so is a keepalive, not one that
                // has line ends or a message before it.
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

/// Where a line holds none of the headers of interest.
const NO_NAME: u32 = 0xff;
/// Kinds of headers: the numbers of [`Field`], and those that no signature looks
/// at.
pub mod kind {
    use crate::automaton::Field;

    pub const TO: u32 = Field::To as u32;
    pub const CONTACT: u32 = Field::Contact as u32;
    pub const CALL_ID: u32 = Field::CallId as u32;
    pub const CSEQ: u32 = Field::CSeq as u32;
    pub const EXPIRES: u32 = 11;
    /// Authorization and Proxy-Authorization.
    pub const CREDENTIALS: u32 = 12;
    /// WWW-Authenticate and Proxy-Authenticate.
    pub const CHALLENGE: u32 = 13;
    /// Content-Length.
    pub const LENGTH: u32 = 15;
}

use kind::LENGTH;

/// A name of `letters` bytes in lower case, letters in any case in `word`, and
/// white space or a colon behind it.
#[inline(always)]
fn starts(word: u64, letters: &'static [u8]) -> bool {
    let mut name = [0; 8];
    let mut mask = [0; 8];
    let mut i = 0;
    while i < letters.len() && i < 7 {
        name[i] = letters[i];
        mask[i] = 0xff;
        i += 1;
    }
    let behind = (word >> (8 * i)) as u8;
    let mask = u64::from_le_bytes(mask);
    (word | FOLD) & mask == u64::from_le_bytes(name) && matches!(behind, b':' | b' ' | b'\t')
}

const fn named(kind: u32, len: u32) -> u32 {
    kind | len << 8
}

/// The header that a line begins with, by its long or its compact name
/// (RFC 3261 section 7.3.3), and how long that is.
///
/// # Safety
/// `scratch` is valid.
#[inline(always)]
unsafe fn name(scratch: *const Scratch, line: u32, head: u64) -> u32 {
    macro_rules! either {
        ($field:expr, $long:literal, $short:literal) => {
            if starts(head, $long) {
                return named($field as u32, $long.len() as u32);
            } else if starts(head, $short) {
                return named($field as u32, 1);
            }
        };
    }
    match head as u8 | 0x20 {
        b'f' => either!(Field::From, b"from", b"f"),
        b't' => either!(Field::To, b"to", b"t"),
        b'v' => either!(Field::Via, b"via", b"v"),
        b's' => either!(Field::Subject, b"subject", b"s"),
        b'm' if starts(head, b"m") => return named(Field::Contact as u32, 1),
        b'a' if head | FOLD == u64::from_le_bytes(*b"authoriz")
            // SAFETY: as the caller promises.
            && starts(unsafe { word(scratch, line + 8) }, b"ation") =>
        {
            return named(kind::CREDENTIALS, 13);
        }
        b'e' if starts(head, b"expires") => return named(kind::EXPIRES, 7),
        b'p' if head | FOLD == u64::from_le_bytes(*b"proxy-au") => {
            // SAFETY: as the caller promises.
            let (second, third) = unsafe { (word(scratch, line + 8), word(scratch, line + 16)) };
            if second | FOLD == u64::from_le_bytes(*b"thorizat") && starts(third, b"ion") {
                return named(kind::CREDENTIALS, 19);
            } else if second | FOLD == u64::from_le_bytes(*b"thentica") && starts(third, b"te") {
                return named(kind::CHALLENGE, 18);
            }
        }
        b'w' if head | FOLD == u64::from_le_bytes(*b"www-auth") => {
            // SAFETY: as the caller promises.
            let (second, third) = unsafe { (word(scratch, line + 8), word(scratch, line + 16)) };
            if second | FOLD == u64::from_le_bytes(*b"enticate") && starts(third, b"") {
                return named(kind::CHALLENGE, 16);
            }
        }
        b'i' if starts(head, b"i") => return named(Field::CallId as u32, 1),
        b'l' if starts(head, b"l") => return named(LENGTH, 1),
        b'c' => {
            if starts(head, b"contact") {
                return named(Field::Contact as u32, 7);
            } else if starts(head, b"call-id") {
                return named(Field::CallId as u32, 7);
            } else if starts(head, b"cseq") {
                return named(Field::CSeq as u32, 4);
            } else if head | FOLD == u64::from_le_bytes(*b"content-") {
                // SAFETY: as the caller promises.
                if starts(unsafe { word(scratch, line + 8) }, b"length") {
                    return named(LENGTH, 14);
                }
            }
        }
        // SAFETY: as the caller promises.
        b'u' if head | FOLD == u64::from_le_bytes(*b"user-age")
            && starts(unsafe { word(scratch, line + 8) }, b"nt") =>
        {
            return named(Field::UserAgent as u32, 10);
        }
        _ => {}
    }
    NO_NAME
}

/// Notes a value of a field, as long as the share of its field lasts.
///
/// # Safety
/// `scratch` is valid.
#[inline(always)]
unsafe fn note(scratch: *mut Scratch, field: u32, offset: u32, share: u64) {
    // SAFETY: as the caller promises; the index is masked.
    unsafe {
        let counts = load!(scratch.counts);
        let shift = 4 * (crate::opaque(u64::from(field)) & 15);
        // Nothing is counted above the body, and its count is the widest.
        let mask = if field == Field::Body as u32 { 0xff } else { 0xf };
        if counts >> shift & mask >= share {
            return;
        }
        store!(scratch.counts = counts + (1 << shift));
        let found = load!(scratch.found);
        let index = (crate::opaque(u64::from(found)) & u64::from(MAX_HITS - 1)) as usize;
        let hit = Hit { offset: offset as u16, field: field as u16 };
        (&raw mut (*scratch).hits).cast::<Hit>().add(index).write(hit);
        store!(scratch.found = found + 1);
    }
}

/// Whether signatures look at the field.
///
/// # Safety
/// `scratch` is valid.
#[inline(always)]
unsafe fn is_wanted(scratch: *const Scratch, field: u32) -> bool {
    // SAFETY: as the caller promises.
    unsafe { load!(scratch.fields) >> (field & 15) & 1 == 1 }
}

/// Whether the message starts with a start line, for all that can be told: over
/// TCP what starts with no known method may be the rest of a message that was
/// split, such as `INVITE` of `CSeq: 1 INVITE`, and the beginning of one, too.
///
/// # Safety
/// `scratch` is valid and [`content`] known.
#[inline(always)]
unsafe fn has_start_line(scratch: *const Scratch) -> bool {
    // SAFETY: as the caller promises.
    unsafe {
        load!(scratch.content) != Content::Letter.encode()
            || (&raw const (*scratch).packet.protocol).read() != u32::from(TCP)
    }
}

/// Puts the line scan on the start line, for no fields.
///
/// # Safety
/// `scratch` is valid, the payload sealed and [`content`] known.
#[inline(always)]
pub unsafe fn scan_all(scratch: *mut Scratch) {
    // SAFETY: as the caller promises.
    unsafe {
        let start = masked(load!(scratch.start));
        store!(scratch.position = start);
        store!(scratch.line = start);
        store!(scratch.fields = 0);
    }
}

/// Puts the line scan on the start line, for the fields of `table`.
///
/// # Safety
/// `scratch` and `table` are valid, the payload sealed and [`content`] known.
#[inline(always)]
pub unsafe fn scan_begin(scratch: *mut Scratch, table: *const Table) {
    // SAFETY: as the caller promises.
    unsafe {
        let start = masked(load!(scratch.start));
        store!(scratch.position = start);
        store!(scratch.line = start);
        store!(scratch.fields = (*table).fields);
        for field in [Field::StartLine as u32, Field::RequestUri as u32] {
            if is_wanted(scratch, field) && has_start_line(scratch) {
                note(scratch, field, start, 1);
            }
        }
    }
}

/// Notes where the value of the first header of a kind starts.
///
/// # Safety
/// `scratch` is valid.
#[inline(always)]
unsafe fn first_of(scratch: *mut Scratch, kind: u32, value: u32) {
    // SAFETY: as the caller promises; the index is masked.
    unsafe {
        let named = load!(scratch.named);
        let kind = crate::opaque(u64::from(kind)) & 15;
        if named >> kind & 1 == 0 {
            store!(scratch.named = named | 1 << kind);
            (&raw mut (*scratch).at).cast::<u32>().add(kind as usize).write_volatile(value);
        }
    }
}

/// Behind the name of the first header of a kind; `None` where there is none.
///
/// # Safety
/// `scratch` is valid.
#[inline(always)]
#[must_use]
pub unsafe fn value_of(scratch: *const Scratch, kind: u32) -> Option<u32> {
    // SAFETY: as the caller promises; every kind has a place.
    unsafe {
        if load!(scratch.named) >> kind & 1 == 0 {
            return None;
        }
        Some((&raw const (*scratch).at).cast::<u32>().add((kind & 15) as usize).read_volatile())
    }
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
        if first == b' ' || first == b'\t' {
            // A folded line (RFC 3261 section 7.3.1) continues the one before.
            put(scratch, line.wrapping_sub(1), b' ');
            if byte(scratch, line.wrapping_sub(2)) == b'\r' {
                put(scratch, line.wrapping_sub(2), b' ');
            }
        } else {
            let length = line.wrapping_sub(load!(scratch.line));
            if length > load!(scratch.longest) {
                store!(scratch.longest = length);
            }
            store!(scratch.line = line);
            if first == b'\n' || head & 0xffff == 0x0a0d {
                store!(scratch.header_end = line + if first == b'\n' { 1 } else { 2 });
                return true;
            }
            store!(scratch.lines = load!(scratch.lines) + 1);
            // Through memory, so that the verifier sees one way from here on
            // and not one for each name.
            store!(scratch.name = name(scratch, line, head));
            let name = load!(scratch.name);
            if name != NO_NAME {
                let (kind, value) = (name & 15, line + (name >> 8));
                first_of(scratch, kind, value);
                if is_wanted(scratch, kind) {
                    note(scratch, kind, value, u64::from(MAX_HEADERS));
                }
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
    // SAFETY: as the caller promises.
    unsafe { steps(scratch, scan_step) }
}

/// Finds the end of the message, once the scan is over.
///
/// # Safety
/// `scratch` is valid and its payload sealed.
#[inline(always)]
pub unsafe fn scan_end(scratch: *mut Scratch) {
    // SAFETY: as the caller promises.
    unsafe {
        let (header_end, len) = (load!(scratch.header_end), load!(scratch.len));
        let Some(at) = value_of(scratch, LENGTH) else {
            return;
        };
        if header_end == 0 || header_end > len {
            return;
        }
        store!(scratch.position = at);
        for _ in 0..LENGTH_STEPS {
            let position = masked(load!(scratch.position));
            let byte = byte(scratch, position);
            let length = load!(scratch.content_length);
            let digit = u32::from(byte.wrapping_sub(b'0'));
            if digit < 10 {
                let before = if length == NO_LENGTH { 0 } else { length };
                let length = before.wrapping_mul(10).wrapping_add(digit);
                let length = if length > MAX_LENGTH { MAX_LENGTH } else { length };
                store!(scratch.content_length = length);
            } else if length != NO_LENGTH || !matches!(byte, b':' | b' ' | b'\t') {
                break;
            }
            store!(scratch.position = position + 1);
        }
        let length = load!(scratch.content_length);
        if length < len - header_end {
            store!(scratch.end = header_end + length);
        }
    }
}

/// Puts the scan of the body before its first line. False where there is none
/// to look at: only the body of an INVITE says anything about who sent it.
///
/// # Safety
/// `scratch` is valid and its payload sealed.
#[inline(always)]
pub unsafe fn body_begin(scratch: *mut Scratch) -> bool {
    // SAFETY: as the caller promises.
    unsafe {
        let header_end = load!(scratch.header_end);
        let is_there = header_end != 0 && header_end < load!(scratch.end);
        if !is_there
            || load!(scratch.content) != Method::Invite as u32
            || !is_wanted(scratch, Field::Body as u32)
        {
            return false;
        }
        // The line feed of the empty line.
        store!(scratch.position = header_end.wrapping_sub(1));
        true
    }
}

/// One step of the scan of the body: a word without line end, or the start of
/// the next line. True at the end of the body.
///
/// # Safety
/// `scratch` is valid and its payload sealed.
#[inline(always)]
unsafe fn body_step(scratch: *mut Scratch) -> bool {
    // SAFETY: as the caller promises.
    unsafe {
        let position = masked(load!(scratch.position));
        let ends = line_feeds(word(scratch, position));
        if ends == 0 {
            store!(scratch.position = position + 8);
            return false;
        }
        let line = masked(position + first_byte(ends) + 1);
        if line >= load!(scratch.end) {
            return true;
        }
        // RFC 8866 section 5: a letter, an equals sign, and the value.
        if byte(scratch, line + 1) == b'=' {
            note(scratch, Field::Body as u32, line, u64::from(MAX_BODY_LINES));
        }
        store!(scratch.position = line);
        false
    }
}

/// [`STEPS`] steps of the scan of the body. True at its end.
///
/// # Safety
/// `scratch` is valid and its payload sealed.
#[inline(always)]
pub unsafe fn body_call(scratch: *mut Scratch) -> bool {
    // SAFETY: as the caller promises.
    unsafe { steps(scratch, body_step) }
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
        let Hit { offset, field } = (&raw const (*scratch).hits).cast::<Hit>().add(index).read();
        let field = (crate::opaque(u64::from(field)) & 15) as usize;
        // A field without a root is not noted; a step from its number is dead.
        let root = (&raw const (*table).roots).cast::<u32>().add(field).read();
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
        let note_from = (*table).note_from;
        let mut state = state(scratch);
        let mut position = masked(load!(scratch.position));
        for _ in 0..MATCH_STEPS {
            state = automaton::step(table, shift, state, byte(scratch, position));
            position = masked(position + 1);
            if state >= note_from {
                if state >= accept_from {
                    store!(scratch.signature = state - accept_from + 1);
                    return true;
                }
                let conditions = automaton::noted(table, state, note_from);
                store!(scratch.conditions = load!(scratch.conditions) | conditions);
            }
            if state == u32::from(automaton::DEAD) {
                if !match_begin(scratch, table, load!(scratch.hit) + 1) {
                    return true;
                }
                // As wide for the verifier as what a step gives, so that it
                // sees one way from here on.
                state = self::state(scratch);
                position = masked(load!(scratch.position));
            }
        }
        store!(scratch.state = state);
        store!(scratch.position = position);
        false
    }
}

/// # Safety
/// `scratch` is valid.
#[inline(always)]
unsafe fn state(scratch: *const Scratch) -> u32 {
    // SAFETY: as the caller promises.
    unsafe { (crate::opaque(u64::from(load!(scratch.state))) & 0xffff) as u32 }
}

/// The signature that the message matches, by index plus one, or 0: what the
/// automaton found, or else the first whose conditions all hold.
///
/// # Safety
/// `scratch` and `table` are valid.
#[inline(always)]
pub unsafe fn match_end(scratch: *mut Scratch, table: *const Table) -> u32 {
    // SAFETY: as the caller promises; indices are below the lengths.
    unsafe {
        let signature = load!(scratch.signature);
        let conditions = load!(scratch.conditions);
        if signature != 0 || conditions == 0 {
            return signature;
        }
        // Ends on the first unused one, not on a count: of two ends LLVM makes
        // one whose bound the verifier of Linux 6.1 does not see.
        for i in 0..automaton::MAX_JOINED {
            let joined = (&raw const (*table).joined).cast::<u64>().add(i).read_volatile();
            if joined == 0 {
                break;
            }
            if joined & conditions == joined {
                let index = (&raw const (*table).joined_index).cast::<u32>().add(i).read_volatile();
                store!(scratch.signature = index + 1);
                return index + 1;
            }
        }
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The messages of a payload, as the kernel program reads them one by one:
    /// start, end, header lines, longest line, Content-Length.
    fn read(payload: &str) -> Vec<(u32, u32, u32, u32, u32)> {
        let mut memory = Box::new(Scratch::ZERO);
        let scratch: *mut Scratch = &raw mut *memory;
        let layout = std::alloc::Layout::new::<Policy>();
        let mut found = Vec::new();
        // SAFETY: every bit pattern is a policy, also all zero, and the memory
        // is freed as it was taken; the scratch memory outlives its pointer.
        unsafe {
            let policy = std::alloc::alloc_zeroed(layout).cast::<Policy>();
            begin(scratch);
            (&mut (*scratch).bytes)[..payload.len()].copy_from_slice(payload.as_bytes());
            seal(scratch, payload.len() as u32);
            loop {
                if needs_skip(scratch) {
                    assert!((0..SKIP_CALLS).any(|_| skip_call(scratch)));
                }
                if content(scratch, policy) == Content::Keepalive {
                    break;
                }
                scan_begin(scratch, &raw const (*policy).automaton);
                assert!((0..SCAN_CALLS).any(|_| scan_call(scratch)));
                scan_end(scratch);
                let Scratch { start, end, lines, longest, content_length, .. } = *scratch;
                found.push((start, end, lines, longest, content_length));
                if !advance(scratch) {
                    break;
                }
            }
            std::alloc::dealloc(policy.cast(), layout);
        }
        found
    }

    const REGISTER: &str = "REGISTER sip:x SIP/2.0\r\n";

    #[test]
    fn a_message_without_a_length_takes_what_is_left() {
        let message = format!("{REGISTER}Via: x\r\nTo: y\r\n\r\nbody");
        assert_eq!(read(&message), [(0, message.len() as u32, 2, 24, NO_LENGTH)]);
        let cut = format!("{REGISTER}Via: x\r\nContent-Length: 0\r\n");
        assert_eq!(read(&cut), [(0, cut.len() as u32, 2, 24, NO_LENGTH)]);
    }

    #[test]
    fn several_messages_follow_each_other() {
        for (length, value) in [
            ("Content-Length: 5", 5),
            ("l:5", 5),
            ("CONTENT-LENGTH \t:  0005", 5),
            ("Content-Length:\r\n 5", 5),
        ] {
            let first = format!("{REGISTER}{length}\r\n\r\nhello");
            let second = format!("{REGISTER}f: z\r\n\r\n");
            let payload = format!("\r\n\r\n{first}\r\n{second}");
            let found = read(&payload);
            let (start, end) = (4, 4 + first.len() as u32);
            assert_eq!(found[0].0..found[0].1, start..end, "{length}");
            assert_eq!(found[0].4, value, "{length}");
            assert_eq!(found[1], (end + 2, payload.len() as u32, 1, 24, NO_LENGTH), "{length}");
            assert_eq!(found.len(), 2);
        }
    }

    #[test]
    fn a_length_beyond_the_payload_is_all_of_it() {
        for length in ["6", "4294967295", "99999999999999999999", "x"] {
            let message = format!("{REGISTER}Content-Length: {length}\r\n\r\nhello");
            assert_eq!(read(&message)[0].1, message.len() as u32, "{length}");
        }
        let other = format!("{REGISTER}Content-Length-Info: 1\r\nContent-Type: 2\r\n\r\nhello");
        assert_eq!(read(&other)[0].4, NO_LENGTH);
    }

    #[test]
    fn a_folded_line_is_one_line() {
        let message =
            format!("{REGISTER}Subject: {}\r\n {}\r\n\r\n", "x".repeat(40), "y".repeat(9));
        assert_eq!(read(&message)[0], (0, message.len() as u32, 1, 63, NO_LENGTH));
        let long = format!("REGISTER sip:{} SIP/2.0\nTo: x\n\n", "9".repeat(900));
        assert_eq!(read(&long)[0], (0, long.len() as u32, 1, 922, NO_LENGTH));
    }
}
