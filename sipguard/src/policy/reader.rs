//! Typed readers over a tree of TOML.
//!
//! Deriving a deserializer would stop at the first error of a file. These note
//! each and go on.

use std::ops::{Range, RangeInclusive};

use toml::{
    Spanned,
    de::{DeArray, DeTable, DeValue},
};

use super::{diagnostic::is_invisible, source::Problems};

/// Characters of a name or a reason at most.
const MAX_LABEL: usize = 200;

/// A table whose keys are known.
pub(super) struct Reader<'t, 'i> {
    table: &'t DeTable<'i>,
    at: Range<usize>,
    keys: &'static [&'static str],
}

impl<'t, 'i> Reader<'t, 'i> {
    /// The table's head stands at `at`; `keys` are all that may stand in it.
    pub(super) fn new(
        table: &'t DeTable<'i>,
        at: Range<usize>,
        keys: &'static [&'static str],
    ) -> Self {
        Self { table, at, keys }
    }

    /// The value of a key, if it is there.
    pub(super) fn get(&self, key: &'static str) -> Option<Value<'t, 'i>> {
        debug_assert!(self.keys.contains(&key));
        self.table.get(key).map(|inner| Value { key, inner })
    }

    /// The value of a key that must be there.
    pub(super) fn need(
        &self,
        key: &'static str,
        example: &str,
        problems: &mut Problems<'_>,
    ) -> Option<Value<'t, 'i>> {
        let value = self.get(key);
        if value.is_none() && !problems.is_incomplete() {
            problems.error(
                self.at.clone(),
                format!("`{key}` is missing here"),
                format!("add for example {key} = {example}"),
            );
        }
        value
    }

    /// The table under a key. A missing one is an empty one.
    pub(super) fn section(
        &self,
        key: &'static str,
        keys: &'static [&'static str],
        problems: &mut Problems<'_>,
    ) -> Option<Reader<'t, 'i>> {
        self.get(key)?.table(keys, problems)
    }

    /// The tables under a key, `[[key]]`.
    pub(super) fn sections(
        &self,
        key: &'static str,
        keys: &'static [&'static str],
        problems: &mut Problems<'_>,
    ) -> Vec<Reader<'t, 'i>> {
        let Some(value) = self.get(key) else { return Vec::new() };
        let DeValue::Array(array) = value.inner.get_ref() else {
            value.wrong_type("a list of tables", &format!("write [[{key}]]"), problems);
            return Vec::new();
        };
        let mut readers = Vec::with_capacity(array.len());
        for inner in array.iter() {
            readers.extend(Value { key, inner }.table(keys, problems));
        }
        readers
    }

    /// Reports the keys that nobody knows.
    pub(super) fn finish(self, problems: &mut Problems<'_>) {
        self.finish_without(&[], problems);
    }

    /// As [`Self::finish`]. Of keys that have moved it says to which section.
    pub(super) fn finish_without(
        self,
        moved: &[(&str, &'static str)],
        problems: &mut Problems<'_>,
    ) {
        for key in self.table.keys() {
            let name: &str = key.get_ref();
            if self.keys.contains(&name) {
                continue;
            }
            if let Some((_, section)) = moved.iter().find(|(moved, _)| *moved == name) {
                problems.error(
                    key.span(),
                    format!("`{name}` stands in the section [{section}] now"),
                    format!("move it there: the key is `{section}.{name}`"),
                );
                continue;
            }
            problems.error(
                key.span(),
                format!("unknown key `{name}`"),
                nearest(name, self.keys.iter().copied()).map_or_else(
                    || format!("what can stand here: {}", self.keys.join(", ")),
                    |near| format!("did you mean `{near}`?"),
                ),
            );
        }
    }
}

/// A value and the key it stands under.
#[derive(Clone, Copy)]
pub(super) struct Value<'t, 'i> {
    key: &'static str,
    inner: &'t Spanned<DeValue<'i>>,
}

impl<'t, 'i> Value<'t, 'i> {
    pub(super) fn span(self) -> Range<usize> {
        self.inner.span()
    }

    pub(super) fn raw(self) -> &'t DeValue<'i> {
        self.inner.get_ref()
    }

    /// The text, if it is one.
    pub(super) fn as_text(self) -> Option<&'t str> {
        self.inner.get_ref().as_str()
    }

    /// Reports that this is not what should stand here.
    pub(super) fn wrong_type(self, expected: &str, help: &str, problems: &mut Problems<'_>) {
        let found = match self.raw() {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) => "a whole number",
            DeValue::Float(_) => "a number with a fraction",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a time",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        let key = self.key;
        problems.error(self.span(), format!("`{key}` must be {expected}, not {found}"), help);
    }

    pub(super) fn table(
        self,
        keys: &'static [&'static str],
        problems: &mut Problems<'_>,
    ) -> Option<Reader<'t, 'i>> {
        match self.raw() {
            DeValue::Table(table) => Some(Reader::new(table, self.span(), keys)),
            _ => {
                let help = format!("what can stand in it: {}", keys.join(", "));
                self.wrong_type("a table", &help, problems);
                None
            }
        }
    }

    pub(super) fn text(self, example: &str, problems: &mut Problems<'_>) -> Option<&'t str> {
        let text = self.as_text();
        if text.is_none() {
            let help = format!("write for example {} = {example}", self.key);
            self.wrong_type("a string", &help, problems);
        }
        text
    }

    /// A text for people to read: not empty, not long, nothing that steers a
    /// terminal.
    pub(super) fn label(self, example: &str, problems: &mut Problems<'_>) -> Option<&'t str> {
        let text = self.text(example, problems)?;
        let key = self.key;
        let wrong = if text.trim().is_empty() {
            "is empty"
        } else if text.chars().any(|c| c.is_control() || is_invisible(c)) {
            "holds control or invisible characters"
        } else if text.chars().count() > MAX_LABEL {
            "is longer than 200 characters"
        } else {
            return Some(text);
        };
        let help = format!("write for example {key} = {example}");
        problems.error(self.span(), format!("`{key}` {wrong}"), help);
        None
    }

    pub(super) fn boolean(self, problems: &mut Problems<'_>) -> Option<bool> {
        let boolean = self.raw().as_bool();
        if boolean.is_none() {
            self.wrong_type("true or false", "write true or false, without quotes", problems);
        }
        boolean
    }

    pub(super) fn number(
        self,
        range: RangeInclusive<u64>,
        problems: &mut Problems<'_>,
    ) -> Option<u64> {
        let (low, high) = (range.start(), range.end());
        let help = format!("write a whole number of {low} to {high}");
        let DeValue::Integer(integer) = self.raw() else {
            self.wrong_type("a whole number", &help, problems);
            return None;
        };
        let number = u64::from_str_radix(integer.as_str(), integer.radix()).ok();
        let number = number.filter(|number| range.contains(number));
        if number.is_none() {
            let message = format!("`{}` must be between {low} and {high}", self.key);
            problems.error(self.span(), message, help);
        }
        number
    }

    /// One of several words.
    pub(super) fn choice<T: Copy>(
        self,
        choices: &[T],
        name: impl Fn(T) -> &'static str,
        problems: &mut Problems<'_>,
    ) -> Option<T> {
        let names: Vec<&str> = choices.iter().map(|choice| name(*choice)).collect();
        let listed =
            names.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(" or ");
        let Some(text) = self.as_text() else {
            self.wrong_type("a string", &format!("write {listed}"), problems);
            return None;
        };
        let found = choices.iter().copied().find(|choice| name(*choice) == text);
        if found.is_none() {
            let help = nearest(text, names.into_iter()).map_or_else(
                || format!("write {listed}"),
                |near| format!("did you mean \"{near}\"? It can be {listed}"),
            );
            problems.error(self.span(), format!("`{}` cannot be `{text}`", self.key), help);
        }
        found
    }

    pub(super) fn list(self, example: &str, problems: &mut Problems<'_>) -> Option<Vec<Self>> {
        match self.raw() {
            DeValue::Array(array) => Some(self.items(array)),
            _ => {
                let help = format!("write for example {} = {example}", self.key);
                self.wrong_type("a list", &help, problems);
                None
            }
        }
    }

    /// A list, or one value that stands for a list of one.
    pub(super) fn one_or_more(self) -> Vec<Self> {
        match self.raw() {
            DeValue::Array(array) => self.items(array),
            _ => vec![self],
        }
    }

    fn items(self, array: &'t DeArray<'i>) -> Vec<Self> {
        array.iter().map(|inner| Value { key: self.key, inner }).collect()
    }
}

/// The one of `names` that `written` is most likely a slip of.
fn nearest<'n>(written: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    // Quadratic in the length, and nobody slips on a whole page.
    if written.len() > 100 {
        return None;
    }
    let written = written.to_lowercase();
    names
        .map(|name| (strsim::damerau_levenshtein(&written, name), name))
        .filter(|(distance, name)| *distance <= (name.len() / 3).max(1))
        .min()
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_find_their_name_and_others_none() {
        let names = ["names", "mode", "register", "source_prefix_v6"];
        let near = |text| nearest(text, names.into_iter());
        assert_eq!(near("name"), Some("names"));
        assert_eq!(near("Mode"), Some("mode"));
        assert_eq!(near("mdoe"), Some("mode"));
        assert_eq!(near("source_prefix6"), Some("source_prefix_v6"));
        assert_eq!(near("regsiter"), Some("register"));
        assert_eq!(near("stealth"), None);
        assert_eq!(near(""), None);
        assert_eq!(near(&"x".repeat(1_000_000)), None);
    }
}
