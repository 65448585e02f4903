//! F49: a collector gets a sample of what was dropped, by HEP.

use std::{
    net::{IpAddr, SocketAddr},
    path::Path,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tests::rig::{
    collector::Collector,
    lab::{GATEWAY, Lab, SERVER, SERVER_V6, STRANGER, STRANGER_V6, STRANGERS, TRUSTED, WAN, sip},
    policy::Policy,
    sipguard::Sipguard,
    tool::{Tool, can_run},
    traffic::{FLOOD, Flow, Listener, request, sender},
    tshark, wait,
};

const TOOLS: &[Tool] = &[Tool::Ip, Tool::Sipguard];

/// How long anything here may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where the collector is: outside.
const COLLECTOR: SocketAddr = SocketAddr::new(GATEWAY, 9060);

fn policy(lines: &str) -> Result<Policy> {
    Ok(Policy::usual()?.with_main(&format!("[mirror]\ncollector = \"{COLLECTOR}\"\n{lines}")))
}

fn mirror(sipguard: &Sipguard<'_>) -> Result<Value> {
    Ok(sipguard.json(&["status", "--json"])?["mirror"].take())
}

/// Waits until one of the mirror's numbers is this.
fn until(sipguard: &Sipguard<'_>, key: &str, number: u64) -> Result<()> {
    wait::until(key, PATIENCE, || Ok((mirror(sipguard)?[key] == number).then_some(())))
        .with_context(|| mirror(sipguard).unwrap_or_default().to_string())
}

fn send(lab: &Lab, source: IpAddr, datagram: &[u8]) -> Result<()> {
    let server = if source.is_ipv6() { SERVER_V6 } else { SERVER };
    sender(lab, source)?.send_to(datagram, sip(server))?;
    Ok(())
}

/// What the collector has taken: method, source, destination, port.
fn collected(file: &Path) -> Result<Vec<[String; 4]>> {
    if !file.exists() {
        return Ok(Vec::new());
    }
    let fields = ["sip.Method", "ip.src", "ip.dst", "udp.dstport"];
    let rows = tshark::fields(file, "frame", &fields)?;
    let row = |row: Vec<String>| row.try_into().map_err(|row| anyhow::anyhow!("{row:?}"));
    rows.into_iter().map(row).collect()
}

#[test]
fn f49_a_collector_takes_what_was_dropped() -> Result<()> {
    if !can_run(&[TOOLS, &[Tool::Sngrep, Tool::Tshark]].concat()) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let sipguard =
        Sipguard::start(&lab, &policy("id = 2001\npassword = \"secret\"\n")?, &["--iface", WAN])?;
    let collector = Collector::start(&lab, COLLECTOR, Some("secret"))?;
    send(&lab, STRANGERS[0], &request("OPTIONS", b"Telephone/1.6", 1))?;
    send(&lab, STRANGERS[1], &request("REGISTER", b"friendly-scanner", 2))?;
    send(&lab, STRANGER_V6, &request("OPTIONS", b"Telephone/1.6", 3))?;
    // Passes.
    send(&lab, STRANGERS[2], &request("REGISTER", b"Telephone/1.6", 4))?;
    send(&lab, TRUSTED, &request("OPTIONS", b"trunk", 5))?;
    until(&sipguard, "sent", 3)?;
    // Is no message.
    sipguard.command(&["block", "198.51.100.10"])?.success()?;
    send(&lab, STRANGERS[3], b"\r\n\r\n")?;
    until(&sipguard, "not_sip", 1)?;
    let status = mirror(&sipguard)?;
    ensure!(status["failed"] == 0 && status["lost"] == 0 && status["sent"] == 3, "{status}");
    ensure!(status["collector"] == COLLECTOR.to_string() && status["problem"].is_null());

    let mut collected = collected(&collector.stop()?)?;
    collected.sort_unstable();
    let row = |method: &str, source: IpAddr| {
        [method.to_owned(), source.to_string(), SERVER.to_string(), "5060".to_owned()]
    };
    let [v4, register] = [row("OPTIONS", STRANGERS[0]), row("REGISTER", STRANGERS[1])];
    ensure!(collected.contains(&v4) && collected.contains(&register), "{collected:?}");
    ensure!(collected.len() == 3, "{collected:?}");

    // It is the password that has opened the door.
    let strict = Collector::start(&lab, COLLECTOR, Some("another"))?;
    send(&lab, STRANGERS[0], &request("OPTIONS", b"Telephone/1.6", 6))?;
    until(&sipguard, "sent", 4)?;
    let taken = self::collected(&strict.stop()?)?;
    ensure!(taken.is_empty(), "{taken:?}");
    ensure!(!sipguard.log().contains("secret"));
    Ok(())
}

#[test]
fn f49_a_reload_changes_the_mirror() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let socket = lab.outside().enter(|| std::net::UdpSocket::bind(COLLECTOR))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let sipguard = Sipguard::start(&lab, &Policy::usual()?, &["--iface", WAN])?;
    ensure!(mirror(&sipguard)?.is_null());
    let three = |number: u64| -> Result<()> {
        send(&lab, STRANGERS[0], &request("OPTIONS", b"Telephone/1.6", number))?;
        send(&lab, STRANGERS[1], &request("REGISTER", b"friendly-scanner", number))
    };
    three(1)?;

    let reload = |policy: Policy| -> Result<String> {
        policy.write(sipguard.folder())?;
        let (ok, message) = sipguard.hang_up()?;
        ensure!(ok, "{message}");
        Ok(message)
    };
    let said = reload(policy("rules = [\"signature\"]\npassword = \"first-key\"\n")?)?;
    ensure!(said.contains("mirror.collector") && said.contains("mirror.password none -> set"));
    ensure!(!said.contains("first-key"), "{said}");
    three(2)?;
    until(&sipguard, "sent", 1)?;
    let mut datagram = [0; 2048];
    let count = socket.recv(&mut datagram)?;
    let text = String::from_utf8_lossy(&datagram[..count]).into_owned();
    ensure!(text.starts_with("HEP3") && text.contains("REGISTER sip:100"), "{text}");
    ensure!(text.contains("number-2-end"), "what came before the reload was sent: {text}");

    let said = reload(policy("rules = [\"signature\"]\npassword = \"second-key\"\n")?)?;
    ensure!(said.contains("mirror.password set -> another"), "{said}");
    three(3)?;
    until(&sipguard, "sent", 2)?;
    let count = socket.recv(&mut datagram)?;
    ensure!(String::from_utf8_lossy(&datagram[..count]).contains("second-key"));

    reload(Policy::usual()?)?;
    three(4)?;
    ensure!(mirror(&sipguard)?.is_null());
    socket.set_nonblocking(true)?;
    ensure!(socket.recv(&mut datagram).is_err(), "something has come after the mirror's end");
    Ok(())
}

