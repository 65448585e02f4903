//! CrowdSec on the control socket.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{crowdsec::LeftOut, ttl::Ttl};

/// Answer to `GET /v1/crowdsec`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Crowdsec {
    /// The local API; none where `[crowdsec]` names none.
    pub url: Option<String>,
    /// None without a key.
    pub decisions: Option<CrowdsecDecisions>,
    /// None without a login.
    pub reports: Option<CrowdsecReports>,
}

/// Decisions that are read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CrowdsecDecisions {
    /// `ok`, `failing` (what it has decided holds on) or `waiting` (for the first
    /// answer).
    pub state: String,
    /// Decisions in force.
    pub held: usize,
    /// Those left out since everything was last asked for.
    pub left_out: LeftOut,
    pub interval: Ttl,
    /// Answers that were taken.
    pub answers: u64,
    /// Of them, those that named everything.
    pub whole: u64,
    pub failures: u64,
    pub last_ok: Option<Timestamp>,
    /// Why the last try failed.
    pub last_error: Option<String>,
}

/// Bans that are told of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CrowdsecReports {
    /// `ok`, `failing` or `waiting` (nothing was told yet).
    pub state: String,
    /// Alerts that were taken.
    pub sent: u64,
    pub waiting: usize,
    /// Alerts for which there was no room, or that were refused.
    pub lost: u64,
    pub failures: u64,
    pub last_ok: Option<Timestamp>,
    pub last_error: Option<String>,
}
