//! Pages of APIBAN: `{"ipaddress": ["192.0.2.7", ...], "ID": "1735689600"}`.
//! The page behind one is asked for by its `ID`; the last has none.

use serde::Deserialize;

use super::error::FeedError;
use crate::sanitise::sanitise;

/// Characters of what the server says that are shown.
const SHOWN: usize = 100;

/// Characters of an `ID`.
const MAX_ID: usize = 40;

/// What the server says where there is no further page, with status 400.
const NO_MORE: &str = "no new bans";

/// One answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Page {
    /// Addresses, and what to ask for next.
    Next {
        words: Vec<String>,
        id: String,
    },
    End,
}

#[derive(Deserialize)]
struct Body {
    ipaddress: Words,
    #[serde(rename = "ID")]
    id: Id,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Words {
    One(String),
    Many(Vec<String>),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Id {
    Number(u64),
    Text(String),
}

/// Reads the answer to page `number`, counted from 1.
///
/// # Errors
/// The server refuses, or this is something else.
pub(super) fn page(number: usize, status: u16, body: &[u8]) -> Result<Page, FeedError> {
    let not = |why| FeedError::NotAPage { page: number, why };
    let Ok(Body { ipaddress, id }) = serde_json::from_slice::<Body>(body) else {
        return Err(match status {
            200 => not("it is no JSON object with ipaddress and ID"),
            status => FeedError::Status(status),
        });
    };
    let words = match ipaddress {
        Words::One(word) => vec![word],
        Words::Many(words) => words,
    };
    let id = match id {
        Id::Number(number) => number.to_string(),
        Id::Text(text) => text,
    };
    match (status, id.as_str()) {
        (200, "none") => Ok(Page::End),
        (400, "none") if words.iter().any(|word| word.eq_ignore_ascii_case(NO_MORE)) => {
            Ok(Page::End)
        }
        (200, id) if is_id(id) => Ok(Page::Next { words, id: id.to_owned() }),
        (200, _) => Err(not("its ID cannot be one")),
        (status, _) => {
            let text = words.first().map_or("", String::as_str);
            Err(FeedError::Refused { status, text: sanitise(text, SHOWN) })
        }
    }
}

/// It becomes a part of a URL.
fn is_id(id: &str) -> bool {
    !id.is_empty() && id.len() <= MAX_ID && id.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn pages_lead_to_the_next_one_until_there_is_none() {
        let first = br#"{"ipaddress": ["192.0.2.1", "192.0.2.2"], "ID": "987654321"}"#;
        let words = vec!["192.0.2.1".to_owned(), "192.0.2.2".to_owned()];
        let next = Page::Next { words: words.clone(), id: "987654321".to_owned() };
        assert_eq!(page(1, 200, first).unwrap(), next);
        let number = br#"{"ID": 987654321, "ipaddress": ["192.0.2.1", "192.0.2.2"], "x": 1}"#;
        assert_eq!(page(1, 200, number).unwrap(), next);
        for end in [
            r#"{"ipaddress":["no new bans"], "ID":"none"}"#,
            r#"{"ipaddress":"no new bans","ID":"none"}"#,
        ] {
            assert_eq!(page(2, 400, end.as_bytes()).unwrap(), Page::End);
            assert_eq!(page(2, 200, end.as_bytes()).unwrap(), Page::End);
        }
    }

    #[test]
    fn refusals_say_what_the_server_says() {
        let limited = br#"{"ipaddress":"rate limit exceeded", "ID":"unauthorized"}"#;
        let error = page(3, 429, limited).unwrap_err().to_string();
        assert_eq!(error, "the server says `rate limit exceeded` (status 429)");
        let odd = br#"{"ipaddress":["rate limit\u001b[2J exceeded"],"ID":"none"}"#;
        let error = page(3, 400, odd).unwrap_err().to_string();
        assert_eq!(error, "the server says `rate limit\\u{1b}[2J exceeded` (status 400)");
        assert!(matches!(page(1, 502, b"<html>"), Err(FeedError::Status(502))));
    }

    #[test]
    fn what_is_no_page_is_refused() {
        for body in
            ["", "<html>", "[]", "{}", r#"{"ipaddress":[]}"#, r#"{"ipaddress":[1],"ID":"1"}"#]
        {
            assert!(
                matches!(page(1, 200, body.as_bytes()), Err(FeedError::NotAPage { .. })),
                "{body}"
            );
        }
        for id in ["", "../../x", "1?x", "a b", "é"] {
            let body = serde_json::json!({ "ipaddress": ["192.0.2.1"], "ID": id }).to_string();
            assert!(
                matches!(page(1, 200, body.as_bytes()), Err(FeedError::NotAPage { .. })),
                "{id}"
            );
        }
    }

    proptest! {
        #[test]
        fn never_panics(body in proptest::collection::vec(any::<u8>(), 0..200), status in 100u16..600) {
            let _ = page(1, status, &body);
        }
    }
}
