//! What the server's replies have taught.

use super::{Address, Endpoint};
use crate::method::METHOD_SLOTS;

/// Refused requests of somebody. The key is an [`Endpoint`]: one, or the whole
/// source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Failures {
    /// When the window began.
    pub since_ns: u64,
    /// Wrong passwords in it.
    pub count: u32,
    /// Challenges and unknown users in it.
    pub harvest: u32,
    /// When the hour began, and wrong passwords in it.
    pub hour_since_ns: u64,
    pub hour: u32,
    /// The last of the replies, such as 401.
    pub status: u32,
    pub status_ns: u64,
    /// The transaction of the last of them: a hash of address, Call-ID and
    /// CSeq.
    pub tag: u64,
}

/// Entries of the map `FAILURES`; the oldest make room for new ones.
pub const FAILURES: usize = 65_536;

/// A request with credentials that went on to the server: value of the map
/// `TRANSACTIONS`, found by a hash of the source's address, Call-ID and CSeq.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Transaction {
    /// The hash, never 0.
    pub tag: u64,
    pub at_ns: u64,
    /// [`Endpoint::place`] of the request's source, [`transaction`] flags in
    /// its last byte.
    pub place: u64,
    /// A hash of the answer to the challenge in its credentials: with another
    /// one it is another try.
    pub response: u64,
}

/// What is known of a [`Transaction`].
pub mod transaction {
    /// The server has answered it.
    pub const ANSWERED: u8 = 1;
    /// Its credentials hold a nonce that the server has sent to this address.
    pub const KNOWN: u8 = 2;
    /// And to no other one.
    pub const PROVEN: u8 = 4;
    /// And it was made up.
    pub const FORGED: u8 = 8;
}

/// Slots of the map `TRANSACTIONS`.
pub const TRANSACTIONS: u32 = 65_536;

/// How long an answer is waited for: Timer B and F of RFC 3261.
pub const TRANSACTION_NS: u64 = 64 * 1_000_000_000;

/// Slots of the map `CHALLENGES`: a hash of a nonce that the server has sent,
/// and of the address that it went to.
pub const CHALLENGES: u32 = 65_536;

/// A nonce that the server has sent: value of the map `NONCES`, found by a hash.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Nonce {
    /// The hash.
    pub tag: u64,
    /// A hash of nonce and address, as in `CHALLENGES`, where it was sent to one
    /// only; else 0. Some servers send the same to everybody within a second.
    pub owner: u64,
    /// 1 where the server never sent it: it is one of a reply that was made a
    /// challenge.
    pub forged: u64,
}

/// Slots of the map `NONCES`.
pub const NONCES: u32 = 65_536;

/// Slots of the map `GREYLIST`: a part of a hash of source and Call-ID above,
/// and the time in milliseconds below.
pub const GREYLIST: u32 = 1 << 20;

/// Words of the map `KNOWN`: a bit for each hash of an address of which an
/// endpoint was ever verified.
pub const KNOWN: u32 = 65_536;

/// A ban as it was made, or would have been: one record of the ring buffer
/// `BANS_TOLD`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct BanMade {
    /// CLOCK_MONOTONIC.
    pub time_ns: u64,
    /// When it ends.
    pub expires_ns: u64,
    /// Who is banned: an endpoint, or a whole source.
    pub endpoint: Endpoint,
    /// The address of the server.
    pub server: Address,
    pub ifindex: u32,
    /// [`crate::rule::Rule`] number of the reason.
    pub rule: u32,
    /// Slot of the signature that was the reason, plus one; 0 for none.
    pub signature: u32,
    /// How many wrong passwords, or challenges and unknown users.
    pub failures: u32,
    /// 1 where the evidence cannot be forged.
    pub proven: u32,
    /// [`super::outcome`]: `WOULD_DROP` where the rule is in mode observe.
    pub outcome: u32,
}

/// Classes of status codes: 1 to 6, and 0 for what has none. A power of two.
pub const STATUS_CLASSES: usize = 8;

/// Slots for [`Learned`].
pub const LEARNED_SLOTS: usize = 16;

/// What leaves the protected ports of one interface, on one CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Replies {
    /// Replies by the first digit of the status code and by method number.
    pub by: [[u64; METHOD_SLOTS]; STATUS_CLASSES],
    /// The server's own requests by method number.
    pub requests: [u64; METHOD_SLOTS],
    /// By [`Learned`] number.
    pub learned: [u64; LEARNED_SLOTS],
    /// What is neither, such as keepalives.
    pub other: u64,
}

impl Replies {
    pub const ZERO: Self = Self {
        by: [[0; METHOD_SLOTS]; STATUS_CLASSES],
        requests: [0; METHOD_SLOTS],
        learned: [0; LEARNED_SLOTS],
        other: 0,
    };
}

macro_rules! learned {
    ($($(#[doc = $doc:literal])+ $variant:ident = $number:literal, $name:literal;)+) => {
        /// Something that the server's words have taught or changed. The number
        /// is its slot in [`Replies::learned`]: never reused.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Learned {
            $($(#[doc = $doc])+ $variant = $number,)+
        }

        impl Learned {
            /// Each, by number.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The name that users meet in tables and metrics.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// One line of explanation for operators.
            #[must_use]
            pub const fn help(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc),+).trim_ascii(),)+ }
            }
        }
    };
}

learned! {
    /// Endpoints that became verified.
    Verified = 0, "verified";
    /// Verified endpoints that the server has let go, before their end.
    Ended = 1, "ended";
    /// Wrong passwords of somebody who had seen the server's challenge.
    Failure = 2, "failure";
    /// Refused credentials that may have been forged.
    Unproven = 3, "unproven";
    /// Challenges and unknown users that counted against a stranger.
    Harvest = 4, "harvest";
    /// Bans for wrong passwords.
    AuthBan = 5, "auth_ban";
    /// The same, had rule `auth` not been in mode observe.
    AuthWould = 6, "auth_would";
    /// Bans for harvesting.
    HarvestBan = 7, "harvest_ban";
    /// The same, had rule `harvest` not been in mode observe.
    HarvestWould = 8, "harvest_would";
    /// Replies to strangers that were dropped.
    Hidden = 9, "hidden";
    /// Replies to strangers that became a challenge.
    Challenged = 10, "challenged";
    /// Both of these, had rule `stealth` not been in mode observe.
    StealthWould = 11, "stealth_would";
}

const _: () = {
    assert!(size_of::<Failures>() == 48);
    assert!(size_of::<Transaction>() == 32);
    assert!(size_of::<Nonce>() == 24);
    assert!(size_of::<BanMade>() == 80);
    assert!(size_of::<Replies>() == 8 * ((STATUS_CLASSES + 1) * METHOD_SLOTS + LEARNED_SLOTS + 1));
};
