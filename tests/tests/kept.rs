//! F40: what becomes of the filter when the daemon is gone, and what the next
//! one finds.

use std::{net::IpAddr, thread, time::Duration};

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::Signal;
use serde_json::Value;
use tests::{
    rig::{
        bpffs::Bpffs,
        lab::{Lab, SERVER, STRANGER, STRANGERS, TRUSTED, WAN, sip},
        policy::Policy,
        process::Finished,
        sipguard::{Sipguard, Stats, command_of_kept},
        tcp::{Client, Server},
        tool::{Tool, can_run},
        traffic::{Listener, request, sender},
        wait,
    },
    sip::Message,
};

const TOOLS: &[Tool] = &[Tool::Ip, Tool::Sipguard];
const PATIENCE: Duration = Duration::from_secs(20);
const IFACE: &[&str] = &["--iface", WAN];

/// Everything that one test has around it.
struct Scene {
    lab: Lab,
    bpffs: Bpffs,
    policy: Policy,
}

impl Scene {
    fn new() -> Result<Self> {
        let lab = Lab::new()?;
        let bpffs = Bpffs::new(lab.folder())?;
        Ok(Self { lab, bpffs, policy: Policy::usual()? })
    }

    fn start(&self) -> Result<Sipguard<'_>> {
        Sipguard::start_kept(&self.lab, &self.bpffs, &self.policy, IFACE)
    }

    /// A command with or without a daemon.
    fn command(&self, arguments: &[&str]) -> Result<Finished> {
        command_of_kept(&self.lab, &self.bpffs, arguments)
    }

    fn stats(&self) -> Result<Stats> {
        let answer = self.command(&["stats", "--json"])?.success()?;
        Ok(Stats(serde_json::from_slice(&answer.stdout)?))
    }

    fn list(&self, which: &str) -> Result<Vec<Value>> {
        let answer = self.command(&["list", which, "--json"])?.success()?;
        let mut lists: Value = serde_json::from_slice(&answer.stdout)?;
        let list = lists[which].take();
        Ok(list.as_array().with_context(|| format!("no list of {which}"))?.clone())
    }

    /// Whether a plain request of a source arrives.
    fn arrives(&self, listener: &Listener, source: IpAddr) -> Result<bool> {
        listener.receives(&sender(&self.lab, source)?, &request("REGISTER", b"Telephone/1.6", 1))
    }

    /// A scanner over TCP, which is banned for its signature.
    fn scan(&self, source: IpAddr) -> Result<()> {
        let scan = Message::request("REGISTER", "sip:100@203.0.113.1")
            .replace("Via", "SIP/2.0/TCP 198.51.100.7:5061;branch=z9hG4bK-77a1;rport")
            .agent("friendly-scanner")
            .build();
        Client::connect(&self.lab, source, sip(SERVER))?.send(&scan)
    }
}

