//! Interfaces that go down, come up, change, vanish and come back under a running
//! sipguard: protection follows, or says what is wrong.

use std::{thread, time::Duration};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tests::rig::{
    bpffs::Bpffs,
    lab::{Lab, SERVER, STRANGER, TRUSTED, WAN},
    policy::Policy,
    sipguard::Sipguard,
    tool::{Tool, can_run},
    traffic::{Listener, request, sender},
    wait,
};

const TOOLS: &[Tool] = &[Tool::Ip, Tool::Sipguard];
const PATIENCE: Duration = Duration::from_secs(20);
const IFACE: &[&str] = &["--iface", WAN];

fn interface(sipguard: &Sipguard<'_>) -> Result<Value> {
    Ok(sipguard.json(&["status", "--json"])?["interfaces"][0].take())
}

/// Trusted requests arrive and OPTIONS of strangers do not, and both are counted.
fn protects(lab: &Lab, sipguard: &Sipguard<'_>, listener: &Listener) -> Result<()> {
    let before = sipguard.stats()?;
    // A wire that was just made takes a moment to find its neighbours.
    let arrives = |source, message: &[u8]| listener.receives(&sender(lab, source)?, message);
    wait::until("a trusted peer's request", PATIENCE, || {
        Ok(arrives(TRUSTED, &request("OPTIONS", b"Trunk", 1))?.then_some(()))
    })?;
    ensure!(!arrives(STRANGER, &request("OPTIONS", b"Telephone/1.6", 2))?, "OPTIONS pass");
    let after = sipguard.stats()?;
    for rule in ["trusted", "options"] {
        let (before, after) = (before.packets_at(rule, WAN)?, after.packets_at(rule, WAN)?);
        ensure!(after > before, "{rule} is not counted at {WAN}: {before}, {after}");
    }
    Ok(())
}

/// Down and up, and another MTU: nothing to do, and nothing is lost.
#[test]
fn down_up_and_another_mtu_change_nothing() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let listener = Listener::new(&lab, SERVER)?;
    let sipguard = Sipguard::start(&lab, &Policy::usual()?, IFACE)?;
    protects(&lab, &sipguard, &listener)?;
    let program = lab.xdp_program(WAN)?;
    lab.ip_server(&["link", "set", "dev", WAN, "down"])?;
    thread::sleep(Duration::from_millis(1_500));
    lab.restore_wire()?;
    protects(&lab, &sipguard, &listener)?;
    for mtu in ["1400", "1500"] {
        lab.ip_server(&["link", "set", "dev", WAN, "mtu", mtu])?;
        protects(&lab, &sipguard, &listener)?;
    }
    ensure!(lab.xdp_program(WAN)? == program);
    ensure!(interface(&sipguard)?["unprotected"].is_null());
    Ok(())
}

/// An interface that vanishes, be it by its peer, and is made anew: said, alerted,
/// protected again, under the same counters; under either fail mode.
#[test]
fn interfaces_that_come_back_are_protected_again() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    for keeps in [false, true] {
        let lab = Lab::new()?;
        let bpffs = Bpffs::new(lab.folder())?;
        let kept = keeps.then_some(&bpffs);
        let sipguard = Sipguard::start_in(&lab, kept, &Policy::usual()?, IFACE, |_| {})?;
        {
            let listener = Listener::new(&lab, SERVER)?;
            protects(&lab, &sipguard, &listener)?;
        }
        let before = sipguard.stats()?;
        for _ in 0..2 {
            // Both ends go with one.
            lab.cut_wire()?;
            let why = wait::until("the loss in status", PATIENCE, || {
                let interface = interface(&sipguard)?;
                Ok(interface["unprotected"].as_str().map(str::to_owned))
            })?;
            ensure!(why.contains("gone"), "{why}");
            wait::until("the alert", PATIENCE, || {
                let alerts = sipguard.json(&["alerts", "--json"])?.to_string();
                Ok(alerts.contains("nothing is filtered at wan0").then_some(()))
            })?;
            lab.make_wire_again()?;
            wait::until("protection", PATIENCE, || {
                Ok(interface(&sipguard)?["unprotected"].is_null().then_some(()))
            })?;
            ensure!(lab.xdp_program(WAN)?.is_some());
            let listener = Listener::new(&lab, SERVER)?;
            protects(&lab, &sipguard, &listener)?;
        }
        let after = sipguard.stats()?;
        let of = |stats: &tests::rig::sipguard::Stats| stats.packets_at("options", WAN);
        ensure!(of(&after)? >= of(&before)? + 2, "{before} {after}");
        if keeps {
            let pinned = bpffs.pinned()?;
            let links = pinned.iter().filter(|path| path.starts_with("links/")).count();
            ensure!(links == 2, "pins of interfaces that are gone: {pinned:?}");
        }
        sipguard.stop()?.success()?;
    }
    Ok(())
}

/// Somebody who takes the program away by force is noticed; a program of his own
/// in its place is not displaced, and said.
#[test]
fn a_program_that_was_taken_away_comes_back_and_displaces_nobody() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let bpffs = Bpffs::new(lab.folder())?;
    let sipguard = Sipguard::start_kept(&lab, &bpffs, &Policy::usual()?, IFACE)?;
    let first = lab.xdp_program(WAN)?.context("no program")?;
    // The pin is what holds it.
    let ifindex = interface(&sipguard)?["ifindex"].clone();
    let pins = bpffs.pins();
    bpffs.enter(move || std::fs::remove_file(pins.join(format!("links/in-{ifindex}"))))?;
    wait::until("a program", PATIENCE, || Ok(lab.xdp_program(WAN)?.map(|_| ())))?;
    wait::until("a line of the log", PATIENCE, || {
        Ok(sipguard.log().contains("wan0 is protected again").then_some(()))
    })?;
    ensure!(lab.xdp_program(WAN)? == Some(first), "it is the same program");
    let listener = Listener::new(&lab, SERVER)?;
    protects(&lab, &sipguard, &listener)
}
