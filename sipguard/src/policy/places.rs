//! Where in the files something is written, for whoever explains a decision.
//!
//! Found by reading the file again when somebody asks: a list can hold a
//! million entries, and whoever protects an interface never asks.

use std::{
    cell::OnceCell,
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};

use ipnet::IpNet;
use serde::{Serialize, Serializer};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    document::walk_in_parts,
    load::{BLACKLIST, SETTINGS, SIGNATURES, TRUSTED},
    source::{Problems, Source},
    target::{Target, parse_net},
};

/// Where something is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The line of a file, from 1.
    Line { file: &'static str, line: usize },
    /// Nowhere: the default holds.
    Default,
}

impl fmt::Display for Place {
    /// `sipguard.toml:60`, or `default`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line { file, line } => write!(f, "{file}:{line}"),
            Self::Default => f.write_str("default"),
        }
    }
}

impl Serialize for Place {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The places in the files of a configuration directory. What cannot be read
/// any more has none.
#[derive(Debug)]
pub struct Places {
    dir: PathBuf,
    /// Lines of the keys of sipguard.toml.
    settings: OnceCell<BTreeMap<String, usize>>,
}

impl Places {
    /// The places in the files in `dir`, of which none is read yet.
    #[must_use]
    pub fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), settings: OnceCell::new() }
    }

    /// Where a key of sipguard.toml stands, such as `limits.stranger.register`.
    #[must_use]
    pub fn key(&self, key: &str) -> Place {
        let settings = self.settings.get_or_init(|| {
            let mut lines = BTreeMap::new();
            self.read(SETTINGS, |source, table| keys("", source, table, &mut lines));
            lines
        });
        match settings.get(key) {
            Some(line) => Place::Line { file: SETTINGS, line: *line },
            None => Place::Default,
        }
    }

    /// Where a target of trusted.toml stands.
    #[must_use]
    pub fn peer(&self, target: Target) -> Option<Place> {
        self.find(TRUSTED, "peer", "address", |text| text.parse() == Ok(target))
    }

    /// Where an enabled signature stands.
    #[must_use]
    pub fn signature(&self, name: &str) -> Option<Place> {
        self.find(SIGNATURES, "signature", "name", |text| text == name)
    }

    /// Where a network of blacklist.toml stands. Takes as long as reading the
    /// list does, and little memory.
    #[must_use]
    pub fn block(&self, net: IpNet) -> Option<Place> {
        let source = Source::read(&self.dir.join(BLACKLIST)).ok()?;
        let mut found = None;
        let mut problems = Problems::new(&source);
        walk_in_parts(&source, "block", &mut problems, |_, table, problems| {
            if found.is_none() {
                let at = offset(table, "block", "address", |text| parse_net(text) == Ok(net));
                found = at.map(|at| problems.line(problems.place(at..at).start));
            }
        });
        found.map(|line| Place::Line { file: BLACKLIST, line })
    }

    fn find(
        &self,
        file: &'static str,
        section: &str,
        key: &str,
        is_it: impl Fn(&str) -> bool,
    ) -> Option<Place> {
        let mut line = None;
        self.read(file, |source, table| {
            line = offset(table, section, key, is_it).map(|at| source.line(at));
        });
        line.map(|line| Place::Line { file, line })
    }

    fn read(&self, file: &str, read: impl FnOnce(&Source, &DeTable<'_>)) {
        let Ok(source) = Source::read(&self.dir.join(file)) else { return };
        if let Ok(table) = DeTable::parse(source.text()) {
            read(&source, table.get_ref());
        }
    }
}

/// Notes the line of every key, those of tables within under their whole name.
fn keys(above: &str, source: &Source, table: &DeTable<'_>, lines: &mut BTreeMap<String, usize>) {
    for (key, value) in table {
        let name = format!("{above}{}", key.get_ref());
        if let DeValue::Table(table) = value.get_ref() {
            keys(&format!("{name}."), source, table, lines);
        }
        lines.insert(name, source.line(key.span().start));
    }
}

/// Where the text stands that `is_it`: under a key of the tables `[[section]]`,
/// or in the list under that key.
fn offset(
    table: &DeTable<'_>,
    section: &str,
    key: &str,
    is_it: impl Fn(&str) -> bool,
) -> Option<usize> {
    let entries = table.get(section)?.get_ref().as_array()?;
    let values = entries.iter().filter_map(|entry| entry.get_ref().as_table()?.get(key));
    let is_it = |value: &Spanned<DeValue<'_>>| value.get_ref().as_str().is_some_and(&is_it);
    values
        .filter_map(|value| match value.get_ref() {
            DeValue::Array(items) => items.iter().find(|item| is_it(item)),
            _ => Some(value).filter(|value| is_it(value)),
        })
        .map(|value| value.span().start)
        .next()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn line(file: &'static str, line: usize) -> Option<Place> {
        Some(Place::Line { file, line })
    }

    fn net(text: &str) -> IpNet {
        parse_net(text).unwrap()
    }

    #[test]
    fn what_is_written_is_found_at_its_line() {
        let dir = tempfile::tempdir().unwrap();
        let write = |file: &str, text: &str| fs::write(dir.path().join(file), text).unwrap();
        write(
            SETTINGS,
            "# é\n[policy]\nposture = \"open\"\n\n[limits.stranger]\nregister = { rate = \"1/s\" }\n\
             [rules]\noptions = { mode = \"observe\" }\n[limits.subnet]\ntotal = \"unlimited\"\n",
        );
        let peers = "[[peer]]\nname = \"a\"\naddress = [\"192.0.2.1\",\n  \"192.0.2.0/26:5060\"]\n";
        write(TRUSTED, peers);
        write(SIGNATURES, "[[signature]]\nfield = \"from\"\nname = \"x\"\n");
        let places = Places::new(dir.path());
        let key = |key| Some(places.key(key));
        assert_eq!(key("policy.posture"), line(SETTINGS, 3));
        assert_eq!(key("limits.stranger.register"), line(SETTINGS, 6));
        assert_eq!(key("rules.options.mode"), line(SETTINGS, 8));
        assert_eq!(key("limits.subnet.total"), line(SETTINGS, 10));
        assert_eq!(key("policy.options"), Some(Place::Default));
        assert_eq!(places.peer("192.0.2.1".parse().unwrap()), line(TRUSTED, 3));
        assert_eq!(places.peer("192.0.2.0/26:5060".parse().unwrap()), line(TRUSTED, 4));
        assert_eq!(places.peer("192.0.2.0/26".parse().unwrap()), None);
        assert_eq!(places.signature("x"), line(SIGNATURES, 3));
        assert_eq!(places.block(net("192.0.2.1")), None, "there is no such file");
        assert_eq!(line(SETTINGS, 3).unwrap().to_string(), "sipguard.toml:3");
    }

    /// In the parts that a long list is read in, too.
    #[test]
    fn blocks_are_found_in_long_lists() {
        let dir = tempfile::tempdir().unwrap();
        let block = |n: u32| {
            let [_, b, c, d] = n.to_be_bytes();
            format!("[[block]]\naddress = \"10.{b}.{c}.{d}\"\n")
        };
        let text: String = (0..10_000).map(block).collect();
        fs::write(dir.path().join(BLACKLIST), text).unwrap();
        let places = Places::new(dir.path());
        assert_eq!(places.block(net("10.0.0.0")), line(BLACKLIST, 2));
        assert_eq!(places.block(net("10.0.39.15")), line(BLACKLIST, 20_000));
        assert_eq!(places.block(net("10.1.0.0")), None);
    }
}
