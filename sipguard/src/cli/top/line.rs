//! A line that is being typed.

use crate::sanitise::sanitise;

/// Characters that fit.
const MAX: usize = 200;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Line {
    text: String,
    /// In characters.
    cursor: usize,
}

impl Line {
    pub(super) fn new(text: impl Into<String>) -> Self {
        let text = text.into();
        Self { cursor: text.chars().count(), text }
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Characters before the cursor.
    pub(super) fn cursor(&self) -> usize {
        self.cursor
    }

    /// Typed or pasted; what would act on a terminal is left out, and a line
    /// feed is a space.
    pub(super) fn insert(&mut self, text: &str) {
        for c in text.chars().map(|c| if c.is_whitespace() { ' ' } else { c }) {
            let is_plain = sanitise(c.encode_utf8(&mut [0; 4]), 1).chars().eq([c]);
            if is_plain && self.text.chars().count() < MAX {
                self.text.insert(self.at(self.cursor), c);
                self.cursor += 1;
            }
        }
    }

    pub(super) fn backspace(&mut self) {
        if let Some(before) = self.cursor.checked_sub(1) {
            self.text.remove(self.at(before));
            self.cursor = before;
        }
    }

    pub(super) fn delete(&mut self) {
        let at = self.at(self.cursor);
        if at < self.text.len() {
            self.text.remove(at);
        }
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    pub(super) fn left(&mut self) {
        self.cursor = self.cursor.saturating_sub(1);
    }

    pub(super) fn right(&mut self) {
        self.cursor = (self.cursor + 1).min(self.text.chars().count());
    }

    pub(super) fn home(&mut self) {
        self.cursor = 0;
    }

    pub(super) fn end(&mut self) {
        self.cursor = self.text.chars().count();
    }

    /// Where a character begins, in bytes.
    fn at(&self, character: usize) -> usize {
        self.text.char_indices().nth(character).map_or(self.text.len(), |(at, _)| at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_edited_by_characters() {
        let mut line = Line::new("äö");
        line.left();
        line.insert("x");
        assert_eq!((line.text(), line.cursor()), ("äxö", 2));
        line.delete();
        line.delete();
        assert_eq!(line.text(), "äx");
        line.home();
        line.backspace();
        line.right();
        line.backspace();
        assert_eq!((line.text(), line.cursor()), ("x", 0));
        line.end();
        line.right();
        line.insert("y");
        assert_eq!(line.text(), "xy");
        line.clear();
        line.backspace();
        assert_eq!((line.text(), line.cursor()), ("", 0));
    }

    #[test]
    fn f35_what_is_pasted_acts_on_nothing_and_ends() {
        let mut line = Line::default();
        line.insert("a\u{1b}[2J\n\u{202e}b\t扫");
        assert_eq!(line.text(), "a[2J b 扫");
        line.insert(&"x".repeat(1000));
        assert_eq!(line.text().chars().count(), MAX);
    }
}
