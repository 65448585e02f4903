//! What only seems to come from somebody costs that somebody nothing: forged
//! frames on a real wire, and a real registrar that refuses them.

use std::{net::SocketAddr, thread, time::Duration};

use anyhow::{Context as _, Result, ensure};
use jiff::{SignedDuration, Timestamp};
use tests::{
    packet::Packet,
    rig::{
        lab::{Lab, SERVER, STRANGERS, TRUSTED, WAN, sip},
        policy::Policy,
        registrar::{Outcome, Registrar, Ways},
        sipguard::Sipguard,
        subscriber::{Deed, Subscribers},
        talker::{Talker, credentials, nonce},
        tcp::forge,
        tool::{Tool, can_run},
    },
    sip::Message,
};

const TOOLS: &[Tool] = &[Tool::Ip, Tool::Unshare, Tool::Kamailio, Tool::Sipp, Tool::Sipguard];

/// How long a ban may last whose evidence can be forged.
const SHORT: SignedDuration = SignedDuration::from_secs(60);

/// In which Kamailio gives everybody the same nonce, and a little more.
const SECOND: Duration = Duration::from_millis(1_100);

/// Forged messages of each kind.
const FORGED: u32 = 100;

/// Guesses, requests without credentials and scans that seem to come from there,
/// some of them with a nonce that the server has really given, to somebody else.
fn slander(lab: &Lab, victim: SocketAddr, nonce: &str) -> Result<()> {
    let (victim, server) = (victim.to_string(), sip(SERVER).to_string());
    for number in 0..FORGED {
        let register = Message::request("REGISTER", "sip:203.0.113.1")
            .replace("Via", &format!("SIP/2.0/UDP {victim};branch=z9hG4bK-forged{number};rport"))
            .replace("From", "<sip:1002@203.0.113.1>;tag=forged")
            .replace("To", "<sip:1002@203.0.113.1>")
            .replace("Call-ID", &format!("forged-{number}"));
        let scan = register.clone().agent("friendly-scanner");
        let missing = register.clone().replace("To", "<sip:3002@203.0.113.1>");
        let guess = |nonce: &str| {
            register.clone().header("Authorization", &credentials("1002", nonce, SERVER))
        };
        for message in [&register, &scan, &missing, &guess(nonce), &guess("invented")] {
            let datagram = Packet::udp(&victim, &server).payload(message.build());
            forge(lab, &datagram.build(), sip(SERVER))?;
        }
        // Of no connection.
        let segment = Packet::tcp(&victim, &server).payload(guess(nonce).build());
        forge(lab, &segment.build(), sip(SERVER))?;
    }
    Ok(())
}

/// L31, I8: hundreds of forged guesses and scans ban neither a trusted peer nor a
/// phone that is verified, at its own port and at others.
#[test]
fn l31_forged_guesses_ban_no_trusted_and_no_verified_source() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let mut registrar = Registrar::start(&lab, Ways::default())?;
    let sipguard = Sipguard::start(&lab, &Policy::usual()?, &["--iface", WAN])?;
    let attacker = Talker::new(&lab, STRANGERS[3], 5066)?;
    let nonce = nonce(&attacker.ask(&attacker.register("1009"))?)?;
    // This one will be nobody else's.
    thread::sleep(SECOND);
    for source in [TRUSTED, STRANGERS[0]] {
        Subscribers::one(source, 5062, 1001).does(Deed::Register(1), &lab)?;
        let phone = Talker::new(&lab, source, 5062)?;
        for port in [5062, 5070] {
            slander(&lab, SocketAddr::new(source, port), &nonce)?;
        }
        let wrong = registrar.count(source, Outcome::Wrong)?;
        ensure!(wrong > 5, "only {wrong} forged guesses have reached the registrar");
        let answer = is_answered(&phone)?;
        ensure!(answer, "{source} is out");
    }
    let bans = sipguard.bans()?;
    ensure!(bans.is_empty(), "{bans:?}");
    Ok(())
}

/// Whether a phone is answered, among what the server says to forged requests.
fn is_answered(phone: &Talker) -> Result<bool> {
    while phone.hear(Duration::from_millis(200))?.is_some() {}
    for method in ["OPTIONS", "MESSAGE", "SUBSCRIBE"] {
        if !phone.ask(&phone.request(method, "1001", "1002"))?.starts_with("SIP/2.0 200 ") {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The bans are for harvesting and short, if there are any.
fn is_out_for_a_minute_at_most(sipguard: &Sipguard<'_>) -> Result<()> {
    for ban in sipguard.bans()? {
        let time = |name: &str| -> Result<Timestamp> {
            Ok(ban[name].as_str().context("no time")?.parse()?)
        };
        let lasts = time("until")?.duration_since(time("since")?);
        ensure!(ban["rule"] == "harvest" && lasts <= SHORT, "{ban}");
    }
    Ok(())
}

/// I8: the same of a source of which nothing is known: out for a minute at most.
#[test]
fn l31_a_stranger_that_was_slandered_is_out_for_a_minute_at_most() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let mut registrar = Registrar::start(&lab, Ways::default())?;
    let sipguard = Sipguard::start(&lab, &Policy::usual()?, &["--iface", WAN])?;
    let attacker = Talker::new(&lab, STRANGERS[3], 5066)?;
    let nonce = nonce(&attacker.ask(&attacker.register("1009"))?)?;
    // This one will be nobody else's.
    thread::sleep(SECOND);
    slander(&lab, SocketAddr::new(STRANGERS[0], 5062), &nonce)?;
    let wrong = registrar.count(STRANGERS[0], Outcome::Wrong)?;
    ensure!(wrong > 5, "only {wrong} forged guesses have reached the registrar");
    is_out_for_a_minute_at_most(&sipguard)
}

/// I8: Kamailio as it comes gives one nonce to all whom it challenges within a
/// second. So whoever has it challenge somebody else by a forged request, and is
/// challenged at the same time, knows the nonce that went there: it is no proof.
#[test]
fn l31_a_nonce_that_several_have_got_proves_nothing() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let _registrar = Registrar::start(&lab, Ways::default())?;
    let sipguard = Sipguard::start(&lab, &Policy::usual()?, &["--iface", WAN])?;
    let attacker = Talker::new(&lab, STRANGERS[3], 5066)?;
    // A phone that is verified, and a stranger.
    Subscribers::one(STRANGERS[0], 5062, 1001).does(Deed::Register(1), &lab)?;
    for source in &STRANGERS[..2] {
        let victim = Talker::new(&lab, *source, 5062)?;
        let (victim_at, server) = (victim.local().to_string(), sip(SERVER).to_string());
        let forged = |message: Message| {
            let datagram = Packet::udp(&victim_at, &server).payload(message.build());
            forge(&lab, &datagram.build(), sip(SERVER))
        };
        for round in 0..10 {
            forged(victim.register(&format!("{}", 1_100 + round)))?;
            let nonce = nonce(&attacker.ask(&attacker.register("1009"))?)?;
            forged(victim.guess("1002", &nonce))?;
            // What it has not asked for.
            while victim.hear(Duration::from_millis(50))?.is_some() {}
        }
        is_out_for_a_minute_at_most(&sipguard).with_context(|| source.to_string())?;
    }
    is_answered(&Talker::new(&lab, STRANGERS[0], 5062)?).map(drop)
}
