//! One message from many senders: a frame is built once, and each sender's
//! address and port are written into it.

use std::ops::Range;

use crate::packet::Packet;

/// Behind 14 bytes of Ethernet, 12 bytes into the header of IPv4.
const SOURCE: Range<usize> = 26..30;
/// Behind a header of IPv4 without options.
const PORT: Range<usize> = 34..36;

/// A frame over IPv4, without options and tags, that anybody may send.
#[derive(Clone, Debug)]
pub struct Crowd {
    frame: Vec<u8>,
}

impl Crowd {
    /// What is sent. Checksums are left as they are: no filter reads them.
    #[must_use]
    pub fn new(packet: &Packet) -> Self {
        Self { frame: packet.build() }
    }

    /// The frame of one sender: an address in host byte order, and a port.
    ///
    /// # Panics
    /// Where the frame is shorter than its headers.
    pub fn from(&mut self, address: u32, port: u16) -> &[u8] {
        self.frame[SOURCE].copy_from_slice(&address.to_be_bytes());
        self.frame[PORT].copy_from_slice(&port.to_be_bytes());
        &self.frame
    }
}

/// The `n`th of 16,777,216 made-up addresses, each of them once, all in
/// 11.0.0.0/8: neighbours in the list are in networks far apart.
#[must_use]
pub const fn spoofed(n: u32) -> u32 {
    // An odd factor permutes the numbers below a power of two.
    0x0b00_0000 | (n.wrapping_mul(0x009e_3779) & 0x00ff_ffff)
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, net::Ipv4Addr};

    use super::*;
    use crate::{layout, packet::Packet};
    use sipguard_common::abi::Address;

    #[test]
    fn senders_are_where_a_reader_finds_them() {
        let mut crowd = Crowd::new(&Packet::udp("192.0.2.1:1", "203.0.113.1:5060").payload("x"));
        let frame = crowd.from(u32::from(Ipv4Addr::new(198, 51, 100, 9)), 0x1234);
        assert_eq!(layout::source(frame), Some(Address::v4([198, 51, 100, 9])));
        assert_eq!(frame[34..38], [0x12, 0x34, 0x13, 0xc4]);
    }

    #[test]
    fn made_up_addresses_differ_and_are_spread() {
        let addresses: HashSet<u32> = (0..100_000).map(spoofed).collect();
        let networks: HashSet<u32> = addresses.iter().map(|address| address >> 8).collect();
        assert_eq!(addresses.len(), 100_000);
        assert!(networks.len() > 50_000, "{}", networks.len());
    }
}
