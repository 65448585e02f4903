//! F16: what was dropped, packet by packet, as operators see it.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tests::rig::{
    lab::{Lab, SERVER, SERVER_V6, STRANGER, STRANGER_V6, STRANGERS, WAN, sip},
    policy::Policy,
    process::{self, Process},
    scanner::Scan,
    sipguard::{Sipguard, client},
    tool::{Tool, can_run},
    traffic::{FLOOD, Flow, Listener, request, sender},
    wait,
};

const TOOLS: &[Tool] = &[Tool::Ip, Tool::Sipguard];

/// How long anything here may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// The kept events, with more arguments.
fn events(sipguard: &Sipguard<'_>, arguments: &[&str]) -> Result<Vec<Value>> {
    let all = ["events", "--json", "--no-follow"];
    let answer = sipguard.command(&[&all, arguments].concat())?.success()?;
    let parse = |line: &str| serde_json::from_str(line).with_context(|| format!("no JSON: {line}"));
    answer.text().lines().map(parse).collect()
}

/// The same, as soon as there are any.
fn first_events(sipguard: &Sipguard<'_>, arguments: &[&str]) -> Result<Vec<Value>> {
    wait::until("events", PATIENCE, || {
        let events = events(sipguard, arguments)?;
        Ok((!events.is_empty()).then_some(events))
    })
}

#[test]
fn f16_svmap_is_told_of_with_its_name_and_bytes() -> Result<()> {
    if !can_run(&[TOOLS, &[Tool::Sipvicious]].concat()) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let sipguard = Sipguard::start(&lab, &Policy::usual()?, &["--iface", WAN])?;
    let options = request("OPTIONS", b"Telephone/1.6", 1);
    sender(&lab, STRANGERS[1])?.send_to(&options, sip(SERVER))?;
    ensure!(Scan::SvmapMethod("REGISTER").run(&lab)?.is_none(), "svmap has found something");

    let source = STRANGER.to_string();
    let told = first_events(&sipguard, &["--rule", "signature", "--source", &source])?;
    for event in &told {
        ensure!(event["rule"] == "signature" && event["source"] == source, "{event}");
        ensure!(event["signature"] == "svmap-to", "{event}");
        ensure!(event["method"] == "REGISTER" && event["outcome"] == "dropped", "{event}");
        ensure!(event["interface"] == WAN && event["transport"] == "udp", "{event}");
        ensure!(event["destination"] == SERVER.to_string(), "{event}");
        ensure!(event["destination_port"] == 5060, "{event}");
        let text = event["text"].as_str().context("no text")?;
        ensure!(text.starts_with("REGISTER sip:") && text.contains('\n'), "{event}");
        let hex = event["hex"].as_str().context("no hex")?;
        ensure!(hex.starts_with("5245474953544552") && hex.len() == 512, "{event}");
        ensure!(event["length"].as_u64() > Some(256), "{event}");
    }
    let neighbours = events(&sipguard, &["--source", "198.51.100.8/30"])?;
    ensure!(neighbours.len() == 1 && neighbours[0]["rule"] == "options", "{neighbours:?}");
    ensure!(events(&sipguard, &["--rule", "blocked"])?.is_empty());
    ensure!(events(&sipguard, &["--last", "1"])?.len() == 1);

    let shown = sipguard.command(&["events", "--no-follow"])?.success()?.text();
    ensure!(shown.contains("svmap-to") && shown.contains("REGISTER"), "{shown}");
    sipguard.command(&["events", "--rule", "stranger"])?.expect_code(2)?;
    Ok(())
}

#[test]
fn f16_events_are_followed_until_sipguard_stops() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let sipguard = Sipguard::start(&lab, &Policy::usual()?, &["--iface", WAN])?;
    let follow = ["events", "--json", "--rule", "options"];
    let follower = Process::start(&mut client(&lab, sipguard.socket(), &follow)?)?;
    for (source, server) in [(STRANGER, SERVER), (STRANGER_V6, SERVER_V6), (STRANGERS[1], SERVER)] {
        let socket = sender(&lab, source)?;
        let port = socket.local_addr()?.port();
        socket.send_to(&request("OPTIONS", b"Telephone/1.6", 1), sip(server))?;
        let source = format!("\"source\":\"{source}\",\"source_port\":{port},");
        follower.stdout().line(PATIENCE, |line| line.contains(&source))?;
    }
    sipguard.stop()?.success()?;
    let ended = follower.finish(PATIENCE)?.expect_code(3)?;
    ensure!(ended.text().lines().count() == 3, "{ended}");
    ensure!(ended.words().contains("sipguard has stopped"), "{ended}");
    Ok(())
}

/// A flood is counted packet by packet, and told of now and then.
#[test]
fn f16_a_flood_is_told_of_within_the_limits() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let limits = "[events]\nrule = { rate = \"5/s\", burst = 7 }\n\
                  source = { rate = \"2/s\", burst = 3 }\n";
    let policy = Policy::usual()?.with_main(limits);
    let sipguard = Sipguard::start(&lab, &policy, &["--iface", WAN])?;
    let start = Instant::now();
    let flood = Flow::start(&lab, STRANGER, SERVER, FLOOD, |number| {
        request("REGISTER", b"friendly-scanner", number)
    })?;
    wait::until("a flood", PATIENCE, || {
        Ok((sipguard.stats()?.packets("signature")? > 10_000).then_some(()))
    })?;
    let sent = flood.stop()?;
    let lost = lab.lost()?;
    let (stats, told) = (sipguard.stats()?, events(&sipguard, &["--last", "100000"])?);
    let seconds = start.elapsed().as_secs() + 1;
    let dropped = stats.packets("signature")?;
    // What was lost may have been of somebody else.
    ensure!((sent - lost..=sent).contains(&dropped), "{sent} sent, {lost} lost: {stats}");
    let most = usize::try_from(3 + 2 * seconds)?;
    ensure!((1..=most).contains(&told.len()), "{} events in {seconds} s", told.len());
    let losses = &stats.0["events"];
    let suppressed = losses["suppressed"].as_u64().context("no number")?;
    println!("{sent} packets in {seconds} s: {} events, {suppressed} suppressed", told.len());
    ensure!(suppressed + told.len() as u64 == dropped, "{losses}, {} told: {stats}", told.len());
    ensure!(losses["lost"] == 0, "{losses}");
    ensure!(sipguard.json(&["status", "--json"])?["events"] == *losses);
    ensure!(!sipguard.log().contains("sipguard::drops"), "the log comes once a minute");
    Ok(())
}

#[test]
fn hostile_bytes_of_events_act_on_no_terminal() -> Result<()> {
    const EVIL: &[u8] = b"friendly-scanner \x1b]0;t\x07\x1b[31m\x9b2J\xe2\x80\xae\x00\xff\r\n evil";
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let listener = Listener::new(&lab, SERVER)?;
    let sipguard = Sipguard::start(&lab, &Policy::usual()?, &["--iface", WAN])?;
    ensure!(!listener.receives(&sender(&lab, STRANGER)?, &request("REGISTER", EVIL, 1))?);
    first_events(&sipguard, &[])?;
    for arguments in [&["events", "--no-follow"][..], &["events", "--no-follow", "--json"]] {
        let text = process::run(&mut client(&lab, sipguard.socket(), arguments)?, PATIENCE)?
            .success()?
            .text();
        let evil = text.chars().find(|c| (c.is_control() && *c != '\n') || *c == '\u{202e}');
        ensure!(evil.is_none() && !text.is_empty(), "{evil:?} in {text:?}");
    }
    Ok(())
}
