//! From what an interface delivers to an Ethernet frame, which is what XDP sees.

use super::Direction;

const NULL: u32 = 0;
const ETHERNET: u32 = 1;
const RAW: u32 = 101;
const LOOP: u32 = 108;
const LINUX_SLL: u32 = 113;
const IPV4: u32 = 228;
const IPV6: u32 = 229;
const LINUX_SLL2: u32 = 276;

const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_IPV6: u16 = 0x86dd;

/// Raw IP under the numbers that some systems write in files.
const RAW_ELSEWHERE: [u32; 2] = [12, 14];

/// Whether packets of this link type can be replayed.
pub(super) fn is_known(link: u32) -> bool {
    let known = [NULL, ETHERNET, RAW, LOOP, LINUX_SLL, IPV4, IPV6, LINUX_SLL2];
    known.contains(&canonical(link))
}

/// One number for each link type.
pub(super) fn canonical(link: u32) -> u32 {
    if RAW_ELSEWHERE.contains(&link) { RAW } else { link }
}

/// What a link type is, as far as captures of SIP servers have it.
#[must_use]
pub const fn name(link: u32) -> &'static str {
    match link {
        NULL => "BSD loopback",
        ETHERNET => "Ethernet",
        9 => "PPP",
        50 => "PPP over HDLC",
        51 => "PPPoE",
        RAW | 12 | 14 => "raw IP",
        105 | 119 | 127 | 163 | 192 => "Wi-Fi",
        LOOP => "OpenBSD loopback",
        LINUX_SLL => "Linux cooked",
        189 | 220 | 249 => "USB",
        187 | 201 => "Bluetooth",
        IPV4 => "raw IPv4",
        IPV6 => "raw IPv6",
        252 => "exported PDUs of Wireshark",
        253 => "netlink",
        LINUX_SLL2 => "Linux cooked, version 2",
        _ => "not known here",
    }
}

/// Writes the packet as an Ethernet frame in place of what is in `frame`, and
/// gives its direction where the link layer tells. What is too short for its
/// own link header gives an empty frame.
pub fn to_ethernet(link: u32, data: &[u8], frame: &mut Vec<u8>) -> Option<Direction> {
    frame.clear();
    match canonical(link) {
        ETHERNET => {
            frame.extend_from_slice(data);
            None
        }
        LINUX_SLL => sll(data, frame),
        LINUX_SLL2 => sll2(data, frame),
        RAW => {
            let ethertype = match data.first().map(|first| first >> 4) {
                Some(4) => ETHERTYPE_IPV4,
                Some(6) => ETHERTYPE_IPV6,
                _ => 0,
            };
            write(frame, [0; 6], ethertype, data);
            None
        }
        IPV4 => {
            write(frame, [0; 6], ETHERTYPE_IPV4, data);
            None
        }
        IPV6 => {
            write(frame, [0; 6], ETHERTYPE_IPV6, data);
            None
        }
        NULL | LOOP => {
            if let Some((family, packet)) = data.split_first_chunk() {
                write(frame, [0; 6], family_ethertype(*family), packet);
            }
            None
        }
        _ => None,
    }
}

fn write(frame: &mut Vec<u8>, source: [u8; 6], ethertype: u16, packet: &[u8]) {
    frame.extend_from_slice(&[0; 6]);
    frame.extend_from_slice(&source);
    frame.extend_from_slice(&ethertype.to_be_bytes());
    frame.extend_from_slice(packet);
}

/// Packet type, kind of device, length and bytes of the address, protocol.
fn sll(data: &[u8], frame: &mut Vec<u8>) -> Option<Direction> {
    let (head, packet) = data.split_first_chunk::<16>()?;
    let [_, kind, _, _, _, _, a, b, c, d, e, f, _, _, p0, p1] = *head;
    write(frame, [a, b, c, d, e, f], u16::from_be_bytes([p0, p1]), packet);
    direction(kind)
}

/// Protocol, two of nothing, interface, kind of device, packet type, length and
/// bytes of the address.
fn sll2(data: &[u8], frame: &mut Vec<u8>) -> Option<Direction> {
    let (head, packet) = data.split_first_chunk::<20>()?;
    let [p0, p1, _, _, _, _, _, _, _, _, kind, _, a, b, c, d, e, f, _, _] = *head;
    write(frame, [a, b, c, d, e, f], u16::from_be_bytes([p0, p1]), packet);
    direction(kind)
}

/// To us, to all, to some; not to others, which may go either way; from us.
const fn direction(kind: u8) -> Option<Direction> {
    match kind {
        0..=2 => Some(Direction::In),
        4 => Some(Direction::Out),
        _ => None,
    }
}

/// The numbers of the address families differ by system, their byte order by
/// machine.
const fn family_ethertype(family: [u8; 4]) -> u16 {
    let number = match family {
        [0, 0, 0, number] | [number, 0, 0, 0] => number,
        _ => 0,
    };
    match number {
        2 => ETHERTYPE_IPV4,
        10 | 24 | 28 | 30 => ETHERTYPE_IPV6,
        _ => 0,
    }
}
