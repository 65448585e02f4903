//! Frames by hand: well-formed by default, and wrong exactly where a test
//! wants them to be.

use std::net::{IpAddr, SocketAddr};

use crate::checksum;

/// Shortest Ethernet frame without its check sequence.
const MIN_ETHERNET: usize = 60;

/// EtherTypes.
pub mod ethertype {
    pub const IPV4: u16 = 0x0800;
    pub const ARP: u16 = 0x0806;
    pub const VLAN: u16 = 0x8100;
    pub const IPV6: u16 = 0x86dd;
    pub const MPLS: u16 = 0x8847;
    pub const PPPOE: u16 = 0x8864;
    /// 802.1ad, the outer tag of QinQ.
    pub const QINQ: u16 = 0x88a8;
    /// The outer tag of QinQ before 802.1ad.
    pub const QINQ_OLD: u16 = 0x9100;
}

/// Protocol numbers of IPv4 and next header values of IPv6.
pub mod protocol {
    pub const HOP_BY_HOP: u8 = 0;
    pub const ICMP: u8 = 1;
    pub const IPIP: u8 = 4;
    pub const TCP: u8 = 6;
    pub const UDP: u8 = 17;
    pub const ROUTING: u8 = 43;
    pub const FRAGMENT: u8 = 44;
    pub const GRE: u8 = 47;
    pub const ICMPV6: u8 = 58;
    pub const NONE: u8 = 59;
    pub const DESTINATION: u8 = 60;
    pub const SCTP: u8 = 132;
    pub const UDP_LITE: u8 = 136;
}

/// Flags of a TCP header.
pub mod flag {
    pub const FIN: u8 = 0x01;
    pub const SYN: u8 = 0x02;
    pub const RST: u8 = 0x04;
    pub const PSH: u8 = 0x08;
    pub const ACK: u8 = 0x10;
}

/// A UDP or TCP checksum.
#[derive(Clone, Copy, Debug)]
enum Checksum {
    Right,
    Wrong,
    /// The field is 0: over IPv4 "not computed".
    Absent,
}

#[derive(Clone, Debug)]
enum Transport {
    Udp {
        length: Option<u16>,
    },
    Tcp {
        flags: u8,
    },
    /// The payload stands right behind the IP headers.
    Raw {
        protocol: u8,
    },
}

/// A packet to build. Addresses and ports are given as text, such as
/// `"198.51.100.7:5061"` or `"[2001:db8:5::7]:5061"`; methods panic on text
/// that is no address, for every caller passes a literal.
#[derive(Clone, Debug)]
pub struct Packet {
    from: SocketAddr,
    to: SocketAddr,
    tags: Vec<(u16, u16)>,
    transport: Transport,
    checksum: Checksum,
    payload: Vec<u8>,
    options: Vec<u8>,
    extensions: Vec<(u8, Vec<u8>)>,
    fragment: Option<(usize, usize)>,
    first_byte: Option<u8>,
    ip_length: Option<u16>,
    pad: bool,
    cut: Option<usize>,
}

impl Packet {
    /// A UDP datagram.
    #[must_use]
    pub fn udp(from: &str, to: &str) -> Self {
        Self::new(from, to, Transport::Udp { length: None })
    }

    /// A TCP segment with `PSH` and `ACK` set.
    #[must_use]
    pub fn tcp(from: &str, to: &str) -> Self {
        Self::new(from, to, Transport::Tcp { flags: flag::PSH | flag::ACK })
    }

    /// The payload right behind the IP header, as this protocol number.
    #[must_use]
    pub fn raw(from: &str, to: &str, protocol: u8) -> Self {
        Self::new(from, to, Transport::Raw { protocol })
    }

    /// An ICMP or ICMPv6 message with a right checksum: `kind`, `code`, and
    /// what stands behind the checksum field.
    #[must_use]
    pub fn icmp(from: &str, to: &str, kind: u8, code: u8, rest: &[u8]) -> Self {
        let (from_ip, to_ip) = (socket(from).ip(), socket(to).ip());
        let mut message = vec![kind, code, 0, 0];
        message.extend_from_slice(rest);
        let (protocol, sum) = if from_ip.is_ipv4() {
            (protocol::ICMP, checksum::internet(&[&message]))
        } else {
            let protocol = protocol::ICMPV6;
            (protocol, checksum::segment(from_ip, to_ip, protocol, &message))
        };
        message[2..4].copy_from_slice(&sum.to_be_bytes());
        Self::raw(from, to, protocol).payload(message)
    }

