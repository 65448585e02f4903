//! Tables as text: CSV, what database clients print, dbtext, the address file
//! of Kamailio, and the blocks that kamcmd prints.

use super::{Row, is_pattern, left_pattern};
use crate::import::{
    address,
    draft::{Draft, Origin, Part},
};

/// What `kamcmd permissions.addressDump` prints.
pub(super) fn blocks(text: &str) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut group = String::new();
    let mut row = Row::default();
    for (i, line) in text.lines().enumerate() {
        let line = line.trim();
        if line == "}" {
            if !row.address.is_empty() {
                let mut done = std::mem::take(&mut row);
                group.clone_into(&mut done.group);
                rows.push(done);
            }
            continue;
        }
        let Some((key, value)) = line.split_once(':') else { continue };
        let value = value.trim();
        match key.trim() {
            "group" => value.clone_into(&mut group),
            key => {
                row.put(key, value);
                if key == "ip" {
                    row.origin = Origin::new(i + 1, line);
                }
            }
        }
    }
    rows
}

/// Rows with one on each line. A line that names columns says what they are.
pub(super) fn read(text: &str, columns: &[&str], draft: &mut Draft) -> Vec<Row> {
    let mut named: Option<Vec<String>> = None;
    let mut rows = Vec::new();
    for (i, line) in text.lines().enumerate() {
        let origin = Origin::new(i + 1, line);
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') || line.starts_with("+-") {
            continue;
        }
        if is_pattern(line) {
            left_pattern(draft, &origin);
            continue;
        }
        let cells = cells(line);
        if let Some(names) = head(&cells) {
            named = Some(names);
            continue;
        }
        let mut row = Row { origin: origin.clone(), ..Row::default() };
        let by_name = named.as_ref().filter(|names| names.len() == cells.len());
        if let Some(names) = by_name {
            names.iter().zip(&cells).for_each(|(name, cell)| row.put(name, cell));
        } else {
            // Without an id in front, as in Kamailio's address file.
            let has_id = cells.get(2).is_some_and(|cell| is_net(cell));
            let columns = if has_id { columns } else { columns.get(1..).unwrap_or_default() };
            columns.iter().zip(&cells).for_each(|(name, cell)| row.put(name, cell));
        }
        if row.address.is_empty() {
            draft.left(Part::Trusted, &origin, "there is no address in this line");
        } else {
            rows.push(row);
        }
    }
    rows
}

fn is_net(text: &str) -> bool {
    address::nets(text).is_ok() && text.contains(['.', ':'])
}

/// The names of columns, if these are such: `id`, and of dbtext `id(int,auto)`.
fn head(cells: &[String]) -> Option<Vec<String>> {
    let name = |cell: &String| {
        cell.split('(').next().unwrap_or("").trim().trim_matches('`').to_ascii_lowercase()
    };
    let names: Vec<String> = cells.iter().map(name).collect();
    let has = |wanted: &[&str]| names.iter().any(|name| wanted.contains(&name.as_str()));
    (has(&["ip_addr", "ip", "src_ip"]) && has(&["grp", "mask", "port", "id"])).then_some(names)
}

/// Cells between bars, commas, tabs, colons (dbtext) or white space.
fn cells(line: &str) -> Vec<String> {
    if let Some(inner) = line.strip_prefix('|') {
        let inner = inner.strip_suffix('|').unwrap_or(inner);
        return inner.split('|').map(|cell| cell.trim().to_owned()).collect();
    }
    if line.contains("(int") || line.contains("(string") {
        return line.split_whitespace().map(str::to_owned).collect();
    }
    for separator in ['\t', '|', ';'] {
        if line.contains(separator) {
            return line.split(separator).map(unquoted).collect();
        }
    }
    if line.contains(',') && !line.contains(' ') || line.matches(',').count() >= 2 {
        return comma(line);
    }
    let first = line.split(':').next().unwrap_or("");
    if line.contains(':') && first.bytes().all(|byte| byte.is_ascii_digit()) && !first.is_empty() {
        return dbtext(line);
    }
    let code = line.split('#').next().unwrap_or("");
    code.split_whitespace().map(str::to_owned).collect()
}

fn unquoted(cell: &str) -> String {
    cell.trim().trim_matches('"').trim().to_owned()
}

/// CSV; quotes hold commas.
fn comma(line: &str) -> Vec<String> {
    let mut all = vec![String::new()];
    let mut quoted = false;
    for c in line.chars() {
        match c {
            '"' => quoted = !quoted,
            ',' if !quoted => all.push(String::new()),
            c => {
                if let Some(last) = all.last_mut() {
                    last.push(c);
                }
            }
        }
    }
    all.iter().map(|cell| cell.trim().trim_matches('\'').to_owned()).collect()
}

/// Cells between colons; a backslash keeps the next character.
fn dbtext(line: &str) -> Vec<String> {
    let mut all = vec![String::new()];
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        let kept = match c {
            '\\' => chars.next(),
            ':' => {
                all.push(String::new());
                None
            }
            c => Some(c),
        };
        if let (Some(c), Some(last)) = (kept, all.last_mut()) {
            last.push(c);
        }
    }
    all
}
