//! What an explanation is made from.

use jiff::Timestamp;

use crate::policy::{Places, Plan, Target};

/// An entry that an operator made at run time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entered {
    pub target: Target,
    pub reason: Option<String>,
    /// When it ends; `None` where it does not.
    pub until: Option<Timestamp>,
}

/// The entries of a running filter that stand in no file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entries {
    pub trusted: Vec<Entered>,
    pub blocked: Vec<Entered>,
}

/// The policy, where it is written, and what a running filter knows beside it.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    pub plan: &'a Plan,
    pub places: &'a Places,
    pub entries: &'a Entries,
}
