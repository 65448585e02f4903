//! Many phones behind one address: they get what they need, and what one of them
//! does wrong costs the others nothing.

use std::{
    net::IpAddr,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use serde_json::Value;
use tests::rig::{
    lab::{Lab, STRANGER, STRANGERS, WAN},
    policy::Policy,
    registrar::{Outcome, Registrar, Ways},
    scanner::Attacker,
    sipguard::Sipguard,
    subscriber::{Deed, Subscribers},
    talker::{Talker, nonce},
    tool::{Tool, can_run},
    traffic::{Flow, request},
};

const TOOLS: &[Tool] = &[Tool::Ip, Tool::Unshare, Tool::Kamailio, Tool::Sipp, Tool::Sipguard];

/// The users of the call centre.
const CENTRE: std::ops::Range<u32> = 1_000..1_500;

/// All of them are up within (N10).
const UP: Duration = Duration::from_secs(10);

/// A source is banned as a whole.
fn whole(bans: &[Value]) -> bool {
    bans.iter().any(|ban| ban["source"] == STRANGER.to_string() && ban["port"].is_null())
}

/// Phones that start within some seconds; gives how long it took.
fn all_register(lab: &Lab, users: std::ops::Range<u32>, within: Duration) -> Result<Duration> {
    let phones = Subscribers {
        within,
        patience: Duration::from_secs(40),
        ..Subscribers::new(STRANGER, users)
    };
    let started = Instant::now();
    phones.does(Deed::Register(1), lab)?;
    Ok(started.elapsed())
}

/// L06: 50 and 100 phones at an address that nobody knows start at once, and
/// renew their registrations.
#[test]
fn l06_offices_register_and_refresh() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let mut registrar = Registrar::start(&lab, Ways::default())?;
    let sipguard = Sipguard::start(&lab, &Policy::usual()?, &["--iface", WAN])?;
    for (source, phones) in [(STRANGERS[0], 50), (STRANGERS[1], 100)] {
        let office = Subscribers::new(source, 1_000..1_000 + phones);
        office.does(Deed::Register(4), &lab)?;
        let right = registrar.count(source, Outcome::Right)?;
        ensure!(right >= 4 * phones as usize, "{right} registrations of {phones} phones");
    }
    let stats = sipguard.stats()?;
    for rule in stats.rules()? {
        ensure!(rule["verdict"] == "pass" || rule["packets"] == 0, "dropped: {rule}");
    }
    ensure!(sipguard.bans()?.is_empty());
    Ok(())
}

/// L07, N10: 500 phones of a known site lose power and register again, all within
/// two seconds and each from a new port: all are up within ten.
#[test]
fn l07_n10_a_call_centre_is_up_ten_seconds_after_an_outage() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let mut registrar = Registrar::start(&lab, Ways::default())?;
    let sipguard = Sipguard::start(&lab, &Policy::usual()?, &["--iface", WAN])?;
    let first = all_register(&lab, CENTRE, Duration::from_secs(3))?;
    let known = registrar.count(STRANGER, Outcome::Right)?;

    let took = all_register(&lab, CENTRE, Duration::from_secs(2))?;
    let again = registrar.count(STRANGER, Outcome::Right)? - known;
    let stats = sipguard.stats()?;
    println!(
        "first {:.1} s, after the outage {:.1} s; {stats}",
        first.as_secs_f32(),
        took.as_secs_f32()
    );
    ensure!(known >= CENTRE.len() && again >= CENTRE.len(), "{known} and {again} registrations");
    ensure!(took <= UP, "up after {} s", took.as_secs_f32());
    for rule in stats.rules()? {
        ensure!(rule["verdict"] == "pass" || rule["packets"] == 0, "dropped: {rule}");
    }
    Ok(())
}

/// L08: ten phones of that site have an old password and never stop; the other
/// 490 renew, start anew at other ports, and are never banned.
#[test]
fn l08_ten_old_passwords_cost_the_other_phones_nothing() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let mut registrar = Registrar::start(&lab, Ways::default())?;
    let sipguard = Sipguard::start(&lab, &Policy::usual()?, &["--iface", WAN])?;
    let (good, old) = (CENTRE.start..CENTRE.end - 10, CENTRE.end - 10..CENTRE.end);
    all_register(&lab, good.clone(), Duration::from_secs(3))?;

    let stubborn = Subscribers {
        pause: Duration::from_millis(200),
        patience: Duration::from_secs(9),
        ..Subscribers::new(STRANGER, old)
    };
    let stubborn = stubborn.start(Deed::Guess(1_000), &lab)?;
    let renewing = Subscribers {
        within: Duration::from_secs(2),
        pause: Duration::from_millis(700),
        ..Subscribers::new(STRANGER, good.clone())
    };
    renewing.does(Deed::Register(3), &lab)?;
    all_register(&lab, good, Duration::from_secs(2))?;
    ensure!(stubborn.end()?.code() != Some(0));

    let (bans, wrong) = (sipguard.bans()?, registrar.count(STRANGER, Outcome::Wrong)?);
    println!("{wrong} wrong passwords, {} bans", bans.len());
    ensure!(wrong > 10, "{wrong} wrong passwords");
    ensure!(!whole(&bans), "the site is banned: {bans:?}");
    // Each of the ten is out.
    ensure!(bans.len() == 10 && wrong <= 10 * 5, "{wrong} wrong passwords, bans: {bans:?}");
    Ok(())
}

