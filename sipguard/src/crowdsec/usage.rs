//! How much is done with decisions, as newer local APIs want to know it.

use std::{collections::BTreeMap, fs, time::Duration};

use jiff::Timestamp;
use serde_json::{Value, json};

/// Counts since the last time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Packets seen.
    pub processed: u64,
    /// Decisions that hold, by origin, and whether they are of IPv4.
    pub active: Tally,
}

/// Decisions by origin, and whether they are of IPv4.
pub type Tally = BTreeMap<(String, bool), u64>;

/// The body of the request.
#[must_use]
pub fn usage(usage: &Usage, started: Timestamp, now: Timestamp, window: Duration) -> Value {
    let mut items =
        vec![json!({ "name": "processed", "unit": "packet", "value": usage.processed })];
    items.extend(usage.active.iter().map(|((origin, is_v4), count)| {
        let family = if *is_v4 { "ipv4" } else { "ipv6" };
        json!({
            "name": "active_decisions",
            "unit": "ip",
            "value": count,
            "labels": { "origin": origin, "ip_type": family },
        })
    }));
    let (name, version) = system();
    json!({
        "remediation_components": [{
            "type": "sipguard",
            "version": env!("CARGO_PKG_VERSION"),
            "os": { "name": name, "version": version },
            "feature_flags": [],
            "utc_startup_timestamp": started.as_second(),
            "metrics": [{
                "meta": {
                    "window_size_seconds": window.as_secs(),
                    "utc_now_timestamp": now.as_second(),
                },
                "items": items,
            }],
        }],
        "log_processors": [],
    })
}

/// The name and the version of the distribution.
fn system() -> (String, String) {
    let text = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let value = |key: &str| {
        let found = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        let value = found.unwrap_or("unknown").trim_matches(['"', '\'']);
        value.chars().take(100).collect::<String>()
    };
    (value("ID"), value("VERSION_ID"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f48_usage_has_what_a_local_api_requires() {
        let now: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
        let active = BTreeMap::from([(("CAPI".to_owned(), true), 3)]);
        let told = usage(&Usage { processed: 7, active }, now, now, Duration::from_secs(1800));
        let component = &told["remediation_components"][0];
        assert!(
            component["utc_startup_timestamp"].is_i64()
                || component["utc_startup_timestamp"].is_u64()
        );
        for key in ["version", "type", "os", "feature_flags", "metrics"] {
            assert!(component.get(key).is_some(), "{key}");
        }
        let metrics = &component["metrics"][0];
        assert_eq!(metrics["meta"]["window_size_seconds"], 1800);
        assert_eq!(metrics["items"][0]["value"], 7);
        assert_eq!(metrics["items"][1]["labels"]["origin"], "CAPI");
    }
}
