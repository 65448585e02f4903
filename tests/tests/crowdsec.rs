//! F48: several sipguards with a real CrowdSec between them.

use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tests::rig::{
    crowdsec::Crowdsec,
    lab::{GATEWAY, Lab, SERVER, SERVER_V6, STRANGER_V6, STRANGERS, TRUSTED, WAN, sip},
    policy::Policy,
    registrar::{Registrar, Ways},
    sipguard::Sipguard,
    talker::{Talker, nonce},
    tool::{Tool, can_run},
    traffic::{Listener, request, sender},
    wait,
};

const TOOLS: &[Tool] = &[Tool::Ip, Tool::Sipguard, Tool::Crowdsec];

/// How often decisions are read here.
const INTERVAL: Duration = Duration::from_secs(3);

/// How long anything here may take that has no time limit of its own.
const PATIENCE: Duration = Duration::from_secs(30);

/// Guesses before a ban.
const GUESSES: usize = 5;

/// The policy of a node, which has a key and a login of its own.
fn policy(crowdsec: &Crowdsec, node: usize) -> Result<Policy> {
    let name = format!("node{node}");
    let main = format!(
        "[crowdsec]\nurl = \"{}\"\nkey_file = \"{}\"\nlogin_file = \"{}\"\ninterval = \"{}s\"\n",
        crowdsec.url(node),
        crowdsec.key(&name)?.display(),
        crowdsec.login(&name)?.display(),
        INTERVAL.as_secs()
    );
    Ok(Policy::usual()?.with_main(&main))
}

fn start<'a>(lab: &'a Lab, policy: &Policy) -> Result<Sipguard<'a>> {
    Sipguard::start(lab, policy, &["--iface", WAN, "--log", "debug"])
}

/// How CrowdSec is doing, as a node says.
fn state(sipguard: &Sipguard<'_>) -> Result<Value> {
    sipguard.json(&["crowdsec", "--json"])
}

fn until_answered(sipguard: &Sipguard<'_>) -> Result<()> {
    wait::until("the first answer", PATIENCE, || {
        Ok((state(sipguard)?["decisions"]["state"] == "ok").then_some(()))
    })
    .with_context(|| sipguard.log())
}

fn standing(sipguard: &Sipguard<'_>, source: IpAddr) -> Result<Value> {
    sipguard.json(&["why", &source.to_string(), "--json"])
}

fn is_decided(sipguard: &Sipguard<'_>, source: IpAddr) -> Result<bool> {
    let why = standing(sipguard, source)?;
    let blocked = why["blocked"].as_array().context("no blocks")?;
    Ok(blocked.iter().any(|one| one["origin"] == "crowdsec"))
}

fn until_decided(sipguard: &Sipguard<'_>, source: IpAddr, expected: bool) -> Result<()> {
    let what = format!("{source} to be {}", if expected { "blocked" } else { "free" });
    wait::until(&what, PATIENCE, || Ok((is_decided(sipguard, source)? == expected).then_some(())))
        .with_context(|| sipguard.log())
}

/// Whether a request of a source arrives at the server.
fn arrives(lab: &Lab, listener: &Listener, source: IpAddr) -> Result<bool> {
    listener.receives(&sender(lab, source)?, &request("REGISTER", b"Telephone/1.6", 1))
}

/// What is told of an end and what packets meet are some milliseconds apart.
fn until_arrives(lab: &Lab, listener: &Listener, source: IpAddr) -> Result<()> {
    let what = format!("a packet of {source}");
    wait::until(&what, PATIENCE, || Ok(arrives(lab, listener, source)?.then_some(())))
}

/// Guesses passwords until there is no answer any more.
fn guess(lab: &Lab, source: IpAddr) -> Result<()> {
    let guesser = Talker::new(lab, source, 5066)?;
    let nonce = nonce(&guesser.ask(&guesser.register("1001"))?)?;
    for number in 0..GUESSES {
        guesser.ask(&guesser.guess(&format!("{}", 1001 + number), &nonce))?;
    }
    ensure!(guesser.asks_in_vain(&guesser.guess("1001", &nonce))?, "a sixth answer");
    Ok(())
}

