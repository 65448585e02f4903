//! From the four files to a plan, or to everything that is wrong in them.

use std::path::Path;

use jiff::Timestamp;
use sipguard_common::automaton::MAX_SIGNATURES;
use toml::de::DeTable;

use super::{
    automaton::{self, compile},
    blocks,
    diagnostic::{Diagnostic, Diagnostics, Severity},
    document, lint, peers,
    plan::Plan,
    settings, signatures,
    source::{Problems, Source},
};

/// How the filter works.
pub const SETTINGS: &str = "sipguard.toml";
/// Whom it never touches.
pub const TRUSTED: &str = "trusted.toml";
/// Whose packets it drops.
pub const BLACKLIST: &str = "blacklist.toml";
/// What scanners write.
pub const SIGNATURES: &str = "signatures.toml";

/// The files of a configuration directory.
pub const FILES: [&str; 4] = [SETTINGS, TRUSTED, BLACKLIST, SIGNATURES];

/// Reads the files in `dir`; on success also returns warnings.
///
/// Entries of blacklist.toml whose time is over are left out.
///
/// # Errors
/// Everything that is wrong in any of the files, with the warnings among it.
/// Beyond a thousand of a file they are only counted.
pub fn load(dir: &Path) -> Result<(Plan, Vec<Diagnostic>), Diagnostics> {
    load_at(dir, Timestamp::now())
}

/// As [`load`], at a given time: entries that ended before it are left out.
///
/// # Errors
/// As there.
pub fn load_at(dir: &Path, now: Timestamp) -> Result<(Plan, Vec<Diagnostic>), Diagnostics> {
    if !dir.is_dir() {
        return Err(Diagnostics(vec![Diagnostic::whole_file(
            Severity::Error,
            &dir.display().to_string(),
            "there is no such directory",
            format!("make it, with the files {}", FILES.join(", ")),
        )]));
    }
    load_from(|name| Source::read(&dir.join(name)), now)
}

/// As [`load_at`], of texts by the name of their file; the other files are
/// empty. For what is not written yet.
///
/// # Errors
/// As there.
pub fn load_texts(
    texts: &[(&str, &str)],
    now: Timestamp,
) -> Result<(Plan, Vec<Diagnostic>), Diagnostics> {
    let text = |name: &str| texts.iter().find(|(file, _)| *file == name);
    let source = |name: &str| {
        let text = text(name).map_or("", |(_, text)| text);
        Ok(Source::new(Path::new(name), text.to_owned()))
    };
    load_from(source, now)
}

fn load_from(
    open: impl Fn(&str) -> Result<Source, Box<Diagnostic>>,
    now: Timestamp,
) -> Result<(Plan, Vec<Diagnostic>), Diagnostics> {
    let mut plan = Plan::default();
    let mut found = Vec::new();
    with_table(open(SETTINGS), &mut found, |table, problems| {
        settings::read(table, &mut plan, problems);
    });
    with_table(open(TRUSTED), &mut found, |table, problems| {
        plan.trusted = peers::read(table, problems).into();
    });
    with_file(open(BLACKLIST), &mut found, |source, problems| {
        let entries = blocks::read(source, now, problems);
        lint::blocks(&entries, &plan.trusted, problems);
        plan.blocked = blocks::into_map(entries).into();
    });
    with_table(open(SIGNATURES), &mut found, |table, problems| {
        read_signatures(table, &mut plan, problems);
    });
    if found.iter().any(|finding| finding.severity == Severity::Error) {
        return Err(Diagnostics(found));
    }
    plan.write_settings();
    Ok((plan, found))
}

fn with_table(
    source: Result<Source, Box<Diagnostic>>,
    found: &mut Vec<Diagnostic>,
    read: impl FnOnce(&DeTable<'_>, &mut Problems<'_>),
) {
    with_file(source, found, |source, problems| {
        if let Some(table) = document::parse(source, problems) {
            read(&table, problems);
        }
    });
}

fn with_file(
    source: Result<Source, Box<Diagnostic>>,
    found: &mut Vec<Diagnostic>,
    read: impl for<'s> FnOnce(&'s Source, &mut Problems<'s>),
) {
    let source = match source {
        Ok(source) => source,
        Err(finding) => {
            found.push(*finding);
            return;
        }
    };
    let mut problems = Problems::new(&source);
    read(&source, &mut problems);
    found.extend(problems.into_diagnostics());
}

fn read_signatures(table: &DeTable<'_>, plan: &mut Plan, problems: &mut Problems<'_>) {
    let entries = signatures::read(table, problems);
    if entries.is_empty() || entries.len() > MAX_SIGNATURES {
        return;
    }
    plan.signatures = entries.iter().map(|(signature, _)| signature.clone()).collect();
    match compile(&plan.signatures, &mut plan.policy.automaton) {
        Ok(_) => lint::signatures(&entries, &plan.policy.automaton, problems),
        Err(error @ automaton::TooLarge { what, needed, available }) => problems.whole_file(
            error,
            format!(
                "shorten texts or disable signatures until {} fewer {what} are needed",
                needed - available
            ),
        ),
    }
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod shipped;
