//! The wall clock is set while sipguard runs: by NTP after a start with a dead
//! battery, or by somebody's slip.

use std::{fs, net::IpAddr, path::PathBuf, time::Duration};

use anyhow::{Context as _, Result, ensure};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use tests::{
    rig::{
        lab::{Lab, SERVER, STRANGERS, TRUSTED, WAN, sip},
        policy::Policy,
        sipguard::Sipguard,
        tcp::{Client, Server},
        tool::{Tool, can_run},
        traffic::{Listener, request, sender},
        wait,
    },
    sip::Message,
};

const TOOLS: &[Tool] = &[Tool::Ip, Tool::Sipguard, Tool::Faketime];
const PATIENCE: Duration = Duration::from_secs(20);
const DAY: i64 = 86_400;

/// A wall clock of sipguard's own. What counts from its start, it has from the
/// kernel, as everybody has.
struct WallClock(PathBuf);

impl WallClock {
    /// Sets it so many seconds off the machine's.
    fn set(&self, off: i64) -> Result<()> {
        // Whoever reads it finds the old text or the new one.
        let new = self.0.with_extension("new");
        fs::write(&new, format!("{off:+}\n"))?;
        Ok(fs::rename(&new, &self.0)?)
    }
}

fn start<'a>(lab: &'a Lab, clock: &WallClock) -> Result<Sipguard<'a>> {
    let library = Tool::Faketime.find().context("no libfaketime")?;
    Sipguard::start_as(lab, &Policy::usual()?, &["--iface", WAN], |command| {
        command
            .env("LD_PRELOAD", library)
            .env("FAKETIME_TIMESTAMP_FILE", &clock.0)
            .env("FAKETIME_NO_CACHE", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    })
}

/// Seconds from now, as the machine has it, until the block or ban of `address` ends.
fn ends_in(list: &[Value], address: IpAddr) -> Result<i64> {
    let address = address.to_string();
    let of_it = |entry: &&Value| ["target", "source"].iter().any(|key| entry[key] == *address);
    let until = list.iter().find(of_it).and_then(|entry| entry["until"].as_str());
    let until: Timestamp = until.with_context(|| format!("{address} in {list:?}"))?.parse()?;
    Ok(until.duration_since(Timestamp::now()).as_secs())
}

fn blocked(sipguard: &Sipguard<'_>) -> Result<Vec<Value>> {
    let lists = sipguard.json(&["list", "blocked", "--json"])?;
    Ok(lists["blocked"].as_array().context("no list")?.clone())
}

/// A day ahead, then a day back: blocks and bans end when they would have, not
/// before and not later, and are shown by the clock as it stands.
#[test]
fn steps_of_the_wall_clock_change_no_end() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let clock = WallClock(lab.folder().join("clock"));
    clock.set(0)?;
    let _server = Server::start(&lab, sip(SERVER))?;
    let listener = Listener::new(&lab, SERVER)?;
    let sipguard = start(&lab, &clock)?;
    let [long, short, banned, _] = STRANGERS;
    let arrives =
        |source| listener.receives(&sender(&lab, source)?, &request("REGISTER", b"Phone", 1));
    sipguard.command(&["block", &long.to_string(), "--ttl", "1h"])?.success()?;
    let scan = Message::request("REGISTER", "sip:100@203.0.113.1")
        .replace("Via", "SIP/2.0/TCP 198.51.100.7:5061;branch=z9hG4bK-77a1;rport")
        .agent("friendly-scanner")
        .build();
    Client::connect(&lab, banned, sip(SERVER))?.send(&scan)?;
    wait::until("the ban", PATIENCE, || Ok((!sipguard.bans()?.is_empty()).then_some(())))?;
    let ban = ends_in(&sipguard.bans()?, banned)?;
    let about = |found: i64, wanted: i64| (wanted - 30..=wanted + 2).contains(&found);

    for off in [DAY, -DAY] {
        clock.set(off)?;
        // Its own sweep has come by.
        let made = format!("198.51.100.{}", if off > 0 { 201 } else { 202 });
        sipguard.command(&["block", &made, "--ttl", "2s"])?.success()?;
        wait::until("the end of two seconds", PATIENCE, || {
            let list = blocked(&sipguard)?;
            Ok((!list.iter().any(|entry| entry["target"] == *made)).then_some(()))
        })?;
        ensure!(!arrives(long)? && !arrives(banned)?, "{off:+} s has ended a block or a ban");
        ensure!(arrives(TRUSTED)?, "{off:+} s has cut off a trusted peer");
        let until = ends_in(&blocked(&sipguard)?, long)?;
        ensure!(about(until, off + 3_600), "at {off:+} s it ends in {until} s");
        let until = ends_in(&sipguard.bans()?, banned)?;
        ensure!(about(until, off + ban), "at {off:+} s the ban of {ban} s ends in {until} s");
    }

    // Made and ended under a clock that is wrong.
    sipguard.command(&["block", &short.to_string(), "--ttl", "3s"])?.success()?;
    ensure!(!arrives(short)?);
    wait::until("the end of three seconds", PATIENCE, || Ok(arrives(short)?.then_some(())))?;

    // The clock is right again, and so is what is told of the past.
    clock.set(0)?;
    let log = sipguard.json(&["log", "--ip", &long.to_string(), "--json"])?;
    let lines = log["lines"].as_array().context("no lines")?;
    let at: Timestamp = lines
        .first()
        .and_then(|line| line["time"].as_str())
        .with_context(|| log.to_string())?
        .parse()?;
    let ago = Timestamp::now().duration_since(at);
    ensure!(ago < SignedDuration::from_mins(5), "{log}");
    sipguard.command(&["report", "--since", "1h"])?.success()?;
    ensure!(!sipguard.log().contains("panicked"), "{}", sipguard.log());
    sipguard.stop()?.success()?;
    Ok(())
}
