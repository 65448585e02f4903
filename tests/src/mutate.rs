//! Broken packets without end, the same for the same seed on every machine:
//! food for the differential test and for fuzzers.
//!
//! Most mutations start from a case of the corpus and keep the packet
//! plausible, for random bytes alone never get past the port check.

use std::sync::OnceLock;

use crate::{
    corpus::{BLOCKED, DEFAULT_SIGNATURES, TRUSTED, corpus},
    layout::{Layout, layout},
    packet::Packet,
    random::Random,
};

/// No frame is shorter: the kernel's test run takes nothing below an Ethernet
/// header.
pub const MIN_FRAME: usize = 14;

/// No frame is longer, so that each fits one page with the kernel's own needs
/// and a test run copies little.
pub const MAX_FRAME: usize = 3000;

/// A frame of the corpus and where things stand in it.
#[derive(Debug)]
struct Seed {
    frame: Vec<u8>,
    layout: Option<Layout>,
}

fn seeds() -> &'static [Seed] {
    static SEEDS: OnceLock<Vec<Seed>> = OnceLock::new();
    SEEDS.get_or_init(|| {
        let frames = corpus().into_iter().map(|case| case.frame);
        let frames = frames.filter(|frame| frame.len() <= MAX_FRAME);
        frames.map(|frame| Seed { layout: layout(&frame), frame }).collect()
    })
}

/// `count` packets, each of [`MIN_FRAME`] to [`MAX_FRAME`] bytes.
pub fn mutations(seed: u64, count: usize) -> impl Iterator<Item = Vec<u8>> {
    let mut random = Random::new(seed);
    (0..count).map(move |_| {
        let mut frame = mutation(&mut random);
        frame.truncate(MAX_FRAME);
        if frame.len() < MIN_FRAME {
            frame.resize(MIN_FRAME, 0);
        }
        frame
    })
}

/// Every case of the corpus cut to each of its lengths from [`MIN_FRAME`] on:
/// once with the length fields as they were, and once made to fit.
pub fn truncations() -> impl Iterator<Item = Vec<u8>> {
    seeds().iter().flat_map(|seed| {
        (MIN_FRAME..seed.frame.len()).flat_map(move |len| {
            let cut = seed.frame[..len].to_vec();
            let payload = seed.layout.as_ref().filter(|at| at.payload().is_some_and(|p| p <= len));
            let fitting = payload.map(|layout| {
                let mut cut = cut.clone();
                layout.refit(&mut cut);
                cut
            });
            [cut].into_iter().chain(fitting)
        })
    })
}

fn mutation(random: &mut Random) -> Vec<u8> {
    let frame = random.pick(seeds()).frame.clone();
    mutated(random, frame)
}

/// A frame with a change or a few, of [`MIN_FRAME`] bytes at least.
pub fn mutated(random: &mut Random, mut frame: Vec<u8>) -> Vec<u8> {
    // Usually one change, sometimes a few upon each other.
    let rounds = if random.once_in(4) { 1 + random.below(4) } else { 1 };
    for _ in 0..rounds {
        match random.below(16) {
            0 => flip_bits(random, &mut frame),
            1 => replace_bytes(random, &mut frame),
            2 => insert(random, &mut frame, MIN_FRAME),
            3 => delete(random, &mut frame, MIN_FRAME),
            4 => frame.truncate(MIN_FRAME.max(random.below(frame.len() + 1))),
            5 => splice(random, &mut frame),
            6 => return garbage(random),
            7 => edit_headers(random, &mut frame),
            // The layout is read again, for a round before may have moved things.
            8..=9 => readdress(random, &mut frame),
            _ => edit_payload(random, &mut frame),
        }
    }
    frame
}

fn flip_bits(random: &mut Random, frame: &mut [u8]) {
    for _ in 0..=random.below(8) {
        let at = random.below(frame.len());
        frame[at] ^= 1 << random.below(8);
    }
}

/// Bytes that mean something to a parser of SIP.
const TELLING: &[u8] = b"\r\n\0 \t:;<>\"%@,/AaZz09\x7f\x80\xff";

fn byte(random: &mut Random) -> u8 {
    if random.once_in(2) { random.byte() } else { *random.pick(TELLING) }
}

fn replace_bytes(random: &mut Random, frame: &mut [u8]) {
    if random.once_in(2) {
        let (a, b) = (random.below(frame.len()), random.below(frame.len()));
        frame.swap(a, b);
        return;
    }
    for _ in 0..=random.below(4) {
        let at = random.below(frame.len());
        frame[at] = byte(random);
    }
}

