//! sipguard itself, as its users start it.

use std::{
    ffi::OsStr,
    fmt,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use nix::{sys::signal::Signal, unistd::Pid};
use serde_json::Value;

use super::{
    bpffs::Bpffs,
    lab::Lab,
    policy::{Folder, Policy},
    process::{self, Finished, Process},
    tool::Tool,
    wait,
};

/// How long it may take to start, to stop, or to do a command.
const PATIENCE: Duration = Duration::from_secs(20);

/// The line on stdout by which it says that the protection is on.
const PROTECTING: &str = "sipguard: protecting ";

/// What it logs at the end of a reload that a signal has asked for.
const RELOADED: &str = "by=signal action=\"reload\"";

/// A running daemon in the server's namespace.
#[derive(Debug)]
pub struct Sipguard<'a> {
    lab: &'a Lab,
    process: Process,
    folder: Folder,
    socket: PathBuf,
    announcement: String,
    took: Duration,
    kept: Option<&'a Bpffs>,
}

impl<'a> Sipguard<'a> {
    /// Starts it with `run` and these arguments, and waits until it says that
    /// the protection is on.
    ///
    /// # Errors
    /// Where it does not say so.
    pub fn start(lab: &'a Lab, policy: &Policy, arguments: &[&str]) -> Result<Self> {
        Self::start_as(lab, policy, arguments, |_| {})
    }

    /// The same after a change of the command, such as of its environment.
    ///
    /// # Errors
    /// Where it does not say so.
    pub fn start_as(
        lab: &'a Lab,
        policy: &Policy,
        arguments: &[&str],
        change: impl FnOnce(&mut Command),
    ) -> Result<Self> {
        Self::start_in(lab, None, policy, arguments, change)
    }

    /// The same with a filter that outlives the daemon.
    ///
    /// # Errors
    /// Where it does not say so.
    pub fn start_kept(
        lab: &'a Lab,
        bpffs: &'a Bpffs,
        policy: &Policy,
        arguments: &[&str],
    ) -> Result<Self> {
        Self::start_in(lab, Some(bpffs), policy, arguments, |_| {})
    }

    /// Begins such a start, and does not wait for anything.
    ///
    /// # Errors
    /// Where it cannot be begun.
    pub fn begin_kept(
        lab: &Lab,
        bpffs: &Bpffs,
        policy: &Policy,
        arguments: &[&str],
    ) -> Result<Process> {
        let (folder, socket) = (folder(lab)?, socket(lab));
        policy.write(&folder)?;
        Process::start(&mut run(lab, Some(bpffs), &folder, &socket, arguments)?)
    }

    /// The same of either kind.
    ///
    /// # Errors
    /// Where it does not say so.
    pub fn start_in(
        lab: &'a Lab,
        kept: Option<&'a Bpffs>,
        policy: &Policy,
        arguments: &[&str],
        change: impl FnOnce(&mut Command),
    ) -> Result<Self> {
        let (folder, socket) = (folder(lab)?, socket(lab));
        policy.write(&folder)?;
        let mut command = run(lab, kept, &folder, &socket, arguments)?;
        change(&mut command);
        let started = Instant::now();
        let process = Process::start(&mut command)?;
        let announcement = process
            .stdout()
            .line(PATIENCE, |line| line.starts_with(PROTECTING))
            .with_context(|| format!("sipguard said: {}", process.stderr().text()))?;
        let took = started.elapsed();
        Ok(Self { lab, process, folder, socket, announcement, took, kept })
    }

    /// Runs it where it is expected not to start.
    ///
    /// # Errors
    /// Where it has not ended in time.
    pub fn fails_to_start(lab: &Lab, policy: &Policy, arguments: &[&str]) -> Result<Finished> {
        let folder = folder(lab)?;
        policy.write(&folder)?;
        let socket = lab.folder().join("other.sock");
        process::run(&mut run(lab, None, &folder, &socket, arguments)?, PATIENCE)
    }

    /// The line by which it said that the protection is on.
    #[must_use]
    pub fn announcement(&self) -> &str {
        &self.announcement
    }

    /// How long it took from its start until the protection was on.
    #[must_use]
    pub fn took(&self) -> Duration {
        self.took
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> Pid {
        self.process.pid()
    }

    /// What it has said on stderr so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.process.stderr().text()
    }

