//! Packets that must pass however they vary: what peers that are trusted send,
//! whatever it is; what phones that are verified send; and the harmless messages of
//! the corpus, written in all the ways that the grammar allows (RFC 3261 section 7).

use std::sync::OnceLock;

use sipguard_common::{abi::Endpoint, method::Method};

use crate::{
    corpus::{Setup, corpus},
    layout::layout,
    mutate::mutated,
    packet::Packet,
    random::Random,
    sip::Message,
};

/// The phone that [`Who::Verified`] is.
pub const PHONE: &str = "198.51.100.200:5061";

const SERVER: &str = "203.0.113.1:5060";
const SERVER_V6: &str = "[2001:db8:2::1]:5060";

/// Bytes of a message at most: more are not read, and a match may hide there.
const LONGEST: usize = 1400;

/// Who sends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Who {
    Trusted,
    Verified,
    Stranger,
}

/// One packet.
pub fn packet(random: &mut Random) -> (Who, Vec<u8>) {
    match random.below(4) {
        0 => (Who::Trusted, trusted(random)),
        1 => (Who::Verified, verified(random)),
        _ => (Who::Stranger, stranger(random)),
    }
}

/// The endpoint of [`PHONE`].
///
/// # Panics
/// Never: a packet of its own has a sender.
#[must_use]
pub fn phone() -> Endpoint {
    let frame = Packet::udp(PHONE, SERVER).payload("x").build();
    let mut packet = sipguard_common::frame::Packet::ZERO;
    sipguard_common::frame::parse(frame.as_slice(), &mut packet).expect("a packet");
    packet.sender()
}

/// Anything at all from an entry of the trusted list.
fn trusted(random: &mut Random) -> Vec<u8> {
    let port = if random.once_in(2) { 5060 } else { 1 + random.below(65_535) };
    let (from, to) = match random.below(6) {
        0 => (format!("192.0.2.10:{port}"), SERVER),
        1..=2 => (format!("192.0.2.{}:{port}", 64 + random.below(64)), SERVER),
        3 => ("192.0.2.20:5060".to_owned(), SERVER),
        4 => (format!("[2001:db8:1:64::{:x}]:{port}", random.below(65_536)), SERVER_V6),
        _ => ("[2001:db8:1::20]:5060".to_owned(), SERVER_V6),
    };
    let message = random.pick(harmless()).clone();
    // Headers that do not belong to it are broken, too: payload like any other.
    let mut payload = mutated(random, message);
    payload.truncate(LONGEST);
    let packet = match random.once_in(4) {
        true => Packet::tcp(&from, to),
        false => Packet::udp(&from, to),
    };
    packet.payload(payload).build()
}

fn verified(random: &mut Random) -> Vec<u8> {
    let method = random.pick(&Method::ALL[1..]).name();
    let message = Message::request(method, "sip:100@203.0.113.1").agent("Phone 1.0").build();
    Packet::udp(PHONE, SERVER).payload(varied(random, message)).build()
}

/// Of some address that was quiet for long.
fn stranger(random: &mut Random) -> Vec<u8> {
    let message = random.pick(harmless()).clone();
    let (host, port) = (1 + random.below(190), 1024 + random.below(60_000));
    Packet::udp(&format!("198.51.100.{host}:{port}"), SERVER)
        .payload(varied(random, message))
        .build()
}

/// Messages of strangers in the corpus that must never be dropped.
fn harmless() -> &'static [Vec<u8>] {
    static HARMLESS: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    HARMLESS.get_or_init(|| {
        let cases = corpus().into_iter().filter(|case| case.id.starts_with('L'));
        let cases = cases.filter(|case| case.setup == Setup::Base && case.method.is_some());
        let messages = cases.filter_map(|case| {
            let start = layout(&case.frame)?.payload()?;
            let message = case.frame.get(start..)?;
            (message.len() < LONGEST && message.ends_with(b"\n")).then(|| message.to_vec())
        });
        let messages: Vec<_> = messages.collect();
        assert!(messages.len() > 20, "{} harmless messages", messages.len());
        messages
    })
}

/// The same message in other words.
fn varied(random: &mut Random, message: Vec<u8>) -> Vec<u8> {
    let text = String::from_utf8_lossy(&message).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let mut lines: Vec<String> = head.split("\r\n").map(str::to_owned).collect();
    for _ in 0..=random.below(4) {
        vary(random, &mut lines);
    }
    let end = if random.once_in(6) { "\n" } else { "\r\n" };
    let lead = if random.once_in(6) { "\r\n".repeat(1 + random.below(4)) } else { String::new() };
    // A fold has its own line end inside a line.
    let head = lines.join("\r\n").replace("\r\n", end);
    let varied = format!("{lead}{head}{end}{end}{body}").into_bytes();
    if varied.len() > LONGEST { message } else { varied }
}

/// One change of the lines behind the first.
fn vary(random: &mut Random, lines: &mut Vec<String>) {
    if lines.len() < 3 {
        return;
    }
    let at = 1 + random.below(lines.len() - 1);
    let other = 1 + random.below(lines.len() - 1);
    let line = lines[at].clone();
    let Some((name, value)) = line.split_once(':') else { return };
    match random.below(8) {
        // Of several lines of one name the order counts.
        0 if name != lines[other].split(':').next().unwrap_or_default() => lines.swap(at, other),
        1 => lines[at] = format!("{}:{value}", cased(random, name)),
        2 => {
            let short = COMPACT.iter().find(|(long, _)| long.eq_ignore_ascii_case(name.trim()));
            if let Some((_, short)) = short {
                lines[at] = format!("{short}:{value}");
            }
        }
        3 => {
            let space = |random: &mut Random| ["", " ", "  ", "\t", " \t "][random.below(5)];
            let (before, behind) = (space(random), space(random));
            lines[at] = format!("{}{before}:{behind}{}", name.trim(), value.trim());
        }
        4 => lines[at] = format!("{name}:\r\n {}", value.trim_start()),
        5 => {
            if let Some(space) = value.trim().rfind(' ') {
                let (first, last) = value.trim().split_at(space);
                lines[at] = format!("{name}: {first}\r\n{last}");
            }
        }
        6 => lines.insert(at, format!("X-{}: {}", word(random), word(random))),
        _ if name.eq_ignore_ascii_case("Call-ID") => {
            lines[at] = format!("{name}: {}", word(random))
        }
        _ => {
            if let Some((before, behind)) = line.split_once("tag=") {
                let rest = behind.find([';', ',', '\r', '>']).map_or("", |end| &behind[end..]);
                lines[at] = format!("{before}tag={}{rest}", word(random));
            }
        }
    }
}

const COMPACT: &[(&str, &str)] = &[
    ("From", "f"),
    ("To", "t"),
    ("Via", "v"),
    ("Call-ID", "i"),
    ("Contact", "m"),
    ("Subject", "s"),
    ("Content-Type", "c"),
    ("Content-Length", "l"),
];

fn cased(random: &mut Random, text: &str) -> String {
    let one =
        |c: char| if random.once_in(2) { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() };
    text.chars().map(one).collect()
}

/// Letters that no scanner writes.
fn word(random: &mut Random) -> String {
    (0..3 + random.below(20)).map(|_| char::from(*random.pick(b"bdghjklmqrtwxyz"))).collect()
}