fn insert(random: &mut Random, frame: &mut Vec<u8>, from: usize) {
    let at = from.min(frame.len()) + random.below(frame.len().saturating_sub(from) + 1);
    // Short insertions shift what follows; long ones push it over a bound.
    let len = 1 + if random.once_in(8) { random.below(700) } else { random.below(8) };
    let same = random.once_in(2).then(|| byte(random));
    let bytes: Vec<u8> = (0..len).map(|_| same.unwrap_or_else(|| byte(random))).collect();
    frame.splice(at..at, bytes);
}

fn delete(random: &mut Random, frame: &mut Vec<u8>, from: usize) {
    if frame.len() <= from {
        return;
    }
    let at = from + random.below(frame.len() - from);
    let end = (at + 1 + random.below(16)).min(frame.len());
    frame.drain(at..end);
}

/// The start of one packet and the end of another.
fn splice(random: &mut Random, frame: &mut Vec<u8>) {
    let other = &random.pick(seeds()).frame;
    frame.truncate(random.below(frame.len() + 1));
    frame.extend_from_slice(&other[random.below(other.len())..]);
}

/// Random bytes: as a whole frame, or as what a well-formed packet carries.
fn garbage(random: &mut Random) -> Vec<u8> {
    let longest = if random.once_in(8) { 1500 } else { 100 };
    let len = random.below(longest);
    let bytes: Vec<u8> = (0..len).map(|_| byte(random)).collect();
    if random.once_in(2) {
        return bytes;
    }
    Packet::udp("198.51.100.7:5061", "203.0.113.1:5060").payload(bytes).build()
}

/// A random byte, or one at an end of its range, somewhere before the payload.
fn edit_headers(random: &mut Random, frame: &mut [u8]) {
    let end = layout(frame).and_then(|layout| layout.payload()).unwrap_or(64).min(frame.len());
    for _ in 0..=random.below(3) {
        let at = 12 + random.below(end.saturating_sub(12));
        if let Some(byte) = frame.get_mut(at) {
            *byte = match random.below(4) {
                0 => random.byte(),
                1 => *random.pick(&[0, 1, 0x7f, 0x80, 0xff]),
                2 => byte.wrapping_add(1),
                _ => byte.wrapping_sub(1),
            };
        }
    }
}

/// Bytes of addresses in and beside the lists, and of ports beside 5060.
struct Addresses {
    v4: Vec<[u8; 4]>,
    v6: Vec<[u8; 16]>,
}

fn addresses() -> &'static Addresses {
    static ADDRESSES: OnceLock<Addresses> = OnceLock::new();
    ADDRESSES.get_or_init(|| {
        let mut found = Addresses { v4: Vec::new(), v6: Vec::new() };
        for entry in TRUSTED.iter().chain(BLOCKED) {
            let text = entry.split('/').next().unwrap_or(entry);
            let text = text.strip_prefix('[').and_then(|t| t.split(']').next()).unwrap_or(text);
            let v4 = text.split(':').next().and_then(|t| t.parse::<std::net::Ipv4Addr>().ok());
            if let Some(address) = v4 {
                found.v4.push(address.octets());
            } else if let Ok(address) = text.parse::<std::net::Ipv6Addr>() {
                found.v6.push(address.octets());
            }
        }
        found
    })
}

/// Another source, near an entry of a list, or other ports.
fn readdress(random: &mut Random, frame: &mut [u8]) {
    let Some(layout) = layout(frame) else { return };
    if random.once_in(4) {
        let Some(udp) = layout.udp else { return };
        let port = *random.pick(&[5059u16, 5060, 5061, 5070, 0, 50195]);
        let at = udp + if random.once_in(2) { 0 } else { 2 };
        frame[at..at + 2].copy_from_slice(&port.to_be_bytes());
        return;
    }
    let lists = addresses();
    let source = &mut frame[layout.source];
    match source.len() {
        4 => source.copy_from_slice(&random.pick(&lists.v4)[..]),
        _ => source.copy_from_slice(&random.pick(&lists.v6)[..]),
    }
    // Near: the last bits decide on which side of a boundary it lies.
    if random.once_in(2) {
        let at = source.len() - 1 - random.below(source.len() / 2);
        source[at] ^= 1 << random.below(8);
    }
}

