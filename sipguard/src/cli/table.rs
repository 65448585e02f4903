//! Tables for people.

use comfy_table::{CellAlignment, Table, presets};
use jiff::Timestamp;

use crate::sanitise::sanitise;

/// Characters of a cell.
const MAX_CELL: usize = 200;

/// A table without lines. The last `numbers` columns are aligned right.
pub(super) fn table(header: &[&str], rows: Vec<Vec<String>>, numbers: usize) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(header);
    for row in rows {
        table.add_row(row.iter().map(|cell| sanitise(cell, MAX_CELL)));
    }
    let words = header.len().saturating_sub(numbers);
    for column in table.column_iter_mut().skip(words) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    // Without borders, each cell still brings its padding.
    let line = |line: String| line.strip_prefix(' ').unwrap_or(&line).trim_end().to_owned();
    table.lines().map(line).collect::<Vec<_>>().join("\n")
}

/// A time to the second, or `-`.
pub(super) fn time(time: Option<Timestamp>) -> String {
    time.map_or_else(none, |time| time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
}

/// What stands in a cell that has nothing to say.
pub(super) fn none() -> String {
    "-".to_owned()
}

/// What there is any of, each with its count.
pub(super) fn counted(all: &[(&usize, &str)]) -> String {
    let some = all.iter().filter(|(count, _)| **count > 0);
    let words: Vec<String> = some.map(|(count, what)| format!("{count} {what}")).collect();
    if words.is_empty() { none() } else { words.join(", ") }
}
