//! History in real files, and without.

use std::{fs, time::Instant};

use jiff::{SignedDuration, Timestamp};
use rusqlite::Connection;
use sipguard_common::rule::Rule;
use tempfile::TempDir;

use super::*;

const PATIENCE: Duration = Duration::from_secs(20);

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn who(host: u8, port: Option<(u16, u8)>) -> Offender {
    Offender { source: std::net::IpAddr::from([198, 51, 100, host]).into(), port }
}

fn ban(repeated: u32) -> Ban {
    let until = Timestamp::from_millisecond(Timestamp::now().as_millisecond() + 600_000).unwrap();
    Ban {
        since: at(1_700_000_000),
        until,
        rule: Rule::Auth,
        signature: Some("friendly-scanner".to_owned()),
        failures: 5,
        proven: true,
        repeated,
        offended: Some(until),
    }
}

fn kept(until: Option<i64>) -> Kept {
    let reason = Some("Ärger \u{1b}[2J".to_owned());
    Kept { added: at(1_700_000_000), until: until.map(at), reason, uid: 1000 }
}

fn target(text: &str) -> Target {
    text.parse().unwrap()
}

fn about(kind: Kind, net: &str) -> Line {
    let net: ipnet::IpNet = net.parse().unwrap();
    Line { target: Some(net.to_string()), net: Some(net), ..Line::new(kind, "uid:0") }
}

fn lines(history: &History, wanted: Wanted) -> Vec<Line> {
    history.lines(Wanted { limit: 1000, ..wanted }).blocking_recv().unwrap()
}

fn targets(history: &History, wanted: Wanted) -> Vec<String> {
    lines(history, wanted).into_iter().filter_map(|line| line.target).collect()
}

