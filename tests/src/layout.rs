//! Where things stand in a well-formed frame: for mutations that must know
//! what they break, and for tests that need a frame's source.
//!
//! This is not the filter's parser and shares no code with it: it reads any
//! number of tags and extension headers, and judges nothing.

use std::ops::Range;

use sipguard_common::abi::Address;

use crate::packet::{ethertype, protocol};

/// Offsets into a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The IP header.
    pub ip: usize,
    /// Its length field: IPv4's total length, IPv6's payload length.
    pub ip_length: usize,
    /// The source address, 4 or 16 bytes.
    pub source: Range<usize>,
    /// The destination address, 4 or 16 bytes.
    pub destination: Range<usize>,
    /// The UDP header, where the frame holds a whole one.
    pub udp: Option<usize>,
}

impl Layout {
    /// What UDP carries, to the end of the frame.
    #[must_use]
    pub fn payload(&self) -> Option<usize> {
        self.udp.map(|udp| udp + 8)
    }

    /// Makes the length fields of IP and UDP fit a frame whose payload was
    /// changed. Checksums are left alone: nothing in a filter reads them.
    pub fn refit(&self, frame: &mut [u8]) {
        let len = frame.len();
        let ip_start = if self.is_ipv4() { self.ip } else { self.ip + 40 };
        put(frame, self.ip_length, len.saturating_sub(ip_start));
        if let Some(udp) = self.udp {
            put(frame, udp + 4, len.saturating_sub(udp));
        }
    }

    /// Whether the addresses are IPv4.
    #[must_use]
    pub fn is_ipv4(&self) -> bool {
        self.source.len() == 4
    }
}

fn put(frame: &mut [u8], at: usize, value: usize) {
    if let Some(field) = frame.get_mut(at..at + 2) {
        field.copy_from_slice(&(value as u16).to_be_bytes());
    }
}

fn get(frame: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(frame.get(at..at + 2)?.try_into().ok()?))
}

/// Reads a frame's headers; `None` where it holds no whole IP header.
#[must_use]
pub fn layout(frame: &[u8]) -> Option<Layout> {
    let mut at = 12;
    let mut kind = get(frame, at)?;
    while matches!(kind, ethertype::VLAN | ethertype::QINQ | ethertype::QINQ_OLD) {
        at += 4;
        kind = get(frame, at)?;
    }
    let ip = at + 2;
    match kind {
        ethertype::IPV4 => ipv4(frame, ip),
        ethertype::IPV6 => ipv6(frame, ip),
        _ => None,
    }
}

fn ipv4(frame: &[u8], ip: usize) -> Option<Layout> {
    let header = frame.get(ip..ip + 20)?;
    let later = u16::from_be_bytes([header[6], header[7]]) & 0x1fff != 0;
    let at = ip + usize::from(header[0] & 0x0f) * 4;
    let udp = header[9] == protocol::UDP && !later && frame.len() >= at + 8;
    Some(Layout {
        ip,
        ip_length: ip + 2,
        source: ip + 12..ip + 16,
        destination: ip + 16..ip + 20,
        udp: udp.then_some(at),
    })
}

fn ipv6(frame: &[u8], ip: usize) -> Option<Layout> {
    let header = frame.get(ip..ip + 40)?;
    Some(Layout {
        ip,
        ip_length: ip + 4,
        source: ip + 8..ip + 24,
        destination: ip + 24..ip + 40,
        udp: udp_behind(frame, header[6], ip + 40),
    })
}

/// The UDP header behind a chain of extension headers.
fn udp_behind(frame: &[u8], mut next: u8, mut at: usize) -> Option<usize> {
    loop {
        let head = frame.get(at..at + 8)?;
        match next {
            protocol::UDP => return Some(at),
            protocol::HOP_BY_HOP | protocol::ROUTING | protocol::DESTINATION => {
                at += (usize::from(head[1]) + 1) * 8;
            }
            protocol::FRAGMENT if u16::from_be_bytes([head[2], head[3]]) & 0xfff8 == 0 => at += 8,
            _ => return None,
        }
        next = head[0];
    }
}

/// The source address of a frame; `None` where it holds no whole IP header.
#[must_use]
pub fn source(frame: &[u8]) -> Option<Address> {
    let bytes = &frame[layout(frame)?.source];
    if let Ok(octets) = <[u8; 4]>::try_from(bytes) {
        return Some(Address::v4(octets));
    }
    Some(Address::from_octets(bytes.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::Packet;

    #[test]
    fn finds_source_and_payload_in_every_form() {
        let v4 = Packet::udp("198.51.100.7:5061", "203.0.113.1:5060").payload(b"payload");
        let v6 = Packet::udp("[2001:db8:5::7]:5061", "[2001:db8:2::1]:5060").payload(b"payload");
        for packet in [
            v4.clone(),
            v4.clone().vlan(7).vlan(8),
            v4.clone().ipv4_options(&[1; 8]),
            v6.clone(),
            v6.clone().padding_extension(protocol::HOP_BY_HOP).fragment(0, 99),
        ] {
            let frame = packet.build();
            let layout = layout(&frame).unwrap();
            assert_eq!(&frame[layout.payload().unwrap()..], b"payload");
            let expected = if layout.is_ipv4() { v4.build() } else { v6.build() };
            assert_eq!(source(&frame), source(&expected));
            // Lengths that fit already stay.
            let mut same = frame.clone();
            layout.refit(&mut same);
            assert_eq!(same, frame);
        }
        assert_eq!(source(&v4.build()), Some(Address::v4([198, 51, 100, 7])));
        assert_eq!(layout(&v4.clone().fragment(8, 8).build()).unwrap().udp, None);
        assert_eq!(layout(&v4.cut(33).build()), None);
    }
}