/// A guesser who is banned at one server is dropped at the other, within the time
/// in which decisions are read, and a second.
#[test]
fn f48_one_ban_reaches_every_server() -> Result<()> {
    if !can_run(&[TOOLS, &[Tool::Kamailio]].concat()) {
        return Ok(());
    }
    let (here, there) = (Lab::new()?, Lab::new()?);
    let crowdsec = Crowdsec::start(&[&here, &there])?;
    let _registrar = Registrar::start(&here, Ways::default())?;
    let listener = Listener::new(&there, SERVER)?;
    let one = start(&here, &policy(&crowdsec, 0)?)?;
    let other = start(&there, &policy(&crowdsec, 1)?)?;
    until_answered(&one)?;
    until_answered(&other)?;
    let mut took = Vec::new();
    for source in &STRANGERS[..3] {
        ensure!(arrives(&there, &listener, *source)?, "{source} is dropped before");
        guess(&here, *source)?;
        let banned = Instant::now();
        until_decided(&other, *source, true).with_context(|| crowdsec.log())?;
        took.push(banned.elapsed());
        ensure!(!arrives(&there, &listener, *source)?, "{source} arrives");
        let why = standing(&other, *source)?;
        let block = &why["blocked"][0];
        ensure!(block["reason"] == "sipguard/auth" && block["name"] == "crowdsec", "{why}");
    }
    println!("from the ban at one server to the block at the other: {took:?}");
    // Somebody else may have the CPUs for a while, but not each time.
    let best = took.iter().min().context("no time")?;
    ensure!(*best <= INTERVAL + Duration::from_secs(1), "{took:?}");
    let told = state(&one)?;
    ensure!(told["reports"]["sent"] == 3 && told["reports"]["lost"] == 0, "{told}");
    println!("$ sipguard crowdsec\n{}", one.command(&["crowdsec"])?.success()?.text());
    // At the first, both hold; who is freed there hears what holds on.
    until_decided(&one, STRANGERS[0], true)?;
    let freed = one.command(&["unblock", &STRANGERS[0].to_string()])?.expect_code(1)?.words();
    ensure!(freed.contains("cscli decisions delete --ip") && freed.contains("allow"), "{freed}");
    Ok(())
}

/// What operators decide there holds here: addresses and ranges of both families,
/// added and taken back; trust wins, and this host is left alone.
#[test]
fn f48_decisions_of_operators_reach_both_and_are_taken_back() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let (here, there) = (Lab::new()?, Lab::new()?);
    let crowdsec = Crowdsec::start(&[&here, &there])?;
    let decide = |arguments: &[&str]| crowdsec.cscli(&[&["decisions"], arguments].concat());
    // Some before anybody asks.
    decide(&["add", "--ip", &STRANGERS[0].to_string(), "--duration", "1h"])?;
    let one = start(&here, &policy(&crowdsec, 0)?)?;
    let other = start(&there, &policy(&crowdsec, 1)?)?;
    for (lab, sipguard) in [(&here, &one), (&there, &other)] {
        until_decided(sipguard, STRANGERS[0], true)?;
        let listener = Listener::new(lab, SERVER)?;
        let before = sipguard.stats()?.packets("blocked")?;
        ensure!(!arrives(lab, &listener, STRANGERS[0])?, "it arrives");
        ensure!(sipguard.stats()?.packets("blocked")? > before, "{}", sipguard.stats()?);
    }
    // And some while they do.
    for arguments in [
        ["--range", "198.51.100.8/31"],
        ["--ip", "2001:db8:2::7"],
        ["--range", "2001:db8:77::/48"],
        ["--ip", &TRUSTED.to_string()],
        ["--ip", &SERVER.to_string()],
        ["--range", "203.0.113.0/24"],
        ["--ip", &GATEWAY.to_string()],
    ] {
        decide(&[&["add", "--duration", "1h"], &arguments[..]].concat())?;
    }
    decide(&["add", "--ip", &STRANGERS[3].to_string(), "--type", "captcha"])?;
    decide(&["add", "--scope", "Country", "--value", "FR"])?;
    // Several about one address.
    decide(&["add", "--ip", &STRANGERS[0].to_string(), "--duration", "4h"])?;
    for (lab, sipguard) in [(&here, &one), (&there, &other)] {
        until_decided(sipguard, STRANGERS[1], true)?;
        until_decided(sipguard, STRANGER_V6, true)?;
        until_decided(sipguard, "2001:db8:77::9".parse()?, true)?;
        until_decided(sipguard, TRUSTED, true)?;
        wait::until("all that is left out", PATIENCE, || {
            let left_out = state(sipguard)?["decisions"]["left_out"].take();
            Ok((left_out["own"] == 3 && left_out["kind"] == 1).then_some(()))
        })?;
        let listener = Listener::new(lab, SERVER)?;
        ensure!(!arrives(lab, &listener, STRANGERS[2])?, "the range does not hold");
        ensure!(arrives(lab, &listener, STRANGERS[3])?, "a captcha is enforced");
        ensure!(arrives(lab, &listener, TRUSTED)?, "trust does not win");
        let before = sipguard.stats()?.packets("blocked")?;
        let register = request("REGISTER", b"Telephone/1.6", 1);
        sender(lab, STRANGER_V6)?.send_to(&register, sip(SERVER_V6))?;
        wait::until("the drop over IPv6", PATIENCE, || {
            Ok((sipguard.stats()?.packets("blocked")? > before).then_some(()))
        })?;
    }
    let listed = one.command(&["list", "blocked"])?.success()?.text();
    ensure!(
        listed
            .lines()
            .any(|line| line.contains("198.51.100.8/31") && line.contains("cscli: manual")),
        "{listed}"
    );
    // One of two is taken back by its id: the other holds.
    decide(&["delete", "--id", "1"])?;
    std::thread::sleep(2 * INTERVAL);
    ensure!(is_decided(&one, STRANGERS[0])? && is_decided(&other, STRANGERS[0])?);
    for arguments in [
        ["--ip", &STRANGERS[0].to_string()],
        ["--range", "198.51.100.8/31"],
        ["--ip", "2001:db8:2::7"],
        ["--range", "2001:db8:77::/48"],
    ] {
        decide(&[&["delete"], &arguments[..]].concat())?;
    }
    for (lab, sipguard) in [(&here, &one), (&there, &other)] {
        until_decided(sipguard, "2001:db8:77::9".parse()?, false)?;
        for source in [STRANGERS[0], STRANGERS[1], STRANGERS[2], STRANGER_V6] {
            until_decided(sipguard, source, false)?;
        }
        until_arrives(lab, &Listener::new(lab, SERVER)?, STRANGERS[0])?;
    }
    Ok(())
}

