//! Values that several sections of sipguard.toml have: limits, durations,
//! lengths of prefixes.

use std::{
    fs,
    net::IpAddr,
    ops::RangeInclusive,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use toml::de::DeValue;
use ureq::http::Uri;

use crate::{
    policy::{
        feeds::KEY_MARK,
        rate::{MAX_BURST, Rate, RateError, RateLimit},
        reader::{Reader, Value},
        source::Problems,
    },
    ttl::Ttl,
};

/// Bits of a mode by which others can read a file.
const READABLE: u32 = 0o004;

/// Characters of a URL.
const MAX_URL: usize = 1000;

pub(in crate::policy) const LIMIT: &[&str] = &["rate", "burst"];

/// The length of a prefix.
pub(super) fn bits(
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

/// An absolute path.
pub(super) fn path(
    value: Value<'_, '_>,
    example: &str,
    problems: &mut Problems<'_>,
) -> Option<PathBuf> {
    let path = value.text(example, problems)?;
    let wrong = if !path.starts_with('/') {
        "is not absolute"
    } else if path.contains(char::is_control) {
        "holds control characters"
    } else {
        return Some(path.into());
    };
    problems.error(value.span(), format!("this path {wrong}"), format!("write such as {example}"));
    None
}

/// A URL of http or https. `risk` is what http means, where it goes over a network.
pub(super) fn url(
    value: Value<'_, '_>,
    example: &str,
    risk: &str,
    problems: &mut Problems<'_>,
) -> Option<String> {
    let url = value.text(example, problems)?;
    // The mark is none of a URL's characters.
    let uri: Option<Uri> = url.replace(KEY_MARK, "key").parse().ok();
    let parts = uri.as_ref().map(|uri| (uri.scheme_str(), uri.host(), uri.authority()));
    let wrong = match parts {
        _ if url.len() > MAX_URL => "is longer than 1000 characters",
        Some((Some("http" | "https"), Some(host), Some(authority))) if !host.is_empty() => {
            if authority.as_str().contains('@') {
                "holds a user or a password, which everybody could read"
            } else {
                if uri.as_ref().is_some_and(is_open_to_all) {
                    problems.warning(value.span(), risk, "write https:// where the server has it");
                }
                return Some(url.to_owned());
            }
        }
        _ => "is no URL of http or https",
    };
    problems.error(value.span(), format!("this {wrong}"), format!("write such as {example}"));
    None
}

/// Whether it goes unprotected over a network.
fn is_open_to_all(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    let is_here = host == "localhost" || address.is_ok_and(|address| address.is_loopback());
    uri.scheme_str() == Some("http") && !is_here
}

/// Warns of a file with a secret that is missing, or readable by everybody. As
/// the packaged service sipguard is no root: what root alone may read, it cannot.
pub(super) fn check_secret(
    value: Value<'_, '_>,
    what: &str,
    path: &Path,
    problems: &mut Problems<'_>,
) {
    match fs::metadata(path) {
        Err(error) => problems.warning(
            value.span(),
            format!("the {what} cannot be read: {error}"),
            "what needs it fails without it",
        ),
        Ok(file) if file.mode() & READABLE != 0 => problems.warning(
            value.span(),
            format!("the {what} can be read by everybody on this host"),
            format!(
                "chmod 0640 {0} && chgrp sipguard {0}: its owner root and the group sipguard read it then",
                path.display()
            ),
        ),
        Ok(_) => {}
    }
}

/// A number, or `None` for `"unlimited"`.
pub(super) fn number_or_unlimited(
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

/// A rate with its burst, or `"unlimited"`.
pub(super) fn limit(value: Value<'_, '_>, problems: &mut Problems<'_>) -> Option<RateLimit> {
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
