//! Which texts make signatures: those that stop scanners and no phones.

use std::collections::HashSet;

use jiff::Timestamp;
use sipguard_common::automaton::Field;

use super::draft::{Draft, Origin, Part, Wanted};
use super::render;
use crate::policy::{self, Match, field_name};

/// What sipguard comes with.
const SHIPPED: &str = include_str!("../../../config/signatures.toml");

/// Headers that a text may begin with, as messages spell them.
const HEADERS: [(&str, Field); 11] = [
    ("user-agent:", Field::UserAgent),
    ("from:", Field::From),
    ("f:", Field::From),
    ("to:", Field::To),
    ("t:", Field::To),
    ("contact:", Field::Contact),
    ("call-id:", Field::CallId),
    ("via:", Field::Via),
    ("cseq:", Field::CSeq),
    ("subject:", Field::Subject),
    ("ua:", Field::UserAgent),
];

/// A signature of the shipped file.
struct Shipped {
    name: String,
    field: String,
    kind: String,
    text: String,
    enabled: bool,
}

fn shipped() -> Vec<Shipped> {
    let table: toml::Table = SHIPPED.parse().unwrap_or_default();
    let list = table.get("signature").and_then(|list| list.as_array());
    list.into_iter()
        .flatten()
        .map(|one| {
            let text = |key: &str| {
                one.get(key).and_then(|value| value.as_str()).unwrap_or_default().to_owned()
            };
            let enabled = one.get("enabled").and_then(toml::Value::as_bool).unwrap_or(true);
            let (name, field) = (text("name"), text("field"));
            Shipped { name, field, kind: text("match"), text: text("text"), enabled }
        })
        .collect()
}

/// Names that signatures have already.
pub(super) fn shipped_names() -> HashSet<String> {
    shipped().into_iter().map(|one| one.name).collect()
}

/// Turns a text that a firewall looks for anywhere in a packet into a
/// signature: in its header where it names one, else in the User-Agent.
pub(super) fn want(draft: &mut Draft, origin: &Origin, text: &[u8]) {
    let Ok(text) = std::str::from_utf8(text) else {
        let why = "the bytes are no text, and signatures are";
        draft.left(Part::Signatures, origin, why);
        return;
    };
    let text = text.trim_matches(['\r', '\n']);
    let lower = text.to_ascii_lowercase();
    for (head, field) in HEADERS {
        let Some(rest) = lower.starts_with(head).then(|| text.get(head.len()..)).flatten() else {
            continue;
        };
        if rest.trim().is_empty() {
            draft.left(Part::Signatures, origin, "every message has this header");
        } else {
            draft.want(origin, field, Match::Prefix, rest.trim());
        }
        return;
    }
    draft.want(origin, Field::UserAgent, Match::Contains, text);
}

/// Judges what is wanted: what sipguard has is said, what would hit phones is
/// commented out.
pub(super) fn judge(draft: &mut Draft) {
    let known = shipped();
    let mut seen = HashSet::new();
    let mut kept = Vec::new();
    for one in std::mem::take(&mut draft.wanted) {
        let key = (one.field, one.text.to_ascii_lowercase());
        if !seen.insert(key) {
            draft.carried += 1;
            draft.merged += 1;
        } else if let Some(name) = covered(&known, &one) {
            let how = format!("sipguard does so by itself: its signature `{name}`");
            draft.covered(Part::Signatures, &one.origin, &how);
        } else if let Some(name) = disabled(&known, &one) {
            let why = format!(
                "sipguard has it, disabled, for phones send it as well: enable `{name}` in \
                 signatures.toml if none of yours does"
            );
            draft.left(Part::Signatures, &one.origin, &why);
        } else {
            kept.push(one);
        }
    }
    for one in &mut kept {
        if one.text.chars().any(char::is_control) {
            // It cannot be shown as a signature, not even commented out.
            one.text = crate::sanitise::sanitise(&one.text, 100);
            one.doubt = Some("it holds control characters".to_owned());
        }
    }
    // What is taken out may free what it hid.
    for _ in 0..3 {
        if !judge_once(&mut kept) {
            break;
        }
    }
    if let Some(last) = errors(&kept) {
        for one in kept.iter_mut().filter(|one| one.doubt.is_none()) {
            one.doubt = Some(last.clone());
        }
    }
    draft.left += kept.iter().filter(|one| one.doubt.is_some()).count();
    draft.carried += kept.iter().filter(|one| one.doubt.is_none()).count();
    draft.wanted = kept;
}

/// The shipped signature that finds the same in a value.
fn covered<'k>(known: &'k [Shipped], one: &Wanted) -> Option<&'k str> {
    let text = one.text.trim().to_ascii_lowercase();
    let matches = |known: &&Shipped| {
        let theirs = known.text.to_ascii_lowercase();
        known.enabled
            && known.field == field_name(one.field)
            && !theirs.is_empty()
            && match known.kind.as_str() {
                "prefix" => text.starts_with(&theirs),
                "exact" => text == theirs,
                "contains" => text.contains(&theirs),
                _ => false,
            }
    };
    known.iter().find(matches).map(|known| known.name.as_str())
}

fn disabled<'k>(known: &'k [Shipped], one: &Wanted) -> Option<&'k str> {
    let same = |known: &&Shipped| {
        !known.enabled
            && known.field == field_name(one.field)
            && known.text.eq_ignore_ascii_case(one.text.trim())
    };
    known.iter().find(same).map(|known| known.name.as_str())
}

/// Comments out what `check` finds wrong or risky; whether there was any.
fn judge_once(kept: &mut [Wanted]) -> bool {
    let active: Vec<usize> =
        (0..kept.len()).filter(|i| kept.get(*i).is_some_and(|one| one.doubt.is_none())).collect();
    let texts: Vec<Wanted> = active.iter().filter_map(|i| kept.get(*i).cloned()).collect();
    if texts.is_empty() {
        return false;
    }
    let (text, lines) = render::judged(&texts);
    let findings = match policy::load_texts(&[(policy::SIGNATURES, &text)], Timestamp::UNIX_EPOCH) {
        Ok((_, warnings)) => warnings,
        Err(errors) => errors.0,
    };
    let mut found = false;
    for finding in findings {
        // Findings point at the text, or at a line before it.
        let Some(line) = finding.line else { continue };
        let at = lines.partition_point(|text| *text < line);
        let one = active.get(at).and_then(|index| kept.get_mut(*index));
        if let Some(one) = one.filter(|one| one.doubt.is_none()) {
            one.doubt = Some(format!("{}: {}", finding.message, finding.help));
            found = true;
        }
    }
    found
}

/// Why the signatures together are no policy.
fn errors(kept: &[Wanted]) -> Option<String> {
    let active: Vec<Wanted> = kept.iter().filter(|one| one.doubt.is_none()).cloned().collect();
    let (text, _) = render::judged(&active);
    let result = policy::load_texts(&[(policy::SIGNATURES, &text)], Timestamp::UNIX_EPOCH);
    let errors = result.err()?;
    errors.0.first().map(|first| format!("{}: {}", first.message, first.help))
}