    fn new(from: &str, to: &str, transport: Transport) -> Self {
        let (from, to) = (socket(from), socket(to));
        assert_eq!(from.is_ipv4(), to.is_ipv4(), "{from} and {to} are of two families");
        Self {
            from,
            to,
            tags: Vec::new(),
            transport,
            checksum: Checksum::Right,
            payload: Vec::new(),
            options: Vec::new(),
            extensions: Vec::new(),
            fragment: None,
            first_byte: None,
            ip_length: None,
            pad: false,
            cut: None,
        }
    }

    /// What UDP or TCP carries.
    #[must_use]
    pub fn payload(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.payload = bytes.as_ref().to_vec();
        self
    }

    /// One more VLAN tag inside of those already there: 802.1Q, this VLAN id.
    #[must_use]
    pub fn vlan(self, id: u16) -> Self {
        self.tag(ethertype::VLAN, id)
    }

    /// One more tag inside of those already there: its EtherType and the
    /// whole 16-bit tag control field.
    #[must_use]
    pub fn tag(mut self, ethertype: u16, control: u16) -> Self {
        self.tags.push((ethertype, control));
        self
    }

    /// Options of the IPv4 header, padded with "end of options" to a
    /// multiple of four bytes; at most 40 bytes.
    #[must_use]
    pub fn ipv4_options(mut self, options: &[u8]) -> Self {
        self.options = options.to_vec();
        self.options.resize(options.len().next_multiple_of(4), 0);
        assert!(self.options.len() <= 40, "IPv4 options of {} bytes", self.options.len());
        self
    }

    /// One more IPv6 extension header: its kind ([`protocol`]) and what stands
    /// behind its first two bytes, padded with zeros to a multiple of eight.
    #[must_use]
    pub fn extension(mut self, kind: u8, body: &[u8]) -> Self {
        let mut body = body.to_vec();
        body.resize((body.len() + 2).next_multiple_of(8) - 2, 0);
        self.extensions.push((kind, body));
        self
    }

    /// A hop-by-hop or destination header that holds one PadN option.
    #[must_use]
    pub fn padding_extension(self, kind: u8) -> Self {
        self.extension(kind, &[1, 4, 0, 0, 0, 0])
    }

    /// Only this part of the UDP or TCP segment, as an IP fragment: `len`
    /// bytes from `offset`, a multiple of 8. "More fragments" is set unless
    /// the part reaches the segment's end.
    #[must_use]
    pub fn fragment(mut self, offset: usize, len: usize) -> Self {
        assert_eq!(offset % 8, 0, "fragment offset {offset}");
        self.fragment = Some((offset, len));
        self
    }

    /// Overrides the length field of the UDP header.
    #[must_use]
    pub fn udp_length(mut self, length: u16) -> Self {
        self.transport = Transport::Udp { length: Some(length) };
        self
    }

    /// Overrides the flags of the TCP header.
    #[must_use]
    pub fn tcp_flags(mut self, flags: u8) -> Self {
        self.transport = Transport::Tcp { flags };
        self
    }

    /// A UDP or TCP checksum that is off by one.
    #[must_use]
    pub fn wrong_checksum(mut self) -> Self {
        self.checksum = Checksum::Wrong;
        self
    }

    /// No UDP checksum: the field is 0.
    #[must_use]
    pub fn no_checksum(mut self) -> Self {
        self.checksum = Checksum::Absent;
        self
    }

    /// Overrides the first byte of the IP header: version, and header length
    /// in words for IPv4.
    #[must_use]
    pub fn ip_first_byte(mut self, byte: u8) -> Self {
        self.first_byte = Some(byte);
        self
    }

    /// Overrides IPv4's total length or IPv6's payload length.
    #[must_use]
    pub fn ip_length(mut self, length: u16) -> Self {
        self.ip_length = Some(length);
        self
    }

    /// Pads the frame with zeros to 60 bytes, as a sender's network card
    /// does. No length field knows of the padding.
    #[must_use]
    pub fn pad(mut self) -> Self {
        self.pad = true;
        self
    }

    /// Ends the frame after this many bytes; no length field knows of it.
    #[must_use]
    pub fn cut(mut self, len: usize) -> Self {
        self.cut = Some(len);
        self
    }

