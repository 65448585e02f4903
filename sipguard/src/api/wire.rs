//! What goes over the control socket, as JSON. Times are RFC 3339 in UTC.

use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::ttl::Ttl;

/// Answer to `GET /v1/status`.
#[derive(Debug, Serialize, Deserialize)]
pub struct Status {
    pub version: String,
    pub pid: u32,
    /// When the protection started.
    pub since: Timestamp,
    /// The configuration directory.
    pub config: PathBuf,
    /// How strict the filter is: `open`, `guarded` or `closed`.
    pub posture: String,
    pub interfaces: Vec<Interface>,
    pub signatures: usize,
    pub trusted: Tally,
    pub blocked: Tally,
    /// The last reload, successful or not.
    pub reload: Option<LastReload>,
}

/// A protected interface.
#[derive(Debug, Serialize, Deserialize)]
pub struct Interface {
    pub name: String,
    pub ifindex: u32,
    /// `native` or `generic`.
    pub mode: String,
    /// Why generic.
    pub note: Option<String>,
}

/// Entries of a list by who put them there.
#[derive(Debug, Serialize, Deserialize)]
pub struct Tally {
    pub file: usize,
    pub operator: usize,
}

/// How the last reload ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LastReload {
    pub at: Timestamp,
    pub ok: bool,
    /// What changed, or why nothing did.
    pub message: String,
}

/// Answer to `GET /v1/stats`. Counters run from `since` on; the sum over the
/// rules is the number of packets seen.
#[derive(Debug, Serialize, Deserialize)]
pub struct Stats {
    pub since: Timestamp,
    pub interfaces: Vec<InterfaceMode>,
    pub rules: Vec<RuleCount>,
    pub methods: Vec<MethodCount>,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct InterfaceMode {
    pub name: String,
    /// `native` or `generic`.
    pub mode: String,
}

/// What was counted under one rule. Bytes are those of whole frames.
#[derive(Debug, Serialize, Deserialize)]
pub struct RuleCount {
    pub rule: String,
    /// `pass` or `drop`.
    pub verdict: String,
    pub packets: u64,
    pub bytes: u64,
    pub per_interface: Vec<InterfaceCount>,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct InterfaceCount {
    pub name: String,
    pub packets: u64,
    pub bytes: u64,
}

/// Requests of strangers by method.
#[derive(Debug, Serialize, Deserialize)]
pub struct MethodCount {
    pub method: String,
    pub passed: u64,
    pub dropped: u64,
}

/// Which list `GET /v1/lists?kind=` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Blocked,
    Trusted,
}

/// Answer to `GET /v1/lists`: the list asked for, or both.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Lists {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blocked: Option<Vec<Listed>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trusted: Option<Vec<Listed>>,
}

/// Who put an entry into a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// trusted.toml or blacklist.toml.
    File,
    /// `sipguard block` or `sipguard allow`.
    Operator,
}

/// One entry. Where a file and the operator name the same target, there are
/// two.
#[derive(Debug, Serialize, Deserialize)]
pub struct Listed {
    pub target: String,
    pub origin: Origin,
    /// The peer's name in trusted.toml.
    pub name: Option<String>,
    pub reason: Option<String>,
    /// When the operator added it.
    pub added: Option<Timestamp>,
    /// When it ends; none for an entry without end.
    pub until: Option<Timestamp>,
    /// The user who added it.
    pub uid: Option<u32>,
}

/// Body of `POST /v1/blocks` and `POST /v1/trusted`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Address or network; for `/v1/trusted` also with a source port.
    pub target: String,
    /// Such as `1h`; none for an entry that holds until it is removed or the
    /// daemon stops.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<Ttl>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Answer to a `POST` that put an entry into a list.
#[derive(Debug, Serialize, Deserialize)]
pub struct Added {
    pub target: String,
    /// Whether an entry of the operator was there and has been replaced.
    pub updated: bool,
    pub until: Option<Timestamp>,
    /// What the operator should know about this entry.
    pub notes: Vec<String>,
    /// The command that takes it back.
    pub undo: String,
}

/// Answer to a `DELETE` that took an entry out of a list.
#[derive(Debug, Serialize, Deserialize)]
pub struct Removed {
    pub target: String,
    /// Entries that hold the target in the list all the same.
    pub still: Vec<Holder>,
    /// The command that takes it back.
    pub undo: String,
}

/// An entry that covers a target.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    pub target: String,
    pub origin: Origin,
}

/// Answer to `POST /v1/reload`.
#[derive(Debug, Serialize, Deserialize)]
pub struct Reloaded {
    /// One line: what changed.
    pub summary: String,
    pub changes: Value,
    /// Warnings, each with one line or more: the new policy holds all the
    /// same.
    pub notes: Vec<String>,
}

/// Body of every answer that is no success.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Failure {
    pub error: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// What is wrong with the configuration, for programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diagnostics: Option<Value>,
    /// The same for people, with carets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<String>,
}
