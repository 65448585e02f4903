//! F43: the daemon as a service: what it tells the service manager, and that
//! the rights of the shipped unit are enough, and none too many.

use std::{
    fs::{self, Permissions},
    io::ErrorKind,
    os::unix::{
        fs::{PermissionsExt as _, chown},
        net::UnixDatagram,
    },
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use nix::sys::signal::Signal;
use tests::rig::{
    lab::{Lab, WAN},
    policy::{Folder, Policy},
    process::Process,
    sipguard::{Sipguard, client},
    tool::{Tool, can_run, root},
};

const TOOLS: &[Tool] = &[Tool::Ip, Tool::Setpriv, Tool::Sipguard];

const PATIENCE: Duration = Duration::from_secs(20);

/// A user that owns nothing (nobody, nogroup).
const NOBODY: u32 = 65_534;

/// Of the unit: what the daemon has.
const RIGHTS: &str = "AmbientCapabilities=";

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

/// The capabilities that the shipped unit gives, as `setpriv` calls them.
fn rights() -> Result<Vec<String>> {
    let unit = fs::read_to_string(root().join("packaging/sipguard.service"))?;
    let line = unit.lines().find_map(|line| line.strip_prefix(RIGHTS));
    let bound = format!("CapabilityBoundingSet={}", line.context("no rights in the unit")?);
    ensure!(unit.lines().any(|line| line == bound), "the unit's bounds are others");
    let names = line.unwrap_or_default().split(' ');
    Ok(names.map(|name| name.trim_start_matches("CAP_").to_lowercase()).collect())
}

/// `sipguard run` by nobody with these rights and no way to more.
fn confined(lab: &Lab, place: &Place, rights: &[&str]) -> Result<Process> {
    let all = rights.iter().fold("-all".to_owned(), |all, right| format!("{all},+{right}"));
    let id = NOBODY.to_string();
    let run = client(lab, &place.socket, &["run", "--iface", WAN])?;
    let mut command = lab.server().command(Tool::Setpriv.path()?)?;
    command.args(["--reuid", &id, "--regid", &id, "--clear-groups", "--no-new-privs"]);
    for kind in ["--inh-caps", "--bounding-set", "--ambient-caps"] {
        command.arg(format!("{kind}={all}"));
    }
    command.arg(&place.program).args(run.get_args());
    command.arg("--config").arg(&place.config).arg("--state").arg(&place.state);
    forget(&mut command);
    Process::start(&mut command)
}

fn forget(command: &mut Command) {
    for name in ["SIPGUARD_SOCKET", "RUST_LOG", "NOTIFY_SOCKET", "WATCHDOG_USEC"] {
        command.env_remove(name);
    }
}

/// What nobody can read and write.
struct Place {
    program: PathBuf,
    config: PathBuf,
    state: PathBuf,
    socket: PathBuf,
}

impl Place {
    fn new(lab: &Lab, policy: &Policy) -> Result<Self> {
        let config = Folder::new(lab.folder().join("config"))?;
        policy.write(&config)?;
        let own = lab.folder().join("own");
        fs::create_dir(&own)?;
        chown(&own, Some(NOBODY), Some(NOBODY))?;
        // Work trees may lie where only root looks.
        let program = lab.folder().join("sipguard");
        fs::copy(Tool::Sipguard.path()?, &program)?;
        fs::set_permissions(&program, Permissions::from_mode(0o755))?;
        let config = config.path().to_owned();
        Ok(Self { program, config, state: own.join("state"), socket: own.join("control.sock") })
    }
}

#[test]
fn f43_the_rights_of_the_unit_are_what_it_takes() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let place = Place::new(&lab, &Policy::usual()?)?;
    let rights = rights()?;
    let all: Vec<&str> = rights.iter().map(String::as_str).collect();
    let process = confined(&lab, &place, &all)?;
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
        let ended = confined(&lab, &place, &fewer)?.finish(PATIENCE)?;
        ensure!(ended.code() == Some(NOT_PERMITTED), "without {missing} it {ended}");
    }
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
    let rights = rights()?;
    let all: Vec<&str> = rights.iter().map(String::as_str).collect();
    let process = confined(&lab, &place, &all)?;
    let line = process.stdout().line(PATIENCE, |line| line.starts_with("sipguard: protecting "));
    line.with_context(|| format!("it says: {}", process.stderr().text()))?;
    let of = |status: &str, set: &str| -> Result<u64> {
        let line = status.lines().find_map(|line| line.strip_prefix(set));
        Ok(u64::from_str_radix(line.with_context(|| format!("no {set}"))?.trim(), 16)?)
    };
    let daemon = fs::read_to_string(format!("/proc/{}/status", process.pid()))?;
    ensure!(of(&daemon, "CapAmb:")? != 0, "the daemon has nothing to hand on");

    let mut test = client(&lab, &place.socket, &["alerts", "--test", "act"])?;
    tests::rig::process::run(&mut test, PATIENCE)?.success()?;
    let action = fs::read_to_string(&told)?;
    for set in ["CapAmb:", "CapEff:", "CapPrm:"] {
        ensure!(of(&action, set)? == 0, "{action}");
    }
    process.signal(Signal::SIGTERM)?;
    process.finish(PATIENCE)?.success().map(drop)
}
