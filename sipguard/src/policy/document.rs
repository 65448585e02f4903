//! TOML text as a tree with places, as far as it can be read.

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

    #[test]
    fn a_byte_order_mark_is_no_error() {
        assert_eq!(errors("\u{feff}a = 1\n"), (true, vec![]));
    }
}
