//! Text from outside, made safe for a terminal and a log.
//!
//! Reasons, interface names, addresses that did not parse and, later, pieces
//! of packets reach an operator's terminal. There a control character can move
//! the cursor, retitle the window or forge a second log line, and a
//! bidirectional override can turn `block` into something else.

use std::fmt::Write as _;

/// Shows `text` on one line: control, bidirectional and invisible characters
/// as escapes such as `\u{1b}`, and at most `max` characters of the original,
/// with `…` where more was cut off.
#[must_use]
pub fn sanitise(text: &str, max: usize) -> String {
    let mut out = String::with_capacity(text.len().min(max));
    for (i, c) in text.chars().enumerate() {
        if i == max {
            out.push('…');
            break;
        }
        if is_unsafe(c) {
            // Writing to a string cannot fail.
            let _ = write!(out, "{}", c.escape_unicode());
        } else {
            out.push(c);
        }
    }
    out
}

/// The same for text of several lines, such as diagnostics with carets: line
/// feeds and indentation stay, everything else is judged as above.
#[must_use]
pub fn sanitise_lines(text: &str, max: usize) -> String {
    let cut = text.char_indices().nth(max).map_or(text, |(end, _)| &text[..end]);
    let mut out = cut.split('\n').map(|line| sanitise(line, max)).collect::<Vec<_>>().join("\n");
    if cut.len() < text.len() {
        out.push('…');
    }
    out
}

/// JSON text as it can be shown: the same characters as `\uXXXX`, which means
/// the same to whoever reads the JSON (RFC 8259 section 7). They stand nowhere
/// else than within its strings; the line feeds between are layout.
#[must_use]
pub fn sanitise_json(text: String) -> String {
    // Lists can have a million entries, and nothing to escape.
    if !text.chars().any(is_unsafe_in_json) {
        return text;
    }
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if !is_unsafe_in_json(c) {
            out.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            let _ = write!(out, "\\u{unit:04x}");
        }
    }
    out
}

fn is_unsafe_in_json(c: char) -> bool {
    c != '\n' && is_unsafe(c)
}

/// Characters that act on a terminal or hide instead of being shown.
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            // Soft hyphen, Arabic letter mark, Mongolian vowel separator.
            '\u{ad}' | '\u{61c}' | '\u{180e}'
            // Zero-width characters and directional marks.
            | '\u{200b}'..='\u{200f}'
            // Line and paragraph separators, embeddings and overrides.
            | '\u{2028}'..='\u{202e}'
            // Word joiner, invisible operators, isolates.
            | '\u{2060}'..='\u{206f}'
            // Byte order mark, interlinear annotations.
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            // Tags: ASCII in disguise.
            | '\u{e0000}'..='\u{e007f}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_of_any_script_stays() {
        for text in ["", "known scanner", "Ärger über SIP", "扫描器", "a|b\\c \"q\""] {
            assert_eq!(sanitise(text, 100), text);
        }
    }

    #[test]
    fn nothing_that_acts_on_a_terminal_is_left() {
        assert_eq!(sanitise("\x1b[2Jred", 100), "\\u{1b}[2Jred");
        assert_eq!(sanitise("\u{9b}31m", 100), "\\u{9b}31m");
        assert_eq!(
            sanitise("a\r\nb\tc\0\x7f\x08", 100),
            "a\\u{d}\\u{a}b\\u{9}c\\u{0}\\u{7f}\\u{8}"
        );
        assert_eq!(sanitise("\u{202e}kcolb\u{2066}", 100), "\\u{202e}kcolb\\u{2066}");
        assert_eq!(sanitise("a\u{200b}b\u{feff}\u{2028}", 100), "a\\u{200b}b\\u{feff}\\u{2028}");
        assert_eq!(sanitise("\u{e0041}", 100), "\\u{e0041}");
    }

    #[test]
    fn json_means_the_same_and_acts_on_nothing() {
        let text = "\u{1b}]0;t\u{7}\u{9b}2J\u{7f}\u{202e}\u{e0041} Ärger \"q\"\n";
        let json = serde_json::to_string_pretty(&[text]).unwrap();
        let shown = sanitise_json(json.clone());
        assert!(shown.chars().all(|c| c == '\n' || !is_unsafe(c)), "{shown:?}");
        assert_eq!(serde_json::from_str::<[String; 1]>(&shown).unwrap(), [text]);
    }

    #[test]
    fn every_character_is_shown_or_escaped() {
        for c in '\0'..=char::MAX {
            let shown = sanitise(&c.to_string(), 1);
            assert!(!shown.chars().any(is_unsafe), "{c:?}");
            assert!(!shown.is_empty());
        }
    }

    #[test]
    fn long_text_is_cut_by_characters() {
        assert_eq!(sanitise("äöü", 3), "äöü");
        assert_eq!(sanitise("äöüß", 3), "äöü…");
        assert_eq!(sanitise("x", 0), "…");
        assert_eq!(sanitise("", 0), "");
    }

    #[test]
    fn lines_stay_lines() {
        assert_eq!(sanitise_lines("a\n  ^\x1b[0m\r\nb", 100), "a\n  ^\\u{1b}[0m\\u{d}\nb");
        assert_eq!(sanitise_lines("ab\ncd", 4), "ab\nc…");
    }
}
