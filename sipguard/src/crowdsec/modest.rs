//! A reader that gives up before somebody's answer fills the memory. The parser
//! behind it keeps one text at a time, and all of it.

use std::io::{self, Read};

/// Bytes between two quotation marks: no text of a decision is as long.
const LONGEST_TEXT: u64 = 64 << 10;

/// Passes on what it reads, up to a limit.
pub(super) struct Modest<R> {
    inner: R,
    left: u64,
    /// Since the last quotation mark.
    run: u64,
    is_escaped: bool,
    is_over: bool,
}

impl<R: Read> Modest<R> {
    pub(super) fn new(inner: R, most: u64) -> Self {
        Self { inner, left: most, run: 0, is_escaped: false, is_over: false }
    }

    /// Whether there was more than it may pass on.
    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    fn note(&mut self, bytes: &[u8]) -> io::Result<()> {
        for byte in bytes {
            let is_mark = *byte == b'"' && !self.is_escaped;
            self.is_escaped = *byte == b'\\' && !self.is_escaped;
            self.run = if is_mark { 0 } else { self.run + 1 };
            if self.run > LONGEST_TEXT {
                return Err(io::Error::other("a text in it is longer than 64 KiB"));
            }
        }
        Ok(())
    }
}

impl<R: Read> Read for Modest<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.left = self.left.checked_sub(read as u64).ok_or_else(|| {
            self.is_over = true;
            io::Error::other("it is too large")
        })?;
        self.note(&buffer[..read])?;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &[u8], most: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        Modest::new(text, most).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    #[test]
    fn what_is_modest_passes() {
        let text = br#"{"a":"b\"c","d":[1,2]}"#;
        assert_eq!(all(text, text.len() as u64).unwrap(), text);
        assert!(all(text, text.len() as u64 - 1).is_err());
    }

    #[test]
    fn endless_texts_and_endless_spaces_do_not() {
        for piece in ["a", " ", "[", "\\\"", "\\\\", "\u{1F600}"] {
            let text = format!("\"{}\"", piece.repeat(70_000));
            assert!(all(text.as_bytes(), u64::MAX).is_err(), "{piece}");
        }
        let text = "\"aaaa\",".repeat(100_000);
        assert!(all(text.as_bytes(), u64::MAX).is_ok());
    }
}