    /// All that it has printed so far, as it came.
    #[must_use]
    pub fn output(&self) -> Vec<u8> {
        [self.process.stdout().bytes(), self.process.stderr().bytes()].concat()
    }

    /// Its configuration directory.
    #[must_use]
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// Its control socket.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Runs a command of the command line against it.
    ///
    /// # Errors
    /// Where it has not ended in time.
    pub fn command(&self, arguments: &[&str]) -> Result<Finished> {
        process::run(&mut client_in(self.lab, self.kept, &self.socket, arguments)?, PATIENCE)
    }

    /// Starts a command of the command line against it.
    ///
    /// # Errors
    /// Where it cannot be started.
    pub fn start_command(&self, arguments: &[&str]) -> Result<Process> {
        Process::start(&mut client_in(self.lab, self.kept, &self.socket, arguments)?)
    }

    /// What a command prints as JSON.
    ///
    /// # Errors
    /// Where it fails.
    pub fn json(&self, arguments: &[&str]) -> Result<Value> {
        let answer = self.command(arguments)?.success()?;
        serde_json::from_slice(&answer.stdout).with_context(|| format!("no JSON:\n{answer}"))
    }

    /// The counters.
    ///
    /// # Errors
    /// Where `stats --json` fails.
    pub fn stats(&self) -> Result<Stats> {
        Ok(Stats(self.json(&["stats", "--json"])?))
    }

    /// The bans that hold.
    ///
    /// # Errors
    /// Where `list banned --json` fails.
    pub fn bans(&self) -> Result<Vec<Value>> {
        let mut lists = self.json(&["list", "banned", "--json"])?;
        match lists["banned"].take() {
            Value::Array(bans) => Ok(bans),
            other => bail!("no list of bans: {other}"),
        }
    }

    /// Sends SIGHUP and waits until the reload has ended, well or not; returns
    /// whether it went well, and what it says.
    ///
    /// # Errors
    /// Where it does not end in time.
    pub fn hang_up(&self) -> Result<(bool, String)> {
        self.reload()?;
        let reload = self.json(&["status", "--json"])?["reload"].take();
        let ok = reload["ok"].as_bool().with_context(|| format!("no reload.ok: {reload}"))?;
        Ok((ok, reload["message"].as_str().unwrap_or_default().to_owned()))
    }

    /// Sends SIGHUP and waits until the reload has ended, well or not; returns
    /// how long that took.
    ///
    /// # Errors
    /// Where it does not end in time.
    pub fn reload(&self) -> Result<Duration> {
        // Not by the time in its status, which counts whole seconds.
        let reloads = |log: &str| log.lines().filter(|line| line.contains(RELOADED)).count();
        let before = reloads(&self.log());
        let started = Instant::now();
        self.process.signal(Signal::SIGHUP)?;
        wait::until("the end of the reload", PATIENCE, || {
            Ok((reloads(&self.log()) > before).then_some(()))
        })?;
        Ok(started.elapsed())
    }

    /// Kills it, so that it cannot clean up.
    ///
    /// # Errors
    /// Where it does not end in time.
    pub fn kill(self) -> Result<Finished> {
        self.process.signal(Signal::SIGKILL)?;
        self.process.finish(PATIENCE)
    }

    /// Waits for its end, whatever the reason.
    ///
    /// # Errors
    /// Where it does not end in time.
    pub fn ends(self) -> Result<Finished> {
        self.process.finish(PATIENCE)
    }

    /// Stops it with SIGTERM.
    ///
    /// # Errors
    /// Where it does not stop in time.
    pub fn stop(self) -> Result<Finished> {
        self.process.signal(Signal::SIGTERM)?;
        self.process.finish(PATIENCE)
    }
}

/// The answer to `stats --json`.
#[derive(Clone, Debug)]
pub struct Stats(pub Value);

impl fmt::Display for Stats {
    /// The rules that something was counted under.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rules = self.0["rules"].as_array().map(Vec::as_slice).unwrap_or_default();
        for rule in rules.iter().filter(|rule| rule["packets"] != 0) {
            write!(
                f,
                "{}: {} packets, {}; ",
                rule["rule"], rule["packets"], rule["per_interface"]
            )?;
        }
        Ok(())
    }
}