    /// The frame, from its first Ethernet byte on, without check sequence.
    #[must_use]
    pub fn build(&self) -> Vec<u8> {
        let segment = self.segment();
        let (part, fragment) = match self.fragment {
            None => (segment.as_slice(), None),
            Some((offset, len)) => {
                let end = (offset + len).min(segment.len());
                (&segment[offset.min(end)..end], Some((offset, end < segment.len())))
            }
        };
        let (ethertype, ip) = match (self.from.ip(), self.to.ip()) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                (ethertype::IPV4, self.ipv4(from.octets(), to.octets(), part, fragment))
            }
            (IpAddr::V6(from), IpAddr::V6(to)) => {
                (ethertype::IPV6, self.ipv6(from.octets(), to.octets(), part, fragment))
            }
            _ => unreachable!("the families were compared by new()"),
        };
        let mut frame = ethernet(&self.tags, ethertype, &ip);
        if self.pad && frame.len() < MIN_ETHERNET {
            frame.resize(MIN_ETHERNET, 0);
        }
        if let Some(len) = self.cut {
            frame.truncate(len);
        }
        frame
    }

    fn protocol(&self) -> u8 {
        match self.transport {
            Transport::Udp { .. } => protocol::UDP,
            Transport::Tcp { .. } => protocol::TCP,
            Transport::Raw { protocol } => protocol,
        }
    }

    fn segment(&self) -> Vec<u8> {
        let ports = [self.from.port().to_be_bytes(), self.to.port().to_be_bytes()].concat();
        let (mut bytes, at) = match self.transport {
            Transport::Raw { .. } => return self.payload.clone(),
            Transport::Udp { length } => {
                let length = length.unwrap_or((8 + self.payload.len()) as u16);
                ([&ports[..], &length.to_be_bytes(), &[0, 0]].concat(), 6)
            }
            Transport::Tcp { flags } => {
                let acknowledged = if flags & flag::ACK == 0 { 0u32 } else { 0x2000_0001 };
                let numbers = [0x1000_0001u32.to_be_bytes(), acknowledged.to_be_bytes()].concat();
                // Five words of header, a window of 64,240 bytes, no urgent data.
                ([&ports[..], &numbers, &[0x50, flags, 0xfa, 0xf0, 0, 0, 0, 0]].concat(), 16)
            }
        };
        bytes.extend_from_slice(&self.payload);
        let right = match checksum::segment(self.from.ip(), self.to.ip(), self.protocol(), &bytes) {
            // A UDP checksum of 0 is sent as its other zero (RFC 768).
            0 if matches!(self.transport, Transport::Udp { .. }) => 0xffff,
            sum => sum,
        };
        let sum = match self.checksum {
            Checksum::Right => right,
            Checksum::Wrong => right ^ 1,
            Checksum::Absent => 0,
        };
        bytes[at..at + 2].copy_from_slice(&sum.to_be_bytes());
        bytes
    }

    fn ipv4(
        &self,
        from: [u8; 4],
        to: [u8; 4],
        part: &[u8],
        fragment: Option<(usize, bool)>,
    ) -> Vec<u8> {
        assert!(self.extensions.is_empty(), "IPv4 has no extension headers");
        let header_len = 20 + self.options.len();
        let first = self.first_byte.unwrap_or(0x40 | (header_len / 4) as u8);
        let length = self.ip_length.unwrap_or((header_len + part.len()) as u16);
        // "Don't fragment" on whole packets.
        let position: u16 = match fragment {
            None => 0x4000,
            Some((offset, more)) => (offset / 8) as u16 | if more { 0x2000 } else { 0 },
        };
        let mut header = vec![first, 0];
        header.extend_from_slice(&length.to_be_bytes());
        header.extend_from_slice(&0x1234u16.to_be_bytes());
        header.extend_from_slice(&position.to_be_bytes());
        header.extend_from_slice(&[64, self.protocol(), 0, 0]);
        header.extend_from_slice(&from);
        header.extend_from_slice(&to);
        header.extend_from_slice(&self.options);
        let sum = checksum::internet(&[&header]);
        header[10..12].copy_from_slice(&sum.to_be_bytes());
        [&header, part].concat()
    }

    fn ipv6(
        &self,
        from: [u8; 16],
        to: [u8; 16],
        part: &[u8],
        fragment: Option<(usize, bool)>,
    ) -> Vec<u8> {
        assert!(self.options.is_empty(), "IPv6 has no header options");
        let mut headers = self.extensions.clone();
        if let Some((offset, more)) = fragment {
            let position = (offset as u16) | u16::from(more);
            let [a, b] = position.to_be_bytes();
            headers.push((protocol::FRAGMENT, vec![a, b, 0, 0, 0x12, 0x34]));
        }
        let mut chain = Vec::new();
        for (i, (kind, body)) in headers.iter().enumerate() {
            let next = headers.get(i + 1).map_or(self.protocol(), |(kind, _)| *kind);
            // A fragment header has a reserved byte in place of its length.
            let len =
                if *kind == protocol::FRAGMENT { 0 } else { ((body.len() + 2) / 8 - 1) as u8 };
            chain.extend_from_slice(&[next, len]);
            chain.extend_from_slice(body);
        }
        let first = self.first_byte.unwrap_or(0x60);
        let length = self.ip_length.unwrap_or((chain.len() + part.len()) as u16);
        let next = headers.first().map_or(self.protocol(), |(kind, _)| *kind);
        let mut header = vec![first, 0, 0, 0];
        header.extend_from_slice(&length.to_be_bytes());
        header.extend_from_slice(&[next, 64]);
        header.extend_from_slice(&from);
        header.extend_from_slice(&to);
        [&header, &chain, part].concat()
    }
}

