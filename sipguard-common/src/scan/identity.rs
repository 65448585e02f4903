//! Which transaction a message belongs to, and what its credentials and
//! challenges hold: the values of a few headers, once the line scan has found
//! them.
//!
//! As there, positions live in the scratch memory. The loops are written so that
//! a call from the kernel's loop helper does [`super::STEPS`] steps.

use super::{FOLD, HIGHS, ONES, Scratch, byte, first_byte, kind, masked, steps, value_of, word};
use crate::{
    message::{self, Start},
    method::Method,
};

/// `Scratch::seconds` where the message names none.
pub const NO_SECONDS: u32 = u32::MAX;

/// Seconds above this count as this: a year.
const MAX_SECONDS: u32 = 366 * 86_400;

/// Words of a value that are hashed: 128 bytes.
const HASH_WORDS: u32 = 16;

/// White space and colons that may stand before a value.
const MAX_SPACE: u32 = 8;

/// Digits of a number that are read.
const MAX_DIGITS: u32 = 10;

/// One word more of a hash.
#[inline(always)]
#[must_use]
pub const fn mix(hash: u64, word: u64) -> u64 {
    let hash = (hash ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    hash ^ hash >> 32
}

/// High bit of each byte below `limit`, which is at most 128; right up to and
/// including the first one.
#[inline(always)]
const fn below(word: u64, limit: u64) -> u64 {
    word.wrapping_sub(ONES * limit) & !word & HIGHS
}

/// High bit of each byte that is `byte`, likewise.
#[inline(always)]
const fn equal(word: u64, byte: u8) -> u64 {
    let difference = word ^ (ONES * byte as u64);
    difference.wrapping_sub(ONES) & !difference & HIGHS
}

/// The bytes of a word before the first one that is marked.
#[inline(always)]
const fn before(word: u64, marks: u64) -> u64 {
    let lowest = marks & marks.wrapping_neg();
    // The mark is the high bit of its byte.
    word & (lowest >> 7).wrapping_sub(1)
}

/// Puts the position on the value that starts behind a header's name.
///
/// # Safety
/// `scratch` is valid and its payload sealed.
#[inline(always)]
unsafe fn to_value(scratch: *mut Scratch, behind_name: u32) {
    // SAFETY: as the caller promises.
    unsafe {
        store!(scratch.position = behind_name);
        for _ in 0..MAX_SPACE {
            let position = masked(load!(scratch.position));
            if !matches!(byte(scratch, position), b':' | b' ' | b'\t') {
                break;
            }
            store!(scratch.position = position + 1);
        }
    }
}

/// What ends an address, beside white space, line ends and quotes.
#[inline(always)]
const fn ends_address(word: u64, kind: u32) -> u64 {
    let is_address = if kind == kind::TO { u64::MAX } else { 0 };
    (equal(word, b';') | equal(word, b'>')) & is_address
}

/// Mixes the value at `position` into the hash in the scratch memory, as the
/// value of this kind of header ends.
///
/// # Safety
/// `scratch` is valid and its payload sealed.
#[inline(always)]
unsafe fn hash(scratch: *mut Scratch, kind: u32) {
    // SAFETY: as the caller promises.
    unsafe {
        for _ in 0..HASH_WORDS {
            let position = masked(load!(scratch.position));
            let word = word(scratch, position);
            let ends = below(word, 0x23) | ends_address(word, kind);
            if ends != 0 {
                store!(scratch.hash = mix(load!(scratch.hash), before(word, ends)));
                break;
            }
            store!(scratch.hash = mix(load!(scratch.hash), word));
            store!(scratch.position = position + 8);
        }
    }
}

/// Mixes the first header of a kind into the hash in the scratch memory: Call-ID,
/// or of To the address, which of REGISTER is the account. False where there is
/// none.
///
/// # Safety
/// `scratch` is valid, its payload sealed, and the line scan has run.
#[inline(always)]
pub unsafe fn hash_header(scratch: *mut Scratch, kind: u32) -> bool {
    // SAFETY: as the caller promises.
    unsafe {
        let Some(at) = value_of(scratch, kind) else {
            return false;
        };
        to_value(scratch, at);
        // Behind a display name without white space, `<` is what counts: the
        // hash of `sip:a@b` and of `<sip:a@b` need not be the same, for one
        // server writes one of them.
        hash(scratch, kind);
        true
    }
}

/// Hashes the Call-ID. False where there is none.
///
/// # Safety
/// As [`hash_header`].
#[inline(always)]
pub unsafe fn hash_call_id(scratch: *mut Scratch, seed: u64) -> bool {
    // SAFETY: as the caller promises.
    unsafe {
        store!(scratch.hash = seed);
        hash_header(scratch, kind::CALL_ID)
    }
}

/// Hashes the nonce that [`parameters_call`] has found. False where there is
/// none.
///
/// # Safety
/// As [`hash_header`].
#[inline(always)]
pub unsafe fn hash_nonce(scratch: *mut Scratch, seed: u64) -> bool {
    // SAFETY: as the caller promises.
    unsafe {
        let at = load!(scratch.nonce_at);
        if at == 0 {
            return false;
        }
        store!(scratch.position = at);
        store!(scratch.hash = seed);
        hash(scratch, kind::CALL_ID);
        true
    }
}

/// Hashes the response in the credentials, likewise.
///
/// # Safety
/// As [`hash_header`].
#[inline(always)]
pub unsafe fn hash_response(scratch: *mut Scratch, seed: u64) -> bool {
    // SAFETY: as the caller promises.
    unsafe {
        let at = load!(scratch.response_at);
        if at == 0 {
            return false;
        }
        store!(scratch.position = at);
        store!(scratch.hash = seed);
        hash(scratch, kind::CALL_ID);
        true
    }
}

/// Reads the decimal number at `position`, as large as `max` at most; `None`
/// where there is no digit.
///
/// # Safety
/// `scratch` is valid and its payload sealed.
#[inline(always)]
unsafe fn number(scratch: *mut Scratch, max: u32) -> Option<u32> {
    // SAFETY: as the caller promises.
    unsafe {
        store!(scratch.state = 0);
        let start = load!(scratch.position);
        for _ in 0..MAX_DIGITS {
            let position = masked(load!(scratch.position));
            let digit = u32::from(byte(scratch, position).wrapping_sub(b'0'));
            if digit >= 10 {
                break;
            }
            let value = u64::from(load!(scratch.state)) * 10 + u64::from(digit);
            let value = if value > u64::from(max) { max } else { value as u32 };
            store!(scratch.state = value);
            store!(scratch.position = position + 1);
        }
        if load!(scratch.position) == start {
            return None;
        }
        Some(load!(scratch.state))
    }
}

/// Reads number and method of CSeq into the scratch memory (RFC 3261 section
/// 20.16). False where there is none.
///
/// # Safety
/// As [`hash_header`].
#[inline(always)]
pub unsafe fn cseq(scratch: *mut Scratch) -> bool {
    // SAFETY: as the caller promises.
    unsafe {
        let Some(at) = value_of(scratch, kind::CSEQ) else {
            return false;
        };
        to_value(scratch, at);
        let Some(number) = number(scratch, u32::MAX) else {
            return false;
        };
        store!(scratch.cseq = number);
        let behind = load!(scratch.position);
        to_value(scratch, behind);
        let position = load!(scratch.position);
        store!(
            scratch.cseq_method =
                method(word(scratch, position), word(scratch, position + 8)) as u32
        );
        true
    }
}

/// Number and method of CSeq in one word, once [`cseq`] has read them.
///
/// # Safety
/// `scratch` is valid.
#[inline(always)]
pub unsafe fn cseq_word(scratch: *const Scratch) -> u64 {
    // SAFETY: as the caller promises.
    unsafe { u64::from(load!(scratch.cseq)) | u64::from(load!(scratch.cseq_method)) << 32 }
}

/// The method that a value begins with, and ends with, too.
#[inline(always)]
fn method(first: u64, second: u64) -> Method {
    const SPACE: u64 = b' ' as u64;
    // As in a start line, where a space follows.
    let spaced = |word: u64| {
        let ends = below(word, 0x21);
        let lowest = (ends & ends.wrapping_neg()) >> 7;
        (ends != 0).then(|| before(word, ends) | SPACE.wrapping_mul(lowest))
    };
    let (first, second) = match spaced(first) {
        Some(first) => (first, 0),
        None => (first, spaced(second).unwrap_or(0)),
    };
    match message::classify(first, second) {
        Start::Request(method) => method,
        _ => Method::Unknown,
    }
}

/// Whether a reply starts at `position`, as a server writes it; then that is the
/// start of the message.
///
/// # Safety
/// `scratch` is valid and its payload sealed.
#[inline(always)]
pub unsafe fn is_reply(scratch: *mut Scratch) -> bool {
    // SAFETY: as the caller promises.
    unsafe {
        let position = load!(scratch.position);
        store!(scratch.start = position);
        word(scratch, position) == u64::from_le_bytes(*b"SIP/2.0 ")
    }
}

/// The status code of the reply that starts at `start`; `None` where there is
/// none (RFC 3261 section 7.2).
///
/// # Safety
/// `scratch` is valid, its payload sealed and [`super::content`] known.
#[inline(always)]
pub unsafe fn status(scratch: *const Scratch) -> Option<u32> {
    // SAFETY: as the caller promises.
    let digits = unsafe { word(scratch, load!(scratch.start) + 8) };
    let digit = |i: u32| ((digits >> (8 * i)) as u8).wrapping_sub(b'0') as u32;
    let (hundreds, tens, ones) = (digit(0), digit(1), digit(2));
    if !(1..=6).contains(&hundreds) || tens > 9 || ones > 9 {
        return None;
    }
    Some(hundreds * 100 + tens * 10 + ones)
}

/// Puts the search for the parameters of credentials or of a challenge on the
/// first header of this kind. False where there is none.
///
/// # Safety
/// As [`hash_header`].
#[inline(always)]
pub unsafe fn parameters_begin(scratch: *mut Scratch, kind: u32) -> bool {
    // SAFETY: as the caller promises.
    unsafe {
        store!(scratch.nonce_at = 0);
        store!(scratch.response_at = 0);
        store!(scratch.stale = 0);
        let Some(at) = value_of(scratch, kind) else {
            return false;
        };
        store!(scratch.position = at);
        true
    }
}

/// One step of that search: to the next `=` or line end. True at the line's end,
/// where the position stands then.
///
/// # Safety
/// `scratch` is valid and its payload sealed.
#[inline(always)]
unsafe fn parameters_step(scratch: *mut Scratch) -> bool {
    // SAFETY: as the caller promises.
    unsafe {
        let position = masked(load!(scratch.position));
        let word0 = word(scratch, position);
        let marks = equal(word0, b'=') | equal(word0, b'\n');
        if marks == 0 {
            store!(scratch.position = position + 8);
            return false;
        }
        let at = position + first_byte(marks);
        store!(scratch.position = at);
        if byte(scratch, at) == b'\n' {
            return true;
        }
        store!(scratch.position = at + 1);
        // What stands before it: a mark and five letters, behind two more.
        let name = word(scratch, at.wrapping_sub(8)) >> 16;
        let (mark, letters) = (name as u8, name >> 8 | (FOLD & 0xff_ffff_ffff));
        let value = word(scratch, at + 1);
        if mark.is_ascii_alphanumeric() {
            // The end of `response`.
            if mark | 0x20 == b's' && letters == u64::from_le_bytes(*b"ponse\0\0\0") {
                store!(scratch.response_at = at + 2);
            }
            return false;
        }
        if letters == u64::from_le_bytes(*b"nonce\0\0\0") && value as u8 == b'"' {
            store!(scratch.nonce_at = at + 2);
        } else if letters == u64::from_le_bytes(*b"stale\0\0\0") {
            let value = if value as u8 == b'"' { value >> 8 } else { value };
            if (value | FOLD) & 0xffff_ffff == u64::from_le_bytes(*b"true\0\0\0\0") {
                store!(scratch.stale = 1);
            }
        }
        false
    }
}

/// [`STEPS`] steps of that search. True at its end.
///
/// # Safety
/// `scratch` is valid and its payload sealed.
#[inline(always)]
pub unsafe fn parameters_call(scratch: *mut Scratch) -> bool {
    // SAFETY: as the caller promises.
    unsafe { steps(scratch, parameters_step) }
}

/// Puts the search for the granted time of a registration on the first Contact,
/// with what Expires says for a start. False where there is no Contact.
///
/// # Safety
/// As [`hash_header`].
#[inline(always)]
pub unsafe fn seconds_begin(scratch: *mut Scratch) -> bool {
    // SAFETY: as the caller promises.
    unsafe {
        store!(scratch.seconds = NO_SECONDS);
        if let Some(at) = value_of(scratch, kind::EXPIRES) {
            to_value(scratch, at);
            if let Some(seconds) = number(scratch, MAX_SECONDS) {
                store!(scratch.seconds = seconds);
            }
        }
        let Some(at) = value_of(scratch, kind::CONTACT) else {
            return false;
        };
        store!(scratch.position = at);
        store!(scratch.hit = 0);
        true
    }
}

/// One step of that search: to the next `;`, or to the next line, where that is
/// a Contact, too. True at its end. The longest time of any Contact counts, for
/// a reply lists all bindings of the account (RFC 3261 section 10.3).
///
/// # Safety
/// `scratch` is valid and its payload sealed.
#[inline(always)]
unsafe fn seconds_step(scratch: *mut Scratch) -> bool {
    // SAFETY: as the caller promises.
    unsafe {
        let position = masked(load!(scratch.position));
        let word0 = word(scratch, position);
        let marks = equal(word0, b';') | equal(word0, b'\n');
        if marks == 0 {
            store!(scratch.position = position + 8);
            return false;
        }
        let at = position + first_byte(marks);
        let next = word(scratch, at + 1);
        if byte(scratch, at) == b'\n' {
            // The lists of bindings that registrars send stand together.
            let is_long = next | FOLD == u64::from_le_bytes(*b"contact:");
            let is_short = next & 0xffff | 0x20 == u64::from_le_bytes(*b"m:\0\0\0\0\0\0");
            store!(scratch.position = at + 1);
            return !(is_long || is_short);
        }
        store!(scratch.position = at + 1);
        if next | FOLD == u64::from_le_bytes(*b"expires=") {
            store!(scratch.position = at + 9);
            if let Some(seconds) = number(scratch, MAX_SECONDS) {
                let before = load!(scratch.seconds);
                let is_first = load!(scratch.hit) == 0;
                if is_first || seconds > before {
                    store!(scratch.seconds = seconds);
                }
                store!(scratch.hit = 1);
            }
        }
        false
    }
}

/// [`STEPS`] steps of that search. True at its end.
///
/// # Safety
/// `scratch` is valid and its payload sealed.
#[inline(always)]
pub unsafe fn seconds_call(scratch: *mut Scratch) -> bool {
    // SAFETY: as the caller promises.
    unsafe { steps(scratch, seconds_step) }
}
