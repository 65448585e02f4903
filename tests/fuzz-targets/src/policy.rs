//! The four files of TOML.

use jiff::Timestamp;
use sipguard::policy::{
    BLACKLIST, Diagnostic, FILES, SETTINGS, SIGNATURES, Severity, TRUSTED, load_texts,
};

use crate::Seed;

pub(crate) const NEEDS_KERNEL: bool = false;

/// A line that begins so names the file that follows; what comes before the first
/// is sipguard.toml.
const MARK: &str = "#= ";

/// The input as the files.
///
/// # Panics
/// Where a finding has no place or no remedy, or a refusal no reason.
pub fn run(input: &[u8]) {
    // What is no UTF-8 does not get as far as here.
    let text = String::from_utf8_lossy(input);
    let files = split(&text);
    let texts: Vec<(&str, &str)> =
        FILES.into_iter().zip(&files).map(|(name, text)| (name, text.as_str())).collect();
    let now = Timestamp::from_second(1_800_000_000).expect("a time");
    let findings = match load_texts(&texts, now) {
        Ok((_, warnings)) => {
            assert!(warnings.iter().all(|finding| finding.severity == Severity::Warning));
            warnings
        }
        Err(findings) => {
            assert!(findings.0.iter().any(|finding| finding.severity == Severity::Error));
            findings.0
        }
    };
    for finding in &findings {
        check(finding, &files);
    }
}

fn check(finding: &Diagnostic, files: &[String; 4]) {
    let number = FILES.iter().position(|name| *name == finding.file);
    let Some(number) = number else { panic!("{finding:?} is of no file") };
    assert!(!finding.message.is_empty() && !finding.help.is_empty(), "{finding:?}");
    let lines = files[number].split('\n').count();
    match (finding.line, finding.column) {
        (Some(line), Some(column)) => {
            assert!((1..=lines).contains(&line) && column > 0, "{finding:?} of {lines} lines");
        }
        // Of what is missing, or of too many findings.
        (None, None) => {}
        _ => panic!("{finding:?} has half a place"),
    }
    let shown = finding.render(false);
    assert!(!shown.chars().any(|c| c.is_control() && c != '\n'), "{shown:?}");
}

/// The texts, in the order of [`FILES`].
fn split(text: &str) -> [String; 4] {
    let mut files: [String; 4] = Default::default();
    let mut current = 0;
    for line in text.split_inclusive('\n') {
        let named = line.strip_prefix(MARK).map(str::trim_end);
        match named.and_then(|name| FILES.iter().position(|file| *file == name)) {
            Some(number) => current = number,
            None => files[current].push_str(line),
        }
    }
    files
}

pub(crate) fn seeds() -> Vec<Seed> {
    let shipped = [
        (SETTINGS, include_str!("../../../config/sipguard.toml")),
        (TRUSTED, include_str!("../../../config/trusted.toml")),
        (BLACKLIST, include_str!("../../../config/blacklist.toml")),
        (SIGNATURES, include_str!("../../../config/signatures.toml")),
    ];
    shipped.iter().flat_map(|(name, text)| seeds_of(name, text)).collect()
}

/// The sections of a shipped file, each in a seed of its own, with every key that
/// stands there as a comment.
fn seeds_of(name: &str, text: &str) -> Vec<Seed> {
    let mut parts: Vec<String> = Vec::new();
    for line in text.lines() {
        let line = line.strip_prefix("# ").filter(|key| is_toml(key)).unwrap_or(line);
        if line.starts_with('[') || parts.is_empty() {
            parts.push(format!("{MARK}{name}\n"));
        }
        if let Some(part) = parts.last_mut()
            && !line.starts_with('#')
            && !line.is_empty()
        {
            part.push_str(line);
            part.push('\n');
        }
    }
    let stem = name.trim_end_matches(".toml");
    let seeds = parts.into_iter().enumerate();
    seeds.map(|(number, part)| Seed::new(format!("{stem}_{number}"), part)).collect()
}

/// A key with a value, or a section.
fn is_toml(line: &str) -> bool {
    let word = |text: &str| {
        !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "_.".contains(c))
    };
    line.split_once(" = ").is_some_and(|(key, _)| word(key)) || line.starts_with('[')
}
