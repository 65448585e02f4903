//! Bans, as a local API is told of them: as alerts without a decision, so that its
//! own profiles and allow lists say what becomes of them.

use ipnet::IpNet;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::policy::net_text;

/// What we tell of. A machine names its scenarios when it logs in.
pub const SCENARIOS: [&str; 4] =
    ["sipguard/auth", "sipguard/harvest", "sipguard/signature", "sipguard/signature-drops"];

/// Whom a report is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Subject {
    /// An address or, of IPv6, the network that counts as one source.
    pub source: IpNet,
    /// One endpoint there, which shares its address with others.
    pub port: Option<u16>,
}

/// One alert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    pub subject: Subject,
    /// One of [`SCENARIOS`].
    pub scenario: &'static str,
    /// One line, of our own words.
    pub message: String,
    /// Name of the signature, where there is one.
    pub signature: Option<String>,
    pub count: u64,
    pub from: Timestamp,
    pub until: Timestamp,
    /// Nobody can have forged it, and it is about all of the address: profiles
    /// may ban for it everywhere.
    pub remediation: bool,
}

#[cfg(test)]
impl Report {
    /// One for tests.
    pub(super) fn sample(source: IpNet) -> Self {
        let at = Timestamp::from_second(1_767_323_045).expect("a time");
        Self {
            subject: Subject { source, port: None },
            scenario: SCENARIOS[0],
            message: "5 wrong passwords".to_owned(),
            signature: None,
            count: 5,
            from: at,
            until: at,
            remediation: true,
        }
    }
}

/// The body of the request.
pub(super) fn alerts(reports: &[Report]) -> Value {
    reports.iter().map(alert).collect()
}

fn alert(report: &Report) -> Value {
    let Report { subject, scenario, message, count, from, until, remediation, .. } = report;
    let value = net_text(subject.source);
    let is_address = subject.source.prefix_len() == subject.source.max_prefix_len();
    let source = match is_address {
        true => json!({ "scope": "Ip", "value": value, "ip": value }),
        false => json!({ "scope": "Range", "value": value, "range": value }),
    };
    let port = subject.port.map(|port| port.to_string());
    let meta = [("signature", report.signature.as_ref()), ("source_port", port.as_ref())];
    let meta: Vec<Value> = meta
        .into_iter()
        .filter_map(|(key, value)| Some(json!({ "key": key, "value": value? })))
        .chain([json!({ "key": "service", "value": "sip" })])
        .collect();
    json!({
        "scenario": scenario,
        "scenario_hash": "",
        "scenario_version": env!("CARGO_PKG_VERSION"),
        "message": message,
        "events_count": count,
        "start_at": from.to_string(),
        "stop_at": until.to_string(),
        "capacity": 0,
        "leakspeed": "0s",
        "simulated": false,
        "remediation": remediation,
        "events": [{ "timestamp": until.to_string(), "meta": meta }],
        "source": source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f48_alerts_carry_no_decision() {
        let report = |source: &str| Report::sample(source.parse().unwrap());
        let told = alerts(&[report("198.51.100.7/32"), report("2001:db8:2::/64")]);
        assert_eq!(told[0]["source"]["scope"], "Ip");
        assert_eq!(told[0]["source"]["value"], "198.51.100.7");
        assert_eq!(told[1]["source"]["scope"], "Range");
        assert_eq!(told[1]["source"]["value"], "2001:db8:2::/64");
        assert!(told[0].get("decisions").is_none());
        // What a local API requires of each.
        for key in [
            "scenario",
            "scenario_hash",
            "scenario_version",
            "message",
            "events_count",
            "start_at",
            "stop_at",
            "capacity",
            "leakspeed",
            "simulated",
            "events",
            "source",
        ] {
            assert!(told[0].get(key).is_some(), "{key}");
        }
    }
}
