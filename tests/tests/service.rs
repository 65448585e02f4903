//! F43: the daemon as a service: what it tells the service manager, and that
//! the rights of the shipped unit are enough, and none too many.

use std::{
    fs::{self, Permissions},
    io::ErrorKind,
    os::unix::{fs::PermissionsExt as _, net::UnixDatagram},
    path::Path,
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use nix::sys::signal::Signal;
use tests::rig::{
    bpffs::Bpffs,
    confined::{self, Place, word},
    lab::{Lab, WAN},
    policy::Policy,
    sipguard::{Sipguard, client},
    tool::{Tool, can_run},
};

const TOOLS: &[Tool] = &[Tool::Ip, Tool::Setpriv, Tool::Sipguard];

const PATIENCE: Duration = Duration::from_secs(20);

/// The exit code of who may not.
const NOT_PERMITTED: i32 = 4;

/// A service manager, as far as it listens.
struct Manager(UnixDatagram);

impl Manager {
    fn new(path: &Path) -> Result<Self> {
        let socket = UnixDatagram::bind(path).context("no socket of a manager")?;
        socket.set_read_timeout(Some(PATIENCE))?;
        Ok(Self(socket))
    }

    /// The next message, which may have several lines.
    fn hear(&self) -> Result<String> {
        let mut buffer = [0; 4096];
        let length = self.0.recv(&mut buffer).context("the manager hears nothing")?;
        Ok(String::from_utf8_lossy(buffer.get(..length).unwrap_or_default()).into_owned())
    }

    /// The next message that is not about the watchdog.
    fn news(&self) -> Result<String> {
        for _ in 0..100 {
            let message = self.hear()?;
            if !message.starts_with("WATCHDOG=1") {
                return Ok(message);
            }
        }
        bail!("the manager hears of nothing but the watchdog")
    }
}

#[test]
fn f43_the_manager_hears_of_start_reload_and_end() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let path = lab.folder().join("notify.sock");
    let manager = Manager::new(&path)?;
    let sipguard = Sipguard::start_as(&lab, &Policy::usual()?, &["--iface", WAN], |command| {
        command.env("NOTIFY_SOCKET", &path);
    })?;
    let ready = manager.news()?;
    ensure!(ready.starts_with("READY=1\nSTATUS=protecting wan0 (native, "), "{ready}");

    ensure!(sipguard.hang_up()?.0);
    let reloading = manager.news()?;
    ensure!(reloading.starts_with("RELOADING=1\nMONOTONIC_USEC="), "{reloading}");
    let reloaded = manager.news()?;
    ensure!(reloaded.starts_with("READY=1\nSTATUS=protecting wan0"), "{reloaded}");
    ensure!(!reloaded.contains("failed"), "{reloaded}");

    sipguard.folder().put("trusted.toml", "nonsense")?;
    ensure!(!sipguard.hang_up()?.0);
    ensure!(manager.news()?.starts_with("RELOADING=1\n"));
    let reloaded = manager.news()?;
    ensure!(reloaded.contains("READY=1\n") && reloaded.contains("reload failed"), "{reloaded}");

    sipguard.stop()?.success()?;
    let stopping = manager.news()?;
    ensure!(stopping.starts_with("STOPPING=1\n"), "{stopping}");
    manager.0.set_nonblocking(true)?;
    let more = manager.0.recv(&mut [0; 64]).map_err(|error| error.kind());
    ensure!(more == Err(ErrorKind::WouldBlock), "the manager hears more after the end");
    Ok(())
}

#[test]
fn f43_the_watchdog_hears_of_work_that_is_done() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let path = lab.folder().join("notify.sock");
    let manager = Manager::new(&path)?;
    let sipguard = Sipguard::start_as(&lab, &Policy::usual()?, &["--iface", WAN], |command| {
        command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "2000000");
    })?;
    for _ in 0..3 {
        while !manager.hear()?.starts_with("WATCHDOG=1") {}
    }
    // Who does not run tells nothing, so that the manager notices.
    let pid = sipguard.pid();
    nix::sys::signal::kill(pid, Signal::SIGSTOP)?;
    manager.0.set_read_timeout(Some(Duration::from_secs(3)))?;
    // What was sent before is still there.
    let silent = (0..100).any(|_| manager.hear().is_err());
    nix::sys::signal::kill(pid, Signal::SIGCONT)?;
    ensure!(silent, "a daemon that stands still says that it works");
    manager.0.set_read_timeout(Some(PATIENCE))?;
    ensure!(manager.hear()?.starts_with("WATCHDOG=1"));
    sipguard.stop()?.success().map(drop)
}

