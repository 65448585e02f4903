//! The section `[limits]`: what strangers and verified endpoints may send.

use sipguard_common::{
    abi::PORT_WORDS,
    bucket::Limit,
    method::{BUCKETS, BUDGETS, Budget, Class},
};

use super::rate::RateLimit;
use crate::ttl::Ttl;

/// Limits of strangers and of verified endpoints. Trusted sources have none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bits of an IPv6 address that make one source, 1 to 128.
    pub source_prefix_v6: u8,
    /// Of one source, by [`Class`] number.
    pub stranger: [RateLimit; BUCKETS],
    /// Of all strangers together, by [`Budget`] number.
    pub strangers: [RateLimit; BUDGETS],
    /// Of the strangers that repeat a request while their budget is spent.
    pub reserve: RateLimit,
    /// Of one verified endpoint, by [`Class`] number. A SYN has none.
    pub verified: [RateLimit; BUCKETS],
    pub subnet: SubnetLimit,
    pub ports: PortLimit,
    pub message: MessageLimits,
}

/// The section `[limits.subnet]`: what one network of strangers may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubnetLimit {
    /// Bits that make a network, 8 to 32.
    pub prefix_v4: u8,
    /// Bits that make a network, 16 to 128.
    pub prefix_v6: u8,
    pub total: RateLimit,
}

/// The section `[limits.ports]`: how many source ports a stranger may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortLimit {
    /// `None` means any number.
    pub max: Option<u16>,
    /// How long a port is remembered.
    pub window: Ttl,
}

impl PortLimit {
    /// More cannot be told apart in the bitmap.
    pub const MAX: u16 = 500;

    /// How many bits of the map that many ports set, on average: two ports may
    /// share one (linear counting).
    pub(super) fn bits(self) -> u32 {
        let size = (PORT_WORDS * 64) as f64;
        let bits = |ports: u16| size * (1.0 - (-f64::from(ports) / size).exp());
        // Within 1 to 512.
        self.max.map_or(0, |max| bits(max).round().max(1.0) as u32)
    }
}

/// The section `[limits.message]`: what one message may be. `None` means any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MessageLimits {
    /// Bytes of a datagram's message.
    pub bytes: Option<u32>,
    /// Bytes of a header line.
    pub line: Option<u32>,
    /// Header lines.
    pub lines: Option<u32>,
}

impl MessageLimits {
    /// Each limit with its key.
    #[must_use]
    pub const fn named(self) -> [(&'static str, Option<u32>); 3] {
        [("bytes", self.bytes), ("line", self.line), ("lines", self.lines)]
    }
}

impl Limits {
    /// The limit of one class.
    #[must_use]
    pub const fn stranger(&self, class: Class) -> RateLimit {
        self.stranger[class as usize]
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            source_prefix_v6: 64,
            stranger: DEFAULT_STRANGER,
            strangers: DEFAULT_STRANGERS,
            reserve: RateLimit::fixed(200, 400),
            verified: DEFAULT_VERIFIED,
            subnet: SubnetLimit {
                prefix_v4: 24,
                prefix_v6: 48,
                total: RateLimit::fixed(400, 2000),
            },
            ports: PortLimit { max: None, window: Ttl::MINUTE },
            message: MessageLimits::default(),
        }
    }
}

/// The reasons for these numbers stand in config/sipguard.toml.
const DEFAULT_STRANGER: [RateLimit; BUCKETS] = {
    let mut limits = [RateLimit::Unlimited; BUCKETS];
    let mut i = 0;
    while i < Class::ALL.len() {
        limits[i] = match Class::ALL[i] {
            Class::Options => RateLimit::fixed(1, 5),
            Class::Register => RateLimit::fixed(5, 200),
            Class::Invite => RateLimit::fixed(20, 60),
            Class::Event => RateLimit::fixed(10, 200),
            Class::Dialog => RateLimit::fixed(60, 200),
            Class::Response => RateLimit::fixed(200, 500),
            Class::Keepalive => RateLimit::fixed(100, 1000),
            Class::Other => RateLimit::fixed(5, 20),
            Class::Total => RateLimit::fixed(100, 500),
            Class::Syn => RateLimit::fixed(5, 200),
        };
        i += 1;
    }
    limits
};

const DEFAULT_STRANGERS: [RateLimit; BUDGETS] = {
    let mut limits = [RateLimit::Unlimited; BUDGETS];
    let mut i = 0;
    while i < Budget::ALL.len() {
        limits[i] = match Budget::ALL[i] {
            Budget::Total => RateLimit::fixed(1000, 5000),
            Budget::Syn => RateLimit::fixed(500, 2000),
            Budget::Keepalive => RateLimit::fixed(20_000, 40_000),
            Budget::Response => RateLimit::fixed(5000, 20_000),
            Budget::Other => RateLimit::fixed(200, 1000),
        };
        i += 1;
    }
    limits
};

const DEFAULT_VERIFIED: [RateLimit; BUCKETS] = {
    let mut limits = [RateLimit::Unlimited; BUCKETS];
    let mut i = 0;
    while i < Class::ALL.len() {
        limits[i] = match Class::ALL[i] {
            Class::Options => RateLimit::fixed(200, 1000),
            Class::Register => RateLimit::fixed(50, 2000),
            Class::Invite => RateLimit::fixed(200, 1000),
            Class::Event => RateLimit::fixed(100, 2000),
            Class::Dialog => RateLimit::fixed(600, 5000),
            Class::Response => RateLimit::fixed(2000, 20_000),
            Class::Keepalive => RateLimit::fixed(500, 5000),
            Class::Other => RateLimit::fixed(50, 200),
            Class::Total => RateLimit::fixed(1000, 12_000),
            Class::Syn => RateLimit::Unlimited,
        };
        i += 1;
    }
    limits
};

/// Classes of what a verified endpoint sends: all but SYNs, for the port that
/// one comes from is nobody's yet.
pub(super) fn verified_classes() -> impl Iterator<Item = Class> {
    Class::ALL.into_iter().filter(|class| *class != Class::Syn)
}

/// A quarter of the rate and of the burst: posture attack.
pub(super) const fn quarter(limit: Limit) -> Limit {
    // The tolerance is the burst times the interval, and the interval is four
    // times as long.
    Limit { interval_ns: limit.interval_ns.saturating_mul(4), tolerance_ns: limit.tolerance_ns }
}
