//! Customers of a real registrar behind sipguard: they register, renew, call and
//! move as phones do, and nothing of it is held against them.

use std::{net::SocketAddr, thread, time::Duration};

use anyhow::{Result, ensure};
use tests::rig::{
    lab::{Lab, STRANGER, STRANGER_V6, STRANGERS, WAN},
    policy::Policy,
    registrar::{Outcome, Registrar, Ways},
    sipguard::{Sipguard, Stats},
    softphone::Softphone,
    subscriber::{Deed, Subscribers, Transport},
    talker::Talker,
    tool::{Tool, can_run},
    wait,
};

const TOOLS: &[Tool] = &[Tool::Ip, Tool::Unshare, Tool::Kamailio, Tool::Sipp, Tool::Sipguard];

const PATIENCE: Duration = Duration::from_secs(20);

/// Nobody was banned, and nothing dropped.
fn unharmed(sipguard: &Sipguard<'_>) -> Result<Stats> {
    let bans = sipguard.bans()?;
    ensure!(bans.is_empty(), "{bans:?}");
    let stats = sipguard.stats()?;
    for rule in stats.rules()? {
        ensure!(rule["verdict"] == "pass" || rule["packets"] == 0, "dropped: {rule}");
    }
    Ok(stats)
}

/// L03: a phone that nobody knows registers and renews that, over everything.
#[test]
fn l03_an_unknown_phone_registers_and_refreshes() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let mut registrar = Registrar::start(&lab, Ways::default())?;
    let sipguard = Sipguard::start(&lab, &Policy::usual()?, &["--iface", WAN])?;
    let mut known = 0;
    for transport in [Transport::Udp, Transport::Tcp] {
        for source in [STRANGER, STRANGER_V6] {
            let phone = Subscribers {
                transport,
                pause: Duration::from_millis(100),
                ..Subscribers::one(source, 5062, 1001)
            };
            phone.does(Deed::Register(8), &lab)?;
            let stats = unharmed(&sipguard)?;
            let verified = stats.packets("verified")?;
            // All but the two until the first success.
            ensure!(verified >= known + 7, "{transport:?} from {source}: {stats}");
            known = verified;
        }
    }
    ensure!(registrar.count(STRANGER, Outcome::Right)? == 16);
    ensure!(registrar.count(STRANGER_V6, Outcome::Wrong)? == 0);
    Ok(())
}

/// L03, L10: a softphone that people use registers, and answers what the server
/// asks it.
#[test]
fn l03_l10_a_softphone_registers_and_is_probed() -> Result<()> {
    if !can_run(&[TOOLS, &[Tool::Baresip]].concat()) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let ways = Ways { probes: Some(Duration::from_secs(1)), ..Ways::default() };
    let mut registrar = Registrar::start(&lab, ways)?;
    let sipguard = Sipguard::start(&lab, &Policy::usual()?, &["--iface", WAN])?;
    let _softphone = Softphone::start(&lab, SocketAddr::new(STRANGER, 5080), 1001)?;
    wait::until("three answers of the softphone", PATIENCE, || {
        Ok((registrar.count(STRANGER, Outcome::Response)? >= 3).then_some(()))
    })?;
    unharmed(&sipguard).map(drop)
}

/// L04: the server finds each nonce too old after a second. Six such challenges
/// are more than wrong passwords are allowed, and none is one.
#[test]
fn l04_stale_nonces_are_no_failures() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let ways = Ways { nonce: Duration::from_secs(1), ..Ways::default() };
    let mut registrar = Registrar::start(&lab, ways)?;
    let policy = Policy::usual()?.with_main("[auth]\nfailures = 2\n");
    let sipguard = Sipguard::start(&lab, &policy, &["--iface", WAN])?;
    let phone = |source, transport| Subscribers {
        transport,
        pause: Duration::from_millis(2_100),
        patience: Duration::from_secs(30),
        ..Subscribers::one(source, 5062, 1001)
    };
    let phones = [phone(STRANGERS[0], Transport::Udp), phone(STRANGERS[1], Transport::Tcp)];
    let registering: Vec<_> =
        phones.iter().map(|phone| phone.start(Deed::Register(5), &lab)).collect::<Result<_>>()?;
    for phone in registering {
        phone.succeeds()?;
    }
    for source in &STRANGERS[..2] {
        let stale = registrar.count(*source, Outcome::Stale)?;
        ensure!(stale >= 3, "only {stale} stale nonces");
        ensure!(registrar.count(*source, Outcome::Wrong)? == 0);
    }
    unharmed(&sipguard).map(drop)
}

