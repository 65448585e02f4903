//! Scanners find the server without sipguard, and nothing with it (A01, A02).

use anyhow::{Result, ensure};
use tests::rig::{
    lab::{Lab, STRANGER, STRANGER_V6, TRUSTED},
    phone::{Action, Phone},
    policy::Policy,
    scanner::Scan,
    server::Server,
    sipguard::Sipguard,
    tool::{Tool, can_run},
};

const TOOLS: &[Tool] = &[Tool::Ip, Tool::Unshare, Tool::Kamailio, Tool::Sipp, Tool::Sipguard];

/// The same scan without and with sipguard; `rule` is what must have dropped it.
fn is_blinded(scan: Scan<'_>, tool: Tool, rule: &str) -> Result<()> {
    if !can_run(&[TOOLS, &[tool]].concat()) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let mut server = Server::start(&lab)?;

    let found = scan.run(&lab)?;
    ensure!(found.is_some(), "{scan:?} finds nothing even without sipguard");
    let before = server.seen()?.len();
    ensure!(before > 0, "the server has seen nothing of {scan:?}");

    let sipguard = Sipguard::start(&lab, &Policy::usual()?, &["--iface", "wan0"])?;
    let found = scan.run(&lab)?;
    ensure!(found.is_none(), "{scan:?} has found {found:?}");
    let seen = server.seen()?.split_off(before);
    ensure!(seen.is_empty(), "{seen:?} has reached the server");

    let stats = sipguard.stats()?;
    ensure!(stats.packets(rule)? > 0, "not dropped by {rule}: {stats}");
    ensure!(stats.packets("stranger")? == 0, "something has passed: {stats}");
    Ok(())
}

#[test]
fn svmap_finds_nothing() -> Result<()> {
    is_blinded(Scan::Svmap, Tool::Sipvicious, "signature")
}

#[test]
fn svmap_by_register_finds_nothing() -> Result<()> {
    is_blinded(Scan::SvmapMethod("REGISTER"), Tool::Sipvicious, "signature")
}

#[test]
fn svmap_under_another_name_finds_nothing() -> Result<()> {
    is_blinded(Scan::SvmapRenamed("PolycomVVX-VVX_411-UA/5.9.3"), Tool::Sipvicious, "options")
}

#[test]
fn svmap_under_our_own_brand_in_odd_case_finds_nothing() -> Result<()> {
    is_blinded(Scan::SvmapRenamed("Friendly-Scanner/2"), Tool::Sipvicious, "signature")
}

#[test]
fn sipsak_gets_no_answer() -> Result<()> {
    is_blinded(Scan::Sipsak, Tool::Sipsak, "options")
}

#[test]
fn the_trunk_may_ask_what_a_stranger_may_not_over_ipv6() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let mut server = Server::start(&lab)?;
    let stranger = Phone { address: STRANGER_V6, user_agent: "Telephone/1.6" };
    stranger.does(Action::Keepalive, 1, &lab)?;

    let sipguard = Sipguard::start(&lab, &Policy::usual()?, &["--iface", "wan0"])?;
    let before = server.seen()?.len();
    ensure!(stranger.is_ignored(Action::Keepalive, &lab)?, "OPTIONS was answered");
    ensure!(server.seen()?.len() == before, "OPTIONS has reached the server");
    ensure!(sipguard.stats()?.packets("options")? > 0);

    stranger.does(Action::Register, 1, &lab)?;
    let seen = server.seen()?.split_off(before);
    ensure!(seen.iter().all(|seen| seen.method == "REGISTER" && seen.source == STRANGER_V6));
    ensure!(seen.len() == 2, "REGISTER without and with credentials: {seen:?}");

    let trunk = Phone { address: TRUSTED, user_agent: "sipcli/v1.8" };
    trunk.does(Action::Keepalive, 1, &lab)?;
    let stranger = Phone { address: STRANGER, user_agent: "sipcli/v1.8" };
    ensure!(stranger.is_ignored(Action::Register, &lab)?, "sipcli has got an answer");
    Ok(())
}
