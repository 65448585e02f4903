//! F35: what happens now, as everybody who watches reads it.

use std::{net::IpAddr, process::Command, time::Duration};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tests::rig::{
    lab::{Lab, SERVER, STRANGER, TRUSTED, WAN},
    policy::Policy,
    process,
    sipguard::Sipguard,
    tool::{Tool, can_run},
    traffic::{Flow, Listener, request},
    wait,
};

const TOOLS: &[Tool] = &[Tool::Curl, Tool::Ip, Tool::Sipguard];

/// How long anything here may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// The last second.
fn pulse(sipguard: &Sipguard<'_>) -> Result<Option<Value>> {
    let mut command = Command::new(Tool::Curl.path()?);
    command.arg("--silent").arg("--fail").arg("--unix-socket").arg(sipguard.socket());
    command.arg("http://localhost/v1/pulse");
    let text = process::run(&mut command, PATIENCE)?.success()?.text();
    text.lines().last().map(|line| serde_json::from_str(line).context("no JSON")).transpose()
}

fn source(pulse: &Value, address: IpAddr) -> Option<&Value> {
    let wanted = address.to_string();
    pulse["sources"].as_array()?.iter().find(|one| one["source"] == wanted)
}

#[test]
fn f35_rates_are_told_by_rule_and_by_source() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let sipguard = Sipguard::start(&lab, &Policy::usual()?, &["--iface", WAN])?;
    let _server = Listener::new(&lab, SERVER)?;
    let scanner = Flow::start(&lab, STRANGER, SERVER, 200, |number| {
        request("OPTIONS", b"friendly-scanner", number)
    })?;
    let trunk =
        Flow::start(&lab, TRUSTED, SERVER, 20, |number| request("INVITE", b"trunk", number))?;

    let busy = wait::until("a second of both", PATIENCE, || {
        Ok(pulse(&sipguard)?.filter(|pulse| {
            let rate = |address| source(pulse, address).and_then(|one| one["rate"].as_f64());
            rate(STRANGER).is_some_and(|rate| rate > 20.0) && rate(TRUSTED).is_some()
        }))
    })?;
    let (scanned, called) = (source(&busy, STRANGER), source(&busy, TRUSTED));
    let (scanned, called) = (scanned.context("no scanner")?, called.context("no trunk")?);
    ensure!(scanned["standing"] == "stranger" && scanned["rule"] == "options", "{scanned}");
    ensure!(scanned["dropped"] == scanned["rate"], "{scanned}");
    ensure!(called["standing"] == "trusted" && called["dropped"] == 0.0, "{called}");
    // The busiest comes first.
    ensure!(busy["sources"][0] == *scanned, "{busy}");
    ensure!(busy["dropped"].as_f64().is_some_and(|rate| rate > 20.0), "{busy}");
    ensure!(busy["passed"].as_f64().is_some_and(|rate| rate > 1.0), "{busy}");
    let rules = busy["rules"].as_array().context("no rules")?;
    let options = rules.iter().find(|one| one["rule"] == "options").context("not there")?;
    ensure!(options["last"] == busy["time"], "{busy}");

    scanner.stop()?;
    trunk.stop()?;
    wait::until("silence", PATIENCE, || {
        let pulse = pulse(&sipguard)?;
        Ok(pulse.filter(|pulse| pulse["dropped"] == 0.0 && source(pulse, STRANGER).is_none()))
    })?;
    sipguard.stop()?.success()?;
    Ok(())
}
