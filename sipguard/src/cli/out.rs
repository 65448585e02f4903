//! Output that survives closed pipes and unsafe text.

use std::io::{self, Write};

use serde::Serialize;

use super::exit::Failure;
use crate::sanitise::{sanitise, sanitise_json, sanitise_lines};

/// Characters of words that are shown: diagnostics of a whole configuration
/// are the longest.
const MAX_WORDS: usize = 200_000;

/// Writes a line of data to stdout.
pub(super) fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{text}")?;
    Ok(stdout.flush()?)
}

/// The same of a line that may quote what came from outside.
pub(super) fn print_line(line: &str) -> Result<(), Failure> {
    print(&sanitise(line, MAX_WORDS))
}

/// Writes data as JSON for people and programs.
pub(super) fn print_json(data: &impl Serialize) -> Result<(), Failure> {
    print(&sanitise_json(serde_json::to_string_pretty(data)?))
}

/// Writes data as JSON on one line, for programs that follow.
pub(super) fn print_json_line(data: &impl Serialize) -> Result<(), Failure> {
    print(&sanitise_json(serde_json::to_string(data)?))
}

/// Writes words to stderr, sanitised, for they may quote what came from
/// outside. Where nobody listens, nothing is lost.
pub(super) fn say(words: &str) {
    let _ = writeln!(io::stderr(), "{}", sanitise_lines(words, MAX_WORDS));
}