/// What came through the channel.
fn loaded(receiver: &mut mpsc::UnboundedReceiver<Option<State>>) -> State {
    let start = Instant::now();
    loop {
        match receiver.try_recv() {
            Ok(Some(state)) => return state,
            Ok(None) => {}
            Err(_) => assert!(start.elapsed() < PATIENCE, "nothing was loaded"),
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn wait(what: &str, holds: impl Fn() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn fill(history: &History) -> State {
    history.set_entry(List::Blocked, target("192.0.2.0/24"), Some(kept(Some(9_999_999_999))));
    history.set_entry(List::Trusted, target("[2001:db8::1]:5060"), Some(kept(None)));
    history.set_entry(List::Blocked, target("192.0.2.9"), Some(kept(None)));
    history.set_entry(List::Blocked, target("192.0.2.9"), None);
    history.set_ban(who(7, None), Some(ban(2)));
    history.set_ban(who(7, Some((5061, 17))), Some(Ban { signature: None, ..ban(0) }));
    let network = Offender { source: "2001:db8:2::/64".parse().unwrap(), port: None };
    history.set_ban(network, Some(ban(0)));
    history.set_ban(who(8, None), Some(ban(0)));
    history.set_ban(who(8, None), None);
    history.set_hour(1_000_000, 120);
    history.set_hour(1_000_001, u64::MAX);
    history.set_hour(1_000_001, 130);
    history.add(about(Kind::Block, "192.0.2.0/24"));
    history.state().clone()
}

#[test]
fn n11_everything_is_there_after_a_restart() {
    let dir = TempDir::new().unwrap();
    let state_dir = dir.path().join("a/b");
    let (history, mut earlier) = History::start(&state_dir);
    assert!(loaded(&mut earlier).is_empty());
    let line = Line {
        until: Some(at(1_800_000_000)),
        old: Some("none".to_owned()),
        new: Some("until then: noise".to_owned()),
        times: 3,
        ..about(Kind::Ban, "2001:db8::/32")
    };
    history.add(line.clone());
    let state = fill(&history);
    assert_eq!((state.entries.len(), state.bans.len()), (2, 3));
    assert!(history.close(PATIENCE));

    let (history, mut earlier) = History::start(&state_dir);
    assert_eq!(loaded(&mut earlier), state);
    assert_eq!(history.ban(&who(7, None)), state.bans.get(&who(7, None)).cloned());
    assert_eq!(lines(&history, Wanted::default())[0], line);
    assert_eq!(history.report().file, Some(state_dir.join(FILE)));
    assert_eq!(history.report().problem, None);
    use std::os::unix::fs::PermissionsExt as _;
    let mode = fs::metadata(&state_dir).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o750);
}

/// What is usual is known after a restart, a week of it, also where the file
/// comes from a sipguard that did not keep it.
#[test]
fn f45_hours_survive_a_restart_for_a_week() {
    let dir = TempDir::new().unwrap();
    let (history, mut earlier) = History::start(dir.path());
    loaded(&mut earlier);
    assert!(history.close(PATIENCE));
    let old = Connection::open(dir.path().join(FILE)).unwrap();
    old.execute_batch("DROP TABLE hours").unwrap();
    drop(old);
    let (history, mut earlier) = History::start(dir.path());
    loaded(&mut earlier);
    (0..200).for_each(|hour| history.set_hour(1_000_000 + hour, 5));
    assert!(history.close(PATIENCE));
    let (history, mut earlier) = History::start(dir.path());
    let hours = loaded(&mut earlier).hours;
    assert_eq!(history.hours(), hours);
    assert_eq!((hours.len(), hours.first_key_value()), (170, Some((&1_000_030, &5))));
}

/// Whoever is dropped without a word has written all the same.
#[test]
fn the_last_handle_ends_it() {
    let dir = TempDir::new().unwrap();
    let (history, _earlier) = History::start(dir.path());
    history.add(about(Kind::Block, "192.0.2.7/32"));
    let shared = Arc::clone(&history.shared);
    drop(history);
    assert!(shared.wait_for_end(PATIENCE));
    let (history, _earlier) = History::start(dir.path());
    assert_eq!(targets(&history, Wanted::default()), ["192.0.2.7/32"]);
}

#[test]
fn lines_are_chosen() {
    let history = History::in_memory();
    let old = Line { at: at(1000), ..about(Kind::Block, "192.0.2.0/24") };
    for line in [
        old,
        about(Kind::Ban, "192.0.2.7/32"),
        about(Kind::Ban, "2001:db8:2::/64"),
        about(Kind::Unban, "192.0.2.8/32"),
        Line::new(Kind::Reload, "signal"),
    ] {
        history.add(line);
    }
    assert_eq!(lines(&history, Wanted::default()).len(), 5);
    let of = |net: &str| {
        targets(&history, Wanted { net: Some(net.parse().unwrap()), ..Wanted::default() })
    };
    assert_eq!(of("192.0.2.7/32"), ["192.0.2.0/24", "192.0.2.7/32"]);
    assert_eq!(of("192.0.2.8/29"), ["192.0.2.0/24", "192.0.2.8/32"]);
    assert_eq!(of("2001:db8:2::1/128"), ["2001:db8:2::/64"]);
    assert!(of("198.51.100.0/24").is_empty());
    let kind = Wanted { kind: Some(Kind::Ban), ..Wanted::default() };
    assert_eq!(targets(&history, kind), ["192.0.2.7/32", "2001:db8:2::/64"]);
    let since = Some(Timestamp::now() - SignedDuration::from_hours(1));
    let of_now = lines(&history, Wanted { since, ..Wanted::default() });
    assert_eq!(of_now.len(), 4);
    let last = history.lines(Wanted { limit: 1, ..Wanted::default() }).blocking_recv().unwrap();
    assert_eq!(last[0].kind, Kind::Reload);
}

#[test]
fn a_damaged_file_is_set_aside_and_a_new_one_begins() {
    let whole = {
        let dir = TempDir::new().unwrap();
        let (history, _earlier) = History::start(dir.path());
        fill(&history);
        assert!(history.close(PATIENCE));
        fs::read(dir.path().join(FILE)).unwrap()
    };
    let mut broken = whole.clone();
    broken[4096..8192].fill(0xa5);
    let foreign = {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("x");
        let connection = Connection::open(&path).unwrap();
        connection.execute_batch("CREATE TABLE log (x); INSERT INTO log VALUES (1)").unwrap();
        drop(connection);
        fs::read(path).unwrap()
    };
    let noise: Vec<u8> =
        (0..9999u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    for (what, bytes) in [
        ("noise", noise),
        ("broken", broken),
        ("cut off", whole[..5000].to_vec()),
        ("foreign", foreign),
    ] {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join(FILE);
        fs::write(&path, &bytes).unwrap();
        // One of these is there from an earlier time.
        fs::write(dir.path().join("history.db.damaged"), b"older").unwrap();
        let (history, mut earlier) = History::start(dir.path());
        assert!(loaded(&mut earlier).is_empty(), "{what}");
        history.add(about(Kind::Block, "192.0.2.7/32"));
        assert_eq!(targets(&history, Wanted::default()), ["192.0.2.7/32"], "{what}");
        assert_eq!(history.report().problem, None, "{what}");
        let aside = fs::read(dir.path().join("history.db.damaged")).unwrap();
        assert_eq!(aside.len(), bytes.len(), "{what}");
        assert!(history.close(PATIENCE));
        let (history, _earlier) = History::start(dir.path());
        assert_eq!(targets(&history, Wanted::default()), ["192.0.2.7/32"], "{what}");
    }
}

#[test]
fn an_empty_file_is_a_new_one() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join(FILE), b"").unwrap();
    let (history, mut earlier) = History::start(dir.path());
    assert!(loaded(&mut earlier).is_empty());
    assert_eq!(history.report().problem, None);
    assert!(!dir.path().join("history.db.damaged").exists());
}

#[test]
fn a_file_of_a_later_version_is_set_aside() {
    let dir = TempDir::new().unwrap();
    let connection = Connection::open(dir.path().join(FILE)).unwrap();
    connection.execute_batch("CREATE TABLE log (x); PRAGMA user_version = 7").unwrap();
    drop(connection);
    let (history, mut earlier) = History::start(dir.path());
    assert!(loaded(&mut earlier).is_empty());
    assert_eq!(history.report().problem, None);
    assert!(dir.path().join("history.db.version-7").exists());
}

/// Where there can be no file, all goes on in memory, and says so.
#[test]
fn without_a_file_it_goes_on_in_memory() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("file"), b"").unwrap();
    fs::create_dir_all(dir.path().join("taken").join(FILE)).unwrap();
    // Not even root can make a file in the last one.
    for place in ["file/below", "taken", "/sys/kernel"] {
        let (history, mut earlier) = History::start(&dir.path().join(place));
        fill(&history);
        assert_eq!(targets(&history, Wanted::default()), ["192.0.2.0/24"], "{place}");
        let Report { file, problem, lost } = history.report();
        assert_eq!((file, lost), (None, 0), "{place}");
        assert!(problem.is_some(), "{place}");
        assert_eq!(earlier.try_recv(), Ok(None));
        assert!(earlier.try_recv().is_err());
        assert!(history.close(PATIENCE));
    }
}

