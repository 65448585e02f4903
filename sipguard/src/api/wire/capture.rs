//! Packets that go elsewhere, whole.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The capture that is being taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capture {
    /// The user who takes it.
    pub uid: u32,
    pub since: Timestamp,
    /// Packets that it has got.
    pub packets: u64,
    /// Packets over its number a second.
    pub held_back: u64,
    /// Packets that were lost, because they came faster than they were taken.
    pub lost: u64,
}

/// What the mirror has done since the start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mirror {
    /// As written in sipguard.toml.
    pub collector: String,
    pub sent: u64,
    /// Packets that could not be sent.
    pub failed: u64,
    /// Packets without a SIP message, which are not sent.
    pub not_sip: u64,
    /// Packets over the sample.
    pub held_back: u64,
    pub lost: u64,
    /// Why nothing can be sent at present.
    pub problem: Option<String>,
}
