//! Phones and trunks work through sipguard, trusted or not.

use std::net::IpAddr;

use anyhow::{Result, ensure};
use tests::rig::{
    lab::{Lab, STRANGER, TRUSTED},
    phone::{Action, Phone},
    policy::Policy,
    server::Server,
    sipguard::{Sipguard, Stats},
    tool::{Tool, can_run},
};

const TOOLS: &[Tool] = &[Tool::Ip, Tool::Unshare, Tool::Kamailio, Tool::Sipp, Tool::Sipguard];

/// The requests of a registration and a call, in order.
const REGISTRATION_AND_CALL: &[&str] = &["REGISTER", "REGISTER", "INVITE", "ACK", "BYE"];

fn methods_of(server: &mut Server, source: IpAddr) -> Result<Vec<String>> {
    let seen = server.seen()?.into_iter().filter(|seen| seen.source == source);
    Ok(seen.map(|seen| seen.method).collect())
}

fn nothing_dropped(stats: &Stats) -> Result<()> {
    for rule in stats.rules()? {
        ensure!(rule["verdict"] == "pass" || rule["packets"] == 0, "dropped: {rule}");
    }
    Ok(())
}

#[test]
fn an_unknown_phone_registers_and_calls() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let mut server = Server::start(&lab)?;
    let sipguard = Sipguard::start(&lab, &Policy::usual()?, &["--iface", "wan0"])?;

    let phone = Phone { address: STRANGER, user_agent: "Grandstream GXP2140 1.0.9.14" };
    phone.does(Action::Register, 1, &lab)?;
    phone.does(Action::Call, 1, &lab)?;

    ensure!(methods_of(&mut server, STRANGER)? == REGISTRATION_AND_CALL);
    let stats = sipguard.stats()?;
    ensure!(stats.packets("stranger")? == 5, "{stats}");
    nothing_dropped(&stats)
}

/// L01: whatever it calls itself, also in bursts.
#[test]
fn a_trusted_trunk_may_call_itself_sipcli() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let mut server = Server::start(&lab)?;
    let sipguard = Sipguard::start(&lab, &Policy::usual()?, &["--iface", "wan0"])?;

    let trunk = Phone { address: TRUSTED, user_agent: "sipcli/v1.8" };
    trunk.does(Action::Register, 1, &lab)?;
    trunk.does(Action::Call, 1, &lab)?;
    trunk.does(Action::Keepalive, 30, &lab)?;

    let methods = methods_of(&mut server, TRUSTED)?;
    let (first, probes) = methods.split_at(REGISTRATION_AND_CALL.len());
    ensure!(first == REGISTRATION_AND_CALL);
    ensure!(probes.len() == 30 && probes.iter().all(|method| method == "OPTIONS"), "{probes:?}");
    let stats = sipguard.stats()?;
    ensure!(stats.packets("trusted")? == 35, "{stats}");
    nothing_dropped(&stats)
}
