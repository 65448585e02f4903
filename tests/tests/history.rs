//! What survives a restart, who did what, and state that cannot be written.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context as _, Result, ensure};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use tests::{
    rig::{
        lab::{Lab, SERVER, STRANGER, STRANGERS, WAN, sip},
        policy::{Policy, peer},
        sipguard::{Sipguard, state},
        tcp::{Client, Server},
        tool::{Tool, can_run},
        traffic::{Listener, request, sender},
        wait,
    },
    sip::Message,
};

const TOOLS: &[Tool] = &[Tool::Ip, Tool::Sipguard];

/// How long anything here may take that has no time limit of its own.
const PATIENCE: Duration = Duration::from_secs(20);

const IFACE: &[&str] = &["--iface", WAN];

/// How far the end of something may move by a restart.
const SECOND: SignedDuration = SignedDuration::from_secs(1);

/// A scanner over TCP, which is banned for its signature.
fn scan(lab: &Lab, source: std::net::IpAddr) -> Result<()> {
    let scan = Message::request("REGISTER", "sip:100@203.0.113.1")
        .replace("Via", "SIP/2.0/TCP 198.51.100.7:5061;branch=z9hG4bK-77a1;rport")
        .agent("friendly-scanner")
        .build();
    Client::connect(lab, source, sip(SERVER))?.send(&scan)
}

/// The ban of somebody, once there is one.
fn ban_of(sipguard: &Sipguard<'_>, source: std::net::IpAddr) -> Result<Value> {
    wait::until("the ban", PATIENCE, || {
        let banned = sipguard.json(&["list", "banned", "--json"])?["banned"].take();
        let all = banned.as_array().context("no list")?;
        Ok(all.iter().find(|ban| ban["source"] == source.to_string()).cloned())
    })
}

fn time(value: &Value) -> Result<Timestamp> {
    Ok(value.as_str().with_context(|| format!("no time: {value}"))?.parse()?)
}

/// How long a ban was made for.
fn span(ban: &Value) -> Result<SignedDuration> {
    Ok(time(&ban["until"])?.duration_since(time(&ban["since"])?))
}

fn log(sipguard: &Sipguard<'_>, arguments: &[&str]) -> Result<Vec<Value>> {
    let log = sipguard.json(&[&["log", "--json"], arguments].concat())?;
    Ok(log["lines"].as_array().context("no lines")?.clone())
}

/// The history is written behind the event.
fn until_logged(sipguard: &Sipguard<'_>, arguments: &[&str], count: usize) -> Result<Vec<Value>> {
    wait::until("the lines of the log", PATIENCE, || {
        let lines = log(sipguard, arguments)?;
        Ok((lines.len() >= count).then_some(lines))
    })
}

/// N11: a ban that the kernel made, a block and trust with their ends hold after
/// a restart, and after a crash; one that ends meanwhile is gone.
#[test]
fn n11_what_holds_survives_a_restart_with_the_rest_of_its_time() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let _server = Server::start(&lab, sip(SERVER))?;
    let listener = Listener::new(&lab, SERVER)?;
    let policy = Policy::usual()?.with_main("[auth]\nban = \"2m\"\n");
    let sipguard = Sipguard::start(&lab, &policy, IFACE)?;
    let [banned, blocked, trusted, ended] = STRANGERS;
    scan(&lab, banned)?;
    let ban = ban_of(&sipguard, banned)?;
    until_logged(&sipguard, &["--type", "ban"], 1)?;
    let reason = ["--reason", "noise"];
    sipguard
        .command(&[&["block", &blocked.to_string(), "--ttl", "2m"], &reason[..]].concat())?
        .success()?;
    sipguard.command(&["allow", &trusted.to_string()])?.success()?;
    sipguard.command(&["block", &ended.to_string(), "--ttl", "1s"])?.success()?;
    let before = sipguard.json(&["list", "blocked", "--json"])?;
    until_logged(&sipguard, &["--type", "block"], 2)?;
    // As a crash would: nobody has time to write anything.
    sipguard.kill()?;
    std::thread::sleep(Duration::from_millis(1500));

    let register = request("REGISTER", b"Telephone/1.6", 1);
    let options = request("OPTIONS", b"Telephone/1.6", 2);
    for stopped in [false, true] {
        let sipguard = Sipguard::start(&lab, &policy, IFACE)?;
        let again = ban_of(&sipguard, banned)?;
        for key in ["since", "until"] {
            let moved = time(&again[key])?.duration_since(time(&ban[key])?);
            ensure!(moved.abs() <= SECOND, "{key} moved by {moved}: {ban} {again}");
        }
        ensure!(again["signature"] == "friendly-scanner" && again["proven"] == true, "{again}");
        let listed = sipguard.json(&["list", "blocked", "--json"])?["blocked"].take();
        let listed = listed.as_array().context("no list")?;
        ensure!(listed.len() == 1, "the one that has ended is there: {listed:?}");
        ensure!(listed[0]["reason"] == "noise" && listed[0]["uid"] == 0, "{listed:?}");
        let first = before["blocked"].as_array().context("no list")?;
        let first = first.iter().find(|one| one["target"] == listed[0]["target"]);
        let first = time(&first.context("not blocked before")?["until"])?;
        let moved = time(&listed[0]["until"])?.duration_since(first);
        ensure!(moved.abs() <= SECOND, "the block moved by {moved}");

        ensure!(!listener.receives(&sender(&lab, banned)?, &register)?, "no longer banned");
        ensure!(!listener.receives(&sender(&lab, blocked)?, &register)?, "no longer blocked");
        ensure!(listener.receives(&sender(&lab, trusted)?, &options)?, "no longer trusted");
        ensure!(listener.receives(&sender(&lab, ended)?, &register)?, "blocked for ever");
        let stats = sipguard.stats()?;
        ensure!(stats.packets("banned")? >= 1 && stats.packets("blocked")? >= 1, "{stats}");
        if stopped {
            sipguard.command(&["unblock", &banned.to_string()])?.success()?;
            sipguard.command(&["unblock", &blocked.to_string()])?.success()?;
            sipguard.command(&["allow", "--remove", &trusted.to_string()])?.success()?;
        }
        sipguard.stop()?.success()?;
    }
    // What was taken back stays so.
    let sipguard = Sipguard::start(&lab, &policy, IFACE)?;
    let lists = sipguard.json(&["list", "--json"])?;
    for list in ["banned", "blocked"] {
        ensure!(lists[list] == Value::Array(Vec::new()), "{list}: {lists}");
    }
    ensure!(listener.receives(&sender(&lab, banned)?, &register)?);
    Ok(())
}

