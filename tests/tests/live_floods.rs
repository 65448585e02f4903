//! Floods over a real wire to a real registrar: those who are known notice
//! nothing, and those who are not get in by saying it again.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use tests::{
    crowd::spoofed,
    packet::Packet,
    rig::{
        forger::{Forger, NUMBER},
        lab::{Lab, SERVER, STRANGERS, WAN, sip},
        policy::Policy,
        registrar::{Registrar, Ways},
        sipguard::Sipguard,
        subscriber::{Deed, Subscribers},
        talker::Talker,
        tool::{Tool, can_run},
    },
    sip::Message,
};

const TOOLS: &[Tool] = &[Tool::Ip, Tool::Unshare, Tool::Kamailio, Tool::Sipp, Tool::Sipguard];

/// Packets a second of the spoofed flood.
const FLOOD: u32 = 300_000;

/// How long a flood goes on before anybody else says something: the strangers'
/// budget is gone by then.
const SETTLE: Duration = Duration::from_secs(2);

/// A REGISTER of nobody in particular, each with a Call-ID of its own.
fn register() -> Packet {
    let message = Message::request("REGISTER", "sip:203.0.113.1")
        .replace("Call-ID", &format!("{NUMBER}@phone"))
        .header("Contact", "<sip:200@198.51.100.7:5061>")
        .agent("Grandstream GXP2140 1.0.9.14");
    Packet::udp("198.51.100.7:5061", "203.0.113.1:5060").no_checksum().payload(message.build())
}

/// Registers a phone, then gives its very socket.
fn verified(lab: &Lab, number: usize) -> Result<Talker> {
    Subscribers::one(STRANGERS[number], 5062, 1_001).does(Deed::Register(1), lab)?;
    Talker::new(lab, STRANGERS[number], 5062)
}

/// Asks again and again, each time once: every single one must be answered.
fn loses_nothing(phone: &Talker, asks: usize) -> Result<()> {
    for number in 0..asks {
        let method = ["OPTIONS", "SUBSCRIBE", "MESSAGE", "PUBLISH"][number % 4];
        let answer = phone.ask(&phone.request(method, "1001", "1002"))?;
        ensure!(answer.starts_with("SIP/2.0 200 "), "{method} {number}: {answer}");
        thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

/// L27, F26: during 300,000 spoofed REGISTERs a second a phone that nobody knows
/// is answered within five seconds, by its own retransmissions; one that is known
/// loses nothing; less than a hundredth of the flood reaches the registrar.
#[test]
fn l27_a_first_register_is_answered_during_a_spoofed_flood() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let mut registrar = Registrar::start(&lab, Ways::default())?;
    let sipguard = Sipguard::start(&lab, &Policy::usual()?, &["--iface", WAN])?;
    let known = verified(&lab, 0)?;
    let before = registrar.seen()?.len();

    // No source says the same twice.
    let flood = Forger::start(&lab, &register(), sip(SERVER), FLOOD, spoofed)?;
    let began = Instant::now();
    thread::sleep(SETTLE);
    for (number, source) in [STRANGERS[1], STRANGERS[2], STRANGERS[3]].into_iter().enumerate() {
        let newcomer = Subscribers {
            patience: Duration::from_secs(15),
            ..Subscribers::one(source, 5062, 1_100 + number as u32)
        };
        let started = Instant::now();
        let registering = newcomer.start(Deed::Register(1), &lab)?;
        loses_nothing(&known, 50)?;
        registering.succeeds()?;
        println!("{source} was registered after {:.1} s", started.elapsed().as_secs_f32());
    }
    let lasted = began.elapsed();
    let sent = flood.stop()?;
    let flooded = registrar.seen()?.split_off(before);
    let reached =
        flooded.iter().filter(|seen| !STRANGERS.contains(&seen.source.ip())).count() as u64;
    let stats = sipguard.stats()?;
    println!(
        "{sent} in {:.1} s ({:.0} a second), {reached} have reached the registrar; {stats}",
        lasted.as_secs_f32(),
        sent as f32 / lasted.as_secs_f32()
    );
    for source in &STRANGERS[1..] {
        let first = flooded.iter().position(|seen| seen.source.ip() == *source);
        ensure!(first.is_some(), "{source} has not reached the registrar");
    }
    ensure!(sent >= 100_000, "hardly a flood: {sent}");
    // The burst of the strangers' budget passes at once, whatever the rate.
    let budget = 5_000 + 400 + (1_200.0 * lasted.as_secs_f64()) as u64 + 100;
    ensure!(reached <= budget, "{reached} of {sent} have reached the registrar");
    ensure!(stats.packets("rate_verified")? == 0, "{stats}");
    Ok(())
}

/// A04, F09: 500 sources that each stay below their own limits, and together
/// are far above what all strangers may: phones that are known lose nothing.
#[test]
fn a04_f09_a_botnet_costs_verified_phones_nothing() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let mut registrar = Registrar::start(&lab, Ways::default())?;
    let sipguard = Sipguard::start(&lab, &Policy::usual()?, &["--iface", WAN])?;
    let known = verified(&lab, 0)?;
    let office = Subscribers::new(STRANGERS[1], 1_100..1_150);
    office.does(Deed::Register(1), &lab)?;
    let before = registrar.seen()?.len();

    // 10 a second of each are within its burst of 200 as long as this lasts.
    let botnet = Forger::start(&lab, &register(), sip(SERVER), 5_000, |n| spoofed(n % 500))?;
    let began = Instant::now();
    thread::sleep(SETTLE);
    let refreshing = Subscribers {
        pause: Duration::from_millis(300),
        // At ports that nobody knows, on a site that is known.
        ..Subscribers::new(STRANGERS[1], 1_100..1_150)
    };
    let refreshing = refreshing.start(Deed::Register(5), &lab)?;
    loses_nothing(&known, 200)?;
    refreshing.succeeds()?;
    let lasted = began.elapsed().as_secs_f64();
    let sent = botnet.stop()?;
    let reached = registrar
        .seen()?
        .split_off(before)
        .iter()
        .filter(|seen| !STRANGERS.contains(&seen.source.ip()))
        .count() as u64;
    let stats = sipguard.stats()?;
    println!("{sent} of the botnet in {lasted:.1} s, {reached} have arrived; {stats}");
    ensure!(sent > 10_000, "hardly a botnet: {sent}");
    let budget = 5_000 + 400 + (1_200.0 * lasted) as u64 + 100;
    ensure!(reached <= budget, "{reached} of {sent} have reached the registrar");
    for rule in ["rate_method", "rate_source", "rate_verified"] {
        ensure!(stats.packets(rule)? == 0, "{rule}: {stats}");
    }
    Ok(())
}