/// One change of the message, with lengths that fit afterwards.
fn edit_payload(random: &mut Random, frame: &mut Vec<u8>) {
    let Some(layout) = layout(frame) else { return };
    let Some(start) = layout.payload() else { return };
    match random.below(13) {
        0 => other_message(random, frame, start),
        1 => insert(random, frame, start),
        2 => delete(random, frame, start),
        3 => frame.truncate(start + random.below(frame.len() - start + 1)),
        4 => line_ends(random, frame, start),
        5 => letter_case(random, &mut frame[start..]),
        6 => colon_space(random, frame, start),
        7 => fold(random, frame, start),
        8 => move_line(random, frame, start),
        9 => lead(random, frame, start),
        10 => fingerprint(random, frame, start),
        _ => user_agent(random, frame, start),
    }
    frame.truncate(MAX_FRAME);
    // Now and then the lengths stay as they were, and disagree.
    if !random.once_in(8) {
        layout.refit(frame);
    }
}

/// The message of another case behind this packet's headers.
fn other_message(random: &mut Random, frame: &mut Vec<u8>, start: usize) {
    let other = random.pick(seeds());
    if let Some(from) = other.layout.as_ref().and_then(Layout::payload) {
        frame.truncate(start);
        frame.extend_from_slice(&other.frame[from..]);
    }
}

/// Some place behind `start` where `wanted` holds for the byte.
fn find(random: &mut Random, frame: &[u8], start: usize, wanted: fn(u8) -> bool) -> Option<usize> {
    let from = start + random.below(frame.len().saturating_sub(start));
    let rest = frame.get(from..)?;
    rest.iter().position(|byte| wanted(*byte)).map(|at| from + at)
}

fn is_lf(byte: u8) -> bool {
    byte == b'\n'
}

/// Bounds of a line that ends behind a random place, its LF included.
fn line(random: &mut Random, frame: &[u8], start: usize) -> Option<(usize, usize)> {
    let end = find(random, frame, start, is_lf)?;
    let before = frame[start..end].iter().rposition(|byte| *byte == b'\n');
    Some((before.map_or(start, |at| start + at + 1), end + 1))
}

/// CRLF to LF everywhere, or one line end to another one.
fn line_ends(random: &mut Random, frame: &mut Vec<u8>, start: usize) {
    if random.once_in(4) {
        let payload = frame.split_off(start);
        frame.extend(payload.into_iter().filter(|byte| *byte != b'\r'));
        return;
    }
    let Some((begin, end)) = line(random, frame, start) else { return };
    let text = frame[begin..end].trim_ascii_end().len();
    const ENDS: [&[u8]; 9] =
        [b"\r\n", b"\n", b"\r", b"", b"\r\r\n", b"\n\r", b"\r\n\r\n", b"\n\n", b"\0"];
    frame.splice(begin + text..end, random.pick(&ENDS).iter().copied());
}

fn letter_case(random: &mut Random, payload: &mut [u8]) {
    let from = random.below(payload.len());
    let end = (from + 1 + random.below(40)).min(payload.len());
    for byte in payload.get_mut(from..end).unwrap_or_default() {
        if byte.is_ascii_alphabetic() && random.once_in(2) {
            *byte ^= 0x20;
        }
    }
}

/// White space before or behind a colon.
fn colon_space(random: &mut Random, frame: &mut Vec<u8>, start: usize) {
    let Some(colon) = find(random, frame, start, |byte| byte == b':') else { return };
    let at = colon + random.below(2);
    let space = *random.pick(b" \t");
    let len = if random.once_in(8) { random.below(80) } else { random.below(4) };
    frame.splice(at..at, std::iter::repeat_n(space, len));
    if len == 0 && frame.get(at) == Some(&b' ') {
        frame.remove(at);
    }
}

/// A folded line at a random place, often at a space.
fn fold(random: &mut Random, frame: &mut Vec<u8>, start: usize) {
    let space = find(random, frame, start, |byte| matches!(byte, b' ' | b':'));
    let at = match space {
        Some(at) if !random.once_in(4) => at + 1,
        _ => start + random.below(frame.len() - start + 1),
    };
    const FOLDS: [&[u8]; 5] = [b"\r\n ", b"\r\n\t", b"\n ", b"\r\n   ", b"\r\n \r\n "];
    frame.splice(at..at, random.pick(&FOLDS).iter().copied());
}

/// Deletes a line, doubles it, or moves it to another line's start.
fn move_line(random: &mut Random, frame: &mut Vec<u8>, start: usize) {
    let Some((begin, end)) = line(random, frame, start) else { return };
    let text = if random.once_in(3) {
        frame[begin..end].to_vec()
    } else {
        frame.drain(begin..end).collect()
    };
    if random.once_in(3) {
        return;
    }
    let Some((at, _)) = line(random, frame, start) else { return };
    let times = if random.once_in(8) { random.below(20) } else { 1 };
    frame.splice(at..at, text.repeat(times));
}

