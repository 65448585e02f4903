//! What each request does to the lists and to the kernel.

use std::{fs, time::Duration};

use jiff::SignedDuration;
use sipguard_common::abi::{Address, BanMade, Endpoint, outcome};

use super::*;
use crate::{
    daemon::fake::Fake,
    history::{Ban, Kept, Line, Wanted},
    offender::Offender,
    policy::parse_net,
};

fn net(text: &str) -> IpNet {
    parse_net(text).unwrap()
}

fn ttl(text: &str) -> Option<Ttl> {
    Some(text.parse().unwrap())
}

fn daemon(fake: &Fake, blacklist: &str) -> Daemon {
    let dir = tempfile::tempdir().unwrap();
    for file in ["sipguard.toml", "signatures.toml", TRUSTED] {
        fs::write(dir.path().join(file), "").unwrap();
    }
    fs::write(dir.path().join(BLACKLIST), blacklist).unwrap();
    fake.daemon(dir.path())
}

/// Makes an entry end now.
fn end<K: Ord + Copy>(entries: &mut Entries<K>, key: K) {
    let entry = entries.get(&key).cloned().unwrap();
    entries.set(key, Entry { deadline: Some(Instant::now()), ..entry });
}

#[test]
fn ended_entries_leave_the_lists_and_the_kernel() {
    let fake = Fake::default();
    let mut daemon = daemon(&fake, "");
    let peer: Target = "203.0.113.10:5060".parse().unwrap();
    daemon.block(net("192.0.2.7"), ttl("1h"), None, By::Uid(0)).unwrap();
    daemon.block(net("192.0.2.8"), None, None, By::Uid(0)).unwrap();
    daemon.allow(peer, ttl("1h"), None, By::Uid(0)).unwrap();
    daemon.expire();
    assert_eq!(daemon.lists(None).unwrap().blocked.unwrap().len(), 2);
    fake.take();
    end(&mut daemon.blocks, net("192.0.2.7"));
    end(&mut daemon.allows, peer);
    daemon.expire();
    assert_eq!(fake.take(), ["unblock 192.0.2.7/32", "disallow 203.0.113.10:5060"]);
    let lists = daemon.lists(None).unwrap();
    assert_eq!(lists.blocked.unwrap().len(), 1);
    assert!(lists.trusted.unwrap().is_empty());
    daemon.expire();
    assert!(fake.take().is_empty());
}

#[test]
fn an_ended_entry_is_given_up_even_if_the_kernel_refuses() {
    let fake = Fake::default();
    let mut daemon = daemon(&fake, "");
    daemon.block(net("192.0.2.7"), ttl("1h"), None, By::Uid(0)).unwrap();
    end(&mut daemon.blocks, net("192.0.2.7"));
    fake.take();
    fake.asked().refuses = true;
    daemon.expire();
    daemon.expire();
    assert_eq!(fake.take(), ["unblock 192.0.2.7/32"]);
}

#[test]
fn blocks_of_the_file_end_by_themselves() {
    let soon = Timestamp::now() + SignedDuration::from_millis(1500);
    let past = Timestamp::now() - SignedDuration::from_secs(60);
    let block = |net: &str, until: Timestamp| {
        format!("[[block]]\naddress = \"{net}\"\nuntil = {until:.3}\n")
    };
    let blacklist = block("192.0.2.0/28", soon)
        + &block("192.0.2.64/28", past)
        + "[[block]]\naddress = \"192.0.2.128/28\"\n";
    let fake = Fake::default();
    let mut daemon = daemon(&fake, &blacklist);
    assert_eq!(daemon.status().unwrap().blocked.file, 2);
    daemon.expire();
    assert!(fake.take().is_empty());
    std::thread::sleep(Duration::from_millis(1600));
    daemon.expire();
    assert_eq!(fake.take(), ["apply 192.0.2.128/28"]);
    assert_eq!(daemon.status().unwrap().blocked.file, 1);
    daemon.expire();
    assert!(fake.take().is_empty());
}

#[test]
fn a_block_that_a_file_has_too_is_told() {
    let fake = Fake::default();
    let mut daemon = daemon(&fake, "[[block]]\naddress = \"192.0.2.7\"\n");
    let added = daemon.block(net("192.0.2.7"), None, None, By::Uid(0)).unwrap();
    assert_eq!(added.notes, ["192.0.2.7 is in blacklist.toml, too"]);
    let removed = daemon.unblock(net("192.0.2.7"), By::Uid(0)).unwrap();
    assert_eq!(removed.still, [Holder { target: "192.0.2.7".to_owned(), origin: Origin::File }]);
}

