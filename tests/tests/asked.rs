//! Whom the server itself talks to is no stranger: phones that it probes, and
//! carriers where it has an account.

use std::{collections::BTreeSet, net::SocketAddr, time::Duration};

use anyhow::{Result, ensure};
use tests::rig::{
    answerer::Answerer,
    carrier::Carrier,
    lab::{Lab, STRANGER, STRANGERS, WAN},
    policy::Policy,
    registrar::{Outcome, Registrar, Ways},
    sipguard::Sipguard,
    subscriber::{Deed, Subscribers},
    tool::{Tool, can_run},
    wait,
};

const TOOLS: &[Tool] = &[Tool::Ip, Tool::Unshare, Tool::Kamailio, Tool::Sipp, Tool::Sipguard];

const PATIENCE: Duration = Duration::from_secs(20);

/// Where the users of an address have registered from.
fn places(registrar: &mut Registrar) -> Result<Vec<SocketAddr>> {
    let registered: BTreeSet<SocketAddr> = registrar
        .seen()?
        .into_iter()
        .filter(|seen| seen.outcome == Outcome::Right)
        .map(|seen| seen.source)
        .collect();
    Ok(registered.into_iter().collect())
}

/// L10: the registrar probes a hundred phones behind one address each second, and
/// hears every answer.
#[test]
fn l10_answers_to_the_servers_probes_arrive() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let ways = Ways { probes: Some(Duration::from_secs(1)), ..Ways::default() };
    let mut registrar = Registrar::start(&lab, ways)?;
    let sipguard = Sipguard::start(&lab, &Policy::usual()?, &["--iface", WAN])?;
    Subscribers::new(STRANGER, 1_000..1_100).does(Deed::Register(1), &lab)?;
    let places = places(&mut registrar)?;
    // Whoever was done may have left his port to another.
    ensure!((80..=100).contains(&places.len()), "{} places", places.len());

    let phones = Answerer::start(&lab, &places)?;
    wait::until("five probes of each phone", PATIENCE, || {
        Ok((phones.asked() >= 500).then_some(()))
    })?;
    // Each was answered before the next is counted.
    let asked = phones.asked();
    wait::until("all answers", PATIENCE, || {
        Ok((registrar.count(STRANGER, Outcome::Response)? >= asked).then_some(()))
    })?;
    let stats = sipguard.stats()?;
    for rule in stats.rules()? {
        ensure!(rule["verdict"] == "pass" || rule["packets"] == 0, "dropped: {rule}");
    }
    Ok(())
}

/// L18: the server registers itself with a carrier that nobody trusts by hand:
/// the carrier may ask whether it lives, and call.
#[test]
fn l18_a_carrier_where_the_server_registers_may_ask_and_call() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let place = SocketAddr::new(STRANGERS[2], 5060);
    let ways = Ways { carrier: Some(place), ..Ways::default() };
    // From before the server's first word on.
    let sipguard = Sipguard::start(&lab, &Policy::usual()?, &["--iface", WAN])?;
    let mut registrar = Registrar::start(&lab, ways)?;
    let customer = SocketAddr::new(STRANGERS[1], 5062);
    Subscribers::one(customer.ip(), customer.port(), 1001).does(Deed::Register(1), &lab)?;
    let _customer = Answerer::start(&lab, &[customer])?;
    // The server tries until there is a carrier.
    Carrier::start(&lab, place, 1001)?.succeeds()?;

    ensure!(registrar.count(place.ip(), Outcome::Carrier)? >= 1);
    ensure!(registrar.count(place.ip(), Outcome::Answered)? >= 1, "OPTIONS");
    let stats = sipguard.stats()?;
    ensure!(stats.packets("options")? == 0, "{stats}");
    Ok(())
}
