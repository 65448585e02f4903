//! Who gets which packets.

use sipguard_common::rule::Rule;

use super::*;
use crate::capture::Seen;

fn frame(time_ns: u64) -> Arc<Frame> {
    Arc::new(Frame {
        time_ns,
        ifindex: 2,
        rule: Rule::Options,
        seen: Seen::Dropped,
        signature: None,
        length: 3,
        bytes: b"abc".to_vec(),
    })
}

fn reserve(taps: &Taps, uid: u32) -> Result<Reserved, Taken> {
    taps.reserve(uid, Timestamp::UNIX_EPOCH, Losses { held_back: 10, lost: 20 })
}

const CAPTURE: u32 = Tap::Capture.bit();
const MIRROR: u32 = Tap::Mirror.bit();

#[test]
fn f37_one_capture_at_a_time_and_a_late_end_ends_no_other() {
    let taps = Taps::default();
    let first = reserve(&taps, 7).unwrap();
    let refused = reserve(&taps, 8).unwrap_err();
    assert_eq!(refused, Taken { uid: 7, since: Timestamp::UNIX_EPOCH });
    taps.release(first.number);
    let second = reserve(&taps, 8).unwrap();
    assert_eq!(taps.holder(first.number), None);
    taps.release(first.number);
    assert_eq!(taps.holder(second.number), Some(8));
}

#[test]
fn f37_packets_go_to_those_who_asked_and_are_counted() {
    let taps = Taps::default();
    let mut mirrored = taps.mirrored();
    let mut captured = reserve(&taps, 7).unwrap().packets;
    // From before it: another one's.
    taps.give(&frame(1), CAPTURE);
    assert!(captured.try_recv().is_err());
    let now = monotonic_ns();
    taps.give(&frame(now), CAPTURE);
    taps.give(&frame(now), MIRROR);
    taps.give(&frame(now), CAPTURE | MIRROR);
    assert_eq!((captured.len(), mirrored.len()), (2, 2));
    (0..WAITING).for_each(|_| taps.give(&frame(now), CAPTURE | MIRROR));
    let held = taps.capture(Losses { held_back: 13, lost: 21 }).unwrap();
    assert_eq!((held.uid, held.packets, held.held_back), (7, WAITING as u64, 3));
    assert_eq!(held.lost, 1 + 2);
    assert_eq!(taps.mirroring().lost, (WAITING + 2 - MIRROR_WAITING) as u64);
    while mirrored.try_recv().is_ok() {}
    taps.give(&frame(now), MIRROR);
    assert_eq!(mirrored.len(), 1);
}

#[test]
fn f37_captures_end_when_sipguard_stops() {
    let taps = Taps::default();
    let mut before = reserve(&taps, 7).unwrap();
    taps.close();
    assert!(before.packets.blocking_recv().is_none());
    taps.release(before.number);
    assert!(reserve(&taps, 7).unwrap().packets.blocking_recv().is_none());
}
