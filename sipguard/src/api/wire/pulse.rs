//! What happens now.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A line of the answer to `GET /v1/pulse`: one second. Rates are per second,
/// and of protected ports only.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pulse {
    /// The end of this second.
    pub time: Timestamp,
    /// What the rates are measured over, in seconds: about 1.
    pub seconds: f64,
    /// The posture that holds.
    pub posture: String,
    /// Packets that went on, and that were dropped.
    pub passed: f64,
    pub dropped: f64,
    /// Those of the former that a rule in mode observe would have dropped.
    pub would_drop: f64,
    /// Each rule that has ever counted something, but `not_sip`.
    pub rules: Vec<RuleRate>,
    pub replies: Vec<ReplyRate>,
    /// The 50 busiest, busiest first; then up to 20 of the others that send OPTIONS,
    /// those with most first.
    pub sources: Vec<SourceRate>,
    /// Verified endpoints and bans that hold. With very many of them this is not
    /// counted each second.
    pub verified: usize,
    pub banned: usize,
    /// Entries of the lists.
    pub blocked: usize,
    pub trusted: usize,
    /// How full the maps are.
    pub maps: Vec<MapFill>,
    /// Events since the start that were lost, and that the limits held back.
    pub events_lost: u64,
    pub events_suppressed: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RuleRate {
    pub rule: String,
    /// `pass` or `drop`.
    pub verdict: String,
    /// Since the start.
    pub packets: u64,
    pub bytes: u64,
    /// What it would have dropped while its mode was `observe`, since the start.
    pub would_packets: u64,
    pub rate: f64,
    pub bytes_rate: f64,
    pub would_rate: f64,
    /// The end of the last second in which it counted or would have dropped
    /// something; none before the daemon's first look.
    pub last: Option<Timestamp>,
}

/// Replies by the class of their status, `1xx` to `6xx`; and `requests`, which
/// the server has sent itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReplyRate {
    pub class: String,
    pub rate: f64,
    /// Since the start.
    pub total: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SourceRate {
    /// An address, or an IPv6 network that counts as one source.
    pub source: String,
    pub rate: f64,
    /// Of it, what was dropped, and requests by method.
    pub dropped: f64,
    pub options: f64,
    pub register: f64,
    pub invite: f64,
    /// Since sipguard took notice of it.
    pub packets: u64,
    /// Of the last request whose method was read.
    pub method: Option<String>,
    /// Of the last packet.
    pub rule: String,
    /// What the last packets say of it: `trusted`, `blocked`, `banned`,
    /// `verified` or `stranger`.
    pub standing: String,
    /// Whether some packets stand for others, as in a flood.
    pub estimated: bool,
}

/// How full a list or a table of the kernel is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MapFill {
    pub name: String,
    pub entries: u64,
    pub capacity: u64,
}