/// Nobody listens, there is no such host, or it is this one: the protection
/// goes on, and status says what is wrong.
#[test]
fn f49_a_collector_that_cannot_be_reached_harms_nobody() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let listener = Listener::new(&lab, SERVER)?;
    let sipguard = Sipguard::start(&lab, &policy("sample = \"50/s\"\n")?, &["--iface", WAN])?;
    let flood = Flow::start(&lab, STRANGER, SERVER, FLOOD, |number| {
        request("REGISTER", b"friendly-scanner", number)
    })?;
    wait::until("refused packets", PATIENCE, || {
        let status = mirror(&sipguard)?;
        let number = |key: &str| status[key].as_u64().unwrap_or(0);
        Ok((number("failed") > 5 && number("held_back") > 100).then_some(()))
    })?;
    let phone = sender(&lab, STRANGERS[2])?;
    ensure!(listener.receives(&phone, &request("REGISTER", b"Telephone/1.6", 1))?);
    flood.stop()?;
    ensure!(listener.numbers(STRANGER)?.is_empty(), "something has passed");

    for (collector, problem) in [
        ("nowhere.invalid:9060", "cannot look up nowhere.invalid"),
        ("203.0.113.1:5060", "203.0.113.1:5060 is this host at a protected port"),
    ] {
        let main = format!("[mirror]\ncollector = \"{collector}\"\n");
        Policy::usual()?.with_main(&main).write(sipguard.folder())?;
        let (ok, message) = sipguard.hang_up()?;
        ensure!(ok, "{message}");
        wait::until(problem, PATIENCE, || {
            let status = mirror(&sipguard)?;
            let found = status["problem"].as_str().unwrap_or_default().contains(problem);
            Ok(found.then_some(()))
        })
        .with_context(|| mirror(&sipguard).unwrap_or_default().to_string())?;
        send(&lab, STRANGERS[0], &request("OPTIONS", b"Telephone/1.6", 1))?;
    }
    let shown = sipguard.command(&["status"])?.success()?.text();
    ensure!(shown.contains("is this host at a protected port"), "{shown}");
    Ok(())
}
