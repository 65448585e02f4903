//! F49: the keys of `[mirror]`.

use sipguard_common::rule::Rule;

use super::*;
use crate::policy::{Collector, MirrorSettings};

fn mirror(text: &str) -> MirrorSettings {
    plan(SETTINGS, &format!("[mirror]\n{text}")).mirror
}

#[test]
fn f49_settings_reach_the_plan() {
    assert_eq!(mirror(""), MirrorSettings::default());
    assert_eq!(
        mirror("collector = \"\"\npassword = \"\"\nrules = []\n"),
        MirrorSettings::default()
    );
    assert_eq!(MirrorSettings::default().per_second(), 100);
    let written = mirror(
        "collector = \"homer.example.net:9060\"\nid = 4294967295\nsample = \"600/m\"\n\
         rules = [\"options\", \"signature\", \"options\"]\npassword = \"secret\"\n",
    );
    let host = "homer.example.net".to_owned();
    assert_eq!(written.collector, Some(Collector { host, port: 9060 }));
    assert_eq!((written.id, written.per_second()), (u32::MAX, 10));
    assert_eq!(written.rules, [Rule::Signature, Rule::Options]);
    assert_eq!(written.password.as_ref().map(|password| password.reveal()), Some("secret"));
    assert!(!format!("{written:?}").contains("secret"));
    for (text, shown) in [
        ("192.0.2.50:9060", "192.0.2.50:9060"),
        ("[2001:db8::50]:9060", "[2001:db8::50]:9060"),
        ("collector-1:65535", "collector-1:65535"),
    ] {
        let collector = mirror(&format!("collector = \"{text}\"\n")).collector;
        assert_eq!(collector.map(|collector| collector.to_string()).as_deref(), Some(shown));
    }
}

#[test]
fn f49_what_is_no_collector_is_refused() {
    for collector in [
        "192.0.2.50",
        "192.0.2.50:0",
        "192.0.2.50:+90",
        "192.0.2.50:65536",
        ":9060",
        "2001:db8::50:9060",
        "[192.0.2.50]:9060",
        "[2001:db8::50:9060",
        "udp://homer:9060",
        "ho mer:9060",
    ] {
        let found = errors(SETTINGS, &format!("[mirror]\ncollector = \"{collector}\"\n"));
        assert!(found.len() == 1 && found[0].contains("is no collector"), "{collector}: {found:?}");
    }
    let protected = "[sip]\nports = [5060, 9060]\naddresses = [\"203.0.113.0/24\"]\n[mirror]\n";
    for (collector, is_refused) in [
        ("203.0.113.9:9060", true),
        ("127.0.0.1:5060", true),
        ("localhost:9060", true),
        ("[::1]:9060", true),
        ("203.0.113.9:9061", false),
        ("192.0.2.50:5060", false),
    ] {
        let config =
            Config::with(SETTINGS, &format!("{protected}collector = \"{collector}\"\n")).load();
        assert_eq!(config.is_err(), is_refused, "{collector}");
    }
}

#[test]
fn f49_other_values_have_their_ranges() {
    for (text, part) in [
        ("sample = \"10001/s\"", "a sample cannot be"),
        ("sample = \"30/m\"", "a sample cannot be"),
        ("sample = \"unlimited\"", "a rate is"),
        ("id = 4294967296", "must be between"),
        ("rules = [\"stranger\"]", "cannot be `stranger`"),
        ("rules = [\"auth\"]", "cannot be `auth`"),
        ("password = \"a\\nb\"", "control characters"),
        ("colour = 1", "unknown key"),
    ] {
        let found = errors(SETTINGS, &format!("[mirror]\n{text}\n"));
        assert!(found.len() == 1 && found[0].contains(part), "{text}: {found:?}");
    }
}

#[test]
fn f49_changes_of_the_password_are_told_without_it() {
    let changes = |old: &str, new: &str| {
        let of = |text: &str| plan(SETTINGS, &format!("[mirror]\npassword = \"{text}\"\n"));
        of(new).changes(&of(old)).to_string()
    };
    assert_eq!(changes("", "one"), "mirror.password none -> set");
    assert_eq!(changes("one", "two"), "mirror.password set -> another");
    assert_eq!(changes("two", ""), "mirror.password set -> none");
    assert_eq!(changes("two", "two"), "nothing changed");
}
