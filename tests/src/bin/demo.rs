//! The demo: the same scans and the same calls without and with sipguard.
//!
//! Everything happens in two network namespaces that nobody else is in; they
//! and all processes in them go away with this one, however it ends.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{self, ExitCode},
    thread,
    time::Instant,
};

use anyhow::{Context as _, Result, ensure};
use comfy_table::{Table, presets};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    iterator::Signals,
};
use tests::rig::{
    lab::{Lab, SERVER, STRANGER, TRUSTED, WAN},
    phone::{Action, Phone},
    policy::Policy,
    scanner::Scan,
    server::{Seen, Server},
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

const PHONE: Phone<'_> = Phone { address: STRANGER, user_agent: "Grandstream GXP2140 1.0.9.14" };
const TRUNK: Phone<'_> = Phone { address: TRUSTED, user_agent: "sipcli/v1.8" };

/// One who wants something of the server.
struct Guest {
    name: &'static str,
    does: &'static str,
    what: What,
}

enum What {
    Scan(Scan<'static>),
    Phone(Phone<'static>, Action),
}

const GUESTS: &[Guest] = &[
    Guest { name: "svmap", does: "scans", what: What::Scan(Scan::Svmap) },
    Guest {
        name: "svmap",
        does: "scans as \"Polycom\"",
        what: What::Scan(Scan::SvmapRenamed("PolycomVVX-VVX_411-UA/5.9.3")),
    },
    Guest { name: "sipsak", does: "probes", what: What::Scan(Scan::Sipsak) },
    Guest { name: "unknown phone", does: "registers", what: What::Phone(PHONE, Action::Register) },
    Guest { name: "unknown phone", does: "calls", what: What::Phone(PHONE, Action::Call) },
    Guest {
        name: "trusted trunk",
        does: "probes as \"sipcli\"",
        what: What::Phone(TRUNK, Action::Keepalive),
    },
    Guest {
        name: "trusted trunk",
        does: "calls as \"sipcli\"",
        what: What::Phone(TRUNK, Action::Call),
    },
];

/// What became of a guest.
struct Visit {
    /// Whether a scanner has found the server, or a phone was served.
    success: bool,
    /// The requests of it that reached the server.
    reached: Vec<Seen>,
}

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
    let lab = Lab::new()?;
    tidy_up_when_told_to_stop(lab.folder())?;
    println!(
        "Two network namespaces with a wire between them: a SIP server (Kamailio) at {SERVER},\n\
         scanners and an unknown phone at {STRANGER}, a trusted trunk at {TRUSTED}.\n"
    );
    let mut server = Server::start(&lab)?;
    println!("without sipguard ...");
    let without = visit(&lab, &mut server)?;

    let sipguard = Sipguard::start(&lab, &Policy::usual()?, &["--iface", WAN])?;
    println!("with it ... {}", sipguard.announcement());
    let with = visit(&lab, &mut server)?;

    println!("\n{}", comparison(&without, &with));
    println!("\nWhat `sipguard stats` says, without the zeros, and why:\n");
    let stats = sipguard.command(&["stats"])?.success()?.text();
    println!("{}\n", without_zeros(&stats));
    explain(&sipguard)?;
    sipguard.stop()?.success()?;
    judge(&without, &with)
}

/// Lets every guest do its thing, one after the other.
fn visit(lab: &Lab, server: &mut Server) -> Result<Vec<Visit>> {
    let mut visits = Vec::with_capacity(GUESTS.len());
    for guest in GUESTS {
        let before = server.seen()?.len();
        let success = match &guest.what {
            What::Scan(scan) => scan.run(lab)?.is_some(),
            What::Phone(phone, action) => match phone.does(*action, 1, lab) {
                Ok(()) => true,
                Err(error) => {
                    eprintln!("{error:#}");
                    false
                }
            },
        };
        visits.push(Visit { success, reached: server.seen()?.split_off(before) });
    }
    Ok(visits)
}

/// A demo that does not show what it is for has failed.
fn judge(without: &[Visit], with: &[Visit]) -> Result<()> {
    for ((guest, without), with) in GUESTS.iter().zip(without).zip(with) {
        let is_scan = matches!(guest.what, What::Scan(_));
        let as_expected =
            without.success && with.success != is_scan && with.reached.is_empty() == is_scan;
        ensure!(as_expected, "{} {}: not as it should be", guest.name, guest.does);
    }
    Ok(())
}

fn comparison(without: &[Visit], with: &[Visit]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED);
    let saw = "the server\nsaw";
    table.set_header(["", "", "without\nsipguard", saw, "with\nsipguard", saw]);
    for ((guest, without), with) in GUESTS.iter().zip(without).zip(with) {
        table.add_row([
            guest.name,
            guest.does,
            outcome(guest, without),
            &methods(&without.reached),
            outcome(guest, with),
            &methods(&with.reached),
        ]);
    }
    table
}

fn outcome(guest: &Guest, visit: &Visit) -> &'static str {
    match (&guest.what, visit.success) {
        (What::Scan(_), true) => "finds it",
        (What::Scan(_), false) => "finds nothing",
        (What::Phone(..), true) => "works",
        (What::Phone(..), false) => "FAILS",
    }
}

fn methods(requests: &[Seen]) -> String {
    let methods: Vec<&str> = requests.iter().map(|seen| seen.method.as_str()).collect();
    if methods.is_empty() { "nothing".to_owned() } else { methods.join("\n") }
}

/// The table without the rules that nothing was counted under.
fn without_zeros(stats: &str) -> String {
    let is_zero = |line: &&str| line.split_whitespace().nth(2) == Some("0");
    stats.lines().filter(|line| !is_zero(line)).collect::<Vec<_>>().join("\n")
}

/// One line for each rule that something was counted under.
fn explain(sipguard: &Sipguard<'_>) -> Result<()> {
    let stats = sipguard.stats()?;
    for rule in sipguard_common::rule::Rule::ALL {
        if stats.packets(rule.name()).context("a rule is missing")? > 0 {
            println!("{:<10} {}", rule.name(), rule.help());
        }
    }
    Ok(())
}

/// The kernel removes namespaces and processes; the folder is left to us.
fn tidy_up_when_told_to_stop(folder: &Path) -> Result<()> {
    let folder: PathBuf = folder.to_owned();
    let mut signals = Signals::new([SIGHUP, SIGINT, SIGTERM]).context("cannot wait for signals")?;
    thread::spawn(move || {
        if signals.forever().next().is_some() {
            // Processes that still write there end with us.
            let _ = fs::remove_dir_all(&folder);
            process::exit(INTERRUPTED);
        }
    });
    Ok(())
}
