//! Scanners find the server without sipguard, and nothing with it (A01, A02).

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use tests::{
    rig::{
        lab::{Lab, SERVER, STRANGER, STRANGER_V6, TRUSTED, sip},
        phone::{Action, Phone},
        policy::Policy,
        scanner::{Attack, Scan},
        server::Server,
        sipguard::Sipguard,
        tool::{Tool, can_run},
        traffic::sender,
    },
    sip::Message,
};

/// How long an answer of the server may take.
const PATIENCE: Duration = Duration::from_secs(20);

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
fn a01_svmap_finds_nothing() -> Result<()> {
    is_blinded(Scan::Svmap, Tool::Sipvicious, "options")
}

#[test]
fn a01_svmap_by_register_finds_nothing() -> Result<()> {
    is_blinded(Scan::SvmapMethod("REGISTER"), Tool::Sipvicious, "signature")
}

#[test]
fn a01_svmap_under_another_name_finds_nothing() -> Result<()> {
    is_blinded(Scan::SvmapRenamed("PolycomVVX-VVX_411-UA/5.9.3"), Tool::Sipvicious, "options")
}

#[test]
fn a01_svmap_under_our_own_brand_in_odd_case_finds_nothing() -> Result<()> {
    is_blinded(Scan::SvmapRenamed("Friendly-Scanner/2"), Tool::Sipvicious, "options")
}

#[test]
fn a02_sipsak_gets_no_answer() -> Result<()> {
    is_blinded(Scan::Sipsak, Tool::Sipsak, "options")
}

/// Everything that a tool sends ends before the server.
fn reaches_nobody(attack: Attack<'_>, tool: Tool, rule: &str) -> Result<()> {
    if !can_run(&[TOOLS, &[tool]].concat()) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let mut server = Server::start(&lab)?;
    let end = attack.run(&lab)?;
    let before = server.seen()?.len();
    // svwar gives up after two where an unknown extension is no different.
    ensure!(before >= 2, "only {before} requests without sipguard:\n{end}");

    let sipguard = Sipguard::start(&lab, &Policy::usual()?, &["--iface", "wan0"])?;
    attack.run(&lab)?;
    let seen = server.seen()?.split_off(before);
    ensure!(seen.is_empty(), "{} requests have reached the server: {:?}", seen.len(), seen[0]);
    let stats = sipguard.stats()?;
    ensure!(stats.packets(rule)? > 0, "not dropped by {rule}: {stats}");
    ensure!(stats.packets("stranger")? == 0, "something has passed: {stats}");
    Ok(())
}

#[test]
fn a01_svwar_finds_no_extension() -> Result<()> {
    reaches_nobody(Attack::Svwar("REGISTER"), Tool::Sipvicious, "signature")
}

#[test]
fn a01_svwar_by_invite_finds_no_extension() -> Result<()> {
    reaches_nobody(Attack::Svwar("INVITE"), Tool::Sipvicious, "signature")
}

#[test]
fn a01_svwar_under_another_name_finds_no_extension() -> Result<()> {
    let name = "Grandstream GXP2140 1.0.9.14";
    reaches_nobody(Attack::SvwarRenamed(name), Tool::Sipvicious, "signature")
}

#[test]
fn a01_svcrack_tries_no_password() -> Result<()> {
    reaches_nobody(Attack::Svcrack, Tool::Sipvicious, "signature")
}

#[test]
fn a01_svcrack_under_another_name_tries_no_password() -> Result<()> {
    let name = "Grandstream GXP2140 1.0.9.14";
    reaches_nobody(Attack::SvcrackRenamed(name), Tool::Sipvicious, "signature")
}

#[test]
fn a02_a_flood_of_sipsak_reaches_nobody() -> Result<()> {
    reaches_nobody(Attack::SipsakFlood(500), Tool::Sipsak, "options")
}

/// D01, A10: that the server has answered a source and port before opens
/// nothing: 1,000 OPTIONS and 1,000 guesses of a scanner on that very pair of
/// sockets end, and of guesses without a scanner's name as many pass as may.
#[test]
fn d01_a10_an_answer_opens_nothing_for_the_same_sockets() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let mut server = Server::start(&lab)?;
    let sipguard = Sipguard::start(&lab, &Policy::usual()?, &["--iface", "wan0"])?;
    let socket = sender(&lab, STRANGER)?;
    socket.connect(sip(SERVER))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let register = || Message::request("REGISTER", "sip:203.0.113.1");
    socket.send(&register().agent("Telephone/1.6").build())?;
    let mut answer = [0; 2048];
    socket.recv(&mut answer)?;
    ensure!(answer.starts_with(b"SIP/2.0 401 "), "{}", String::from_utf8_lossy(&answer));
    let before = server.seen()?.len();

    let options = Message::request("OPTIONS", "sip:203.0.113.1").agent("friendly-scanner").build();
    let guess = register().agent("friendly-scanner").build();
    for _ in 0..1_000 {
        socket.send(&options)?;
        socket.send(&guess)?;
    }
    let seen = server.seen()?.split_off(before);
    ensure!(seen.is_empty(), "{} of 2000 have reached the server", seen.len());
    let stats = sipguard.stats()?;
    ensure!(stats.packets("options")? + stats.packets("signature")? == 2_000, "{stats}");

    let start = Instant::now();
    for _ in 0..1_000 {
        socket.send(&register().agent("Telephone/1.6").build())?;
    }
    let guesses = server.seen()?.split_off(before).len() as u64;
    // 200 at once, less the first, and 5 a second.
    let most = 200 + 5 * start.elapsed().as_secs() + 5;
    ensure!(guesses <= most, "{guesses} guesses have passed, {most} may");
    Ok(())
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
