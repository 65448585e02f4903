//! From an Ethernet frame to a packet: the only parser of link, network and
//! transport headers. It reads through [`Frame`], so that the same code runs
//! on a packet in the kernel and on a slice in tests.
//!
//! What it cannot read is not ours and passes: [`parse`] gives `None`.

use crate::abi::{Address, Endpoint};

/// Bounds-checked access to a frame.
pub trait Frame {
    /// The big-endian word at `offset`, or `None` where the frame is shorter.
    fn word(&self, offset: u32) -> Option<u32>;
    /// `N` words in memory order from `offset` on, or `None` where the frame is
    /// shorter.
    fn load<const N: usize>(&self, offset: u32, into: &mut [u32; N]) -> Option<()>;
    /// Length of the frame in bytes.
    fn len(&self) -> u32;
    /// The lower of `end` and the length of the frame, which may be cheaper to
    /// tell than the length.
    fn clip(&self, end: u32) -> u32 {
        end.min(self.len())
    }
    /// Whether the frame holds nothing at all.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Frame for [u8] {
    fn word(&self, offset: u32) -> Option<u32> {
        let start = offset as usize;
        let bytes = self.get(start..start.checked_add(4)?)?;
        Some(u32::from_be_bytes(bytes.try_into().ok()?))
    }

    fn load<const N: usize>(&self, offset: u32, into: &mut [u32; N]) -> Option<()> {
        for (word, at) in into.iter_mut().zip((offset..).step_by(4)) {
            *word = self.word(at)?.to_be();
        }
        Some(())
    }

    fn len(&self) -> u32 {
        u32::try_from(<[u8]>::len(self)).unwrap_or(u32::MAX)
    }
}

/// What a packet carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    Udp,
    /// A segment of a connection, with a payload.
    Tcp,
    /// One without.
    TcpEmpty,
    /// A segment that asks for a new connection.
    Syn,
    /// A fragment of UDP or TCP other than the first: no ports.
    LaterFragment,
}

/// The headers of an IP packet with UDP or TCP in it. In the kernel this lies
/// in a map, for the verifier keeps track of memory worse than of registers,
/// and is the better for it: see `offset`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Packet {
    pub source: Address,
    pub destination: Address,
    /// Zero in later fragments.
    pub source_port: [u8; 2],
    pub destination_port: [u8; 2],
    /// Where the payload starts in the frame, and its length there.
    pub payload: u32,
    pub len: u32,
    /// Length of the whole datagram's payload by its header, which a first
    /// fragment holds only a part of; 0 for TCP.
    pub declared: u32,
    /// Where the headers of IP, and of UDP or TCP, start in the frame.
    network: u32,
    transport: u32,
    /// The protocol number of IP: 6 is TCP, 17 UDP; 0 in later fragments.
    pub protocol: u32,
    /// Where the next header starts. Written and read again between headers,
    /// so that the verifier sees one range and not one for each way there.
    offset: u32,
    /// Words of the header that is being read, in memory order.
    head: [u32; 10],
}

impl Packet {
    /// Nothing parsed yet.
    pub const ZERO: Self = Self {
        source: Address([0; 2]),
        destination: Address([0; 2]),
        source_port: [0; 2],
        destination_port: [0; 2],
        payload: 0,
        len: 0,
        declared: 0,
        network: 0,
        transport: 0,
        protocol: 0,
        offset: 0,
        head: [0; 10],
    };

    /// The endpoint that the packet comes from.
    #[inline(always)]
    #[must_use]
    pub const fn sender(&self) -> Endpoint {
        Endpoint::new(self.source, self.source_port, self.protocol as u8)
    }

    /// The endpoint that it goes to.
    #[inline(always)]
    #[must_use]
    pub const fn receiver(&self) -> Endpoint {
        Endpoint::new(self.destination, self.destination_port, self.protocol as u8)
    }

    /// Where the header of UDP or TCP starts in the frame, as a number that the
    /// verifier knows to be small.
    #[inline(always)]
    #[must_use]
    pub fn transport(&self) -> u32 {
        (crate::opaque(u64::from(self.transport)) & u64::from(OFFSET_MASK)) as u32
    }

