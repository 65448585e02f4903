//! Keys and values of the maps, shared by the kernel program and user space.
//!
//! Addresses and ports stand in network byte order, times in nanoseconds of
//! CLOCK_MONOTONIC unless said otherwise. Every change of a layout here raises
//! [`ABI_VERSION`].

use crate::{
    automaton,
    bucket::Limit,
    method::{BUCKETS, METHOD_SLOTS},
    rule::RULE_SLOTS,
};

/// Version of all layouts in this module.
pub const ABI_VERSION: u32 = 1;

/// An IPv6 address, or an IPv4 address mapped into it (`::ffff:a.b.c.d`), so
/// that one map serves both families: sixteen bytes in network byte order.
///
/// Held as two words in memory order, for LLVM copies bytes on BPF one by one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct Address(pub [u64; 2]);

const V4_TAIL: u64 = u64::from_ne_bytes([0, 0, 0xff, 0xff, 0, 0, 0, 0]);
const V4_TAIL_MASK: u64 = u64::from_ne_bytes([0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]);

impl Address {
    /// The address of four octets.
    #[inline(always)]
    #[must_use]
    pub const fn v4(octets: [u8; 4]) -> Self {
        let [a, b, c, d] = octets;
        Self([0, u64::from_ne_bytes([0, 0, 0xff, 0xff, a, b, c, d])])
    }

    /// The address of sixteen octets.
    #[must_use]
    pub const fn from_octets(octets: [u8; 16]) -> Self {
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = octets;
        Self([
            u64::from_ne_bytes([a, b, c, d, e, f, g, h]),
            u64::from_ne_bytes([i, j, k, l, m, n, o, p]),
        ])
    }

    /// Its sixteen octets.
    #[must_use]
    pub const fn octets(self) -> [u8; 16] {
        let [a, b, c, d, e, f, g, h] = self.0[0].to_ne_bytes();
        let [i, j, k, l, m, n, o, p] = self.0[1].to_ne_bytes();
        [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p]
    }

    /// The source that an address belongs to under [`Policy::source_mask`];
    /// IPv4 stays whole.
    #[inline(always)]
    #[must_use]
    pub const fn source(self, mask: [u64; 2]) -> Self {
        let Self([head, tail]) = self;
        if self.is_v4() {
            return self;
        }
        Self([head & mask[0], tail & mask[1]])
    }

    /// Whether this is an IPv4 address.
    #[inline(always)]
    #[must_use]
    pub const fn is_v4(self) -> bool {
        let Self([head, tail]) = self;
        head == 0 && tail & V4_TAIL_MASK == V4_TAIL
    }
}

/// Length in bits of the prefix that marks an IPv4 address in an [`Address`].
pub const V4_PREFIX_BITS: u32 = 96;

/// Key of the trusted, blocked and protected lists: exact hash and, behind a
/// prefix length of 64 + n bits, longest-prefix trie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct ListKey {
    /// Source port in the first two bytes, or 0 for an entry that holds for
    /// every port; six bytes of zero.
    pub port: u64,
    pub address: Address,
}

/// Bits of a trie key before the address.
pub const LIST_KEY_HEAD_BITS: u32 = 64;

impl ListKey {
    /// The key of a protected destination under a policy's mark.
    #[inline(always)]
    #[must_use]
    pub const fn protected(address: Address, mark: u32) -> Self {
        Self { port: mark as u64, address }
    }

    /// The key of an address with a source port in network byte order.
    #[inline(always)]
    #[must_use]
    pub const fn new(address: Address, port: [u8; 2]) -> Self {
        let [high, low] = port;
        Self { port: u64::from_ne_bytes([high, low, 0, 0, 0, 0, 0, 0]), address }
    }
}

/// Who put an entry into a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Origin {
    /// trusted.toml or blacklist.toml.
    File = 0,
    /// `sipguard block` or `sipguard allow`.
    Operator = 1,
}

