//! The start of a message: which method, a response, or none of it.
//!
//! RFC 3261 section 7: a request starts with its method and one space, a
//! response with `SIP/2.0` and one space; section 7.5: CRLFs before the start
//! line are ignored. Method tokens are case-sensitive there, but several
//! servers fold their case, and so do we: a scanner gains nothing by either.

use crate::{
    abi::{KEEPALIVES, Keepalive},
    method::Method,
};

/// What the first bytes of a payload are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    Request(Method),
    Response,
    /// Starts with a letter, and so may be a request of a method that
    /// sipguard does not know.
    Letter,
    /// Anything else.
    Other,
}

const fn word(text: &[u8]) -> u64 {
    let mut bytes = [0; 8];
    let mut i = 0;
    while i < text.len() && i < 8 {
        bytes[i] = text[i];
        i += 1;
    }
    u64::from_le_bytes(bytes)
}

/// Mask over the first `len` bytes of a word in memory order.
const fn mask(len: usize) -> u64 {
    if len >= 8 { u64::MAX } else { (1 << (8 * len)) - 1 }
}

/// Compares `letters` and the space after them, letters in any case.
#[inline(always)]
fn starts(word0: u64, letters: &'static [u8]) -> bool {
    let fold = word(&[0x20; 8]) & mask(letters.len());
    let token = word(letters) | (u64::from(b' ') << (8 * letters.len()));
    (word0 & mask(letters.len() + 1)) | fold == token
}

/// Whether a payload with these first 8 bytes, in the word order of
/// [`classify`], is a message of OPTIONS.
#[inline(always)]
#[must_use]
pub fn is_options(word0: u64) -> bool {
    starts(word0, b"options")
}

/// Reads the first 16 bytes (little-endian words of the bytes in memory
/// order, zero where the payload is shorter).
#[inline(always)]
#[must_use]
pub fn classify(word0: u64, word1: u64) -> Start {
    const FOLD: u64 = word(&[0x20; 8]);
    let first = word0 as u8 | 0x20;
    if !first.is_ascii_lowercase() {
        return Start::Other;
    }
    let method = if starts(word0, b"options") {
        Method::Options
    } else if starts(word0, b"invite") {
        Method::Invite
    } else if starts(word0, b"ack") {
        Method::Ack
    } else if starts(word0, b"bye") {
        Method::Bye
    } else if starts(word0, b"cancel") {
        Method::Cancel
    } else if starts(word0, b"update") {
        Method::Update
    } else if starts(word0, b"prack") {
        Method::Prack
    } else if starts(word0, b"info") {
        Method::Info
    } else if starts(word0, b"notify") {
        Method::Notify
    } else if starts(word0, b"refer") {
        Method::Refer
    } else if starts(word0, b"message") {
        Method::Message
    } else if starts(word0, b"publish") {
        Method::Publish
    } else if word0 | FOLD == word(b"register") && word1 as u8 == b' ' {
        Method::Register
    } else if word0 | FOLD == word(b"subscrib") && (word1 & 0xffff) | 0x20 == word(b"e ") {
        Method::Subscribe
    } else if (word0 & !0x0020_2020) == word(b"SIP/2.0 ") & !0x0020_2020 {
        return Start::Response;
    } else {
        return Start::Letter;
    };
    Start::Request(method)
}

/// Payloads shorter than this are keepalives, but for a bare method word.
pub const MIN_MESSAGE: u32 = 12;

/// Bytes of the shortest method word.
pub const MIN_METHOD: u32 = 3;

/// Bytes of the longest method word that sipguard knows.
const MAX_METHOD: u32 = 9;

/// Whether the `len` bytes are a method word and nothing else, as some probes
/// send it. Arguments as for [`classify`], whatever stands behind them.
#[inline(always)]
#[must_use]
pub fn is_bare_method(word0: u64, word1: u64, len: u32) -> bool {
    if !(MIN_METHOD..=MAX_METHOD).contains(&len) {
        return false;
    }
    let space = u64::from(b' ');
    let (word0, word1) = match len {
        8 => (word0, space),
        MAX_METHOD => (word0, (word1 & 0xff) | (space << 8)),
        _ => ((word0 & ((1 << (8 * len)) - 1)) | (space << (8 * len)), 0),
    };
    // A space of its own would end the word before its end.
    let inner = if len < 8 { word0 ^ (space << (8 * len)) } else { word0 };
    !has_space(inner) && matches!(classify(word0, word1), Start::Request(_))
}