/// F40, L30, I7: killed, the daemon leaves its filter, bans and counters; the next
/// one goes on with them, and there is no moment without a program.
#[test]
fn f40_the_filter_outlives_a_kill_and_the_next_daemon_goes_on() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let scene = Scene::new()?;
    let _server = Server::start(&scene.lab, sip(SERVER))?;
    let listener = Listener::new(&scene.lab, SERVER)?;
    let options = request("OPTIONS", b"Telephone/1.6", 1);
    let first = scene.start()?;
    ensure!(!listener.receives(&sender(&scene.lab, STRANGER)?, &options)?);
    let [_, banned, banned_meanwhile, _] = STRANGERS;
    scene.scan(banned)?;
    wait::until("the ban", PATIENCE, || Ok((!first.bans()?.is_empty()).then_some(())))?;
    let program = scene.lab.xdp_program(WAN)?.context("no program")?;
    let counted = first.stats()?;
    let since = counted.0["since"].clone();
    first.kill()?;

    // Nobody runs, and all goes on.
    ensure!(scene.lab.xdp_program(WAN)? == Some(program));
    ensure!(!listener.receives(&sender(&scene.lab, STRANGER)?, &options)?, "options pass");
    ensure!(!scene.arrives(&listener, banned)?, "the ban has ended with the daemon");
    ensure!(scene.arrives(&listener, TRUSTED)?, "a trusted peer is dropped");
    scene.scan(banned_meanwhile)?;
    ensure!(!scene.arrives(&listener, banned_meanwhile)?, "the kernel bans nobody by itself");
    let meanwhile = scene.stats()?;
    ensure!(meanwhile.packets("options")? == counted.packets("options")? + 1, "{meanwhile}");
    ensure!(meanwhile.packets("banned")? >= 2, "{meanwhile}");

    let second = scene.start()?;
    until_logged(&second, "goes on with what an earlier run")?;
    ensure!(scene.lab.xdp_program(WAN)?.is_some_and(|id| id != program), "the old program stays");
    let after = second.stats()?;
    for rule in after.rules()? {
        let name = rule["rule"].as_str().context("no name")?;
        ensure!(after.packets(name)? >= meanwhile.packets(name)?, "{name} has gone back: {after}");
    }
    ensure!(after.0["since"] == since, "{} and {since}", after.0["since"]);
    ensure!(after.packets_at("options", WAN)? == meanwhile.packets_at("options", WAN)?);
    ensure!(second.bans()?.len() == 2, "{:?}", second.bans()?);
    ensure!(!scene.arrives(&listener, banned)? && !scene.arrives(&listener, banned_meanwhile)?);
    // It hears of what happened while nobody listened.
    wait::until("the ban in the history", PATIENCE, || {
        let log = second.json(&["log", "--type", "ban", "--json"])?;
        let lines = log["lines"].as_array().context("no lines")?.clone();
        Ok(lines.iter().any(|line| line["target"] == banned_meanwhile.to_string()).then_some(()))
    })?;
    // What an earlier run has counted is no news.
    let pulse = second.json(&["top", "--once", "--json"])?.to_string();
    ensure!(!pulse.contains(&format!("\"source\":\"{STRANGER}\"")), "{pulse}");
    let report = second.json(&["report", "--since", "1h", "--json"])?;
    let rules = report["rules"].as_array().context("no rules")?;
    let options = rules.iter().find(|one| one["rule"] == "options");
    ensure!(options.is_none(), "counted again: {options:?}");
    let status = second.json(&["status", "--json"])?;
    ensure!(status["fail_mode"] == "keep", "{status}");
    // A signature goes on under its name.
    let hits = second.json(&["stats", "--signatures", "--json"])?;
    let hits = hits["signatures"].as_array().context("no signatures")?;
    let scanner = hits.iter().find(|one| one["name"] == "friendly-scanner");
    ensure!(scanner.is_some_and(|one| one["packets"] == 2), "{scanner:?}");
    second.stop()?.success()?;
    ensure!(scene.lab.xdp_program(WAN)?.is_some(), "a stop has taken the filter away");
    Ok(())
}

