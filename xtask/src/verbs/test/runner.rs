//! Running one test executable and following what it prints.

use std::{
    ffi::OsString,
    io::{BufRead as _, BufReader, Read},
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{self, Receiver, RecvTimeoutError, Sender},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Error, Result};

use super::{
    Skips,
    executable::Executable,
    libtest::{Reader, Totals},
};
use crate::{bounded, cargo, process, root::Root, workspace::Workspace};

/// Time limit of one executable.
const LIMIT: Duration = Duration::from_secs(15 * 60);
/// How long the output of an executable that has ended is waited for: a process
/// that it left behind may hold the pipe open.
const LATE_OUTPUT: Duration = Duration::from_secs(2);
/// How often the executable's end is looked for while it prints nothing.
const POLL: Duration = Duration::from_millis(50);

/// Runs executables, all as the same user.
pub(super) struct Runner<'a> {
    root: Option<&'a Root>,
    skips: Skips,
    xtask: PathBuf,
    /// `NAME=VALUE`: what a test cannot know without cargo.
    environment: [OsString; 5],
}

enum Output {
    Stdout(String),
    Stderr(String),
}

impl<'a> Runner<'a> {
    pub(super) fn as_user(workspace: &Workspace, skips: Skips) -> Result<Self> {
        Self::new(workspace, None, skips)
    }

    pub(super) fn as_root(workspace: &Workspace, root: &'a Root, skips: Skips) -> Result<Self> {
        Self::new(workspace, Some(root), skips)
    }

    fn new(workspace: &Workspace, root: Option<&'a Root>, skips: Skips) -> Result<Self> {
        let environment = workspace.environment();
        let xtask = std::env::current_exe().context("cannot find this program")?;
        Ok(Self { root, skips, xtask, environment })
    }

    /// Runs it with libtest's filters and prints what a person wants to see.
    pub(super) fn run(&self, executable: &Executable, filters: &[String]) -> Result<Totals> {
        println!("\n{}", executable.name);
        let started = Instant::now();
        let mut child = self
            .command(executable, filters)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", executable.name))?;
        let mut reader = Reader::default();
        let status = follow(&mut child, &mut reader)?;
        if status.code() == Some(bounded::TIMED_OUT.into()) {
            println!("{}: stopped after {} s", executable.name, started.elapsed().as_secs());
        }
        Ok(self.judge(reader.finish(status.success())))
    }

    /// Counts the tests of it, unrun, as skipped.
    pub(super) fn skip(
        &self,
        executable: &Executable,
        filters: &[String],
        reason: &Error,
    ) -> Result<Totals> {
        let mut list = Command::new(&executable.program);
        list.args(["--list", "--format", "terse"]).args(filters);
        let names = process::answer(&mut list)
            .with_context(|| format!("cannot list the tests of {}", executable.name))?;
        let skipped = names.lines().filter(|line| line.ends_with(": test")).count();
        println!("\n{}\nSKIPPED: {skipped} tests: {reason}", executable.name);
        Ok(self.judge(Totals { skipped: u64::try_from(skipped)?, ..Totals::default() }))
    }

    fn judge(&self, totals: Totals) -> Totals {
        match self.skips {
            Skips::Count => totals,
            Skips::Fail => totals.with_skips_failed(),
        }
    }

    /// One thread each: tests of the kernel share namespaces' names and maps.
    fn command(&self, executable: &Executable, filters: &[String]) -> Command {
        let mut command = match self.root {
            Some(root) => root.command(&self.xtask),
            None => Command::new(&self.xtask),
        };
        cargo::forget_outer_cargo(&mut command);
        command
            .args(["bounded", "--seconds", &LIMIT.as_secs().to_string(), "--", "/usr/bin/env"])
            .args(&self.environment)
            .arg(&executable.program)
            .args(&executable.arguments)
            .arg("--show-output")
            .args(filters)
            .current_dir(&executable.folder);
        if executable.needs_root {
            command.arg("--test-threads=1");
        }
        command
    }
}

/// Reads until the executable has ended and its output too, as far as it comes
/// in time.
fn follow(child: &mut Child, reader: &mut Reader) -> Result<ExitStatus> {
    let (sender, lines) = mpsc::channel();
    let stdout = child.stdout.take().context("stdout was not piped")?;
    let stderr = child.stderr.take().context("stderr was not piped")?;
    send_lines(stdout, sender.clone(), Output::Stdout);
    send_lines(stderr, sender, Output::Stderr);

    let status = loop {
        match lines.recv_timeout(POLL) {
            Ok(line) => print(reader, &line),
            Err(RecvTimeoutError::Disconnected) => break child.wait()?,
            Err(RecvTimeoutError::Timeout) => {
                if let Some(status) = child.try_wait()? {
                    break status;
                }
            }
        }
    };
    drain(&lines, reader);
    Ok(status)
}

fn drain(lines: &Receiver<Output>, reader: &mut Reader) {
    while let Ok(line) = lines.recv_timeout(LATE_OUTPUT) {
        print(reader, &line);
    }
}

fn print(reader: &mut Reader, line: &Output) {
    match line {
        Output::Stdout(line) => {
            if let Some(shown) = reader.stdout(line) {
                println!("{shown}");
            }
        }
        Output::Stderr(line) => {
            reader.stderr(line);
            eprintln!("{line}");
        }
    }
}

/// Sends each line of `stream`, whatever its bytes, until it ends or nobody
/// listens any more.
fn send_lines(
    stream: impl Read + Send + 'static,
    sender: Sender<Output>,
    wrap: fn(String) -> Output,
) {
    thread::spawn(move || {
        let mut stream = BufReader::new(stream);
        let mut bytes = Vec::new();
        while stream.read_until(b'\n', &mut bytes).is_ok_and(|count| count > 0) {
            let line = String::from_utf8_lossy(&bytes);
            if sender.send(wrap(line.trim_end_matches(['\n', '\r']).to_owned())).is_err() {
                return;
            }
            bytes.clear();
        }
    });
}
