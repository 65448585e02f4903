//! Where and how sipguard attaches, what it counts there, and that it leaves.

use std::{
    net::{IpAddr, Ipv4Addr, UdpSocket},
    time::Duration,
};

use anyhow::{Result, ensure};
use serde_json::json;
use tests::rig::{
    foreign::{self, Foreign},
    lab::{Lab, SECOND_SERVER, SECOND_WAN, SERVER, STRANGER, TRUSTED, WAN, sip},
    policy::Policy,
    sipguard::Sipguard,
    tool::{Tool, can_run},
    traffic::{Listener, request, sender},
    wait,
};

const TOOLS: &[Tool] = &[Tool::Ip, Tool::Sipguard];

/// How long counters may lag behind.
const PATIENCE: Duration = Duration::from_secs(10);

/// A scanner's packet is dropped, an unknown phone's and the trunk's are not.
fn protects(lab: &Lab, server: IpAddr) -> Result<()> {
    let listener = Listener::new(lab, server)?;
    let (stranger, trunk) = (sender(lab, STRANGER)?, sender(lab, TRUSTED)?);
    let scan = request("REGISTER", b"friendly-scanner", 1);
    ensure!(!listener.receives(&stranger, &scan)?, "the scanner got through");
    ensure!(listener.receives(&stranger, &request("REGISTER", b"Telephone/1.6", 2))?);
    ensure!(listener.receives(&trunk, &scan)?, "the trunk was not heard");
    Ok(())
}

#[test]
fn native_on_a_veth_until_sigterm() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let sipguard = Sipguard::start(&lab, &Policy::usual()?, &["--iface", WAN])?;
    ensure!(sipguard.announcement().contains("wan0 (native, "), "{}", sipguard.announcement());
    ensure!(lab.has_native_xdp(WAN)?);
    ensure!(sipguard.stats()?.0["interfaces"] == json!([{"name": WAN, "mode": "native"}]));
    protects(&lab, SERVER)?;

    sipguard.stop()?.success()?;
    ensure!(lab.xdp_program(WAN)?.is_none(), "still attached after SIGTERM");
    let listener = Listener::new(&lab, SERVER)?;
    ensure!(listener.receives(&sender(&lab, STRANGER)?, &request("OPTIONS", b"sipcli", 1))?);
    Ok(())
}

#[test]
fn generic_where_asked_for() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let sipguard =
        Sipguard::start(&lab, &Policy::usual()?, &["--iface", WAN, "--mode", "generic"])?;
    ensure!(sipguard.announcement().contains("wan0 (generic, "), "{}", sipguard.announcement());
    ensure!(lab.xdp_program(WAN)?.is_some() && !lab.has_native_xdp(WAN)?);
    protects(&lab, SERVER)?;

    sipguard.stop()?.success()?;
    ensure!(lab.xdp_program(WAN)?.is_none(), "still attached after SIGTERM");
    Ok(())
}

#[test]
fn generic_with_a_warning_where_the_driver_cannot() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    // The loopback's driver knows no XDP.
    let sipguard = Sipguard::start(&lab, &Policy::usual()?, &["--iface", "lo"])?;
    ensure!(sipguard.announcement().contains("lo (generic, "), "{}", sipguard.announcement());
    // It comes by another pipe than the announcement.
    wait::until("the warning", PATIENCE, || {
        let log = sipguard.log();
        let warns = |line: &str| line.contains("WARN") && line.contains("no XDP support");
        Ok(log.lines().any(warns).then_some(()))
    })?;

    let (here, there) = lab.server().enter(|| {
        let here = UdpSocket::bind(sip(Ipv4Addr::LOCALHOST.into()))?;
        here.set_read_timeout(Some(PATIENCE))?;
        Ok((here, UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?))
    })?;
    for datagram in [request("OPTIONS", b"sipcli", 1), request("REGISTER", b"Telephone/1.6", 2)] {
        there.send_to(&datagram, here.local_addr()?)?;
    }
    let mut first = [0; 1024];
    let count = here.recv(&mut first)?;
    ensure!(first.starts_with(b"REGISTER "), "{}", String::from_utf8_lossy(&first[..count]));
    ensure!(sipguard.stats()?.packets("options")? + sipguard.stats()?.packets("signature")? == 1);
    Ok(())
}

#[test]
fn native_is_not_replaced_by_generic_where_it_was_asked_for() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let arguments = ["--iface", "lo", "--mode", "native"];
    let end = Sipguard::fails_to_start(&lab, &Policy::usual()?, &arguments)?.expect_code(1)?;
    ensure!(end.words().contains("lo") && end.words().contains("XDP"), "{end}");
    ensure!(end.stdout.is_empty(), "{end}");
    Ok(())
}

