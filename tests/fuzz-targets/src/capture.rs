//! Captures, as `sipguard replay` reads them.

use sipguard::replay::{Capture, Damage, to_ethernet};
use tests::corpus::corpus;

use crate::Seed;

pub(crate) const NEEDS_KERNEL: bool = false;

/// The input as a file.
///
/// # Panics
/// Where more comes out than is in it, or an error has no place in it.
pub fn run(input: &[u8]) {
    let check = |at: u64, damage: &Damage| {
        assert!(at <= input.len() as u64, "byte {at} of {}: {damage}", input.len());
        let text = damage.to_string();
        assert!(!text.chars().any(char::is_control), "{text:?}");
    };
    let mut capture = match Capture::new(input) {
        Ok(capture) => capture,
        Err(error) => return check(error.at, &error.damage),
    };
    let (mut packets, mut bytes) = (0, 0);
    let mut frame = Vec::new();
    while let Some(next) = capture.next() {
        match next {
            Ok(captured) => {
                packets += 1;
                bytes += captured.data.len();
                let _ = to_ethernet(captured.link, captured.data, &mut frame);
                assert!(frame.len() <= captured.data.len() + 14);
            }
            Err(error) => {
                check(error.at, &error.damage);
                assert!(error.hint().is_some(), "{error}: nothing to do about it");
            }
        }
    }
    assert!(bytes <= input.len() && packets <= input.len());
    assert!(capture.next().is_none(), "something comes behind the end");
}

/// Frames of one seed.
const FRAMES: usize = 3;

/// Link types by number: Ethernet, raw IP, both kinds of cooked packets, loopback.
const LINKS: [u32; 5] = [1, 101, 113, 276, 0];

/// Both formats, with frames as they are: of other link types the first bytes are
/// another's header.
pub(crate) fn seeds() -> Vec<Seed> {
    let frames: Vec<Vec<u8>> =
        corpus().into_iter().map(|case| case.frame).filter(|frame| frame.len() > 14).collect();
    let frames = frames.chunks(FRAMES).map(<[Vec<u8>]>::to_vec).step_by(20);
    let links = LINKS.iter().cycle();
    let each = frames.zip(links).enumerate().flat_map(|(number, (frames, link))| {
        [
            Seed::new(format!("pcap_{number}"), pcap(&frames, *link)),
            Seed::new(format!("pcapng_{number}"), pcapng(&frames, *link)),
        ]
    });
    each.collect()
}

fn words(values: &[u32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn length(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).expect("a short frame")
}

fn pcap(frames: &[Vec<u8>], link: u32) -> Vec<u8> {
    let mut file = words(&[0xa1b2_c3d4, 4 << 16 | 2, 0, 0, 65_535, link]);
    for (frame, second) in frames.iter().zip(1_800_000_000..) {
        file.extend(words(&[second, 17, length(frame), length(frame)]));
        file.extend(frame);
    }
    file
}

fn pcapng(frames: &[Vec<u8>], link: u32) -> Vec<u8> {
    let section = words(&[0x1a2b_3c4d, 1, u32::MAX, u32::MAX]);
    // Options: times in nanoseconds, and the end.
    let interface = words(&[link, 0, 1 << 16 | 9, 9, 0]);
    let mut file = [block(0x0a0d_0d0a, &section), block(1, &interface)].concat();
    for frame in frames {
        // Flags in an option: it came in.
        let mut body = words(&[0, 0x1900_0000, 17, length(frame), length(frame)]);
        body.extend(frame);
        body.resize(body.len().next_multiple_of(4), 0);
        body.extend(words(&[4 << 16 | 2, 1, 0]));
        file.extend(block(6, &body));
    }
    // A simple packet, which has no time.
    if let Some(frame) = frames.first() {
        let mut body = words(&[length(frame)]);
        body.extend(frame);
        body.resize(body.len().next_multiple_of(4), 0);
        file.extend(block(3, &body));
    }
    file
}

fn block(kind: u32, body: &[u8]) -> Vec<u8> {
    let all = length(body) + 12;
    [words(&[kind, all]), body.to_vec(), words(&[all])].concat()
}
