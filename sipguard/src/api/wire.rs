//! What goes over the control socket, as JSON. Times are RFC 3339 in UTC.

mod capture;
mod crowdsec;
mod feeds;

use std::{net::IpAddr, path::PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use self::capture::*;
pub use self::crowdsec::{Crowdsec, CrowdsecDecisions, CrowdsecReports};
pub use self::feeds::{Feed, Feeds, FeedsWish};
use crate::ttl::Ttl;

mod alerts;
mod pulse;

mod report;
mod web;

pub use self::{alerts::*, pulse::*, report::*, web::*};

/// Answer to `GET /v1/status`.
#[derive(Debug, Serialize, Deserialize)]
pub struct Status {
    pub version: String,
    pub pid: u32,
    /// When the protection started.
    pub since: Timestamp,
    /// The configuration directory.
    pub config: PathBuf,
    pub posture: Posture,
    /// `keep` where the filter outlives the daemon, else `open`.
    #[serde(default)]
    pub fail_mode: String,
    pub interfaces: Vec<Interface>,
    pub signatures: usize,
    pub trusted: Tally,
    pub blocked: Tally,
    /// Networks that feeds block, each once.
    pub fed: usize,
    /// Decisions of CrowdSec.
    pub decided: usize,
    /// Bans that hold.
    pub banned: usize,
    pub events: Events,
    /// Open ones.
    pub alerts: usize,
    pub history: History,
    pub web: Web,
    /// The last reload, successful or not.
    pub reload: Option<LastReload>,
    /// The capture that is being taken.
    pub capture: Option<Capture>,
    /// Where packets are mirrored to.
    pub mirror: Option<Mirror>,
}

/// Where history is written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// None where it is in memory only.
    pub file: Option<PathBuf>,
    /// Why it is.
    pub problem: Option<String>,
    /// Lines for which there was no room.
    pub lost: u64,
}

/// How strict the filter is. Answer to `GET /v1/posture`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Posture {
    /// What holds: `open`, `guarded`, `attack` or `closed`.
    pub posture: String,
    /// Who chose it.
    pub origin: Origin,
    /// What sipguard.toml says.
    pub file: String,
}

/// Body of `POST /v1/posture`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PostureWish {
    /// One of the postures, or `file` for what sipguard.toml says.
    pub posture: String,
}

/// Answer to `POST /v1/posture`.
#[derive(Debug, Serialize, Deserialize)]
pub struct PostureChanged {
    pub old: Posture,
    pub new: Posture,
    /// What the operator should know about it.
    pub notes: Vec<String>,
    /// The command that takes it back.
    pub undo: String,
}

/// Events that were not told, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Events {
    /// Held back by the limits of `[events]`.
    pub suppressed: u64,
    /// Lost because the daemon was not fast enough.
    pub lost: u64,
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
    /// How what leaves is seen: `tcx` or `clsact`.
    pub egress: String,
    /// Why nothing is filtered there at the moment.
    #[serde(default)]
    pub unprotected: Option<String>,
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
    pub replies: Replies,
    pub learned: Vec<LearnedCount>,
    pub events: Events,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
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
    /// `enforce`, `observe` or `off`; none for rules that never drop.
    pub mode: Option<String>,
    pub packets: u64,
    pub bytes: u64,
    /// What would have been dropped while the mode was `observe`. These packets
    /// went on, and are counted under another rule.
    pub would_packets: u64,
    pub would_bytes: u64,
    pub per_interface: Vec<InterfaceCount>,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct InterfaceCount {
    pub name: String,
    pub packets: u64,
    pub bytes: u64,
    pub would_packets: u64,
    pub would_bytes: u64,
}

/// Requests of strangers by method.
#[derive(Debug, Serialize, Deserialize)]
pub struct MethodCount {
    pub method: String,
    pub passed: u64,
    pub dropped: u64,
}

/// What has left the protected ports.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replies {
    pub methods: Vec<ReplyCount>,
    /// What is neither a reply nor a request, such as keepalives.
    pub other: u64,
}