/// The file of another process, which ends: what it knows and what was told
/// meanwhile come together.
#[test]
fn a_locked_file_is_taken_up_when_it_is_free() {
    let dir = TempDir::new().unwrap();
    let (history, _earlier) = History::start(dir.path());
    let state = fill(&history);
    assert!(history.close(PATIENCE));
    let other = Connection::open(dir.path().join(FILE)).unwrap();
    other.execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE").unwrap();

    let (history, mut earlier) = History::start(dir.path());
    history.set_ban(who(99, None), Some(ban(0)));
    history.add(about(Kind::Ban, "198.51.100.99/32"));
    assert_eq!(targets(&history, Wanted::default()), ["198.51.100.99/32"]);
    assert!(history.report().problem.is_some());
    assert_eq!(earlier.try_recv(), Ok(None));
    drop(other);
    assert_eq!(loaded(&mut earlier), state);
    wait("the file is not taken up", || history.report().problem.is_none());
    assert_eq!(targets(&history, Wanted::default()), ["192.0.2.0/24", "198.51.100.99/32"]);
    let now = history.state().clone();
    assert_eq!(now.bans.len(), state.bans.len() + 1);
    assert!(history.close(PATIENCE));

    let (_history, mut earlier) = History::start(dir.path());
    assert_eq!(loaded(&mut earlier), now);
}

/// Two daemons with one directory: the second goes on in memory, until the first
/// has ended.
#[test]
fn two_at_once_never_write_the_same_file() {
    let dir = TempDir::new().unwrap();
    let (first, _earlier) = History::start(dir.path());
    first.set_ban(who(1, None), Some(ban(0)));
    first.add(about(Kind::Ban, "198.51.100.1/32"));
    assert_eq!(targets(&first, Wanted::default()), ["198.51.100.1/32"]);
    let (second, mut earlier) = History::start(dir.path());
    second.add(about(Kind::Ban, "198.51.100.2/32"));
    assert_eq!(targets(&second, Wanted::default()), ["198.51.100.2/32"]);
    assert!(second.report().problem.is_some());
    first.add(about(Kind::Ban, "198.51.100.3/32"));
    assert_eq!(targets(&first, Wanted::default()).len(), 2);
    assert_eq!(first.report().problem, None);
    assert!(first.close(PATIENCE));
    assert!(loaded(&mut earlier).bans.contains_key(&who(1, None)));
    wait("the file is not taken up", || second.report().problem.is_none());
    let all = ["198.51.100.1/32", "198.51.100.3/32", "198.51.100.2/32"];
    assert_eq!(targets(&second, Wanted::default()), all);
}

