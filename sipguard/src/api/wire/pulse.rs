//! What happens, second by second.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A line of the answer to `GET /v1/pulse`: what one second was like. Rates are
/// packets a second.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pulse {
    pub time: Timestamp,
    /// What the rates are measured over, about 1.
    pub seconds: f64,
    pub posture: String,
    pub passed: f64,
    pub dropped: f64,
    pub would_drop: f64,
    /// Each rule that has ever counted something.
    pub rules: Vec<RuleRate>,
    /// By class, `1xx` to `6xx`, and `requests`.
    pub replies: Vec<ReplyRate>,
    /// The 50 busiest of this second, busiest first.
    pub sources: Vec<SourceRate>,
    pub verified: usize,
    pub banned: usize,
    pub blocked: usize,
    pub trusted: usize,
    pub maps: Vec<MapFill>,
    /// Since the start.
    pub events_lost: u64,
    /// Since the start.
    pub events_suppressed: u64,
}

/// What one rule has counted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RuleRate {
    pub rule: String,
    /// `pass` or `drop`.
    pub verdict: String,
    /// Since the start, as bytes and what would have been dropped.
    pub packets: u64,
    pub bytes: u64,
    pub would_packets: u64,
    pub rate: f64,
    pub bytes_rate: f64,
    pub would_rate: f64,
    /// The last second in which it counted.
    pub last: Option<Timestamp>,
}

/// What the server has sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReplyRate {
    pub class: String,
    pub rate: f64,
    pub total: u64,
}

/// What one source sends.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SourceRate {
    /// An address, or an IPv6 network.
    pub source: String,
    pub rate: f64,
    pub dropped: f64,
    pub options: f64,
    pub register: f64,
    pub invite: f64,
    /// As long as it is remembered.
    pub packets: u64,
    /// The last one.
    pub method: Option<String>,
    /// The last one.
    pub rule: String,
    /// As in `Why`.
    pub standing: String,
    /// Whether too few packets were looked at to be sure.
    pub estimated: bool,
}

/// How full a list or a learned map is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MapFill {
    pub name: String,
    pub entries: u64,
    pub capacity: u64,
}
