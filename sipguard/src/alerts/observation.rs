//! What is seen within a second.

use std::time::Duration;

use jiff::Timestamp;

/// Now, twice: spans are measured by the clock that never jumps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moment {
    /// Since any fixed moment.
    pub at: Duration,
    pub wall: Timestamp,
}

/// What is seen at once. Rates are packets a second.
#[derive(Clone, Debug, Default)]
pub struct Observation {
    /// What the rates are measured over, about 1.
    pub seconds: f64,
    /// Packets of SIP, passed or dropped.
    pub sip: f64,
    pub dropped: f64,
    /// Those who send most.
    pub sources: Vec<SourceSeen>,
    /// Verified endpoints.
    pub verified: u64,
    /// How many there are at this hour, where that is known.
    pub baseline: Option<f64>,
    pub maps: Vec<Fill>,
    /// Events lost since the start.
    pub events_lost: u64,
    /// Of the time since the last observation, as far as events were told.
    pub would_hurt: Vec<WouldHurt>,
    pub bans: Vec<AccountBan>,
    /// Banned sources that the server has accepted since.
    pub recovered: Vec<String>,
    pub feeds: Vec<FeedAge>,
    /// Why CrowdSec is of no use.
    pub crowdsec: Option<String>,
    /// Interfaces that are protected in generic mode though better was wanted,
    /// each with the reason.
    pub generic: Vec<(String, String)>,
    /// Interfaces where nothing is filtered, each with the reason.
    pub unprotected: Vec<(String, String)>,
    /// Why the last reload has changed nothing.
    pub reload_failed: Option<String>,
}

/// A source.
#[derive(Clone, Debug)]
pub struct SourceSeen {
    /// An address, or an IPv6 network.
    pub source: String,
    /// Packets a second.
    pub rate: f64,
    /// OPTIONS a second.
    pub options: f64,
    pub is_trusted: bool,
    /// Endpoints there are verified, or were within a day.
    pub is_known: bool,
    /// Few samples of a flood stand for these rates.
    pub estimated: bool,
}

/// How full a map is.
#[derive(Clone, Debug)]
pub struct Fill {
    pub name: String,
    pub entries: u64,
    pub capacity: u64,
}

/// A packet of a verified or trusted source that a rule in mode observe would
/// have dropped.
#[derive(Clone, Debug)]
pub struct WouldHurt {
    pub rule: String,
    /// An address, with a port where there is one.
    pub source: String,
}

/// A ban for wrong passwords.
#[derive(Clone, Debug)]
pub struct AccountBan {
    /// An address or an IPv6 network.
    pub source: String,
    /// Whether the server has accepted somebody there within a day.
    pub is_customer: bool,
    /// The how many-th it is, from 1.
    pub times: u32,
}

/// When a feed was last fetched.
#[derive(Clone, Debug)]
pub struct FeedAge {
    pub name: String,
    pub age: Duration,
    pub max_age: Duration,
}
