//! L30: whatever happens to the daemon, no packet of a trusted peer or of a
//! verified phone is lost, and none of a scanner passes, at 100,000 packets a
//! second of which each has a number.

use std::{thread, time::Duration};

use anyhow::{Context as _, Result, ensure};
use sipguard::api::client::Client;
use tests::rig::{
    footprint::Footprint,
    lab::{Lab, WAN},
    mount::Mount,
    policy::Policy,
    sipguard::{Sipguard, state},
    streams::{PEER, Streams},
    tool::{Tool, can_run},
};

const TOOLS: &[Tool] = &[Tool::Ip, Tool::Sipguard];

const IFACE: &[&str] = &["--iface", WAN];

/// Packets of the peer before and after what happens.
const AROUND: u64 = 10_000;

/// Reloads in a row, and those between two looks at what it takes: policies are
/// of the same size then, see [`Policy::variant`].
const RELOADS: usize = 1_050;
const LOOK: usize = 3 * 5 * 7;

/// How much more memory than at the second look is still flat: what the
/// allocator and the history keep differs from moment to moment.
const FLAT_BYTES: u64 = 8 << 20;

#[test]
fn l30_a_thousand_reloads_in_a_row_lose_nothing_and_grow_nothing() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let usual = Policy::usual()?;
    let sipguard = Sipguard::start(&lab, &usual, IFACE)?;
    let streams = Streams::usual(&lab)?;
    let client = Client::new(sipguard.socket().to_owned());
    let mut warm = None;
    let mut before = sipguard.stats()?;
    for reload in 1..=RELOADS {
        usual.variant(reload).write(sipguard.folder())?;
        client.reload()?;
        if reload % LOOK == 0 {
            let now = Footprint::of(sipguard.pid())?;
            println!("{reload} reloads: {now}");
            if reload == 2 * LOOK {
                warm = Some(now);
            }
            if let Some(warm) = warm {
                ensure!(
                    now.resident_bytes <= warm.resident_bytes + FLAT_BYTES
                        && now.map_bytes <= warm.map_bytes
                        && now.files <= warm.files + 2,
                    "warm {warm}, after {reload} reloads {now}"
                );
            }
            let stats = sipguard.stats()?;
            stats.has_grown_from(&before)?;
            before = stats;
        }
    }
    streams.finish(&sipguard)?;
    sipguard.stop()?.success()?;
    ensure!(lab.xdp_program(WAN)?.is_none(), "still attached");
    Ok(())
}

#[test]
fn l30_hang_ups_lose_nothing() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let usual = Policy::usual()?;
    let sipguard = Sipguard::start(&lab, &usual, IFACE)?;
    let streams = Streams::usual(&lab)?;
    for reload in 1..=20 {
        streams.more(PEER, AROUND / 10)?;
        usual.variant(reload).write(sipguard.folder())?;
        let (ok, message) = sipguard.hang_up()?;
        ensure!(ok, "{message}");
    }
    streams.more(PEER, AROUND)?;
    streams.finish(&sipguard).map(drop)
}

/// The streams themselves tell what passes and what is lost: without a filter,
/// and where the peer is no longer trusted.
#[test]
fn streams_tell_what_passes_and_what_is_lost() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let streams = Streams::usual(&lab)?;
    streams.more(PEER, AROUND)?;
    let error = streams.stop()?.check().err().context("scanners pass unnoticed")?;
    ensure!(error.to_string().contains("packets of the scanner arrived"), "{error}");

    let usual = Policy::usual()?;
    let sipguard = Sipguard::start(&lab, &usual, IFACE)?;
    let streams = Streams::usual(&lab)?;
    streams.more(PEER, AROUND)?;
    for trusted in [String::new(), usual.trusted.clone()] {
        Policy { trusted, ..usual.clone() }.write(sipguard.folder())?;
        sipguard.reload()?;
        streams.more(PEER, AROUND)?;
    }
    let error = streams.stop()?.check().err().context("losses are not noticed")?;
    ensure!(error.to_string().contains("packets of the trusted peer are missing"), "{error}");
    Ok(())
}

/// What an operator does meanwhile holds, though nothing of it can be written.
fn operate(sipguard: &Sipguard<'_>, streams: &Streams<'_>) -> Result<()> {
    for number in 0..20 {
        let target = format!("10.9.{number}.0/24");
        sipguard.command(&["block", &target, "--reason", "noise"])?.success()?;
        if number % 2 == 0 {
            sipguard.command(&["unblock", &target])?.success()?;
        }
    }
    let (ok, message) = sipguard.hang_up()?;
    ensure!(ok, "{message}");
    let blocked = sipguard.json(&["list", "blocked", "--json"])?["blocked"].take();
    ensure!(blocked.as_array().is_some_and(|all| all.len() == 10), "{blocked}");
    streams.more(PEER, AROUND)
}

#[test]
fn l30_a_full_disk_loses_nothing() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let disk = Mount::new("tmpfs", state(&lab), "size=2m")?;
    let sipguard = Sipguard::start(&lab, &Policy::usual()?, IFACE)?;
    let streams = Streams::usual(&lab)?;
    streams.more(PEER, AROUND)?;
    let before = sipguard.stats()?;
    disk.fill()?;
    operate(&sipguard, &streams)?;
    thread::sleep(Duration::from_secs(1));
    let after = sipguard.stats()?;
    after.has_grown_from(&before)?;
    streams.finish(&sipguard)?;
    sipguard.stop()?.success()?;

    // Nor does a start need any room.
    let sipguard = Sipguard::start(&lab, &Policy::usual()?, IFACE)?;
    let streams = Streams::usual(&lab)?;
    streams.more(PEER, AROUND)?;
    streams.finish(&sipguard).map(drop)
}

#[test]
fn l30_a_state_directory_that_is_read_only_loses_nothing() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let disk = Mount::new("tmpfs", state(&lab), "size=2m")?;
    disk.set_read_only(true)?;
    let sipguard = Sipguard::start(&lab, &Policy::usual()?, IFACE)?;
    let history = sipguard.json(&["status", "--json"])?["history"].take();
    ensure!(history["problem"].is_string(), "nobody is told: {history}");
    let streams = Streams::usual(&lab)?;
    streams.more(PEER, AROUND)?;
    operate(&sipguard, &streams)?;
    streams.finish(&sipguard).map(drop)
}
