//! A draft as TOML.

use std::{
    collections::HashSet,
    fmt::{Display, Write as _},
};

use ipnet::IpNet;

use super::draft::{Draft, Entry, Part, Setting, Wanted};
use crate::policy::{Target, field_name, net_text};

/// The text of one file. It is TOML, whatever the input was.
pub(super) fn file(draft: &Draft, part: Part, source: &str) -> String {
    let mut out = format!("# ===== {} =====\n# Imported from {source}.\n", part.file());
    match part {
        Part::Trusted => {
            out += "# Look through it: whoever stands here is never filtered.\n";
            peers(&mut out, draft);
        }
        Part::Blacklist => blocks(&mut out, draft),
        Part::Signatures => {
            out += "# Append it to the signatures.toml that sipguard comes with.\n";
            signatures(&mut out, draft);
        }
        Part::Sipguard => {
            out += "# Put it into the sections of your sipguard.toml that have these names.\n";
            settings(&mut out, &draft.settings);
        }
    }
    notes(&mut out, draft, part);
    out
}

fn peers(out: &mut String, draft: &Draft) {
    let mut names = HashSet::new();
    for entry in in_order(&draft.peers.all) {
        let name = unique(&entry.label, &mut names);
        let address = |target: &Target| target.to_string();
        table(out, "peer", entry, &[("name", quote(&name))], address);
    }
}

fn blocks(out: &mut String, draft: &Draft) {
    if draft.overlapping > 0 {
        let count = draft.overlapping;
        let _ = writeln!(out, "# {count} of these lie within larger networks of the same list.");
    }
    for entry in in_order(&draft.blocks.all) {
        let mut keys = vec![("reason", quote(&entry.label))];
        if let Some(until) = entry.until {
            keys.push(("until", until.to_string()));
        }
        table(out, "block", entry, &keys, |net: &IpNet| net_text(*net));
    }
}

/// What holds first, what is commented out behind.
fn in_order<T>(all: &[Entry<T>]) -> impl Iterator<Item = &Entry<T>> {
    let active = all.iter().filter(|entry| entry.doubt.is_none());
    active.chain(all.iter().filter(|entry| entry.doubt.is_some()))
}

fn table<T>(
    out: &mut String,
    head: &str,
    entry: &Entry<T>,
    keys: &[(&str, String)],
    address: impl Fn(&T) -> String,
) {
    out.push('\n');
    let mark = if entry.doubt.is_some() { "#" } else { "" };
    if let Some(doubt) = &entry.doubt {
        comment(out, &entry.origin.shown());
        comment(out, &format!("  not carried over: {doubt}"));
    }
    let _ = writeln!(out, "{mark}[[{head}]]");
    for (key, value) in keys {
        let _ = writeln!(out, "{mark}{key} = {value}");
    }
    let _ = writeln!(out, "{mark}address = [");
    for (one, line) in &entry.addresses {
        let _ = match line {
            0 => writeln!(out, "{mark}    {},", quote(address(one))),
            line => writeln!(out, "{mark}    {}, # line {line}", quote(address(one))),
        };
    }
    let _ = writeln!(out, "{mark}]");
    if entry.more > 0 {
        comment(out, &format!("  and {} more", entry.more));
    }
}

/// The signatures alone, with the line of each, for whoever judges them.
pub(super) fn judged(wanted: &[Wanted]) -> (String, Vec<usize>) {
    let (mut out, mut lines) = (String::new(), Vec::new());
    let mut names = HashSet::new();
    for (i, one) in wanted.iter().enumerate() {
        // A blank line, the head and four keys, the text last.
        lines.push(i * 6 + 6);
        out.push('\n');
        signature(&mut out, one, &mut names);
    }
    (out, lines)
}

fn signatures(out: &mut String, draft: &Draft) {
    let mut names = super::signatures::shipped_names();
    let active = draft.wanted.iter().filter(|one| one.doubt.is_none());
    for one in active.chain(draft.wanted.iter().filter(|one| one.doubt.is_some())) {
        out.push('\n');
        comment(out, &one.origin.shown());
        if let Some(doubt) = &one.doubt {
            comment(out, &format!("  not carried over: {doubt}"));
        }
        signature(out, one, &mut names);
    }
}

fn signature(out: &mut String, one: &Wanted, names: &mut HashSet<String>) {
    let mark = if one.doubt.is_some() { "#" } else { "" };
    let short: String = one.text.chars().take(100).collect();
    let name = unique(&short, names);
    let _ = writeln!(out, "{mark}[[signature]]\n{mark}name = {}", quote(&name));
    let _ = writeln!(out, "{mark}field = {}", quote(field_name(one.field)));
    let _ = writeln!(out, "{mark}match = {}", quote(one.kind.name()));
    let _ = writeln!(out, "{mark}text = {}", quote(&one.text));
}

fn settings(out: &mut String, all: &[Setting]) {
    let mut sections: Vec<&str> = Vec::new();
    for setting in all.iter().filter(|setting| !setting.doubt) {
        if !sections.contains(&setting.section) {
            sections.push(setting.section);
        }
    }
    for section in sections {
        let _ = writeln!(out, "\n[{section}]");
        for setting in all.iter().filter(|one| !one.doubt && one.section == section) {
            comment(out, &setting.origin.shown());
            if !setting.remark.is_empty() {
                comment(out, &format!("  {}", setting.remark));
            }
            let _ = writeln!(out, "{} = {}", setting.key, setting.value);
        }
    }
    for setting in all.iter().filter(|setting| setting.doubt) {
        out.push('\n');
        comment(out, &setting.origin.shown());
        comment(out, &format!("  not carried over: {}", setting.remark));
        let _ = writeln!(out, "#[{}]\n#{} = {}", setting.section, setting.key, setting.value);
    }
}

fn notes(out: &mut String, draft: &Draft, part: Part) {
    let (notes, more) = draft.notes(part);
    let mut notes: Vec<_> = notes.iter().collect();
    notes.sort_by_key(|note| note.origin.line);
    for note in notes {
        out.push('\n');
        comment(out, &note.origin.shown());
        comment(out, &format!("  {}", note.what));
    }
    if more > 0 {
        let _ = writeln!(out, "\n# And {more} more like these.");
    }
}

/// One line: everything that could end it has been escaped before.
fn comment(out: &mut String, text: &str) {
    out.push('#');
    if !text.is_empty() {
        out.push(' ');
        out.extend(text.chars().map(|c| if c.is_control() { ' ' } else { c }));
    }
    out.push('\n');
}

/// A name that nobody has yet.
fn unique(name: &str, taken: &mut HashSet<String>) -> String {
    let mut candidate = name.to_owned();
    let mut number = 2;
    while !taken.insert(candidate.clone()) {
        candidate = format!("{name} {number}");
        number += 1;
    }
    candidate
}

/// A basic string of TOML.
fn quote(text: impl Display) -> String {
    let mut out = String::from("\"");
    for c in text.to_string().chars() {
        match c {
            '"' => out += "\\\"",
            '\\' => out += "\\\\",
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
