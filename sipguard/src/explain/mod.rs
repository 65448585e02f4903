//! Why a packet passes or is dropped, question by question.
//!
//! The packet goes through the decision code of the kernel program on this
//! host, with look-ups and limits of its own: it needs no rights, no kernel and
//! no running filter. Each question that the decision asks becomes a step,
//! with what was found and where that is written.

mod address;
mod frame;
mod judging;
mod known;
mod lists;
mod reading;
mod settings;
mod step;

use sipguard_common::{method::Method, rule::Rule};

pub use self::{
    address::address,
    frame::{FrameError, MAX_MESSAGE, Via, message},
    judging::packet,
    known::{Banned, Entered, Known, Running},
    step::{Effect, Step},
};
use crate::{endpoint::Endpoint, kernel::Action};

/// The way of a decision.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Explanation {
    /// Of a packet of UDP or TCP.
    pub source: Option<Endpoint>,
    pub destination: Option<Endpoint>,
    pub steps: Vec<Step>,
    /// Of a request that was read.
    pub method: Option<Method>,
    /// Index of the signature that matches, in the plan.
    pub signature: Option<usize>,
    /// [`Rule::bit`]s of the rules in mode observe that would drop it.
    pub would: u64,
    /// `None` where it depends on the packet.
    pub decision: Option<Decision>,
}

impl Explanation {
    /// The rules in mode observe that would drop it.
    pub fn would(&self) -> impl Iterator<Item = Rule> {
        Rule::in_bits(self.would)
    }
}

/// What becomes of a packet, and by which rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    pub rule: Rule,
    pub action: Action,
}