/// A full disk: nothing stops, what was there is still answered, and the state
/// is written when there is room.
#[test]
fn a_full_file_stops_nothing() {
    let dir = TempDir::new().unwrap();
    let (history, _earlier) = History::begin(Some(dir.path().join(FILE)), 40);
    let long = "x".repeat(400);
    history.add(about(Kind::Block, "192.0.2.7/32"));
    assert_eq!(targets(&history, Wanted::default()), ["192.0.2.7/32"]);
    assert_eq!(history.report().problem, None);
    for host in 0..1000u32 {
        let line = about(Kind::Ban, &format!("10.0.{}.{}/32", host >> 8, host & 255));
        history.add(Line { new: Some(long.clone()), ..line });
        // Not all at once.
        if host % 50 == 0 {
            lines(&history, Wanted::default());
        }
    }
    wait("no problem with a full file", || history.report().problem.is_some());
    history.set_ban(who(1, None), Some(ban(0)));
    let all = targets(&history, Wanted::default());
    assert_eq!(all.last().map(String::as_str), Some("10.0.3.231/32"));
    assert!(all.len() > 900, "{}", all.len());
    assert!(history.close(PATIENCE));
    let size = fs::metadata(dir.path().join(FILE)).unwrap().len();
    assert!(size <= 40 * 4096, "{size}");

    let (history, mut earlier) = History::start(dir.path());
    loaded(&mut earlier);
    assert_eq!(history.report().problem, None);
}

/// A file that goes bad under way is set aside, and what was in it is in the next.
#[test]
fn a_file_that_goes_bad_is_replaced_with_all_that_must_survive_and_its_last_lines() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join(FILE);
    let shared = Arc::new(Shared::default());
    let damaged = store::StoreError::Damaged("test".to_owned());
    let (loaded_to, mut earlier) = mpsc::unbounded_channel();
    writer::fail_once(&shared, &path, loaded_to, &damaged, || {
        shared.set(Change::Ban(who(1, None), Some(ban(0))));
        shared.push(Change::Line(about(Kind::Ban, "192.0.2.1/32")));
    });
    assert!(loaded(&mut earlier).is_empty());
    assert!(dir.path().join("history.db.damaged").exists());
    let (history, mut earlier) = History::start(dir.path());
    assert!(loaded(&mut earlier).bans.contains_key(&who(1, None)));
    assert_eq!(targets(&history, Wanted::default()), ["192.0.2.1/32"]);
}

#[test]
fn old_lines_and_floods_are_pruned() {
    let dir = TempDir::new().unwrap();
    let mut store = store::Store::open(&dir.path().join(FILE), store::MAX_PAGES).unwrap();
    store.kept = [10, 5];
    let now = Timestamp::now();
    let day = |days: i64| now - SignedDuration::from_hours(24 * days);
    let mut all = vec![
        Line { at: day(91), ..about(Kind::Block, "192.0.2.91/32") },
        Line { at: day(89), ..about(Kind::Block, "192.0.2.89/32") },
    ];
    all.extend((0..100).map(|host| about(Kind::Ban, &format!("10.0.0.{host}/32"))));
    store.add(&all).unwrap();
    store.prune(now).unwrap();
    let wanted = Wanted { limit: 1000, ..Wanted::default() };
    let left: Vec<String> =
        store.lines(&wanted).unwrap().into_iter().filter_map(|line| line.target).collect();
    assert_eq!(left.len(), 11);
    assert_eq!((left[0].as_str(), left[1].as_str()), ("192.0.2.89/32", "10.0.0.90/32"));
}

#[test]
fn bans_are_forgotten_a_day_after_their_end() {
    let dir = TempDir::new().unwrap();
    let mut store = store::Store::open(&dir.path().join(FILE), store::MAX_PAGES).unwrap();
    let now = Timestamp::now();
    let over = |hours| {
        let end = now - SignedDuration::from_hours(hours);
        Some(Ban { until: end, offended: Some(end), ..ban(0) })
    };
    let forged = Some(Ban { until: now, offended: None, ..ban(0) });
    store
        .apply(&[
            Change::Ban(who(1, None), over(23)),
            Change::Ban(who(2, None), over(25)),
            Change::Ban(who(3, None), forged),
            Change::Ban(who(4, None), Some(ban(0))),
        ])
        .unwrap();
    store.prune(now).unwrap();
    let left: Vec<Offender> = store.state().unwrap().bans.into_keys().collect();
    assert_eq!(left, [who(1, None), who(4, None)]);
}

/// Written a few times, in a few batches: a line costs no wait for the disk.
#[test]
fn telling_takes_no_time() {
    let dir = TempDir::new().unwrap();
    let (history, _earlier) = History::start(dir.path());
    let start = Instant::now();
    (0..10_000).for_each(|_| history.add(Line::new(Kind::Ban, "rule:auth")));
    let told = start.elapsed();
    assert!(history.close(PATIENCE));
    println!("10,000 lines told in {told:?}, written in {:?}", start.elapsed());
    assert!(told < Duration::from_secs(2), "{told:?}");
    assert_eq!(history.report().lost, 0);
}