/// A frame of any EtherType between the two machines of the corpus.
#[must_use]
pub fn ethernet(tags: &[(u16, u16)], ethertype: u16, content: &[u8]) -> Vec<u8> {
    // Locally administered addresses.
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
    for (kind, control) in tags {
        frame.extend_from_slice(&kind.to_be_bytes());
        frame.extend_from_slice(&control.to_be_bytes());
    }
    frame.extend_from_slice(&ethertype.to_be_bytes());
    frame.extend_from_slice(content);
    frame
}

/// An ARP request (RFC 826): who has `to`, tell `from`.
#[must_use]
pub fn arp(from: [u8; 4], to: [u8; 4]) -> Vec<u8> {
    let mut content = vec![0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 2];
    content.extend_from_slice(&from);
    content.extend_from_slice(&[0; 6]);
    content.extend_from_slice(&to);
    ethernet(&[], ethertype::ARP, &content)
}

fn socket(text: &str) -> SocketAddr {
    text.parse().unwrap_or_else(|_| panic!("{text:?} is no address with port"))
}

#[cfg(test)]
mod tests {
    use etherparse::{IpNumber, NetSlice, SlicedPacket, TransportSlice, UdpHeader};

    use super::*;

    const V4: [&str; 2] = ["198.51.100.7:5061", "203.0.113.1:5060"];
    const V6: [&str; 2] = ["[2001:db8:5::7]:5061", "[2001:db8:2::1]:5060"];

    /// What an independent reader finds in a UDP frame, its checksums compared.
    fn read_udp(frame: &[u8]) -> (u16, u16, Vec<u8>) {
        let packet = SlicedPacket::from_ethernet(frame).unwrap();
        let Some(TransportSlice::Udp(udp)) = packet.transport else {
            panic!("no UDP in {packet:?}")
        };
        let header = udp.to_header();
        let expected = match packet.net.unwrap() {
            NetSlice::Ipv4(ip) => {
                let header = ip.header().to_header();
                assert_eq!(header.calc_header_checksum(), header.header_checksum);
                assert_eq!(header.source, [198, 51, 100, 7]);
                assert_eq!(header.destination, [203, 0, 113, 1]);
                UdpHeader::with_ipv4_checksum(
                    udp.source_port(),
                    udp.destination_port(),
                    &header,
                    udp.payload(),
                )
            }
            NetSlice::Ipv6(ip) => UdpHeader::with_ipv6_checksum(
                udp.source_port(),
                udp.destination_port(),
                &ip.header().to_header(),
                udp.payload(),
            ),
            other => panic!("no IP in {other:?}"),
        };
        assert_eq!(header, expected.unwrap());
        (udp.source_port(), udp.destination_port(), udp.payload().to_vec())
    }

    #[test]
    fn udp_reads_back_in_every_form() {
        let payload = b"OPTIONS sip:x SIP/2.0\r\n\r";
        let expected = (5061, 5060, payload.to_vec());
        for packet in [
            Packet::udp(V4[0], V4[1]),
            Packet::udp(V4[0], V4[1]).vlan(7),
            Packet::udp(V4[0], V4[1]).tag(ethertype::QINQ, 0x2007).vlan(8),
            Packet::udp(V4[0], V4[1]).tag(ethertype::QINQ_OLD, 7).vlan(8),
            Packet::udp(V4[0], V4[1]).ipv4_options(&[1, 1, 1]),
            Packet::udp(V4[0], V4[1]).ipv4_options(&[1; 40]),
            Packet::udp(V4[0], V4[1]).pad(),
            Packet::udp(V6[0], V6[1]),
            Packet::udp(V6[0], V6[1]).vlan(7),
            Packet::udp(V6[0], V6[1])
                .padding_extension(protocol::HOP_BY_HOP)
                .extension(protocol::ROUTING, &[0; 6])
                .padding_extension(protocol::DESTINATION),
            Packet::udp(V6[0], V6[1]).fragment(0, 1000),
        ] {
            assert_eq!(read_udp(&packet.clone().payload(payload).build()), expected, "{packet:?}");
        }
    }

