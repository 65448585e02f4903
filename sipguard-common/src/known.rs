//! The filter before the maps of what was learned: a bit for each hash of an
//! address of which an endpoint was ever verified. Bits are only ever set, so
//! the filter never denies who is there.

use crate::abi::{Address, KNOWN};

/// The word of the map `KNOWN` that an address belongs to, and its bit there.
/// Of an IPv6 address only the first 64 bits count: whatever a policy calls a
/// source, its endpoints are found.
#[inline(always)]
#[must_use]
pub const fn bit(address: Address) -> (u32, u64) {
    let Address([head, tail]) = address;
    let word = if address.is_v4() { tail } else { head };
    let hash = word.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let hash = (hash ^ hash >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    ((hash >> 40) as u32 & (KNOWN - 1), 1 << (hash >> 58))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn neighbours_have_bits_of_their_own() {
        let bits: HashSet<_> =
            (0..=u16::MAX).map(|i| bit(Address::v4([10, 0, (i >> 8) as u8, i as u8]))).collect();
        assert!(bits.len() > 64_000, "{}", bits.len());
        let v6 = |last| {
            bit(Address::from_octets([32, 1, 13, 184, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, last]))
        };
        assert_eq!(v6(1), v6(2));
    }
}
