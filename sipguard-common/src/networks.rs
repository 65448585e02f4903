//! The index of the lists: one byte for each IPv4 /24, and for each class of
//! IPv6 /32, says whether a list has anything to say there.
//!
//! The lists stay the truth. The index only saves look-ups, so whatever it says
//! beyond [`LOOK`] must be certain.

use crate::abi::Address;

/// No entry touches the network: the list need not be asked.
pub const NONE: u8 = 0;
/// One entry holds for the whole network, at every time and from every port.
pub const WHOLE: u8 = 1;
/// The list has to be asked.
pub const LOOK: u8 = 2;

const MASK: u8 = 3;
const TRUSTED_SHIFT: u32 = 2;

/// Bytes of one value of the map `NETWORKS`: what belongs to a /12 of IPv4.
pub const CHUNK: usize = 4096;

/// Values for IPv4: the first 12 bits of an address choose one, the next 12 a
/// byte of it.
pub const CHUNKS_V4: usize = 4096;

/// Values for IPv6, behind those.
pub const CHUNKS_V6: usize = 16;

/// Values of the map.
pub const CHUNKS: usize = CHUNKS_V4 + CHUNKS_V6;

/// Bytes for IPv6, of which a hash of the first 32 bits of an address chooses
/// one.
pub const SLOTS_V6: u32 = (CHUNKS_V6 * CHUNK) as u32;

/// One value of the map `NETWORKS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Chunk(pub [u8; CHUNK]);

impl Chunk {
    /// No list has anything to say.
    pub const NONE: Self = Self([byte(NONE, NONE); CHUNK]);
}

/// What the index says about a network, as one byte.
#[inline(always)]
#[must_use]
pub const fn byte(trusted: u8, blocked: u8) -> u8 {
    trusted << TRUSTED_SHIFT | blocked
}

/// What a byte says of trust.
#[inline(always)]
#[must_use]
pub const fn trusted(byte: u8) -> u8 {
    byte >> TRUSTED_SHIFT & MASK
}

/// What a byte says of blocks.
#[inline(always)]
#[must_use]
pub const fn blocked(byte: u8) -> u8 {
    byte & MASK
}

/// Which byte speaks for an address, counted over all values.
#[inline(always)]
#[must_use]
pub const fn slot(address: Address) -> u32 {
    let Address([head, tail]) = address;
    if address.is_v4() {
        return (u64::from_be(tail) as u32) >> 8;
    }
    (CHUNKS_V4 * CHUNK) as u32 + slot_v6((u64::from_be(head) >> 32) as u32)
}

/// The class, below [`SLOTS_V6`], of an IPv6 /32. Multiplicative hashing
/// (Knuth): the upper bits of the product are the well mixed ones.
#[inline(always)]
#[must_use]
pub const fn slot_v6(first_32_bits: u32) -> u32 {
    first_32_bits.wrapping_mul(0x9e37_79b1) >> (32 - SLOTS_V6.trailing_zeros())
}

const _: () = {
    assert!(size_of::<Chunk>() == CHUNK);
    assert!(CHUNKS_V4 * CHUNK == 1 << 24);
    assert!(SLOTS_V6.is_power_of_two());
};

#[cfg(feature = "user")]
// SAFETY: repr(C), bytes only.
unsafe impl aya::Pod for Chunk {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_hold_both_lists() {
        for of_trust in [NONE, WHOLE, LOOK] {
            for of_blocks in [NONE, WHOLE, LOOK] {
                let byte = byte(of_trust, of_blocks);
                assert_eq!((trusted(byte), blocked(byte)), (of_trust, of_blocks));
            }
        }
    }

    #[test]
    fn slots_are_the_first_24_bits_of_ipv4_and_a_hash_of_32_of_ipv6() {
        assert_eq!(slot(Address::v4([198, 51, 100, 7])), 0xc6_3364);
        assert_eq!(slot(Address::v4([255; 4])), 0xff_ffff);
        let mut v6 = [0; 16];
        v6[..4].copy_from_slice(&[0x20, 0x01, 0x0d, 0xb8]);
        let at = slot(Address::from_octets(v6));
        assert_eq!(at, (1 << 24) + slot_v6(0x2001_0db8));
        v6[4..].fill(0xff);
        assert_eq!(slot(Address::from_octets(v6)), at);
        assert_eq!(slot_v6(u32::MAX).max(slot_v6(1 << 31)) / SLOTS_V6, 0);
    }
}
