//! SIP over TCP through real sockets: honest connections are never harmed, and
//! a scanner's ends at once, with its source, and only if it is its source.

use std::{net::IpAddr, time::Duration};

use anyhow::{Context as _, Result, ensure};
use tests::{
    packet::{Packet, flag},
    rig::{
        lab::{Lab, SERVER, STRANGER, STRANGERS, TRUSTED, WAN, sip},
        policy::Policy,
        sipguard::{Sipguard, Stats},
        tcp::{Client, End, Server, forge},
        tool::{Tool, can_run},
        traffic::{Listener, request, sender},
        wait,
    },
    sip::{Message, sdp},
};

const TOOLS: &[Tool] = &[Tool::Ip, Tool::Sipguard];

/// How long a ban of a few seconds may last on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

const SCANNER: &str = "friendly-scanner";

fn message(method: &str, agent: &str) -> Vec<u8> {
    Message::request(method, "sip:100@203.0.113.1")
        .replace("Via", "SIP/2.0/TCP 198.51.100.7:5061;branch=z9hG4bK-77a1;rport")
        .header("Allow", "INVITE, ACK, BYE, CANCEL, OPTIONS, REGISTER, NOTIFY")
        .agent(agent)
        .header("Contact", "<sip:200@198.51.100.7:5061;transport=tcp>")
        .build()
}

/// Many strangers' connections and messages in little time.
const UNLIMITED: &str = "[limits.stranger]\nsyn = \"unlimited\"\nregister = \"unlimited\"\n\
    invite = \"unlimited\"\ntotal = \"unlimited\"\nother = \"unlimited\"\n\
    [limits.strangers]\ntotal = \"unlimited\"\nsyn = \"unlimited\"\nother = \"unlimited\"\n\
    [limits.subnet]\ntotal = \"unlimited\"\n";

fn nothing_dropped(stats: &Stats) -> Result<()> {
    for rule in stats.rules()? {
        ensure!(rule["verdict"] == "pass" || rule["packets"] == 0, "dropped: {rule}");
    }
    Ok(())
}

/// A scanner that has really connected: the server's socket is closed at once,
/// and its source is banned, over UDP and TCP, for as long as the policy says.
#[test]
fn a09_a_scanner_over_tcp_is_cut_off_and_banned() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let server = Server::start(&lab, sip(SERVER))?;
    let listener = Listener::new(&lab, SERVER)?;
    let policy = Policy::usual()?.with_main("[auth]\nban = \"3s\"\n");
    let sipguard = Sipguard::start(&lab, &policy, &["--iface", WAN])?;
    let (phone, neighbour) = (sender(&lab, STRANGER)?, sender(&lab, STRANGERS[1])?);
    let register = request("REGISTER", b"Telephone/1.6", 1);
    ensure!(listener.receives(&phone, &register)?, "a phone is not heard before all");

    let mut scanner = Client::connect(&lab, STRANGER, sip(SERVER))?;
    let mut other = Client::connect(&lab, STRANGERS[1], sip(SERVER))?;
    scanner.send(&message("REGISTER", SCANNER))?;
    let heard = server.wait(scanner.address(), "the end", |heard| heard.end.is_some())?;
    ensure!(heard.end == Some(End::Reset) && heard.bytes.is_empty(), "{heard:?}");
    ensure!(server.sockets(&lab, scanner.address())?.is_empty(), "a half-dead connection");
    let stats = sipguard.stats()?;
    ensure!(stats.packets("signature")? >= 1, "{stats}");

    ensure!(!listener.receives(&phone, &register)?, "not banned over UDP");
    ensure!(Client::try_connect(&lab, STRANGER, sip(SERVER))?.is_none(), "not banned over TCP");
    let stats = sipguard.stats()?;
    ensure!(stats.packets("banned")? >= 2, "{stats}");
    ensure!(listener.receives(&neighbour, &register)?, "a neighbour is banned, too");
    let honest = message("REGISTER", "Telephone/1.6");
    other.send(&honest)?;
    let heard = server.wait_for_bytes(other.address(), honest.len())?;
    ensure!(heard.bytes == honest, "{heard:?}");

    // The scanner repeats its segment, which must not renew the ban for ever.
    drop(scanner);
    wait::until("the end of the ban", PATIENCE, || {
        Ok(listener.receives(&phone, &register)?.then_some(()))
    })?;
    Client::connect(&lab, STRANGER, sip(SERVER))?;
    Ok(())
}

