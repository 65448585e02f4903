//! The section `[feeds]` of sipguard.toml.

use super::values::{bits, check_secret, duration, path, url};
use crate::{
    policy::{
        feeds::{FeedFormat, FeedSettings, FeedSource, KEY_MARK, MAX_FEEDS},
        plan::{MAX_BLOCKED, Plan},
        reader::{Reader, Value},
        source::Problems,
    },
    ttl::Ttl,
};

pub(in crate::policy) const FEEDS: &[&str] = &["feed"];
pub(in crate::policy) const FEED: &[&str] = &[
    "name",
    "url",
    "path",
    "format",
    "interval",
    "max_age",
    "max_entries",
    "max_bytes",
    "min_prefix_v4",
    "min_prefix_v6",
    "key_file",
    "enabled",
];

const NAME_EXAMPLE: &str = r#""voipbl""#;
const URL_EXAMPLE: &str = r#""https://voipbl.org/update/""#;

/// Bytes of a name: it is part of a file's name.
const MAX_NAME: usize = 40;

/// Bytes of a feed at most.
const MAX_BYTES: u64 = 256 << 20;

/// Who asks more often than this is refused, or should be.
const OFTEN: Ttl = Ttl::FIVE_MINUTES;

pub(super) fn feeds(section: Reader<'_, '_>, plan: &mut Plan, problems: &mut Problems<'_>) {
    for reader in section.sections("feed", FEED, problems) {
        feed(reader, plan, problems);
    }
    section.finish(problems);
}

fn feed(reader: Reader<'_, '_>, plan: &mut Plan, problems: &mut Problems<'_>) {
    let named = name(&reader, plan, problems);
    let source = source(&reader, problems);
    let mut settings =
        FeedSettings::of(source.clone().unwrap_or_else(|| FeedSource::Url(String::new())));
    let format = reader.get("format");
    if let Some(format) =
        format.and_then(|value| value.choice(&FeedFormat::ALL, FeedFormat::name, problems))
    {
        settings.format = format;
    }
    times(&reader, &mut settings, problems);
    sizes(&reader, &mut settings, problems);
    if let Some(value) = reader.get("key_file") {
        settings.key_file = path(value, r#""/etc/sipguard/apiban.key""#, problems);
    }
    if let Some(enabled) = reader.get("enabled").and_then(|value| value.boolean(problems)) {
        settings.enabled = enabled;
    }
    key(&reader, &settings, problems);
    if let (Some((value, name)), Some(_)) = (named, source) {
        plan.feeds.insert(name, settings);
        if plan.feeds.len() == MAX_FEEDS + 1 {
            let message = format!("more than {MAX_FEEDS} feeds");
            problems.error(value.span(), message, "join lists into one file, and read that");
        }
    }
    reader.finish(problems);
}

fn name<'t, 'i>(
    reader: &Reader<'t, 'i>,
    plan: &Plan,
    problems: &mut Problems<'_>,
) -> Option<(Value<'t, 'i>, String)> {
    let value = reader.need("name", NAME_EXAMPLE, problems)?;
    let name = value.text(NAME_EXAMPLE, problems)?;
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let starts_well = name.starts_with(is_plain);
    if !starts_well || name.len() > MAX_NAME || !name.chars().all(|c| is_plain(c) || c == '-') {
        problems.error(
            value.span(),
            "a feed cannot have this name",
            format!("write a to z, 0 to 9 and -, {MAX_NAME} at most, such as {NAME_EXAMPLE}"),
        );
        return None;
    }
    if plan.feeds.contains_key(name) {
        let message = format!("two feeds are called `{name}`");
        problems.error(value.span(), message, "give this one another name");
        return None;
    }
    Some((value, name.to_owned()))
}

fn source(reader: &Reader<'_, '_>, problems: &mut Problems<'_>) -> Option<FeedSource> {
    match (reader.get("url"), reader.get("path")) {
        (Some(_), Some(value)) => {
            let message = "a feed has a URL or a path, not both";
            problems.error(value.span(), message, "remove one of the two");
            None
        }
        (None, Some(value)) => {
            Some(FeedSource::Path(path(value, r#""/etc/sipguard/mine.txt""#, problems)?))
        }
        (None, None) => {
            reader.need("url", URL_EXAMPLE, problems);
            None
        }
        (Some(value), None) => {
            let risk = "over http, everybody on the way can change what is blocked";
            url(value, URL_EXAMPLE, risk, problems).map(FeedSource::Url)
        }
    }
}

fn times(reader: &Reader<'_, '_>, settings: &mut FeedSettings, problems: &mut Problems<'_>) {
    let interval = reader.get("interval");
    if let Some((value, interval)) =
        interval.and_then(|value| Some((value, duration(value, problems)?)))
    {
        settings.interval = interval;
        if interval < OFTEN && matches!(settings.source, FeedSource::Url(_)) {
            problems.warning(
                value.span(),
                format!("every {interval} is more often than servers of such lists allow"),
                format!("write \"{OFTEN}\" or more"),
            );
        }
    }
    let max_age = reader.get("max_age");
    if let Some(max_age) = max_age.and_then(|value| duration(value, problems)) {
        settings.max_age = max_age;
    }
    let (interval_text, age) = (settings.interval, settings.max_age);
    if let Some(value) = max_age.or(interval)
        && age <= interval_text
    {
        problems.error(
            value.span(),
            format!("the entries would end before they are read again: {age} <= {interval_text}"),
            "write a longer max_age, or a shorter interval",
        );
    }
}

fn sizes(reader: &Reader<'_, '_>, settings: &mut FeedSettings, problems: &mut Problems<'_>) {
    let entries = reader.get("max_entries");
    let entries = entries.and_then(|value| value.number(1..=MAX_BLOCKED as u64, problems));
    if let Some(Ok(entries)) = entries.map(usize::try_from) {
        settings.max_entries = entries;
    }
    let bytes = reader.get("max_bytes");
    if let Some(bytes) = bytes.and_then(|value| value.number(1024..=MAX_BYTES, problems)) {
        settings.max_bytes = bytes;
    }
    // What an operator may block, too.
    bits(reader, "min_prefix_v4", 8..=32, &mut settings.min_prefix_v4, problems);
    bits(reader, "min_prefix_v6", 16..=128, &mut settings.min_prefix_v6, problems);
}

/// A key needs its place in the URL, and the other way round.
fn key(reader: &Reader<'_, '_>, settings: &FeedSettings, problems: &mut Problems<'_>) {
    let FeedSource::Url(url) = &settings.source else {
        if let Some(value) = reader.get("key_file") {
            let message = "a file needs no key";
            problems.error(value.span(), message, "remove key_file");
        }
        return;
    };
    let has_mark = url.contains(KEY_MARK);
    match (reader.get("key_file"), reader.get("url")) {
        (Some(value), Some(_)) if !has_mark && !url.is_empty() => problems.error(
            value.span(),
            format!("the URL does not say where the key belongs: it has no {KEY_MARK}"),
            "write for example url = \"https://apiban.org/api/{key}/banned\"",
        ),
        (None, Some(value)) if has_mark => problems.error(
            value.span(),
            format!("the URL has a {KEY_MARK}, but there is no key"),
            "write for example key_file = \"/etc/sipguard/apiban.key\"",
        ),
        (Some(value), Some(_)) if has_mark => {
            if let Some(file) = &settings.key_file {
                check_secret(value, "key", file, problems);
            }
        }
        _ => {}
    }
}
