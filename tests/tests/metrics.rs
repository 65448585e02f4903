//! F41: what a real Prometheus makes of sipguard's metrics, the dashboard and
//! the alerts.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tests::rig::{
    lab::{Lab, SERVER, STRANGER, STRANGERS, WAN, sip},
    policy::Policy,
    process,
    prometheus::{Prometheus, get, promtool},
    registrar::{Registrar, Ways},
    sipguard::Sipguard,
    subscriber::{Deed, Subscribers},
    talker::{Talker, nonce},
    tool::{Tool, can_run, fixture, root},
    traffic::{request, sender},
    wait,
};

const TOOLS: &[Tool] = &[
    Tool::Ip,
    Tool::Unshare,
    Tool::Kamailio,
    Tool::Sipp,
    Tool::Curl,
    Tool::Prometheus,
    Tool::Promtool,
    Tool::Sipguard,
];

/// Where sipguard answers by default.
const TARGET: &str = "127.0.0.1:9061";

/// How long anything here may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Wrong passwords that ban by default.
const GUESSES: u32 = 5;

#[test]
fn f41_the_alerts_come_where_they_should() -> Result<()> {
    if !can_run(&[Tool::Promtool]) {
        return Ok(());
    }
    let alerts = root().join("config/prometheus-alerts.yml");
    let checked = promtool(&["check", "rules"], Some(&alerts))?.success()?;
    ensure!(checked.text().contains("SUCCESS"), "{checked}");
    let tests = fixture("prometheus-alerts-test.yml");
    promtool(&["test", "rules"], Some(&tests))?.success()?;
    // Each of them is tested.
    let (alerts, tests) = (fs::read_to_string(alerts)?, fs::read_to_string(tests)?);
    let names = alerts.lines().filter_map(|line| line.trim().strip_prefix("- alert: "));
    let missing: Vec<&str> = names.filter(|name| !tests.contains(name)).collect();
    ensure!(missing.is_empty(), "{missing:?} are not tested");
    Ok(())
}

/// Scanners, customers, and somebody who guesses passwords until he is banned.
fn traffic(lab: &Lab) -> Result<()> {
    let scanner = sender(lab, STRANGER)?;
    for number in 0..30 {
        scanner.send_to(&request("OPTIONS", b"friendly-scanner", number), sip(SERVER))?;
        scanner.send_to(&request("REGISTER", b"friendly-scanner", number), sip(SERVER))?;
    }
    let guesser = Talker::new(lab, STRANGERS[2], 5066)?;
    let nonce = nonce(&guesser.ask(&guesser.register("1001"))?)?;
    for _ in 0..GUESSES {
        guesser.ask(&guesser.guess("1001", &nonce))?;
    }
    ensure!(guesser.asks_in_vain(&guesser.guess("1001", &nonce))?, "a sixth answer");
    // Behind the guesses: the registrar gives everybody who asks in the same
    // second one nonce, and that proves nothing.
    Subscribers::new(STRANGERS[1], 1001..1004).does(Deed::Register(1), lab)
}

/// Numbers by the values of a label.
fn by(prometheus: &Prometheus<'_>, label: &str, query: &str) -> Result<BTreeMap<String, f64>> {
    let samples = prometheus.query(query)?;
    let named = samples.into_iter().map(|sample| {
        (sample.labels[label].as_str().unwrap_or_default().to_owned(), sample.number)
    });
    Ok(named.collect())
}

/// The one number of a query, once it is as it should be.
fn becomes(prometheus: &Prometheus<'_>, query: &str, number: f64) -> Result<()> {
    let mut last = None;
    wait::until(&format!("{query} == {number}"), PATIENCE, || {
        let samples = prometheus.query(query)?;
        last = samples.first().map(|sample| sample.number);
        Ok(last.is_some_and(|last| (last - number).abs() < 0.5).then_some(()))
    })
    .with_context(|| format!("the last was {last:?}"))
}