/// F21: who does it again within a day is banned for twice as long, also if the
/// daemon was restarted in between; and an end that is put off holds in the
/// kernel.
#[test]
fn f21_a_scanner_that_comes_back_is_banned_for_twice_as_long() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let _server = Server::start(&lab, sip(SERVER))?;
    let policy = Policy::usual()?.with_main("[auth]\nban = \"2s\"\n");
    let mut sipguard = Sipguard::start(&lab, &policy, IFACE)?;
    for seconds in [2, 4, 8] {
        wait::until("the end of the last ban", PATIENCE, || {
            let status = sipguard.json(&["status", "--json"])?;
            Ok((status["banned"] == 0).then_some(()))
        })?;
        scan(&lab, STRANGER)?;
        let expected = SignedDuration::from_secs(seconds);
        let ban = wait::until("the length of the ban", PATIENCE, || {
            let ban = ban_of(&sipguard, STRANGER)?;
            Ok(((span(&ban)? - expected).abs() <= SECOND).then_some(ban))
        });
        ban.with_context(|| format!("not {seconds} s: {}", sipguard.log()))?;
        if seconds == 4 {
            sipguard.stop()?.success()?;
            sipguard = Sipguard::start(&lab, &policy, IFACE)?;
        }
    }
    let lines = until_logged(&sipguard, &["--type", "ban", "--ip", "198.51.100.7"], 3)?;
    ensure!(lines.len() == 3, "{lines:?}");
    for (line, times) in lines.iter().zip(["friendly-scanner", "2nd", "3rd"]) {
        ensure!(line["by"] == "rule:signature", "{line}");
        ensure!(line["new"].as_str().is_some_and(|new| new.contains(times)), "{line}");
    }
    let said = sipguard.log();
    ensure!(said.contains("banned 198.51.100.7 for 8s, for the 3rd time"), "{said}");
    // A ban is an event, too.
    let arguments = ["events", "--no-follow", "--json", "--source", "198.51.100.7"];
    let events = sipguard.command(&arguments)?.success()?.text();
    let banned = events.lines().filter(|line| line.contains("\"outcome\":\"banned\"")).count();
    ensure!(banned == 1, "{events}");
    Ok(())
}