/// F33, F34: counters and lists are read, and blocks made and taken back, while
/// no daemon runs; the next one has them, and the history who it was.
#[test]
fn f33_f34_verbs_work_from_the_pins() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let mut scene = Scene::new()?;
    scene.policy.blacklist =
        "[[block]]\naddress = \"198.51.100.64/27\"\nreason = \"noise\"\n".to_owned();
    let listener = Listener::new(&scene.lab, SERVER)?;
    let [by_daemon, by_hand, _, other] = STRANGERS;
    let daemon = scene.start()?;
    daemon.command(&["block", &by_daemon.to_string(), "--reason", "first"])?.success()?;
    daemon.stop()?.success()?;

    let blocked = scene.list("blocked")?;
    let targets: Vec<_> = blocked.iter().map(|one| one["target"].clone()).collect();
    ensure!(targets.contains(&"198.51.100.64/27".into()), "{targets:?}");
    let first = blocked.iter().find(|one| one["target"] == by_daemon.to_string());
    ensure!(first.is_some_and(|one| one["reason"] == "first" && one["origin"] == "operator"));
    ensure!(!scene.arrives(&listener, by_daemon)?);

    ensure!(scene.arrives(&listener, by_hand)?);
    let by_hand_text = by_hand.to_string();
    let done = scene
        .command(&["block", &by_hand_text, "--ttl", "2m", "--reason", "by hand"])?
        .success()?;
    ensure!(done.words().contains("sipguard is not running; its filter is"), "{done}");
    ensure!(!scene.arrives(&listener, by_hand)?, "the block is not in force");
    ensure!(scene.arrives(&listener, other)?, "the block hits others");
    // What must not be blocked is refused now as ever.
    for target in [SERVER.to_string(), TRUSTED.to_string()] {
        scene.command(&["block", &target])?.expect_code(1)?;
    }
    ensure!(scene.arrives(&listener, TRUSTED)?);
    scene.command(&["unblock", &by_daemon.to_string()])?.success()?;
    ensure!(scene.arrives(&listener, by_daemon)?, "the block still holds");
    scene.command(&["unblock", "198.51.100.64/27"])?.expect_code(1)?;

    let daemon = scene.start()?;
    let listed = daemon.json(&["list", "blocked", "--json"])?["blocked"].take();
    let listed = listed.as_array().context("no list")?;
    let operators: Vec<_> = listed.iter().filter(|one| one["origin"] == "operator").collect();
    ensure!(operators.len() == 1 && operators[0]["target"] == by_hand_text, "{operators:?}");
    ensure!(operators[0]["reason"] == "by hand", "{operators:?}");
    ensure!(!scene.arrives(&listener, by_hand)? && scene.arrives(&listener, by_daemon)?);
    let log = daemon.json(&["log", "--type", "block", "--json"])?;
    let lines = log["lines"].as_array().context("no lines")?;
    ensure!(lines.iter().any(|line| line["target"] == by_hand_text && line["by"] == "uid:0"));
    Ok(())
}

/// D15, I9: `detach` takes away what is ours and nothing else; afterwards nobody
/// runs, and the verbs say so.
#[test]
fn f40_d15_detach_removes_only_what_is_ours() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let scene = Scene::new()?;
    let listener = Listener::new(&scene.lab, SERVER)?;
    let options = request("OPTIONS", b"Telephone/1.6", 1);
    scene.command(&["detach"])?.expect_code(1)?;
    scene.command(&["stats"])?.expect_code(3)?;
    let daemon = scene.start()?;
    // Who runs has to be stopped first.
    let refused = scene.command(&["detach"])?.expect_code(1)?;
    ensure!(refused.words().contains("another sipguard uses"), "{refused}");
    daemon.kill()?;
    let theirs = scene.bpffs.pins().join("maps/THEIRS");
    let ours = scene.bpffs.pins().join("maps/RECORD");
    scene.bpffs.enter(|| std::fs::hard_link(&ours, &theirs))?;
    let done = scene.command(&["detach"])?.success()?;
    ensure!(done.text().contains("detached from 1 interface"), "{done}");
    ensure!(scene.lab.xdp_program(WAN)?.is_none(), "the program is still attached");
    ensure!(listener.receives(&sender(&scene.lab, STRANGER)?, &options)?);
    ensure!(scene.bpffs.pinned()? == ["maps/THEIRS"], "{:?}", scene.bpffs.pinned()?);
    scene.bpffs.enter(|| std::fs::remove_file(&theirs))?;
    scene.command(&["detach"])?;
    scene.command(&["stats"])?.expect_code(3)?;
    Ok(())
}

/// Fail mode open, whatever way it dies; also for what an earlier run has kept.
#[test]
fn f40_open_leaves_with_the_process_and_takes_over_what_was_kept() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let scene = Scene::new()?;
    scene.start()?.kill()?;
    ensure!(!scene.bpffs.pinned()?.is_empty());
    let open = &["--iface", WAN, "--fail-mode", "open"];
    for killed in [true, false] {
        let daemon = Sipguard::start_kept(&scene.lab, &scene.bpffs, &scene.policy, open)?;
        ensure!(daemon.json(&["status", "--json"])?["fail_mode"] == "open");
        ensure!(scene.bpffs.pinned()?.is_empty(), "{:?}", scene.bpffs.pinned()?);
        if killed {
            daemon.kill()?
        } else {
            daemon.stop()?.success()?
        };
        wait::until("the end of the program", PATIENCE, || {
            Ok(scene.lab.xdp_program(WAN)?.is_none().then_some(()))
        })?;
    }
    Ok(())
}