/// The same where the message stands behind keepalives, behind another message
/// in the same segment, or in a connection that was honest before.
#[test]
fn a09_scanners_hide_behind_nothing_in_a_segment() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let server = Server::start(&lab, sip(SERVER))?;
    let policy = Policy::usual()?.with_main("[rules]\nbanned = { mode = \"off\" }\n");
    let sipguard = Sipguard::start(&lab, &policy, &["--iface", WAN])?;
    let (scan, honest) = (message("REGISTER", SCANNER), message("REGISTER", "Telephone/1.6"));
    let lf = Message::request("REGISTER", "sip:100@203.0.113.1").agent("Friendly-Scanner").lf();
    let folded = Message::request("REGISTER", "sip:100@203.0.113.1")
        .line("user-agent :\r\n  friendly-scanner");
    for (i, (first, second)) in [
        (b"\r\n\r\n".to_vec(), scan.clone()),
        (Vec::new(), [b"\r\n\r\n\r\n", &scan[..]].concat()),
        (Vec::new(), [&honest[..], &scan].concat()),
        (honest.clone(), scan.clone()),
        (Vec::new(), lf.build()),
        (Vec::new(), folded.build()),
        (Vec::new(), message("OPTIONS", "Telephone/1.6")),
    ]
    .into_iter()
    .enumerate()
    {
        let mut scanner = Client::connect(&lab, STRANGER, sip(SERVER))?;
        scanner.send(&first)?;
        server.wait_for_bytes(scanner.address(), first.len())?;
        scanner.send(&second)?;
        let heard = server.wait(scanner.address(), "the end", |heard| heard.end.is_some())?;
        ensure!(heard.end == Some(End::Reset) && heard.bytes == first, "{i}: {heard:?}");
        ensure!(server.sockets(&lab, scanner.address())?.is_empty(), "{i}: half-dead");
    }
    let stats = sipguard.stats()?;
    ensure!(stats.packets("signature")? >= 6 && stats.packets("options")? >= 1, "{stats}");
    Ok(())
}

/// D08, A09: a scanner splits its message anywhere: either it is recognised and
/// its connection ends, or all of it arrives. It never stalls half-way.
#[test]
fn d08_a_split_scanner_ends_or_passes_but_never_stalls() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let server = Server::start(&lab, sip(SERVER))?;
    let main = format!("{UNLIMITED}[rules]\nbanned = {{ mode = \"off\" }}\n");
    let _sipguard = Sipguard::start(&lab, &Policy::usual()?.with_main(&main), &["--iface", WAN])?;
    let scan = message("REGISTER", SCANNER);
    let (mut ended, mut passed) = (0, 0);
    for at in 1..scan.len() {
        let (first, second) = scan.split_at(at);
        let mut scanner = Client::connect(&lab, STRANGER, sip(SERVER))?;
        scanner.send(first)?;
        let heard = server.wait_for_bytes(scanner.address(), at)?;
        if heard.end.is_none() {
            scanner.send(second)?;
        }
        let heard = server
            .wait_for_bytes(scanner.address(), scan.len())
            .with_context(|| format!("stalls where it is split at {at}"))?;
        match heard.end {
            Some(end) => {
                ensure!(end == End::Reset, "split at {at}: {heard:?}");
                let sockets = server.sockets(&lab, scanner.address())?;
                ensure!(sockets.is_empty(), "half-dead when split at {at}: {sockets:?}");
                ended += 1;
            }
            None => {
                ensure!(heard.bytes == scan, "split at {at}: {heard:?}");
                passed += 1;
            }
        }
    }
    println!("{ended} connections ended, {passed} messages passed");
    // Wherever the whole header stands in one segment with a start line.
    ensure!(ended >= scan.len() / 4, "only {ended} of {} ended", scan.len());
    Ok(())
}