/// L09: behind the address of a carrier with 300 customers somebody scans: with
/// a scanner's name, for users, and for passwords. Nobody else notices.
#[test]
fn l09_a_scanner_behind_a_carrier_costs_its_customers_nothing() -> Result<()> {
    if !can_run(&[TOOLS, &[Tool::Sipvicious]].concat()) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let mut registrar = Registrar::start(&lab, Ways::default())?;
    let sipguard = Sipguard::start(&lab, &Policy::usual()?, &["--iface", WAN])?;
    let customers = CENTRE.start..CENTRE.start + 300;
    all_register(&lab, customers.clone(), Duration::from_secs(3))?;

    let known_scanner = Flow::start(&lab, STRANGER, tests::rig::lab::SERVER, 500, |number| {
        let method = ["OPTIONS", "REGISTER", "INVITE"][number as usize % 3];
        request(method, b"friendly-scanner", number)
    })?;
    let unknown_scanner = talk_for(&lab, Duration::from_secs(6))?;
    let renewing = Subscribers {
        within: Duration::from_secs(1),
        pause: Duration::from_secs(1),
        ..Subscribers::new(STRANGER, customers)
    };
    let renewing = renewing.start(Deed::Register(3), &lab)?;
    let newcomers = Subscribers::new(STRANGER, 1_900..1_950).start(Deed::Register(2), &lab)?;
    renewing.succeeds()?;
    newcomers.succeeds()?;
    unknown_scanner.join().map_err(|_| anyhow::anyhow!("the scanner has panicked"))??;
    let scans = known_scanner.stop()?;

    let (bans, stats) = (sipguard.bans()?, sipguard.stats()?);
    ensure!(!whole(&bans), "the carrier is banned: {bans:?}");
    let dropped = stats.packets("signature")? + stats.packets("options")?;
    ensure!(dropped > scans / 2, "{stats}");
    let wrong = registrar.count(STRANGER, Outcome::Wrong)?;
    println!("{wrong} guesses of the scanner, {bans:?}");
    // The endpoint is banned at the fifth; some are on their way by then.
    ensure!(wrong <= 10, "{wrong} guesses at one port");
    Ok(())
}

/// Somebody without a scanner's name, at a port of its own: looks for users and
/// guesses passwords by turns.
fn talk_for(lab: &Lab, time: Duration) -> Result<thread::JoinHandle<Result<()>>> {
    let talker = Talker::new(lab, STRANGER, 6_000)?;
    Ok(thread::spawn(move || {
        let started = Instant::now();
        let nonce = nonce(&talker.ask(&talker.register("1001"))?)?;
        for number in 0.. {
            if started.elapsed() > time {
                break;
            }
            let user = (1_000 + number % 2_000).to_string();
            talker.say(&talker.register(&user))?;
            talker.say(&talker.guess("1002", &nonce))?;
            talker.hear(Duration::from_millis(20))?;
        }
        Ok(())
    }))
}

/// N08 on a site: a guesser behind the address of customers, at ever new ports,
/// is bounded as well.
#[test]
fn n08_a_guesser_behind_a_site_is_bounded_at_whatever_ports() -> Result<()> {
    if !can_run(&[TOOLS, &[Tool::Sipvicious]].concat()) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let mut registrar = Registrar::start(&lab, Ways::default())?;
    let sipguard = Sipguard::start(&lab, &Policy::unsigned()?, &["--iface", WAN])?;
    all_register(&lab, 1_000..1_003, Duration::from_millis(100))?;
    for port in (5_100..5_120).step_by(10) {
        let attacks: Vec<_> = (port..port + 10)
            .map(|port| {
                let attacker = Attacker { address: STRANGER, port };
                attacker.guesses(&lab, u32::from(port) - 4_000, "1-30")
            })
            .collect::<Result<_>>()?;
        for attack in attacks {
            attack.found()?;
        }
    }
    let wrong = registrar.count(STRANGER, Outcome::Wrong)?;
    let bans = sipguard.bans()?;
    println!("{wrong} guesses from 20 ports of a site with 3 phones, {} bans", bans.len());
    ensure!(wrong <= 20 * 5, "{wrong} guesses");
    Ok(())
}

/// Whoever comes first is nobody's site: a source of which nothing is known.
#[test]
fn a_site_is_known_by_its_successes_only() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let mut registrar = Registrar::start(&lab, Ways::default())?;
    let sipguard = Sipguard::start(&lab, &Policy::usual()?, &["--iface", WAN])?;
    let other: IpAddr = STRANGERS[1];
    let phones = Subscribers {
        pause: Duration::from_millis(50),
        patience: Duration::from_secs(5),
        ..Subscribers::new(other, 1_000..1_010)
    };
    // Ten phones with one wrong password each are more than five failures.
    phones.start(Deed::Guess(3), &lab)?.end()?;
    let wrong = registrar.count(other, Outcome::Wrong)?;
    let bans = sipguard.bans()?;
    ensure!(bans.len() == 1 && bans[0]["rule"] == "auth", "{bans:?}");
    ensure!((5..15).contains(&wrong), "{wrong} guesses of a source without a site");
    Ok(())
}
