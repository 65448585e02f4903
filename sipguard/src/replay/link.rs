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
    let [_, kind, d0, d1, _, _, a, b, c, d, e, f, _, _, p0, p1] = *head;
    write(frame, [a, b, c, d, e, f], u16::from_be_bytes([p0, p1]), packet);
    direction(kind, u16::from_be_bytes([d0, d1]))
}

/// Protocol, two of nothing, interface, kind of device, packet type, length and
/// bytes of the address.
fn sll2(data: &[u8], frame: &mut Vec<u8>) -> Option<Direction> {
    let (head, packet) = data.split_first_chunk::<20>()?;
    let [p0, p1, _, _, _, _, _, _, d0, d1, kind, _, a, b, c, d, e, f, _, _] = *head;
    write(frame, [a, b, c, d, e, f], u16::from_be_bytes([p0, p1]), packet);
    direction(kind, u16::from_be_bytes([d0, d1]))
}

/// ARPHRD_LOOPBACK.
const LOOPBACK: u16 = 772;

/// To us, to all, to some; not to others, which may go either way; from us.
/// What the server sends to itself comes to no interface that is protected.
const fn direction(kind: u8, device: u16) -> Option<Direction> {
    match kind {
        _ if device == LOOPBACK => Some(Direction::Out),
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

#[cfg(test)]
mod tests {
    use super::*;

    const V4: &[u8] = &[0x45, 0, 0, 20, 1, 2, 3];
    const V6: &[u8] = &[0x60, 0, 0, 0, 9];

    fn frame(link: u32, data: &[u8]) -> (Vec<u8>, Option<Direction>) {
        let mut frame = vec![1, 2, 3];
        let direction = to_ethernet(link, data, &mut frame);
        (frame, direction)
    }

    fn is_ip(frame: &[u8], packet: &[u8]) -> bool {
        let ethertype = if packet[0] >> 4 == 4 { [8, 0] } else { [0x86, 0xdd] };
        frame.get(12..14) == Some(&ethertype) && frame.get(14..) == Some(packet)
    }

    #[test]
    fn ethernet_stays_as_it_is() {
        assert_eq!(frame(ETHERNET, b"anything"), (b"anything".to_vec(), None));
    }

    #[test]
    fn raw_ip_gets_a_head() {
        for link in [RAW, 12, 14] {
            assert!(is_ip(&frame(link, V4).0, V4) && is_ip(&frame(link, V6).0, V6));
            assert_eq!(frame(link, &[0x10]).0.get(12..14), Some(&[0, 0][..]));
        }
        assert!(is_ip(&frame(IPV4, V4).0, V4) && is_ip(&frame(IPV6, V6).0, V6));
    }

    #[test]
    fn loopback_of_any_system_and_byte_order() {
        for (family, packet) in [(2, V4), (10, V6), (24, V6), (28, V6), (30, V6)] {
            for head in [u32::to_be_bytes(family), u32::to_le_bytes(family)] {
                for link in [NULL, LOOP] {
                    assert!(is_ip(&frame(link, &[&head, packet].concat()).0, packet), "{family}");
                }
            }
        }
        assert_eq!(frame(NULL, &[[7, 0, 0, 0], [0; 4]].concat()).0.get(12..14), Some(&[0, 0][..]));
    }

    #[test]
    fn cooked_tells_the_direction() {
        for (kind, expected) in [
            (0, Some(Direction::In)),
            (1, Some(Direction::In)),
            (3, None),
            (4, Some(Direction::Out)),
        ] {
            let head = [0, kind, 0, 1, 0, 6, 0xa, 0xb, 0xc, 0xd, 0xe, 0xf, 0, 0, 8, 0];
            let (bytes, direction) = frame(LINUX_SLL, &[&head, V4].concat());
            assert!(is_ip(&bytes, V4) && direction == expected);
            assert_eq!(bytes.get(6..12), Some(&[0xa, 0xb, 0xc, 0xd, 0xe, 0xf][..]));
            let head =
                [0x86, 0xdd, 0, 0, 0, 0, 0, 2, 0, 1, kind, 6, 0xa, 0xb, 0xc, 0xd, 0xe, 0xf, 0, 0];
            let (bytes, direction) = frame(LINUX_SLL2, &[&head, V6].concat());
            assert!(is_ip(&bytes, V6) && direction == expected);
        }
    }

    #[test]
    fn what_the_server_sends_to_itself_did_not_come_in() {
        let mut head = [0; 16];
        head[2..4].copy_from_slice(&LOOPBACK.to_be_bytes());
        assert_eq!(frame(LINUX_SLL, &head).1, Some(Direction::Out));
        let mut head = [0; 20];
        head[8..10].copy_from_slice(&LOOPBACK.to_be_bytes());
        assert_eq!(frame(LINUX_SLL2, &head).1, Some(Direction::Out));
    }

    #[test]
    fn what_lacks_its_own_head_is_empty() {
        for (link, len) in [(LINUX_SLL, 15), (LINUX_SLL2, 19), (NULL, 3), (LOOP, 3)] {
            assert_eq!(frame(link, &vec![0; len]).0, b"");
        }
    }
}