#[test]
fn an_undone_unblock_ends_when_the_block_would_have() {
    let fake = Fake::default();
    let mut daemon = daemon(&fake, "");
    daemon.block(net("192.0.2.7"), ttl("1h"), Some("; reboot".to_owned()), By::Uid(0)).unwrap();
    let undo = daemon.unblock(net("192.0.2.7"), By::Uid(0)).unwrap().undo;
    assert!(undo.starts_with("sipguard block 192.0.2.7 --ttl 59m"), "{undo}");
}

#[test]
fn new_trust_over_an_operators_block_is_told() {
    let fake = Fake::default();
    let mut daemon = daemon(&fake, "");
    daemon.block(net("192.0.2.0/24"), None, None, By::Uid(0)).unwrap();
    let mut plan = Plan::default();
    let peer = crate::policy::Peer { name: "carrier".to_owned(), class: None };
    plan.trusted.insert("192.0.2.7".parse().unwrap(), peer);
    let reloaded = daemon.replace(plan, Vec::new(), By::Signal).unwrap();
    assert_eq!(
        reloaded.notes,
        ["warning: trust wins: the operator's block of 192.0.2.0/24 does not hold for 192.0.2.7"]
    );
    assert_eq!(daemon.blocks.len(), 1);
}

#[test]
fn settings_that_need_a_restart_are_told() {
    let fake = Fake::default();
    let mut daemon = daemon(&fake, "");
    let plan = Plan { interfaces: vec!["eth7".to_owned()], ..Plan::default() };
    let reloaded = daemon.replace(plan, Vec::new(), By::Uid(0)).unwrap();
    assert!(reloaded.notes[0].contains("interfaces.names"), "{:?}", reloaded.notes);
}

const SECOND: u64 = 1_000_000_000;

/// CLOCK_MONOTONIC as the kernel program reads it.
fn now_ns() -> u64 {
    let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC).unwrap();
    u64::try_from(now.tv_sec()).unwrap() * SECOND + u64::try_from(now.tv_nsec()).unwrap()
}

/// A ban of ten minutes for wrong passwords, made now.
fn made(endpoint: Endpoint) -> BanMade {
    let time_ns = now_ns();
    BanMade {
        time_ns,
        expires_ns: time_ns + 600 * SECOND,
        endpoint,
        server: Address::v4([203, 0, 113, 1]),
        ifindex: 2,
        rule: Rule::Auth.number(),
        signature: 0,
        failures: 5,
        proven: 1,
        outcome: u32::from(outcome::DROPPED),
    }
}

fn whole(address: [u8; 4]) -> Endpoint {
    Endpoint::whole(Address::v4(address))
}

fn source(address: [u8; 4]) -> Offender {
    Offender { source: std::net::IpAddr::from(address).into(), port: None }
}

fn lines(daemon: &Daemon) -> Vec<Line> {
    let wanted = Wanted { limit: 1000, ..Wanted::default() };
    daemon.history().lines(wanted).blocking_recv().unwrap()
}

/// The last ban of somebody is over since so many seconds.
fn end_ban(daemon: &Daemon, who: Offender, ago: i64) {
    let end = Timestamp::now() - SignedDuration::from_secs(ago);
    let ban = daemon.history().ban(&who).unwrap();
    daemon.history().set_ban(who, Some(Ban { until: end, offended: Some(end), ..ban }));
}

