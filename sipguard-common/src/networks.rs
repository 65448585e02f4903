//! The index of the lists: one word for each IPv4 /24, and for each class of
//! IPv6 /32, says whether a list has anything to say there. Where a part of a
//! /24 is blocked, it says which [`Bits`] tell the part.
//!
//! The lowest byte of a word is what it says of the two lists; above it stands
//! the place of the bits, where it leads to some.
//!
//! The lists stay the truth. The index only saves look-ups, so whatever it says
//! beyond [`LOOK`] must be certain.

use core::ops::RangeInclusive;

use crate::{abi::Address, opaque};

/// No entry touches the network: the list need not be asked.
pub const NONE: u8 = 0;
/// One entry holds for the whole network, at every time and from every port.
pub const WHOLE: u8 = 1;
/// The list has to be asked.
pub const LOOK: u8 = 2;
/// Of blocks, and for IPv4 only: the network's [`Bits`] know all of it, for
/// every time. Where there are those of another network, the list has to be
/// asked.
pub const BITS: u8 = 3;

const MASK: u8 = 3;
const TRUSTED_SHIFT: u32 = 2;
const PLACE_SHIFT: u32 = 8;

/// Words of one value of the map `NETWORKS`: what belongs to a /12 of IPv4.
pub const CHUNK: usize = 4096;

/// Values for IPv4: the first 12 bits of an address choose one, the next 12 a
/// word of it.
pub const CHUNKS_V4: usize = 4096;

/// Values for IPv6, behind those.
pub const CHUNKS_V6: usize = 16;

/// Values of the map.
pub const CHUNKS: usize = CHUNKS_V4 + CHUNKS_V6;

/// Words for IPv6, of which a hash of the first 32 bits of an address chooses
/// one.
pub const SLOTS_V6: u32 = (CHUNKS_V6 * CHUNK) as u32;

/// One value of the map `NETWORKS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Chunk(pub [u32; CHUNK]);

impl Chunk {
    /// No list has anything to say.
    pub const NONE: Self = Self([word(byte(NONE, NONE), 0); CHUNK]);
}

/// Value of the map `BLOCKED_BITS`, by its place: which addresses of an IPv4 /24
/// are blocked, a bit each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Bits {
    /// The [`slot`] of the network.
    net: u32,
    pad: u32,
    blocked: [u64; 4],
}

/// Places of [`Bits`]: as many networks can have some, others of which a part is
/// blocked have to be looked up.
pub const PLACES: u32 = 1 << 20;

impl Bits {
    /// Those of no network.
    pub const NOBODY: Self = Self::of(u32::MAX);

    /// Those of a network of which nothing is blocked.
    #[must_use]
    pub const fn of(slot: u32) -> Self {
        Self { net: slot, pad: 0, blocked: [0; 4] }
    }

    /// Blocks the addresses whose last octets these are.
    pub fn block(&mut self, octets: RangeInclusive<u8>) {
        for octet in octets {
            self.blocked[usize::from(octet >> 6)] |= 1 << (octet & 63);
        }
    }

    /// Whether an IPv4 address is blocked; `None` where these are the bits of
    /// another network.
    #[inline(always)]
    #[must_use]
    pub fn has(&self, address: Address) -> Option<bool> {
        if self.net != slot(address) {
            return None;
        }
        let Address([_, tail]) = address;
        let octet = opaque(u64::from_be(tail)) & 0xff;
        // SAFETY: the upper two bits of eight number four words.
        let word = unsafe { *self.blocked.get_unchecked((octet >> 6) as usize) };
        Some(word >> (octet & 63) & 1 == 1)
    }
}

/// What the index says about a network: a [`byte`], and the place of its bits.
#[inline(always)]
#[must_use]
pub const fn word(byte: u8, place: u32) -> u32 {
    byte as u32 | place << PLACE_SHIFT
}

/// The place of the bits that a word leads to, where it leads to some.
#[inline(always)]
#[must_use]
pub const fn place(word: u32) -> u32 {
    word >> PLACE_SHIFT
}

/// What the index says of both lists, as one byte.
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

/// Which word speaks for an address, counted over all values.
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
    assert!(size_of::<Chunk>() == 4 * CHUNK);
    assert!(size_of::<Bits>() == 40);
    assert!(PLACES <= 1 << (32 - PLACE_SHIFT));
    assert!(CHUNKS_V4 * CHUNK == 1 << 24);
    assert!(SLOTS_V6.is_power_of_two());
};

#[cfg(feature = "user")]
// SAFETY: repr(C), words only.
unsafe impl aya::Pod for Chunk {}
#[cfg(feature = "user")]
// SAFETY: repr(C), no padding that is not a named field.
unsafe impl aya::Pod for Bits {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_hold_both_lists() {
        for of_trust in [NONE, WHOLE, LOOK] {
            for of_blocks in [NONE, WHOLE, LOOK, BITS] {
                let byte = byte(of_trust, of_blocks);
                assert_eq!((trusted(byte), blocked(byte)), (of_trust, of_blocks));
            }
        }
    }

    #[test]
    fn bits_are_the_addresses_of_their_network() {
        let mut bits = Bits::of(0xc6_3364);
        bits.block(16..=31);
        bits.block(63..=64);
        bits.block(255..=255);
        for octet in 0..=255 {
            let blocked = matches!(octet, 16..=31 | 63 | 64 | 255);
            assert_eq!(bits.has(Address::v4([198, 51, 100, octet])), Some(blocked), "{octet}");
        }
        assert_eq!(bits.has(Address::v4([198, 51, 101, 16])), None);
        assert_eq!(Bits::NOBODY.has(Address::v4([255; 4])), None);
    }

    #[test]
    fn words_hold_a_byte_and_a_place() {
        for place in [0, 1, PLACES - 1] {
            let of = word(byte(LOOK, BITS), place);
            assert_eq!((of as u8, super::place(of)), (byte(LOOK, BITS), place));
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