impl Stats {
    /// Packets counted under a rule.
    ///
    /// # Errors
    /// Where there is no such rule.
    pub fn packets(&self, rule: &str) -> Result<u64> {
        let found = self.rules()?.iter().find(|one| one["rule"] == rule);
        let found = found.with_context(|| format!("no rule {rule} in {self}"))?;
        found["packets"].as_u64().context("packets is no number")
    }

    /// Packets counted under a rule at one interface.
    ///
    /// # Errors
    /// Where there is no such rule or interface.
    pub fn packets_at(&self, rule: &str, interface: &str) -> Result<u64> {
        let of = |value: &Value, key: &str, name: &str| value[key] == name;
        let found = self.rules()?.iter().find(|one| of(one, "rule", rule));
        let all = found.and_then(|one| one["per_interface"].as_array());
        let one = all.and_then(|all| all.iter().find(|one| of(one, "name", interface)));
        let one = one.with_context(|| format!("no {rule} at {interface} in {self}"))?;
        one["packets"].as_u64().context("packets is no number")
    }

    /// Packets counted under all rules together.
    ///
    /// # Errors
    /// Where a number is missing.
    pub fn sum(&self) -> Result<u64> {
        let packets = |one: &Value| one["packets"].as_u64().context("packets is no number");
        self.rules()?.iter().map(packets).sum()
    }

    /// No counter is less than it was before.
    ///
    /// # Errors
    /// Names one that is.
    pub fn has_grown_from(&self, before: &Self) -> Result<()> {
        for one in before.rules()? {
            let rule = one["rule"].as_str().context("a rule without a name")?;
            let (before, now) = (before.packets(rule)?, self.packets(rule)?);
            ensure!(before <= now, "{rule} went from {before} to {now}");
        }
        Ok(())
    }

    /// The rules, each as an object.
    ///
    /// # Errors
    /// Where there are none.
    pub fn rules(&self) -> Result<&Vec<Value>> {
        let rules = self.0["rules"].as_array().context("no rules")?;
        ensure!(!rules.is_empty(), "no rules");
        Ok(rules)
    }
}

/// A command of the command line for a daemon at `socket`, if there is one.
///
/// # Errors
/// Where the binary is missing.
pub fn client(lab: &Lab, socket: &Path, arguments: &[&str]) -> Result<Command> {
    let mut command = lab.server().command(Tool::Sipguard.path()?)?;
    command.arg("--socket").arg(socket).args(arguments);
    forget_settings(&mut command);
    Ok(command)
}

/// The same for a daemon whose filter outlives it, whether it runs or not.
///
/// # Errors
/// Where it has not ended in time.
pub fn command_of_kept(lab: &Lab, bpffs: &Bpffs, arguments: &[&str]) -> Result<Finished> {
    process::run(&mut client_in(lab, Some(bpffs), &socket(lab), arguments)?, PATIENCE)
}

fn client_in(
    lab: &Lab,
    kept: Option<&Bpffs>,
    socket: &Path,
    arguments: &[&str],
) -> Result<Command> {
    let Some(bpffs) = kept else { return client(lab, socket, arguments) };
    let mut command = client(lab, socket, &[])?;
    command.arg("--pins").arg(bpffs.pins()).args(arguments);
    bpffs.show(&mut command)?;
    Ok(command)
}

/// The control socket of every daemon of a lab.
fn socket(lab: &Lab) -> PathBuf {
    lab.folder().join("control.sock")
}

fn run(
    lab: &Lab,
    kept: Option<&Bpffs>,
    folder: &Folder,
    socket: &Path,
    arguments: &[&str],
) -> Result<Command> {
    let mut command = client_in(lab, kept, socket, &["run"])?;
    if !arguments.contains(&"--fail-mode") {
        command.args(["--fail-mode", if kept.is_some() { "keep" } else { "open" }]);
    }
    // The machine's own state is none of a test's.
    command.arg("--config").arg(folder.path()).arg("--state").arg(state(lab)).args(arguments);
    Ok(command)
}

/// The state directory of every daemon of a lab, one after the other.
#[must_use]
pub fn state(lab: &Lab) -> PathBuf {
    lab.folder().join("state")
}

fn folder(lab: &Lab) -> Result<Folder> {
    Folder::new(lab.folder().join("config"))
}

/// What the caller's environment says about sipguard is for other daemons.
fn forget_settings(command: &mut Command) {
    for name in ["SIPGUARD_SOCKET", "SIPGUARD_PINS", "RUST_LOG"] {
        command.env_remove(OsStr::new(name));
    }
}