#[test]
fn f21_who_does_it_again_is_banned_for_twice_as_long() {
    let fake = Fake::default();
    let mut daemon = daemon(&fake, "");
    let who = source([198, 51, 100, 7]);
    let told = daemon.ban_made(&made(whole([198, 51, 100, 7]))).unwrap().wire();
    assert_eq!((told.outcome.as_str(), told.interface.as_str()), ("banned", "eth0"));
    assert!(fake.take().is_empty());
    // Replies that were under way: the same ban.
    daemon.ban_made(&made(whole([198, 51, 100, 7]))).unwrap();
    assert!(fake.take().is_empty());

    for (minutes, name) in [(20, "2nd"), (40, "3rd"), (80, "4th")] {
        end_ban(&daemon, who, 60);
        let ban = made(whole([198, 51, 100, 7]));
        daemon.ban_made(&ban).unwrap();
        let until = (ban.time_ns + minutes * 60 * SECOND) / SECOND;
        assert_eq!(fake.take(), [format!("extend 198.51.100.7 to {until} s")]);
        let kept = daemon.history().ban(&who).unwrap();
        let span = kept.until.duration_since(kept.since);
        assert_eq!(span.as_secs(), i64::try_from(minutes * 60).unwrap());
        let line = lines(&daemon).pop().unwrap();
        assert_eq!((line.kind, line.by.as_str()), (Happened::Ban, "rule:auth"));
        assert_eq!(line.until, Some(kept.until));
        let new = line.new.unwrap();
        assert!(new.starts_with("5 wrong passwords") && new.contains(name), "{new}");
    }
    // One port of the same source has a record of its own.
    let port = Endpoint::new(Address::v4([198, 51, 100, 7]), [0x13, 0xc5], 17);
    daemon.ban_made(&made(port)).unwrap();
    assert!(fake.take().is_empty());
    // After a day it is forgiven.
    end_ban(&daemon, who, 86_401);
    daemon.ban_made(&made(whole([198, 51, 100, 7]))).unwrap();
    assert!(fake.take().is_empty());
}

#[test]
fn an_unblock_forgives() {
    let fake = Fake::default();
    let mut daemon = daemon(&fake, "");
    daemon.ban_made(&made(whole([198, 51, 100, 7]))).unwrap();
    let now = Timestamp::now();
    fake.asked().bans = vec![crate::kernel::BanEntry {
        who: source([198, 51, 100, 7]),
        expires: now + SignedDuration::from_secs(600),
        since: now,
        rule: Rule::Auth,
        signature: 0,
        failures: 5,
        proven: true,
    }];
    let removed = daemon.unblock(net("198.51.100.0/28"), By::Uid(1000)).unwrap();
    assert_eq!(removed.unbanned, 1);
    assert_eq!(daemon.history().ban(&source([198, 51, 100, 7])), None);
    let line = lines(&daemon).pop().unwrap();
    assert_eq!((line.kind, line.by.as_str()), (Happened::Unban, "uid:1000"));
    daemon.ban_made(&made(whole([198, 51, 100, 7]))).unwrap();
    assert!(fake.take().is_empty());
}

/// I8: evidence that may be forged makes nobody an offender, and a flood of it
/// neither fills the history nor takes anything from those who are.
#[test]
fn i8_what_may_be_forged_is_never_doubled() {
    let fake = Fake::default();
    let mut daemon = daemon(&fake, "");
    let forged = |endpoint| {
        let made = made(endpoint);
        let expires_ns = made.time_ns + 60 * SECOND;
        BanMade { proven: 0, rule: Rule::Harvest.number(), expires_ns, ..made }
    };
    let offender = source([198, 51, 100, 7]);
    daemon.ban_made(&made(whole([198, 51, 100, 7]))).unwrap();
    end_ban(&daemon, offender, 60);
    for host in 0..=255 {
        daemon.ban_made(&forged(whole([198, 51, 100, host]))).unwrap();
        daemon.ban_made(&forged(whole([198, 51, 100, host]))).unwrap();
    }
    assert!(fake.take().is_empty());
    let told = lines(&daemon).into_iter().filter(|line| line.by == "rule:harvest").count();
    assert_eq!(told, 20);
    daemon.floods_turn();
    let last = lines(&daemon).pop().unwrap();
    assert_eq!((last.times, last.target), (512 - 20, None));
    daemon.ban_made(&made(whole([198, 51, 100, 7]))).unwrap();
    assert!(fake.take()[0].starts_with("extend 198.51.100.7 "));
}

#[test]
fn what_would_be_banned_is_told_of_and_not_kept() {
    let fake = Fake::default();
    let mut daemon = daemon(&fake, "");
    let would = u32::from(outcome::WOULD_DROP);
    let told = daemon.ban_made(&BanMade { outcome: would, ..made(whole([198, 51, 100, 7])) });
    assert_eq!(told.unwrap().wire().outcome, "would ban");
    assert!(lines(&daemon).is_empty() && fake.take().is_empty());
    assert_eq!(daemon.history().ban(&source([198, 51, 100, 7])), None);
}

