//! The report: what happened, for those who were not there.

use std::{fs, time::Duration};

use anyhow::{Context as _, Result, ensure};
use tests::rig::{
    lab::{Lab, SERVER, STRANGER, STRANGERS, TRUSTED, WAN, sip},
    policy::Policy,
    sipguard::{Sipguard, Stats},
    tool::{Tool, can_run},
    traffic::{Listener, request, sender},
    wait,
};

const TOOLS: &[Tool] = &[Tool::Ip, Tool::Sipguard];

/// How long counts may lag behind.
const PATIENCE: Duration = Duration::from_secs(20);

/// Scanners, a trunk, and a rule that only looks.
fn traffic(lab: &Lab) -> Result<()> {
    let listener = Listener::new(lab, SERVER)?;
    let (scanner, other) = (sender(lab, STRANGER)?, sender(lab, STRANGERS[1])?);
    for number in 0..30 {
        scanner.send_to(&request("OPTIONS", b"friendly-scanner", number), sip(SERVER))?;
    }
    for number in 0..5 {
        other.send_to(&request("REGISTER", b"friendly-scanner", number), sip(SERVER))?;
    }
    sender(lab, TRUSTED)?.send_to(&request("INVITE", b"trunk", 1), sip(SERVER))?;
    listener.from(STRANGER)?;
    Ok(())
}

#[test]
fn d17_the_report_tells_what_happened_and_what_never_matched() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let policy = Policy::usual()?.with_main("[rules.signature]\nmode = \"observe\"\n");
    let sipguard = Sipguard::start(&lab, &policy, &["--iface", WAN])?;
    traffic(&lab)?;

    let report = wait::until("a report of all of it", PATIENCE, || {
        let report = sipguard.json(&["report", "--json"])?;
        let all = report["dropped"] == 30 && report["would_drop"] == 5;
        Ok((all && report["sources"].as_array().is_some_and(|all| !all.is_empty()))
            .then_some(report))
    })?;
    let source = &report["sources"][0];
    ensure!(source["source"] == STRANGER.to_string() && source["dropped"] == 30, "{report:#}");
    ensure!(source["method"] == "OPTIONS" && source["rule"] == "options", "{report:#}");
    ensure!(report["networks"][0]["dropped"] == 30, "{report:#}");
    let names = |key: &str| -> Vec<String> {
        let all = report[key].as_array().into_iter().flatten();
        all.filter_map(|one| one.as_str().map(str::to_owned)).collect()
    };
    let silent = names("silent_rules");
    ensure!(silent.contains(&"greylist".to_owned()), "{silent:?}");
    ensure!(!silent.iter().any(|rule| rule == "options" || rule == "signature"), "{silent:?}");
    // A signature that nothing matches is a typo, or not needed (D17).
    let silent = names("silent_signatures");
    ensure!(silent.contains(&"sundayddr".to_owned()), "{silent:?}");
    ensure!(!silent.contains(&"friendly-scanner".to_owned()), "{silent:?}");

    let text = sipguard.command(&["report"])?.success()?.text();
    for words in ["30 dropped", "5 would have been dropped", &STRANGER.to_string(), "sundayddr"] {
        ensure!(text.contains(words), "no {words} in\n{text}");
    }
    let page = sipguard.command(&["report", "--html"])?.success()?.text();
    ensure!(page.starts_with("<!DOCTYPE html>") && page.contains("<svg"), "{page}");
    ensure!(page.contains(&STRANGER.to_string()) && !page.contains("<script"), "{page}");
    // Nothing is loaded from anywhere.
    ensure!(!page.contains("http://") && !page.contains("https://"), "{page}");
    if let Some(folder) = std::env::var_os("SIPGUARD_PICTURES") {
        fs::write(std::path::Path::new(&folder).join("report.html"), &page)?;
    }
    Ok(())
}

/// What was counted outlives the daemon, and goes on.
#[test]
fn f39_the_report_survives_a_restart() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let policy = Policy::usual()?;
    let dropped = |sipguard: &Sipguard<'_>, wanted: u64| {
        wait::until("drops in the report", PATIENCE, || {
            let report = sipguard.json(&["report", "--json"])?;
            Ok((report["dropped"].as_u64().context("no number")? >= wanted).then_some(report))
        })
    };
    let sipguard = Sipguard::start(&lab, &policy, &["--iface", WAN])?;
    traffic(&lab)?;
    dropped(&sipguard, 35)?;
    sipguard.stop()?.success()?;

    let sipguard = Sipguard::start(&lab, &policy, &["--iface", WAN])?;
    let report = dropped(&sipguard, 35)?;
    ensure!(report["dropped"] == 35, "{report:#}");
    traffic(&lab)?;
    let report = dropped(&sipguard, 70)?;
    ensure!(report["dropped"] == 70, "{report:#}");
    let Stats(stats) = sipguard.stats()?;
    let options = stats["rules"].as_array().into_iter().flatten();
    let since_start = options.filter(|one| one["rule"] == "options").map(|one| &one["packets"]);
    ensure!(since_start.clone().all(|packets| *packets == 30), "{stats}");
    Ok(())
}
