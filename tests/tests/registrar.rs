//! The rig of the registrar itself, without a filter: its phones are served, and
//! its attackers succeed. What the tests of the filter show would be worth
//! nothing otherwise.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use anyhow::{Result, ensure};
use tests::rig::{
    answerer::Answerer,
    carrier::Carrier,
    lab::{Lab, STRANGER, STRANGER_V6, STRANGERS},
    registrar::{Outcome, Registrar, Ways, password},
    scanner::Attacker,
    subscriber::{Deed, Subscribers, Transport},
    tool::{Tool, can_run},
    wait,
};

const TOOLS: &[Tool] = &[Tool::Ip, Tool::Unshare, Tool::Kamailio, Tool::Sipp];

const PATIENCE: Duration = Duration::from_secs(20);

const ATTACKER: Attacker = Attacker { address: STRANGER, port: 5066 };

fn outcomes(registrar: &mut Registrar, source: IpAddr) -> Result<Vec<Outcome>> {
    let seen = registrar.seen()?.into_iter().filter(|seen| seen.source.ip() == source);
    Ok(seen.map(|seen| seen.outcome).collect())
}

#[test]
fn phones_register_over_everything() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let mut registrar = Registrar::start(&lab, Ways::default())?;
    for transport in [Transport::Udp, Transport::Tcp] {
        for address in [STRANGER, STRANGER_V6] {
            let before = outcomes(&mut registrar, address)?.len();
            let phone = Subscribers { transport, ..Subscribers::one(address, 5062, 1001) };
            phone.does(Deed::Register(2), &lab)?;
            let heard = outcomes(&mut registrar, address)?.split_off(before);
            let expected = [Outcome::Challenged, Outcome::Right, Outcome::Right];
            ensure!(heard == expected, "{transport:?} from {address}: {heard:?}");
        }
    }
    let last = registrar.seen()?;
    ensure!(last.iter().filter(|seen| seen.is_tcp).count() == 6, "{last:?}");
    Ok(())
}

#[test]
fn an_old_nonce_is_stale_and_an_old_password_is_wrong() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let ways = Ways { nonce: Duration::from_secs(1), ..Ways::default() };
    let mut registrar = Registrar::start(&lab, ways)?;
    let pause = Duration::from_millis(2_500);
    let phone = Subscribers { pause, ..Subscribers::one(STRANGER, 5062, 1001) };
    phone.does(Deed::Register(2), &lab)?;
    let heard = outcomes(&mut registrar, STRANGER)?;
    let expected = [Outcome::Challenged, Outcome::Right, Outcome::Stale, Outcome::Right];
    ensure!(heard == expected, "{heard:?}");
    Subscribers::one(STRANGERS[1], 5062, 1002).does(Deed::Guess(3), &lab)?;
    let heard = outcomes(&mut registrar, STRANGERS[1])?;
    ensure!(heard == [Outcome::Challenged, Outcome::Wrong].repeat(3), "{heard:?}");
    Ok(())
}

#[test]
fn phones_call_each_other() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let mut registrar = Registrar::start(&lab, Ways::default())?;
    let (caller, callee) =
        (Subscribers::one(STRANGER, 5062, 1001), Subscribers::one(STRANGERS[1], 5064, 1002));
    for phone in [&caller, &callee] {
        phone.does(Deed::Register(1), &lab)?;
    }
    let answering = callee.start(Deed::Answer, &lab)?;
    caller.does(Deed::Call(1002), &lab)?;
    answering.succeeds()?;
    let heard = outcomes(&mut registrar, STRANGER)?;
    // ACK twice, UPDATE, INVITE, INFO, OPTIONS, BYE; and ACK of the challenge.
    let within = heard.iter().filter(|outcome| **outcome == Outcome::Dialog).count();
    ensure!(within == 8, "{heard:?}");
    Ok(())
}

#[test]
fn svcrack_finds_a_password() -> Result<()> {
    if !can_run(&[TOOLS, &[Tool::Sipvicious]].concat()) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let mut registrar = Registrar::start(&lab, Ways::default())?;
    let found = ATTACKER.guesses(&lab, 1020, "91000-91020")?.found()?;
    ensure!(found == [("1020".to_owned(), password(1020))], "{found:?}");
    let guesses = registrar.count(STRANGER, Outcome::Wrong)?;
    ensure!(guesses >= 20, "{guesses} guesses");
    ensure!(registrar.seen()?.iter().all(|seen| seen.source.port() == ATTACKER.port));
    Ok(())
}

#[test]
fn svwar_tells_users_apart_where_the_registrar_does() -> Result<()> {
    if !can_run(&[TOOLS, &[Tool::Sipvicious]].concat()) {
        return Ok(());
    }
    for method in ["REGISTER", "INVITE"] {
        let lab = Lab::new()?;
        let mut registrar = Registrar::start(&lab, Ways::default())?;
        let found = ATTACKER.looks_for(&lab, "1990-2009", method)?.found()?;
        ensure!(found.len() == 10, "{method}: {found:?}");
        ensure!(found.iter().all(|(user, _)| user.starts_with('1')), "{method}: {found:?}");
        ensure!(registrar.count(STRANGER, Outcome::Missing)? >= 10);
    }
    let lab = Lab::new()?;
    let alike = Ways { tells_apart: false, ..Ways::default() };
    let _registrar = Registrar::start(&lab, alike)?;
    let found = ATTACKER.looks_for(&lab, "1990-2009", "REGISTER")?.found()?;
    // svwar gives up, or takes all of them.
    ensure!(found.is_empty() || found.len() == 20, "{found:?}");
    Ok(())
}

#[test]
fn the_registrar_probes_its_phones_and_hears_them() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let ways = Ways { probes: Some(Duration::from_secs(1)), ..Ways::default() };
    let mut registrar = Registrar::start(&lab, ways)?;
    Subscribers::one(STRANGER, 5062, 1001).does(Deed::Register(1), &lab)?;
    let phone = Answerer::start(&lab, &[SocketAddr::new(STRANGER, 5062)])?;
    wait::until("two answers", PATIENCE, || {
        Ok((registrar.count(STRANGER, Outcome::Response)? >= 2).then_some(()))
    })?;
    ensure!(phone.asked() >= 2);
    Ok(())
}

#[test]
fn the_registrar_has_an_account_at_a_carrier() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let place = SocketAddr::new(STRANGERS[2], 5060);
    let mut registrar = Registrar::start(&lab, Ways { carrier: Some(place), ..Ways::default() })?;
    let customer = SocketAddr::new(STRANGERS[1], 5062);
    Subscribers::one(customer.ip(), customer.port(), 1001).does(Deed::Register(1), &lab)?;
    let _customer = Answerer::start(&lab, &[customer])?;
    // The server tries until there is a carrier.
    Carrier::start(&lab, place, 1001)?.succeeds()?;
    ensure!(registrar.count(place.ip(), Outcome::Carrier)? == 1);
    Ok(())
}