/// An upgrade to another layout starts anew, says so, and leaves no moment
/// without a program: never are maps misread.
#[test]
fn f40_other_layouts_start_anew_and_say_so() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let scene = Scene::new()?;
    let listener = Listener::new(&scene.lab, SERVER)?;
    let options = request("OPTIONS", b"Telephone/1.6", 1);
    let first = scene.start()?;
    first.command(&["block", "198.51.100.10"])?.success()?;
    ensure!(!listener.receives(&sender(&scene.lab, STRANGER)?, &options)?);
    first.kill()?;
    let program = scene.lab.xdp_program(WAN)?.context("no program")?;
    scene.bpffs.make_older()?;
    // Nothing is read that may mean something else.
    let refused = scene.command(&["stats"])?.expect_code(1)?;
    ensure!(refused.words().contains("layout 1"), "{refused}");
    let second = scene.start()?;
    until_logged(&second, "starts anew")?;
    ensure!(scene.lab.xdp_program(WAN)?.is_some_and(|id| id != program));
    let stats = second.stats()?;
    ensure!(stats.packets("options")? == 0, "{stats}");
    // Operators' entries come from the history.
    ensure!(!scene.arrives(&listener, "198.51.100.10".parse()?)?);
    second.kill()?;
    ensure!(scene.stats()?.packets("blocked")? == 1);
    Ok(())
}

/// An interface that is no longer to be protected is left; one that failed to
/// start leaves what protects in force.
#[test]
fn f40_interfaces_that_go_are_left_and_failed_starts_change_nothing() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let mut scene = Scene::new()?;
    scene.lab.add_second_wire()?;
    let second_wan = tests::rig::lab::SECOND_WAN;
    let both = &["--iface", WAN, "--iface", second_wan];
    let daemon = Sipguard::start_kept(&scene.lab, &scene.bpffs, &scene.policy, both)?;
    daemon.kill()?;
    scene.policy = Policy::usual()?;
    let nowhere = &["--iface", WAN, "--iface", "nowhere0", "--fail-mode", "keep", "--pins"];
    let pins = scene.bpffs.pins().display().to_string();
    let failed = scene
        .command(&[&["run", "--config", "config"][..], &nowhere[..], &[pins.as_str()]].concat())?;
    ensure!(failed.code() != Some(0), "{failed}");
    for interface in [WAN, second_wan] {
        ensure!(scene.lab.xdp_program(interface)?.is_some(), "{interface} has lost its program");
    }
    let daemon = scene.start()?;
    until_logged(&daemon, "1 interfaces that an earlier run")?;
    ensure!(scene.lab.xdp_program(WAN)?.is_some());
    ensure!(scene.lab.xdp_program(second_wan)?.is_none());
    Ok(())
}

/// A daemon that dies between the steps of a start leaves a filter that the next
/// one takes over.
#[test]
fn f40_starts_that_are_cut_off_are_taken_over() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let scene = Scene::new()?;
    let listener = Listener::new(&scene.lab, SERVER)?;
    let options = request("OPTIONS", b"Telephone/1.6", 1);
    scene.start()?.kill()?;
    for delay in (0..12).map(|step| Duration::from_millis(25 * step)) {
        scene.start_and_kill_after(delay)?;
        ensure!(scene.lab.xdp_program(WAN)?.is_some(), "no program after {delay:?}");
        ensure!(!listener.receives(&sender(&scene.lab, STRANGER)?, &options)?, "{delay:?}");
    }
    let daemon = scene.start()?;
    ensure!(daemon.stats()?.packets("options")? >= 12);
    Ok(())
}

/// What it logs comes another way than what it prints.
fn until_logged(daemon: &Sipguard<'_>, words: &str) -> Result<()> {
    wait::until("a line of the log", PATIENCE, || Ok(daemon.log().contains(words).then_some(())))
        .with_context(|| daemon.log())
}

impl Scene {
    /// Begins a start, and kills it on the way.
    fn start_and_kill_after(&self, delay: Duration) -> Result<()> {
        let starting = Sipguard::begin_kept(&self.lab, &self.bpffs, &self.policy, IFACE)?;
        thread::sleep(delay);
        starting.signal(Signal::SIGKILL)?;
        starting.finish(PATIENCE)?;
        Ok(())
    }
}
