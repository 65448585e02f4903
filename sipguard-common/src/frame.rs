//! From an Ethernet frame to a packet: the only parser of link, network and
//! transport headers. It reads through [`Frame`], so that the same code runs
//! on a packet in the kernel and on a slice in tests.
//!
//! What it cannot read is not ours and passes: [`parse`] gives `None`.

use crate::abi::{self, Address};

/// Bounds-checked access to a frame.
pub trait Frame {
    /// `N` bytes at `offset`, or `None` where the frame is shorter.
    fn read<const N: usize>(&self, offset: u32) -> Option<[u8; N]>;
    /// Length of the frame in bytes.
    fn len(&self) -> u32;
    /// Whether the frame holds nothing at all.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Frame for [u8] {
    fn read<const N: usize>(&self, offset: u32) -> Option<[u8; N]> {
        let start = offset as usize;
        self.get(start..start.checked_add(N)?)?.try_into().ok()
    }

    fn len(&self) -> u32 {
        u32::try_from(<[u8]>::len(self)).unwrap_or(u32::MAX)
    }
}

/// What a packet carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// UDP with its ports in network byte order, and where its payload lies.
    Udp { source: [u8; 2], destination: [u8; 2], payload: u32, len: u32 },
    /// TCP with its ports in network byte order.
    Tcp { source: [u8; 2], destination: [u8; 2] },
    /// A fragment of UDP or TCP other than the first: no ports.
    LaterFragment,
}

/// An IP packet with UDP or TCP in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    pub source: Address,
    pub destination: Address,
    pub transport: Transport,
}

const ETHERNET: u32 = 14;
const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_IPV6: u16 = 0x86dd;
const TCP: u8 = 6;
const UDP: u8 = 17;
const UDP_HEADER: u32 = 8;

/// IPv6 extension headers that are walked. Linux itself takes any number; a
/// packet with more than this is passed unread.
pub const MAX_EXTENSIONS: u32 = 8;

/// Offsets stay below this: no header of a packet starts later. The mask gives
/// the verifier one range for all rounds of a loop.
const OFFSET_MASK: u64 = 0x3fff;

#[inline(always)]
fn masked(offset: u32) -> u32 {
    (crate::opaque(u64::from(offset)) & OFFSET_MASK) as u32
}

#[inline(always)]
const fn is_vlan(ethertype: u16) -> bool {
    // 802.1Q, 802.1ad and the tag that was used for QinQ before it.
    matches!(ethertype, 0x8100 | 0x88a8 | 0x9100)
}

/// Reads the headers of a frame with up to two VLAN tags.
#[inline(always)]
pub fn parse<F: Frame + ?Sized>(frame: &F) -> Option<Packet> {
    let mut ethertype = u16::from_be_bytes(frame.read(12)?);
    let mut offset = ETHERNET;
    if is_vlan(ethertype) {
        ethertype = u16::from_be_bytes(frame.read(16)?);
        offset = ETHERNET + 4;
        if is_vlan(ethertype) {
            ethertype = u16::from_be_bytes(frame.read(20)?);
            offset = ETHERNET + 8;
        }
    }
    match ethertype {
        ETHERTYPE_IPV4 => ipv4(frame, offset),
        ETHERTYPE_IPV6 => ipv6(frame, offset),
        _ => None,
    }
}

/// RFC 791 section 3.1.
#[inline(always)]
fn ipv4<F: Frame + ?Sized>(frame: &F, offset: u32) -> Option<Packet> {
    let header: [u8; 20] = frame.read(offset)?;
    let [head, _, l0, l1, _, _, f0, f1, _, protocol, _, _, s0, s1, s2, s3, d0, d1, d2, d3] = header;
    let header_len = u32::from(head & 0x0f) * 4;
    if head >> 4 != 4 || header_len < 20 {
        return None;
    }
    // A total length of 0 stands on segments that the kernel has merged.
    let end = match u32::from(u16::from_be_bytes([l0, l1])) {
        0 => frame.len(),
        len => offset + len,
    };
    let first = u16::from_be_bytes([f0, f1]) & 0x1fff == 0;
    let transport = transport(frame, protocol, masked(offset + header_len), end, first)?;
    Some(Packet {
        source: abi::v4([s0, s1, s2, s3]),
        destination: abi::v4([d0, d1, d2, d3]),
        transport,
    })
}

/// RFC 8200 sections 3 and 4.
#[inline(always)]
fn ipv6<F: Frame + ?Sized>(frame: &F, offset: u32) -> Option<Packet> {
    let head: [u8; 8] = frame.read(offset)?;
    let source: Address = frame.read(offset + 8)?;
    let destination: Address = frame.read(offset + 24)?;
    let [version, _, _, _, l0, l1, mut next, _] = head;
    if version >> 4 != 6 {
        return None;
    }
    let mut offset = offset + 40;
    // A payload length of 0 stands on jumbograms.
    let end = match u32::from(u16::from_be_bytes([l0, l1])) {
        0 => frame.len(),
        len => offset + len,
    };
    let mut first = true;
    for _ in 0..MAX_EXTENSIONS {
        let len = match next {
            // Hop-by-hop, routing, destination, mobility, HIP, shim6.
            0 | 43 | 60 | 135 | 139 | 140 => {
                let [following, len]: [u8; 2] = frame.read(offset)?;
                next = following;
                (u32::from(len) + 1) * 8
            }
            // Fragment.
            44 => {
                let [following, _, f0, f1]: [u8; 4] = frame.read(offset)?;
                next = following;
                first = u16::from_be_bytes([f0, f1]) & 0xfff8 == 0;
                8
            }
            // Authentication header, RFC 4302 section 2.2.
            51 => {
                let [following, len]: [u8; 2] = frame.read(offset)?;
                next = following;
                (u32::from(len) + 2) * 4
            }
            _ => break,
        };
        offset = masked(offset + len);
        // What follows the header of a later fragment is payload.
        if !first {
            break;
        }
    }
    let transport = transport(frame, next, masked(offset), end, first)?;
    Some(Packet { source, destination, transport })
}

#[inline(always)]
fn transport<F: Frame + ?Sized>(
    frame: &F,
    protocol: u8,
    offset: u32,
    end: u32,
    first: bool,
) -> Option<Transport> {
    if protocol != UDP && protocol != TCP {
        return None;
    }
    if !first {
        return Some(Transport::LaterFragment);
    }
    if protocol == TCP {
        let [s0, s1, d0, d1]: [u8; 4] = frame.read(offset)?;
        return Some(Transport::Tcp { source: [s0, s1], destination: [d0, d1] });
    }
    // RFC 768. Where the length disagrees with the packet, the shorter holds,
    // as in the kernel; one below 8 says nothing.
    let [s0, s1, d0, d1, l0, l1, _, _]: [u8; 8] = frame.read(offset)?;
    let payload = offset + UDP_HEADER;
    let end = if end < frame.len() { end } else { frame.len() };
    let room = end.saturating_sub(payload);
    let len = match u32::from(u16::from_be_bytes([l0, l1])) {
        len @ UDP_HEADER.. if len - UDP_HEADER < room => len - UDP_HEADER,
        _ => room,
    };
    Some(Transport::Udp { source: [s0, s1], destination: [d0, d1], payload, len })
}