#[test]
fn f43_the_rights_of_the_unit_are_what_it_takes() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let place = Place::new(&lab, &Policy::usual()?)?;
    let rights = confined::rights()?;
    let all: Vec<&str> = rights.iter().map(String::as_str).collect();
    let process = confined::start(&lab, &place, &all)?;
    let line = process.stdout().line(PATIENCE, |line| line.starts_with("sipguard: protecting "));
    let line = line.with_context(|| format!("it says: {}", process.stderr().text()))?;
    ensure!(line.contains("wan0 (native, "), "{line}");
    ensure!(place.state.join("history.db").exists(), "{}", process.stderr().text());
    let mut status = client(&lab, &place.socket, &["status", "--json"])?;
    tests::rig::process::run(&mut status, PATIENCE)?.success()?;
    process.signal(Signal::SIGHUP)?;
    process.signal(Signal::SIGTERM)?;
    let ended = process.finish(PATIENCE)?.success()?;
    ensure!(!ended.words().to_lowercase().contains("not permitted"), "{ended}");
    ensure!(lab.xdp_program(WAN)?.is_none(), "still attached");

    for missing in &all {
        let fewer: Vec<&str> = all.iter().copied().filter(|right| right != missing).collect();
        let ended = confined::start(&lab, &place, &fewer)?.finish(PATIENCE)?;
        ensure!(ended.code() == Some(NOT_PERMITTED), "without {missing} it {ended}");
    }
    Ok(())
}

/// F40: with these rights and a directory of pins of its own, the filter outlives
/// the service, and the next one takes its place.
#[test]
fn f43_f40_the_service_keeps_its_filter() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let bpffs = Bpffs::new(lab.folder())?;
    let place = Place::new(&lab, &Policy::usual()?)?;
    let rights = confined::rights()?;
    let all: Vec<&str> = rights.iter().map(String::as_str).collect();
    let mut programs = Vec::new();
    for round in 0..2 {
        let process = confined::start_kept(&lab, &bpffs, &place, &all)?;
        let line =
            process.stdout().line(PATIENCE, |line| line.starts_with("sipguard: protecting "));
        line.with_context(|| format!("it says: {}", process.stderr().text()))?;
        programs.push(lab.xdp_program(WAN)?.context("no program")?);
        process.signal(Signal::SIGKILL)?;
        let ended = process.finish(PATIENCE)?;
        let goes_on = ended.words().contains("goes on with what an earlier run");
        ensure!(goes_on == (round > 0) && !ended.words().contains("not permitted"), "{ended}");
        ensure!(lab.xdp_program(WAN)?.is_some(), "it has left with the service");
    }
    ensure!(programs[0] != programs[1], "the old program stays");
    ensure!(bpffs.pinned()?.contains(&"maps/RECORD".to_owned()));
    Ok(())
}

/// What an alert runs is an ordinary program: it cannot touch the filter.
#[test]
fn f45_an_action_has_none_of_the_rights_of_the_unit() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let (script, told) = (lab.folder().join("act"), lab.folder().join("own/told"));
    fs::write(&script, format!("#!/bin/sh\ncat /proc/self/status > {}\n", told.display()))?;
    fs::set_permissions(&script, Permissions::from_mode(0o755))?;
    let action = format!(
        "[[alerts.action]]\ntype = \"exec\"\nname = \"act\"\ncommand = [\"{}\"]\n",
        script.display()
    );
    let place = Place::new(&lab, &Policy::usual()?.with_main(&action))?;
    let rights = confined::rights()?;
    let all: Vec<&str> = rights.iter().map(String::as_str).collect();
    let process = confined::start(&lab, &place, &all)?;
    let line = process.stdout().line(PATIENCE, |line| line.starts_with("sipguard: protecting "));
    line.with_context(|| format!("it says: {}", process.stderr().text()))?;
    let daemon = fs::read_to_string(format!("/proc/{}/status", process.pid()))?;
    ensure!(word(&daemon, "CapEff:")? != 0, "the daemon has nothing to hand on");

    let mut test = client(&lab, &place.socket, &["alerts", "--test", "act"])?;
    tests::rig::process::run(&mut test, PATIENCE)?.success()?;
    let action = fs::read_to_string(&told)?;
    for set in ["CapAmb:", "CapEff:", "CapPrm:"] {
        ensure!(word(&action, set)? == 0, "{action}");
    }
    process.signal(Signal::SIGTERM)?;
    process.finish(PATIENCE)?.success().map(drop)
}
