//! Datagrams for a collector.

use std::time::Duration;

use sipguard::hep::{Sender, encode, sip};

use crate::{Seed, seed::of_corpus};

pub(crate) const NEEDS_KERNEL: bool = false;

/// The input as a frame that is mirrored.
///
/// # Panics
/// Where the datagram cannot be read back.
pub fn run(input: &[u8]) {
    let Some(found) = sip(input) else { return };
    // Numbers and a password out of the input, too.
    let number = input.iter().rev().fold(0u64, |sum, byte| sum << 8 | u64::from(*byte));
    let time = Duration::from_millis(number >> 8);
    let password = String::from_utf8_lossy(&input[..input.len().min((number % 300) as usize)]);
    for password in [None, Some(&*password)] {
        let sender = Sender { id: number as u32, password };
        let Some(datagram) = encode(&found, time, sender) else {
            assert!(found.message.len() > 60_000, "a message that fits is not sent");
            continue;
        };
        let chunks = chunks(&datagram);
        let value = |kind| chunks.iter().find(|(found, _)| *found == kind).map(|(_, value)| *value);
        assert_eq!(value(15), Some(found.message));
        assert_eq!(value(14), password.map(str::as_bytes));
        assert_eq!(value(7), Some(&found.source.port().to_be_bytes()[..]));
    }
}

/// Type and value of each chunk.
fn chunks(datagram: &[u8]) -> Vec<(u16, &[u8])> {
    let number = |at: usize| u16::from_be_bytes([datagram[at], datagram[at + 1]]);
    assert_eq!((&datagram[..4], usize::from(number(4))), (b"HEP3".as_slice(), datagram.len()));
    let (mut at, mut chunks) = (6, Vec::new());
    while at < datagram.len() {
        let end = at + usize::from(number(at + 4));
        chunks.push((number(at + 2), &datagram[at + 6..end]));
        at = end;
    }
    chunks
}

pub(crate) fn seeds() -> Vec<Seed> {
    of_corpus(|case| sip(&case.frame).map(|_| case.frame.clone()))
}
