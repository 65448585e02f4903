//! Reloading under traffic: nobody who is trusted throughout loses a packet,
//! and no scanner gets one through.

use std::time::Duration;

use anyhow::{Result, ensure};
use tests::rig::{
    lab::{Lab, SERVER, STRANGER, STRANGERS, TRUSTED, WAN},
    policy::{Policy, peer, signature},
    sipguard::Sipguard,
    tool::{Tool, can_run},
    traffic::{Flow, Listener, request, sender},
    wait,
};

const TOOLS: &[Tool] = &[Tool::Ip, Tool::Sipguard];

const RELOADS: usize = 40;

/// Packets of the trunk that arrive between two reloads at least.
const BETWEEN: usize = 20;

/// How long those may take.
const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn reloads_under_traffic_misjudge_no_packet() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let listener = Listener::new(&lab, SERVER)?;
    let usual = Policy::usual()?;
    let sipguard = Sipguard::start(&lab, &usual, &["--iface", WAN])?;
    let other = Policy {
        trusted: peer("office", "198.51.100.128/25")
            + &usual.trusted
            + &peer("lab", "2001:db8:9::/48"),
        blacklist: "[[block]]\naddress = \"198.51.100.99\"\n".to_owned(),
        signatures: signature("house-rule", "Unwelcome Phone") + &usual.signatures,
        ..usual.clone()
    };
    let trunk = Flow::start(&lab, TRUSTED, SERVER, 1000, |number| {
        request("OPTIONS", b"sipcli/v1.8", number)
    })?;
    let scanner = Flow::start(&lab, STRANGER, SERVER, 500, |number| {
        let method = if number.is_multiple_of(2) { "OPTIONS" } else { "INVITE" };
        request(method, b"friendly-scanner", number)
    })?;

    for reload in 0..RELOADS {
        let policy = if reload.is_multiple_of(2) { &other } else { &usual };
        policy.write(sipguard.folder())?;
        let (ok, message) = sipguard.hang_up()?;
        ensure!(ok, "reload {reload}: {message}");
        let sign = if reload.is_multiple_of(2) { "+2 trusted" } else { "-2 trusted" };
        ensure!(message.contains(sign), "reload {reload} says {message}");
        let heard = listener.from(TRUSTED)?.len();
        wait::until("more packets of the trunk", PATIENCE, || {
            Ok((listener.from(TRUSTED)?.len() >= heard + BETWEEN).then_some(()))
        })?;
    }

    let (sent, scans) = (trunk.stop()?, scanner.stop()?);
    let arrived = listener.numbers(TRUSTED)?;
    let lost: Vec<u64> = (1..=sent).filter(|number| !arrived.contains(number)).collect();
    println!("{RELOADS} reloads, {sent} packets of the trunk, {scans} of the scanner");
    ensure!(lost.is_empty(), "lost {} of {sent} packets of the trunk: {lost:?}", lost.len());
    let passed = listener.numbers(STRANGER)?;
    ensure!(passed.is_empty(), "{} of {scans} packets of the scanner: {passed:?}", passed.len());
    ensure!(scans > 100, "too little traffic of the scanner: {scans}");
    Ok(())
}

#[test]
fn what_a_reload_brings_and_takes() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let listener = Listener::new(&lab, SERVER)?;
    let usual = Policy::usual()?;
    let sipguard = Sipguard::start(&lab, &usual, &["--iface", WAN])?;
    let [newcomer, blocked, unwelcome, _] = STRANGERS;
    let (newcomer, blocked, unwelcome) =
        (sender(&lab, newcomer)?, sender(&lab, blocked)?, sender(&lab, unwelcome)?);
    let options = request("OPTIONS", b"Telephone/1.6", 1);
    let register = request("REGISTER", b"Telephone/1.6", 2);
    let unwelcome_register = request("REGISTER", b"Unwelcome  phone", 3);
    let heard = || -> Result<[bool; 3]> {
        Ok([
            listener.receives(&newcomer, &options)?,
            listener.receives(&blocked, &register)?,
            listener.receives(&unwelcome, &unwelcome_register)?,
        ])
    };
    ensure!(heard()? == [false, true, true]);

    let other = Policy {
        trusted: usual.trusted.clone() + &peer("newcomer", &STRANGERS[0].to_string()),
        blacklist: format!("[[block]]\naddress = \"{}\"\n", STRANGERS[1]),
        signatures: usual.signatures.clone() + &signature("house-rule", "Unwelcome Phone"),
        ..usual.clone()
    };
    other.write(sipguard.folder())?;
    let said = sipguard.command(&["reload"])?.success()?.text();
    for change in ["+1 trusted", "+1 blocked", "signatures"] {
        ensure!(said.contains(change), "reload says: {said}");
    }
    ensure!(heard()? == [true, false, false]);

    usual.write(sipguard.folder())?;
    let (ok, said) = sipguard.hang_up()?;
    ensure!(ok && said.contains("-1 trusted") && said.contains("-1 blocked"), "{said}");
    ensure!(heard()? == [false, true, true]);
    Ok(())
}

#[test]
fn a_broken_edit_keeps_the_last_good_policy() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let listener = Listener::new(&lab, SERVER)?;
    let usual = Policy::usual()?;
    let sipguard = Sipguard::start(&lab, &usual, &["--iface", WAN])?;
    let (stranger, trunk) = (sender(&lab, STRANGER)?, sender(&lab, TRUSTED)?);
    let scan = request("REGISTER", b"friendly-scanner", 1);

    // The trunk is gone, the signatures too; a third file has an error.
    sipguard.folder().put("trusted.toml", "")?;
    sipguard.folder().put("signatures.toml", "")?;
    sipguard.folder().put("blacklist.toml", "# one\n[[block]]\naddres = \"198.51.100.99\"\n")?;
    let (ok, message) = sipguard.hang_up()?;
    ensure!(!ok, "went well: {message}");
    ensure!(sipguard.log().contains("blacklist.toml:3"), "{}", sipguard.log());
    let answer = sipguard.command(&["reload"])?.expect_code(78)?;
    ensure!(answer.words().contains("blacklist.toml:3"), "{answer}");

    ensure!(!listener.receives(&stranger, &scan)?, "the signatures are gone");
    ensure!(listener.receives(&trunk, &scan)?, "the trunk is gone");
    ensure!(sipguard.json(&["status", "--json"])?["trusted"]["file"] == 1);

    usual.write(sipguard.folder())?;
    ensure!(sipguard.hang_up()?.0);
    Ok(())
}
