//! The text of a daemon without a kernel.

use std::{collections::BTreeSet, fs, sync::Arc};

use jiff::Timestamp;

use super::*;
use crate::{
    api::wire::{MapFill, Pulse, RuleRate},
    daemon::fake::Fake,
};

/// What a daemon with these signatures tells.
fn told(format: Format) -> String {
    told_of(&["first", "second"], format)
}

fn told_of(names: &[&str], format: Format) -> String {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("sipguard.toml"), "[rules]\nstealth = { mode = \"observe\" }\n")
        .unwrap();
    let signature = |name: &str| {
        format!(
            "[[signature]]\nname = '{name}'\nfield = \"user-agent\"\nmatch = \"exact\"\n\
             text = '{name}x'\n"
        )
    };
    let signatures: String = names.iter().map(|name| signature(name)).collect();
    fs::write(dir.path().join("signatures.toml"), signatures).unwrap();
    fs::write(dir.path().join("trusted.toml"), "").unwrap();
    fs::write(dir.path().join("blacklist.toml"), "[[block]]\naddress = \"198.51.100.0/24\"\n")
        .unwrap();
    let figures = Fake::default().daemon(dir.path()).figures().unwrap();
    render(Snapshot { figures, pulse: Some(Arc::new(pulse())) }, format)
}

fn pulse() -> Pulse {
    let time: Timestamp = "2026-01-02T03:04:05.5Z".parse().unwrap();
    let rule = |rule: &str, last| RuleRate {
        rule: rule.to_owned(),
        verdict: "pass".to_owned(),
        packets: 5,
        bytes: 500,
        would_packets: 0,
        rate: 1.0,
        bytes_rate: 100.0,
        would_rate: 0.0,
        last,
    };
    Pulse {
        time,
        seconds: 1.0,
        posture: "guarded".to_owned(),
        passed: 1.0,
        dropped: 0.0,
        would_drop: 0.0,
        rules: vec![rule("stranger", Some(time)), rule("trusted", None)],
        replies: vec![],
        sources: vec![],
        verified: 17,
        banned: 3,
        blocked: 1,
        trusted: 0,
        maps: vec![MapFill { name: "banned".to_owned(), entries: 3, capacity: 65_536 }],
        events_lost: 1,
        events_suppressed: 11,
    }
}

/// Name and names of labels of each sample.
fn shapes(text: &str) -> BTreeSet<(String, Vec<String>)> {
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    samples
        .map(|line| {
            let (sample, number) = line.rsplit_once(' ').unwrap();
            assert!(number.parse::<f64>().is_ok(), "{line}");
            let (name, labels) = sample.split_once('{').unwrap_or((sample, ""));
            let labels = labels.trim_end_matches('}').split(',').filter(|one| !one.is_empty());
            let label = |label: &str| label.split_once('=').unwrap().0.to_owned();
            (name.to_owned(), labels.map(label).collect())
        })
        .collect()
}

/// F41: what the table says is what there is, with names as the ecosystem
/// wants them.
#[test]
fn f41_the_table_is_what_is_told() {
    let expected: BTreeSet<(String, Vec<String>)> = METRICS
        .iter()
        .map(|metric| (metric.name(), metric.labels.iter().map(ToString::to_string).collect()))
        .collect();
    assert_eq!(expected.len(), METRICS.len());
    for format in [Format::OpenMetrics, Format::Plain] {
        assert_eq!(shapes(&told(format)), expected);
    }
    for metric in METRICS {
        let name = metric.name();
        assert!(name.starts_with("sipguard_") || name == "process_start_time_seconds", "{name}");
        assert!(metric.help.ends_with('.') && !metric.help.contains(['\\', '"', '\n']), "{name}");
    }
}

#[test]
fn f41_numbers_are_those_of_the_maps() {
    let text = told(Format::OpenMetrics);
    for line in [
        "sipguard_packets_total{interface=\"eth0\",rule=\"stranger\",verdict=\"pass\"} 5",
        "sipguard_bytes_total{interface=\"eth0\",rule=\"stranger\",verdict=\"pass\"} 500",
        "sipguard_packets_total{interface=\"eth0\",rule=\"options\",verdict=\"drop\"} 0",
        "sipguard_would_drop_packets_total{interface=\"eth0\",rule=\"options\"} 2",
        "sipguard_would_drop_bytes_total{interface=\"eth0\",rule=\"options\"} 200",
        "sipguard_stranger_requests_total{method=\"OPTIONS\",verdict=\"drop\"} 0",
        "sipguard_replies_total{method=\"REGISTER\",class=\"4xx\"} 3",
        "sipguard_server_requests_total{method=\"OPTIONS\"} 2",
        "sipguard_other_sent_total 4",
        "sipguard_learned_total{what=\"failure\"} 3",
        "sipguard_signature_matches_total{signature=\"second\"} 7",
        "sipguard_rule_last_hit_timestamp_seconds{rule=\"stranger\"} 1767323045.5",
        "sipguard_verified_endpoints 17",
        "sipguard_active_bans 3",
        "sipguard_map_entries{map=\"banned\"} 3",
        "sipguard_map_capacity{map=\"banned\"} 65536",
        "sipguard_bans_total{rule=\"auth\"} 0",
        "sipguard_rule_mode_info{rule=\"stealth\",mode=\"observe\"} 1",
        "sipguard_posture{posture=\"guarded\"} 1",
        "sipguard_posture{posture=\"closed\"} 0",
        "sipguard_interface_info{interface=\"eth0\",mode=\"native\",egress=\"tcx\"} 1",
        "sipguard_list_entries{list=\"blocked\",origin=\"file\"} 1",
        "sipguard_signatures 2",
        "sipguard_config_last_reload_successful 1",
        "sipguard_events_suppressed_total 11",
        "sipguard_events_lost_total 1",
        "sipguard_history_in_file 0",
    ] {
        assert!(text.lines().any(|one| one == line), "{line} is not in\n{text}");
    }
    assert!(!text.contains("timestamp_seconds{rule=\"trusted\"}"), "{text}");
    assert!(text.ends_with("# EOF\n"), "{text}");
}

/// What stands in a label stays there.
#[test]
fn no_name_of_a_signature_forges_a_sample() {
    let forged = r#"x"} 1 # {a="\n"#;
    for format in [Format::OpenMetrics, Format::Plain] {
        let text = told_of(&[forged], format);
        let quoted = forged.replace('\\', "\\\\").replace('"', "\\\"");
        assert!(text.contains(&format!("{{signature=\"{quoted}\"}} ")), "{text}");
        assert!(!text.contains(forged), "{text}");
    }
}
