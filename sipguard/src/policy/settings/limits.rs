//! The section `[limits]` of sipguard.toml.

use std::ops::Range;

use sipguard_common::method::{Budget, Class};

use super::{
    SMALL_OFFICE,
    values::{bits, duration, limit, number_or_unlimited},
};
use crate::policy::{
    limits::{Limits, MessageLimits, PortLimit, SubnetLimit, verified_classes},
    plan::Plan,
    rate::RateLimit,
    reader::Reader,
    source::Problems,
};

pub(in crate::policy) const LIMITS: &[&str] =
    &["source_prefix_v6", "stranger", "strangers", "verified", "subnet", "ports", "message"];
pub(in crate::policy) const CLASSES: &[&str] = &{
    let mut names = [""; Class::ALL.len()];
    let mut i = 0;
    while i < names.len() {
        names[i] = Class::ALL[i].name();
        i += 1;
    }
    names
};
/// Those of [`verified_classes`].
pub(in crate::policy) const VERIFIED: &[&str] = &{
    let mut names = [""; Class::ALL.len() - 1];
    let (mut i, mut slot) = (0, 0);
    while i < Class::ALL.len() {
        if !matches!(Class::ALL[i], Class::Syn) {
            names[slot] = Class::ALL[i].name();
            slot += 1;
        }
        i += 1;
    }
    names
};
const RESERVE: &str = "reserve";
pub(in crate::policy) const STRANGERS: &[&str] = &{
    let mut names = [RESERVE; Budget::ALL.len() + 1];
    let mut i = 0;
    while i < Budget::ALL.len() {
        names[i] = Budget::ALL[i].name();
        i += 1;
    }
    names
};
pub(in crate::policy) const SUBNET: &[&str] = &["prefix_v4", "prefix_v6", "total"];
pub(in crate::policy) const PORTS: &[&str] = &["max", "window"];
pub(in crate::policy) const MESSAGE: &[&str] = &["bytes", "line", "lines"];

pub(super) fn limits(section: Reader<'_, '_>, plan: &mut Plan, problems: &mut Problems<'_>) {
    let limits = &mut plan.limits;
    bits(&section, "source_prefix_v6", 1..=128, &mut limits.source_prefix_v6, problems);
    if let Some(reader) = section.section("stranger", CLASSES, problems) {
        stranger(reader, limits, problems);
    }
    if let Some(reader) = section.section("strangers", STRANGERS, problems) {
        strangers(reader, limits, problems);
    }
    verified(section.section("verified", VERIFIED, problems), limits, problems);
    if let Some(reader) = section.section("subnet", SUBNET, problems) {
        subnet(reader, &mut limits.subnet, problems);
    }
    if let Some(reader) = section.section("ports", PORTS, problems) {
        ports(reader, &mut limits.ports, problems);
    }
    if let Some(reader) = section.section("message", MESSAGE, problems) {
        message(reader, &mut limits.message, problems);
    }
    section.finish(problems);
}

fn stranger(section: Reader<'_, '_>, limits: &mut Limits, problems: &mut Problems<'_>) {
    for class in Class::ALL {
        let Some(value) = section.get(class.name()) else { continue };
        let Some(limit) = limit(value, problems) else { continue };
        lint_limit(class, limit, value.span(), problems);
        limits.stranger[class as usize] = limit;
    }
    section.finish(problems);
}

fn strangers(section: Reader<'_, '_>, limits: &mut Limits, problems: &mut Problems<'_>) {
    for budget in Budget::ALL {
        let value = section.get(budget.name());
        if let Some(limit) = value.and_then(|value| limit(value, problems)) {
            limits.strangers[budget as usize] = limit;
        }
    }
    if let Some(limit) = section.get(RESERVE).and_then(|value| limit(value, problems)) {
        limits.reserve = limit;
    }
    section.finish(problems);
}

/// What is not written is never less than what a stranger may send.
fn verified(section: Option<Reader<'_, '_>>, limits: &mut Limits, problems: &mut Problems<'_>) {
    for class in verified_classes() {
        let stranger = limits.stranger(class);
        let place = &mut limits.verified[class as usize];
        match section.as_ref().and_then(|section| section.get(class.name())) {
            None => *place = place.at_least(stranger),
            Some(value) => {
                let Some(limit) = limit(value, problems) else { continue };
                lint_verified(class, limit, stranger, value.span(), problems);
                *place = limit;
            }
        }
    }
    if let Some(section) = section {
        section.finish(problems);
    }
}

fn subnet(section: Reader<'_, '_>, subnet: &mut SubnetLimit, problems: &mut Problems<'_>) {
    bits(&section, "prefix_v4", 8..=32, &mut subnet.prefix_v4, problems);
    bits(&section, "prefix_v6", 16..=128, &mut subnet.prefix_v6, problems);
    if let Some(limit) = section.get("total").and_then(|value| limit(value, problems)) {
        subnet.total = limit;
    }
    section.finish(problems);
}

fn ports(section: Reader<'_, '_>, limit: &mut PortLimit, problems: &mut Problems<'_>) {
    if let Some(value) = section.get("max") {
        let range = 5..=u64::from(PortLimit::MAX);
        if let Some(max) = number_or_unlimited(value, range, problems) {
            limit.max = max.and_then(|max| u16::try_from(max).ok());
            if max.is_some() {
                problems.warning(
                    value.span(),
                    "phones behind one address lose packets: `max` limits how many ports it may use",
                    "each phone behind a NAT has a port of its own: trust the offices, or write \
                     \"unlimited\"",
                );
            }
        }
    }
    if let Some(window) = section.get("window").and_then(|value| duration(value, problems)) {
        limit.window = window;
    }
    section.finish(problems);
}

fn message(section: Reader<'_, '_>, limits: &mut MessageLimits, problems: &mut Problems<'_>) {
    for (key, range, place) in [
        ("bytes", 300..=65_535, &mut limits.bytes),
        ("line", 100..=65_535, &mut limits.line),
        ("lines", 10..=1000, &mut limits.lines),
    ] {
        let Some(value) = section.get(key) else { continue };
        if let Some(max) = number_or_unlimited(value, range, problems) {
            *place = max.and_then(|max| u32::try_from(max).ok());
        }
    }
    section.finish(problems);
}

/// Warns of a limit that phones meet which all start at once.
fn lint_limit(class: Class, limit: RateLimit, span: Range<usize>, problems: &mut Problems<'_>) {
    let RateLimit::Limited { burst, .. } = limit else { return };
    if !matches!(class, Class::Register | Class::Total) || burst >= SMALL_OFFICE {
        return;
    }
    problems.warning(
        span,
        format!(
            "phones behind one address lose packets: `{}` has a burst of {burst}",
            class.name()
        ),
        format!(
            "ten phones that start at once send {SMALL_OFFICE} REGISTERs: write a higher burst, \
             or trust the offices"
        ),
    );
}

/// Warns of a customer who may send less than anybody else.
fn lint_verified(
    class: Class,
    limit: RateLimit,
    stranger: RateLimit,
    span: Range<usize>,
    problems: &mut Problems<'_>,
) {
    if limit == limit.at_least(stranger) {
        return;
    }
    let name = class.name();
    problems.warning(
        span,
        format!("customers may send less than strangers: limits.stranger.{name} is {stranger}"),
        format!("leave `{name}` out, or write a higher rate and burst than there"),
    );
}
