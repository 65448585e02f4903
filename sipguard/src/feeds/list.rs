//! Lists of one address or network a line.

use std::borrow::Cow;

use super::{
    error::FeedError,
    sift::{Read, Sieve},
};
use crate::policy::FeedSettings;

/// What Windows writes before UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Longer words are no address.
const MAX_WORD: usize = 200;

/// Reads a list. The first word of a line counts; what follows it, behind
/// white space, `,`, `;`, `|` or `#`, is somebody's remark. Lines that begin
/// with `#`, `;` or `//` are comments.
///
/// # Errors
/// Most lines begin with something else than an address, or there are too many.
pub(super) fn read(bytes: &[u8], settings: &FeedSettings) -> Result<Read, FeedError> {
    let bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
    let mut sieve = Sieve::new(settings);
    for (number, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        let line = line.trim_ascii();
        if line.is_empty() {
            continue;
        }
        match word(line) {
            Some(word) => sieve.take(&word, number + 1),
            None => sieve.note_text(),
        }
    }
    sieve.finish()
}

/// The first word of a line; `None` for a comment.
fn word(line: &[u8]) -> Option<Cow<'_, str>> {
    if line.starts_with(b"#") || line.starts_with(b";") || line.starts_with(b"//") {
        return None;
    }
    let is_end = |byte: &u8| byte.is_ascii_whitespace() || b",;|#".contains(byte);
    let end = line.iter().position(is_end).unwrap_or(line.len()).min(MAX_WORD);
    let word = line.get(..end).unwrap_or(line);
    let word = word.strip_prefix(b"\"").unwrap_or(word);
    let word = word.strip_suffix(b"\"").unwrap_or(word);
    Some(String::from_utf8_lossy(word))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        feeds::sift::Skipped,
        policy::{FeedSource, parse_net},
    };

    fn settings() -> FeedSettings {
        FeedSettings::of(FeedSource::Url("https://lists.example/all.txt".to_owned()))
    }

    fn nets(text: &str) -> Vec<String> {
        let read = read(text.as_bytes(), &settings()).unwrap();
        read.nets.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn lists_are_read_as_they_are_written() {
        let text = "\u{feff}# a list\r\n\r\n192.0.2.7\r\n  198.51.100.0/24 ; SBL1\n; remark\n\
                    192.0.2.9,2026-01-02,\"scanner\"\n\"192.0.2.10\",x\n// other\n192.0.2.11 # x\n\
                    192.0.2.12|x|y\n2001:db8::1\tx\n192.0.2.7\n::ffff:192.0.2.13\n\
                    203.0.113.9/24\n192.0.2.14#x";
        assert_eq!(
            nets(text),
            [
                "192.0.2.7/32",
                "192.0.2.9/32",
                "192.0.2.10/32",
                "192.0.2.11/32",
                "192.0.2.12/32",
                "192.0.2.13/32",
                "192.0.2.14/32",
                "198.51.100.0/24",
                "203.0.113.0/24",
                "2001:db8::1/128",
            ]
        );
    }

    #[test]
    fn what_must_not_be_blocked_is_left_out_and_counted() {
        let text = "0.0.0.0/0\n::/0\n9.0.0.0/8\n2600::/20\n10.1.2.3\n224.0.0.1\nfe80::1\n127.0.0.1\n\
                    192.0.2.1\n192.0.2.2\nnonsense\n192.0.2.3:5060\n";
        let read = read(text.as_bytes(), &settings()).unwrap();
        assert_eq!(read.skipped, Skipped { unreadable: 2, wide: 4, special: 4 });
        assert_eq!(read.nets, [parse_net("192.0.2.1").unwrap(), parse_net("192.0.2.2").unwrap()]);
    }

    #[test]
    fn pages_of_something_else_are_refused_as_a_whole() {
        let html = "<!DOCTYPE html>\n<html>\n<p>192.0.2.1\n192.0.2.2\n</html>\x1b[2J\n";
        let error = read(html.as_bytes(), &settings()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "this is no list of addresses: 4 of 5 lines are none, such as line 1, `<!DOCTYPE`"
        );
        let binary: Vec<u8> = (0..=255).cycle().take(100_000).collect();
        assert!(matches!(read(&binary, &settings()), Err(FeedError::NotAList { .. })));
        let long = "x".repeat(10_000_000);
        let error = read(long.as_bytes(), &settings()).unwrap_err();
        assert!(error.to_string().len() < 300, "{error}");
    }

    #[test]
    fn too_many_are_refused_as_a_whole() {
        let settings = FeedSettings { max_entries: 2, ..settings() };
        assert_eq!(read(b"192.0.2.1\n192.0.2.1\n192.0.2.2", &settings).unwrap().nets.len(), 2);
        let error = read(b"192.0.2.1\n192.0.2.2\n192.0.2.3", &settings).unwrap_err();
        assert_eq!(error.to_string(), "3 entries are more than max_entries, 2");
    }

    #[test]
    fn nothing_and_comments_are_told_apart() {
        assert!(!read(b"", &settings()).unwrap().has_text);
        assert!(!read(b" \r\n\t\n", &settings()).unwrap().has_text);
        assert!(read(b"# nobody today\n", &settings()).unwrap().has_text);
    }

    proptest! {
        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
            let _ = read(&bytes, &settings());
        }

        #[test]
        fn whatever_follows_it_an_entry_is_read(
            address in any::<u32>(),
            tail in "[ \t,;|#][^\r\n]{0,30}",
            end in prop_oneof!["\n", "\r\n"],
        ) {
            let settings = FeedSettings { min_prefix_v4: 8, ..settings() };
            let address = std::net::Ipv4Addr::from(address);
            let plain = read(address.to_string().as_bytes(), &settings).unwrap();
            let text = format!("# x{end}{address}{tail}{end}");
            prop_assert_eq!(read(text.as_bytes(), &settings).unwrap(), plain);
        }

        #[test]
        fn nothing_comes_out_that_may_not(lines in proptest::collection::vec("[0-9a-f.:/]{1,20}", 0..50)) {
            let settings = settings();
            let Ok(read) = read(lines.join("\n").as_bytes(), &settings) else { return Ok(()) };
            for net in read.nets {
                let min = if net.addr().is_ipv4() { settings.min_prefix_v4 } else { settings.min_prefix_v6 };
                prop_assert!(net.prefix_len() >= min);
                prop_assert!(!net.addr().is_loopback() && !net.addr().is_multicast());
            }
        }
    }
}