/// Replies to the requests of one method by the class of their status, and the
/// server's own requests.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplyCount {
    pub method: String,
    #[serde(rename = "1xx")]
    pub provisional: u64,
    #[serde(rename = "2xx")]
    pub success: u64,
    #[serde(rename = "3xx")]
    pub redirection: u64,
    #[serde(rename = "4xx")]
    pub refused: u64,
    #[serde(rename = "5xx")]
    pub server_failure: u64,
    #[serde(rename = "6xx")]
    pub global_failure: u64,
    /// Replies whose status was not read.
    pub unread: u64,
    /// Requests that the server has sent.
    pub requests: u64,
}

/// How often the server's replies have taught something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LearnedCount {
    pub name: String,
    pub count: u64,
}

/// Answer to `GET /v1/signatures`: the enabled ones, who matched most first.
#[derive(Debug, Serialize, Deserialize)]
pub struct Signatures {
    /// When the protection started. What was enabled later is counted from then.
    pub since: Timestamp,
    pub signatures: Vec<SignatureCount>,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignatureCount {
    pub name: String,
    /// Packets that matched.
    pub packets: u64,
}

/// Which list `GET /v1/lists?kind=` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Blocked,
    Trusted,
    Banned,
    Verified,
}

/// Answer to `GET /v1/lists`: the list asked for, or all.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Lists {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blocked: Option<Vec<Listed>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trusted: Option<Vec<Listed>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub banned: Option<Vec<Banned>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verified: Option<Vec<Verified>>,
}

/// An endpoint that the server itself has accepted or contacted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verified {
    pub address: IpAddr,
    pub port: u16,
    /// `udp` or `tcp`.
    pub transport: String,
    /// `register`, `invite`: the server has accepted it; `contacted`: the server
    /// has sent it a request.
    pub how: String,
    /// Whether the evidence cannot be forged.
    pub proven: bool,
    pub since: Timestamp,
    /// When it ends, unless the server renews it.
    pub until: Timestamp,
    /// The last final reply to it, such as 200.
    pub status: Option<u32>,
    pub replied: Option<Timestamp>,
}

/// Answer to `GET /v1/why/{address}`.
#[derive(Debug, Serialize, Deserialize)]
pub struct Why {
    pub address: IpAddr,
    /// What counts: `trusted`, `blocked`, `banned`, `verified`, `site` or
    /// `stranger`.
    pub standing: String,
    /// Every entry that covers the address; so with blocks and bans.
    pub trusted: Vec<Listed>,
    pub blocked: Vec<Listed>,
    pub banned: Vec<Banned>,
    pub verified: Vec<VerifiedLevels>,
    pub site: Option<Site>,
    pub failures: Vec<Failures>,
    pub levels: Levels,
    /// The last ones.
    pub events: Vec<Event>,
    pub history: Vec<LogLine>,
    /// How to take back what holds, by commands or in words.
    pub undo: Vec<String>,
}

/// A verified endpoint with its buckets.
#[derive(Debug, Serialize, Deserialize)]
pub struct VerifiedLevels {
    #[serde(flatten)]
    pub endpoint: Verified,
    pub levels: Vec<Level>,
}

/// How full a bucket is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Level {
    /// Its key in sipguard.toml.
    pub name: String,
    /// Packets that would pass now, one after the other.
    pub left: u64,
    /// Packets that fit.
    pub burst: u64,
}

/// The buckets that a stranger at an address meets. Those without a limit are
/// left out, and on a site all but those of the source.
#[derive(Debug, Serialize, Deserialize)]
pub struct Levels {
    pub source: Vec<Level>,
    pub subnet: Option<Level>,
    pub strangers: Vec<Level>,
}

/// A source with verified endpoints.
#[derive(Debug, Serialize, Deserialize)]
pub struct Site {
    /// Accounts that the server has accepted there, about.
    pub accounts: u32,
    /// How many times the limits of a stranger its strangers have.
    pub times: u32,
    /// The latest end of its endpoints.
    pub until: Timestamp,
}

