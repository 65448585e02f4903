//! What there is to measure, read at one moment.

use std::collections::BTreeMap;

use jiff::Timestamp;
use sipguard_common::rule::{Rule, Verdict};

use super::Daemon;
use crate::{
    api::wire::{Crowdsec, History, Interface, SignatureCount, Stats, Tally},
    daemon::Error,
    policy::{Posture, RuleMode},
};

/// The rules that ban.
const BANNING: [Rule; 3] = [Rule::Signature, Rule::Auth, Rule::Harvest];

/// Everything that the daemon can tell without a walk through a large map.
#[derive(Debug)]
pub struct Figures {
    pub stats: Stats,
    pub signatures: Vec<SignatureCount>,
    pub interfaces: Vec<Interface>,
    /// The mode of each rule that drops.
    pub modes: Vec<(Rule, RuleMode)>,
    pub posture: Posture,
    pub trusted: Tally,
    pub blocked: Tally,
    /// Networks that feeds block, each once.
    pub fed: usize,
    pub crowdsec: Crowdsec,
    pub history: History,
    pub deeds: Deeds,
}

/// What the daemon itself has done since its start.
#[derive(Clone, Debug)]
pub struct Deeds {
    pub reloads: Reloads,
    /// By each rule that bans.
    pub bans: BTreeMap<Rule, Bans>,
}

/// Reloads that went well, and those that left everything as it was.
#[derive(Clone, Debug)]
pub struct Reloads {
    pub well: u64,
    pub failed: u64,
    /// Whether the last one went well; so did the start.
    pub is_last_well: bool,
    /// When the policy in force was read.
    pub last_well: Timestamp,
}

/// Bans that one rule has called for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bans {
    pub made: u64,
    /// The rule was in mode observe.
    pub would: u64,
    /// Of who must not be banned: lifted at once.
    pub lifted: u64,
}

impl Deeds {
    /// None yet.
    pub(super) fn since(start: Timestamp) -> Self {
        Self {
            reloads: Reloads { well: 0, failed: 0, is_last_well: true, last_well: start },
            bans: BANNING.into_iter().map(|rule| (rule, Bans::default())).collect(),
        }
    }

    /// The bans of a rule.
    pub(super) fn of(&mut self, rule: Rule) -> &mut Bans {
        self.bans.entry(rule).or_default()
    }

    pub(super) fn reloaded(&mut self, at: Timestamp, is_well: bool) {
        let Reloads { well, failed, is_last_well, last_well } = &mut self.reloads;
        *is_last_well = is_well;
        if is_well {
            (*well, *last_well) = (well.saturating_add(1), at);
        } else {
            *failed = failed.saturating_add(1);
        }
    }
}

impl Daemon {
    /// What there is to measure.
    ///
    /// # Errors
    /// The kernel refused to tell.
    pub fn figures(&self) -> Result<Figures, Error> {
        let dropping = Rule::ALL.iter().copied().filter(|rule| rule.verdict() == Verdict::Drop);
        Ok(Figures {
            stats: self.stats()?,
            signatures: self.signatures()?.signatures,
            interfaces: self.interfaces(),
            modes: dropping.map(|rule| (rule, self.plan.modes.of(rule))).collect(),
            posture: self.plan.posture,
            trusted: self.trusted_tally(),
            blocked: self.blocked_tally(),
            fed: self.plan.fed.len(),
            crowdsec: self.crowdsec_wire(),
            history: self.written(),
            deeds: self.deeds.clone(),
        })
    }
}
