//! The section `[rules]` of sipguard.toml.

use sipguard_common::rule::Rule;

use crate::policy::{
    modes::{RuleMode, dropping},
    plan::Plan,
    reader::Reader,
    source::Problems,
};

pub(in crate::policy) const RULE: &[&str] = &["mode"];

/// Every rule, so that one without a mode gets an answer of its own.
pub(in crate::policy) const RULES: &[&str] = &{
    let mut names = [""; Rule::ALL.len()];
    let mut i = 0;
    while i < names.len() {
        names[i] = Rule::ALL[i].name();
        i += 1;
    }
    names
};

pub(super) fn rules(section: Reader<'_, '_>, plan: &mut Plan, problems: &mut Problems<'_>) {
    for rule in Rule::ALL {
        let Some(value) = section.get(rule.name()) else { continue };
        if !dropping().any(|dropping| dropping == *rule) {
            let names: Vec<&str> = dropping().map(Rule::name).collect();
            problems.error(
                value.span(),
                format!("`{}` never drops: it has no mode", rule.name()),
                format!("rules with a mode: {}", names.join(", ")),
            );
            continue;
        }
        let Some(reader) = value.table(RULE, problems) else { continue };
        let mode = reader.get("mode");
        if let Some(mode) =
            mode.and_then(|value| value.choice(&RuleMode::ALL, RuleMode::name, problems))
        {
            plan.modes.rules.insert(*rule, mode);
        }
        reader.finish(problems);
    }
    section.finish(problems);
}
