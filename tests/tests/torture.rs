//! The torture messages of RFC 4475 through both kernel programs and both sides of
//! their host twin, as requests that come and as messages that leave, over UDP and
//! TCP. What they are judged as when they come stands in the corpus.

use sipguard_common::learn::Fate;
use tests::{
    corpus::{Setup, corpus},
    kernel::load_or_skip,
    layout::layout,
    packet::Packet,
    plans::plan,
    stage::Stage,
};

const SERVER: &str = "203.0.113.1:5060";

#[test]
fn rfc4475_messages_come_and_leave() {
    let Some(mut kernel) = load_or_skip() else { return };
    let plan = plan(Setup::Base);
    let mut stage = Stage::new(&plan, Some(&mut kernel));
    let mut now_ns = 1_000_000_000_000;
    let (mut count, mut held_back) = (0, Vec::new());
    for case in corpus().into_iter().filter(|case| case.id == "RFC4475") {
        let start = layout(&case.frame).and_then(|layout| layout.payload()).expect("a payload");
        let message = &case.frame[start..];
        count += 1;
        let peer = format!("198.51.100.{count}:5061");
        for make in [Packet::udp, Packet::tcp] {
            now_ns += 1_000_000_000;
            stage.set_clock(now_ns);
            // Kernel and host are held against each other by the stage.
            stage.comes(&make(&peer, SERVER).payload(message).build());
            let leaves = stage.leaves(&make(SERVER, &peer).payload(message).build());
            if leaves.fate != Fate::Leaves {
                held_back.push(case.name);
            }
        }
    }
    assert_eq!(count, 49, "messages of the RFC");
    // Over UDP strangers see no refusals; the second's status begins as one.
    assert_eq!(held_back, ["rfc4475_scalarlg", "rfc4475_bigcode"]);
}
