//! Whoever guesses passwords gets as many guesses to the registrar as the policy
//! says, and no more: counted where they arrive.

use std::{net::IpAddr, time::Duration};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tests::rig::{
    lab::{Lab, SERVER, STRANGER, STRANGER_V6, STRANGERS, WAN},
    policy::Policy,
    registrar::{Outcome, Registrar, Ways},
    scanner::Attacker,
    sipguard::Sipguard,
    subscriber::{Deed, Subscribers, Transport},
    talker::{Talker, credentials, nonce},
    tool::{Tool, can_run},
};

const TOOLS: &[Tool] = &[Tool::Ip, Tool::Unshare, Tool::Kamailio, Tool::Sipp, Tool::Sipguard];

/// Guesses of one source that reach the registrar with the default policy.
const GUESSES: usize = 5;

fn guesses(registrar: &mut Registrar, source: IpAddr) -> Result<usize> {
    registrar.count(source, Outcome::Wrong)
}

/// The one ban, which must be of a source.
fn ban_of(sipguard: &Sipguard<'_>, source: &str) -> Result<Value> {
    let bans = sipguard.bans()?;
    ensure!(bans.len() == 1 && bans[0]["source"] == source, "{bans:?}");
    bans.into_iter().next().context("no ban")
}

/// N08, A05, F21: one svcrack at one extension and port, which gives each guess
/// the Call-ID and CSeq of the one before: five arrive.
#[test]
fn n08_a05_f21_one_svcrack_delivers_five_guesses() -> Result<()> {
    if !can_run(&[TOOLS, &[Tool::Sipvicious]].concat()) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let mut registrar = Registrar::start(&lab, Ways::default())?;
    let sipguard = Sipguard::start(&lab, &Policy::unsigned()?, &["--iface", WAN])?;
    let attacker = Attacker { address: STRANGER, port: 5_100 };
    let found = attacker.guesses(&lab, 1_001, "90800-91001")?.found()?;
    ensure!(found.is_empty(), "svcrack has found {found:?}");
    let delivered = guesses(&mut registrar, STRANGER)?;
    ensure!(delivered == GUESSES, "{delivered} guesses, {:?}", sipguard.bans()?);
    ensure!(ban_of(&sipguard, "198.51.100.7")?["rule"] == "auth");
    Ok(())
}

/// N08, A05, F21: svcrack tries fifty extensions with thirty passwords each,
/// from fifty ports: five guesses arrive, and no later one, not even the right
/// password.
#[test]
fn n08_a05_f21_svcrack_over_fifty_extensions_delivers_five_guesses() -> Result<()> {
    if !can_run(&[TOOLS, &[Tool::Sipvicious]].concat()) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let mut registrar = Registrar::start(&lab, Ways::default())?;
    let sipguard = Sipguard::start(&lab, &Policy::unsigned()?, &["--iface", WAN])?;
    for half in 0..2_u16 {
        let attacks: Vec<_> = (0..25)
            .map(|number| {
                let number = 25 * half + number;
                let attacker = Attacker { address: STRANGER, port: 5_100 + number };
                let user = 1_000 + u32::from(number);
                attacker.guesses(&lab, user, &format!("{}-{}", 89_971 + user, 90_000 + user))
            })
            .collect::<Result<_>>()?;
        for attack in attacks {
            let found = attack.found()?;
            ensure!(found.is_empty(), "svcrack has found {found:?}");
        }
        let delivered = guesses(&mut registrar, STRANGER)?;
        ensure!(delivered <= GUESSES, "{delivered} guesses after {} extensions", 25 * (half + 1));
    }
    let delivered = guesses(&mut registrar, STRANGER)?;
    ensure!(delivered == GUESSES, "only {delivered} guesses");
    let ban = ban_of(&sipguard, "198.51.100.7")?;
    ensure!(ban["rule"] == "auth", "{ban}");
    let stats = sipguard.stats()?;
    ensure!(stats.packets("banned")? > 0, "{stats}");
    Ok(())
}

/// F21: the packet behind the fifth refusal is the first that does not arrive;
/// over IPv6 the whole network of the guesser is out.
#[test]
fn f21_the_ban_holds_on_the_packet_after_the_fifth_refusal() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    for (source, banned) in [(STRANGER, "198.51.100.7"), (STRANGER_V6, "2001:db8:2::/64")] {
        for forbids in [false, true] {
            let lab = Lab::new()?;
            let mut registrar = Registrar::start(&lab, Ways { forbids, ..Ways::default() })?;
            let sipguard = Sipguard::start(&lab, &Policy::usual()?, &["--iface", WAN])?;
            let guesser = Talker::new(&lab, source, 5066)?;
            let nonce = nonce(&guesser.ask(&guesser.register("1001"))?)?;
            for number in 0..GUESSES {
                let guess = guesser.guess(&format!("{}", 1001 + number), &nonce);
                guesser.ask(&guess).with_context(|| format!("forbids: {forbids}"))?;
            }
            ensure!(guesser.asks_in_vain(&guesser.guess("1001", &nonce))?, "a sixth answer");
            let other_port = Talker::new(&lab, source, 0)?;
            ensure!(other_port.asks_in_vain(&guesser.register("1001"))?, "at another port");
            ensure!(guesses(&mut registrar, source)? == GUESSES, "forbids: {forbids}");
            let ban = ban_of(&sipguard, banned)?;
            ensure!(ban["rule"] == "auth", "{ban}");
        }
    }
    Ok(())
}

