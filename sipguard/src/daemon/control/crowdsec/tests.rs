use std::fs;

use super::*;
use crate::{
    crowdsec::{Reach, Schedule, WordsId, read},
    daemon::{By, Daemon, fake::Fake},
    policy::{self, FILES, parse_net},
};

const HOUR: Duration = Duration::from_secs(3600);

fn config() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let key = dir.path().join("key");
    fs::write(&key, "k").unwrap();
    let main = format!(
        "[crowdsec]\nurl = \"http://127.0.0.1:8080\"\nkey_file = \"{0}\"\nlogin_file = \"{0}\"\n",
        key.display()
    );
    for name in FILES {
        fs::write(dir.path().join(name), if name == policy::SETTINGS { &main } else { "" })
            .unwrap();
    }
    dir
}

fn named(net: &str, id: u64, left: Duration) -> Named {
    Named { net: parse_net(net).unwrap(), id, left, words: WordsId::default() }
}

fn decide(daemon: &mut Daemon, new: &[Named], now: Duration) {
    daemon.decide(new, now, now).unwrap();
}

#[test]
fn f48_decisions_hold_each_until_its_end_and_never_for_this_host() {
    let (fake, dir) = (Fake::default(), config());
    let mut daemon = fake.daemon(dir.path());
    let all = [
        named("192.0.2.1", 1, HOUR),
        named("2001:db8::/48", 2, 4 * HOUR),
        named("10.0.0.2", 3, HOUR),
        named("10.0.0.0/24", 4, HOUR),
    ];
    decide(&mut daemon, &all, Duration::ZERO);
    assert_eq!(
        fake.take(),
        ["decide 192.0.2.1/32 Some(3600.0)", "decide 2001:db8::/48 Some(14400.0)"]
    );
    assert_eq!(
        (daemon.decisions(), daemon.crowdsec_wire().decisions.unwrap().left_out.own),
        (2, 2)
    );
    // A second one about the same address, and the first taken back.
    decide(&mut daemon, &[named("192.0.2.1", 9, 2 * HOUR)], Duration::ZERO);
    daemon.undecide(&[(parse_net("192.0.2.1").unwrap(), 1)], Duration::ZERO).unwrap();
    assert_eq!(fake.take(), ["decide 192.0.2.1/32 Some(7200.0)"]);
    daemon.undecide(&[(parse_net("192.0.2.1").unwrap(), 9)], Duration::ZERO).unwrap();
    assert_eq!(fake.take(), ["decide 192.0.2.1/32 None"]);
    assert_eq!(daemon.drop_ended_decisions((None, 10), 5 * HOUR).unwrap(), None);
    assert_eq!(fake.take(), ["decide 2001:db8::/48 None"]);
    assert_eq!(daemon.decisions(), 0);
}

#[test]
fn f48_they_are_listed_with_origin_and_scenario_and_say_how_to_be_undone() {
    let (fake, dir) = (Fake::default(), config());
    let mut daemon = fake.daemon(dir.path());
    let mut words = daemon.decision_words();
    let id = words.id("cscli", "manual 'ban'");
    daemon.begin_decisions(true, words, LeftOut::default());
    decide(&mut daemon, &[Named { words: id, ..named("192.0.2.1", 1, HOUR) }], Duration::ZERO);
    let listed: Vec<Listed> = daemon.decided_if(|_| true).collect();
    assert_eq!(listed.len(), 1);
    assert_eq!((listed[0].origin, listed[0].name.as_deref()), (Origin::Crowdsec, Some("cscli")));
    assert_eq!(listed[0].reason.as_deref(), Some("manual 'ban'"));
    assert!(listed[0].until.is_some());
    let error = daemon.unblock(parse_net("192.0.2.1").unwrap(), By::Uid(0)).unwrap_err();
    assert!(error.to_string().contains("CrowdSec (cscli)"), "{error}");
    let hint = error.hint().unwrap();
    assert!(
        hint.contains("cscli decisions delete --ip 192.0.2.1") && hint.contains("allow"),
        "{hint}"
    );
}

