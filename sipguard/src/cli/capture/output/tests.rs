//! Files that are whole, and never somebody else's.

use std::os::unix::fs::{PermissionsExt as _, symlink};

use sipguard_common::rule::Rule;
use tempfile::TempDir;

use super::*;
use crate::{
    capture::{Frame, Pcapng, Seen},
    replay::Capture,
};

const OLD: &[u8] = b"somebody's letter";

fn dir() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn words(failure: Failure) -> String {
    let Failure::Told { message, .. } = failure else { panic!("told nothing") };
    message
}

/// A stream of so many packets of 100 bytes, as blocks.
fn blocks(packets: u8) -> Vec<(Block, Vec<u8>)> {
    let mut pcapng = Pcapng::new(&[(2, "eth0".to_owned())], 9216).unwrap();
    let mut blocks = vec![(Block::Head, pcapng.take())];
    for number in 0..packets {
        let frame = Frame {
            time_ns: 1,
            ifindex: 2,
            rule: Rule::Options,
            seen: Seen::Dropped,
            signature: None,
            length: 100,
            bytes: vec![number; 100],
        };
        pcapng.packet(&frame).unwrap();
        blocks.push((Block::Packet, pcapng.take()));
    }
    blocks
}

fn add(output: &mut Output, packets: u8) {
    output.begin().unwrap();
    for (block, bytes) in blocks(packets) {
        output.add(block, &bytes).unwrap();
    }
    output.flush().unwrap();
}

/// The numbers of the packets in a file.
fn read(path: &Path) -> Vec<u8> {
    let mut capture = Capture::new(File::open(path).unwrap()).unwrap();
    let mut numbers = Vec::new();
    while let Some(packet) = capture.next() {
        numbers.push(packet.unwrap().data[0]);
    }
    numbers
}

#[test]
fn f37_nothing_is_overwritten_without_force() {
    let dir = dir();
    let path = dir.path().join("a.pcapng");
    fs::write(&path, OLD).unwrap();
    let refused = Output::open(&path, None, false).err().map(words).unwrap();
    assert!(refused.ends_with("is there already"), "{refused}");
    assert_eq!(fs::read(&path).unwrap(), OLD);

    // Not before the capture has begun.
    let output = Output::open(&path, None, true).ok().unwrap();
    output.abandon();
    assert_eq!(fs::read(&path).unwrap(), OLD);
    let mut output = Output::open(&path, None, true).ok().unwrap();
    add(&mut output, 2);
    assert_eq!(read(&path), [0, 1]);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);

    // The file before is one of the two.
    let path = dir.path().join("b.pcapng");
    fs::write(second(&path), OLD).unwrap();
    assert!(Output::open(&path, Some(1000), false).is_err() && !path.exists());
    let mut output = Output::open(&path, Some(1000), true).ok().unwrap();
    add(&mut output, 1);
    assert!(read(&path) == [0] && !second(&path).exists());
}

#[test]
fn f37_links_are_not_followed_and_other_things_stay() {
    let dir = dir();
    let (target, link) = (dir.path().join("target"), dir.path().join("link"));
    fs::write(&target, OLD).unwrap();
    symlink(&target, &link).unwrap();
    assert!(Output::open(&link, None, false).is_err());
    let mut output = Output::open(&link, None, true).ok().unwrap();
    add(&mut output, 1);
    assert_eq!((fs::read(&target).unwrap().as_slice(), read(&link)), (OLD, vec![0]));

    let dangling = dir.path().join("dangling");
    symlink(dir.path().join("nowhere"), &dangling).unwrap();
    assert!(Output::open(&dangling, None, false).is_err());
    assert!(!dir.path().join("nowhere").exists());

    let refused = Output::open(dir.path(), None, true).err().map(words).unwrap();
    assert!(refused.contains("is no file"), "{refused}");
    assert!(Output::open(&dir.path().join("no/such"), None, true).is_err());
}

#[test]
fn f37_a_capture_that_does_not_begin_leaves_no_file() {
    let dir = dir();
    let path = dir.path().join("a.pcapng");
    Output::open(&path, None, false).ok().unwrap().abandon();
    assert!(!path.exists());
}

#[test]
fn f37_two_files_hold_the_last_packets_within_their_size() {
    let dir = dir();
    let path = dir.path().join("a.pcapng");
    let half = 1000;
    let mut output = Output::open(&path, Some(half), false).ok().unwrap();
    add(&mut output, 50);
    output
        .add(Block::Statistics(Counts { packets: 50, held_back: 3, lost: 4 }, None), b"")
        .unwrap();
    let written = output.finish(None, 50).unwrap();
    let all: Vec<u8> = [read(&second(&path)), read(&path)].concat();
    assert!(all.len() > 5 && all.last() == Some(&49), "{all:?}");
    assert!(all.is_sorted() && all.windows(2).all(|two| two[1] - two[0] == 1), "{all:?}");
    assert_eq!(
        (written.counts.packets, written.rotated),
        (all.len() as u64, 50 - all.len() as u64)
    );
    assert_eq!((written.counts.held_back, written.counts.lost), (3, 4));
    for file in [second(&path), path] {
        assert!(fs::metadata(&file).unwrap().len() <= half, "{}", file.display());
    }
}