/// One long-lived connection: several messages in a segment, messages split at
/// every byte, keepalives between them. All of it arrives, in order.
fn a_trunk_works(source: IpAddr, agent: &str, policy: &Policy) -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let server = Server::start(&lab, sip(SERVER))?;
    let sipguard = Sipguard::start(&lab, policy, &["--iface", WAN])?;
    let mut trunk = Client::connect(&lab, source, sip(SERVER))?;
    let mut sent = Vec::new();
    let mut says = |bytes: &[u8]| -> Result<()> {
        trunk.send(bytes)?;
        sent.extend_from_slice(bytes);
        let heard = server.wait_for_bytes(trunk.address(), sent.len())?;
        ensure!(
            heard.end.is_none() && heard.bytes == sent,
            "{} bytes sent, {} arrived, then {:?}; next: {:?}",
            sent.len(),
            heard.bytes.len(),
            heard.end,
            String::from_utf8_lossy(
                sent.get(heard.bytes.len()..).unwrap_or(&[]).get(..200).unwrap_or(&[])
            ),
        );
        Ok(())
    };
    let register = message("REGISTER", agent);
    let invite = Message::request("INVITE", "sip:100@203.0.113.1")
        .agent(agent)
        .body("application/sdp", sdp())
        .build();
    let answer = Message::response("200 OK", "OPTIONS").build();
    says(b"\r\n\r\n")?;
    says(&[&b"\r\n\r\n"[..], &register].concat())?;
    says(&[&register[..], &invite, &answer, &invite, &register].concat())?;
    // More than one segment holds, and more messages than are looked at.
    says(&[&invite[..], &register].concat().repeat(20))?;
    for message in [&register, &invite] {
        for at in 1..message.len() {
            let (first, second) = message.split_at(at);
            says(first)?;
            says(second)?;
        }
        says(b"\r\n\r\n")?;
    }
    // A message in single bytes, and the seam in the middle of others.
    for byte in &register {
        says(std::slice::from_ref(byte))?;
    }
    let two = [&invite[..], &register].concat();
    for piece in two.chunks(97) {
        says(piece)?;
    }
    nothing_dropped(&sipguard.stats()?)
}

/// L22, D07: also with a User-Agent of scanners, and under the default limits.
#[test]
fn d07_l22_a_trusted_trunk_over_tcp_is_never_harmed() -> Result<()> {
    a_trunk_works(TRUSTED, SCANNER, &Policy::usual()?)
}

/// L22, D07: a stranger's, but for limits.
#[test]
fn d07_l22_a_strange_trunk_over_tcp_is_never_harmed() -> Result<()> {
    a_trunk_works(STRANGER, "Telephone/1.6", &Policy::usual()?.with_main(UNLIMITED))
}

/// L01: a trusted gateway probes over TCP in bursts of 30, whatever it calls
/// itself.
#[test]
fn l01_keepalives_of_a_trusted_gateway_over_tcp_pass() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let server = Server::start(&lab, sip(SERVER))?;
    let sipguard = Sipguard::start(&lab, &Policy::usual()?, &["--iface", WAN])?;
    let probe = message("OPTIONS", "sipcli/v1.8");
    for _ in 0..10 {
        let mut gateway = Client::connect(&lab, TRUSTED, sip(SERVER))?;
        for _ in 0..30 {
            gateway.send(&probe)?;
        }
        let heard = server.wait_for_bytes(gateway.address(), 30 * probe.len())?;
        ensure!(heard.end.is_none() && heard.bytes == probe.repeat(30), "{heard:?}");
    }
    nothing_dropped(&sipguard.stats()?)
}

/// L23: on 5061 nothing is read, whatever the bytes spell; the lists hold.
#[test]
fn l23_tls_is_never_read_but_listed() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let tls = (SERVER, 5061).into();
    let server = Server::start(&lab, tls)?;
    let blocked = STRANGERS[1];
    let policy =
        Policy { blacklist: format!("[[block]]\naddress = \"{blocked}\"\n"), ..Policy::usual()? };
    let sipguard = Sipguard::start(&lab, &policy, &["--iface", WAN])?;
    let mut client = Client::connect(&lab, STRANGER, tls)?;
    let spelled = [message("OPTIONS", SCANNER), message("REGISTER", SCANNER)].concat();
    let record = [b"\x17\x03\x03\x01\x00", &spelled[..]].concat();
    let mut sent = Vec::new();
    for bytes in [&spelled, &record].repeat(20) {
        client.send(bytes)?;
        sent.extend_from_slice(bytes);
        let heard = server.wait_for_bytes(client.address(), sent.len())?;
        ensure!(heard.end.is_none() && heard.bytes == sent, "harmed after {}", sent.len());
    }
    nothing_dropped(&sipguard.stats()?)?;
    let unread = sipguard.stats()?;
    ensure!(unread.packets("stranger")? > 40, "{unread}");

    ensure!(Client::try_connect(&lab, blocked, tls)?.is_none(), "a blocked source connects");
    ensure!(sipguard.stats()?.packets("blocked")? > 0);
    Ok(())
}

