//! The Internet checksum (RFC 1071).

use std::net::IpAddr;

/// Ones' complement of the ones' complement sum of all 16-bit words; an odd
/// last byte counts as the upper half of a word.
pub(crate) fn internet(parts: &[&[u8]]) -> u16 {
    let mut sum: u32 = 0;
    for part in parts {
        for pair in part.chunks(2) {
            let low = pair.get(1).copied().unwrap_or(0);
            sum += u32::from(u16::from_be_bytes([pair[0], low]));
            sum = (sum & 0xffff) + (sum >> 16);
        }
    }
    !(sum as u16)
}

/// Checksum of a UDP, TCP or ICMPv6 segment with its pseudo header (RFC 9293
/// section 3.1, RFC 8200 section 8.1).
pub(crate) fn segment(from: IpAddr, to: IpAddr, protocol: u8, segment: &[u8]) -> u16 {
    let len = (segment.len() as u32).to_be_bytes();
    let tail = [0, 0, 0, protocol];
    match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            internet(&[&from.octets(), &to.octets(), &len, &tail, segment])
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            internet(&[&from.octets(), &to.octets(), &len, &tail, segment])
        }
        _ => panic!("{from} and {to} are of two families"),
    }
}