/// F38, F34: the log says who did what, `why` says what holds.
#[test]
fn f38_who_did_what_is_known_after_a_restart() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let _server = Server::start(&lab, sip(SERVER))?;
    let policy = Policy::usual()?;
    let sipguard = Sipguard::start(&lab, &policy, IFACE)?;
    let address = STRANGERS[1].to_string();
    sipguard.command(&["block", &address, "--reason", "calls at night"])?.success()?;
    sipguard.command(&["unblock", &address])?.success()?;
    sipguard.command(&["posture", "attack"])?.success()?;
    sipguard.folder().put("trusted.toml", &peer("trunk", "192.0.2.11"))?;
    sipguard.reload()?;
    scan(&lab, STRANGER)?;
    ban_of(&sipguard, STRANGER)?;
    until_logged(&sipguard, &["--type", "ban"], 1)?;

    let why = sipguard.json(&["why", &STRANGER.to_string(), "--json"])?;
    ensure!(why["standing"] == "banned", "{why}");
    ensure!(why["banned"][0]["signature"] == "friendly-scanner", "{why}");
    ensure!(why["undo"][0] == "`sipguard unblock 198.51.100.7`", "{why}");
    ensure!(why["levels"]["source"].as_array().is_some_and(|all| all.len() > 5), "{why}");
    let shown = sipguard.command(&["why", &STRANGER.to_string()])?.success()?.text();
    println!("{shown}");
    let last = shown.trim_end().lines().last().context("nothing")?;
    ensure!(last == "undo: `sipguard unblock 198.51.100.7`", "{shown}");
    ensure!(shown.contains("friendly-scanner"), "{shown}");
    let lists = sipguard.json(&["list", "verified", "--json"])?;
    ensure!(lists["verified"].is_array(), "{lists}");
    sipguard.stop()?.success()?;

    let sipguard = Sipguard::start(&lab, &policy, IFACE)?;
    let lines = log(&sipguard, &[])?;
    let kinds: Vec<&str> = lines.iter().filter_map(|line| line["type"].as_str()).collect();
    let expected = ["start", "block", "unblock", "posture", "reload", "ban", "stop", "start"];
    ensure!(kinds == expected, "{kinds:?}");
    let by: Vec<&str> = lines.iter().filter_map(|line| line["by"].as_str()).collect();
    let expected =
        ["uid:0", "uid:0", "uid:0", "uid:0", "signal", "rule:signature", "signal", "uid:0"];
    ensure!(by == expected, "{by:?}");
    ensure!(lines[1]["target"] == address && lines[1]["old"] == "none", "{}", lines[1]);
    ensure!(lines[1]["new"].as_str().is_some_and(|new| new.contains("calls at night")));
    let about = log(&sipguard, &["--ip", &address, "--since", "1h"])?;
    ensure!(about.len() == 2, "{about:?}");
    let shown = sipguard.command(&["log", "--type", "ban"])?.success()?.text();
    ensure!(shown.lines().count() == 2 && shown.contains("198.51.100.7"), "{shown}");
    Ok(())
}

fn protects(lab: &Lab, sipguard: &Sipguard<'_>) -> Result<()> {
    let listener = Listener::new(lab, SERVER)?;
    let stranger = sender(lab, STRANGER)?;
    let register = request("REGISTER", b"Telephone/1.6", 1);
    ensure!(listener.receives(&stranger, &register)?);
    sipguard.command(&["block", &STRANGER.to_string()])?.success()?;
    ensure!(!listener.receives(&stranger, &register)?, "block does nothing");
    let lines = log(sipguard, &[])?;
    ensure!(lines.last().is_some_and(|line| line["type"] == "block"), "{lines:?}");
    Ok(())
}

fn history_of(sipguard: &Sipguard<'_>) -> Result<Value> {
    Ok(sipguard.json(&["status", "--json"])?["history"].take())
}

#[test]
fn a_damaged_history_is_set_aside_and_nothing_stops() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let file = state(&lab).join("history.db");
    fs::create_dir_all(state(&lab))?;
    fs::write(&file, "this is no history\n".repeat(1000))?;
    let sipguard = Sipguard::start(&lab, &Policy::usual()?, IFACE)?;
    protects(&lab, &sipguard)?;
    ensure!(sipguard.log().contains("set aside as"), "{}", sipguard.log());
    let aside = fs::read(file.with_extension("db.damaged"))?;
    ensure!(aside.starts_with(b"this is no history"));
    let history = history_of(&sipguard)?;
    ensure!(Path::new(history["file"].as_str().unwrap_or_default()) == file, "{history}");
    sipguard.stop()?.success()?;
    let sipguard = Sipguard::start(&lab, &Policy::usual()?, IFACE)?;
    let blocked = sipguard.json(&["list", "blocked", "--json"])?;
    ensure!(blocked["blocked"][0]["target"] == STRANGER.to_string(), "{blocked}");
    Ok(())
}

/// Where nothing can be written, not even by root.
#[test]
fn a_state_directory_that_is_read_only_stops_nothing() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    // In the place of the usual one, which is named before it.
    std::os::unix::fs::symlink("/sys/kernel", state(&lab))?;
    let sipguard = Sipguard::start(&lab, &Policy::usual()?, IFACE)?;
    ensure!(sipguard.took() < Duration::from_secs(15), "{:?}", sipguard.took());
    protects(&lab, &sipguard)?;
    let warned = sipguard.log().lines().filter(|line| line.contains("goes on in memory")).count();
    ensure!(warned == 1, "{}", sipguard.log());
    let history = history_of(&sipguard)?;
    ensure!(history["file"].is_null() && history["problem"].is_string(), "{history}");
    let status = sipguard.command(&["status"])?.success()?.text();
    ensure!(status.contains("in memory only"), "{status}");
    sipguard.stop()?.success()?;
    Ok(())
}