/// L16, L17, L20: a call between two customers, with a session refresh, a
/// re-INVITE, DTMF and OPTIONS within it.
#[test]
fn l16_l17_l20_a_call_is_refreshed_and_asked_after() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let mut registrar = Registrar::start(&lab, Ways::default())?;
    let sipguard = Sipguard::start(&lab, &Policy::usual()?, &["--iface", WAN])?;
    let caller = Subscribers::one(STRANGERS[0], 5062, 1001);
    let callee = Subscribers::one(STRANGERS[1], 5064, 1002);
    for phone in [&caller, &callee] {
        phone.does(Deed::Register(1), &lab)?;
    }
    let answering = callee.start(Deed::Answer, &lab)?;
    caller.does(Deed::Call(1002), &lab)?;
    answering.succeeds()?;
    ensure!(registrar.count(STRANGERS[0], Outcome::Dialog)? == 8);
    let stats = unharmed(&sipguard)?;
    // Two of each phone until it is known.
    ensure!(stats.packets("stranger")? == 4, "{stats}");
    Ok(())
}

/// L17, L20: whatever a registered phone says is heard, OPTIONS too, and a burst
/// of it.
#[test]
fn l17_l20_a_registered_phone_may_say_everything() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let _registrar = Registrar::start(&lab, Ways::default())?;
    let sipguard = Sipguard::start(&lab, &Policy::usual()?, &["--iface", WAN])?;
    for source in [STRANGER, STRANGER_V6] {
        Subscribers::one(source, 5062, 1001).does(Deed::Register(1), &lab)?;
        let phone = Talker::new(&lab, source, 5062)?;
        for method in
            ["PUBLISH", "SUBSCRIBE", "NOTIFY", "MESSAGE", "PRACK", "INFO", "REFER", "OPTIONS"]
        {
            for number in 0..20 {
                let answer = phone.ask(&phone.request(method, "1001", "1002"))?;
                ensure!(answer.starts_with("SIP/2.0 200 "), "{method} {number}: {answer}");
            }
        }
    }
    unharmed(&sipguard)?;
    // Its neighbour at the same address is not the phone.
    let neighbour = Talker::new(&lab, STRANGER, 5063)?;
    let options = neighbour.request("OPTIONS", "1001", "1002");
    ensure!(neighbour.asks_in_vain(&options)?, "a stranger may ask, too");
    ensure!(sipguard.stats()?.packets("options")? == 1);
    Ok(())
}

/// L21: a phone that comes back at another port or address registers anew there
/// and goes on.
#[test]
fn l21_a_phone_that_moves_is_welcome() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let mut registrar = Registrar::start(&lab, Ways::default())?;
    let sipguard = Sipguard::start(&lab, &Policy::usual()?, &["--iface", WAN])?;
    let places = [
        (STRANGERS[0], 5062),
        (STRANGERS[0], 40_001),
        (STRANGERS[1], 5062),
        (STRANGERS[2], 33_333),
        (STRANGERS[0], 5062),
    ];
    for (source, port) in places {
        let phone = Subscribers {
            pause: Duration::from_millis(100),
            ..Subscribers::one(source, port, 1001)
        };
        phone.does(Deed::Register(2), &lab)?;
    }
    // A satellite link: ten copies of each message arrive at once.
    let slow = Talker::new(&lab, STRANGERS[3], 5062)?;
    let register = slow.register("1002");
    for _ in 0..10 {
        slow.say(&register)?;
        thread::sleep(Duration::from_millis(20));
    }
    ensure!(
        slow.hear(Duration::from_secs(5))?.is_some_and(|heard| heard.starts_with("SIP/2.0 401"))
    );
    ensure!(registrar.count(STRANGERS[3], Outcome::Challenged)? == 10);
    let right: usize = STRANGERS
        .iter()
        .map(|source| registrar.count(*source, Outcome::Right))
        .sum::<Result<_>>()?;
    ensure!(right == 2 * places.len());
    unharmed(&sipguard).map(drop)
}

/// L19: a trunk with a wrong password each second is out for as long as the
/// policy says, and clean after the fix.
#[test]
fn l19_a_trunk_with_a_wrong_password_is_clean_after_the_fix() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let mut registrar = Registrar::start(&lab, Ways::default())?;
    let policy = Policy::usual()?.with_main("[auth]\nban = \"3s\"\nban_max = \"3s\"\n");
    let sipguard = Sipguard::start(&lab, &policy, &["--iface", WAN])?;
    let trunk = Subscribers {
        pause: Duration::from_millis(100),
        patience: Duration::from_secs(4),
        ..Subscribers::one(STRANGER, 5062, 1001)
    };
    trunk.fails(Deed::Guess(20), &lab)?;
    let guesses = registrar.count(STRANGER, Outcome::Wrong)?;
    ensure!((5..=10).contains(&guesses), "{guesses} guesses");
    thread::sleep(Duration::from_secs(4));
    ensure!(sipguard.bans()?.is_empty(), "{:?}", sipguard.bans()?);
    // Somebody has corrected the password.
    trunk.does(Deed::Register(3), &lab)?;
    trunk.does(Deed::Register(3), &lab)?;
    ensure!(sipguard.bans()?.is_empty(), "{:?}", sipguard.bans()?);
    Ok(())
}
