//! TOML text as trees with places, as far as it can be read.

use toml::de::DeTable;

use super::source::{Problems, Source};

/// Parses a file and reports what is no TOML.
///
/// `None` where an error leaves open which table the lines behind it belong
/// to: judging them would only mislead.
pub(super) fn parse<'s>(source: &'s Source, problems: &mut Problems<'_>) -> Option<DeTable<'s>> {
    let (table, errors) = DeTable::parse_recoverable(source.text());
    let mut trusted = true;
    for error in errors {
        let span = error.span().unwrap_or(0..0);
        let message = error.message();
        let duplicate = message.starts_with("duplicate key");
        trusted &= duplicate || !hides_structure(source, span.start, message);
        let help = if duplicate {
            "a name stands once in a table: remove one of the two"
        } else {
            "this is not TOML: see https://toml.io"
        };
        problems.syntax(span, message, help);
    }
    trusted.then(|| table.into_inner())
}

/// Bytes of a part of [`walk_in_parts`] at least.
const PART_BYTES: usize = 64 << 10;

/// Shows `read` the tables of a file, part by part where it can be cut before
/// lines that start with `[[key]]`.
///
/// A tree takes over a kilobyte for each such table; of a list with a million
/// of them only a part is held at a time. Where a part is no TOML by itself
/// (the line stood within a text of several lines, or there is an error), the
/// file is read again as a whole. Then `read` is called with `true`, to forget
/// what it has seen.
pub(super) fn walk_in_parts<'s>(
    source: &'s Source,
    key: &str,
    problems: &mut Problems<'s>,
    mut read: impl FnMut(bool, &DeTable<'s>, &mut Problems<'s>),
) {
    let head = format!("\n[[{key}]]");
    let mut rest = source.text();
    let mut base = 0;
    while !rest.is_empty() {
        let (part, behind) = cut(rest, &head);
        let Ok(table) = DeTable::parse(part) else {
            *problems = Problems::new(source);
            if let Some(table) = parse(source, problems) {
                read(true, &table, problems);
            }
            return;
        };
        problems.base = base;
        read(false, table.get_ref(), problems);
        base += part.len();
        rest = behind;
    }
    problems.base = 0;
}

/// Cuts before the first head behind [`PART_BYTES`].
fn cut<'t>(text: &'t str, head: &str) -> (&'t str, &'t str) {
    let from = (PART_BYTES..text.len()).find(|at| text.is_char_boundary(*at));
    let at = from.and_then(|from| Some(from + text.get(from..)?.find(head)? + 1));
    text.split_at_checked(at.unwrap_or(text.len())).unwrap_or((text, ""))
}

/// Something was opened and not closed, or the line is meant as the head of a
/// table.
fn hides_structure(source: &Source, offset: usize, message: &str) -> bool {
    let before = source.text().get(..offset).unwrap_or_default();
    let line = before.rfind('\n').map_or(0, |at| at + 1);
    let line = source.text().get(line..).unwrap_or_default();
    message.starts_with("unclosed") || line.trim_start().starts_with('[')
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn errors(text: &str) -> (bool, Vec<String>) {
        let source = Source::new(Path::new("x.toml"), text.to_owned());
        let mut problems = Problems::new(&source);
        let readable = parse(&source, &mut problems).is_some();
        let all = problems.into_diagnostics();
        let shown = |error: &super::super::Diagnostic| {
            format!("{}: {}", error.line.unwrap_or(0), error.message)
        };
        (readable, all.iter().map(shown).collect())
    }

    #[test]
    fn all_syntax_errors_one_a_line() {
        let (readable, found) = errors("a = \"x\nb = 1\nc = = 3\nd=1\nd=2\n");
        assert!(readable);
        assert_eq!(
            found,
            [
                "1: invalid basic string, expected `\"`",
                "3: extra `=`, expected nothing",
                "5: duplicate key",
            ]
        );
    }

    #[test]
    fn an_unclosed_head_or_list_hides_the_rest() {
        assert!(!errors("[sip\nports = [5060]\n").0);
        assert!(!errors("[sip]\nports = [5060\nfoo = 1\n").0);
        assert!(!errors("[sip}\nports = [5060]\n").0);
        assert_eq!(errors("[sip]\n[sip]\n"), (true, vec!["2: duplicate key".to_owned()]));
    }

    /// How often the reader was called, the texts it saw, the findings' lines.
    fn parts(text: &str) -> (usize, Vec<String>, Vec<Option<usize>>) {
        let source = Source::new(Path::new("x.toml"), text.to_owned());
        let mut problems = Problems::new(&source);
        let (mut calls, mut seen) = (0, Vec::new());
        walk_in_parts(&source, "block", &mut problems, |again, table, problems| {
            if again {
                seen.clear();
                calls = 0;
            }
            calls += 1;
            let blocks = table.get("block").and_then(|value| value.get_ref().as_array());
            for block in blocks.into_iter().flat_map(|blocks| blocks.iter()) {
                let value = block.get_ref().get("x").unwrap();
                seen.push(value.get_ref().as_str().unwrap().to_owned());
                if seen.last().unwrap() == "bad" {
                    problems.error(value.span(), "bad", "");
                }
            }
        });
        let lines = problems.into_diagnostics().iter().map(|finding| finding.line).collect();
        (calls, seen, lines)
    }

    #[test]
    fn parts_make_the_whole() {
        let text: String = (0..20_000).map(|i| format!("[[block]]\nx = \"{i}\"\n")).collect();
        let (calls, seen, lines) = parts(&(text.clone() + "[[block]]\nx = \"bad\"\n"));
        assert!(calls > 4, "{calls}");
        assert_eq!(seen.len(), 20_001);
        assert_eq!(seen[19_999], "19999");
        assert_eq!(lines, [Some(40_002)]);
        let (calls, seen, lines) = parts(&(text + "[[block]]\nx = \"last\"\nx = \"twice\"\n"));
        assert_eq!((calls, seen.len()), (1, 20_001));
        assert_eq!(lines, [Some(40_003)]);
    }

    #[test]
    fn a_head_within_a_text_is_no_head() {
        let filler = "a".repeat(PART_BYTES);
        let text = format!("[[block]]\nx = \"\"\"{filler}\n[[block]]\n\"\"\"\n");
        let (calls, seen, lines) = parts(&text);
        assert_eq!((calls, seen.len(), lines), (1, 1, vec![]));
        assert_eq!(parts("").0, 0);
        assert_eq!(parts(&format!("#{}", "é".repeat(PART_BYTES))).0, 1);
    }

    #[test]
    fn a_byte_order_mark_is_no_error() {
        assert_eq!(errors("\u{feff}a = 1\n"), (true, vec![]));
    }
}
