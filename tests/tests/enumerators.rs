//! Whoever looks for users finds none: strangers cannot tell those that there
//! are from those that there are not, and who only tries them out is banned.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use tests::rig::{
    lab::{Lab, STRANGER, STRANGER_V6, STRANGERS, WAN},
    policy::Policy,
    registrar::{Outcome, Registrar, Ways},
    scanner::Attacker,
    sipguard::Sipguard,
    talker::{Talker, nonce},
    tool::{Tool, can_run},
};

const TOOLS: &[Tool] = &[Tool::Ip, Tool::Unshare, Tool::Kamailio, Tool::Sipguard];

/// Challenges and unknown users of one port that ban with the default policy,
/// and of one address.
const HARVEST: usize = 30;
const HARVEST_OF_A_SOURCE: usize = 10 * HARVEST;

/// How long a ban lasts that a forged sender could have caused.
const SHORT: SignedDuration = SignedDuration::from_secs(60);

/// So many requests that limits alone stop nobody.
const UNLIMITED: &str = "[limits.stranger]\nregister = \"unlimited\"\ninvite = \"unlimited\"\n\
                         total = \"unlimited\"\n";

/// What a client sees of an answer: the status line and the names of the
/// headers, with the schemes and parameters of challenges but not their values.
fn looks(answer: &str) -> Vec<String> {
    let (head, _) = answer.split_once("\r\n\r\n").unwrap_or((answer, ""));
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap_or_default().to_owned();
    let names = lines.map(|line| {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        if !name.ends_with("-Authenticate") {
            return name.to_owned();
        }
        // Every second piece between quotes is a value.
        let shape: String = value.split('"').step_by(2).collect();
        format!("{name}:{shape}")
    });
    [status].into_iter().chain(names).collect()
}

/// The answer to a request, or nothing.
fn answer(talker: &Talker, method: &str, user: &str, guess: Option<&str>) -> Result<Vec<String>> {
    let request = match (method, guess) {
        ("REGISTER", Some(nonce)) => talker.guess(user, nonce),
        ("REGISTER", None) => talker.register(user),
        _ => talker.request(method, "300", user),
    };
    talker.say(&request)?;
    let heard = talker.hear(tests::rig::talker::SILENCE)?;
    Ok(heard.as_deref().map(looks).unwrap_or_default())
}

/// A06, F23: without and with a guess, by REGISTER and INVITE, users that there
/// are and users that there are not get the same answer, whatever the registrar
/// says.
#[test]
fn f23_users_that_there_are_look_like_those_that_there_are_not() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    for (source, forbids) in [(STRANGER, false), (STRANGER, true), (STRANGER_V6, true)] {
        let lab = Lab::new()?;
        let mut registrar = Registrar::start(&lab, Ways { forbids, ..Ways::default() })?;
        let talker = Talker::new(&lab, source, 5066)?;
        let open = talker.ask(&talker.register("3001"))?;
        ensure!(open.starts_with("SIP/2.0 404 "), "without sipguard: {open}");

        let _sipguard = Sipguard::start(&lab, &Policy::usual()?, &["--iface", WAN])?;
        let nonce = nonce(&talker.ask(&talker.register("1001"))?)?;
        // What the server's challenge of a call looks like is known as of now.
        talker.ask(&talker.request("INVITE", "300", "1001"))?;
        for (method, guess) in
            [("REGISTER", None), ("REGISTER", Some(nonce.as_str())), ("INVITE", None)]
        {
            let there = answer(&talker, method, "1002", guess)?;
            let missing = answer(&talker, method, "3002", guess)?;
            let context = format!("{source} {method}, {}, forbids: {forbids}", guess.is_some());
            ensure!(!there.is_empty(), "no answer to {context}");
            ensure!(there == missing, "{context}:\nthere: {there:#?}\nmissing: {missing:#?}");
        }
        ensure!(registrar.count(source, Outcome::Missing)? == 4);
    }
    Ok(())
}

