//! One packet as the kernel program got it.

use sipguard_common::{
    abi::{TappedHead, verdict},
    rule::Rule,
};

/// What became of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    Passed,
    Dropped,
    /// It went on, for the rule is in mode observe.
    WouldDrop,
}

impl Seen {
    const fn from_number(number: u32) -> Self {
        match number {
            verdict::PASSED => Self::Passed,
            verdict::WOULD_DROP => Self::WouldDrop,
            _ => Self::Dropped,
        }
    }

    /// As users meet it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Dropped => "dropped",
            Self::WouldDrop => "would drop",
        }
    }
}

/// A whole Ethernet frame, or its start, and what was said of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Nanoseconds of CLOCK_MONOTONIC.
    pub time_ns: u64,
    pub ifindex: u32,
    pub rule: Rule,
    pub seen: Seen,
    /// The name of the signature that matched.
    pub signature: Option<String>,
    /// Bytes on the wire.
    pub length: u32,
    /// The first of them.
    pub bytes: Vec<u8>,
}

impl Frame {
    /// `None` for a rule that this version does not know.
    #[must_use]
    pub fn new(head: &TappedHead, bytes: &[u8], signature: Option<String>) -> Option<Self> {
        Some(Self {
            time_ns: head.time_ns,
            ifindex: head.ifindex,
            rule: Rule::from_number(head.rule)?,
            seen: Seen::from_number(head.verdict),
            signature,
            length: head.length,
            bytes: bytes.to_vec(),
        })
    }

    /// What stands beside it in a capture: `signature: dropped (sipcli)`.
    #[must_use]
    pub fn comment(&self) -> String {
        let (rule, seen) = (self.rule.name(), self.seen.name());
        match &self.signature {
            None => format!("{rule}: {seen}"),
            Some(signature) => format!("{rule}: {seen} ({signature})"),
        }
    }
}
