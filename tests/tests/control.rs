//! The command line and the control socket against a running daemon.

use std::{
    fs::{self, Permissions},
    io::{self, Read as _, Write as _},
    os::unix::{fs::PermissionsExt as _, net::UnixStream},
    path::Path,
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, ensure};
use nix::libc;
use serde_json::Value;
use tests::rig::{
    confined::NOBODY,
    lab::{GATEWAY, Lab, SERVER, STRANGER, STRANGERS, TRUSTED, WAN},
    policy::Policy,
    process::{self, Finished},
    sipguard::{Sipguard, client},
    tool::{Tool, can_run},
    traffic::{Flow, Listener, request, sender},
    wait,
};

const TOOLS: &[Tool] = &[Tool::Ip, Tool::Sipguard];

/// How long anything here may take that has no time limit of its own.
const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn a_block_holds_within_a_second_and_ends_in_time() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let listener = Listener::new(&lab, SERVER)?;
    let sipguard = Sipguard::start(&lab, &Policy::usual()?, &["--iface", WAN])?;
    let flow = Flow::start(&lab, STRANGER, SERVER, 50, |number| {
        request("INFO", b"Telephone/1.6", number)
    })?;
    let since = |from: Instant| -> Result<Option<Instant>> {
        Ok(listener.from(STRANGER)?.iter().map(|arrival| arrival.at).find(|at| *at >= from))
    };
    wait::until("packets before the block", PATIENCE, || since(Instant::now() - PATIENCE))?;

    let (ttl, second) = (Duration::from_secs(3), Duration::from_secs(1));
    let asked = Instant::now();
    let block = ["block", &STRANGER.to_string(), "--ttl", "3s", "--reason", "noise"];
    sipguard.command(&block)?.success()?;
    let done = Instant::now();
    let listed = sipguard.json(&["list", "blocked", "--json"])?;
    ensure!(listed["blocked"][0]["target"] == STRANGER.to_string(), "{listed}");
    ensure!(listed["blocked"][0]["reason"] == "noise", "{listed}");

    let back = wait::until("packets after the block", PATIENCE, || since(done + second))?;
    ensure!(back >= asked + ttl - second, "back after {:?}", back - asked);
    ensure!(back <= done + ttl + second, "back after {:?}", back - done);
    let sent = flow.stop()?;
    let arrived = u64::try_from(listener.from(STRANGER)?.len())?;
    let stats = sipguard.stats()?;
    println!("blocked for {:?}: {} of {sent} dropped", back - asked, sent - arrived);
    ensure!(stats.packets("blocked")? == sent - arrived, "{sent}, {arrived}: {stats}");

    wait::until("the end of the entry", PATIENCE, || {
        let listed = sipguard.json(&["list", "blocked", "--json"])?;
        Ok(listed["blocked"].as_array().context("no list")?.is_empty().then_some(()))
    })?;
    sipguard.command(&["unblock", &STRANGER.to_string()])?.expect_code(1)?;
    Ok(())
}

#[test]
fn unblock_and_allow_hold_at_once() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let listener = Listener::new(&lab, SERVER)?;
    let sipguard = Sipguard::start(&lab, &Policy::usual()?, &["--iface", WAN])?;
    let stranger = sender(&lab, STRANGER)?;
    let register = request("REGISTER", b"Telephone/1.6", 1);
    let options = request("OPTIONS", b"Telephone/1.6", 2);
    let address = STRANGER.to_string();
    ensure!(listener.receives(&stranger, &register)?);

    for target in [address.as_str(), "198.51.100.0/28"] {
        sipguard.command(&["block", target])?.success()?;
        ensure!(!listener.receives(&stranger, &register)?, "block {target} does nothing");
        let again = sipguard.command(&["block", target, "--ttl", "1h"])?.success()?;
        ensure!(again.text().contains("updated"), "{again}");
        sipguard.command(&["unblock", target])?.success()?;
        ensure!(listener.receives(&stranger, &register)?, "unblock {target} does nothing");
    }

    ensure!(!listener.receives(&stranger, &options)?);
    sipguard.command(&["allow", &address, "--ttl", "1h"])?.success()?;
    ensure!(listener.receives(&stranger, &options)?, "allow does nothing");
    sipguard.command(&["allow", "--remove", &address])?.success()?;
    ensure!(!listener.receives(&stranger, &options)?, "allow --remove does nothing");
    Ok(())
}

