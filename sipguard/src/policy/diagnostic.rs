//! What is wrong in a file, where, and what to do about it.

use std::fmt;

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use serde::{Deserialize, Serialize};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The files make no policy.
    Error,
    /// The files make a policy that may surprise.
    Warning,
}

/// A line of a file, cut where the finding is. No control characters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Excerpt {
    pub before: String,
    /// What the carets stand under; may be empty.
    pub marked: String,
    pub after: String,
}

/// One finding. All text is free of control characters, and so can be shown on
/// a terminal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnostic {
    pub severity: Severity,
    /// The path as it was given.
    pub file: String,
    /// From 1. `None` where the finding is about the file as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// From 1, in characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<usize>,
    pub message: String,
    /// What to do.
    pub help: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub excerpt: Option<Excerpt>,
}

impl Diagnostic {
    /// A finding about a file as a whole.
    pub(crate) fn whole_file(
        severity: Severity,
        file: &str,
        message: impl fmt::Display,
        help: impl fmt::Display,
    ) -> Self {
        Self {
            severity,
            file: visible(file),
            line: None,
            column: None,
            message: visible(&message.to_string()),
            help: visible(&help.to_string()),
            excerpt: None,
        }
    }

    /// As shown to users: message, place, line with carets, remedy.
    #[must_use]
    pub fn render(&self, color: bool) -> String {
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let group = Group::with_title(level.primary_title(self.message.as_str()));
        let group = self.show_place(group).element(Level::HELP.message(self.help.as_str()));
        renderer.render(&[group])
    }

    fn show_place<'d>(&'d self, group: Group<'d>) -> Group<'d> {
        let file = self.file.as_str();
        let Self { line: Some(line), column: Some(column), excerpt: Some(excerpt), .. } = self
        else {
            return group.element(Origin::path(file));
        };
        let Excerpt { before, marked, after } = excerpt;
        let span = before.len()..before.len() + marked.len();
        let snippet = Snippet::source(format!("{before}{marked}{after}"))
            .line_start(*line)
            .annotation(AnnotationKind::Primary.span(span));
        // Of a line that is cut the renderer cannot count the column.
        if before.chars().count() + 1 == *column {
            return group.element(snippet.path(file));
        }
        group.element(snippet).element(Origin::path(file).line(*line).char_column(*column))
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.render(false))
    }
}

/// Why the files make no policy: at least one error, and the warnings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Diagnostics(pub Vec<Diagnostic>);

impl Diagnostics {
    /// All findings as shown to users, with a blank line between them.
    #[must_use]
    pub fn render(&self, color: bool) -> String {
        let all: Vec<String> = self.0.iter().map(|finding| finding.render(color)).collect();
        all.join("\n\n")
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.render(false))
    }
}

impl std::error::Error for Diagnostics {}

/// `text` with every character that a terminal could act on, or that hides or
/// reorders others, written as an escape.
pub(crate) fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\t' => out.push(' '),
            _ if c.is_control() || is_invisible(c) => out.extend(c.escape_unicode()),
            _ => out.push(c),
        }
    }
    out
}

/// Line and paragraph separators, zero-width characters, directions of text.
pub(crate) fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding() -> Diagnostic {
        Diagnostic {
            severity: Severity::Error,
            file: "config/trusted.toml".to_owned(),
            line: Some(12),
            column: Some(12),
            message: "`198.51.100.7/24` has bits set behind its prefix".to_owned(),
            help: "did you mean 198.51.100.0/24?".to_owned(),
            excerpt: Some(Excerpt {
                before: "address = [".to_owned(),
                marked: "\"198.51.100.7/24\"".to_owned(),
                after: "]".to_owned(),
            }),
        }
    }

    #[test]
    fn shows_place_caret_and_remedy() {
        let expected = "\
error: `198.51.100.7/24` has bits set behind its prefix
  --> config/trusted.toml:12:12
   |
12 | address = [\"198.51.100.7/24\"]
   |            ^^^^^^^^^^^^^^^^^
   |
   = help: did you mean 198.51.100.0/24?";
        assert_eq!(finding().to_string(), expected);
    }

    #[test]
    fn colour_only_on_request() {
        assert!(finding().render(true).contains('\u{1b}'));
        assert!(!finding().render(false).contains('\u{1b}'));
    }

    #[test]
    fn survives_json() {
        let json = serde_json::to_string(&finding()).unwrap();
        assert_eq!(serde_json::from_str::<Diagnostic>(&json).unwrap(), finding());
        let whole = Diagnostic::whole_file(Severity::Error, "a\u{1b}[2J", "gone\n", "make it");
        assert_eq!(whole.file, "a\\u{1b}[2J");
        let json = serde_json::to_value(&whole).unwrap();
        assert_eq!(json["message"], "gone\\u{a}");
        assert!(json.get("line").is_none());
    }

    #[test]
    fn nothing_that_steers_a_terminal_stays() {
        let text = "a\tb\u{1b}[31m\u{9b}m\u{202e}\u{0}\u{7f}é";
        assert_eq!(visible(text), "a b\\u{1b}[31m\\u{9b}m\\u{202e}\\u{0}\\u{7f}é");
    }
}
