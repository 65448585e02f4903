//! Which test shows which requirement.
//!
//! A requirement is shown by cases and stories of the corpus that have its id, and by tests
//! whose names have it: `d09_l06_...` shows D09 and L06. What must be shown
//! stands here; a requirement that loses its last test or case fails this one.

use std::{collections::BTreeMap, fs};

use tests::{
    corpus::{corpus, stories::stories},
    rig::tool::root,
};

/// Where a requirement is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    /// Cases and stories of the corpus, which the programs and their twin judge.
    Corpus,
    /// Tests that are named after it.
    Test,
    /// Both.
    Both,
}
use By::{Both, Corpus, Test};

/// Every requirement of the ingress policy that is shown by name, what it is
/// about, and how it is shown.
const SHOWN: &[(&str, &str, By)] = &[
    ("A01", "svmap, svwar and svcrack, under their own name and another", Both),
    ("A02", "sipsak, single requests and floods", Both),
    ("A03", "floods of OPTIONS from one source and from many", Test),
    ("A05", "guesses over 50 accounts", Corpus),
    ("A06", "accounts tried out", Corpus),
    ("A07", "the toll-fraud kit", Corpus),
    ("A08", "probes of nmap, zmap, Metasploit and sippts", Corpus),
    ("A09", "evasions by case, spacing, line ends, folding, tags and segments", Both),
    ("A10", "the same sockets after an answer", Test),
    ("A11", "floods of garbage and of endless headers", Both),
    ("A12", "floods of SYN", Test),
    ("D01", "an answer opens nothing", Both),
    ("D02", "more sources than a table remembers", Test),
    ("D03", "OPTIONS of sips and tel", Corpus),
    ("D04", "a body that quotes a request", Corpus),
    ("D05", "the case of letters", Corpus),
    ("D06", "REGISTER in Allow and CSeq", Both),
    ("D07", "trusted peers over TCP", Test),
    ("D08", "split segments", Test),
    ("D09", "50 phones behind one address", Test),
    ("D10", "answers to the server's own probes", Test),
    ("D11", "a source just over its limit", Test),
    ("D12", "long Request-URIs, and STUN", Corpus),
    ("D13", "buckets to the nanosecond, on two CPUs", Test),
    ("D14", "a million strangers evict no ban, block or trust", Test),
    ("D15", "somebody else's XDP program", Test),
    ("D16", "events have limits", Test),
    ("D17", "signatures that never matched", Test),
    ("D18", "3CXPhoneSystem and X-Lite", Corpus),
    ("L01", "a trusted gateway's keepalives, over UDP and TCP", Both),
    ("L02", "a trusted network and a carrier at full speed", Test),
    ("L03", "refreshes for a day", Corpus),
    ("L04", "stale nonces", Corpus),
    ("L05", "four wrong passwords and a right one", Corpus),
    ("L06", "50 and 100 phones behind one address", Test),
    ("L07", "500 phones after an outage", Corpus),
    ("L08", "old passwords for ever, behind one address with others", Corpus),
    ("L09", "a scanner behind the address of a carrier", Corpus),
    ("L10", "answers to probes, of one address and of 10,000", Both),
    ("L11", "keepalives", Both),
    ("L12", "answers with scanners' words", Both),
    ("L13", "INVITE with Allow, 10 a second", Both),
    ("L14", "bodies that quote scanners", Corpus),
    ("L15", "retransmissions", Test),
    ("L16", "calls of two hours", Corpus),
    ("L17", "OPTIONS within a call", Corpus),
    ("L18", "the server's own registration", Corpus),
    ("L19", "a trunk with a wrong password", Corpus),
    ("L20", "every method of verified endpoints", Corpus),
    ("L21", "other addresses and ports, and repetitions", Corpus),
    ("L22", "connections over TCP, split anywhere", Both),
    ("L23", "TLS is not read", Both),
    ("L24", "calls in fragments", Both),
    ("L25", "VLANs, IPv6 and options of IPv4", Test),
    ("L26", "other ports", Both),
    ("L27", "a first REGISTER during floods", Both),
    ("L28", "an allowance that ends by itself", Test),
    ("L29", "a softphone with a listed SDK", Test),
    ("L30", "reloads, a full disk and whatever happens to the daemon", Test),
    ("L31", "forged packets ban nobody", Both),
    ("L32", "odd names and long Request-URIs", Corpus),
    ("L33", "User-Agents that must pass", Corpus),
    ("N08", "guesses delivered per hour", Corpus),
];

/// The ids in a test's name: its first words, as long as they are ids.
fn ids(name: &str) -> impl Iterator<Item = String> {
    let is_id = |word: &&str| {
        let mut letters = word.bytes();
        matches!(letters.next(), Some(b'a' | b'd' | b'l'))
            && word.len() == 3
            && letters.all(|letter| letter.is_ascii_digit())
    };
    name.split('_').take_while(is_id).map(str::to_uppercase)
}

/// The tests of all files beside this one, by the ids in their names.
fn tests_by_id() -> BTreeMap<String, Vec<String>> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for entry in fs::read_dir(root().join("tests/tests")).expect("the folder of tests") {
        let path = entry.expect("a file").path();
        let file = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let text = fs::read_to_string(&path).expect("a source file");
        let mut lines = text.lines().peekable();
        while let Some(line) = lines.next() {
            let Some(next) = lines.peek().filter(|_| line == "#[test]") else { continue };
            let name = next.trim_start_matches("fn ").split('(').next().unwrap_or_default();
            for id in ids(name) {
                found.entry(id).or_default().push(format!("{file}::{name}"));
            }
        }
    }
    found
}

#[test]
fn every_requirement_is_shown() {
    let tests = tests_by_id();
    let mut cases: BTreeMap<&str, usize> = BTreeMap::new();
    for id in corpus()
        .iter()
        .map(|case| case.id)
        .chain(stories().iter().flat_map(|story| story.ids.iter().copied()))
    {
        *cases.entry(id).or_default() += 1;
    }
    let mut wrong = Vec::new();
    for (id, what, by) in SHOWN {
        let named = tests.get(*id).map(Vec::as_slice).unwrap_or_default();
        let cases = cases.get(id).copied().unwrap_or_default();
        println!("{id} {what}: {cases} cases, {}", named.join(", "));
        let missing = match by {
            Corpus => cases == 0,
            Test => named.is_empty(),
            Both => cases == 0 || named.is_empty(),
        };
        if missing {
            wrong.push(format!("{id} ({what}): {cases} cases, {} tests", named.len()));
        }
    }
    assert!(wrong.is_empty(), "shown by nothing:\n{}", wrong.join("\n"));
}

#[test]
fn ids_stand_first_in_a_name() {
    let of = |name| ids(name).collect::<Vec<_>>();
    assert_eq!(of("d09_l06_offices"), ["D09", "L06"]);
    assert_eq!(of("every_a01"), Vec::<String>::new());
    assert_eq!(of("a1_b"), Vec::<String>::new());
}