/// L31: neither trusted peers nor the host itself.
#[test]
fn l31_bans_of_trusted_peers_and_of_the_host_are_lifted_at_once() {
    let fake = Fake::default();
    let mut daemon = daemon(&fake, "");
    daemon.allow("203.0.113.0/24".parse().unwrap(), None, None, By::Uid(0)).unwrap();
    fake.take();
    for address in [[203, 0, 113, 9], [10, 0, 0, 1], [10, 0, 0, 2]] {
        let told = daemon.ban_made(&made(whole(address)));
        assert!(told.is_some());
        let who = source(address);
        assert_eq!(fake.take(), [format!("lift {who}")]);
        assert_eq!(daemon.history().ban(&who), None);
        let line = lines(&daemon).pop().unwrap();
        assert_eq!((line.kind, line.by.as_str()), (Happened::Unban, "safety"));
    }
}

fn kept(seconds: Option<i64>) -> Kept {
    let added = Timestamp::now() - SignedDuration::from_secs(60);
    let until = seconds.map(|seconds| Timestamp::now() + SignedDuration::from_secs(seconds));
    Kept { added, until, reason: Some("noise".to_owned()), uid: 1000 }
}

fn past_ban(seconds: i64) -> Ban {
    let until = Timestamp::now() + SignedDuration::from_secs(seconds);
    Ban {
        since: Timestamp::now() - SignedDuration::from_secs(900),
        until,
        rule: Rule::Signature,
        signature: Some("first".to_owned()),
        failures: 0,
        proven: true,
        repeated: 1,
        offended: Some(until),
    }
}

/// N11: what an earlier run has left holds for the rest of its time.
#[test]
fn n11_entries_and_bans_come_back_with_what_is_left() {
    let mut state = State::default();
    let blocked = |text: &str| (List::Blocked, text.parse::<Target>().unwrap());
    let trusted = (List::Trusted, "203.0.113.9:5060".parse::<Target>().unwrap());
    state.entries.insert(blocked("192.0.2.0/24"), kept(Some(300)));
    state.entries.insert(blocked("192.0.2.7"), kept(None));
    state.entries.insert(blocked("192.0.2.8"), kept(Some(-1)));
    // By now the host's own, and everybody.
    state.entries.insert(blocked("10.0.0.2"), kept(None));
    state.entries.insert((List::Trusted, "0.0.0.0/0".parse().unwrap()), kept(None));
    state.entries.insert(trusted, kept(Some(3000)));
    let ended = source([198, 51, 100, 6]);
    state.bans.insert(source([198, 51, 100, 7]), past_ban(450));
    state.bans.insert(ended, past_ban(-5));
    state.bans.insert(source([10, 0, 0, 1]), past_ban(450));

    let fake = Fake::default();
    let mut daemon = daemon(&fake, "");
    for ((list, target), kept) in &state.entries {
        daemon.history().set_entry(*list, *target, Some(kept.clone()));
    }
    for (who, ban) in &state.bans {
        daemon.history().set_ban(*who, Some(ban.clone()));
    }
    daemon.restore(&state);
    let calls = fake.take();
    let restored: Vec<&str> = calls.iter().filter_map(|call| call.split(" Some(").next()).collect();
    assert_eq!(
        restored,
        [
            "allow 203.0.113.9:5060",
            "block 192.0.2.7/32 None",
            "block 192.0.2.0/24",
            "restore 198.51.100.7 450 s signature",
        ],
        "{calls:?}"
    );
    let lists = daemon.lists(None).unwrap();
    let (blocked, trusted) = (lists.blocked.unwrap(), lists.trusted.unwrap());
    assert_eq!((blocked.len(), trusted.len()), (2, 1));
    assert_eq!((blocked[0].reason.as_deref(), blocked[0].uid), (Some("noise"), Some(1000)));
    let left = blocked.iter().find_map(|one| one.until).unwrap().duration_since(Timestamp::now());
    assert!((298..=301).contains(&left.as_secs()), "{left:?}");
    // A ban that is over counts for the next one.
    assert!(daemon.history().ban(&ended).is_some());
    assert_eq!(daemon.history().ban(&source([10, 0, 0, 1])), None);
    daemon.ban_made(&made(whole([198, 51, 100, 6]))).unwrap();
    assert!(fake.take()[0].starts_with("extend 198.51.100.6"));

    // What was done meanwhile stays.
    daemon.unblock(net("192.0.2.7"), By::Uid(0)).unwrap();
    daemon.block(net("192.0.2.7"), ttl("1h"), None, By::Uid(0)).unwrap();
    fake.take();
    daemon.restore(&state);
    let again = fake.take();
    assert!(!again.iter().any(|call| call.starts_with("block 192.0.2.7/32")), "{again:?}");
}

