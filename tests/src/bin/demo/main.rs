//! The demo: the same scans, guesses and calls without and with sipguard.
//!
//! Everything happens in network namespaces that nobody else is in; they and all
//! processes in them go away with this one, however it ends.

mod customers;
mod scanners;
mod visit;

use std::{
    fs,
    path::PathBuf,
    process::{self, ExitCode},
    thread,
    time::Instant,
};

use anyhow::{Context as _, Result};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    iterator::Signals,
};
use tests::rig::{
    lab::Lab,
    sipguard::Sipguard,
    tool::{Tool, can_run},
};

const TOOLS: &[Tool] = &[
    Tool::Ip,
    Tool::Unshare,
    Tool::Kamailio,
    Tool::Sipp,
    Tool::Sipsak,
    Tool::Sipvicious,
    Tool::Sipguard,
];

/// Exit code after a signal to stop, as a shell has it for SIGINT.
const INTERRUPTED: i32 = 130;

fn main() -> ExitCode {
    if !can_run(TOOLS) {
        return ExitCode::FAILURE;
    }
    match demo() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn demo() -> Result<()> {
    let started = Instant::now();
    show()?;
    println!("\nAll removed again, after {} s.", started.elapsed().as_secs());
    Ok(())
}

fn show() -> Result<()> {
    let labs = [Lab::new()?, Lab::new()?];
    tidy_up_when_told_to_stop(labs.iter().map(|lab| lab.folder().to_owned()).collect())?;
    let [first, second] = &labs;
    println!("1. Scanners, phones and a trunk\n");
    scanners::show(first)?;
    println!("\n2. Customers of a registrar, and who guesses users and passwords\n");
    customers::show(second)
}

/// What a verb of the command line prints, under the line that asks for it.
fn ask(sipguard: &Sipguard<'_>, arguments: &[&str]) -> Result<()> {
    let answer = sipguard.command(arguments)?.success()?.text();
    println!("\n$ sipguard {}\n{}", arguments.join(" "), answer.trim_end());
    Ok(())
}

/// The kernel removes namespaces and processes; the folders are left to us.
fn tidy_up_when_told_to_stop(folders: Vec<PathBuf>) -> Result<()> {
    let mut signals = Signals::new([SIGHUP, SIGINT, SIGTERM]).context("cannot wait for signals")?;
    thread::spawn(move || {
        if signals.forever().next().is_some() {
            for folder in folders {
                // Processes that still write there end with us.
                let _ = fs::remove_dir_all(folder);
            }
            process::exit(INTERRUPTED);
        }
    });
    Ok(())
}
