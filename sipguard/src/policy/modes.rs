//! Which rules drop, which only count what they would drop, and which are off.

use std::collections::BTreeMap;

use serde::Serialize;
use sipguard_common::rule::{Rule, Verdict};

/// What a rule does with the packets that it catches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RuleMode {
    /// Drops them.
    #[default]
    Enforce,
    /// Counts them, and lets them go on to the rules behind it.
    Observe,
    /// Nothing: as if there were no such rule.
    Off,
}

impl RuleMode {
    /// Every mode, as written in sipguard.toml.
    pub const ALL: [Self; 3] = [Self::Enforce, Self::Observe, Self::Off];

    /// The word in sipguard.toml.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Observe => "observe",
            Self::Off => "off",
        }
    }
}

/// The modes of all rules that can drop.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Modes {
    /// No rule is stricter than this.
    pub all: RuleMode,
    /// Rules with a mode of their own.
    pub rules: BTreeMap<Rule, RuleMode>,
}

impl Modes {
    /// What a rule does: the milder of its own mode and the one of all rules.
    #[must_use]
    pub fn of(&self, rule: Rule) -> RuleMode {
        self.all.max(self.rules.get(&rule).copied().unwrap_or_default())
    }

    /// The modes that these bits of rules stand for.
    pub(super) fn of_bits(enforced: u64, observed: u64) -> Self {
        let mode = |rule: Rule| match rule.bit() {
            bit if bit & enforced != 0 => RuleMode::Enforce,
            bit if bit & observed != 0 => RuleMode::Observe,
            _ => RuleMode::Off,
        };
        Self { all: RuleMode::Enforce, rules: dropping().map(|rule| (rule, mode(rule))).collect() }
    }

    /// Bits of the rules in one mode.
    pub(super) fn bits(&self, mode: RuleMode) -> u64 {
        dropping().filter(|rule| self.of(*rule) == mode).map(Rule::bit).sum()
    }
}

/// The rules that can have a mode: those that drop.
pub(super) fn dropping() -> impl Iterator<Item = Rule> {
    Rule::ALL.iter().copied().filter(|rule| rule.verdict() == Verdict::Drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_milder_mode_holds() {
        let rules =
            BTreeMap::from([(Rule::Options, RuleMode::Off), (Rule::Signature, RuleMode::Enforce)]);
        let modes = Modes { all: RuleMode::Observe, rules };
        assert_eq!(modes.of(Rule::Signature), RuleMode::Observe);
        assert_eq!(modes.of(Rule::Options), RuleMode::Off);
        assert_eq!(modes.of(Rule::Blocked), RuleMode::Observe);
        assert_eq!(modes.bits(RuleMode::Enforce), 0);
        assert_eq!(modes.bits(RuleMode::Off), Rule::Options.bit());
        assert_eq!(Modes::default().bits(RuleMode::Enforce), Rule::DROPS);
        let again = Modes::of_bits(modes.bits(RuleMode::Enforce), modes.bits(RuleMode::Observe));
        assert!(dropping().all(|rule| again.of(rule) == modes.of(rule)));
    }
}
