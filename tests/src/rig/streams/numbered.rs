//! Datagrams that differ in their number.

use std::io::Write as _;

/// Digits of a number.
const DIGITS: usize = 16;

/// What stands before a number, behind the method.
const BEFORE: &[u8] = b" sip:";

/// Longest method.
const METHOD: usize = 16;

/// A request with room for a number, always at the same place.
#[derive(Clone, Debug)]
pub struct Numbered {
    bytes: Vec<u8>,
    at: usize,
}

impl Numbered {
    /// A request with a method and a User-Agent. Its number is the user whom it
    /// asks for.
    #[must_use]
    pub fn request(method: &str, user_agent: &str) -> Self {
        let bytes = format!(
            "{method} sip:{:0DIGITS$}@203.0.113.1 SIP/2.0\r\n\
             Via: SIP/2.0/UDP 192.0.2.77;branch=z9hG4bK77\r\n\
             From: <sip:100@203.0.113.1>;tag=77\r\nTo: <sip:100@203.0.113.1>\r\n\
             Call-ID: stream\r\nCSeq: 1 {method}\r\nUser-Agent: {user_agent}\r\n\
             Content-Length: 0\r\n\r\n",
            0
        );
        Self { bytes: bytes.into_bytes(), at: method.len() + BEFORE.len() }
    }

    /// The same with a number.
    #[must_use]
    pub fn with(&self, number: u64) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        if let Some(mut place) = bytes.get_mut(self.at..self.at + DIGITS) {
            // The place is as long as what is written.
            let _ = write!(place, "{number:0DIGITS$}");
        }
        bytes
    }
}

/// The number of a datagram.
pub(super) fn number(datagram: &[u8]) -> Option<u64> {
    let space = datagram.iter().take(METHOD).position(|byte| *byte == b' ')?;
    let digits = datagram.get(space..)?.strip_prefix(BEFORE)?.get(..DIGITS)?;
    digits.iter().try_fold(0_u64, |number, digit| {
        Some(number * 10 + u64::from(char::from(*digit).to_digit(10)?))
    })
}

#[cfg(test)]
mod tests {
    use super::{Numbered, number};

    #[test]
    fn numbers_come_back() {
        for method in ["OPTIONS", "ACK"] {
            let datagram = Numbered::request(method, "sipcli");
            for wanted in [0, 1, 9_999_999_999_999_999] {
                assert_eq!(number(&datagram.with(wanted)), Some(wanted));
            }
        }
        assert_eq!(number(b"OPTIONS sip:100@203.0.113.1 SIP/2.0\r\n\r\n"), None);
        assert_eq!(number(b"\r\n\r\n"), None);
    }
}