/// Without the local API everything holds on, also over a restart of sipguard; when
/// it is back, so is what it has decided meanwhile.
#[test]
fn f48_a_local_api_that_is_away_loses_nothing() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let mut crowdsec = Crowdsec::start(&[&lab])?;
    let [first, second, third, _] = STRANGERS;
    crowdsec.cscli(&["decisions", "add", "--ip", &first.to_string(), "--duration", "1h"])?;
    let policy = policy(&crowdsec, 0)?;
    let sipguard = start(&lab, &policy)?;
    until_decided(&sipguard, first, true)?;
    crowdsec.stop();
    wait::until("the failure to be seen", PATIENCE, || {
        Ok((state(&sipguard)?["decisions"]["state"] == "failing").then_some(()))
    })?;
    ensure!(is_decided(&sipguard, first)?, "it has lost what was decided");
    sipguard.stop()?.success()?;

    let sipguard = start(&lab, &policy)?;
    ensure!(sipguard.took() < Duration::from_secs(15), "it has waited: {:?}", sipguard.took());
    ensure!(is_decided(&sipguard, first)?, "{}", sipguard.log());
    let listener = Listener::new(&lab, SERVER)?;
    ensure!(!arrives(&lab, &listener, first)?, "it arrives");

    crowdsec.resume()?;
    crowdsec.cscli(&["decisions", "add", "--ip", &second.to_string(), "--duration", "1h"])?;
    until_decided(&sipguard, second, true)?;
    // It begins anew while sipguard runs.
    crowdsec.stop();
    crowdsec.resume()?;
    crowdsec.cscli(&["decisions", "delete", "--ip", &first.to_string()])?;
    crowdsec.cscli(&["decisions", "add", "--ip", &third.to_string(), "--duration", "5s"])?;
    until_decided(&sipguard, third, true)?;
    until_decided(&sipguard, first, false)?;
    ensure!(is_decided(&sipguard, second)?);
    // What ends by itself ends, whoever is there.
    crowdsec.stop();
    until_decided(&sipguard, third, false)?;
    until_arrives(&lab, &listener, third)?;

    // Switched off, nothing of it holds.
    sipguard.folder().put("sipguard.toml", &Policy::usual()?.main)?;
    ensure!(sipguard.hang_up()?.0);
    until_decided(&sipguard, second, false)?;
    Ok(())
}
