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

use anyhow::{Context as _, Result};
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
    Guest { name: "svmap", does: "scans with OPTIONS", what: What::Scan(Scan::Svmap) },
    Guest {
        name: "svmap, renamed",
        does: "scans as \"Polycom\"",
        what: What::Scan(Scan::SvmapRenamed("PolycomVVX-VVX_411-UA/5.9.3")),
    },
    Guest { name: "sipsak", does: "asks with OPTIONS", what: What::Scan(Scan::Sipsak) },
    Guest { name: "unknown phone", does: "registers", what: What::Phone(PHONE, Action::Register) },
    Guest { name: "unknown phone", does: "makes a call", what: What::Phone(PHONE, Action::Call) },
    Guest {
        name: "trusted trunk",
        does: "asks with OPTIONS as \"sipcli\"",
        what: What::Phone(TRUNK, Action::Keepalive),
    },
    Guest { name: "trusted trunk", does: "makes a call", what: What::Phone(TRUNK, Action::Call) },
];

/// What became of a guest.
struct Visit {
    outcome: String,
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
    println!("\nWhat sipguard has counted (`sipguard stats`):\n");
    let stats = sipguard.command(&["stats"])?.success()?.text();
    println!("{}", without_zeros(&stats));
    explain(&sipguard)?;
    sipguard.stop()?.success()?;
    println!("\nAll removed again, after {} s.", started.elapsed().as_secs());
    Ok(())
}

/// Lets every guest do its thing, one after the other.
fn visit(lab: &Lab, server: &mut Server) -> Result<Vec<Visit>> {
    let mut visits = Vec::with_capacity(GUESTS.len());
    for guest in GUESTS {
        let before = server.seen()?.len();
        let outcome = match &guest.what {
            What::Scan(scan) => match scan.run(lab)? {
                Some(_) => "found the server".to_owned(),
                None => "found nothing".to_owned(),
            },
            What::Phone(phone, action) => match phone.does(*action, 1, lab) {
                Ok(()) => "worked".to_owned(),
                Err(_) => "FAILED".to_owned(),
            },
        };
        visits.push(Visit { outcome, reached: server.seen()?.split_off(before) });
    }
    Ok(visits)
}

fn comparison(without: &[Visit], with: &[Visit]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header([
        "Who",
        "does what",
        "without sipguard",
        "reached the server",
        "with sipguard",
        "reached the server",
    ]);
    for ((guest, without), with) in GUESTS.iter().zip(without).zip(with) {
        table.add_row([
            guest.name,
            guest.does,
            &without.outcome,
            &methods(&without.reached),
            &with.outcome,
            &methods(&with.reached),
        ]);
    }
    table
}

fn methods(requests: &[Seen]) -> String {
    let methods: Vec<&str> = requests.iter().map(|seen| seen.method.as_str()).collect();
    if methods.is_empty() { "nothing".to_owned() } else { methods.join(" ") }
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
