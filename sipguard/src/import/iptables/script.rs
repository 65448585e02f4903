//! Shell scripts of `iptables` commands: values of variables and loops over
//! lists are put in; what a script computes or decides is not guessed.

use std::{cell::Cell, collections::HashMap};

use super::{
    Tables, rule,
    words::{Word, words},
};
use crate::import::draft::{Draft, Origin, Part};

/// Lines that are looked at, again and again in loops.
const MAX_COMMANDS: usize = 100_000;

/// Loops within loops.
const MAX_DEPTH: usize = 4;

/// Bytes of a value.
const MAX_VALUE: usize = 64 << 10;

/// Bytes that all variables together put in; loops can multiply them.
const MAX_FILLED: usize = 16 << 20;

/// Whether a line runs iptables.
pub(super) fn is_command(line: &str) -> bool {
    let mut words = line.split_whitespace();
    let mut first = words.next();
    while matches!(first, Some("sudo" | "do" | "then")) {
        first = words.next();
    }
    let first = first.unwrap_or("").trim_matches('"');
    let is_rule = |word: &str| matches!(word, "-A" | "-I" | "--append" | "--insert" | "-t");
    is_program(first) || (first.starts_with('$') && words.next().is_some_and(is_rule))
}

fn is_program(word: &str) -> bool {
    let name = word.rsplit('/').next().unwrap_or(word);
    matches!(
        name,
        "iptables"
            | "ip6tables"
            | "iptables-legacy"
            | "iptables-nft"
            | "ip6tables-legacy"
            | "ip6tables-nft"
    )
}

/// A command of the script.
struct Line<'t> {
    number: usize,
    /// The whole line, for people.
    text: &'t str,
    code: String,
}

struct Script<'s> {
    tables: &'s mut Tables,
    draft: &'s mut Draft,
    variables: HashMap<String, String>,
    count: usize,
    /// What is left of [`MAX_FILLED`].
    room: Cell<usize>,
    /// How deep within `if`, `while`, `case` and functions.
    conditions: usize,
}

/// Reads a script.
pub(super) fn read(text: &str, tables: &mut Tables, draft: &mut Draft) {
    let lines = lines(text);
    let (variables, room) = (HashMap::new(), Cell::new(MAX_FILLED));
    let mut script = Script { tables, draft, variables, count: 0, room, conditions: 0 };
    script.run(&lines, 0);
}

/// Lines, with those joined that end in a backslash, cut at `;` outside of
/// quotes.
fn lines(text: &str) -> Vec<Line<'_>> {
    let mut all = Vec::new();
    let mut open = String::new();
    let mut start: Option<(usize, &str)> = None;
    for (i, line) in text.lines().enumerate() {
        let (number, first) = *start.get_or_insert((i + 1, line));
        if let Some(more) = line.strip_suffix('\\').filter(|_| open.len() < MAX_VALUE) {
            open.push_str(more);
            open.push(' ');
            continue;
        }
        open.push_str(line);
        start = None;
        for code in commands(&open) {
            all.push(Line { number, text: first, code });
        }
        open.clear();
    }
    // The last line may end in a backslash.
    if let Some((number, text)) = start {
        all.extend(commands(&open).into_iter().map(|code| Line { number, text, code }));
    }
    all
}

/// The commands of a line. `do` and `then` are commands, too.
fn commands(line: &str) -> Vec<String> {
    let mut all = vec![String::new()];
    let (mut quote, mut escaped) = (None, false);
    for c in line.chars() {
        let is_end = c == ';' && quote.is_none() && !escaped;
        if is_end {
            all.push(String::new());
        } else if let Some(last) = all.last_mut() {
            if c == '#' && quote.is_none() && last.trim_end().len() < last.len().max(1) {
                break;
            }
            last.push(c);
        }
        quote = match quote {
            _ if escaped => quote,
            Some(open) if open == c => None,
            None if c == '\'' || c == '"' => Some(c),
            other => other,
        };
        escaped = c == '\\' && !escaped && quote != Some('\'');
    }
    let mut out = Vec::new();
    for command in all {
        let mut rest = command.trim();
        // `do iptables ...` is two.
        for word in ["do", "then", "else"] {
            if let Some(behind) = rest.strip_prefix(word)
                && behind.starts_with(char::is_whitespace)
            {
                out.push(word.to_owned());
                rest = behind.trim();
            }
        }
        if !rest.is_empty() {
            out.push(rest.to_owned());
        }
    }
    out
}

