//! Phones and trunks work through sipguard, trusted or not.

use std::net::IpAddr;

use anyhow::{Result, ensure};
use tests::rig::{
    lab::{Lab, SERVER, STRANGER, STRANGERS, TRUSTED},
    phone::{Action, Phone},
    policy::Policy,
    server::Server,
    sipguard::{Sipguard, Stats},
    tool::{Tool, can_run},
    traffic::{Listener, request, sender},
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
    // Its registration; with that it is known.
    ensure!(stats.packets("stranger")? == 2 && stats.packets("verified")? == 3, "{stats}");
    nothing_dropped(&stats)
}

/// L01: whatever it calls itself, also in bursts.
#[test]
fn l01_a_trusted_trunk_may_call_itself_sipcli() -> Result<()> {
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

/// D09, L06: 50 and 100 phones behind one address that register at once.
#[test]
fn d09_l06_whole_offices_register_at_once() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    for (phones, address) in [(50, STRANGERS[0]), (100, STRANGERS[1])] {
        let lab = Lab::new()?;
        let mut server = Server::start(&lab)?;
        let sipguard = Sipguard::start(&lab, &Policy::usual()?, &["--iface", "wan0"])?;
        let office = Phone { address, user_agent: "Grandstream GXP2140 1.0.9.14" };
        office.office_registers(phones, &lab)?;
        let methods = methods_of(&mut server, address)?;
        ensure!(methods.len() >= 2 * phones as usize, "only {} requests", methods.len());
        nothing_dropped(&sipguard.stats()?)?;
    }
    Ok(())
}

/// L24: a datagram of 4,000 bytes, which the sender's kernel sends in
/// fragments, arrives whole from a stranger and from the trunk.
#[test]
fn l24_a_large_call_arrives_in_fragments() -> Result<()> {
    if !can_run(&[Tool::Ip, Tool::Sipguard]) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let listener = Listener::new(&lab, SERVER)?;
    let sipguard = Sipguard::start(&lab, &Policy::usual()?, &["--iface", "wan0"])?;
    for source in [STRANGER, TRUSTED] {
        let phone = sender(&lab, source)?;
        let call = [request("INVITE", b"Telephone/1.6", 1), vec![b'v'; 3_500]].concat();
        for _ in 0..10 {
            ensure!(listener.receives(&phone, &call)?, "{source} is not heard");
        }
    }
    let stats = sipguard.stats()?;
    ensure!(stats.packets("fragment")? >= 20, "{stats}");
    nothing_dropped(&stats)
}
