//! Inputs with names.

use std::{fs, path::Path};

use tests::corpus::{Case, corpus};

/// An input that a fuzzer begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seed {
    /// Of the file that it is in, or is written to.
    pub name: String,
    pub bytes: Vec<u8>,
}

impl Seed {
    pub(crate) fn new(name: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        Self { name: name.into(), bytes: bytes.into() }
    }
}

/// The files of a target in `fuzz/seeds`, by name.
pub(crate) fn kept(target: &str) -> Vec<Seed> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds").join(target);
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut seeds: Vec<Seed> = entries
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            Some(Seed::new(path.file_name()?.to_str()?, fs::read(&path).ok()?))
        })
        .collect();
    seeds.sort_by(|one, other| one.name.cmp(&other.name));
    seeds
}

/// A seed of each case of the corpus of packets that gives one.
pub(crate) fn of_corpus(make: impl Fn(&Case) -> Option<Vec<u8>>) -> Vec<Seed> {
    let cases = corpus();
    cases.iter().filter_map(|case| Some(Seed::new(case.name, make(case)?))).collect()
}