#[test]
fn f41_a_real_prometheus_scrapes_sipguard_under_traffic() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let _registrar = Registrar::start(&lab, Ways::default())?;
    let sipguard = Sipguard::start(&lab, &Policy::usual()?, &["--iface", WAN])?;
    let prometheus = Prometheus::start(&lab, TARGET, &root().join("config/prometheus-alerts.yml"))?;
    becomes(&prometheus, "up{job=\"sipguard\"}", 1.0)?;
    traffic(&lab)?;

    let stats = sipguard.stats()?;
    ensure!(stats.packets("options")? == 30 && stats.packets("banned")? > 0, "{stats}");
    for rule in stats.rules()? {
        let (name, packets) = (&rule["rule"], rule["packets"].as_f64().context("no number")?);
        // The rest of the network goes on.
        if name != "not_sip" {
            becomes(&prometheus, &format!("sum(sipguard_packets_total{{rule={name}}})"), packets)?;
        }
    }
    let dropped = "sipguard_packets_total{interface=\"wan0\", rule=\"options\", verdict=\"drop\"}";
    becomes(&prometheus, dropped, 30.0)?;
    becomes(
        &prometheus,
        "sipguard_stranger_requests_total{method=\"OPTIONS\",verdict=\"drop\"}",
        30.0,
    )?;
    becomes(&prometheus, "sum(sipguard_signature_matches_total)", 30.0)?;
    becomes(&prometheus, "sipguard_bans_total{rule=\"auth\"}", 1.0)?;
    becomes(&prometheus, "sipguard_active_bans", 1.0)?;
    becomes(&prometheus, "sipguard_verified_endpoints", 3.0)?;
    becomes(&prometheus, "sipguard_map_entries{map=\"endpoints\"}", 3.0)?;
    becomes(&prometheus, "count(sipguard_rule_last_hit_timestamp_seconds{rule=\"banned\"})", 1.0)?;
    becomes(&prometheus, "sipguard_learned_total{what=\"verified\"}", 3.0)?;
    becomes(&prometheus, "sipguard_interface_info{interface=\"wan0\", mode=\"native\"}", 1.0)?;
    let replies =
        by(&prometheus, "class", "sum by (class) (sipguard_replies_total{method=\"REGISTER\"})")?;
    ensure!(replies["2xx"] >= 3.0 && replies["4xx"] >= f64::from(GUESSES), "{replies:?}");

    dashboard(&prometheus)?;
    for rule in prometheus.rules()? {
        ensure!(rule["health"] == "ok" && rule["lastError"] == Value::Null, "{rule}");
    }
    // A configuration with errors is seen, and told of.
    sipguard.folder().put("sipguard.toml", "nonsense")?;
    ensure!(!sipguard.hang_up()?.0, "the reload went well");
    becomes(&prometheus, "sipguard_config_last_reload_successful", 0.0)?;
    becomes(&prometheus, "sipguard_config_reloads_total{result=\"failed\"}", 1.0)?;
    becomes(&prometheus, "ALERTS{alertname=\"SipguardReloadFailed\"}", 1.0)?;
    sipguard.stop()?.success()?;
    becomes(&prometheus, "up{job=\"sipguard\"}", 0.0)?;
    becomes(&prometheus, "ALERTS{alertname=\"SipguardDown\"}", 1.0)
}

/// Prometheus understands all that the dashboard asks for, and has an answer
/// where there always is one.
fn dashboard(prometheus: &Prometheus<'_>) -> Result<()> {
    let dashboard = fs::read(root().join("config/grafana-dashboard.json"))?;
    let dashboard: Value = serde_json::from_slice(&dashboard)?;
    let mut asked = 0;
    for panel in dashboard["panels"].as_array().context("no panels")? {
        let targets = panel["targets"].as_array().map(Vec::as_slice).unwrap_or_default();
        ensure!(!targets.is_empty() || panel["type"] == "row", "{} asks nothing", panel["title"]);
        for target in targets {
            let written = target["expr"].as_str().context("no expression")?;
            let mut query = written.to_owned();
            for (variable, value) in [
                ("$__rate_interval", "30s"),
                ("$__range", "5m"),
                ("$job", ".*"),
                ("$instance", ".*"),
            ] {
                query = query.replace(variable, value);
            }
            ensure!(!query.contains('$'), "{query}");
            let samples = prometheus.query(&query)?;
            let may_be_empty = ["> 0", "offset 1d", "!=\"enforce\""];
            let is_sure = !may_be_empty.iter().any(|part| query.contains(part));
            ensure!(!is_sure || !samples.is_empty(), "{}: {query}", panel["title"]);
            asked += 1;
        }
    }
    ensure!(asked > 25, "{asked} queries");
    Ok(())
}

/// promtool finds nothing to complain of in the older format, and each listener
/// gives the format that it is asked for.
#[test]
fn f41_both_formats_are_as_the_ecosystem_wants_them() -> Result<()> {
    if !can_run(&[Tool::Ip, Tool::Curl, Tool::Promtool, Tool::Sipguard]) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let sipguard = Sipguard::start(&lab, &Policy::usual()?, &["--iface", WAN])?;
    let url = format!("http://{TARGET}/metrics");
    let plain = wait::until("an answer", PATIENCE, || {
        Ok(get(&lab, &url, &["--include", "--fail"])?.success().ok())
    })?;
    ensure!(plain.text().contains("text/plain; version=0.0.4"), "{plain}");
    let openmetrics = "Accept: application/openmetrics-text;version=1.0.0";
    let asked = get(&lab, &url, &["--include", "--header", openmetrics])?.success()?.text();
    ensure!(asked.contains("application/openmetrics-text; version=1.0.0"), "{asked}");
    ensure!(asked.ends_with("# EOF\n"), "{asked}");

    let socket = sipguard.socket().display().to_string();
    let local = get(&lab, "http://localhost/metrics", &["--unix-socket", &socket, "--fail"])?;
    let text = local.success()?.text();
    ensure!(text.contains("# TYPE sipguard_packets_total counter\n"), "{text}");
    ensure!(!text.contains(&SERVER.to_string()), "an address in {text}");
    let file = lab.folder().join("metrics.txt");
    fs::write(&file, &text)?;
    let mut lint = Command::new(Tool::Promtool.path()?);
    let lint = process::run(lint.args(["check", "metrics"]).stdin(File::open(file)?), PATIENCE)?;
    let lint = lint.success()?;
    ensure!(lint.text().is_empty() && lint.words().is_empty(), "{lint}");
    Ok(())
}