/// Whether one of the bytes is a space.
const fn has_space(bytes: u64) -> bool {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    let difference = bytes ^ (ONES * b' ' as u64);
    difference.wrapping_sub(ONES) & !difference & (ONES << 7) != 0
}

/// Bytes of a STUN header (RFC 8489 section 5).
const STUN_HEADER: u32 = 20;
/// The magic cookie 0x2112A442 in bytes 4 to 7, as the upper half of a word.
const STUN_COOKIE: u64 = 0x42a4_1221;

/// Whether a payload that is no SIP message is a STUN packet (two zero bits,
/// magic cookie; RFC 8489 section 5).
#[inline(always)]
#[must_use]
pub fn is_stun(word0: u64, len: u32) -> bool {
    len >= STUN_HEADER && word0 & 0xc0 == 0 && word0 >> 32 == STUN_COOKIE
}

/// Whether a payload starts with one of the configured keepalives.
#[inline(always)]
#[must_use]
pub fn is_configured_keepalive(word0: u64, word1: u64, list: &[Keepalive; KEEPALIVES]) -> bool {
    let mut found = false;
    for entry in list {
        let Keepalive { bytes: [a, b], mask: [mask_a, mask_b] } = *entry;
        found |= mask_a != 0 && word0 & mask_a == a && word1 & mask_b == b;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Start {
        let mut bytes = [0; 16];
        let len = text.len().min(16);
        bytes[..len].copy_from_slice(&text.as_bytes()[..len]);
        classify(
            u64::from_le_bytes(bytes[..8].try_into().unwrap()),
            u64::from_le_bytes(bytes[8..].try_into().unwrap()),
        )
    }

    #[test]
    fn every_method_in_any_case_with_one_space() {
        for method in Method::ALL.into_iter().skip(1) {
            let name = method.name();
            for text in [format!("{name} sip:x"), format!("{} sip:x", name.to_lowercase())] {
                assert_eq!(of(&text), Start::Request(method), "{text}");
            }
            for text in [format!("{name}\tsip:x"), format!("{name}X sip:x"), name.to_owned()] {
                assert_eq!(of(&text), Start::Letter, "{text}");
            }
        }
    }

    #[test]
    fn responses_and_the_rest() {
        assert_eq!(of("SIP/2.0 200 OK"), Start::Response);
        assert_eq!(of("sip/2.0 200 OK"), Start::Response);
        assert_eq!(of("SIP/2.1 200 OK"), Start::Letter);
        assert_eq!(of("SERVICE sip:x"), Start::Letter);
        assert_eq!(of("\u{80}x"), Start::Other);
        assert_eq!(of("[OPTIONS sip:"), Start::Other);
        assert_eq!(of(""), Start::Other);
    }

    #[test]
    fn a_bare_method_is_the_whole_payload() {
        let is = |text: &str| {
            let mut bytes = *b"________________";
            let len = text.len().min(16);
            bytes[..len].copy_from_slice(&text.as_bytes()[..len]);
            let (word0, word1) = bytes.split_at(8);
            is_bare_method(
                u64::from_le_bytes(word0.try_into().unwrap()),
                u64::from_le_bytes(word1.try_into().unwrap()),
                text.len() as u32,
            )
        };
        for method in Method::ALL.into_iter().skip(1).map(Method::name) {
            assert!(is(method) && is(&method.to_lowercase()), "{method}");
            for text in [&method[..method.len() - 1], &format!("{method} "), &format!("{method}\n")]
            {
                assert!(!is(text), "{text:?}");
            }
        }
        for text in ["HELLO", "jaK", "", "AC", "ACK sip", "BYE x", "INVITE s", "SIP/2.0", "ACK\0"] {
            assert!(!is(text), "{text:?}");
        }
    }

    #[test]
    fn stun_needs_its_cookie_and_header() {
        let binding = u64::from_le_bytes([0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42]);
        assert!(is_stun(binding, 20));
        assert!(!is_stun(binding, 19));
        assert!(!is_stun(binding | 0x40, 20));
        assert!(!is_stun(binding ^ 1 << 40, 20));
    }
}