/// Value of the lists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct ListEntry {
    /// When the entry stops to hold; 0 means never.
    pub expires_ns: u64,
    /// Which bucket the calls of a trusted peer are counted in, where it has a
    /// class: one for each such peer, shared by all its addresses.
    pub peer: u32,
    /// Bits of the entry's own prefix, those before the address among them; in
    /// the exact maps without meaning. Where a longest prefix has expired, the
    /// next look-up stops short of it.
    pub bits: u8,
    /// An [`Origin`].
    pub origin: u8,
    /// A [`cps`] class of a trusted peer.
    pub class: u8,
    pub pad: u8,
}

/// What a trusted peer's calls are held to: `ListEntry::class`.
pub mod cps {
    /// Nothing: its packets are not read.
    pub const NONE: u8 = 0;
    pub const SMALL: u8 = 1;
    pub const MEDIUM: u8 = 2;
    pub const LARGE: u8 = 3;
    pub const PREMIUM: u8 = 4;
}

/// Trusted addresses, and trusted networks, that fit.
pub const MAX_TRUSTED: usize = 65_536;

/// Blocked addresses, and blocked networks, that fit.
pub const MAX_BLOCKED: usize = 1_000_000;

/// Buckets of trusted peers with a class: one for each entry that trusted.toml
/// can have, and twice that, for during a reload there are old and new ones.
pub const PEERS: usize = 2 * MAX_TRUSTED;

/// How many entries each list holds: a list with none is not looked up.
/// Raised before an entry is added, lowered after it is removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct ListSizes {
    pub trusted_exact: u32,
    pub trusted_prefix: u32,
    /// Of the two above, those with a source port.
    pub trusted_exact_port: u32,
    pub trusted_prefix_port: u32,
    pub blocked_exact: u32,
    pub blocked_prefix: u32,
    /// Of both lists together: with none, not even their index is looked up.
    pub entries: u32,
    pub pad: u32,
}

/// A block that sipguard made by itself. The key is an [`Address`], IPv6 masked
/// to the policy's prefix.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Ban {
    /// When it stops to hold.
    pub expires_ns: u64,
    /// When it was made, or last renewed.
    pub since_ns: u64,
    /// [`crate::rule::Rule`] number of the reason.
    pub rule: u32,
    /// Slot of the signature that was the reason, plus one; 0 for none.
    pub signature: u32,
}

/// Bans at once; the oldest make room for new ones.
pub const BANS: usize = 65_536;

/// State of one stranger: a theoretical arrival time per
/// [`crate::method::Class`]. The key is an [`Address`], IPv6 masked to the
/// policy's prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Source {
    pub tat_ns: [u64; BUCKETS],
}

impl Source {
    /// A source that was never seen.
    pub const NEW: Self = Self { tat_ns: [0; BUCKETS] };
}

/// Packets and bytes (whole frames).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Count {
    pub packets: u64,
    pub bytes: u64,
}

/// Counters of one interface on one CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Counters {
    /// By rule number; every packet is in exactly one.
    pub rules: [Count; RULE_SLOTS],
    /// Requests of strangers by method number, passed and dropped.
    pub passed: [u64; METHOD_SLOTS],
    pub dropped: [u64; METHOD_SLOTS],
}

impl Counters {
    pub const ZERO: Self = Self {
        rules: [Count { packets: 0, bytes: 0 }; RULE_SLOTS],
        passed: [0; METHOD_SLOTS],
        dropped: [0; METHOD_SLOTS],
    };
}

/// Interfaces that can be counted apart; slot 0 is for all others.
pub const INTERFACE_SLOTS: usize = 16;

/// The interface index of each counter slot; 0 is an unused slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Interfaces {
    pub ifindex: [u32; INTERFACE_SLOTS],
}

