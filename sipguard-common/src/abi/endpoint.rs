//! Who is verified, and who is banned.

use super::Address;
use crate::method::BUCKETS;

/// An address with its port and transport, or with all of them: the key of
/// what sipguard learns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct Endpoint {
    pub address: Address,
    /// The port in network byte order, the protocol number of IP (6 is TCP, 17
    /// UDP) and zeros, in memory order; 0 stands for the whole source.
    pub place: u64,
}

impl Endpoint {
    /// One port of an address.
    #[inline(always)]
    #[must_use]
    pub const fn new(address: Address, port: [u8; 2], protocol: u8) -> Self {
        Self { address, place: place(port, protocol) }
    }

    /// All of a source.
    #[inline(always)]
    #[must_use]
    pub const fn whole(source: Address) -> Self {
        Self { address: source, place: 0 }
    }

    /// Whether it stands for all of a source.
    #[inline(always)]
    #[must_use]
    pub const fn is_whole(self) -> bool {
        self.place == 0
    }

    /// The port in network byte order.
    #[inline(always)]
    #[must_use]
    pub const fn port(self) -> [u8; 2] {
        let [high, low, ..] = self.place.to_ne_bytes();
        [high, low]
    }

    /// The protocol number of IP.
    #[inline(always)]
    #[must_use]
    pub const fn protocol(self) -> u8 {
        let [_, _, protocol, ..] = self.place.to_ne_bytes();
        protocol
    }
}

/// [`Endpoint::place`] of a port in network byte order.
#[inline(always)]
#[must_use]
pub const fn place(port: [u8; 2], protocol: u8) -> u64 {
    let [high, low] = port;
    u64::from_ne_bytes([high, low, protocol, 0, 0, 0, 0, 0])
}

/// How the server has accepted an endpoint: `Verified::how`.
pub mod how {
    /// 2xx to REGISTER.
    pub const REGISTER: u32 = 1;
    /// 2xx to INVITE.
    pub const INVITE: u32 = 2;
    /// The server itself has sent it a request.
    pub const CONTACTED: u32 = 3;
}

/// An endpoint that the server has accepted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Verified {
    /// When it ends, unless the server renews it.
    pub expires_ns: u64,
    pub since_ns: u64,
    /// [`how`].
    pub how: u32,
    /// The last final reply to it, such as 200; 0 for none.
    pub status: u32,
    pub status_ns: u64,
    /// Buckets of its packets by [`crate::method::Class`].
    pub tat_ns: [u64; BUCKETS],
}

/// Verified endpoints at once; those that were not heard of for the longest
/// time make room for new ones.
pub const ENDPOINTS: usize = 131_072;

/// The same of endpoints of which the evidence may be forged. They never take
/// the room of the others.
pub const ENDPOINTS_UNPROVEN: usize = 16_384;

/// How long an endpoint stays verified at least: calls and subscriptions are
/// refreshed each 300 s, and what is lost on the way is repeated for 32 s more
/// (Timer F of RFC 3261).
pub const VERIFIED_MIN_NS: u64 = 332 * 1_000_000_000;

/// Words of the bitmaps of [`Site`].
pub const SITE_WORDS: usize = 4;

/// A day's window of [`Site`].
pub const SITE_DAY_NS: u64 = 86_400 * 1_000_000_000;

/// A source with verified endpoints. The key is an [`Address`], IPv6 masked to
/// the policy's prefix.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Site {
    /// The latest end of its verified endpoints.
    pub until_ns: u64,
    /// When the day's window began.
    pub since_ns: u64,
    /// Accounts seen in the window, and in the one before: a bit for each hash.
    pub seen: [u64; SITE_WORDS],
    pub before: [u64; SITE_WORDS],
    /// By how many bits the limits of its strangers are raised.
    pub shift: u32,
    pub pad: u32,
}

/// Sites at once.
pub const SITES: usize = 65_536;

impl Site {
    /// Whether the site is still remembered.
    #[inline(always)]
    #[must_use]
    pub const fn is_remembered(&self, now_ns: u64) -> bool {
        now_ns < self.until_ns || now_ns.wrapping_sub(self.since_ns) < 2 * SITE_DAY_NS
    }
}

/// A block that sipguard made by itself. The key is an [`Endpoint`]: one, or
/// the whole source, IPv6 masked to the policy's prefix.
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
    /// How many wrong passwords, or challenges and unknown users.
    pub failures: u32,
    /// 1 where the evidence cannot be forged.
    pub proven: u32,
}

/// Bans at once; the oldest make room for new ones.
pub const BANS: usize = 65_536;

/// What `BANS_MADE` says.
pub mod bans_made {
    /// There was a ban of a whole source.
    pub const SOURCES: u64 = 1;
    /// There was a ban of a single endpoint.
    pub const ENDPOINTS: u64 = 2;
}

const _: () = {
    assert!(size_of::<Endpoint>() == 24);
    assert!(size_of::<Verified>() == 112);
    assert!(size_of::<Site>() == 88);
    assert!(size_of::<Ban>() == 32);
};