#[test]
fn what_would_cut_off_the_operator_cannot_be_blocked() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let listener = Listener::new(&lab, SERVER)?;
    let sipguard = Sipguard::start(&lab, &Policy::usual()?, &["--iface", WAN])?;
    let refused = |target: &str, reason: &str| -> Result<()> {
        let answer = sipguard.command(&["block", target])?.expect_code(1)?;
        ensure!(answer.words().contains(reason), "block {target} says:\n{answer}");
        ensure!(answer.words().contains("hint: "), "block {target} gives no hint:\n{answer}");
        Ok(())
    };
    for (address, network, reason) in [
        (TRUSTED, "192.0.2.0/24", "trusted"),
        (SERVER, "203.0.113.0/29", "address of this host"),
        (GATEWAY, "203.0.113.120/29", "gateway"),
    ] {
        refused(&address.to_string(), reason)?;
        refused(network, reason)?;
    }
    let listed = sipguard.json(&["list", "blocked", "--json"])?;
    ensure!(listed["blocked"] == Value::Array(Vec::new()), "{listed}");
    ensure!(listener.receives(&sender(&lab, TRUSTED)?, &request("OPTIONS", b"sipcli", 1))?);
    ensure!(sipguard.stats()?.packets("blocked")? == 0);
    Ok(())
}

#[test]
fn exit_codes() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let nowhere = lab.folder().join("nowhere.sock");
    let answer =
        process::run(&mut client(&lab, &nowhere, &["status"])?, PATIENCE)?.expect_code(3)?;
    ensure!(answer.words().contains("hint: "), "no hint:\n{answer}");

    let wrong = Policy::usual()?.with_main("[policy]\nposture = \"guarded\"\noptions = \"dorp\"\n");
    let answer = Sipguard::fails_to_start(&lab, &wrong, &["--iface", WAN])?.expect_code(78)?;
    ensure!(answer.words().contains("sipguard.toml:3"), "no file and line:\n{answer}");
    ensure!(lab.xdp_program(WAN)?.is_none());
    let folder = lab.folder().join("config").to_string_lossy().into_owned();
    let answer = process::run(&mut client(&lab, &nowhere, &["check", &folder])?, PATIENCE)?;
    ensure!(answer.expect_code(78)?.words().contains("sipguard.toml:3"));

    let usual = Policy::usual()?;
    Sipguard::fails_to_start(&lab, &usual, &["--iface", "nosuch0"])?.expect_code(1)?;
    Sipguard::fails_to_start(&lab, &usual, &["--nonsense"])?.expect_code(2)?;
    Sipguard::fails_to_start(&lab, &usual, &[])?.expect_code(2)?;

    let sipguard = Sipguard::start(&lab, &usual, &["--iface", WAN])?;
    sipguard.command(&["unblock", "198.51.100.200"])?.expect_code(1)?;
    sipguard.command(&["block", "198.51.100.300"])?.expect_code(2)?;
    sipguard.stop()?.success()?;
    Ok(())
}

#[test]
fn an_unprivileged_user_is_told_so() -> Result<()> {
    if !can_run(&[TOOLS, &[Tool::Setpriv]].concat()) {
        return Ok(());
    }
    let lab = Lab::new()?;
    // Where that user can reach it.
    let binary = lab.folder().join("sipguard");
    fs::copy(Tool::Sipguard.path()?, &binary)?;
    fs::set_permissions(&binary, Permissions::from_mode(0o755))?;
    let as_nobody = |socket: &Path, arguments: &[&str]| -> Result<Finished> {
        let mut command = lab.server().command(Tool::Setpriv.path()?)?;
        let nobody = NOBODY.to_string();
        let ids = ["--reuid", &nobody, "--regid", &nobody, "--clear-groups", "--"];
        command.args(ids).arg(&binary).arg("--socket").arg(socket).args(arguments);
        process::run(&mut command, PATIENCE)
    };
    let sipguard = Sipguard::start(&lab, &Policy::usual()?, &["--iface", WAN])?;
    let before = sipguard.stats()?.packets("blocked")?;
    for verb in [&["status"][..], &["block", "198.51.100.7"], &["reload"]] {
        let answer = as_nobody(sipguard.socket(), verb)?.expect_code(4)?;
        ensure!(answer.words().contains("hint: "), "no hint:\n{answer}");
    }
    let listed = sipguard.json(&["list", "blocked", "--json"])?;
    ensure!(listed["blocked"] == Value::Array(Vec::new()), "{listed}");
    ensure!(sipguard.stats()?.packets("blocked")? == before);

    let config = sipguard.folder().path().to_string_lossy().into_owned();
    sipguard.stop()?.success()?;
    let state = lab.folder().join("state").to_string_lossy().into_owned();
    let run =
        ["run", "--iface", WAN, "--config", &config, "--state", &state, "--fail-mode", "open"];
    as_nobody(&lab.folder().join("no.sock"), &run)?.expect_code(4)?;
    ensure!(lab.xdp_program(WAN)?.is_none());
    Ok(())
}