/// What the program writes down about the packet it judged last, when its
/// global `TEST` is set (tests and replay).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Judged {
    /// [`crate::rule::Rule`] number.
    pub rule: u32,
    /// [`crate::method::Method`] number.
    pub method: u32,
    /// Index of the signature that matched, plus one; 0 for none.
    pub signature: u32,
    pub pad: u32,
}

/// What happens to OPTIONS from strangers: `Policy::options`.
pub mod options {
    pub const PASS: u32 = 0;
    /// Within the bucket of the class, like any other method.
    pub const LIMIT: u32 = 1;
    pub const DROP: u32 = 2;
}

/// How strict the filter is: `Policy::posture`.
pub mod posture {
    /// Lists and signatures only: no limits for strangers.
    pub const OPEN: u32 = 0;
    pub const GUARDED: u32 = 1;
    /// Trusted sources only.
    pub const CLOSED: u32 = 2;
}

/// A configured keepalive: the first `mask` bytes of a payload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Keepalive {
    /// Up to 16 bytes as two words in memory order; zero where unused.
    pub bytes: [u64; 2],
    /// 0xff for each byte that counts. A first word of 0 is an unused slot.
    pub mask: [u64; 2],
}

/// Configured keepalives at most.
pub const KEEPALIVES: usize = 8;

/// Everything that comes from sipguard.toml and signatures.toml, in one value
/// of one inner map: replacing that map replaces the whole policy at once, and
/// no packet is ever judged by half of one.
#[repr(C)]
pub struct Policy {
    /// [`ABI_VERSION`].
    pub abi: u32,
    /// [`posture`].
    pub posture: u32,
    /// [`options`].
    pub options: u32,
    /// Mark of the protected destinations that belong to this policy, in the
    /// place of the port of their keys; 0: every destination is protected.
    pub protected: u32,
    /// Which part of an IPv6 address is the source, in memory order.
    pub source_mask: [u64; 2],
    /// Limits of strangers by [`crate::method::Class`] number.
    pub limits: [Limit; BUCKETS],
    pub keepalives: [Keepalive; KEEPALIVES],
    /// Protected ports, one bit each: bit `port & 63` of word `port >> 6`.
    pub ports: [u64; 1024],
    pub automaton: automaton::Table,
}

const _: () = {
    assert!(size_of::<ListKey>() == 24);
    assert!(size_of::<ListEntry>() == 16);
    assert!(size_of::<ListSizes>() == 32);
    assert!(size_of::<Ban>() == 24);
    assert!(size_of::<Source>() == 80);
    assert!(size_of::<Counters>() == 1280);
    assert!(size_of::<Interfaces>() == 64);
    assert!(size_of::<Judged>() == 16);
    assert!(size_of::<Limit>() == 16);
    assert!(size_of::<Keepalive>() == 32);
    // KMALLOC_MAX_SIZE, the largest array value that every supported kernel
    // takes, is 4 MiB on x86-64.
    assert!(size_of::<Policy>() <= 4 << 20);
};

#[cfg(feature = "user")]
mod user {
    use super::*;

    macro_rules! pod {
        ($($type:ty),+ $(,)?) => {$(
            // SAFETY: repr(C), no padding that is not a named field, valid for
            // every bit pattern.
            unsafe impl aya::Pod for $type {}
        )+};
    }
    pod!(Ban);
    pod!(Address, ListKey, ListEntry, ListSizes, Source, Counters, Interfaces, Judged);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn source_is_whole_v4_and_masked_v6() {
        let mask = [u64::MAX, 0];
        let v4 = Address::v4([192, 0, 2, 1]);
        assert_eq!(v4.source(mask), v4);
        assert_eq!(v4.octets(), [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 192, 0, 2, 1]);
        let v6 = Address::from_octets([0x20; 16]);
        let network = [32, 32, 32, 32, 32, 32, 32, 32, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(v6.source(mask).octets(), network);
        assert_eq!(v6.source([u64::MAX; 2]), v6);
    }
}
