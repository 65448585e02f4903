//! Scanners that look for servers, an unknown phone and a trusted trunk.

use anyhow::Result;
use tests::rig::{
    lab::{Lab, SERVER, STRANGER, TRUSTED, WAN},
    phone::{Action, Phone},
    policy::Policy,
    scanner::Scan,
    server::{Seen, Server},
    sipguard::{Sipguard, Stats},
};

use crate::visit::{self, Outcome, Visitor, With};

const PHONE: Phone<'_> = Phone { address: STRANGER, user_agent: "Grandstream GXP2140 1.0.9.14" };
const TRUNK: Phone<'_> = Phone { address: TRUSTED, user_agent: "sipcli/v1.8" };

/// The name that svmap borrows.
const BORROWED: &str = "PolycomVVX-VVX_411-UA/5.9.3";

const fn scanner(
    name: &'static str,
    does: &'static str,
    act: fn(&Lab) -> Result<Outcome>,
) -> Visitor<Seen> {
    Visitor { name, does, act, counts: |_| true, tell: methods, with_sipguard: With::Refused(0) }
}

const fn phone(
    name: &'static str,
    does: &'static str,
    act: fn(&Lab) -> Result<Outcome>,
) -> Visitor<Seen> {
    Visitor { with_sipguard: With::Served, ..scanner(name, does, act) }
}

fn scan(scan: Scan<'_>, lab: &Lab) -> Result<Outcome> {
    Ok(Outcome::of_scan(scan.run(lab)?.as_ref()))
}

fn once(phone: Phone<'_>, action: Action, lab: &Lab) -> Outcome {
    Outcome::of_phone(phone.does(action, 1, lab))
}

const VISITORS: [Visitor<Seen>; 7] = [
    scanner("svmap", "scans", |lab| scan(Scan::Svmap, lab)),
    scanner("svmap", "scans as \"Polycom\"", |lab| scan(Scan::SvmapRenamed(BORROWED), lab)),
    scanner("sipsak", "probes", |lab| scan(Scan::Sipsak, lab)),
    phone("unknown phone", "registers", |lab| Ok(once(PHONE, Action::Register, lab))),
    phone("unknown phone", "calls", |lab| Ok(once(PHONE, Action::Call, lab))),
    phone("trusted trunk", "probes as \"sipcli\"", |lab| Ok(once(TRUNK, Action::Keepalive, lab))),
    phone("trusted trunk", "calls as \"sipcli\"", |lab| Ok(once(TRUNK, Action::Call, lab))),
];

pub(crate) fn show(lab: &Lab) -> Result<()> {
    println!(
        "Two network namespaces with a wire between them: a SIP server (Kamailio) at {SERVER},\n\
         scanners and an unknown phone at {STRANGER}, a trusted trunk at {TRUSTED}.\n"
    );
    let mut server = Server::start(lab)?;
    println!("without sipguard ...");
    let without = visit::all(&VISITORS, lab, || server.seen())?;

    let sipguard = Sipguard::start(lab, &Policy::usual()?, &["--iface", WAN])?;
    println!("with it ... {}", sipguard.announcement());
    let with = visit::all(&VISITORS, lab, || server.seen())?;

    println!("\n{}", visit::comparison(&VISITORS, &without, &with));
    println!("\nWhat `sipguard stats` says, without the zeros, and why:\n");
    let stats = sipguard.stats()?;
    let text = sipguard.command(&["stats"])?.success()?.text();
    println!("{}\n", without_zeros(&text, &stats));
    explain(&stats);
    sipguard.stop()?.success()?;
    visit::judge(&VISITORS, &without, &with)
}

fn methods(requests: &[Seen]) -> String {
    requests.iter().map(|seen| seen.method.as_str()).collect::<Vec<_>>().join("\n")
}

/// The tables without the rules that nothing was counted under.
fn without_zeros(text: &str, stats: &Stats) -> String {
    let is_zero = |line: &&str| {
        let rule = line.split_whitespace().next();
        rule.is_some_and(|rule| stats.packets(rule).is_ok_and(|packets| packets == 0))
    };
    text.lines().filter(|line| !is_zero(line)).collect::<Vec<_>>().join("\n")
}

/// One line for each rule that something was counted under. Those for what the
/// server sends count no packets.
fn explain(stats: &Stats) {
    for rule in sipguard_common::rule::Rule::ALL {
        if stats.packets(rule.name()).is_ok_and(|packets| packets > 0) {
            println!("{:<10} {}", rule.name(), rule.help());
        }
    }
}