/// D15: a tool of today removes what it has not attached.
#[test]
fn d15_another_xdp_program_is_left_alone_and_named() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    lab.add_second_wire()?;
    let _foreign = Foreign::attach(&lab, SECOND_WAN)?;
    let before = lab.xdp_program(SECOND_WAN)?;
    ensure!(before.is_some());

    for mode in ["auto", "native", "generic"] {
        let arguments = ["--iface", WAN, "--iface", SECOND_WAN, "--mode", mode];
        let end = Sipguard::fails_to_start(&lab, &Policy::usual()?, &arguments)?.expect_code(1)?;
        ensure!(end.words().contains(foreign::NAME), "{mode} names nobody:\n{end}");
        ensure!(end.words().contains(SECOND_WAN), "{mode} names no interface:\n{end}");
        ensure!(end.stdout.is_empty(), "{mode} said that it protects:\n{end}");
        ensure!(lab.xdp_program(SECOND_WAN)? == before, "{mode} has removed or replaced it");
        ensure!(lab.xdp_program(WAN)?.is_none(), "{mode} has left us at the other interface");
    }
    Ok(())
}

#[test]
fn a_second_sipguard_is_refused_and_the_first_stays() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let first = Sipguard::start(&lab, &Policy::usual()?, &["--iface", WAN])?;
    let program = lab.xdp_program(WAN)?;
    Sipguard::fails_to_start(&lab, &Policy::usual()?, &["--iface", WAN])?.expect_code(1)?;
    ensure!(lab.xdp_program(WAN)? == program);
    protects(&lab, SERVER)?;
    first.stop()?.success()?;
    Ok(())
}

#[test]
fn every_packet_is_counted_once() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let sipguard = Sipguard::start(&lab, &Policy::usual()?, &["--iface", WAN])?;
    // Frames of the kernel's own may come in while we look, and ours may wait for a CPU.
    let both_still = |at_least: u64| {
        wait::until("still counters", PATIENCE, || {
            let before = lab.received(WAN)?;
            let sum = sipguard.stats()?.sum()?;
            Ok((before >= at_least && lab.received(WAN)? == before).then_some((before, sum)))
        })
    };
    let (frames_before, sum_before) = both_still(0)?;

    let listener = Listener::new(&lab, SERVER)?;
    let (stranger, trunk) = (sender(&lab, STRANGER)?, sender(&lab, TRUSTED)?);
    let (scan, call) = (request("OPTIONS", b"sipcli", 1), request("INVITE", b"Telephone/1.6", 1));
    let payloads: [&[u8]; 6] = [&scan, &call, b"\r\n\r\n", b"SIP/2.0 200 OK\r\n\r\n", b"\0", b""];
    for payload in payloads {
        for _ in 0..100 {
            stranger.send_to(payload, sip(SERVER))?;
            trunk.send_to(payload, sip(SERVER))?;
        }
        // To a port that nobody protects.
        stranger.send_to(payload, (SERVER, 5099))?;
        // A virtual wire holds 256 frames; a busy machine may not look at any
        // of them before we have sent these.
        listener.from(STRANGER)?;
    }

    let (frames, sum) = both_still(frames_before + 1206)?;
    ensure!(
        sum - sum_before == frames - frames_before,
        "counted {}, received {}: {}",
        sum - sum_before,
        frames - frames_before,
        sipguard.stats()?
    );
    Ok(())
}

#[test]
fn two_interfaces_count_by_themselves() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    lab.add_second_wire()?;
    let both = ["--iface", WAN, "--iface", SECOND_WAN];
    let sipguard = Sipguard::start(&lab, &Policy::usual()?, &both)?;
    let said = sipguard.announcement();
    ensure!(said.contains("wan0 (native, ") && said.contains("wan1 (native, "), "{said}");
    let stranger = sender(&lab, STRANGER)?;
    let scan = request("OPTIONS", b"Telephone/1.6", 1);
    for (server, count) in [(SERVER, 3), (SECOND_SERVER, 5)] {
        let listener = Listener::new(&lab, server)?;
        for _ in 0..count {
            ensure!(!listener.receives(&stranger, &scan)?, "OPTIONS has reached {server}");
        }
    }
    let stats = sipguard.stats()?;
    ensure!(stats.packets_at("options", WAN)? == 3, "{stats}");
    ensure!(stats.packets_at("options", SECOND_WAN)? == 5, "{stats}");
    ensure!(stats.packets("options")? == 8, "{stats}");

    sipguard.stop()?.success()?;
    ensure!(lab.xdp_program(WAN)?.is_none() && lab.xdp_program(SECOND_WAN)?.is_none());
    Ok(())
}

#[test]
fn jumbo_frames_do_not_keep_it_away() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    lab.enlarge_mtu()?;
    let sipguard = Sipguard::start(&lab, &Policy::usual()?, &["--iface", WAN])?;
    println!("{}", sipguard.announcement());
    protects(&lab, SERVER)?;
    let listener = Listener::new(&lab, SERVER)?;
    let stranger = sender(&lab, STRANGER)?;
    let padded = |user_agent| [request("REGISTER", user_agent, 3), vec![b' '; 20_000]].concat();
    ensure!(listener.receives(&stranger, &padded(b"Telephone/1.6"))?);
    ensure!(!listener.receives(&stranger, &padded(b"friendly-scanner"))?);
    Ok(())
}