/// F23: nor does a closer look at the nonces of the challenges tell them apart:
/// not how they begin, where many servers put the time, and not what the server
/// says to credentials that are made with them.
#[test]
fn f23_nonces_do_not_tell_users_apart() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let _registrar = Registrar::start(&lab, Ways::default())?;
    let _sipguard = Sipguard::start(&lab, &Policy::usual()?, &["--iface", WAN])?;
    let talker = Talker::new(&lab, STRANGER, 5066)?;
    let nonce_of = |user: &str| nonce(&talker.ask(&talker.register(user))?);
    let (there, missing) = (nonce_of("1001")?, nonce_of("3001")?);
    let beginning = |nonce: &str| nonce.chars().take(3).collect::<String>();
    ensure!(there.len() == missing.len(), "{there} and {missing}");
    ensure!(beginning(&there) == beginning(&missing), "{there} and {missing}");
    let of_there = answer(&talker, "REGISTER", "1002", Some(&there))?;
    let of_missing = answer(&talker, "REGISTER", "1002", Some(&missing))?;
    ensure!(of_there == of_missing, "there: {of_there:#?}\nmissing: {of_missing:#?}");
    Ok(())
}

/// F23: with stealth "none" no stranger hears anything, with "all" everything.
#[test]
fn f23_stealth_none_is_silence_and_all_is_everything() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let _registrar = Registrar::start(&lab, Ways::default())?;
    let policy = |stealth: &str| {
        Ok::<_, anyhow::Error>(
            Policy::usual()?.with_main(&format!("[policy]\nstealth = \"{stealth}\"\n")),
        )
    };
    let sipguard = Sipguard::start(&lab, &policy("none")?, &["--iface", WAN])?;
    let talker = Talker::new(&lab, STRANGER, 5066)?;
    for user in ["1001", "3001"] {
        let heard = answer(&talker, "REGISTER", user, None)?;
        ensure!(heard.is_empty(), "{user} gets {heard:?}");
    }
    policy("all")?.write(sipguard.folder())?;
    let (ok, message) = sipguard.hang_up()?;
    ensure!(ok, "{message}");
    for (user, status) in [("1001", "SIP/2.0 401 Unauthorized"), ("3001", "SIP/2.0 404 Not Found")]
    {
        let heard = answer(&talker, "REGISTER", user, None)?;
        ensure!(heard.first().is_some_and(|line| line == status), "{user} gets {heard:?}");
    }
    Ok(())
}

/// svwar looks for ten users that there are and ten that there are not.
fn svwar_finds_nobody(method: &str, ports: u16) -> Result<()> {
    if !can_run(&[TOOLS, &[Tool::Sipvicious]].concat()) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let mut registrar = Registrar::start(&lab, Ways::default())?;
    let _sipguard = Sipguard::start(&lab, &Policy::unsigned()?, &["--iface", WAN])?;
    let attacks: Vec<_> = (0..ports)
        .map(|number| {
            let attacker = Attacker { address: STRANGER, port: 5_100 + number };
            attacker.looks_for(&lab, "1990-2009", method)
        })
        .collect::<Result<_>>()?;
    for attack in attacks {
        let found = attack.found()?;
        let there = found.iter().filter(|(user, _)| user.starts_with('1')).count();
        // All alike is as good as none.
        ensure!(there == found.len() - there, "svwar has told apart: {found:?}");
    }
    ensure!(registrar.count(STRANGER, Outcome::Missing)? > 0, "nothing has arrived");
    Ok(())
}

#[test]
fn a06_svwar_finds_no_extension() -> Result<()> {
    svwar_finds_nobody("REGISTER", 1)
}

#[test]
fn a06_svwar_by_invite_finds_no_extension() -> Result<()> {
    svwar_finds_nobody("INVITE", 1)
}

