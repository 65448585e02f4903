//! L30 under fail mode keep: the daemon ends in every way and comes back, at
//! 100,000 packets a second, and nothing of it shows in the traffic.

use std::{fmt::Write as _, fs, thread, time::Duration};

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::Signal;
use std::os::unix::process::ExitStatusExt as _;
use tests::rig::{
    bpffs::Bpffs,
    egress,
    footprint::Footprint,
    lab::{Lab, WAN},
    mount::Mount,
    pinch::Pinch,
    policy::Policy,
    process::Finished,
    rebuilt::rebuild,
    sipguard::{Sipguard, Stats, command_of_kept, state},
    streams::{PEER, Streams},
    tool::{Tool, can_run},
};

const TOOLS: &[Tool] = &[Tool::Ip, Tool::Sipguard];

const IFACE: &[&str] = &["--iface", WAN];

/// Packets of the peer between what happens.
const AROUND: u64 = 10_000;

/// How often a daemon ends and comes back.
const TIMES: usize = 5;

/// How much more memory than the first daemon's is still flat.
const FLAT_BYTES: u64 = 12 << 20;

/// Room in which a daemon can live, but not read [`LARGE`] networks.
const ROOM: u64 = 16 << 20;
const LARGE: u32 = 300_000;

/// The counters, whether a daemon runs or not.
fn counters(lab: &Lab, bpffs: &Bpffs) -> Result<Stats> {
    let answer = command_of_kept(lab, bpffs, &["stats", "--json"])?.success()?;
    Ok(Stats(serde_json::from_slice(&answer.stdout).with_context(|| format!("{answer}"))?))
}

/// Ends daemons, and starts others, under traffic; nothing is lost, counters
/// and memory go on as they were, and nothing is left behind in the end.
fn comes_back(
    lab: &Lab,
    bpffs: &Bpffs,
    times: usize,
    mut end: impl FnMut(Sipguard<'_>) -> Result<()>,
) -> Result<()> {
    let usual = Policy::usual()?;
    let mut sipguard = Sipguard::start_kept(lab, bpffs, &usual, IFACE)?;
    let streams = Streams::usual(lab)?;
    streams.more(PEER, AROUND)?;
    let first = Footprint::of(sipguard.pid())?;
    let mut before = sipguard.stats()?;
    for time in 1..=times {
        end(sipguard)?;
        streams.more(PEER, AROUND)?;
        let alone = counters(lab, bpffs)?;
        alone.has_grown_from(&before)?;
        let filtered = alone.packets("trusted")? - before.packets("trusted")?;
        ensure!(filtered >= AROUND, "hardly anything was filtered without a daemon: {alone}");
        sipguard = Sipguard::start_kept(lab, bpffs, &usual.variant(7 * time), IFACE)?;
        streams.more(PEER, AROUND)?;
        before = sipguard.stats()?;
        before.has_grown_from(&alone)?;
        let now = Footprint::of(sipguard.pid())?;
        println!("{time}: started in {:?}, {now}", sipguard.took());
        ensure!(
            now.resident_bytes <= first.resident_bytes + FLAT_BYTES
                && now.map_bytes <= first.map_bytes + (1 << 20)
                && now.files <= first.files + 4,
            "first {first}, after {time} ends {now}"
        );
    }
    streams.finish(&sipguard)?;
    sipguard.stop()?.success()?;
    leaves_nothing(lab, bpffs)
}

fn leaves_nothing(lab: &Lab, bpffs: &Bpffs) -> Result<()> {
    ensure!(lab.xdp_program(WAN)?.is_some(), "the filter has left with the daemon");
    command_of_kept(lab, bpffs, &["detach"])?.success()?;
    ensure!(lab.xdp_program(WAN)?.is_none(), "still attached");
    ensure!(egress::programs(lab, WAN)?.is_empty(), "still attached at the way out");
    ensure!(bpffs.pinned()?.is_empty(), "still pinned: {:?}", bpffs.pinned()?);
    Ok(())
}

fn stop(sipguard: Sipguard<'_>) -> Result<()> {
    sipguard.stop()?.success().map(drop)
}

fn kill(sipguard: Sipguard<'_>) -> Result<()> {
    was_killed(&sipguard.kill()?)
}

fn was_killed(finished: &Finished) -> Result<()> {
    ensure!(finished.status.signal() == Some(Signal::SIGKILL as i32), "{finished}");
    Ok(())
}

#[test]
fn l30_restarts_lose_nothing() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let bpffs = Bpffs::new(lab.folder())?;
    comes_back(&lab, &bpffs, TIMES, stop)
}

#[test]
fn l30_kills_lose_nothing() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let bpffs = Bpffs::new(lab.folder())?;
    comes_back(&lab, &bpffs, TIMES, kill)
}

/// In the middle of a reload, too.
#[test]
fn l30_kills_in_a_reload_lose_nothing() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let bpffs = Bpffs::new(lab.folder())?;
    let mut delay = Duration::from_millis(20);
    comes_back(&lab, &bpffs, TIMES, |sipguard| {
        large()?.write(sipguard.folder())?;
        nix::sys::signal::kill(sipguard.pid(), Signal::SIGHUP)?;
        thread::sleep(delay);
        delay *= 2;
        kill(sipguard)
    })
}

#[test]
fn l30_a_full_disk_and_a_kill_lose_nothing() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let disk = Mount::new("tmpfs", state(&lab), "size=2m")?;
    disk.fill()?;
    let bpffs = Bpffs::new(lab.folder())?;
    comes_back(&lab, &bpffs, 2, kill)
}

/// Another build takes over, and the first one again.
#[test]
fn l30_upgrades_lose_nothing() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let bpffs = Bpffs::new(lab.folder())?;
    let (binary, other) = (Tool::Sipguard.path()?, lab.folder().join("sipguard"));
    rebuild(&binary, &other)?;
    let first = lab.folder().join("first");
    fs::copy(&binary, &first)?;
    let builds = [&other, &first];
    let mut upgrades = 0;
    let mut tag = None;
    comes_back(&lab, &bpffs, 3, |sipguard| {
        let now = lab.xdp_tag(WAN)?;
        ensure!(now.is_some() && now != tag, "the same program as before: {now:?}");
        tag = now;
        stop(sipguard)?;
        bpffs.put_in_place_of(&binary, builds[upgrades % 2])?;
        upgrades += 1;
        Ok(())
    })
}

/// The kernel takes the daemon's memory, and so its life.
#[test]
fn l30_a_kill_for_lack_of_memory_loses_nothing() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let bpffs = Bpffs::new(lab.folder())?;
    comes_back(&lab, &bpffs, 2, |sipguard| {
        let pinch = Pinch::new(ROOM)?;
        pinch.hold(sipguard.pid())?;
        large()?.write(sipguard.folder())?;
        nix::sys::signal::kill(sipguard.pid(), Signal::SIGHUP)?;
        was_killed(&sipguard.ends()?)?;
        ensure!(pinch.kills()? > 0, "it was not the kernel");
        Ok(())
    })
}

/// The same trunk and scanners, and many blocked networks.
fn large() -> Result<Policy> {
    let mut blacklist = "[[block]]\naddress = [\n".to_owned();
    for number in 0..LARGE {
        let [_, high, middle, low] = (number * 16).to_be_bytes();
        // A String takes every write.
        let _ = writeln!(blacklist, "\"10.{high}.{middle}.{low}/28\",");
    }
    Ok(Policy { blacklist: blacklist + "]\n", ..Policy::usual()? })
}
