//! F41: the dashboard and the alerts ask for nothing that there is not.

use std::{collections::BTreeSet, fs, path::PathBuf};

use sipguard::metrics::METRICS;

fn read(path: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every name in a text that one of our metrics could have.
fn named(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let ours = words.filter(|word| word.starts_with("sipguard_") || word.starts_with("process_"));
    ours.map(str::to_owned).collect()
}

#[test]
fn f41_the_dashboard_and_the_alerts_ask_for_metrics_that_exist() {
    let all: BTreeSet<String> = METRICS.iter().map(|metric| metric.name()).collect();
    for file in [
        "config/grafana-dashboard.json",
        "config/prometheus-alerts.yml",
        "tests/fixtures/prometheus-alerts-test.yml",
    ] {
        let named = named(&read(file));
        assert!(named.len() > 5, "{file} names {named:?}");
        let unknown: Vec<&String> = named.difference(&all).collect();
        assert!(unknown.is_empty(), "{file}: {unknown:?}");
    }
}
