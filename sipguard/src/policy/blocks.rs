//! blacklist.toml: whose packets end here.

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use ipnet::IpNet;
use jiff::Timestamp;
use toml::de::DeValue;

use super::{
    document::walk_in_parts,
    plan::{Block, MAX_BLOCKED},
    reader::{Reader, Value},
    source::{Problems, Source},
    target::{net_text, parse_net},
};

pub(super) const FILE: &[&str] = &["block"];
pub(super) const BLOCK: &[&str] = &["address", "reason", "until"];

const ADDRESS_EXAMPLE: &str = r#""192.0.2.66""#;
const UNTIL_EXAMPLE: &str = "2030-01-31T18:00:00Z";

/// An entry and its place.
pub(super) type Placed = (IpNet, Range<usize>, Block);

/// Reads blacklist.toml. The entries come sorted, each network once.
pub(super) fn read<'s>(
    source: &'s Source,
    now: Timestamp,
    problems: &mut Problems<'s>,
) -> Vec<Placed> {
    let mut entries = Vec::new();
    walk_in_parts(source, "block", problems, |again, table, problems| {
        if again {
            entries.clear();
        }
        let root = Reader::new(table, 0..0, FILE);
        for block in root.sections("block", BLOCK, problems) {
            add(block, now, &mut entries, problems);
        }
        root.finish(problems);
    });
    // Sorting finds duplicates faster than a map with a million entries, and a
    // map is built fastest from what is sorted.
    entries.sort_by(|(a, at, _), (b, bt, _)| (a, at.start).cmp(&(b, bt.start)));
    remove_duplicates(&mut entries, problems);
    if let Some((_, span, _)) = entries.get(MAX_BLOCKED) {
        problems.error(
            span.clone(),
            format!("{} blocked addresses and networks, {MAX_BLOCKED} fit", entries.len()),
            "join neighbouring addresses to networks",
        );
    }
    entries
}

/// The entries as a plan holds them.
pub(super) fn into_map(entries: Vec<Placed>) -> BTreeMap<IpNet, Block> {
    entries.into_iter().map(|(net, _, block)| (net, block)).collect()
}

fn add(
    reader: Reader<'_, '_>,
    now: Timestamp,
    entries: &mut Vec<Placed>,
    problems: &mut Problems<'_>,
) {
    let reason: Option<Arc<str>> = reader
        .get("reason")
        .and_then(|value| value.label(r#""toll fraud""#, problems))
        .map(Arc::from);
    let until = reader.get("until").map(|value| (value, time(value, problems)));
    let expired = match until {
        Some((value, Some(until))) if until <= now => {
            problems.warning(
                value.span(),
                format!("this block ended at {until} and is left out"),
                "remove the entry, or give it a later time",
            );
            true
        }
        _ => false,
    };
    let until = until.and_then(|(_, time)| time);
    if let Some(value) = reader.need("address", ADDRESS_EXAMPLE, problems) {
        let items = value.one_or_more();
        if items.is_empty() {
            let help = format!("write for example address = {ADDRESS_EXAMPLE}");
            problems.error(value.span(), "this block has no address", help);
        }
        for item in items {
            let Some(text) = item.text(ADDRESS_EXAMPLE, problems) else { continue };
            match parse_net(text) {
                Err(error) => problems.error(item.span(), &error, error.remedy()),
                Ok(_) if expired => {}
                Ok(net) => {
                    let block = Block { reason: reason.clone(), until };
                    entries.push((net, problems.place(item.span()), block));
                }
            }
        }
    }
    reader.finish(problems);
}

fn time(value: Value<'_, '_>, problems: &mut Problems<'_>) -> Option<Timestamp> {
    let text = match value.raw() {
        DeValue::String(text) => text.to_string(),
        DeValue::Datetime(time) => time.to_string(),
        _ => {
            value.wrong_type("a time", &format!("write until = {UNTIL_EXAMPLE}"), problems);
            return None;
        }
    };
    let time = text.parse().ok();
    if time.is_none() {
        problems.error(
            value.span(),
            format!("`{text}` is not a time with its offset from UTC"),
            format!("write for example until = {UNTIL_EXAMPLE}, or end it with +02:00"),
        );
    }
    time
}

fn remove_duplicates(entries: &mut Vec<Placed>, problems: &mut Problems<'_>) {
    entries.dedup_by(|(net, span, _), (earlier, place, _)| {
        let same = net == earlier;
        if same {
            let line = problems.line(place.start);
            problems.error(
                span.clone(),
                format!("`{}` is blocked already, in line {line}", net_text(*net)),
                "remove one of the two",
            );
        }
        same
    });
}
