//! `INSERT INTO address` as mysqldump, pg_dump and sqlite3 write it.

use super::Row;
use crate::import::draft::{Draft, Origin, Part};

/// Tables with addresses of peers.
const TABLES: [&str; 2] = ["address", "trusted"];

/// Whether there is any such statement.
pub(super) fn is_it(text: &str) -> bool {
    text.lines().any(|line| starts_with(line, "INSERT INTO"))
}

fn starts_with(line: &str, words: &str) -> bool {
    let line = line.trim_start();
    line.get(..words.len()).is_some_and(|head| head.eq_ignore_ascii_case(words))
}

/// Reads the rows of these tables.
pub(super) fn read(text: &str, columns: &[&str], draft: &mut Draft) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut created: Vec<String> = Vec::new();
    let mut creating = false;
    let mut rest_of: Option<(Vec<String>, usize)> = None;
    for (i, line) in text.lines().enumerate() {
        let trimmed = line.trim();
        if creating {
            match trimmed.strip_prefix('`').and_then(|rest| rest.split_once('`')) {
                Some((name, _)) => created.push(name.to_owned()),
                None => creating = !trimmed.starts_with(')'),
            }
            continue;
        }
        if starts_with(trimmed, "CREATE TABLE") {
            let name = table(trimmed.get("CREATE TABLE".len()..).unwrap_or(""));
            if TABLES.contains(&name.as_str()) {
                created.clear();
                creating = true;
            }
            continue;
        }
        let (names, values) = if starts_with(trimmed, "INSERT INTO") {
            let rest = trimmed.get("INSERT INTO".len()..).unwrap_or("");
            if !TABLES.contains(&table(rest).as_str()) {
                rest_of = None;
                continue;
            }
            let lower = rest.to_ascii_lowercase();
            let Some(at) = lower.find("values") else {
                let why = "an INSERT without VALUES";
                draft.left(Part::Trusted, &Origin::new(i + 1, line), why);
                continue;
            };
            let (head, values) = rest.split_at_checked(at).unwrap_or((rest, ""));
            let named = head.split_once('(').and_then(|(_, list)| list.split_once(')'));
            let names: Vec<String> = match named {
                Some((list, _)) => list
                    .split(',')
                    .map(|name| name.trim().trim_matches(['`', '"']).to_owned())
                    .collect(),
                None if created.is_empty() => columns.iter().map(|one| (*one).to_owned()).collect(),
                None => created.clone(),
            };
            (names, values.get("values".len()..).unwrap_or(""))
        } else if let Some((names, _)) = rest_of.take().filter(|_| trimmed.starts_with('(')) {
            (names, trimmed)
        } else {
            continue;
        };
        for cells in tuples(values) {
            let shown = cells.join(", ");
            let origin = Origin::new(i + 1, &format!("({shown})"));
            let mut row = Row { origin: origin.clone(), ..Row::default() };
            names.iter().zip(&cells).for_each(|(name, cell)| row.put(name, cell));
            if row.address.is_empty() {
                draft.left(Part::Trusted, &origin, "there is no address in this row");
            } else {
                rows.push(row);
            }
        }
        if !values.trim_end().ends_with(';') {
            rest_of = Some((names, i));
        }
    }
    rows
}

/// The name of the table that a statement is about.
fn table(rest: &str) -> String {
    let rest = rest.trim_start();
    let lower = rest.to_ascii_lowercase();
    let rest = match lower.strip_prefix("if not exists") {
        Some(behind) => rest.get(rest.len() - behind.len()..).unwrap_or("").trim_start(),
        None => rest,
    };
    let end = rest.find(|c: char| c.is_whitespace() || c == '(').unwrap_or(rest.len());
    let name = rest.get(..end).unwrap_or("");
    let name = name.rsplit('.').next().unwrap_or(name);
    name.trim_matches(['`', '"']).to_ascii_lowercase()
}

/// `(1,'a'),(2,'b');`
fn tuples(text: &str) -> Vec<Vec<String>> {
    let mut all = Vec::new();
    let mut current: Option<Vec<String>> = None;
    let mut quote: Option<char> = None;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let Some(cells) = &mut current else {
            if c == '(' {
                current = Some(vec![String::new()]);
            }
            continue;
        };
        let push = |cells: &mut Vec<String>, c| {
            if let Some(last) = cells.last_mut() {
                last.push(c);
            }
        };
        match (quote, c) {
            (Some(_), '\\') => {
                if let Some(next) = chars.next() {
                    push(cells, next);
                }
            }
            (Some(open), c) if c == open => {
                // Doubled, it stands for itself.
                if chars.next_if_eq(&open).is_some() {
                    push(cells, open);
                } else {
                    quote = None;
                }
            }
            (None, '\'' | '"') => quote = Some(c),
            (None, ',') => cells.push(String::new()),
            (None, ')') => {
                let cells = current.take().unwrap_or_default();
                all.push(cells.iter().map(|cell| cell.trim().to_owned()).collect());
            }
            (_, c) => push(cells, c),
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_with_quotes_in_them() {
        let rows = tuples(" (1,'a''b','c\\'d, e)'),\n(2,NULL,\"x\");");
        assert_eq!(rows, [vec!["1", "a'b", "c'd, e)"], vec!["2", "NULL", "x"]]);
        assert!(tuples("(1,'open").is_empty());
    }

    #[test]
    fn names_of_tables() {
        assert_eq!(table(" `address` VALUES"), "address");
        assert_eq!(table(" IF NOT EXISTS kamailio.address("), "address");
        assert_eq!(table(" public.\"address\" (id"), "address");
    }
}