/// L31: segments that say to be of somebody's connection, with signatures and
/// with wrong numbers, neither close it nor ban its owner; nor do datagrams.
#[test]
fn l31_forged_segments_harm_nobody() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let server = Server::start(&lab, sip(SERVER))?;
    let listener = Listener::new(&lab, SERVER)?;
    let sipguard = Sipguard::start(&lab, &Policy::usual()?, &["--iface", WAN])?;
    let honest = message("REGISTER", "Telephone/1.6");
    for owner in [STRANGER, TRUSTED] {
        let mut victim = Client::connect(&lab, owner, sip(SERVER))?;
        victim.send(&honest)?;
        server.wait_for_bytes(victim.address(), honest.len())?;
        let (from, to) = (victim.address().to_string(), sip(SERVER).to_string());
        let scan = message("REGISTER", SCANNER);
        let before = sipguard.stats()?;
        for _ in 0..20 {
            for segment in [
                Packet::tcp(&from, &to).payload(&scan),
                Packet::tcp(&from, &to).payload(&scan).tcp_flags(flag::ACK),
                Packet::udp(&from, &to).payload(&scan),
            ] {
                forge(&lab, &segment.build(), sip(SERVER))?;
            }
        }
        let rule = if owner == TRUSTED { "trusted" } else { "signature" };
        wait::until("the forged packets", PATIENCE, || {
            let seen = sipguard.stats()?.packets(rule)? - before.packets(rule)?;
            Ok((seen >= 60).then_some(()))
        })?;

        victim.send(&honest)?;
        let heard = server.wait_for_bytes(victim.address(), 2 * honest.len())?;
        ensure!(heard.end.is_none(), "{owner}'s connection was closed: {heard:?}");
        ensure!(heard.bytes == honest.repeat(2), "{owner}: {heard:?}");
        let phone = sender(&lab, owner)?;
        ensure!(listener.receives(&phone, &request("REGISTER", b"Telephone/1.6", 1))?);
        Client::connect(&lab, owner, sip(SERVER))?.close()?;
    }
    ensure!(sipguard.stats()?.packets("banned")? == 0, "{}", sipguard.stats()?);
    Ok(())
}

/// A12: a flood of forged SYNs from one source and from many does not keep a
/// trusted peer from connecting, nor end open connections.
#[test]
fn a12_a_trusted_peer_connects_during_a_syn_flood() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let server = Server::start(&lab, sip(SERVER))?;
    let sipguard = Sipguard::start(&lab, &Policy::usual()?, &["--iface", WAN])?;
    let mut phone = Client::connect(&lab, STRANGERS[1], sip(SERVER))?;
    let to = sip(SERVER).to_string();
    for i in 0..3_000_u32 {
        let many = std::net::Ipv4Addr::from(tests::crowd::spoofed(i));
        let source = if i % 2 == 0 { STRANGER } else { many.into() };
        let syn = Packet::tcp(&format!("{source}:{}", 1024 + i), &to).tcp_flags(flag::SYN);
        forge(&lab, &syn.build(), sip(SERVER))?;
    }
    let stats = sipguard.stats()?;
    ensure!(stats.packets("syn_rate")? > 1_000, "{stats}");
    let probe = message("OPTIONS", "sipcli/v1.8");
    let mut trunk = Client::connect(&lab, TRUSTED, sip(SERVER))?;
    trunk.send(&probe)?;
    ensure!(server.wait_for_bytes(trunk.address(), probe.len())?.bytes == probe);
    let honest = message("REGISTER", "Telephone/1.6");
    phone.send(&honest)?;
    ensure!(server.wait_for_bytes(phone.address(), honest.len())?.bytes == honest);
    Ok(())
}
