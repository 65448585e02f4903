//! F44: the posture, changed under traffic.

use std::time::Duration;

use anyhow::{Result, ensure};
use tests::rig::{
    lab::{Lab, SERVER, STRANGER, TRUSTED, WAN},
    policy::Policy,
    sipguard::Sipguard,
    tool::{Tool, can_run},
    traffic::{Flow, Listener, request, sender},
    wait,
};

const TOOLS: &[Tool] = &[Tool::Ip, Tool::Sipguard];

const PATIENCE: Duration = Duration::from_secs(20);

/// How often the posture goes there and back.
const TURNS: usize = 20;

#[test]
fn f44_closed_and_back_loses_no_trusted_packet() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let listener = Listener::new(&lab, SERVER)?;
    let sipguard = Sipguard::start(&lab, &Policy::usual()?, &["--iface", WAN])?;
    let trunk = Flow::start(&lab, TRUSTED, SERVER, 1000, |number| {
        request("OPTIONS", b"sipcli/v1.8", number)
    })?;
    let stranger = Flow::start(&lab, STRANGER, SERVER, 50, |number| {
        request("INFO", b"Telephone/1.6", number)
    })?;
    let more = |source, than: usize| {
        wait::until("more packets", PATIENCE, || {
            Ok((listener.from(source)?.len() > than).then_some(()))
        })
    };
    for turn in 0..TURNS {
        sipguard.command(&["posture", "closed"])?.success()?;
        let heard = listener.from(STRANGER)?.len();
        more(TRUSTED, listener.from(TRUSTED)?.len() + 60)?;
        let passed = listener.from(STRANGER)?.len() - heard;
        ensure!(passed == 0, "turn {turn}: {passed} packets of a stranger in posture closed");
        sipguard.command(&["posture", "file"])?.success()?;
        more(STRANGER, heard)?;
    }
    let (sent, strange) = (trunk.stop()?, stranger.stop()?);
    let arrived = listener.numbers(TRUSTED)?;
    let lost: Vec<u64> = (1..=sent).filter(|number| !arrived.contains(number)).collect();
    let stats = sipguard.stats()?;
    println!("{TURNS} turns, {sent} packets of the trunk, {strange} of a stranger: {stats}");
    ensure!(lost.is_empty(), "lost {} of {sent} packets of the trunk: {lost:?}", lost.len());
    ensure!(stats.packets("closed")? > 0, "{stats}");
    Ok(())
}

#[test]
fn f44_a_posture_is_told_logged_and_kept_over_reloads() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let listener = Listener::new(&lab, SERVER)?;
    let usual = Policy::usual()?;
    let sipguard = Sipguard::start(&lab, &usual, &["--iface", WAN])?;
    let stranger = sender(&lab, STRANGER)?;
    let register = request("REGISTER", b"Telephone/1.6", 1);
    let options = request("OPTIONS", b"Telephone/1.6", 2);
    let posture = || Ok::<_, anyhow::Error>(sipguard.command(&["posture"])?.success()?.text());

    ensure!(posture()?.trim() == "guarded (by file)", "{}", posture()?);
    let said = sipguard.command(&["posture", "closed"])?.success()?;
    ensure!(said.words().contains("1 trusted entries pass (1 by file, 0 by operator)"), "{said}");
    ensure!(said.words().contains("undo: sipguard posture file"), "{said}");
    ensure!(!listener.receives(&stranger, &register)?);

    let said = sipguard.command(&["reload"])?.success()?;
    ensure!(said.words().contains("posture closed of the operator holds"), "{said}");
    ensure!(!listener.receives(&stranger, &register)?, "a reload has ended the posture");
    let status = sipguard.json(&["status", "--json"])?;
    ensure!(status["posture"]["posture"] == "closed", "{status}");
    ensure!(status["posture"]["origin"] == "operator", "{status}");

    sipguard.command(&["posture", "open"])?.success()?;
    ensure!(listener.receives(&stranger, &options)?, "posture open drops OPTIONS");
    sipguard.command(&["posture", "file"])?.success()?;
    ensure!(posture()?.trim() == "guarded (by file)", "{}", posture()?);
    ensure!(listener.receives(&stranger, &register)?);
    ensure!(!listener.receives(&stranger, &options)?);

    // Nobody is trusted: that is said.
    Policy { trusted: String::new(), ..usual }.write(sipguard.folder())?;
    sipguard.command(&["reload"])?.success()?;
    let said = sipguard.command(&["posture", "closed"])?.success()?;
    ensure!(said.words().contains("nobody is trusted"), "{said}");
    sipguard.command(&["posture", "locked"])?.expect_code(2)?;

    let log = sipguard.log();
    let line = "by=uid:0 action=\"posture\" old=\"guarded (file)\" new=\"closed (operator)\"";
    ensure!(log.contains(line), "{log}");
    Ok(())
}
