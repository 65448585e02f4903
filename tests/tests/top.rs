//! F35: `sipguard top` on a real terminal, over a real daemon, with traffic.

use std::{process::Command, time::Duration};

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::Signal;
use serde_json::Value;
use tests::rig::{
    lab::{Lab, SERVER, STRANGER, TRUSTED, WAN},
    policy::Policy,
    process::{self, Process},
    sipguard::{Sipguard, client},
    terminal::Terminal,
    tool::{Tool, can_run},
    traffic::{Flow, Listener, request},
};

const TOOLS: &[Tool] = &[Tool::Ip, Tool::Sipguard];

/// How long anything here may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// A way to end it.
type End = fn(&Terminal) -> Result<()>;

/// `top` on a terminal.
fn top(sipguard: &Sipguard<'_>, columns: u16, rows: u16) -> Result<Terminal> {
    let mut command = Command::new(Tool::Sipguard.path()?);
    command.arg("--socket").arg(sipguard.socket()).arg("top");
    command.env_remove("SIPGUARD_SOCKET").env_remove("NO_COLOR");
    Terminal::start(&mut command, columns, rows)
}

fn scan(lab: &Lab) -> Result<Flow> {
    Flow::start(lab, STRANGER, SERVER, 200, |number| {
        request("REGISTER", b"friendly-scanner", number)
    })
}

/// Nothing is left of the picture.
fn is_restored(terminal: &Terminal) -> Result<()> {
    let screen = terminal.screen();
    ensure!(!screen.is_alternate && screen.is_cursor_shown && !screen.is_paste_marked);
    ensure!(terminal.is_set_as_before()?, "the terminal is set otherwise than before");
    let output = terminal.output();
    let (_, after) = output.rsplit_once("\u{1b}[?1049l").context("the screen was not left")?;
    ensure!(!after.contains("\u{1b}[?1049h"), "{after:?}");
    Ok(())
}

#[test]
fn f35_a_scanner_is_seen_blocked_explained_and_released_by_keys() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let sipguard = Sipguard::start(&lab, &Policy::usual()?, &["--iface", WAN])?;
    let _server = Listener::new(&lab, SERVER)?;
    let scanner = scan(&lab)?;
    let _trunk =
        Flow::start(&lab, TRUSTED, SERVER, 20, |number| request("INVITE", b"trunk", number))?;
    let mut top = top(&sipguard, 80, 24)?;
    let row = format!("> {STRANGER} ");
    let seen = top.wait("the scanner", PATIENCE, |screen| {
        screen.line(&row).is_some_and(|line| line.ends_with("stranger"))
            && screen.shows("friendly-sc")
            && screen.line(&TRUSTED.to_string()).is_some_and(|line| line.ends_with("trusted"))
    })?;
    println!("{seen}");
    ensure!(seen.is_alternate && !seen.is_cursor_shown && seen.is_paste_marked);
    let rule = seen.line("  signature ").context("no rule")?;
    ensure!(rule.contains("drop") && rule.contains('▇'), "{rule}");

    top.press("b")?;
    top.wait("the question", PATIENCE, |screen| screen.shows("Block: everything"))?;
    // A paste, and Enter by hand.
    top.press("\t\u{1b}[200~seen in\ntop\u{1b}[201~\r")?;
    top.wait("the block", PATIENCE, |screen| screen.shows("blocked 198.51.100.7 until "))?;
    let listed = sipguard.json(&["list", "blocked", "--json"])?;
    let block = &listed["blocked"][0];
    ensure!(block["target"] == STRANGER.to_string() && block["reason"] == "seen in top");
    ensure!(block["until"].is_string(), "{listed}");
    top.wait("its new state", PATIENCE, |screen| {
        screen.line(&row).is_some_and(|line| line.ends_with("blocked"))
    })?;

    top.press("w")?;
    let why = top.wait("the reason", PATIENCE, |screen| screen.shows("is blocked: what it"))?;
    println!("{why}");
    ensure!(why.shows("seen in top"), "{why}");
    // Too small, then larger: the text is still there.
    top.resize(40, 10)?;
    top.wait("its regret", PATIENCE, |screen| screen.shows("40x10 is too small"))?;
    top.resize(120, 40)?;
    top.wait("all of it", PATIENCE, |screen| {
        screen.shows("is blocked: what it") && screen.shows("REGISTER") && screen.shows("last 59 s")
    })?;
    top.press("\u{1b}")?;
    top.wait("the picture", PATIENCE, |screen| !screen.shows("is blocked: what it"))?;

    top.press("u")?;
    top.wait("the question", PATIENCE, |screen| screen.shows("Take back: end the block"))?;
    top.press("\r")?;
    top.wait("the release", PATIENCE, |screen| screen.shows("unblocked 198.51.100.7"))?;
    let listed = sipguard.json(&["list", "blocked", "--json"])?;
    ensure!(listed["blocked"].as_array().is_some_and(Vec::is_empty), "{listed}");
    top.press("/nobody\r")?;
    top.wait("nobody", PATIENCE, |screen| !screen.shows("198.51.100.7"))?;

    top.press("q")?;
    let status = top.ended(PATIENCE)?;
    ensure!(status.code() == Some(0), "{status}");
    is_restored(&top)?;
    scanner.stop()?;
    Ok(())
}

