//! F17: trying a policy, or one rule of it, before it drops anything.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tests::rig::{
    lab::{Lab, SERVER, STRANGER, STRANGERS, WAN},
    policy::Policy,
    sipguard::{Sipguard, Stats},
    tool::{Tool, can_run},
    traffic::{Listener, request, sender},
    wait,
};

const TOOLS: &[Tool] = &[Tool::Ip, Tool::Sipguard];

const PATIENCE: Duration = Duration::from_secs(20);

/// Packets that a rule would have dropped, and its mode.
fn would(stats: &Stats, rule: &str) -> Result<(u64, String)> {
    let found = stats.rules()?.iter().find(|one| one["rule"] == rule).context("no such rule")?;
    let per_interface = found["per_interface"].as_array().context("no interfaces")?;
    let sum: u64 = per_interface.iter().filter_map(|one| one["would_packets"].as_u64()).sum();
    ensure!(found["would_packets"] == sum, "{found}");
    Ok((sum, found["mode"].as_str().context("no mode")?.to_owned()))
}

/// Packets that were dropped, by all rules.
fn dropped(stats: &Stats) -> Result<u64> {
    let drops = stats.rules()?.iter().filter(|rule| rule["verdict"] == "drop");
    Ok(drops.filter_map(|rule| rule["packets"].as_u64()).sum())
}

#[test]
fn f17_observe_drops_nothing_and_counts_what_it_would() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let listener = Listener::new(&lab, SERVER)?;
    let policy = Policy {
        blacklist: format!("[[block]]\naddress = \"{}\"\n", STRANGERS[1]),
        ..Policy::usual()?.with_main(
            "[policy]\nmode = \"observe\"\n[limits.stranger]\n\
             invite = { rate = \"1/h\", burst = 1 }\n",
        )
    };
    let sipguard = Sipguard::start(&lab, &policy, &["--iface", WAN])?;
    let (stranger, blocked) = (sender(&lab, STRANGER)?, sender(&lab, STRANGERS[1])?);
    for number in 1..=3 {
        let scan = request("REGISTER", b"friendly-scanner", number);
        ensure!(listener.receives(&stranger, &scan)?, "a signature drops");
        let options = request("OPTIONS", b"Telephone/1.6", number);
        ensure!(listener.receives(&stranger, &options)?, "OPTIONS drops");
        let invite = request("INVITE", b"Telephone/1.6", number);
        ensure!(listener.receives(&stranger, &invite)?, "a limit drops");
        let register = request("REGISTER", b"Telephone/1.6", number);
        ensure!(listener.receives(&blocked, &register)?, "a block drops");
    }
    let stats = sipguard.stats()?;
    ensure!(dropped(&stats)? == 0, "{stats}");
    for (rule, packets) in [("signature", 3), ("options", 3), ("rate_method", 2), ("blocked", 3)] {
        let would = would(&stats, rule)?;
        ensure!(would == (packets, "observe".to_owned()), "{rule}: {would:?} {stats}");
    }
    let told = wait::until("events", PATIENCE, || {
        let told = sipguard.command(&["events", "--no-follow", "--json"])?.success()?.text();
        Ok((told.lines().count() > 0).then_some(told))
    })?;
    ensure!(told.lines().all(|line| line.contains("\"outcome\":\"would drop\"")), "{told}");
    let hits = sipguard.json(&["stats", "--signatures", "--json"])?;
    let first = &hits["signatures"][0];
    ensure!(first["name"] == "friendly-scanner" && first["packets"] == 3, "{hits}");
    ensure!(hits["signatures"][1]["packets"] == 0, "{hits}");
    let shown = sipguard.command(&["stats", "--signatures"])?.success()?.text();
    ensure!(shown.contains("never matched"), "{shown}");

    // Now for good, and the counts stay.
    policy.with_main("").write(sipguard.folder())?;
    sipguard.command(&["reload"])?.success()?;
    ensure!(!listener.receives(&blocked, &request("REGISTER", b"Telephone/1.6", 9))?);
    let stats = sipguard.stats()?;
    ensure!(would(&stats, "blocked")? == (3, "enforce".to_owned()), "{stats}");
    ensure!(stats.packets("blocked")? == 1, "{stats}");
    Ok(())
}

#[test]
fn f17_one_rule_observes_while_the_others_drop() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let listener = Listener::new(&lab, SERVER)?;
    let main = "[rules]\noptions = { mode = \"observe\" }\nsignature = { mode = \"off\" }\n";
    let policy = Policy {
        blacklist: format!("[[block]]\naddress = \"{}\"\n", STRANGERS[1]),
        ..Policy::usual()?.with_main(main)
    };
    let sipguard = Sipguard::start(&lab, &policy, &["--iface", WAN])?;
    let (stranger, blocked) = (sender(&lab, STRANGER)?, sender(&lab, STRANGERS[1])?);
    ensure!(listener.receives(&stranger, &request("OPTIONS", b"Telephone/1.6", 1))?);
    ensure!(listener.receives(&stranger, &request("REGISTER", b"friendly-scanner", 2))?);
    ensure!(!listener.receives(&blocked, &request("REGISTER", b"Telephone/1.6", 3))?);
    let stats = sipguard.stats()?;
    ensure!(would(&stats, "options")? == (1, "observe".to_owned()), "{stats}");
    ensure!(would(&stats, "signature")? == (0, "off".to_owned()), "{stats}");
    ensure!(dropped(&stats)? == 1 && stats.packets("blocked")? == 1, "{stats}");
    Ok(())
}
