//! Where `unsafe` stands, and how often: one more is a thing to look at, and so to
//! write down here. That each block says why it is sound is a lint of clippy
//! (`undocumented_unsafe_blocks`).

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// Blocks and `unsafe impl`s, and beside them `unsafe fn`s, by crate; of user space
/// by room. What is not here has none.
const TABLE: &[(&str, usize, usize)] = &[
    ("sipguard-common/src", 86, 64),
    ("sipguard-ebpf/src", 170, 49),
    ("sipguard/src/daemon", 4, 0),
    ("sipguard/src/doctor", 4, 0),
    ("sipguard/src/explain", 1, 0),
    ("sipguard/src/kernel", 11, 0),
    ("sipguard/src/policy", 8, 0),
    ("tests", 39, 0),
];

/// The crates, with what is a room of its own in them.
const CRATES: [(&str, bool); 6] = [
    ("sipguard-common/src", false),
    ("sipguard-ebpf/src", false),
    ("sipguard/src", true),
    ("tests", false),
    ("xtask/src", false),
    ("fuzz/fuzz_targets", false),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every file of Rust below a folder.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
    let paths = entries.map(|entry| entry.unwrap().path());
    let found = paths.flat_map(|path| match path.is_dir() {
        true => sources(&path),
        false => vec![path],
    });
    found.filter(|path| path.extension().is_some_and(|extension| extension == "rs")).collect()
}

/// Blocks and impls, and functions, behind the word in code. Lines that are comments
/// do not count; the word in a text would, and stands in none.
fn count(text: &str) -> (usize, usize) {
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    let code = code.collect::<Vec<_>>().join("\n");
    let (mut blocks, mut functions) = (0, 0);
    for (at, word) in code.match_indices("unsafe") {
        let before = code[..at].chars().next_back();
        let behind = &code[at + word.len()..];
        let is_part = |c: char| c.is_alphanumeric() || c == '_';
        if before.is_some_and(is_part) || behind.starts_with(is_part) {
            continue;
        }
        match behind.split_whitespace().next().unwrap_or_default() {
            next if next.starts_with('{') || next.starts_with("impl") => blocks += 1,
            "fn" | "extern" => functions += 1,
            // `unsafe(no_mangle)` and the like.
            _ => {}
        }
    }
    (blocks, functions)
}

#[test]
fn unsafe_code_stands_where_it_is_known_to() {
    let mut found: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for (folder, has_rooms) in CRATES {
        let path = root().join(folder);
        for source in sources(&path) {
            if source.ends_with("tests/unsafe_code.rs") {
                continue;
            }
            let inside = source.strip_prefix(&path).unwrap();
            let room = inside.iter().next().unwrap();
            let room = Path::new(room).file_stem().unwrap().to_str().unwrap();
            let name = if has_rooms { format!("{folder}/{room}") } else { folder.to_owned() };
            let (blocks, functions) = count(&fs::read_to_string(&source).unwrap());
            let entry = found.entry(name).or_default();
            (entry.0, entry.1) = (entry.0 + blocks, entry.1 + functions);
        }
    }
    found.retain(|_, counts| *counts != (0, 0));
    let known: BTreeMap<String, (usize, usize)> = TABLE
        .iter()
        .map(|(name, blocks, functions)| ((*name).to_owned(), (*blocks, *functions)))
        .collect();
    let rows: String = found
        .iter()
        .map(|(name, (blocks, functions))| format!("    (\"{name}\", {blocks}, {functions}),\n"))
        .collect();
    assert!(found == known, "unsafe code has changed; it is now\n{rows}");
}

#[test]
fn only_code_is_counted() {
    let text = "// unsafe { }\n/// unsafe fn\nunsafe fn f() {\n  unsafe { g() }\n}\nunsafe impl X for Y {}\n\
                let unsafe_program = 1; undocumented_unsafe { }\n#[unsafe(no_mangle)]\nunsafe{}\n";
    assert_eq!(count(text), (3, 1));
}