#[test]
fn f35_the_terminal_is_restored_at_every_end() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let sipguard = Sipguard::start(&lab, &Policy::usual()?, &["--iface", WAN])?;
    let ends: [(&str, End); 4] = [
        ("Ctrl-C", |top| top.press("\u{3}")),
        ("SIGTERM", |top| top.signal(Signal::SIGTERM)),
        ("SIGINT", |top| top.signal(Signal::SIGINT)),
        ("SIGHUP", |top| top.signal(Signal::SIGHUP)),
    ];
    for (name, end) in ends {
        let mut top = top(&sipguard, 80, 24)?;
        top.wait("a second", PATIENCE, |screen| screen.shows("guarded"))?;
        end(&top)?;
        let status = top.ended(PATIENCE).context(name)?;
        ensure!(status.code() == Some(0), "{name}: {status}");
        is_restored(&top).context(name)?;
    }
    let mut closed = top(&sipguard, 80, 24)?;
    closed.wait("a second", PATIENCE, |screen| screen.shows("guarded"))?;
    closed.hang_up();
    closed.ended(PATIENCE).context("the terminal was closed")?;

    // Suspended, the shell has the terminal; awakened, the picture returns.
    let mut top = top(&sipguard, 80, 24)?;
    top.wait("a second", PATIENCE, |screen| screen.shows("guarded"))?;
    top.press("\u{1a}")?;
    top.wait("its leave", PATIENCE, |screen| !screen.is_alternate)?;
    tests::rig::wait::until("the settings", PATIENCE, || {
        Ok(top.is_set_as_before()?.then_some(()))
    })?;
    // It may not sleep yet.
    tests::rig::wait::until("the picture", PATIENCE, || {
        top.signal(Signal::SIGCONT)?;
        let screen = top.screen();
        Ok((screen.is_alternate && screen.shows("guarded")).then_some(()))
    })?;

    // The daemon's end is told of; nobody need start again when it returns.
    sipguard.stop()?.success()?;
    let lost = top.wait("the loss", PATIENCE, |screen| screen.shows("trying again"))?;
    ensure!(lost.shows("trying again: sipguard "), "{lost}");
    let sipguard = Sipguard::start(&lab, &Policy::usual()?, &["--iface", WAN])?;
    top.wait("the return", PATIENCE, |screen| {
        screen.shows("connected again") && screen.shows("guarded") && !screen.shows("trying")
    })?;
    let killed = sipguard.kill()?;
    ensure!(!killed.status.success());
    top.wait("the loss", PATIENCE, |screen| screen.shows("trying again"))?;
    top.press("q")?;
    ensure!(top.ended(PATIENCE)?.code() == Some(0));
    is_restored(&top)
}

#[test]
fn f35_without_a_terminal_there_are_lines() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let sipguard = Sipguard::start(&lab, &Policy::usual()?, &["--iface", WAN])?;
    let scanner = scan(&lab)?;

    // A pipe instead of a terminal.
    let piped = Process::start(&mut client(&lab, sipguard.socket(), &["top"])?)?;
    let from = format!("from {STRANGER} ");
    let line = piped.stdout().line(PATIENCE, |line| line.contains(&from))?;
    println!("{line}");
    ensure!(line.contains("guarded") && line.contains("by signature "), "{line}");
    let mut json = Process::start(&mut client(&lab, sipguard.socket(), &["top", "--json"])?)?;
    let line = json.stdout().line(PATIENCE, |line| line.contains(&STRANGER.to_string()))?;
    let pulse: Value = serde_json::from_str(&line)?;
    ensure!(pulse["sources"][0]["source"] == STRANGER.to_string(), "{pulse}");
    ensure!(json.ended()?.is_none());

    let once = sipguard.command(&["top", "--once"])?.success()?.text();
    println!("{once}");
    let words: Vec<Vec<&str>> =
        once.lines().map(|line| line.split_whitespace().collect()).collect();
    ensure!(words.iter().any(|line| line.first() == Some(&"signature")), "{once}");
    let once = sipguard.json(&["top", "--once", "--json"])?;
    ensure!(once["posture"] == "guarded", "{once}");

    // On a terminal, too, where lines are asked for.
    let mut plain = Command::new(Tool::Sipguard.path()?);
    plain.arg("--socket").arg(sipguard.socket()).args(["top", "--plain"]);
    let plain = Terminal::start(&mut plain, 200, 24)?;
    plain.wait("a line", PATIENCE, |screen| screen.shows("guarded  passed"))?;
    ensure!(!plain.output().contains('\u{1b}'), "{:?}", plain.output());

    // A reader who has seen enough is no failure.
    let socket = sipguard.socket().display();
    let head = format!("{} --socket {socket} top | head -n 1", Tool::Sipguard.path()?.display());
    let head = process::run(Command::new("sh").args(["-c", &head]), PATIENCE)?.success()?;
    ensure!(head.words().is_empty(), "{head}");

    scanner.stop()?;
    let socket = sipguard.socket().to_owned();
    sipguard.stop()?.success()?;
    let piped = piped.finish(PATIENCE)?.expect_code(3)?;
    ensure!(piped.words().contains("sipguard has stopped"), "{piped}");
    json.finish(PATIENCE)?.expect_code(3)?;

    // Whoever is not running is told of in the usual words, on a terminal, too.
    let gone = process::run(&mut client(&lab, &socket, &["top"])?, PATIENCE)?.expect_code(3)?;
    ensure!(gone.words().contains("sipguard is not running"), "{gone}");
    let mut command = Command::new(Tool::Sipguard.path()?);
    let mut gone = Terminal::start(command.arg("--socket").arg(&socket).arg("top"), 80, 24)?;
    ensure!(gone.ended(PATIENCE)?.code() == Some(3));
    let output = gone.output();
    ensure!(output.contains("sipguard is not running"), "{output}");
    ensure!(!output.contains("\u{1b}[?1049h"), "{output:?}");
    Ok(())
}