/// CR, LF and NUL before the message.
fn lead(random: &mut Random, frame: &mut Vec<u8>, start: usize) {
    let len = if random.once_in(4) { random.below(1500) } else { random.below(20) };
    let alone = *random.pick(b"\r\n\0");
    let mixed = random.once_in(2);
    let bytes: Vec<u8> =
        (0..len).map(|_| if mixed { *random.pick(b"\r\n\0") } else { alone }).collect();
    frame.splice(start..start, bytes);
}

/// A line that a fingerprint looks at, whole or cut, as a new line somewhere,
/// also of the body.
fn fingerprint(random: &mut Random, frame: &mut Vec<u8>, start: usize) {
    const LINES: &[&str] = &[
        "From: \"1\"<sip:1@x>;tag=63623030373130313133633401323933373333343532",
        "f:<sip:1@x>;tag=3130303001313233343536373839",
        "t : <sip:100@1.1.1.1>",
        "v: SIP/2.0/UDP nm;branch=foo",
        "Via: SIP/2.0/UDP x;branch=zqwehwebK-1",
        "CSeq: 42 OPTIONS",
        "i: 12-34-56",
        "m: <sip:1@x;transport=udp>;expires=1",
        "Contact:sip:a@pc33.atlanta.com",
        "Subject: Performance Test",
        "o=- 16264 18299 IN",
        "m=audio 25282 RTP",
        "s=SIPPTS",
        "Content-Length: 40",
        "l: 0",
    ];
    let Some((at, _)) = line(random, frame, start) else { return };
    let text = random.pick(LINES);
    let cut = if random.once_in(4) { random.below(text.len() + 1) } else { text.len() };
    let end = random.pick(&["\r\n", "\r\n", "\n", "\r\n x\r\n", ""]);
    let times = if random.once_in(8) { random.below(8) } else { 1 };
    frame.splice(at..at, format!("{}{end}", &text[..cut]).repeat(times).bytes());
}

/// A User-Agent with the text of a signature, whole, cut, or with more around
/// it, as a new line somewhere.
fn user_agent(random: &mut Random, frame: &mut Vec<u8>, start: usize) {
    let Some((at, _)) = line(random, frame, start) else { return };
    let name = random.pick(&[
        "User-Agent:",
        "User-Agent: ",
        "user-agent : ",
        "USER-AGENT\t:\t",
        "User-Agen: ",
        "User-Agent\r\n: ",
    ]);
    let text = random.pick(DEFAULT_SIGNATURES).text;
    let before = random.pick(&["", "", "", " ", "x", "x ", "\r\n ", "sipvic"]);
    let behind = random.pick(&["", "", "", " ", "x", " x", "/1.0", "\t \t"]);
    let end = random.pick(&["\r\n", "\r\n", "\n", "\r\n x\r\n", ""]);
    let cut = if random.once_in(4) { random.below(text.len() + 1) } else { text.len() };
    let text = format!("{name}{before}{}{behind}{end}", &text[..cut]);
    frame.splice(at..at, text.bytes());
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_packets() {
        let run = |seed| mutations(seed, 2000).collect::<Vec<_>>();
        assert_eq!(run(1), run(1));
        assert_ne!(run(1), run(2));
    }

    #[test]
    fn lengths_stay_within_bounds_and_packets_differ() {
        let mut seen = HashSet::new();
        let mut sip = 0;
        for frame in mutations(3, 50_000) {
            assert!((MIN_FRAME..=MAX_FRAME).contains(&frame.len()), "{}", frame.len());
            let udp = layout(&frame).and_then(|layout| layout.udp);
            sip +=
                usize::from(udp.is_some_and(|at| frame[at + 2..at + 4] == 5060u16.to_be_bytes()));
            seen.insert(frame);
        }
        // A mutation may find nothing to change and give a case as it is.
        assert!(seen.len() > 40_000, "{} of 50,000 differ", seen.len());
        // Most must reach the code that reads messages.
        assert!(sip > 25_000, "{sip} of 50,000 are for the SIP port");
    }

    #[test]
    fn truncations_cover_every_length() {
        let longest = seeds().iter().map(|seed| seed.frame.len()).max().unwrap_or(0);
        let lengths: HashSet<_> = truncations().map(|frame| frame.len()).collect();
        assert_eq!(lengths.len(), longest - MIN_FRAME);
    }

    #[test]
    fn lists_are_read_whole() {
        let found = addresses();
        assert_eq!(found.v4.len() + found.v6.len(), TRUSTED.len() + BLOCKED.len());
    }
}
