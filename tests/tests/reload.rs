//! Reloading under traffic: nobody who is trusted throughout loses a packet,
//! and no scanner gets one through.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::{Result, anyhow, ensure};
use tests::rig::{
    lab::{Lab, SERVER, STRANGER, STRANGERS, TRUSTED, WAN},
    policy::{Policy, peer, signature},
    registrar::{Registrar, Ways},
    sipguard::Sipguard,
    subscriber::{Deed, Subscribers},
    talker::Talker,
    tool::{Tool, can_run},
    traffic::{FLOOD, Flow, Listener, request, sender},
    wait,
};

const TOOLS: &[Tool] = &[Tool::Ip, Tool::Sipguard];

const RELOADS: usize = 40;

const RELOADS_IN_A_FLOOD: usize = 100;

/// Packets of the trunk that arrive between two reloads at least.
const BETWEEN: usize = 20;

/// Between two questions of a phone.
const ASKING: Duration = Duration::from_millis(20);

/// How long those may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Another policy with the same trunk and the same scanners.
fn other_than(usual: &Policy) -> Policy {
    Policy {
        trusted: peer("office", "198.51.100.128/25")
            + &usual.trusted
            + &peer("lab", "2001:db8:9::/48"),
        blacklist: "[[block]]\naddress = \"198.51.100.99\"\n".to_owned(),
        signatures: signature("house-rule", "Unwelcome Phone") + &usual.signatures,
        ..usual.clone()
    }
}

#[test]
fn reloads_under_traffic_lose_no_packet() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let listener = Listener::new(&lab, SERVER)?;
    let usual = Policy::usual()?;
    let sipguard = Sipguard::start(&lab, &usual, &["--iface", WAN])?;
    let other = other_than(&usual);
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

/// Reloads while `source` sends these as fast as it can; each must be counted
/// under `rule`. A gap of a microsecond does not show in slower traffic.
fn has_no_gap(source: IpAddr, datagram: fn(u64) -> Vec<u8>, rule: &str) -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let usual = Policy::usual()?;
    let other = other_than(&usual);
    let sipguard = Sipguard::start(&lab, &usual, &["--iface", WAN])?;
    let flood = Flow::start(&lab, source, SERVER, FLOOD, datagram)?;
    for reload in 0..RELOADS_IN_A_FLOOD {
        let policy = if reload.is_multiple_of(2) { &other } else { &usual };
        policy.write(sipguard.folder())?;
        let (ok, message) = sipguard.hang_up()?;
        ensure!(ok, "reload {reload}: {message}");
    }
    let sent = flood.stop()?;
    let stats = sipguard.stats()?;
    let (right, lost) = (stats.packets(rule)?, lab.lost()?);
    println!("{RELOADS_IN_A_FLOOD} reloads, {sent} packets, {right} under {rule}, {lost} lost");
    ensure!(right > 1000, "hardly a flood: {stats}");
    ensure!(right + lost == sent, "{} of {sent} misjudged: {stats}", sent - lost - right);
    Ok(())
}

/// I4: who is trusted and blocked by one policy, and neither by the other, is
/// never blocked on the way: the index of the lists changes for both at once.
#[test]
fn who_comes_and_goes_with_trust_and_block_is_never_blocked() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let neighbour = STRANGERS[1];
    let block = |of: &[IpAddr]| {
        of.iter().map(|address| format!("[[block]]\naddress = \"{address}\"\n")).collect()
    };
    let neither = Policy { blacklist: block(&[neighbour]), ..Policy::usual()? };
    let both = Policy {
        trusted: peer("newcomer", &STRANGER.to_string()) + &neither.trusted,
        blacklist: block(&[neighbour, STRANGER]),
        ..neither.clone()
    };
    let sipguard = Sipguard::start(&lab, &neither, &["--iface", WAN])?;
    let flood = Flow::start(&lab, STRANGER, SERVER, FLOOD, |number| {
        request("INVITE", b"friendly-scanner", number)
    })?;
    for reload in 0..RELOADS_IN_A_FLOOD {
        let policy = if reload.is_multiple_of(2) { &both } else { &neither };
        policy.write(sipguard.folder())?;
        let (ok, message) = sipguard.hang_up()?;
        ensure!(ok, "reload {reload}: {message}");
    }
    let sent = flood.stop()?;
    let stats = sipguard.stats()?;
    let [trusted, signature, blocked] = ["trusted", "signature", "blocked"];
    let (trusted, signature) = (stats.packets(trusted)?, stats.packets(signature)?);
    println!("{sent} packets: {trusted} trusted, {signature} by signature");
    ensure!(stats.packets(blocked)? == 0, "blocked on the way: {stats}");
    ensure!(trusted > 1000 && signature > 1000, "hardly a flood: {stats}");
    Ok(())
}

#[test]
fn a_trunk_is_trusted_throughout_reloads() -> Result<()> {
    has_no_gap(TRUSTED, |number| request("OPTIONS", b"sipcli/v1.8", number), "trusted")
}

#[test]
fn a_scanner_is_recognised_throughout_reloads() -> Result<()> {
    has_no_gap(STRANGER, |number| request("INVITE", b"friendly-scanner", number), "signature")
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

/// L30: a registered phone is known throughout reloads: each of its OPTIONS is
/// answered, which no stranger's is.
#[test]
fn l30_reloads_under_traffic_forget_no_verified_endpoint() -> Result<()> {
    if !can_run(&[TOOLS, &[Tool::Unshare, Tool::Kamailio, Tool::Sipp]].concat()) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let _registrar = Registrar::start(&lab, Ways::default())?;
    let usual = Policy::usual()?;
    let sipguard = Sipguard::start(&lab, &usual, &["--iface", WAN])?;
    let other = other_than(&usual);
    Subscribers::one(STRANGER, 5062, 1001).does(Deed::Register(1), &lab)?;
    let phone = Talker::new(&lab, STRANGER, 5062)?;
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let asking = thread::spawn(move || {
        let mut asked = 0;
        while !stopped.load(Ordering::Relaxed) {
            let answer = phone.ask(&phone.request("OPTIONS", "1001", "1002"))?;
            ensure!(answer.starts_with("SIP/2.0 200 "), "{answer}");
            asked += 1;
            // Within what one phone may ask.
            thread::sleep(ASKING);
        }
        Ok(asked)
    });
    for reload in 0..RELOADS / 2 {
        let policy = if reload.is_multiple_of(2) { &other } else { &usual };
        policy.write(sipguard.folder())?;
        let (ok, message) = sipguard.hang_up()?;
        ensure!(ok, "reload {reload}: {message}");
    }
    stop.store(true, Ordering::Relaxed);
    let asked = asking.join().map_err(|_| anyhow!("the phone has panicked"))??;
    let stats = sipguard.stats()?;
    println!("{} reloads, {asked} OPTIONS of the phone; {stats}", RELOADS / 2);
    ensure!(asked >= 20 && stats.packets("options")? == 0, "{stats}");
    Ok(())
}