/// What the server has refused to somebody.
#[derive(Debug, Serialize, Deserialize)]
pub struct Failures {
    /// None for the whole source.
    pub port: Option<u16>,
    pub transport: Option<String>,
    /// Wrong passwords since `since`.
    pub passwords: u32,
    /// Challenges and unknown users since `since`.
    pub harvest: u32,
    pub since: Timestamp,
    /// Wrong passwords since `hour_since`.
    pub hour: u32,
    pub hour_since: Timestamp,
    /// The last of these replies, such as 401.
    pub status: Option<u32>,
    pub replied: Option<Timestamp>,
}

/// Answer to `GET /v1/log`.
#[derive(Debug, Serialize, Deserialize)]
pub struct Log {
    /// Oldest first.
    pub lines: Vec<LogLine>,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    pub time: Timestamp,
    /// Such as `ban`.
    #[serde(rename = "type")]
    pub kind: String,
    /// `uid:` with a user's id, `web`, `rule:` with a rule, `signal`, `timer`, `safety`
    /// or `sipguard`.
    pub by: String,
    pub target: Option<String>,
    /// When it ends by itself.
    pub until: Option<Timestamp>,
    pub old: Option<String>,
    pub new: Option<String>,
    /// How many this line stands for.
    pub times: u32,
}

/// Somebody whom sipguard has blocked by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Banned {
    /// An address, or an IPv6 network.
    pub source: String,
    /// Where a single port of it is banned, which one; none for all of it.
    pub port: Option<u16>,
    /// `udp` or `tcp`, likewise.
    pub transport: Option<String>,
    /// The reason.
    pub rule: String,
    /// The signature that was the reason.
    pub signature: Option<String>,
    /// How many wrong passwords, or challenges and unknown users.
    pub failures: u32,
    /// Whether the evidence cannot be forged.
    pub proven: bool,
    /// When the ban was made or last renewed.
    pub since: Timestamp,
    pub until: Timestamp,
}

/// Who put an entry into a list, or chose the posture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// The configuration.
    File,
    /// A command at run time.
    Operator,
    /// A block list of somebody else's, by its name.
    Feed,
    /// A decision of CrowdSec, by who made it.
    Crowdsec,
}

/// One entry. Where a file, the operator or feeds name the same target, there
/// are several.
#[derive(Debug, Serialize, Deserialize)]
pub struct Listed {
    pub target: String,
    pub origin: Origin,
    /// The peer's name in trusted.toml; the feed's; the origin of a decision.
    pub name: Option<String>,
    /// The peer's class there.
    pub class: Option<String>,
    pub reason: Option<String>,
    /// When the operator added it.
    pub added: Option<Timestamp>,
    /// When it ends; none for an entry without end.
    pub until: Option<Timestamp>,
    /// The user who added it; for the web page, the daemon's own.
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
    /// Whether an entry of the operator was there.
    pub listed: bool,
    /// Bans that were lifted.
    pub unbanned: usize,
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
    /// The feed's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub feed: Option<String>,
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

/// A line of the answer to `GET /v1/events`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum EventLine {
    Event(Box<Event>),
    /// This caller was too slow for so many events.
    Missed {
        missed: u64,
    },
}

/// A packet that was dropped, or would have been; or a ban, without a packet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    pub time: Timestamp,
    pub interface: String,
    pub source: IpAddr,
    /// None in later fragments, and where all of a source is banned; likewise
    /// the destination's.
    pub source_port: Option<u16>,
    pub destination: IpAddr,
    pub destination_port: Option<u16>,
    /// `udp` or `tcp`; none in later fragments.
    pub transport: Option<String>,
    /// None where no method was read.
    pub method: Option<String>,
    pub rule: String,
    /// The signature that matched.
    pub signature: Option<String>,
    /// `dropped`, `would drop` or `reset`; of bans `banned` or `would ban`.
    pub outcome: String,
    /// Bytes of the payload.
    pub length: u32,
    /// The first of them as text that acts on no terminal.
    pub text: String,
    /// The same bytes as they came, two digits each.
    pub hex: String,
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
