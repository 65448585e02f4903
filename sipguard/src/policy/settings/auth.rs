//! The section `[auth]` of sipguard.toml.

use super::values::duration;
use crate::{
    policy::{
        auth::{AuthProfile, AuthSettings},
        plan::Plan,
        reader::{Reader, Value},
        source::Problems,
    },
    ttl::Ttl,
};

pub(in crate::policy) const AUTH: &[&str] =
    &["profile", "failures", "window", "ban", "ban_max", "harvest"];

/// Whoever mistypes a password does it twice.
const FEW_FAILURES: u32 = 3;

/// The challenges of a phone that registers, subscribes and publishes, before
/// the first of them succeeds, and then again with an old nonce.
const FEW_CHALLENGES: u32 = 10;

pub(super) fn auth(section: Reader<'_, '_>, plan: &mut Plan, problems: &mut Problems<'_>) {
    let auth = &mut plan.auth;
    let profile = section.get("profile");
    let profile = profile
        .and_then(|value| value.choice(&AuthProfile::ALL, AuthProfile::name, problems))
        .unwrap_or(auth.profile);
    (auth.profile, auth.failures, auth.window) = (profile, profile.failures(), profile.window());
    if let Some((value, failures)) = number(&section, "failures", 1, problems) {
        auth.failures = failures;
        if failures < FEW_FAILURES {
            problems.warning(
                value.span(),
                format!("a typing error bans a customer: `failures` is {failures}"),
                format!("write {FEW_FAILURES} or more: a phone repeats itself before it gives up"),
            );
        }
    }
    if let Some((value, window)) = time(&section, "window", problems) {
        auth.window = window;
        if window < Ttl::MINUTE {
            problems.warning(
                value.span(),
                format!("who guesses slowly is never banned: the window is {window}"),
                "write \"1m\" or more: guesses count together only within it",
            );
        }
    }
    bans(&section, auth, problems);
    if let Some((value, harvest)) = number(&section, "harvest", 3, problems) {
        auth.harvest = harvest;
        if harvest < FEW_CHALLENGES {
            problems.warning(
                value.span(),
                format!(
                    "a new phone may be banned before it has registered: `harvest` is {harvest}"
                ),
                format!(
                    "write {FEW_CHALLENGES} or more: each kind of its requests is challenged once"
                ),
            );
        }
    }
    section.finish(problems);
}

fn bans(section: &Reader<'_, '_>, auth: &mut AuthSettings, problems: &mut Problems<'_>) {
    let (ban, max) = (time(section, "ban", problems), time(section, "ban_max", problems));
    if let Some((_, ban)) = ban {
        auth.ban = ban;
    }
    if let Some((_, max)) = max {
        auth.ban_max = max;
    }
    let (first, longest) = (auth.ban, auth.ban_max);
    if let Some((value, _)) = max.or(ban)
        && longest < first
    {
        problems.error(
            value.span(),
            format!("the longest ban, {longest}, is shorter than the first one, {first}"),
            format!("write ban_max = \"{first}\" or more, or a shorter ban"),
        );
    }
}

type Found<'t, 'i, T> = Option<(Value<'t, 'i>, T)>;

fn time<'t, 'i>(
    section: &Reader<'t, 'i>,
    key: &'static str,
    problems: &mut Problems<'_>,
) -> Found<'t, 'i, Ttl> {
    let value = section.get(key)?;
    Some((value, duration(value, problems)?))
}

fn number<'t, 'i>(
    section: &Reader<'t, 'i>,
    key: &'static str,
    least: u64,
    problems: &mut Problems<'_>,
) -> Found<'t, 'i, u32> {
    let value = section.get(key)?;
    let number = value.number(least..=10_000, problems)?;
    Some((value, u32::try_from(number).ok()?))
}
