//! The section `[mirror]` of sipguard.toml.

use std::{collections::BTreeSet, net::IpAddr};

use sipguard_common::rule::Rule;

use crate::policy::{
    mirror::{Collector, Password},
    modes::dropping,
    plan::Plan,
    rate::Rate,
    reader::{Reader, Value},
    source::Problems,
};

pub(in crate::policy) const MIRROR: &[&str] = &["collector", "id", "sample", "rules", "password"];

/// Packets a second at most: the daemon sends them one by one.
const MAX_SAMPLE: u64 = 10_000;

/// Bytes of a password at most.
const MAX_PASSWORD: usize = 128;

/// Bytes of a host's name at most (RFC 1035 section 2.3.4).
const MAX_HOST: usize = 253;

const EXAMPLE: &str = r#""192.0.2.50:9060""#;

pub(super) fn mirror(section: Reader<'_, '_>, plan: &mut Plan, problems: &mut Problems<'_>) {
    if let Some(value) = section.get("collector")
        && let Some(text) = value.text(EXAMPLE, problems)
        && !text.is_empty()
    {
        plan.mirror.collector = collector(text, value, plan, problems);
    }
    let id = section.get("id").and_then(|value| value.number(0..=u32::MAX.into(), problems));
    if let Some(Ok(id)) = id.map(u32::try_from) {
        plan.mirror.id = id;
    }
    if let Some(rate) = section.get("sample").and_then(|value| sample(value, problems)) {
        plan.mirror.sample = rate;
    }
    if let Some(value) = section.get("rules") {
        plan.mirror.rules = rules(value, problems);
    }
    if let Some(value) = section.get("password")
        && let Some(text) = value.text(r#""a shared secret""#, problems)
    {
        plan.mirror.password = password(text, value, problems);
    }
    section.finish(problems);
}

fn collector(
    text: &str,
    value: Value<'_, '_>,
    plan: &Plan,
    problems: &mut Problems<'_>,
) -> Option<Collector> {
    let Some(collector) = parse(text) else {
        problems.error(
            value.span(),
            format!("`{text}` is no collector"),
            format!(
                "write its name or address and its UDP port, for example {EXAMPLE}, or \"\" for none"
            ),
        );
        return None;
    };
    // What is sent there would come in as SIP again.
    let is_protected = plan.ports.iter().any(|port| port == collector.port);
    let is_here = match collector.host.parse::<IpAddr>() {
        Ok(ip) => ip.is_loopback() || plan.protected.iter().any(|net| net.contains(&ip)),
        Err(_) => collector.host.eq_ignore_ascii_case("localhost"),
    };
    if is_protected && is_here {
        problems.error(
            value.span(),
            format!("the collector is at a protected port: {collector}"),
            "let the collector listen on another port: 9060 is usual",
        );
        return None;
    }
    Some(collector)
}

/// `host:port`, `192.0.2.50:9060` or `[2001:db8::50]:9060`.
fn parse(text: &str) -> Option<Collector> {
    let (host, port) = text.rsplit_once(':')?;
    let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    let port: u16 = port.parse().ok().filter(|port| digits && *port != 0)?;
    let host = match host.strip_prefix('[') {
        Some(v6) => {
            let v6 = v6.strip_suffix(']')?;
            matches!(v6.parse(), Ok(IpAddr::V6(_))).then_some(v6)?
        }
        None => {
            let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
            let is_name = !host.is_empty() && host.len() <= MAX_HOST && host.chars().all(good);
            is_name.then_some(host)?
        }
    };
    Some(Collector { host: host.to_owned(), port })
}

fn sample(value: Value<'_, '_>, problems: &mut Problems<'_>) -> Option<Rate> {
    let text = value.text(r#""100/s""#, problems)?;
    match text.parse::<Rate>() {
        Ok(rate) if (1..=MAX_SAMPLE).contains(&(rate.packets() / rate.seconds())) => Some(rate),
        Ok(_) => {
            problems.error(
                value.span(),
                format!("a sample cannot be `{text}`"),
                format!("write \"1/s\" to \"{MAX_SAMPLE}/s\": the counters hold every packet"),
            );
            None
        }
        Err(error) => {
            problems.error(value.span(), format!("`{text}`: {error}"), error.remedy());
            None
        }
    }
}

/// Each once, by number.
fn rules(value: Value<'_, '_>, problems: &mut Problems<'_>) -> Vec<Rule> {
    let items = value.list(r#"["signature", "banned"]"#, problems).unwrap_or_default();
    let known: Vec<Rule> = dropping().filter(|rule| !rule.is_egress()).collect();
    let found = items.into_iter().filter_map(|item| item.choice(&known, Rule::name, problems));
    found.collect::<BTreeSet<Rule>>().into_iter().collect()
}

fn password(text: &str, value: Value<'_, '_>, problems: &mut Problems<'_>) -> Option<Password> {
    if text.len() > MAX_PASSWORD || text.chars().any(char::is_control) {
        problems.error(
            value.span(),
            format!("a password has up to {MAX_PASSWORD} bytes and no control characters"),
            "write the one that the collector asks for, or \"\" for none",
        );
        return None;
    }
    (!text.is_empty()).then(|| Password::new(text))
}
