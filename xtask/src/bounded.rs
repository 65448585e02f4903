//! The hidden verb `bounded`: one program in a process group of its own, which
//! is killed whole on a time-out or when we are told to stop.
//!
//! A verb of its own, so that sudo can start it: a user may not kill what runs
//! as root, but this process, being root then, can.

use std::{
    ffi::OsString,
    os::unix::process::{CommandExt as _, parent_id},
    process::{Child, Command, ExitCode, ExitStatus, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

/// Exit code after a time-out, as coreutils' timeout has it.
pub(crate) const TIMED_OUT: u8 = 124;
/// Exit code after a signal to stop, as a shell has it for SIGINT.
const INTERRUPTED: u8 = 130;
/// How often the program's end is looked for.
const POLL: Duration = Duration::from_millis(20);

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Time limit in seconds
    #[arg(long)]
    seconds: u64,
    /// The program and its arguments
    #[arg(required = true, last = true)]
    command: Vec<OsString>,
}

enum End {
    Exited(ExitStatus),
    TimedOut,
    Interrupted,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let (program, arguments) = args.command.split_first().context("no program given")?;
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGHUP, SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&stop))?;
    }
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .process_group(0)
        .spawn()
        .with_context(|| format!("cannot start {}", program.display()))?;

    let end = wait(&mut child, Duration::from_secs(args.seconds), &stop)?;
    // Whatever the program has left behind in its group goes too. Nobody there
    // any more is the usual case, and no error.
    let _ = killpg(group(&child)?, Signal::SIGKILL);
    Ok(match end {
        End::Exited(status) => exit_code(status),
        End::TimedOut => {
            child.wait()?;
            eprintln!("timed out after {} s", args.seconds);
            ExitCode::from(TIMED_OUT)
        }
        End::Interrupted => {
            child.wait()?;
            ExitCode::from(INTERRUPTED)
        }
    })
}

fn wait(child: &mut Child, limit: Duration, stop: &AtomicBool) -> Result<End> {
    let deadline = Instant::now() + limit;
    let parent = parent_id();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(End::Exited(status));
        }
        // A parent that was killed leaves us to another one.
        if stop.load(Ordering::Relaxed) || parent_id() != parent {
            return Ok(End::Interrupted);
        }
        if Instant::now() >= deadline {
            return Ok(End::TimedOut);
        }
        thread::sleep(POLL);
    }
}

fn group(child: &Child) -> Result<Pid> {
    Ok(Pid::from_raw(child.id().try_into().context("process id out of range")?))
}

/// A program that a signal ended has no code: 1 then.
fn exit_code(status: ExitStatus) -> ExitCode {
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    if code.is_none() {
        eprintln!("ended by {status}");
    }
    ExitCode::from(code.unwrap_or(1))
}
