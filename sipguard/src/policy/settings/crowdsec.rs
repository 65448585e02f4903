//! The section `[crowdsec]` of sipguard.toml.

use std::path::PathBuf;

use super::values::{bits, check_secret, duration, path, url};
use crate::{
    policy::{
        crowdsec::CrowdsecSettings,
        feeds::KEY_MARK,
        plan::{MAX_BLOCKED, Plan},
        reader::Reader,
        source::Problems,
    },
    ttl::Ttl,
};

pub(in crate::policy) const CROWDSEC: &[&str] = &[
    "url",
    "key_file",
    "interval",
    "max_decisions",
    "min_prefix_v4",
    "min_prefix_v6",
    "usage",
    "login_file",
    "signatures",
];

const URL_EXAMPLE: &str = r#""http://127.0.0.1:8080""#;
const KEY_EXAMPLE: &str = r#""/etc/sipguard/crowdsec.key""#;
const LOGIN_EXAMPLE: &str = r#""/etc/sipguard/crowdsec.login""#;

/// What goes over http, everybody on the way knows and can change.
const RISK: &str = "over http, everybody on the way can read the key, and change what is blocked";

/// Who is asked less often is of little use.
const SELDOM: Ttl = Ttl::HOUR;

pub(super) fn crowdsec(section: Reader<'_, '_>, plan: &mut Plan, problems: &mut Problems<'_>) {
    let settings = &mut plan.crowdsec;
    let text = section.get("url");
    let is_set = text.is_some_and(|value| value.as_text() != Some(""));
    if let Some(value) = text.filter(|_| is_set) {
        settings.url = url(value, URL_EXAMPLE, RISK, problems).and_then(|url| {
            if url.contains(['?', '#']) || url.contains(KEY_MARK) {
                let message = "this is more than the address of a local API";
                problems.error(value.span(), message, format!("write such as {URL_EXAMPLE}"));
                return None;
            }
            // As machines are given it, with or without the version.
            let url = url.trim_end_matches('/');
            Some(url.strip_suffix("/v1").unwrap_or(url).to_owned())
        });
    }
    settings.key_file = secret(&section, "key_file", ("key", KEY_EXAMPLE), problems);
    settings.login_file = secret(&section, "login_file", ("login", LOGIN_EXAMPLE), problems);
    reading(&section, settings, problems);
    for (key, place) in [("usage", &mut settings.usage), ("signatures", &mut settings.signatures)] {
        if let Some(holds) = section.get(key).and_then(|value| value.boolean(problems)) {
            *place = holds;
        }
    }
    if let Some(value) = text.filter(|_| is_set)
        && section.get("key_file").is_none()
        && section.get("login_file").is_none()
    {
        problems.error(
            value.span(),
            "there is neither a key to read decisions with, nor a login to report bans with",
            format!("write key_file = {KEY_EXAMPLE}, login_file = {LOGIN_EXAMPLE}, or both"),
        );
    }
    for key in ["key_file", "login_file"] {
        if let Some(value) = section.get(key).filter(|_| !is_set) {
            let message = format!("{key} is of no use without a url");
            problems.error(value.span(), message, format!("write url = {URL_EXAMPLE}"));
        }
    }
    section.finish(problems);
}

fn reading(section: &Reader<'_, '_>, settings: &mut CrowdsecSettings, problems: &mut Problems<'_>) {
    let interval = section.get("interval");
    if let Some((value, interval)) =
        interval.and_then(|value| Some((value, duration(value, problems)?)))
    {
        settings.interval = interval;
        if interval > SELDOM {
            problems.error(
                value.span(),
                format!("every {interval} is too seldom: addresses change their owners"),
                format!("write \"{SELDOM}\" or less"),
            );
        }
    }
    let most = section.get("max_decisions");
    let most = most.and_then(|value| value.number(1..=MAX_BLOCKED as u64, problems));
    if let Some(Ok(most)) = most.map(usize::try_from) {
        settings.max_decisions = most;
    }
    // What an operator may block, too.
    bits(section, "min_prefix_v4", 8..=32, &mut settings.prefixes.v4, problems);
    bits(section, "min_prefix_v6", 16..=128, &mut settings.prefixes.v6, problems);
}

fn secret(
    section: &Reader<'_, '_>,
    key: &'static str,
    (what, example): (&str, &str),
    problems: &mut Problems<'_>,
) -> Option<PathBuf> {
    let value = section.get(key)?;
    let file = path(value, example, problems)?;
    check_secret(value, what, &file, problems);
    Some(file)
}
