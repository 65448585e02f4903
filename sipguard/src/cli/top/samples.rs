//! Seconds and events for tests.

use jiff::{SignedDuration, Timestamp};

use crate::api::wire::{Event, MapFill, Pulse, ReplyRate, RuleRate, SourceRate};

/// The second `second` after some noon, with these sources and their rates.
pub(super) fn pulse(second: i64, sources: &[(&str, f64)]) -> Pulse {
    let time: Timestamp = "2026-01-02T12:00:00Z".parse().unwrap();
    let total: f64 = sources.iter().map(|(_, rate)| rate).sum();
    Pulse {
        time: time + SignedDuration::from_secs(second),
        seconds: 1.0,
        posture: "guarded".to_owned(),
        passed: 1234.0,
        dropped: total,
        would_drop: 0.0,
        rules: vec![
            rule("signature", "drop", total, 123_456),
            rule("stranger", "pass", 1.5, 99),
            rule("options", "drop", 0.0, 7),
            rule("closed", "drop", 0.0, 0),
        ],
        replies: vec![ReplyRate { class: "4xx".to_owned(), rate: 2.0, total: 9 }],
        sources: sources.iter().map(|(name, rate)| source(name, *rate)).collect(),
        verified: 12,
        banned: 3,
        blocked: 120,
        trusted: 4,
        maps: vec![
            MapFill { name: "bans".to_owned(), entries: 3, capacity: 65_536 },
            MapFill { name: "endpoints".to_owned(), entries: 15_729, capacity: 131_072 },
        ],
        events_lost: 0,
        events_suppressed: 0,
    }
}

pub(super) fn rule(rule: &str, verdict: &str, rate: f64, packets: u64) -> RuleRate {
    RuleRate {
        rule: rule.to_owned(),
        verdict: verdict.to_owned(),
        packets,
        bytes: packets * 400,
        would_packets: 0,
        rate,
        bytes_rate: rate * 400.0,
        would_rate: 0.0,
        last: None,
    }
}

pub(super) fn source(source: &str, rate: f64) -> SourceRate {
    SourceRate {
        source: source.to_owned(),
        rate,
        dropped: rate,
        options: rate,
        register: 0.0,
        invite: 0.0,
        packets: 4_000,
        method: Some("OPTIONS".to_owned()),
        rule: "signature".to_owned(),
        standing: "stranger".to_owned(),
        estimated: false,
    }
}

/// An event of 198.51.100.`host`.
pub(super) fn event(host: u8, rule: &str) -> Event {
    Event {
        time: "2026-01-02T12:00:05.678Z".parse().unwrap(),
        interface: "eth0".to_owned(),
        source: [198, 51, 100, host].into(),
        source_port: Some(5061),
        destination: [203, 0, 113, 1].into(),
        destination_port: Some(5060),
        transport: Some("udp".to_owned()),
        method: Some("OPTIONS".to_owned()),
        rule: rule.to_owned(),
        signature: Some("friendly-scanner".to_owned()),
        outcome: "dropped".to_owned(),
        length: 11,
        text: "OPTIONS sip:100@203.0.113.1 SIP/2.0\\u{d}\\u{a}Via: x".to_owned(),
        hex: String::new(),
    }
}