/// N08: guesses that are all sent before the first of them is refused.
#[test]
fn n08_guesses_that_do_not_wait_for_answers_are_bounded() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let mut registrar = Registrar::start(&lab, Ways::default())?;
    let _sipguard = Sipguard::start(&lab, &Policy::usual()?, &["--iface", WAN])?;
    let guesser = Talker::new(&lab, STRANGER, 5066)?;
    let nonce = nonce(&guesser.ask(&guesser.register("1001"))?)?;
    let all: Vec<_> = (0..150).map(|_| guesser.guess("1001", &nonce)).collect();
    for guess in &all {
        guesser.say(guess)?;
    }
    let delivered = guesses(&mut registrar, STRANGER)?;
    println!("{delivered} of {} guesses at once were delivered", all.len());
    // One may be judged on another CPU in the very instant of the ban.
    ensure!(delivered <= GUESSES + 1, "{delivered} guesses");
    Ok(())
}

/// D01: that the server has answered a pair of sockets opens nothing for it:
/// guesses there are counted like all, and end.
#[test]
fn d01_a_guesser_on_an_answered_pair_of_sockets_is_out_after_five() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let mut registrar = Registrar::start(&lab, Ways::default())?;
    let sipguard = Sipguard::start(&lab, &Policy::usual()?, &["--iface", WAN])?;
    let guesser = Talker::new(&lab, STRANGER, 5066)?;
    let nonce = nonce(&guesser.ask(&guesser.register("1001"))?)?;
    for _ in 0..1_000 {
        let guess = guesser.guess("1001", &nonce);
        guesser.say(&guess)?;
        guesser.hear(Duration::from_millis(2))?;
    }
    let delivered = guesses(&mut registrar, STRANGER)?;
    ensure!(delivered <= GUESSES, "{delivered} guesses");
    let stats = sipguard.stats()?;
    ensure!(stats.packets("banned")? >= 900, "{stats}");
    Ok(())
}

/// F21: guesses by calls, which the registrar asks for Proxy-Authorization, are
/// counted with those by registrations.
#[test]
fn f21_guesses_by_calls_are_counted_likewise() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let mut registrar = Registrar::start(&lab, Ways::default())?;
    let sipguard = Sipguard::start(&lab, &Policy::usual()?, &["--iface", WAN])?;
    let guesser = Talker::new(&lab, STRANGER, 5066)?;
    let call = || guesser.request("INVITE", "1001", "1002");
    let nonce = nonce(&guesser.ask(&call())?)?;
    for _ in 0..20 {
        let credentials = credentials("1001", &nonce, SERVER);
        guesser.say(&call().header("Proxy-Authorization", &credentials))?;
        guesser.say(&guesser.guess("1001", &nonce))?;
        while guesser.hear(Duration::from_millis(50))?.is_some() {}
    }
    let delivered = guesses(&mut registrar, STRANGER)?;
    // The two of a pair go together.
    ensure!((GUESSES..=GUESSES + 1).contains(&delivered), "{delivered} guesses");
    ensure!(ban_of(&sipguard, "198.51.100.7")?["rule"] == "auth");
    Ok(())
}

/// F21 over TCP, where nobody can be forged.
#[test]
fn f21_guesses_over_tcp_are_counted_likewise() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let mut registrar = Registrar::start(&lab, Ways::default())?;
    let sipguard = Sipguard::start(&lab, &Policy::usual()?, &["--iface", WAN])?;
    let phone = Subscribers {
        transport: Transport::Tcp,
        patience: Duration::from_secs(5),
        pause: Duration::from_millis(50),
        ..Subscribers::one(STRANGER, 5062, 1001)
    };
    phone.fails(Deed::Guess(20), &lab)?;
    let delivered = guesses(&mut registrar, STRANGER)?;
    ensure!(delivered == GUESSES, "{delivered} guesses");
    ensure!(ban_of(&sipguard, "198.51.100.7")?["rule"] == "auth");
    Ok(())
}

/// L05: four wrong passwords and then the right one, again and again: nobody is
/// banned.
#[test]
fn l05_four_wrong_passwords_and_the_right_one() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let mut registrar = Registrar::start(&lab, Ways::default())?;
    let sipguard = Sipguard::start(&lab, &Policy::usual()?, &["--iface", WAN])?;
    for (source, transport) in [(STRANGERS[0], Transport::Udp), (STRANGERS[1], Transport::Tcp)] {
        let phone = Subscribers {
            transport,
            pause: Duration::from_millis(50),
            ..Subscribers::one(source, 5062, 1001)
        };
        for _ in 0..3 {
            phone.does(Deed::Guess(4), &lab)?;
            phone.does(Deed::Register(1), &lab)?;
        }
        ensure!(guesses(&mut registrar, source)? == 12);
    }
    ensure!(sipguard.bans()?.is_empty(), "{:?}", sipguard.bans()?);
    Ok(())
}