#[test]
fn a06_svwar_from_many_ports_finds_no_extension() -> Result<()> {
    svwar_finds_nobody("REGISTER", 8)
}

/// The one ban, of a whole source or of one of its ports.
fn harvest_ban(sipguard: &Sipguard<'_>) -> Result<Value> {
    let bans = sipguard.bans()?;
    let ban = bans.into_iter().next().context("nobody is banned")?;
    ensure!(ban["rule"] == "harvest" && ban["source"] == "198.51.100.7", "{ban}");
    let time =
        |name: &str| -> Result<Timestamp> { Ok(ban[name].as_str().context("no time")?.parse()?) };
    let lasts = time("until")?.duration_since(time("since")?);
    ensure!(lasts <= SHORT, "a forged sender would be banned for {lasts}");
    Ok(ban)
}

/// F22: who gets thirty challenges and refusals at one port, and no success, is
/// out, for a minute only: all of them could be forged.
#[test]
fn f22_a_harvester_is_out_after_thirty() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let mut registrar = Registrar::start(&lab, Ways::default())?;
    let policy = Policy::usual()?.with_main(UNLIMITED);
    let sipguard = Sipguard::start(&lab, &policy, &["--iface", WAN])?;
    let talker = Talker::new(&lab, STRANGER, 5066)?;
    for number in 0..HARVEST {
        // Missing and known ones by turns.
        let user = format!("{}", 1_985 + number);
        ensure!(!answer(&talker, "REGISTER", &user, None)?.is_empty(), "{number}");
    }
    ensure!(talker.asks_in_vain(&talker.register("1001"))?, "one more is answered");
    let seen = registrar.seen()?.len();
    ensure!(seen == HARVEST, "{seen} requests have reached the registrar");
    harvest_ban(&sipguard).map(drop)
}

/// F22: the same by one that gives all its requests the same Call-ID and CSeq,
/// as retransmissions have them.
#[test]
fn f22_a_harvester_with_one_call_id_is_counted_likewise() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let mut registrar = Registrar::start(&lab, Ways::default())?;
    let policy = Policy::usual()?.with_main(UNLIMITED);
    let sipguard = Sipguard::start(&lab, &policy, &["--iface", WAN])?;
    let talker = Talker::new(&lab, STRANGER, 5066)?;
    for number in 0..2 * HARVEST {
        let user = format!("{}", 1_970 + number);
        talker.say(&talker.register(&user).replace("Call-ID", "again and again"))?;
        talker.hear(Duration::from_millis(50))?;
    }
    let seen = registrar.seen()?.len();
    ensure!(seen == HARVEST, "{seen} requests have reached the registrar");
    harvest_ban(&sipguard).map(drop)
}

/// F22: the same from ever new ports.
#[test]
fn f22_a_harvester_at_many_ports_is_out_after_three_hundred() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let mut registrar = Registrar::start(&lab, Ways::default())?;
    let policy = Policy::usual()?.with_main(UNLIMITED);
    let sipguard = Sipguard::start(&lab, &policy, &["--iface", WAN])?;
    for number in 0..HARVEST_OF_A_SOURCE + 50 {
        let talker = Talker::new(&lab, STRANGER, 0)?;
        talker.say(&talker.register(&format!("{}", 1_500 + number)))?;
        // So that the answers come before the next request.
        if number % 10 == 0 {
            registrar.seen()?;
        }
    }
    let seen = registrar.seen()?.len();
    ensure!(
        (HARVEST_OF_A_SOURCE..HARVEST_OF_A_SOURCE + 10).contains(&seen),
        "{seen} requests have reached the registrar"
    );
    harvest_ban(&sipguard)?;
    let neighbour = Talker::new(&lab, STRANGERS[1], 5066)?;
    ensure!(!answer(&neighbour, "REGISTER", "1001", None)?.is_empty(), "a neighbour is out, too");
    Ok(())
}
