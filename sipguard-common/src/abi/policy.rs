//! The policy as the kernel program reads it.

use crate::{
    automaton::{self, MAX_SIGNATURES},
    bucket::Limit,
    method::{BUCKETS, BUDGETS},
};

/// What happens to OPTIONS from strangers: [`Policy::options`].
pub mod options {
    pub const PASS: u32 = 0;
    /// Within the bucket of the class, like any other method.
    pub const LIMIT: u32 = 1;
    pub const DROP: u32 = 2;
}

/// How strict the filter is: [`Policy::posture`].
pub mod posture {
    /// Lists and signatures only: no limits for strangers.
    pub const OPEN: u32 = 0;
    pub const GUARDED: u32 = 1;
    /// Trusted sources only.
    pub const CLOSED: u32 = 2;
    /// Guarded, with stricter limits for strangers.
    pub const ATTACK: u32 = 3;
}

/// What happens to later fragments of strangers: [`Policy::fragments`].
pub mod fragments {
    pub const PASS: u32 = 0;
    pub const DROP: u32 = 1;
}

/// Which replies to strangers leave: [`Policy::stealth`].
pub mod stealth {
    /// All.
    pub const ALL: u32 = 0;
    /// Provisional ones, successes and challenges.
    pub const CHALLENGES: u32 = 1;
    /// None.
    pub const NONE: u32 = 2;
}

/// When the server's replies ban somebody.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Auth {
    /// Wrong passwords within the window that ban; 0 means that none do.
    pub failures: u32,
    /// Challenges and unknown users within the window that ban; likewise.
    pub harvest: u32,
    /// The window, in nanoseconds.
    pub window_ns: u64,
    /// How long a ban lasts of which the evidence may be forged, in
    /// nanoseconds.
    pub unproven_ban_ns: u64,
    /// Limits of a stranger's REGISTERs with credentials, of those that may be
    /// forged and of those that are not.
    pub tries: [Limit; 2],
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

/// Classes of trusted peers whose calls per second are limited; number 0 is
/// for peers without a class, whose calls are not.
pub const CPS_CLASSES: usize = 5;

/// Everything that comes from sipguard.toml and signatures.toml, in one value
/// of one inner map: replacing that map replaces the whole policy at once, and
/// no packet is ever judged by half of one.
#[repr(C)]
pub struct Policy {
    /// [`super::ABI_VERSION`].
    pub abi: u32,
    /// [`posture`].
    pub posture: u32,
    /// [`options`].
    pub options: u32,
    /// Mark of the protected destinations that belong to this policy, in the
    /// place of the port of their keys; 0: every destination is protected.
    pub protected: u32,
    /// [`fragments`].
    pub fragments: u32,
    /// Bytes of a datagram's message at most; 0 means any. So below.
    pub max_message: u32,
    /// Bytes of a header line at most.
    pub max_line: u32,
    /// Header lines at most.
    pub max_lines: u32,
    /// Bits of [`super::Ports`] that a stranger may set; 0 means all.
    pub max_ports: u32,
    /// [`stealth`].
    pub stealth: u32,
    /// [`crate::rule::Rule::bit`]s of the rules that drop.
    pub enforced: u64,
    /// Bits of the rules that only count what they would have dropped. A rule
    /// in neither is off.
    pub observed: u64,
    /// How long somebody is banned on evidence that cannot be forged, in
    /// nanoseconds; 0 means not at all.
    pub ban_ns: u64,
    pub auth: Auth,
    /// How long a source's ports are remembered, in nanoseconds.
    pub ports_window_ns: u64,
    /// Which part of an IPv6 address is the source, in memory order.
    pub source_mask: [u64; 2],
    /// Which part of an IPv6 address is the network, in memory order.
    pub subnet_mask: [u64; 2],
    /// The same of the second word of a mapped IPv4 address.
    pub subnet_mask_v4: u64,
    /// Limits of strangers by [`crate::method::Class`] number.
    pub limits: [Limit; BUCKETS],
    /// Limits of all strangers together by [`crate::method::Budget`] number.
    pub strangers: [Limit; BUDGETS],
    /// Limits of a verified endpoint by class.
    pub verified: [Limit; BUCKETS],
    /// Limit of the repeated requests of strangers that pass while
    /// [`crate::method::Budget::Total`] is spent.
    pub reserve: Limit,
    /// Limit of the requests and new connections of a network of strangers.
    pub subnet: Limit,
    /// Limits of the INVITEs of a trusted peer by class.
    pub cps: [Limit; CPS_CLASSES],
    /// Limit of the events of one rule.
    pub events_rule: Limit,
    /// Limit of the events of one source.
    pub events_source: Limit,
    pub keepalives: [Keepalive; KEEPALIVES],
    /// Protected ports, one bit each: bit `port & 63` of word `port >> 6`.
    pub ports: [u64; 1024],
    /// TCP ports of TLS, likewise: protected, but never read.
    pub tls_ports: [u64; 1024],
    /// Where each signature is counted, by its index.
    pub signature_slots: [u16; MAX_SIGNATURES],
    pub automaton: automaton::Table,
}

const _: () = {
    assert!(size_of::<Limit>() == 16);
    assert!(size_of::<Keepalive>() == 32);
    assert!(size_of::<Auth>() == 56);
    // KMALLOC_MAX_SIZE, the largest array value that every supported kernel
    // takes, is 4 MiB on x86-64.
    assert!(size_of::<Policy>() <= 4 << 20);
};
