//! A registrar that asks for passwords: customers, and who looks for users and
//! guesses passwords. What sipguard has learned of each from its replies.

use std::{net::IpAddr, thread, time::Duration};

use anyhow::{Result, ensure};
use tests::rig::{
    lab::{Lab, SERVER, STRANGERS, WAN},
    phone::{Action, Phone},
    policy::Policy,
    registrar::{Outcome as Told, Registrar, Seen, Ways},
    scanner::{Attacker, Scan},
    sipguard::Sipguard,
    subscriber::{AGENT, Deed, Subscribers},
};

use crate::{
    ask,
    visit::{self, Outcome, Visitor, With},
};

/// svmap's, as the kernel chooses it.
const SCANNER: IpAddr = STRANGERS[0];
const ENUMERATOR: Attacker = Attacker { address: STRANGERS[1], port: 5_100 };
const GUESSER: Attacker = Attacker { address: STRANGERS[2], port: 5_100 };
const CUSTOMER: IpAddr = STRANGERS[3];

/// SIPp's, and that of a colleague of the caller behind the same address.
const PORTS: [u16; 2] = [5_062, 5_064];
const USERS: [u32; 2] = [1_001, 1_002];

/// The user whose password is guessed, and the guesses: the last one is right.
const VICTIM: u32 = 1_003;
const GUESSES: &str = "90904-91003";
/// Half of them are there.
const LOOKED_FOR: &str = "1975-2024";

/// Kamailio gives all who ask in the same second the same nonce, and a nonce that
/// others have got, too, proves no sender.
const NONCE_OF_ITS_OWN: Duration = Duration::from_millis(1_100);

/// Guesses that the default policy lets through.
const MOST_GUESSES: usize = 5;
/// Challenges after which a stranger is banned, and some that are under way.
const MOST_QUESTIONS: usize = 40;

const fn visitor(
    name: &'static str,
    does: &'static str,
    act: fn(&Lab) -> Result<Outcome>,
    with_sipguard: With,
) -> Visitor<Seen> {
    Visitor { name, does, act, counts: is_request, tell: requests, with_sipguard }
}

const VISITORS: [Visitor<Seen>; 7] = [
    visitor("phone", "probes before it registers", probe, With::Refused(0)),
    visitor("phone", "registers, with a colleague", register, With::Served),
    visitor("phone", "probes", probe, With::Served),
    visitor("phone", "calls the colleague", call, With::Served),
    visitor("svmap", "scans", scan, With::Refused(0)),
    visitor("svwar", "looks for 50 users, 25 exist", enumerate, With::Refused(MOST_QUESTIONS)),
    Visitor {
        counts: is_guess,
        tell: guesses,
        ..visitor("svcrack", "guesses a password", guess, With::Refused(MOST_GUESSES))
    },
];

pub(crate) fn show(lab: &Lab) -> Result<()> {
    let [scanner, enumerator, guesser, customer] = STRANGERS;
    println!(
        "Two other namespaces: a registrar (Kamailio) that asks for passwords at {SERVER}, phones\n\
         of an office at {customer}, svmap at {scanner}, svwar at {enumerator}, svcrack at\n\
         {guesser}. sipguard has no signatures here, as of tools that nobody has seen\n\
         before: it goes by what the registrar replies.\n"
    );
    let mut registrar = Registrar::start(lab, Ways::default())?;
    println!("without sipguard ...");
    let without = visit::all(&VISITORS, lab, || registrar.seen())?;

    let sipguard = Sipguard::start(lab, &Policy::unsigned()?, &["--iface", WAN])?;
    println!("with it ... {}", sipguard.announcement());
    let with = visit::all(&VISITORS, lab, || registrar.seen())?;

    println!("\n{}", visit::comparison(&VISITORS, &without, &with));
    for address in [CUSTOMER, SCANNER, ENUMERATOR.address, GUESSER.address] {
        ask(&sipguard, &["why", &address.to_string()])?;
    }
    ask(&sipguard, &["list", "verified"])?;
    ask(&sipguard, &["log"])?;
    let bans = sipguard.bans()?;
    ensure!(bans.len() == 1 && bans[0]["rule"] == "auth", "not one ban of a guesser: {bans:?}");
    sipguard.stop()?.success()?;
    visit::judge(&VISITORS, &without, &with)
}

fn phone(number: usize) -> Subscribers {
    let (port, user) = (PORTS[number], USERS[number]);
    Subscribers { pause: Duration::from_millis(100), ..Subscribers::one(CUSTOMER, port, user) }
}

fn probe(lab: &Lab) -> Result<Outcome> {
    let phone = Phone { address: CUSTOMER, user_agent: AGENT };
    let success = !phone.is_ignored(Action::Keepalive, lab)?;
    let words = if success { "is answered" } else { "is ignored" };
    Ok(Outcome { success, words: words.to_owned() })
}

fn register(lab: &Lab) -> Result<Outcome> {
    let both = [0, 1].into_iter().try_for_each(|one| phone(one).does(Deed::Register(1), lab));
    Ok(Outcome::of_phone(both))
}

fn call(lab: &Lab) -> Result<Outcome> {
    let answering = phone(1).start(Deed::Answer, lab)?;
    let called = phone(0).does(Deed::Call(USERS[1]), lab);
    Ok(Outcome::of_phone(called.and_then(|()| answering.succeeds())))
}

fn scan(lab: &Lab) -> Result<Outcome> {
    Ok(Outcome::of_scan(Scan::Svmap.run(lab)?.as_ref()))
}

fn enumerate(lab: &Lab) -> Result<Outcome> {
    let found = ENUMERATOR.looks_for(lab, LOOKED_FOR, "REGISTER")?.found()?;
    let there = found.iter().filter(|(user, _)| user.starts_with('1')).count();
    let missing = found.len() - there;
    let words = match (there, missing) {
        (0, 0) => "finds none".to_owned(),
        _ if there == missing => "cannot tell".to_owned(),
        _ => format!("finds {there}"),
    };
    Ok(Outcome { success: there != missing, words })
}

fn guess(lab: &Lab) -> Result<Outcome> {
    thread::sleep(NONCE_OF_ITS_OWN);
    let found = GUESSER.guesses(lab, VICTIM, GUESSES)?.found()?;
    let words = found.first().map_or("finds nothing", |_| "finds it");
    Ok(Outcome { success: !found.is_empty(), words: words.to_owned() })
}

fn is_request(seen: &Seen) -> bool {
    seen.outcome != Told::Response
}

fn is_guess(seen: &Seen) -> bool {
    matches!(seen.outcome, Told::Wrong | Told::Right)
}

fn requests(seen: &[Seen]) -> String {
    format!("{} request{}", seen.len(), if seen.len() == 1 { "" } else { "s" })
}

fn guesses(seen: &[Seen]) -> String {
    format!("{} guesses", seen.len())
}