    #[test]
    fn padding_does_not_grow_the_payload() {
        let frame = Packet::udp(V4[0], V4[1]).payload(b"HELLO").pad().build();
        assert_eq!(frame.len(), MIN_ETHERNET);
        assert_eq!(read_udp(&frame).2, b"HELLO");
    }

    #[test]
    fn tcp_reads_back_with_its_checksum() {
        for [from, to] in [V4, V6] {
            let frame =
                Packet::tcp(from, to).tcp_flags(flag::SYN | flag::ACK).payload(b"abc").build();
            let packet = SlicedPacket::from_ethernet(&frame).unwrap();
            let Some(TransportSlice::Tcp(tcp)) = packet.transport else { panic!("{packet:?}") };
            let (header, payload) = (tcp.to_header(), tcp.payload());
            let sum = match packet.net.unwrap() {
                NetSlice::Ipv4(ip) => {
                    header.calc_checksum_ipv4(&ip.header().to_header(), payload).unwrap()
                }
                NetSlice::Ipv6(ip) => {
                    header.calc_checksum_ipv6(&ip.header().to_header(), payload).unwrap()
                }
                other => panic!("{other:?}"),
            };
            assert_eq!((header.checksum, payload), (sum, &b"abc"[..]));
            assert!(header.syn && header.ack && !header.psh);
        }
    }

    #[test]
    fn fragments_join_to_the_whole() {
        let payload: Vec<u8> = (0..100).collect();
        for [from, to] in [V4, V6] {
            let whole = Packet::udp(from, to).payload(&payload);
            let mut joined = Vec::new();
            for offset in [0, 48, 96] {
                let frame = whole.clone().fragment(offset, 48).build();
                let packet = SlicedPacket::from_ethernet(&frame).unwrap();
                let ip = packet.net.unwrap();
                let part = ip.ip_payload_ref().unwrap();
                assert!(part.fragmented && part.ip_number == IpNumber::UDP);
                joined.extend_from_slice(part.payload);
                let (at, more) = match ip {
                    NetSlice::Ipv4(ip) => {
                        (ip.header().fragments_offset().byte_offset(), ip.header().more_fragments())
                    }
                    _ => continue,
                };
                assert_eq!((usize::from(at), more), (offset, offset != 96));
            }
            assert_eq!(joined, whole.segment());
        }
    }

    #[test]
    fn overrides_are_wrong_only_where_asked() {
        let base = Packet::udp(V4[0], V4[1]).payload(b"0123456789");
        let [frame, longer] = [base.clone(), base.clone().udp_length(99)].map(|p| p.build());
        assert_eq!(longer[38..40], 99u16.to_be_bytes());
        assert_eq!((&frame[..38], &frame[42..]), (&longer[..38], &longer[42..]));
        let wrong = base.clone().wrong_checksum().build();
        assert_ne!(wrong[40..42], frame[40..42]);
        assert_eq!(base.clone().no_checksum().build()[40..42], [0, 0]);
        assert_eq!(base.clone().cut(30).build(), frame[..30]);
        assert_eq!(base.ip_first_byte(0x4f).build()[14], 0x4f);
    }

    #[test]
    fn icmp_and_arp_read_back() {
        let frame =
            Packet::icmp("198.51.100.7:0", "203.0.113.1:0", 8, 0, b"\0\x01\0\x01ping").build();
        let packet = SlicedPacket::from_ethernet(&frame).unwrap();
        let Some(TransportSlice::Icmpv4(icmp)) = packet.transport else { panic!("{packet:?}") };
        assert!(icmp.header().icmp_type.calc_checksum(icmp.payload()) == icmp.checksum());
        let frame = arp([198, 51, 100, 7], [203, 0, 113, 1]);
        let packet = SlicedPacket::from_ethernet(&frame).unwrap();
        assert!(matches!(packet.net, Some(NetSlice::Arp(_))), "{packet:?}");
    }
}
