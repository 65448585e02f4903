//! F49: datagrams for a collector, byte by byte.

use super::*;
use crate::explain::{Via, message};

const OPTIONS: &[u8] = b"OPTIONS sip:a@b SIP/2.0\r\n\r\n";

fn frame(from: &str, to: &str, via: Via, payload: &[u8]) -> Vec<u8> {
    message(payload, from.parse().unwrap(), to.parse().unwrap(), via).unwrap()
}

fn v4(payload: &[u8]) -> Vec<u8> {
    frame("198.51.100.7:5061", "203.0.113.1:5060", Via::Udp, payload)
}

/// Vendor, type and value of each chunk.
fn chunks(packet: &[u8]) -> Vec<(u16, u16, Vec<u8>)> {
    let number = |at: usize| u16::from_be_bytes([packet[at], packet[at + 1]]);
    assert_eq!((&packet[..4], usize::from(number(4))), (b"HEP3".as_slice(), packet.len()));
    let (mut at, mut chunks) = (6, Vec::new());
    while at < packet.len() {
        let end = at + usize::from(number(at + 4));
        chunks.push((number(at), number(at + 2), packet[at + 6..end].to_vec()));
        at = end;
    }
    chunks
}

fn encoded(frame: &[u8], password: Option<&str>) -> Vec<u8> {
    let time = Duration::new(1_700_000_000, 123_456_789);
    encode(&sip(frame).unwrap(), time, Sender { id: 2001, password }).unwrap()
}

#[test]
fn f49_every_chunk_has_its_value() {
    let sent = chunks(&encoded(&v4(OPTIONS), Some("secret")));
    let expected: [(u16, &[u8]); 13] = [
        (1, &[2]),
        (3, &[198, 51, 100, 7]),
        (4, &[203, 0, 113, 1]),
        (2, &[17]),
        (7, &[0x13, 0xc5]),
        (8, &[0x13, 0xc4]),
        (9, &[0x65, 0x53, 0xf1, 0x00]),
        (10, &[0, 1, 0xe2, 0x40]),
        (11, &[1]),
        (12, &[0, 0, 0x07, 0xd1]),
        (14, b"secret"),
        (15, OPTIONS),
        (0, &[]),
    ];
    let expected = expected.into_iter().filter(|(kind, _)| *kind != 0);
    let expected: Vec<_> = expected.map(|(kind, value)| (0, kind, value.to_vec())).collect();
    assert_eq!(sent, expected);
    let sent = chunks(&encoded(&v4(OPTIONS), None));
    assert!(sent.iter().all(|(_, kind, _)| *kind != 14) && sent.len() == 11);
}

#[test]
fn f49_ipv6_and_tcp_are_named() {
    let frame = frame("[2001:db8:2::7]:5061", "[2001:db8:1::1]:5060", Via::Tcp, OPTIONS);
    let sent = chunks(&encoded(&frame, None));
    let value = |kind: u16| sent.iter().find(|one| one.1 == kind).map(|one| one.2.clone());
    assert_eq!((value(1), value(2)), (Some(vec![10]), Some(vec![6])));
    assert_eq!((value(3), value(4)), (None, None));
    let address = |text: &str| Some(text.parse::<Ipv6Addr>().unwrap().octets().to_vec());
    assert_eq!((value(5), value(6)), (address("2001:db8:2::7"), address("2001:db8:1::1")));
    assert_eq!(value(15).as_deref(), Some(OPTIONS));
}

#[test]
fn f49_messages_only_are_mirrored() {
    let message = |payload: &[u8]| sip(&v4(payload)).map(|sip| sip.message.to_vec());
    assert_eq!(message(OPTIONS).as_deref(), Some(OPTIONS));
    let behind_line_ends = [b"\r\n\r\n".as_slice(), OPTIONS].concat();
    assert_eq!(message(&behind_line_ends).as_deref(), Some(OPTIONS));
    for sip in [b"SIP/2.0 200 OK\r\n\r\n".as_slice(), b"HACK sip:a@b sip/2.0\r\n\r\n"] {
        assert_eq!(message(sip).as_deref(), Some(sip));
    }
    // The last is what we send ourselves.
    let own = encoded(&v4(OPTIONS), None);
    for other in [b"".as_slice(), b"\r\n\r\n", b"\0\0\0\0", b"GET / HTTP/1.1\r\n\r\n", &own] {
        assert_eq!(message(other), None, "{other:?}");
    }
    // Cut in every place: never a panic, and no more than there is.
    let whole = v4(OPTIONS);
    for len in 0..whole.len() {
        if let Some(sip) = sip(&whole[..len]) {
            assert!(OPTIONS.starts_with(sip.message));
        }
    }
}

#[test]
fn f49_what_fits_into_no_datagram_is_left_out() {
    let (source, destination) =
        ("198.51.100.7:5061".parse().unwrap(), "203.0.113.1:5060".parse().unwrap());
    let long = |len| vec![b'x'; len];
    let made = |message: &[u8], destination| {
        let sip = Sip { source, destination, protocol: 17, message };
        encode(&sip, Duration::ZERO, Sender { id: 1, password: None })
    };
    assert_eq!(made(b"", destination).map(|made| made.len()), Some(99));
    assert!(made(&long(65_507 - 99), destination).is_some());
    assert!(made(&long(65_508 - 99), destination).is_none());
    assert!(made(&long(70_000), destination).is_none());
}

/// In a packet of IPv6, one address may be of IPv4 and mapped: both are told as
/// they were on the wire.
#[test]
fn f49_a_mapped_address_is_told_as_ipv6() {
    let (source, destination) =
        ("198.51.100.7:5061".parse().unwrap(), "[2001:db8::1]:5060".parse().unwrap());
    let sip = Sip { source, destination, protocol: 17, message: OPTIONS };
    let made = encode(&sip, Duration::ZERO, Sender { id: 1, password: None }).unwrap();
    let sent = chunks(&made);
    let value = |kind| sent.iter().find(|(_, found, _)| *found == kind).map(|one| one.2.clone());
    let mapped = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 198, 51, 100, 7];
    assert_eq!((value(1), value(5)), (Some(vec![10]), Some(mapped.to_vec())));
    assert_eq!(value(6).map(|address| address[..4].to_vec()), Some(vec![0x20, 0x01, 0x0d, 0xb8]));
}
