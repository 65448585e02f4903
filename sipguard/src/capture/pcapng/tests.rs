//! What was written, as others read it.

use pcap_file::{
    PcapError,
    pcapng::{Block as Parsed, PcapNgReader},
};
use sipguard_common::rule::Rule;

use super::*;
use crate::{
    capture::{Block, Blocks, Seen, monotonic_ns},
    replay::{Capture, Direction},
};

fn frame(ifindex: u32, rule: Rule, seen: Seen, bytes: &[u8]) -> Frame {
    let length = bytes.len() as u32 + 7;
    Frame { time_ns: 1, ifindex, rule, seen, signature: None, length, bytes: bytes.to_vec() }
}

fn frames() -> Vec<Frame> {
    let signature = Some("sipcli".to_owned());
    vec![
        frame(2, Rule::Options, Seen::Dropped, b"first"),
        Frame { signature, ..frame(3, Rule::Signature, Seen::WouldDrop, &[0x5a; 200]) },
        frame(9, Rule::Stranger, Seen::Passed, b""),
    ]
}

fn written() -> Vec<u8> {
    let interfaces = [(2, "eth0".to_owned()), (3, "eth1".to_owned())];
    let mut pcapng = Pcapng::new(&interfaces, 100).unwrap();
    let mut bytes = pcapng.take();
    for frame in frames() {
        let (before, room) = (pcapng.size(), pcapng.room_for(&frame));
        pcapng.packet(&frame).unwrap();
        let took = pcapng.size() - before;
        // An interface that was not there at the start has a block, too.
        assert!(took <= room || frame.ifindex == 9, "{took} bytes, {room} were asked for");
    }
    let before = pcapng.size();
    let counts = Counts { packets: 3, held_back: 5, lost: u64::MAX };
    pcapng.statistics(counts, None).unwrap();
    pcapng.statistics(counts, Some(End::Duration)).unwrap();
    assert!(pcapng.size() - before < 2 * STATISTICS_MAX);
    bytes.extend(pcapng.take());
    assert_eq!(pcapng.size(), bytes.len() as u64);
    bytes
}

#[test]
fn f37_replay_reads_what_was_written() {
    let now = Timestamp::now();
    let bytes = written();
    let mut capture = Capture::new(bytes.as_slice()).unwrap();
    for frame in frames() {
        let read = capture.next().unwrap().unwrap();
        assert_eq!(read.data, &frame.bytes[..frame.bytes.len().min(100)]);
        assert_eq!((read.len, read.direction), (frame.length, Some(Direction::In)));
        // One nanosecond after the machine has started, on the wall clock.
        let uptime = now.duration_since(read.time.unwrap());
        let monotonic = i64::try_from(monotonic_ns() / 1_000_000_000).unwrap();
        assert!((uptime.as_secs() - monotonic).abs() <= 2, "{uptime:?}");
    }
    assert!(capture.next().is_none());
}

#[test]
fn f37_comments_names_and_statistics_are_where_readers_look_for_them() {
    let bytes = written();
    let mut reader = PcapNgReader::new(bytes.as_slice()).unwrap();
    let (mut names, mut comments) = (Vec::new(), Vec::new());
    while let Some(block) = reader.next_block() {
        match block.unwrap() {
            Parsed::InterfaceDescription(block) => {
                assert_eq!((block.linktype, block.snaplen), (DataLink::ETHERNET, 100));
                assert!(block.options.contains(&InterfaceDescriptionOption::IfTsResol(9)));
                names.extend(block.options.into_iter().find_map(|option| match option {
                    InterfaceDescriptionOption::IfName(name) => Some(name.into_owned()),
                    _ => None,
                }));
            }
            Parsed::EnhancedPacket(block) => {
                comments.extend(block.options.into_iter().find_map(|option| match option {
                    EnhancedPacketOption::Comment(comment) => {
                        Some((block.interface_id, comment.into_owned()))
                    }
                    _ => None,
                }));
            }
            _ => {}
        }
    }
    assert_eq!(names, ["eth0", "eth1", "other"]);
    let expected = [
        (0, "options: dropped".to_owned()),
        (1, "signature: would drop (sipcli)".to_owned()),
        (2, "stranger: passed".to_owned()),
    ];
    assert_eq!(comments, expected);
}

#[test]
fn f37_a_stream_is_cut_at_the_borders_of_blocks_however_it_comes() {
    let bytes = written();
    let counts = Counts { packets: 3, held_back: 5, lost: u64::MAX };
    let expected = [
        Block::Head,
        Block::Head,
        Block::Head,
        Block::Packet,
        Block::Packet,
        Block::Head,
        Block::Packet,
        Block::Statistics(counts, None),
        Block::Statistics(counts, Some(End::Duration)),
    ];
    for step in [1, 3, 64, bytes.len()] {
        let (mut blocks, mut found, mut whole) = (Blocks::default(), Vec::new(), Vec::new());
        for part in bytes.chunks(step) {
            let take = |block, bytes: &[u8]| -> Result<(), PcapError> {
                found.push(block);
                whole.extend_from_slice(bytes);
                Ok(())
            };
            blocks.feed(part, take).unwrap();
        }
        assert!(found == expected && whole == bytes, "{step}: {found:?}");
    }
    let mut blocks = Blocks::default();
    assert!(blocks.feed(&[b'x'; 64], |_, _| -> Result<(), PcapError> { Ok(()) }).is_err());
}