#[test]
fn the_socket_is_for_its_group_and_speaks_http() -> Result<()> {
    if !can_run(&[TOOLS, &[Tool::Curl]].concat()) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let sipguard = Sipguard::start(&lab, &Policy::usual()?, &["--iface", WAN])?;
    let mode = fs::metadata(sipguard.socket())?.permissions().mode() & 0o777;
    ensure!(mode == 0o660, "mode {mode:o}");

    let curl = |arguments: &[&str]| -> Result<Value> {
        let mut command = Command::new(Tool::Curl.path()?);
        command.args(["--silent", "--show-error", "--max-time", "10", "--unix-socket"]);
        let answer = process::run(command.arg(sipguard.socket()).args(arguments), PATIENCE)?;
        let answer = answer.success()?;
        serde_json::from_slice(&answer.stdout).with_context(|| format!("no JSON:\n{answer}"))
    };
    let stats = curl(&["http://localhost/v1/stats"])?;
    ensure!(stats["rules"].as_array().is_some_and(|rules| rules.len() > 10), "{stats}");

    let body = format!("{{\"target\": \"{}\", \"reason\": \"by hand\"}}", STRANGERS[1]);
    let json = ["--header", "Content-Type: application/json", "--data", &body];
    curl(&[&json[..], &["http://localhost/v1/blocks"]].concat())?;
    let listed = curl(&["http://localhost/v1/lists?kind=blocked"])?;
    ensure!(listed["blocked"][0]["target"] == STRANGERS[1].to_string(), "{listed}");
    ensure!(listed["blocked"][0]["uid"] == 0, "{listed}");

    let socket = sipguard.socket().to_owned();
    sipguard.stop()?.success()?;
    ensure!(!socket.exists(), "the socket is left behind");
    Ok(())
}

#[test]
fn the_whole_rule_table_is_in_stats() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let sipguard = Sipguard::start(&lab, &Policy::usual()?, &["--iface", WAN])?;
    let stats = sipguard.stats()?;
    let names: Vec<&str> = stats.rules()?.iter().filter_map(|rule| rule["rule"].as_str()).collect();
    let rules = sipguard_common::rule::Rule::ALL.iter().filter(|rule| !rule.is_egress());
    let table: Vec<&str> = rules.map(|rule| rule.name()).collect();
    ensure!(names == table, "{names:?}");
    let shown = sipguard.command(&["stats"])?.success()?.text();
    ensure!(table.iter().all(|rule| shown.contains(rule)), "{shown}");
    Ok(())
}

/// Escape sequences in what scanners, files and operators say would otherwise
/// move the cursor, or worse.
#[test]
fn nothing_unprintable_reaches_a_terminal() -> Result<()> {
    const EVIL: &str = "\u{1b}]0;title\u{7}\u{1b}[31mred\u{9b}2J\u{7f}\u{202e}";
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let listener = Listener::new(&lab, SERVER)?;
    let sipguard = Sipguard::start(&lab, &Policy::usual()?, &["--iface", WAN])?;
    let stranger = sender(&lab, STRANGER)?;
    let user_agent = [b"friendly-scanner \xff\xfe", EVIL.as_bytes()].concat();
    ensure!(!listener.receives(&stranger, &request("REGISTER", &user_agent, 1))?);

    let mut shown = Vec::new();
    let target = STRANGERS[2].to_string();
    let mut show = |arguments: &[&str]| -> Result<()> {
        let answer = sipguard.command(arguments)?;
        shown.push((arguments.join(" "), [answer.stdout, answer.stderr].concat()));
        Ok(())
    };
    show(&["block", &target, "--reason", EVIL])?;
    show(&["block", &format!("{target}{EVIL}")])?;
    show(&[EVIL])?;
    show(&["list"])?;
    show(&["list", "--json"])?;
    show(&["stats"])?;
    show(&["stats", "--json"])?;
    show(&["status"])?;
    show(&["status", "--json"])?;
    show(&["why", &target])?;
    show(&["why", &target, "--json"])?;
    show(&["why", &STRANGER.to_string()])?;
    show(&["log"])?;
    show(&["log", "--json"])?;
    show(&["unblock", &target])?;
    // In a comment, a key and a value, none of which TOML allows.
    let broken = format!("# {EVIL}\n[[peer]]\nname = \"{EVIL}\"\n\"{EVIL}\" = 1\n");
    sipguard.folder().put("trusted.toml", &broken)?;
    sipguard.hang_up()?;
    show(&["reload"])?;
    show(&["check", &sipguard.folder().path().to_string_lossy()])?;
    shown.push(("the daemon".to_owned(), sipguard.output()));

    for (who, bytes) in shown {
        let text = String::from_utf8(bytes).with_context(|| format!("{who}: no UTF-8"))?;
        let evil = text.chars().find(|c| (c.is_control() && *c != '\n') || *c == '\u{202e}');
        ensure!(evil.is_none(), "{who}: {evil:?} in {text:?}");
    }
    Ok(())
}

