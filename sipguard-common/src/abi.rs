//! Keys and values of the maps, shared by the kernel program and user space.
//!
//! Addresses and ports stand in network byte order, times in nanoseconds of
//! CLOCK_MONOTONIC unless said otherwise. Every change of a layout here raises
//! [`ABI_VERSION`].

mod endpoint;
mod event;
mod learned;
mod pinned;
mod policy;
mod tally;
mod tap;

pub use self::{endpoint::*, event::*, learned::*, pinned::*, policy::*, tally::*, tap::*};
use crate::{
    method::{BUCKETS, METHOD_SLOTS},
    rule::RULE_SLOTS,
};

/// Version of all layouts in this module.
pub const ABI_VERSION: u32 = 5;

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

    /// Whether it is an IPv4 address.
    #[inline(always)]
    #[must_use]
    pub const fn is_v4(self) -> bool {
        let Self([head, tail]) = self;
        head == 0 && tail & V4_TAIL_MASK == V4_TAIL
    }

    /// The source that an address belongs to under [`Policy::source_mask`];
    /// IPv4 stays whole.
    #[inline(always)]
    #[must_use]
    pub const fn source(self, mask: [u64; 2]) -> Self {
        if self.is_v4() {
            return self;
        }
        let Self([head, tail]) = self;
        Self([head & mask[0], tail & mask[1]])
    }

    /// The network that an address belongs to under [`Policy::subnet_mask`]
    /// and [`Policy::subnet_mask_v4`].
    #[inline(always)]
    #[must_use]
    pub const fn subnet(self, mask: [u64; 2], mask_v4: u64) -> Self {
        let Self([head, tail]) = self;
        if self.is_v4() {
            return Self([head, tail & mask_v4]);
        }
        Self([head & mask[0], tail & mask[1]])
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

/// State of one stranger: a theoretical arrival time per
/// [`crate::method::Class`]. The key is an [`Address`], IPv6 masked to the
/// policy's prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Source {
    pub tat_ns: [u64; BUCKETS],
    /// The same of [`Auth::tries`].
    pub tries_ns: [u64; 2],
}

impl Source {
    /// A source that was never seen.
    pub const NEW: Self = Self { tat_ns: [0; BUCKETS], tries_ns: [0; 2] };
}

/// Ports that one stranger was seen to send from: a bitmap by a hash of the
/// port, so that two ports may count as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Ports {
    /// When the window began.
    pub since_ns: u64,
    /// Bits that are set in `bits`.
    pub count: u64,
    pub bits: [u64; PORT_WORDS],
}

/// Words of [`Ports::bits`].
pub const PORT_WORDS: usize = 8;

impl Ports {
    /// Nothing seen yet.
    pub const NEW: Self = Self { since_ns: 0, count: 0, bits: [0; PORT_WORDS] };

    /// The bit of a port, in network byte order: the finaliser of MurmurHash3,
    /// for NATs give ports away in sequence.
    #[inline(always)]
    #[must_use]
    pub const fn bit(port: [u8; 2]) -> u32 {
        let mut hash = u16::from_be_bytes(port) as u32;
        hash = (hash ^ (hash >> 16)).wrapping_mul(0x85eb_ca6b);
        hash = (hash ^ (hash >> 13)).wrapping_mul(0xc2b2_ae35);
        (hash ^ (hash >> 16)) % (PORT_WORDS as u32 * 64)
    }
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
    /// By rule number: what a rule in mode observe would have dropped. Each
    /// such packet went on, and is counted in `rules` under another rule.
    pub would: [Count; RULE_SLOTS],
    /// Requests of strangers by method number, passed and dropped.
    pub passed: [u64; METHOD_SLOTS],
    pub dropped: [u64; METHOD_SLOTS],
    /// Which of the packets are looked at for [`Tally`].
    pub sampling: Sampling,
}

impl Counters {
    pub const ZERO: Self = Self {
        rules: [Count { packets: 0, bytes: 0 }; RULE_SLOTS],
        would: [Count { packets: 0, bytes: 0 }; RULE_SLOTS],
        passed: [0; METHOD_SLOTS],
        dropped: [0; METHOD_SLOTS],
        sampling: Sampling { tick: 0, taken: 0, share: 0, passed_over: 0 },
    };
}

/// Interfaces that can be counted apart; slot 0 is for all others.
pub const INTERFACE_SLOTS: usize = 16;

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
    /// [`crate::rule::Rule::bit`]s of the rules that would have dropped it, were
    /// they not in mode observe.
    pub would: u64,
}

const _: () = {
    assert!(size_of::<ListKey>() == 24);
    assert!(size_of::<ListEntry>() == 16);
    assert!(size_of::<ListSizes>() == 32);
    assert!(size_of::<Source>() == 96);
    assert!(size_of::<Counters>() == 2328);
    assert!(size_of::<Ports>() == 80);
    assert!(size_of::<Judged>() == 24);
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
    pod!(Address, Ban, ListKey, ListEntry, ListSizes, Source, Ports, Counters, Interfaces, Record);
    pod!(Judged, Event, EventLimits, Tally, TallySet, TapSpec, TappedHead, TapBuffer);
    pod!(Endpoint, Verified, Site, Failures, BanMade, Replies, Transaction);
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
