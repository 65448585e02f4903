//! Floods over a real wire to a real registrar: those who are known notice
//! nothing, and those who are not get in by saying it again.

use std::{
    net::IpAddr,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, bail, ensure};
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

/// How soon a phone that nobody knows is answered.
const FIRST_ANSWER: Duration = Duration::from_secs(5);

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

    // No source says the same twice.
    let flood = Forger::start(&lab, &register(), sip(SERVER), FLOOD, spoofed)?;
    thread::sleep(SETTLE);
    let (began, before, sent_before) = (Instant::now(), strays(&mut registrar)?, flood.sent());
    for (number, source) in [STRANGERS[1], STRANGERS[2], STRANGERS[3]].into_iter().enumerate() {
        let newcomer = Talker::new(&lab, source, 5062)?;
        let started = Instant::now();
        let register = newcomer.register(&format!("{}", 1_100 + number));
        let answer = retransmits(&newcomer, &register)?;
        ensure!(answer.starts_with("SIP/2.0 401 "), "{answer}");
        println!("{source} was answered after {:.1} s", started.elapsed().as_secs_f32());
        ensure!(started.elapsed() <= FIRST_ANSWER, "answered after {:?}", started.elapsed());
        loses_nothing(&known, 50)?;
        // The whole of it, by a phone.
        Subscribers::one(source, 5063, 1_110 + number as u32).does(Deed::Register(1), &lab)?;
    }
    let (lasted, sent) = (began.elapsed().as_secs_f64(), flood.sent() - sent_before);
    let reached = strays(&mut registrar)? - before;
    let all = flood.stop()?;
    let stats = sipguard.stats()?;
    println!(
        "{all} in all; {sent} in {lasted:.1} s, {:.0} a second, of which {reached} have reached \
         the registrar; {stats}",
        sent as f64 / lasted
    );
    // What the policy lets pass of strangers, whatever the flood.
    let budget = (1_200.0 * (lasted + 1.0)) as usize;
    ensure!(reached <= budget, "{reached} of {sent} in {lasted} s have reached the registrar");
    // A machine that is busy with something else sends less than 300,000 a second.
    let is_full = sent as f64 / lasted >= 150_000.0;
    ensure!(!is_full || (reached as u64) < sent / 100, "{reached} of {sent}");
    ensure!(stats.packets("rate_verified")? == 0, "{stats}");
    Ok(())
}

/// Messages of the flood that have reached the registrar so far.
fn strays(registrar: &mut Registrar) -> Result<usize> {
    let ours = |source: &IpAddr| STRANGERS.contains(source);
    Ok(registrar.seen()?.iter().filter(|seen| !ours(&seen.source.ip())).count())
}

/// Says something as RFC 3261 has a phone say it: again after 0.5, 1, 2 and 4 s,
/// until it is answered.
fn retransmits(phone: &Talker, message: &Message) -> Result<String> {
    for halves in [1, 2, 4, 8, 8, 8] {
        phone.say(message)?;
        if let Some(answer) = phone.hear(halves * Duration::from_millis(500))? {
            return Ok(answer);
        }
    }
    bail!("never answered")
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
    let before = strays(&mut registrar)?;

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
    let reached = (strays(&mut registrar)? - before) as u64;
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