#[test]
fn a_kernel_that_refuses_what_comes_back_stops_nothing() {
    let mut state = State::default();
    state.entries.insert((List::Blocked, "192.0.2.7".parse().unwrap()), kept(None));
    let ban = past_ban(450);
    state.bans.insert(source([198, 51, 100, 7]), ban.clone());
    let fake = Fake::default();
    let mut daemon = daemon(&fake, "");
    daemon.history().set_ban(source([198, 51, 100, 7]), Some(ban));
    fake.asked().refuses = true;
    daemon.restore(&state);
    assert!(daemon.lists(None).unwrap().blocked.unwrap().is_empty());
}

/// The log of an hour of bans without end stays small (N05).
#[test]
fn n05_a_flood_of_bans_is_a_few_lines() {
    let fake = Fake::default();
    let mut daemon = daemon(&fake, "");
    for host in 0..200 {
        daemon.ban_made(&made(whole([198, 51, 100, host]))).unwrap();
    }
    assert!(daemon.logs_bans() <= 10);
    assert_eq!(lines(&daemon).len(), 200);
}

#[test]
fn a_ban_that_cannot_be_lengthened_ends_when_the_kernel_says() {
    let fake = Fake::default();
    let mut daemon = daemon(&fake, "");
    let who = source([198, 51, 100, 7]);
    daemon.ban_made(&made(whole([198, 51, 100, 7]))).unwrap();
    end_ban(&daemon, who, 60);
    fake.asked().refuses = true;
    daemon.ban_made(&made(whole([198, 51, 100, 7]))).unwrap();
    let ban = daemon.history().ban(&who).unwrap();
    let span = Duration::try_from(ban.until.duration_since(ban.since)).unwrap();
    assert_eq!(span.as_secs(), 600);
}

/// An operator was faster: after a restart it must not be there again.
#[test]
fn a_ban_that_is_lifted_before_it_is_heard_of_is_not_kept() {
    let fake = Fake::default();
    let mut daemon = daemon(&fake, "");
    fake.asked().lifted = true;
    assert!(daemon.ban_made(&made(whole([198, 51, 100, 7]))).is_some());
    assert_eq!(daemon.history().ban(&source([198, 51, 100, 7])), None);
    assert_eq!(lines(&daemon).len(), 1);
}

/// F41: what the daemon itself has done is counted by what came of it.
#[test]
fn f41_bans_and_reloads_are_counted() {
    let fake = Fake::default();
    let mut daemon = daemon(&fake, "");
    let would = u32::from(outcome::WOULD_DROP);
    for host in 0..3 {
        daemon.ban_made(&made(whole([198, 51, 100, host]))).unwrap();
    }
    daemon.ban_made(&BanMade { outcome: would, ..made(whole([198, 51, 100, 7])) }).unwrap();
    // The host itself.
    daemon.ban_made(&made(whole([10, 0, 0, 2]))).unwrap();
    let started = daemon.figures().unwrap().deeds;
    let auth = started.bans[&Rule::Auth];
    assert_eq!((auth.made, auth.would, auth.lifted), (3, 1, 1));
    assert_eq!(started.bans[&Rule::Harvest].made, 0);
    assert!(started.reloads.is_last_well);

    fake.asked().refuses = true;
    assert!(daemon.replace(Plan::default(), vec![], By::Signal).is_err());
    let refused = daemon.figures().unwrap().deeds.reloads;
    assert_eq!((refused.well, refused.failed, refused.is_last_well), (0, 1, false));
    assert_eq!(refused.last_well, started.reloads.last_well);
    fake.asked().refuses = false;
    daemon.replace(Plan::default(), vec![], By::Signal).unwrap();
    let reloads = daemon.figures().unwrap().deeds.reloads;
    assert_eq!((reloads.well, reloads.failed, reloads.is_last_well), (1, 1, true));
}
