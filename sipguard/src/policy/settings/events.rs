//! The section `[events]` of sipguard.toml.

use super::values::limit;
use crate::policy::{plan::Plan, rate::RateLimit, reader::Reader, source::Problems};

pub(in crate::policy) const EVENTS: &[&str] = &["rule", "source", "log"];

pub(super) fn events(section: Reader<'_, '_>, plan: &mut Plan, problems: &mut Problems<'_>) {
    for (key, place) in [("rule", &mut plan.events.rule), ("source", &mut plan.events.source)] {
        let Some(value) = section.get(key) else { continue };
        match limit(value, problems) {
            Some(RateLimit::Unlimited) => problems.error(
                value.span(),
                "events cannot be unlimited",
                "a flood would become a flood of events: write { rate = \"10/s\" }",
            ),
            Some(limit) => *place = limit,
            None => {}
        }
    }
    if let Some(log) = section.get("log").and_then(|value| value.boolean(problems)) {
        plan.events.log = log;
    }
    section.finish(problems);
}
