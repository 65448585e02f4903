//! The command line: one file per verb. Data goes to stdout, words to stderr.

mod alerts;
mod allow;
mod block;
mod capture;
mod change;
mod check;
mod completions;
mod crowdsec;
mod dashboard;
mod detach;
mod doctor;
mod events;
mod exit;
mod explain;
mod feeds;
mod import;
mod list;
mod log;
mod manual;
mod offline;
mod out;
mod posture;
mod program_info;
mod reload;
mod replay;
mod report;
mod run;
mod stats;
mod status;
mod table;
mod target;
mod top;
mod unblock;
mod why;

use std::{path::PathBuf, process::ExitCode};

use clap::{CommandFactory as _, Parser, Subcommand};

use self::{
    exit::{Exit, Failure},
    offline::Asked,
    out::say,
};
use crate::{api::client::Client, daemon::DEFAULT_SOCKET, kernel::DEFAULT_PINS};

const EXIT_CODES: &str = "\
Exit codes:
  0   done
  1   failed, refused, or nothing to do (the message says which)
  2   wrong usage
  3   sipguard is not running
  4   not permitted
  78  the configuration has errors";

/// Keeps SIP scanners away from a SIP server, in the kernel.
#[derive(Debug, Parser)]
#[command(name = "sipguard", version, after_long_help = EXIT_CODES)]
#[command(disable_help_subcommand = true)]
struct Args {
    /// The control socket [default: /run/sipguard/control.sock; for `run` and
    /// `explain`, what sipguard.toml says]
    #[arg(long, global = true, env = "SIPGUARD_SOCKET", value_name = "PATH")]
    socket: Option<PathBuf>,
    /// Where a filter is pinned that outlives the daemon, on a bpffs
    #[arg(
        long,
        global = true,
        env = "SIPGUARD_PINS",
        value_name = "DIR",
        default_value = DEFAULT_PINS
    )]
    pins: PathBuf,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Run(Box<run::Args>),
    Check(check::Args),
    Reload(reload::Args),
    Stats(stats::Args),
    Top(top::Args),
    Block(block::Args),
    Unblock(unblock::Args),
    Allow(allow::Args),
    List(list::Args),
    Why(why::Args),
    Log(log::Args),
    Events(events::Args),
    Capture(capture::Args),
    Alerts(alerts::Args),
    Feeds(feeds::Args),
    Crowdsec(crowdsec::Args),
    Report(report::Args),
    Posture(posture::Args),
    Status(status::Args),
    Dashboard(dashboard::Args),
    Replay(replay::Args),
    Explain(explain::Args),
    Doctor(doctor::Args),
    Detach(detach::Args),
    Completions(completions::Args),
    Import(import::Args),
    #[command(hide = true)]
    ProgramInfo(program_info::Args),
    #[command(hide = true)]
    Manual(manual::Args),
}

/// The whole command line, for whatever describes it.
#[must_use]
pub fn command() -> clap::Command {
    Args::command()
}

/// Does what the command line asks for.
#[must_use]
pub fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        // It quotes what was typed, or pasted.
        Err(error) if error.use_stderr() => {
            say(error.to_string().trim_end());
            return ExitCode::from(u8::from(Exit::Usage));
        }
        // Help and version, which it prints.
        Err(help) => help.exit(),
    };
    match dispatch(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => tell(&failure),
    }
}

fn dispatch(Args { socket, pins, verb }: Args) -> Result<(), Failure> {
    let client = |socket: Option<PathBuf>| Client::new(socket.unwrap_or_else(default_socket));
    let asked = |socket, pins| Asked { client: client(socket), pins };
    match verb {
        Verb::Run(args) => run::run(*args, socket, pins),
        Verb::Check(args) => check::run(&args),
        Verb::Reload(args) => reload::run(&args, &client(socket)),
        Verb::Stats(args) => stats::run(&args, &asked(socket, pins)),
        Verb::Top(args) => top::run(&args, &client(socket)),
        Verb::Block(args) => block::run(args, &asked(socket, pins)),
        Verb::Unblock(args) => unblock::run(args, &asked(socket, pins)),
        Verb::Allow(args) => allow::run(args, &client(socket)),
        Verb::List(args) => list::run(&args, &asked(socket, pins)),
        Verb::Why(args) => why::run(&args, &client(socket)),
        Verb::Log(args) => log::run(&args, &client(socket)),
        Verb::Events(args) => events::run(&args, &client(socket)),
        Verb::Capture(args) => capture::run(&args, &client(socket)),
        Verb::Alerts(args) => alerts::run(&args, &client(socket)),
        Verb::Feeds(args) => feeds::run(&args, &client(socket)),
        Verb::Crowdsec(args) => crowdsec::run(&args, &client(socket)),
        Verb::Report(args) => report::run(&args, &client(socket)),
        Verb::Posture(args) => posture::run(&args, &client(socket)),
        Verb::Status(args) => status::run(&args, &client(socket)),
        Verb::Dashboard(args) => dashboard::run(&args, &client(socket)),
        Verb::Replay(args) => replay::run(&args),
        Verb::Explain(args) => explain::run(&args, socket),
        Verb::Doctor(args) => doctor::run(&args, socket),
        Verb::Detach(args) => detach::run(&args, &pins),
        Verb::Completions(args) => completions::run(&args),
        Verb::Import(args) => import::run(&args),
        Verb::ProgramInfo(args) => program_info::run(&args),
        Verb::Manual(args) => manual::run(&args),
    }
}

fn default_socket() -> PathBuf {
    PathBuf::from(DEFAULT_SOCKET)
}

fn tell(failure: &Failure) -> ExitCode {
    let Failure::Told { exit, message, hint, report } = failure else {
        // Whoever read our output has seen enough.
        return ExitCode::SUCCESS;
    };
    if let Some(report) = report {
        say(report.trim_end());
    }
    say(&format!("error: {message}"));
    if let Some(hint) = hint {
        say(&format!("hint: {hint}"));
    }
    ExitCode::from(u8::from(*exit))
}

#[cfg(test)]
mod tests;