    /// Where the header of IP starts in the frame, likewise.
    #[inline(always)]
    #[must_use]
    pub fn network(&self) -> u32 {
        (crate::opaque(u64::from(self.network)) & u64::from(OFFSET_MASK)) as u32
    }

    /// Where the payload starts in the frame, likewise.
    #[inline(always)]
    #[must_use]
    pub fn payload(&self) -> u32 {
        (crate::opaque(u64::from(self.payload)) & u64::from(OFFSET_MASK)) as u32
    }

    #[inline(always)]
    fn offset(&self) -> u32 {
        // SAFETY: a field of self.
        unsafe { (&raw const self.offset).read_volatile() & OFFSET_MASK }
    }

    #[inline(always)]
    fn set_offset(&mut self, offset: u32) {
        // SAFETY: a field of self.
        unsafe { (&raw mut self.offset).write_volatile(offset) }
    }
}

const ETHERNET: u32 = 14;
const ETHERTYPE_IPV4: u32 = 0x0800;
const ETHERTYPE_IPV6: u32 = 0x86dd;
/// The protocol number of TCP.
pub const TCP: u8 = 6;
/// The protocol number of UDP.
pub const UDP: u8 = 17;
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
const UDP_HEADER: u32 = 8;
const TCP_HEADER: u32 = 20;

/// IPv6 extension headers that are walked. Linux itself takes any number; a
/// packet with more than this is passed unread.
pub const MAX_EXTENSIONS: u32 = 8;

/// Offsets stay below this: no header of a packet starts later.
const OFFSET_MASK: u32 = 0x3fff;

#[inline(always)]
const fn is_vlan(ethertype: u32) -> bool {
    // 802.1Q, 802.1ad and the tag that was used for QinQ before it.
    matches!(ethertype, 0x8100 | 0x88a8 | 0x9100)
}

/// Reads the headers of a frame with up to two VLAN tags.
#[inline(always)]
pub fn parse<F: Frame + ?Sized>(frame: &F, packet: &mut Packet) -> Option<Transport> {
    let mut ethertype = frame.word(12)? >> 16;
    let mut offset = ETHERNET;
    if is_vlan(ethertype) {
        ethertype = frame.word(16)? >> 16;
        offset = ETHERNET + 4;
        if is_vlan(ethertype) {
            ethertype = frame.word(20)? >> 16;
            offset = ETHERNET + 8;
        }
    }
    packet.set_offset(offset);
    packet.network = offset;
    match ethertype {
        ETHERTYPE_IPV4 => ipv4(frame, packet),
        ETHERTYPE_IPV6 => ipv6(frame, packet),
        _ => None,
    }
}

/// The first `N` words of the header buffer.
#[inline(always)]
fn head<const N: usize>(packet: &mut Packet) -> &mut [u32; N] {
    const { assert!(N <= 10) };
    // SAFETY: the buffer has at least `N` words.
    unsafe { &mut *(&raw mut packet.head).cast() }
}

/// Two words in memory order as one.
#[inline(always)]
const fn join(first: u32, second: u32) -> u64 {
    let [a, b, c, d] = first.to_ne_bytes();
    let [e, f, g, h] = second.to_ne_bytes();
    u64::from_ne_bytes([a, b, c, d, e, f, g, h])
}

/// RFC 791 section 3.1.
#[inline(always)]
fn ipv4<F: Frame + ?Sized>(frame: &F, packet: &mut Packet) -> Option<Transport> {
    let offset = packet.offset();
    frame.load::<5>(offset, head(packet))?;
    let [first, fragment, protocol, source, destination, ..] = packet.head;
    let [head, _, l0, l1] = first.to_ne_bytes();
    let [_, _, f0, f1] = fragment.to_ne_bytes();
    let [_, protocol, _, _] = protocol.to_ne_bytes();
    let header_len = u32::from(head & 0x0f) * 4;
    if head >> 4 != 4 || header_len < 20 {
        return None;
    }
    packet.source = Address::v4(source.to_ne_bytes());
    packet.destination = Address::v4(destination.to_ne_bytes());
    packet.set_offset(offset + header_len);
    // A total length of 0 stands on segments that the kernel has merged.
    let end = match u32::from(u16::from_be_bytes([l0, l1])) {
        0 => frame.len(),
        len => offset + len,
    };
    let first = u16::from_be_bytes([f0, f1]) & 0x1fff == 0;
    transport(frame, packet, protocol, end, first)
}

