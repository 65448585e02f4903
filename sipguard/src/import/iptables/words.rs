//! Words of a line, as a shell makes them.

/// A word, and whether any of it was quoted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) text: String,
    pub(super) quoted: bool,
}

/// Cuts a line at white space; quotes hold together, a `#` at the start of a
/// word ends it. `;` and `&&` are words of their own. `None` where a quote is
/// not closed. `fill` puts values in for variables, outside of single quotes.
pub(super) fn words(line: &str, fill: &mut dyn FnMut(&str) -> Option<String>) -> Option<Vec<Word>> {
    let mut all = Vec::new();
    let mut current: Option<Word> = None;
    let mut quote: Option<char> = None;
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some('\''), '\'') | (Some('"'), '"') => quote = None,
            (None, '\'' | '"') => {
                quote = Some(c);
                current.get_or_insert_with(empty).quoted = true;
            }
            (Some('"') | None, '\\') => {
                if let Some(next) = chars.next() {
                    current.get_or_insert_with(empty).text.push(next);
                }
            }
            (Some('"') | None, '$') => {
                let braces = chars.peek() == Some(&'{');
                if braces {
                    chars.next();
                }
                let mut name = String::new();
                while let Some(c) = chars.next_if(|c| c.is_ascii_alphanumeric() || *c == '_') {
                    name.push(c);
                }
                if braces && chars.next() != Some('}') {
                    // Something cleverer than a name.
                    name.clear();
                }
                let value = fill(&name).unwrap_or_else(|| format!("${name}"));
                if quote.is_some() {
                    current.get_or_insert_with(empty).text.push_str(&value);
                } else {
                    split_value(&value, &mut current, &mut all);
                }
            }
            (None, '#') if current.is_none() => break,
            (None, ';') => {
                all.extend(current.take());
                all.push(Word { text: ";".to_owned(), quoted: false });
            }
            (None, c) if c.is_whitespace() => all.extend(current.take()),
            (_, c) => current.get_or_insert_with(empty).text.push(c),
        }
    }
    if quote.is_some() {
        return None;
    }
    all.extend(current);
    Some(all)
}

/// A value outside of quotes is cut into words.
fn split_value(value: &str, current: &mut Option<Word>, all: &mut Vec<Word>) {
    let mut parts = value.split(char::is_whitespace).peekable();
    while let Some(part) = parts.next() {
        if !part.is_empty() {
            current.get_or_insert_with(empty).text.push_str(part);
        }
        if parts.peek().is_some() {
            all.extend(current.take());
        }
    }
}

fn empty() -> Word {
    Word { text: String::new(), quoted: false }
}

/// The same without variables, as texts.
pub(super) fn plain(line: &str) -> Option<Vec<String>> {
    let words = words(line, &mut |name| Some(format!("${name}")))?;
    Some(words.into_iter().map(|word| word.text).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_and_escapes() {
        let line = r#"-A X --string "OPTIONS sip:" --comment 'a # "b"' x\ y # end"#;
        let expected = ["-A", "X", "--string", "OPTIONS sip:", "--comment", "a # \"b\"", "x y"];
        assert_eq!(plain(line).unwrap(), expected);
        assert_eq!(plain("a \"b"), None);
        assert_eq!(plain("a;b").unwrap(), ["a", ";", "b"]);
    }

    #[test]
    fn variables() {
        let mut fill = |name: &str| (name == "IPS").then(|| "192.0.2.1 192.0.2.2".to_owned());
        let texts: Vec<String> = words("a $IPS \"${IPS}\" '$IPS' $NO x${IPS}y", &mut fill)
            .unwrap()
            .into_iter()
            .map(|word| word.text)
            .collect();
        let expected = [
            "a",
            "192.0.2.1",
            "192.0.2.2",
            "192.0.2.1 192.0.2.2",
            "$IPS",
            "$NO",
            "x192.0.2.1",
            "192.0.2.2y",
        ];
        assert_eq!(texts, expected);
    }
}
