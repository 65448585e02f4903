//! What each request does to the lists and to the kernel.

use std::fs;

use jiff::SignedDuration;

use super::*;
use crate::{daemon::fake::Fake, policy::parse_net};

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
    daemon.block(net("192.0.2.7"), ttl("1h"), None, 0).unwrap();
    daemon.block(net("192.0.2.8"), None, None, 0).unwrap();
    daemon.allow(peer, ttl("1h"), None, 0).unwrap();
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
    daemon.block(net("192.0.2.7"), ttl("1h"), None, 0).unwrap();
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
    std::thread::sleep(std::time::Duration::from_millis(1600));
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
    let added = daemon.block(net("192.0.2.7"), None, None, 0).unwrap();
    assert_eq!(added.notes, ["192.0.2.7 is in blacklist.toml, too"]);
    let removed = daemon.unblock(net("192.0.2.7"), 0).unwrap();
    assert_eq!(removed.still, [Holder { target: "192.0.2.7".to_owned(), origin: Origin::File }]);
}

#[test]
fn an_undone_unblock_ends_when_the_block_would_have() {
    let fake = Fake::default();
    let mut daemon = daemon(&fake, "");
    daemon.block(net("192.0.2.7"), ttl("1h"), Some("; reboot".to_owned()), 0).unwrap();
    let undo = daemon.unblock(net("192.0.2.7"), 0).unwrap().undo;
    assert!(undo.starts_with("sipguard block 192.0.2.7 --ttl 59m"), "{undo}");
}

#[test]
fn new_trust_over_an_operators_block_is_told() {
    let fake = Fake::default();
    let mut daemon = daemon(&fake, "");
    daemon.block(net("192.0.2.0/24"), None, None, 0).unwrap();
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
