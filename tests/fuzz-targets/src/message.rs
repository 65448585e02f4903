//! What a datagram or a segment says: lines, values and the automaton.

use sipguard::explain::{MAX_MESSAGE, Via, message};
use tests::layout::layout;

use crate::{Seed, judged::judge, seed::of_corpus};

pub(crate) const NEEDS_KERNEL: bool = false;

/// The input as a message, over UDP and over TCP.
///
/// # Panics
/// Where judges differ.
pub fn run(input: &[u8]) {
    let input = &input[..input.len().min(MAX_MESSAGE)];
    for via in [Via::Udp, Via::Tcp] {
        let ends = ["198.51.100.7:5061", "203.0.113.1:5060"].map(|end| end.parse().expect("one"));
        let frame = message(input, ends[0], ends[1], via).expect("a frame");
        judge(&frame);
    }
}

pub(crate) fn seeds() -> Vec<Seed> {
    of_corpus(|case| {
        let start = layout(&case.frame)?.payload()?;
        case.frame.get(start..).filter(|message| !message.is_empty()).map(<[u8]>::to_vec)
    })
}
