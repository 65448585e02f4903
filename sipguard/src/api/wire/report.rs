//! What happened in a span of time, in numbers.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::InterfaceMode;

/// Answer to `GET /v1/report?since=`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    pub from: Timestamp,
    pub until: Timestamp,
    /// When counting began, where that was later than `from`; none where nothing
    /// was counted at all.
    pub counted_from: Option<Timestamp>,
    pub posture: String,
    pub interfaces: Vec<InterfaceMode>,
    /// Packets at protected ports.
    pub passed: u64,
    pub dropped: u64,
    /// Those of the former that rules in mode observe would have dropped.
    pub would_drop: u64,
    /// What counted something, most packets first.
    pub rules: Vec<ReportRule>,
    /// The same over time.
    pub steps: Vec<ReportStep>,
    /// Who had most dropped.
    pub sources: Vec<ReportSource>,
    /// How many sources were noticed.
    pub all_sources: usize,
    /// Networks, who had most dropped first. Of each period only its busiest
    /// sources are known: these are the least that there was.
    pub networks: Vec<ReportNetwork>,
    /// Bans by rule.
    pub bans: Vec<ReportBans>,
    /// Who was banned most often.
    pub banned: Vec<ReportBanned>,
    /// Rules in force that dropped nothing, and would have dropped nothing.
    pub silent_rules: Vec<String>,
    /// Enabled signatures that never matched since the protection started, at
    /// `signatures_since`.
    pub silent_signatures: Vec<String>,
    pub signatures_since: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportRule {
    pub rule: String,
    /// `pass` or `drop`.
    pub verdict: String,
    /// `enforce`, `observe` or `off`; none for rules that never drop.
    pub mode: Option<String>,
    pub packets: u64,
    pub bytes: u64,
    pub would_packets: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportStep {
    /// Its beginning.
    pub time: Timestamp,
    /// Its length.
    pub seconds: u64,
    pub passed: u64,
    pub dropped: u64,
    pub would_drop: u64,
    /// What each rule dropped.
    pub rules: Vec<ReportDrops>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportDrops {
    pub rule: String,
    pub packets: u64,
}

/// In a flood these are estimates.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportSource {
    /// An address, or an IPv6 network that counts as one source.
    pub source: String,
    pub packets: u64,
    pub dropped: u64,
    /// What its last packet was judged by.
    pub rule: String,
    pub method: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportNetwork {
    pub network: String,
    pub sources: usize,
    pub dropped: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportBans {
    pub rule: String,
    pub bans: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportBanned {
    pub target: String,
    pub rule: String,
    pub bans: u64,
    pub last: Timestamp,
    /// When the last of them ends, or ended.
    pub until: Option<Timestamp>,
}
