//! signatures.toml: what scanners write into their requests.

use std::{collections::HashMap, ops::Range};

use sipguard_common::automaton::{Field, MAX_SIGNATURES};
use toml::de::DeTable;

use super::{
    automaton,
    reader::{Reader, Value},
    signature::{Condition, Match, Signature, field_name},
    source::Problems,
};

pub(super) const FILE: &[&str] = &["signature"];
pub(super) const SIGNATURE: &[&str] = &["name", "field", "match", "text", "all", "enabled"];
/// What stands in a condition of `all`.
const CONDITION: &[&str] = &["field", "match", "text"];

/// Bytes of a text at most; no User-Agent is as long.
pub(super) const MAX_TEXT: usize = 128;
/// Bytes of a regular expression at most.
pub(super) const MAX_REGEX: usize = 512;

/// An enabled signature and the place of its text.
pub(super) type Placed = (Signature, Range<usize>);

/// Reads signatures.toml: the enabled entries, in their order.
pub(super) fn read(table: &DeTable<'_>, problems: &mut Problems<'_>) -> Vec<Placed> {
    let root = Reader::new(table, 0..0, FILE);
    let mut all = All::default();
    for signature in root.sections("signature", SIGNATURE, problems) {
        all.add(signature, problems);
    }
    root.finish(problems);
    if let Some((_, span)) = all.enabled.get(MAX_SIGNATURES) {
        problems.error(
            span.clone(),
            format!("{} signatures are enabled, {MAX_SIGNATURES} fit", all.enabled.len()),
            "disable those that never match, or join several in a shorter prefix",
        );
    }
    all.enabled
}

#[derive(Default)]
struct All<'t> {
    names: HashMap<&'t str, Range<usize>>,
    /// Where each meaning stands, also of those that are not enabled.
    places: HashMap<Vec<(Field, Match, String)>, Range<usize>>,
    enabled: Vec<Placed>,
}

impl<'t> All<'t> {
    fn add(&mut self, reader: Reader<'t, '_>, problems: &mut Problems<'_>) {
        let name = reader.need("name", r#""friendly-scanner""#, problems);
        let name = name.and_then(|value| {
            let name = value.label(r#""friendly-scanner""#, problems)?;
            self.claim_name(name, value.span(), problems).then_some(name)
        });
        let conditions = match reader.get("all") {
            Some(all) => joined(&reader, all, problems).map(|all_of| (all_of, all.span())),
            None => condition(&reader, problems).map(|(condition, span)| (vec![condition], span)),
        };
        let enabled = match reader.get("enabled") {
            Some(value) => value.boolean(problems).unwrap_or(false),
            None => true,
        };
        if let (Some(name), Some((conditions, span))) = (name, conditions) {
            let signature = Signature { name: name.to_owned(), conditions };
            self.add_signature(signature, span, enabled, problems);
        }
        reader.finish(problems);
    }

    fn claim_name(
        &mut self,
        name: &'t str,
        span: Range<usize>,
        problems: &mut Problems<'_>,
    ) -> bool {
        let Some(earlier) = self.names.get(name) else {
            self.names.insert(name, span);
            return true;
        };
        let line = problems.line(earlier.start);
        problems.error(
            span,
            format!("another signature is called `{name}`, in line {line}"),
            "give each signature a name of its own: counters and events show it",
        );
        false
    }

    fn add_signature(
        &mut self,
        signature: Signature,
        span: Range<usize>,
        enabled: bool,
        problems: &mut Problems<'_>,
    ) {
        let mut meaning: Vec<_> = signature.conditions.iter().map(meaning_of).collect();
        meaning.sort_unstable();
        if let Some(earlier) = self.places.get(&meaning) {
            let line = problems.line(earlier.start);
            problems.error(
                span,
                format!("the same signature stands in line {line} (letters match in either case)"),
                "remove one of the two",
            );
            return;
        }
        self.places.insert(meaning, span.clone());
        if enabled {
            self.enabled.push((signature, span));
        }
    }
}

/// What a condition says, whatever the case of its letters. Those of a regular
/// expression may be an escape, of which the case matters.
fn meaning_of(condition: &Condition) -> (Field, Match, String) {
    let Condition { field, kind, text } = condition;
    let text = match kind {
        Match::Regex => text.clone(),
        _ => text.to_ascii_lowercase(),
    };
    (*field, *kind, text)
}

/// The conditions of `all`.
fn joined(
    reader: &Reader<'_, '_>,
    all: Value<'_, '_>,
    problems: &mut Problems<'_>,
) -> Option<Vec<Condition>> {
    for key in CONDITION {
        if let Some(value) = reader.get(key) {
            problems.error(
                value.span(),
                format!("`{key}` stands beside `all`"),
                "write it as one of the conditions of `all`",
            );
        }
    }
    let example = r#"[{ field = "user-agent", match = "exact", text = "x" }, ...]"#;
    let items = all.list(example, problems)?;
    if items.len() < 2 {
        problems.error(
            all.span(),
            "`all` holds less than two conditions",
            "write `field`, `match` and `text` without `all`, or add a condition",
        );
        return None;
    }
    let conditions: Vec<_> = items
        .iter()
        .map(|item| {
            let reader = item.table(CONDITION, problems)?;
            let condition = condition(&reader, problems);
            reader.finish(problems);
            condition
        })
        .collect();
    conditions.into_iter().map(|condition| Some(condition?.0)).collect()
}

/// The keys `field`, `match` and `text`, and the place of the text.
fn condition(
    reader: &Reader<'_, '_>,
    problems: &mut Problems<'_>,
) -> Option<(Condition, Range<usize>)> {
    let field = reader.need("field", r#""user-agent""#, problems);
    let field = field.and_then(|value| value.choice(&Field::ALL, field_name, problems));
    let kind = reader.need("match", r#""prefix""#, problems);
    let kind = kind.and_then(|value| value.choice(&Match::ALL, Match::name, problems));
    let text = reader.need("text", r#""friendly-scanner""#, problems);
    let text = text.and_then(|value| Some((text_of(value, kind, problems)?, value.span())));
    let (Some(field), Some(kind), Some((text, span))) = (field, kind, text) else { return None };
    Some((Condition { field, kind, text: text.to_owned() }, span))
}

/// The text of a signature, which must be able to match.
fn text_of<'t>(
    value: Value<'t, '_>,
    kind: Option<Match>,
    problems: &mut Problems<'_>,
) -> Option<&'t str> {
    let text = value.text(r#""friendly-scanner""#, problems)?;
    let is_regex = kind == Some(Match::Regex);
    let starts = text.starts_with(' ') && kind != Some(Match::Contains);
    let ends = text.ends_with(' ') && kind == Some(Match::Exact);
    let (wrong, help) = if text.trim().is_empty() {
        ("is empty", "write the text to look for, or remove the signature")
    } else if text.chars().any(char::is_control) {
        ("holds control characters", "write visible characters and spaces only")
    } else if starts || ends {
        ("has spaces at an end, where values are compared without them", "remove the spaces")
    } else if is_regex && text.len() > MAX_REGEX {
        ("is longer than 512 bytes", "write several signatures")
    } else if !is_regex && text.len() > MAX_TEXT {
        ("is longer than 128 bytes", "a prefix of it will do")
    } else if let Some(defect) = is_regex.then(|| automaton::defect(text)).flatten() {
        problems.error(
            value.span(),
            format!("the regular expression {defect}"),
            "it is compared with the start of the value; `$` stands for its end",
        );
        return None;
    } else {
        return Some(text);
    };
    problems.error(value.span(), format!("the text {wrong}"), help);
    None
}
