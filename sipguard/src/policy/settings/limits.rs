//! The sections `[limits]`, `[events]` and `[rules]` of sipguard.toml.

use std::ops::{Range, RangeInclusive};

use sipguard_common::{
    method::{Budget, Class},
    rule::Rule,
};
use toml::de::DeValue;

use super::SMALL_OFFICE;
use crate::{
    policy::{
        limits::PortLimit,
        modes::{RuleMode, dropping},
        plan::Plan,
        rate::{MAX_BURST, Rate, RateError, RateLimit},
        reader::{Reader, Value},
        source::Problems,
    },
    ttl::Ttl,
};

pub(in crate::policy) const LIMITS: &[&str] =
    &["source_prefix_v6", "stranger", "strangers", "subnet", "ports", "message"];
pub(in crate::policy) const CLASSES: &[&str] = &{
    let mut names = [""; Class::ALL.len()];
    let mut i = 0;
    while i < names.len() {
        names[i] = Class::ALL[i].name();
        i += 1;
    }
    names
};
pub(in crate::policy) const BUDGETS: &[&str] = &{
    let mut names = [""; Budget::ALL.len()];
    let mut i = 0;
    while i < names.len() {
        names[i] = Budget::ALL[i].name();
        i += 1;
    }
    names
};
pub(in crate::policy) const SUBNET: &[&str] = &["prefix_v4", "prefix_v6", "total"];
pub(in crate::policy) const PORTS: &[&str] = &["max", "window"];
pub(in crate::policy) const MESSAGE: &[&str] = &["bytes", "line", "lines"];
pub(in crate::policy) const LIMIT: &[&str] = &["rate", "burst"];
pub(in crate::policy) const EVENTS: &[&str] = &["rule", "source", "log"];
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

pub(super) fn limits(section: Reader<'_, '_>, plan: &mut Plan, problems: &mut Problems<'_>) {
    let limits = &mut plan.limits;
    bits(&section, "source_prefix_v6", 1..=128, &mut limits.source_prefix_v6, problems);
    if let Some(stranger) = section.section("stranger", CLASSES, problems) {
        for class in Class::ALL {
            let Some(value) = stranger.get(class.name()) else { continue };
            let Some(limit) = limit(value, problems) else { continue };
            lint_limit(class, limit, value.span(), problems);
            limits.stranger[class as usize] = limit;
        }
        stranger.finish(problems);
    }
    if let Some(strangers) = section.section("strangers", BUDGETS, problems) {
        for budget in Budget::ALL {
            let value = strangers.get(budget.name());
            if let Some(limit) = value.and_then(|value| limit(value, problems)) {
                limits.strangers[budget as usize] = limit;
            }
        }
        strangers.finish(problems);
    }
    if let Some(subnet) = section.section("subnet", SUBNET, problems) {
        bits(&subnet, "prefix_v4", 8..=32, &mut limits.subnet.prefix_v4, problems);
        bits(&subnet, "prefix_v6", 16..=128, &mut limits.subnet.prefix_v6, problems);
        if let Some(limit) = subnet.get("total").and_then(|value| limit(value, problems)) {
            limits.subnet.total = limit;
        }
        subnet.finish(problems);
    }
    if let Some(reader) = section.section("ports", PORTS, problems) {
        ports(reader, &mut limits.ports, problems);
    }
    if let Some(message) = section.section("message", MESSAGE, problems) {
        let limits = &mut limits.message;
        for (key, range, place) in [
            ("bytes", 300..=65_535, &mut limits.bytes),
            ("line", 100..=65_535, &mut limits.line),
            ("lines", 10..=1000, &mut limits.lines),
        ] {
            let Some(value) = message.get(key) else { continue };
            if let Some(max) = number_or_unlimited(value, range, problems) {
                *place = max.and_then(|max| u32::try_from(max).ok());
            }
        }
        message.finish(problems);
    }
    section.finish(problems);
}

/// The length of a prefix.
fn bits(
    section: &Reader<'_, '_>,
    key: &'static str,
    range: RangeInclusive<u64>,
    place: &mut u8,
    problems: &mut Problems<'_>,
) {
    let bits = section.get(key).and_then(|value| value.number(range, problems));
    if let Some(Ok(bits)) = bits.map(u8::try_from) {
        *place = bits;
    }
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

/// A number, or `None` for `"unlimited"`.
fn number_or_unlimited(
    value: Value<'_, '_>,
    range: RangeInclusive<u64>,
    problems: &mut Problems<'_>,
) -> Option<Option<u64>> {
    match value.as_text() {
        Some("unlimited") => Some(None),
        Some(text) => {
            problems.error(
                value.span(),
                format!("a limit cannot be `{text}`"),
                format!("write \"unlimited\" or a number of {} to {}", range.start(), range.end()),
            );
            None
        }
        None => value.number(range, problems).map(Some),
    }
}

/// How long something holds: at most a week, for the kernel program counts in
/// nanoseconds, and who shall stay away longer belongs into blacklist.toml.
pub(super) fn duration(value: Value<'_, '_>, problems: &mut Problems<'_>) -> Option<Ttl> {
    let text = value.text(r#""10m""#, problems)?;
    match text.parse::<Ttl>() {
        Ok(ttl) if ttl <= Ttl::WEEK => Some(ttl),
        Ok(_) => {
            problems.error(value.span(), format!("`{text}` is longer than 7d"), "write 7d or less");
            None
        }
        Err(error) => {
            problems.error(value.span(), error, "write for example \"10m\" or \"1h30m\"");
            None
        }
    }
}

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

fn limit(value: Value<'_, '_>, problems: &mut Problems<'_>) -> Option<RateLimit> {
    let example = r#"write { rate = "5/s", burst = 10 } or "unlimited""#;
    let reader = match value.raw() {
        DeValue::String(text) if text == "unlimited" => return Some(RateLimit::Unlimited),
        DeValue::String(text) => {
            let help = match text.parse::<Rate>() {
                Ok(rate) => format!("write {{ rate = \"{rate}\" }}"),
                Err(_) => example.to_owned(),
            };
            problems.error(value.span(), format!("a limit cannot be `{text}`"), help);
            return None;
        }
        DeValue::Table(_) => value.table(LIMIT, problems)?,
        _ => {
            value.wrong_type("a table with rate and burst", example, problems);
            return None;
        }
    };
    let limit = rate_and_burst(&reader, problems);
    reader.finish(problems);
    limit
}

fn rate_and_burst(reader: &Reader<'_, '_>, problems: &mut Problems<'_>) -> Option<RateLimit> {
    let burst_value = reader.get("burst");
    let burst = burst_value.map(|value| value.number(1..=MAX_BURST, problems));
    let value = reader.need("rate", r#""5/s""#, problems)?;
    let text = value.text(r#""5/s""#, problems)?;
    let refused = |span, error: RateError, problems: &mut Problems<'_>| {
        problems.error(span, format!("`{text}`: {error}"), error.remedy());
    };
    let rate: Rate = match text.parse() {
        Ok(rate) => rate,
        Err(error) => {
            refused(value.span(), error, problems);
            return None;
        }
    };
    let burst = match burst {
        Some(burst) => burst?,
        // What the rate allows in one period, all at once.
        None => rate.packets().min(MAX_BURST),
    };
    match RateLimit::new(rate, burst) {
        Ok(limit) => Some(limit),
        Err(error) => {
            refused(burst_value.unwrap_or(value).span(), error, problems);
            None
        }
    }
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
