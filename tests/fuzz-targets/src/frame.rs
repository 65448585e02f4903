//! Headers up to UDP and TCP, and whatever is in them.

use sipguard::endpoint::Endpoint;
use sipguard_common::{
    frame::{Packet, parse},
    scan::host,
};

use crate::{Seed, judged::judge, seed::of_corpus};

pub(crate) const NEEDS_KERNEL: bool = false;

/// The input as a frame.
///
/// # Panics
/// Where judges differ, or the parser leaves the frame.
pub fn run(input: &[u8]) {
    let mut packet = Packet::ZERO;
    if let Some(transport) = parse(input, &mut packet) {
        // A payload may begin behind the end, where options of TCP are cut off.
        assert!(packet.network() as usize <= input.len(), "a header behind the frame");
        let payload = host::payload(input, &packet);
        assert!(payload.len() <= packet.len as usize, "more payload than there is");
        // What users are shown of it.
        let _ = Endpoint::source(&packet, transport).to_string();
        let _ = Endpoint::destination(&packet, transport).to_string();
    }
    judge(input);
}

pub(crate) fn seeds() -> Vec<Seed> {
    of_corpus(|case| Some(case.frame.clone()))
}