/// RFC 8200 sections 3 and 4.
#[inline(always)]
fn ipv6<F: Frame + ?Sized>(frame: &F, packet: &mut Packet) -> Option<Transport> {
    let offset = packet.offset();
    frame.load::<10>(offset, head(packet))?;
    let [first, lengths, s0, s1, s2, s3, d0, d1, d2, d3] = packet.head;
    if u32::from_be(first) >> 28 != 6 {
        return None;
    }
    packet.source = Address([join(s0, s1), join(s2, s3)]);
    packet.destination = Address([join(d0, d1), join(d2, d3)]);
    let lengths = u32::from_be(lengths);
    packet.set_offset(offset + 40);
    // A payload length of 0 stands on jumbograms.
    let end = match lengths >> 16 {
        0 => frame.len(),
        len => offset + 40 + len,
    };
    let mut next = (lengths >> 8) as u8;
    for _ in 0..MAX_EXTENSIONS {
        // Hop-by-hop, routing, fragment, authentication, destination,
        // mobility, HIP, shim6.
        if !matches!(next, 0 | 43 | 44 | 51 | 60 | 135 | 139 | 140) {
            break;
        }
        let offset = packet.offset();
        let extension = frame.word(offset)?;
        let kind = next;
        next = (extension >> 24) as u8;
        let units = (extension >> 16) & 0xff;
        packet.set_offset(match kind {
            FRAGMENT => offset + 8,
            // RFC 4302 section 2.2.
            AUTHENTICATION => offset + (units + 2) * 4,
            _ => offset + (units + 1) * 8,
        });
        // What follows the header of a later fragment is payload.
        if kind == FRAGMENT && extension & 0xfff8 != 0 {
            return transport(frame, packet, next, end, false);
        }
    }
    transport(frame, packet, next, end, true)
}

#[inline(always)]
fn transport<F: Frame + ?Sized>(
    frame: &F,
    packet: &mut Packet,
    protocol: u8,
    end: u32,
    first: bool,
) -> Option<Transport> {
    if protocol != UDP && protocol != TCP {
        return None;
    }
    let end = frame.clip(end);
    packet.len = 0;
    packet.declared = 0;
    if !first {
        packet.source_port = [0, 0];
        packet.destination_port = [0, 0];
        packet.protocol = 0;
        packet.payload = packet.offset();
        return Some(Transport::LaterFragment);
    }
    let offset = packet.offset();
    let [s0, s1, d0, d1] = frame.word(offset)?.to_be_bytes();
    packet.source_port = [s0, s1];
    packet.destination_port = [d0, d1];
    packet.transport = offset;
    packet.protocol = protocol as u32;
    if protocol == TCP {
        return Some(tcp(frame, packet, offset, end));
    }
    // RFC 768. Where the length disagrees with the packet, the shorter holds,
    // as in the kernel; one below 8 says nothing.
    let length = frame.word(offset + 4)? >> 16;
    packet.payload = offset + UDP_HEADER;
    let room = end.saturating_sub(packet.payload);
    packet.len = room;
    packet.declared = room;
    if length >= UDP_HEADER {
        packet.declared = length - UDP_HEADER;
        if packet.declared < room {
            packet.len = packet.declared;
        }
    }
    Some(Transport::Udp)
}

const TCP_SYN: u32 = 0x02;
const TCP_ACK: u32 = 0x10;

/// RFC 9293 section 3.1. A header that is cut short or says that it is shorter
/// than it can be leaves the segment without a payload.
#[inline(always)]
fn tcp<F: Frame + ?Sized>(frame: &F, packet: &mut Packet, offset: u32, end: u32) -> Transport {
    packet.payload = offset;
    let Some(word) = frame.word(offset + 12) else { return Transport::TcpEmpty };
    let header = (word >> 28) * 4;
    let flags = (word >> 16) & (TCP_SYN | TCP_ACK);
    if flags == TCP_SYN {
        return Transport::Syn;
    }
    if header >= TCP_HEADER {
        packet.payload = offset + header;
        packet.len = end.saturating_sub(packet.payload);
    }
    if packet.len == 0 { Transport::TcpEmpty } else { Transport::Tcp }
}
