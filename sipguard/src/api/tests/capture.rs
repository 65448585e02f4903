//! F37: captures over the socket, with a tap that the tests fill.

use std::time::Instant;

use sipguard_common::abi::Tap;

use super::*;
use crate::{
    api::client::Ended,
    capture::{Block, Blocks, Counts, End, Frame, Seen, Wish, monotonic_ns},
};

/// Longer than anything takes here.
const PATIENCE: Duration = Duration::from_secs(20);

impl Running {
    /// Packets come to whoever takes a capture.
    fn tap(&self, packets: u8) {
        for number in 0..packets {
            let frame = Frame {
                time_ns: monotonic_ns(),
                ifindex: 2,
                rule: Rule::Options,
                seen: Seen::Dropped,
                signature: None,
                length: 200,
                bytes: vec![number; 200],
            };
            self.shared.taps().give(&Arc::new(frame), Tap::Capture.bit());
        }
    }

    /// Takes a capture of what `tap` says once it has begun.
    fn take(&self, wish: &Wish, packets: u8) -> (Vec<Block>, Ended) {
        let (mut blocks, mut taken, mut begun) = (Blocks::default(), Vec::new(), false);
        let take = |bytes: &[u8]| -> Result<u64, ClientError> {
            if !std::mem::replace(&mut begun, true) {
                self.tap(packets);
            }
            let keep = |block, _: &[u8]| -> Result<(), pcap_file::PcapError> {
                taken.push(block);
                Ok(())
            };
            blocks.feed(bytes, keep).unwrap();
            Ok(0)
        };
        let ended = self.client().capture(wish, take).unwrap();
        (taken, ended)
    }

    fn until(&self, what: &str, is: impl Fn() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !is() {
            assert!(Instant::now() < deadline, "{what}: {:?}", self.fake.asked().calls);
            thread::sleep(Duration::from_millis(5));
        }
    }
}

fn wish() -> Wish {
    Wish { duration: "10s".parse().unwrap(), ..Wish::default() }
}

fn statistics(blocks: &[Block]) -> (Counts, Option<End>) {
    let Some(Block::Statistics(counts, end)) = blocks.last() else { panic!("{blocks:?}") };
    (*counts, *end)
}

#[test]
fn f37_a_capture_ends_at_each_of_its_bounds_and_closes_the_tap() {
    let running = Running::start();
    let source = Some("198.51.100.0/24".parse().unwrap());
    let rules = vec![Rule::Options, Rule::Banned];
    let chosen = Wish { count: Some(2), rules, source, snaplen: 100, ..wish() };
    let (blocks, ended) = running.take(&chosen, 3);
    let told = (Counts { packets: 2, held_back: 0, lost: 0 }, Some(End::Count));
    assert_eq!((statistics(&blocks), ended), (told, Ended::ByDaemon));
    let packets = blocks.iter().filter(|block| **block == Block::Packet);
    assert_eq!(packets.count(), 2);
    let closed = || running.fake.asked().calls.iter().any(|call| call == "close Capture");
    running.until("a closed tap", closed);
    let asked = running.fake.take();
    assert!(asked[0].starts_with("open Capture: TapWish"), "{asked:?}");
    for part in ["[Options, Banned]", "198.51.100.0/24", "snaplen: 100", "Some(5000)"] {
        assert!(asked[0].contains(part), "{part} in {asked:?}");
    }

    // 200 bytes and a comment each.
    running.until("the end", || running.shared.taps().is_idle());
    let small = Wish { max_size: Some(64 << 10), ..wish() };
    let (blocks, _) = running.take(&small, 255);
    let (Counts { packets, .. }, end) = statistics(&blocks);
    assert!((200..255).contains(&packets) && end == Some(End::Size), "{packets}, {end:?}");

    running.until("the end", || running.shared.taps().is_idle());
    let (blocks, _) = running.take(&Wish { duration: "1s".parse().unwrap(), ..wish() }, 5);
    let (Counts { packets, .. }, end) = statistics(&blocks);
    assert_eq!((packets, end), (5, Some(End::Duration)));
}

#[test]
fn f37_one_at_a_time_and_it_ends_with_its_taker() {
    let running = Running::start();
    let mut first = UnixStream::connect(running.socket()).unwrap();
    first.write_all(b"GET /v1/capture HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut start = [0; 12];
    first.read_exact(&mut start).unwrap();
    assert_eq!(&start, b"HTTP/1.1 200");
    let status = running.client().status().unwrap();
    let capture = status.capture.unwrap();
    assert_eq!(capture.uid, nix::unistd::Uid::effective().as_raw());

    let (code, refused) = running.raw("GET /v1/capture", "");
    assert_eq!(code, 409);
    assert!(refused["error"].as_str().unwrap().contains("takes a capture since"), "{refused}");
    // Nothing comes to it by then: it is not by writing that its end is seen.
    drop(first);
    running.until("the end", || running.client().status().unwrap().capture.is_none());
    assert_eq!(running.fake.take().last().unwrap(), "close Capture");
    assert_eq!(statistics(&running.take(&Wish { count: Some(1), ..wish() }, 1).0).0.packets, 1);
}

#[test]
fn f37_a_capture_that_the_kernel_refuses_holds_no_place() {
    let running = Running::start();
    running.fake.asked().refuses = true;
    assert_eq!(running.raw("GET /v1/capture", "").0, 500);
    running.fake.asked().refuses = false;
    assert_eq!(statistics(&running.take(&Wish { count: Some(1), ..wish() }, 1).0).0.packets, 1);
}

#[test]
fn f37_wrong_wishes_are_refused_with_words() {
    let running = Running::start();
    for (query, word) in [
        ("rule=nonsense", "there is no rule `nonsense`"),
        ("rule=auth", "what the server sends"),
        ("source=198.51.100.7:5060", ""),
        ("snaplen=10", "64 to 9216"),
        ("per_second=0", "1 to 100000"),
        ("max_size=1", "65536"),
        ("duration=8d", "at most 1w"),
        ("duration=soon", "duration"),
        ("count=0", "no packet"),
        ("colour=red", "unknown field"),
    ] {
        let (code, body) = running.raw(&format!("GET /v1/capture?{query}"), "");
        let error = body["error"].as_str().unwrap_or_default();
        assert!(code == 400 && error.contains(word), "{query}: {code} {body}");
    }
    assert!(running.fake.take().is_empty() && running.shared.taps().is_idle());
}
