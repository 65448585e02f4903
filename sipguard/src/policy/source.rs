//! A file of policy: its text, and the findings in it by place.

use std::{
    cell::OnceCell,
    collections::BTreeSet,
    fmt,
    fs::File,
    io::{self, Read},
    ops::Range,
    path::Path,
};

use super::diagnostic::{Diagnostic, Excerpt, Severity, visible};

/// The largest file that is read.
pub const MAX_FILE_BYTES: u64 = 256 << 20;

/// Findings of either severity that are kept of one file; the rest is counted.
/// A list of a million addresses can hold a million errors.
const MAX_FINDINGS: usize = 1000;

/// Characters of a line that are shown on either side of a finding.
const EXCERPT_CHARS: usize = 60;

/// Characters of a marked text that are shown.
const MARKED_CHARS: usize = 80;

/// A file that was read.
pub(super) struct Source {
    path: String,
    text: String,
    /// Where lines start. Made for the first finding.
    lines: OnceCell<Vec<usize>>,
}

impl Source {
    pub(super) fn new(path: &Path, text: String) -> Self {
        Self { path: path.display().to_string(), text, lines: OnceCell::new() }
    }

    /// Reads a file; every failure is a finding.
    pub(super) fn read(path: &Path) -> Result<Self, Box<Diagnostic>> {
        let shown = path.display().to_string();
        let failure = |message: String, help: String| {
            Box::new(Diagnostic::whole_file(Severity::Error, &shown, message, help))
        };
        let bytes = read_bytes(path).map_err(|error| match error {
            Unreadable::NotAFile => {
                failure("this is not a regular file".into(), "put a text file in its place".into())
            }
            Unreadable::TooLarge => failure(
                "the file is larger than 256 MiB".into(),
                "a million entries take less: check what fills it".into(),
            ),
            Unreadable::Io(error) if error.kind() == io::ErrorKind::NotFound => failure(
                "the file does not exist".into(),
                format!("create it; an empty file will do: touch {shown}"),
            ),
            Unreadable::Io(error) if error.kind() == io::ErrorKind::PermissionDenied => failure(
                "no permission to read the file".into(),
                "run as root, or let the user of sipguard read it".into(),
            ),
            Unreadable::Io(error) => failure(
                format!("the file cannot be read: {error}"),
                "see that it is a readable text file".into(),
            ),
        })?;
        let text = String::from_utf8(bytes).map_err(|error| {
            let good = error.utf8_error().valid_up_to();
            let bytes = error.into_bytes();
            // Up to the bad byte the text is good, and so can be shown.
            let text = String::from_utf8_lossy(bytes.get(..good).unwrap_or_default()).into_owned();
            let source = Self::new(path, text);
            Box::new(source.finding(
                Severity::Error,
                good..good,
                "a byte here is not UTF-8",
                "save the file as UTF-8 text",
            ))
        })?;
        Ok(Self::new(path, text))
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The line of an offset, from 1.
    pub(super) fn line(&self, offset: usize) -> usize {
        self.lines().partition_point(|start| *start <= offset)
    }

    fn lines(&self) -> &[usize] {
        self.lines.get_or_init(|| {
            let ends = self.text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
            std::iter::once(0).chain(ends.map(|(at, _)| at + 1)).collect()
        })
    }

    fn finding(
        &self,
        severity: Severity,
        span: Range<usize>,
        message: impl fmt::Display,
        help: impl fmt::Display,
    ) -> Diagnostic {
        let start = floor(&self.text, span.start);
        let line = self.line(start);
        let line_start = self.lines().get(line - 1).copied().unwrap_or(0);
        let rest = self.text.get(line_start..).unwrap_or_default();
        let content = rest.split('\n').next().unwrap_or_default().trim_end_matches('\r');
        let line_end = line_start + content.len();
        let start = start.min(line_end);
        // Carets stand under one line only.
        let end = floor(&self.text, span.end).clamp(start, line_end);
        let part = |range: Range<usize>| self.text.get(range).unwrap_or_default();
        let before = part(line_start..start);
        let mut diagnostic = Diagnostic::whole_file(severity, &self.path, message, help);
        diagnostic.line = Some(line);
        diagnostic.column = Some(before.chars().count() + 1);
        diagnostic.excerpt = Some(Excerpt {
            before: visible(last_chars(before, EXCERPT_CHARS)),
            marked: visible(first_chars(part(start..end), MARKED_CHARS)),
            after: visible(first_chars(part(end..line_end), EXCERPT_CHARS)),
        });
        diagnostic
    }
}

/// The nearest start of a character at or before `offset`.
fn floor(text: &str, offset: usize) -> usize {
    (0..=offset.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

fn first_chars(text: &str, count: usize) -> &str {
    match text.char_indices().nth(count) {
        Some((at, _)) => text.get(..at).unwrap_or_default(),
        None => text,
    }
}

fn last_chars(text: &str, count: usize) -> &str {
    match text.char_indices().nth_back(count.saturating_sub(1)) {
        Some((at, _)) => text.get(at..).unwrap_or_default(),
        None => text,
    }
}

enum Unreadable {
    NotAFile,
    TooLarge,
    Io(io::Error),
}

fn read_bytes(path: &Path) -> Result<Vec<u8>, Unreadable> {
    // Before it is opened: opening a FIFO waits for a writer.
    let metadata = path.metadata().map_err(Unreadable::Io)?;
    if !metadata.is_file() {
        return Err(Unreadable::NotAFile);
    }
    if metadata.len() > MAX_FILE_BYTES {
        return Err(Unreadable::TooLarge);
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(Unreadable::Io)?;
    // The file may grow while it is read.
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(Unreadable::Io)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(Unreadable::TooLarge);
    }
    Ok(bytes)
}

/// The findings in one file.
pub(super) struct Problems<'s> {
    source: &'s Source,
    errors: Vec<(usize, Diagnostic)>,
    warnings: Vec<(usize, Diagnostic)>,
    more_errors: usize,
    more_warnings: usize,
    /// Where the part of the file starts that spans are counted from.
    pub(super) base: usize,
    /// Lines that are no TOML. What was made of them says nothing.
    broken: BTreeSet<usize>,
}

impl<'s> Problems<'s> {
    pub(super) fn new(source: &'s Source) -> Self {
        Self {
            source,
            errors: Vec::new(),
            warnings: Vec::new(),
            more_errors: 0,
            more_warnings: 0,
            base: 0,
            broken: BTreeSet::new(),
        }
    }

    /// An error of the language, of which each line has one at most.
    pub(super) fn syntax(
        &mut self,
        span: Range<usize>,
        message: impl fmt::Display,
        help: impl fmt::Display,
    ) {
        let line = self.source.line(span.start);
        self.error(span, message, help);
        self.broken.insert(line);
    }

    /// Whether parts of the file are no TOML: what seems to be missing may
    /// stand there.
    pub(super) fn is_incomplete(&self) -> bool {
        !self.broken.is_empty()
    }

    pub(super) fn error(
        &mut self,
        span: Range<usize>,
        message: impl fmt::Display,
        help: impl fmt::Display,
    ) {
        self.found(Severity::Error, span, message, help);
    }

    /// An error of the file as a whole.
    pub(super) fn whole_file(&mut self, message: impl fmt::Display, help: impl fmt::Display) {
        let path = self.source.path();
        self.errors
            .push((usize::MAX, Diagnostic::whole_file(Severity::Error, path, message, help)));
    }

    fn is_broken(&self, offset: usize) -> bool {
        !self.broken.is_empty() && self.broken.contains(&self.source.line(offset))
    }

    pub(super) fn warning(
        &mut self,
        span: Range<usize>,
        message: impl fmt::Display,
        help: impl fmt::Display,
    ) {
        self.found(Severity::Warning, span, message, help);
    }

    fn found(
        &mut self,
        severity: Severity,
        span: Range<usize>,
        message: impl fmt::Display,
        help: impl fmt::Display,
    ) {
        let span = self.place(span);
        if self.is_broken(span.start) {
            return;
        }
        let (findings, more) = match severity {
            Severity::Error => (&mut self.errors, &mut self.more_errors),
            Severity::Warning => (&mut self.warnings, &mut self.more_warnings),
        };
        if findings.len() == MAX_FINDINGS {
            *more += 1;
            return;
        }
        let at = span.start;
        findings.push((at, self.source.finding(severity, span, message, help)));
    }

    /// A span in the file, from one in the part that is being read.
    pub(super) fn place(&self, span: Range<usize>) -> Range<usize> {
        span.start + self.base..span.end + self.base
    }

    /// The line of a place in the file, to name it from another.
    pub(super) fn line(&self, offset: usize) -> usize {
        self.source.line(offset)
    }

    /// All findings in the order of the file, and how many more there are.
    pub(super) fn into_diagnostics(self) -> Vec<Diagnostic> {
        let mut all = self.errors;
        all.extend(self.warnings);
        all.sort_by_key(|(at, _)| *at);
        let mut all: Vec<Diagnostic> = all.into_iter().map(|(_, finding)| finding).collect();
        let more = [
            (Severity::Error, self.more_errors, "errors"),
            (Severity::Warning, self.more_warnings, "warnings"),
        ];
        for (severity, count, name) in more.into_iter().filter(|(_, count, _)| *count > 0) {
            let message = format!("{count} more {name} in this file");
            let help = "see to the ones above first";
            all.push(Diagnostic::whole_file(severity, self.source.path(), message, help));
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Source {
        Source::new(Path::new("x.toml"), text.to_owned())
    }

    fn at(text: &str, span: Range<usize>) -> Diagnostic {
        source(text).finding(Severity::Error, span, "m", "h")
    }

    #[test]
    fn lines_and_columns_count_from_one_in_characters() {
        let text = "one\r\nzwölf = 1\n\nlast";
        let found = at(text, text.find('=').unwrap()..text.find("= 1").unwrap() + 3);
        assert_eq!((found.line, found.column), (Some(2), Some(7)));
        let excerpt = found.excerpt.unwrap();
        assert_eq!((&*excerpt.before, &*excerpt.marked, &*excerpt.after), ("zwölf ", "= 1", ""));
        let found = at(text, text.len()..text.len());
        assert_eq!((found.line, found.column), (Some(4), Some(5)));
        assert_eq!(at("", 0..0).line, Some(1));
    }

    #[test]
    fn spans_over_several_lines_or_outside_of_the_text_are_cut() {
        let found = at("ab\ncd\n", 1..5);
        assert_eq!(found.excerpt.unwrap().marked, "b");
        let found = at("ab\ncd\n", 90..95);
        assert_eq!((found.line, found.column), (Some(3), Some(1)));
        // Within a character.
        assert_eq!(at("é", 1..2).column, Some(1));
    }

    #[test]
    fn long_lines_are_cut_round_the_finding() {
        let text = format!("{}BAD{}", "x".repeat(100_000), "y".repeat(100_000));
        let found = at(&text, 100_000..100_003);
        assert_eq!(found.column, Some(100_001));
        let shown = found.to_string();
        assert!(shown.contains("BAD") && shown.contains("x.toml:1:100001"), "{shown}");
        assert!(shown.len() < 600, "{shown}");
    }

    #[test]
    fn a_million_errors_are_counted_not_kept() {
        let source = source("a\n");
        let mut problems = Problems::new(&source);
        for _ in 0..1_000_000 {
            problems.error(0..1, "m", "h");
        }
        let all = problems.into_diagnostics();
        assert_eq!(all.len(), MAX_FINDINGS + 1);
        assert_eq!(all.last().unwrap().message, "999000 more errors in this file");
    }

    #[test]
    fn unreadable_files_say_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("trusted.toml");
        let fails = |path: &Path| Source::read(path).err().unwrap();
        let missing = fails(&file);
        assert!(missing.help.contains("an empty file will do"), "{missing}");
        assert!(fails(dir.path()).message.contains("not a regular file"));
        std::fs::write(&file, b"a = 1\nb = \xff").unwrap();
        let broken = fails(&file);
        assert_eq!((broken.line, broken.column), (Some(2), Some(5)));
        assert!(broken.message.contains("UTF-8"));
        File::create(&file).unwrap().set_len(MAX_FILE_BYTES + 1).unwrap();
        assert!(fails(&file).message.contains("larger than 256 MiB"));
    }
}