impl Script<'_> {
    fn run(&mut self, lines: &[Line<'_>], depth: usize) {
        let mut at = 0;
        while let Some(line) = lines.get(at) {
            at += 1;
            self.count += 1;
            if self.count > MAX_COMMANDS {
                if self.count == MAX_COMMANDS + 1 {
                    self.left(line, "the loops are too long: the rest was not read");
                }
                return;
            }
            let word = line.code.split_whitespace().next().unwrap_or("");
            match word {
                "for" => {
                    let end = end_of_loop(lines, at);
                    let body = lines.get(at..end).unwrap_or_default();
                    self.repeat(line, body, depth);
                    at = end + 1;
                }
                "if" | "while" | "until" | "case" | "select" => self.conditions += 1,
                "fi" | "esac" | "done" | "}" => {
                    self.conditions = self.conditions.saturating_sub(1);
                }
                _ if line.code.ends_with('{') => self.conditions += 1,
                _ => self.command(line),
            }
        }
    }

    /// `for NAME in WORDS`
    fn repeat(&mut self, head: &Line<'_>, body: &[Line<'_>], depth: usize) {
        let mut words = self.words(&head.code).unwrap_or_default().into_iter().map(|w| w.text);
        let name = words.nth(1).filter(|_| words.next().as_deref() == Some("in"));
        let values: Vec<String> = words.collect();
        let is_computed = values.iter().any(|value| is_computed(value));
        let Some(name) = name.filter(|_| !is_computed && depth < MAX_DEPTH) else {
            for line in body {
                if !self.is_iptables(&line.code) {
                    continue;
                }
                self.left(line, "the list of its loop is made when the script runs");
            }
            return;
        };
        let before = self.variables.get(&name).cloned();
        for value in values {
            if self.count > MAX_COMMANDS {
                break;
            }
            self.variables.insert(name.clone(), value);
            self.run(body, depth + 1);
        }
        match before {
            Some(value) => self.variables.insert(name, value),
            None => self.variables.remove(&name),
        };
    }

    fn command(&mut self, line: &Line<'_>) {
        if self.assign(&line.code) {
            return;
        }
        let Some(words) = self.words(&line.code) else {
            if is_command(&line.code) {
                self.left(line, "a quote is not closed");
            }
            return;
        };
        let mut words: Vec<String> = words.into_iter().map(|word| word.text).collect();
        while matches!(words.first().map(String::as_str), Some("sudo" | "do" | "then")) {
            words.remove(0);
        }
        let Some(program) = words.first().cloned() else { return };
        let unknown = program.starts_with('$')
            && matches!(words.get(1).map(String::as_str), Some("-A" | "-I" | "-t"));
        if !is_program(&program) && !unknown {
            return;
        }
        words.remove(0);
        if let Some(end) = words.iter().position(|word| ends_command(word)) {
            words.truncate(end);
        }
        if self.conditions > 0 {
            let why = "whether it runs is decided when the script does: import what \
                       iptables-save prints then";
            self.left(line, why);
        } else if let Some(computed) = words.iter().find(|word| is_computed(word)) {
            let why = format!("`{computed}` gets its value when the script runs");
            self.left(line, &why);
        } else {
            let origin = Origin::new(line.number, line.text);
            self.tables.apply(&words, "filter", &origin, self.draft);
        }
    }

    /// `NAME=VALUE` alone on its line.
    fn assign(&mut self, code: &str) -> bool {
        let code = code.strip_prefix("export ").unwrap_or(code).trim();
        let Some((name, value)) = code.split_once('=') else { return false };
        let is_name = !name.is_empty()
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
            && !name.starts_with(|c: char| c.is_ascii_digit());
        if !is_name {
            return false;
        }
        let value = self.words(value);
        let value = match value.as_deref() {
            Some([]) => Some(String::new()),
            Some([one]) => Some(one.text.clone()),
            // An assignment before a command, or something clever.
            _ => None,
        };
        match value.filter(|value| !is_computed(value) && value.len() <= MAX_VALUE) {
            Some(value) => self.variables.insert(name.to_owned(), value),
            None => self.variables.remove(name),
        };
        true
    }

    fn words(&self, code: &str) -> Option<Vec<Word>> {
        let mut room = MAX_VALUE;
        let mut fill = |name: &str| {
            let value = self.variables.get(name)?;
            room = room.checked_sub(value.len())?;
            self.room.set(self.room.get().checked_sub(value.len())?);
            Some(value.clone())
        };
        words(code, &mut fill)
    }

    fn is_iptables(&self, code: &str) -> bool {
        let words = self.words(code).unwrap_or_default();
        words.first().is_some_and(|word| is_program(&word.text)) || is_command(code)
    }

    fn left(&mut self, line: &Line<'_>, why: &str) {
        self.draft.left(Part::Sipguard, &Origin::new(line.number, line.text), why);
    }
}

/// Where the `done` of a loop is.
fn end_of_loop(lines: &[Line<'_>], from: usize) -> usize {
    let mut open = 1;
    for (i, line) in lines.iter().enumerate().skip(from) {
        match line.code.split_whitespace().next() {
            Some("for" | "while" | "until" | "select") => open += 1,
            Some("done") => open -= 1,
            _ => {}
        }
        if open == 0 {
            return i;
        }
    }
    lines.len()
}

fn ends_command(word: &str) -> bool {
    matches!(word, ";" | "||" | "&&" | "|" | "&")
        || word.contains(">/")
        || word.starts_with("2>")
        || word.starts_with('>')
}

/// A value that only a shell knows.
fn is_computed(word: &str) -> bool {
    !rule::is_address(word) && (word.contains('$') || word.contains('`') || word.contains('*'))
}