#[test]
fn f48_a_reload_leaves_decisions_as_they_are() {
    let (fake, dir) = (Fake::default(), config());
    let mut daemon = fake.daemon(dir.path());
    decide(&mut daemon, &[named("192.0.2.1", 1, HOUR)], Duration::ZERO);
    let (plan, notes) = daemon.place().load().unwrap();
    daemon.replace(plan, notes, By::Signal).unwrap();
    assert_eq!(daemon.decisions(), 1);
}

/// A local API that restarts, and one that is away for an hour, by a clock of the
/// test's: nothing that it had decided is lost before its time, and all that it
/// decides meanwhile is there with the first answer.
#[test]
fn f48_an_hour_of_absence_loses_nothing() {
    let (fake, dir) = (Fake::default(), config());
    let mut daemon = fake.daemon(dir.path());
    let (settings, interval) = (daemon.crowdsec_settings(), Duration::from_secs(10));
    let mut now = Duration::from_secs(5);
    let mut schedule = Schedule::new(now);
    let take = |daemon: &mut Daemon, text: &str, all: bool, now: Duration| {
        let mut words = daemon.decision_words();
        let answer = read(text.as_bytes(), &settings, &mut words).unwrap();
        daemon.begin_decisions(all, words, answer.left_out);
        daemon.decide(&answer.new, now, now).unwrap();
        match all {
            true => assert_eq!(daemon.drop_stale_decisions((None, 100), now).unwrap(), None),
            false => daemon.undecide(&answer.deleted, now).unwrap(),
        }
    };
    let one = |id: u64, host: u8, duration: &str| {
        format!(
            r#"{{"id":{id},"scope":"Ip","type":"ban","value":"192.0.2.{host}","duration":"{duration}"}}"#
        )
    };
    assert!(schedule.needs_all(now));
    let all = format!(r#"{{"new":[{},{}],"deleted":null}}"#, one(1, 1, "30m"), one(2, 2, "4h"));
    take(&mut daemon, &all, true, now);
    schedule.answered(now, interval);
    assert_eq!(daemon.decisions(), 2);

    // An hour without anybody there: tried again and again, and never given up.
    let back = now + HOUR + Duration::from_secs(60);
    let mut tries = 0;
    while schedule.next() < back {
        now = schedule.next();
        schedule.failed(now, interval, Reach::Nobody, u32::wrapping_mul(tries, 0x1234_5678));
        daemon.drop_ended_decisions((None, 100), now).unwrap();
        tries += 1;
    }
    assert!((40..150).contains(&tries), "{tries}");
    assert_eq!(daemon.decisions(), 1, "the one whose time has come has ended");
    let (left, held) = (4 * HOUR - HOUR, daemon.decided.held(now).next().unwrap());
    assert!(held.1.until() - now < left && held.1.until() - now > left - Duration::from_secs(120));

    // It is back, and has decided something, and taken something back.
    now = schedule.next();
    assert!(schedule.needs_all(now));
    let all = format!(r#"{{"deleted":[{}],"new":[{}]}}"#, one(2, 2, "-5m"), one(3, 3, "4h"));
    take(&mut daemon, &all, true, now);
    schedule.answered(now, interval);
    let nets: Vec<String> = daemon.decided_if(|_| true).map(|listed| listed.target).collect();
    assert_eq!(nets, ["192.0.2.3"]);

    // It restarts in the middle of an answer: everything is asked for once more.
    now = schedule.next();
    schedule.failed(now, interval, Reach::Perhaps, 7);
    assert!(schedule.needs_all(schedule.next()));
    assert_eq!(daemon.decisions(), 1);
}

#[test]
fn f48_without_room_what_is_held_is_what_is_listed() {
    let (fake, dir) = (Fake::default(), config());
    let mut daemon = fake.daemon(dir.path());
    fake.asked().no_room_for = Some(parse_net("192.0.2.2").unwrap());
    decide(&mut daemon, &[named("192.0.2.1", 1, HOUR), named("192.0.2.2", 2, HOUR)], HOUR);
    let decisions = daemon.crowdsec_wire().decisions.unwrap();
    assert_eq!((decisions.held, decisions.left_out.full), (1, 1));
}
