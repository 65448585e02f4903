//! The file that an earlier run has left, whole or damaged.

use std::{
    fs,
    time::{Duration, Instant},
};

use jiff::{SignedDuration, Timestamp};
use sipguard::{
    history::{
        Ban, FILE, History, Kept, Kind, Line, List, Period, RuleTotal, SourceTotal, Span, Wanted,
    },
    offender::Offender,
    policy::{Target, parse_net},
};
use sipguard_common::rule::Rule;

use crate::Seed;

pub(crate) const NEEDS_KERNEL: bool = false;

/// Whatever the file holds, nothing takes longer.
const PATIENCE: Duration = Duration::from_secs(10);

/// What SQLite puts beside the file.
const JOURNAL: &str = "history.db-wal";

/// The first four bytes say how many of the rest are the file; what is behind is
/// its journal.
///
/// # Panics
/// Where history stops, hangs, or loses what it is told afterwards.
pub fn run(input: &[u8]) {
    let Some((length, bytes)) = input.split_first_chunk() else { return };
    let (file, journal) = bytes.split_at((u32::from_le_bytes(*length) as usize).min(bytes.len()));
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join(FILE), file).expect("a file");
    if !journal.is_empty() {
        fs::write(folder.path().join(JOURNAL), journal).expect("a file");
    }
    let (history, mut loaded) = History::start(folder.path());
    let state = within(|| match loaded.try_recv() {
        Ok(state) => Some(state),
        Err(tokio::sync::mpsc::error::TryRecvError::Empty) => None,
        Err(_) => panic!("the thread has ended"),
    });
    // A file may turn out to be damaged where only the second change is written, and
    // its lines to be beyond reading: what is told from then on is there.
    let told = (0..2).any(|_| {
        tell(&history);
        let mut lines = history.lines(Wanted { limit: 10, ..Wanted::default() });
        within(|| lines.try_recv().ok()).iter().any(|line| line.by == "fuzzer")
    });
    assert!(told, "{:?}", history.report());
    let mut totals = history.totals(span());
    within(|| totals.try_recv().ok());
    let report = history.report();
    assert!(report.file.is_some() || report.problem.is_some(), "{report:?}");
    assert!(history.close(PATIENCE), "history does not end");
    drop(state);
}

/// Asks until there is an answer.
fn within<T>(mut ask: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < end, "no answer in {PATIENCE:?}");
        std::thread::sleep(Duration::from_micros(100));
    }
}

fn span() -> Span {
    Span { since: Timestamp::UNIX_EPOCH, step: SignedDuration::from_mins(5), sources: 3 }
}

/// Something of each kind.
fn tell(history: &History) {
    let now = Timestamp::from_second(1_800_000_000).expect("a time");
    let net = parse_net("198.51.100.0/24").expect("a network");
    let target = Target { net, port: None };
    let line = Line::new(Kind::Block, "fuzzer");
    history.add(Line { target: Some(target.to_string()), net: Some(net), ..line });
    let kept = Kept { added: now, until: Some(now), reason: Some("x".to_owned()), uid: 0 };
    history.set_entry(List::Blocked, target, Some(kept));
    let ban = Ban {
        since: now,
        until: now,
        rule: Rule::Auth,
        signature: None,
        failures: 5,
        proven: true,
        repeated: 1,
        offended: Some(now),
    };
    history.set_ban(Offender { source: net, port: None }, Some(ban));
    history.set_hour(500_000, 17);
    let rule = RuleTotal { rule: "options".to_owned(), packets: 1, bytes: 2, would: 3 };
    let source =
        SourceTotal { source: "198.51.100.7".to_owned(), packets: 1, ..SourceTotal::default() };
    history.add_period(Period { at: now, rules: vec![rule], sources: vec![source] });
}

fn input(file: &[u8], journal: &[u8]) -> Vec<u8> {
    let length = u32::try_from(file.len()).expect("a short file");
    [&length.to_le_bytes()[..], file, journal].concat()
}

/// A good file, closed, and before that with its journal.
fn files() -> [Vec<u8>; 3] {
    let folder = tempfile::tempdir().expect("a folder");
    let read = |name: &str| fs::read(folder.path().join(name)).unwrap_or_default();
    let (history, _loaded) = History::start(folder.path());
    tell(&history);
    let mut lines = history.lines(Wanted { limit: 1, ..Wanted::default() });
    within(|| lines.try_recv().ok());
    let (open, journal) = (read(FILE), read(JOURNAL));
    assert!(history.close(PATIENCE), "history does not end");
    [read(FILE), open, journal]
}

/// Of SQLite.
pub(crate) fn a_database() -> Vec<u8> {
    let [file, ..] = files();
    file
}

/// A file that was closed, one that was not, and what is none.
pub(crate) fn seeds() -> Vec<Seed> {
    let [closed, open, journal] = files();
    let closed = input(&closed, &[]);
    let cut = closed[..closed.len() / 2].to_vec();
    vec![
        Seed::new("closed", closed),
        Seed::new("open", input(&open, &journal)),
        Seed::new("cut_off", cut),
        Seed::new("empty", input(&[], &[])),
        Seed::new("text", input(b"this is no database\n", &[])),
        Seed::new("magic_only", input(b"SQLite format 3\0", &[])),
        Seed::new("journal_only", input(&[], b"7\x7f\x06\x82")),
    ]
}
