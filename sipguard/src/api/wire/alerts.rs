//! What operators are told of.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Answer to `GET /v1/alerts`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Alerts {
    /// Those that are open, the worst first.
    pub open: Vec<Alert>,
    /// Those that are over, the newest first; since the start.
    pub past: Vec<Alert>,
    pub actions: Vec<AlertAction>,
}

/// Something that operators should know.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    /// Counted from 1 since the start of sipguard; 0 in a test.
    pub number: u64,
    /// Its table under `[alerts]`; `test` in a test.
    pub rule: String,
    /// A source, a map, a rule or a feed; none where the rule has only one.
    pub subject: Option<String>,
    /// `info`, `warning` or `critical`.
    pub severity: String,
    pub since: Timestamp,
    /// None as long as it is open.
    pub until: Option<Timestamp>,
    /// As last seen, in the unit of the rule's threshold.
    pub value: f64,
    /// The highest one.
    pub peak: f64,
    /// None where the rule has none.
    pub threshold: Option<u64>,
    /// One line for people.
    pub summary: String,
}

/// How an action does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AlertAction {
    pub name: String,
    /// `log`, `exec` or `webhook`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Milder alerts are not told.
    pub severity: String,
    /// What was told since the start.
    pub told: u64,
    /// What could not be told, after all retries.
    pub failed: u64,
    /// What was given up because too much was waiting.
    pub dropped: u64,
    pub waiting: usize,
    /// How the last one ended.
    pub last: Option<AlertTry>,
}

/// How an action ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertTry {
    pub time: Timestamp,
    pub ok: bool,
    pub message: String,
}

/// What a webhook gets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AlertNotice {
    /// One line for people.
    pub text: String,
    /// `raised`, `reminded`, `cleared` or `test`.
    pub change: String,
    pub time: Timestamp,
    /// Whose alert it is.
    pub host: String,
    /// The version of sipguard.
    pub version: String,
    pub alert: Alert,
}

/// Body of `POST /v1/alerts/test`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AlertTestWish {
    /// Its name.
    pub action: String,
}

/// Answer to `POST /v1/alerts/test`.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct AlertTest {
    pub action: String,
    pub ok: bool,
    /// What it said, or why it failed.
    pub message: String,
    /// How long it took.
    pub seconds: f64,
}
