//! docs/security.md against the tests and the maps: what it says that shows an
//! answer exists, every threat has something that shows its answer, and no map
//! is left out.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// Where tests are.
const FOLDERS: [&str; 7] = [
    "sipguard/src",
    "sipguard/tests",
    "sipguard-common/src",
    "sipguard-common/tests",
    "tests/src",
    "tests/tests",
    "xtask/src",
];

/// What a column with tests is called.
const SHOWN: &str = "Shown by";

/// Arrays: they have all that they will ever hold. The others can be filled.
const KINDS: [&str; 4] = ["HashMap<", "LruHashMap<", "LpmTrie<", "RingBuf<"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    // Not every crate has all folders.
    let Ok(entries) = fs::read_dir(folder) else { return };
    for path in entries.map(|entry| entry.expect("a file").path()) {
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The functions behind `#[test]`.
fn tests() -> BTreeSet<String> {
    let mut files = Vec::new();
    for folder in FOLDERS {
        sources(&root().join(folder), &mut files);
    }
    let mut found = BTreeSet::new();
    for text in files.iter().map(|path| read(path)) {
        let mut is_test = false;
        for line in text.lines().map(str::trim_start) {
            if let Some(rest) = line.strip_prefix("fn ") {
                if std::mem::take(&mut is_test) {
                    found.extend(rest.split('(').next().map(str::to_owned));
                }
            } else {
                is_test |= line.starts_with("#[test]");
            }
        }
    }
    found
}

/// What stands in backticks.
fn words(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

/// The last cell of each row of each table whose last column shows something,
/// with the row.
fn shown() -> Vec<(String, String)> {
    let text = read(&root().join("docs/security.md"));
    let mut found = Vec::new();
    let mut shows = false;
    for line in text.lines() {
        let Some(row) = line.strip_prefix('|').and_then(|row| row.strip_suffix('|')) else {
            shows = false;
            continue;
        };
        let last = row.rsplit('|').next().unwrap_or_default().trim();
        match last {
            SHOWN => shows = true,
            "---" => {}
            _ if shows => found.push((row.to_owned(), last.to_owned())),
            _ => {}
        }
    }
    found
}

#[test]
fn every_answer_is_shown_by_tests_that_exist() {
    let (tests, rows) = (tests(), shown());
    assert!(rows.len() > 50, "{} rows", rows.len());
    let mut wrong = Vec::new();
    for (row, cell) in &rows {
        let missing: Vec<&str> = words(cell).filter(|name| !tests.contains(*name)).collect();
        if words(cell).next().is_none() || !missing.is_empty() {
            wrong.push(format!("{row}: {}", missing.join(", ")));
        }
    }
    assert!(wrong.is_empty(), "shown by nothing:\n{}", wrong.join("\n"));
}

#[test]
fn every_map_that_can_be_filled_has_a_row() {
    let maps = read(&root().join("sipguard-ebpf/src/maps.rs"));
    let text = maps.replace('\n', " ");
    let fillable: BTreeSet<&str> = text
        .split("static ")
        .skip(1)
        .filter_map(|one| one.split_once(": "))
        .filter(|(_, kind)| KINDS.iter().any(|start| kind.starts_with(start)))
        .map(|(name, _)| name)
        .collect();
    assert!(fillable.len() > 10, "{fillable:?}");
    let rows = shown();
    let named: BTreeSet<&str> = rows.iter().flat_map(|(row, _)| words(row)).collect();
    let missing: Vec<&&str> = fillable.difference(&named).collect();
    assert!(missing.is_empty(), "docs/security.md says nothing of {missing:?}");
}

#[test]
fn only_what_stands_behind_the_attribute_is_a_test() {
    let tests = tests();
    assert!(tests.contains("only_what_stands_behind_the_attribute_is_a_test"));
    assert!(!tests.contains("sources") && !tests.contains("shown"));
}
