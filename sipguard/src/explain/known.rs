//! What an explanation is made from.

use ipnet::IpNet;
use jiff::Timestamp;

use crate::policy::{Places, Plan, Target};

/// An entry that an operator made at run time, or a feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entered {
    pub target: Target,
    pub reason: Option<String>,
    /// The feed that has it, where it is no operator's.
    pub feed: Option<String>,
    /// When it ends; `None` where it does not.
    pub until: Option<Timestamp>,
}

/// A source that a running filter has banned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Banned {
    /// An address, or an IPv6 network.
    pub net: IpNet,
    /// The rule that was the reason, and the signature, where it was one.
    pub rule: String,
    pub signature: Option<String>,
    pub until: Timestamp,
}

/// What a running filter knows that stands in no file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Running {
    pub trusted: Vec<Entered>,
    pub blocked: Vec<Entered>,
    pub banned: Vec<Banned>,
    /// Whether the plan's posture is an operator's choice, not the file's.
    pub chose_posture: bool,
}

/// The policy, where it is written, and what a running filter knows beside it.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    pub plan: &'a Plan,
    pub places: &'a Places,
    /// `None` where no running filter was asked.
    pub running: Option<&'a Running>,
}