/// A thread with another user's credentials, and the connections that it makes.
fn connect_as(uid: u32, socket: &Path, count: usize) -> Result<Vec<UnixStream>> {
    let connect = || -> io::Result<Vec<UnixStream>> {
        // glibc's function would change all threads of this process.
        // SAFETY: takes numbers only, and the thread ends with it.
        let done = unsafe { libc::syscall(libc::SYS_setresuid, -1, uid, -1) };
        if done != 0 {
            return Err(io::Error::last_os_error());
        }
        (0..count).map(|_| UnixStream::connect(socket)).collect()
    };
    let connected = thread::scope(|scope| scope.spawn(connect).join());
    Ok(connected.map_err(|_| anyhow!("the thread has panicked"))??)
}

/// Whoever may connect, or has been let in by a wrong mode of the socket, takes
/// places of his own user and of no other, and none for long.
#[test]
fn members_of_the_group_cannot_keep_root_out() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let sipguard = Sipguard::start(&lab, &Policy::usual()?, &["--iface", WAN])?;
    fs::set_permissions(sipguard.socket(), Permissions::from_mode(0o666))?;
    let mut connections = Vec::new();
    for uid in [NOBODY, NOBODY - 1, NOBODY - 2] {
        connections.extend(connect_as(uid, sipguard.socket(), 100)?);
    }
    for _ in 0..20 {
        sipguard.command(&["status"])?.success()?;
    }
    sipguard.command(&["block", &STRANGERS[1].to_string()])?.success()?;
    // Who says nothing is left, after ten seconds.
    for mut connection in connections {
        connection.set_read_timeout(Some(PATIENCE))?;
        let mut answer = Vec::new();
        match connection.read_to_end(&mut answer) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {}
            other => ensure!(other? == 0, "{}", String::from_utf8_lossy(&answer)),
        }
    }
    // And whoever is not permitted hears that, in a place that is free again.
    let mut stranger = connect_as(NOBODY, sipguard.socket(), 1)?;
    let stranger = stranger.first_mut().context("no connection")?;
    stranger.write_all(b"POST /v1/reload HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stranger.read_to_string(&mut answer)?;
    ensure!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
    Ok(())
}

/// Asks again and again on one connection, until told to stop; gives how often
/// it was answered.
fn hammer(socket: &Path, stop: &AtomicBool) -> Result<u64> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let (mut answers, mut buffer) = (0, vec![0; 1 << 20]);
    while !stop.load(Ordering::Relaxed) {
        stream.write_all(b"GET /v1/stats HTTP/1.1\r\nHost: x\r\n\r\n")?;
        ensure!(stream.read(&mut buffer)? > 0, "the connection has ended");
        answers += 1;
    }
    Ok(answers)
}

/// Who asks as fast as it goes, on many connections, is worked on in turns with
/// everything else: others are answered, and what ends ends in time.
#[test]
fn who_asks_without_end_holds_up_nobody() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let sipguard = Sipguard::start(&lab, &Policy::usual()?, &["--iface", WAN])?;
    let stop = AtomicBool::new(false);
    let answers = thread::scope(|scope| -> Result<u64> {
        let all: Vec<_> =
            (0..32).map(|_| scope.spawn(|| hammer(sipguard.socket(), &stop))).collect();
        let asked = (|| -> Result<()> {
            sipguard.command(&["block", &STRANGER.to_string(), "--ttl", "2s"])?.success()?;
            for _ in 0..5 {
                sipguard.command(&["status"])?.success()?;
            }
            wait::until("the end of the block", PATIENCE, || {
                let lists = sipguard.json(&["list", "blocked", "--json"])?;
                Ok(lists["blocked"].as_array().is_some_and(Vec::is_empty).then_some(()))
            })
        })();
        stop.store(true, Ordering::Relaxed);
        let joined = all.into_iter().map(|one| one.join());
        let answers = joined.map(|one| one.map_err(|_| anyhow!("a thread has panicked"))?);
        let answers = answers.sum::<Result<u64>>();
        asked?;
        answers
    })?;
    ensure!(answers > 100, "only {answers} answers: nothing was held up");
    println!("{answers} answers meanwhile");
    Ok(())
}
