//! F45, N12, L19: operators are told in time, once, and by ways that hang nobody.

use std::{
    fs::{self, Permissions},
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use nix::{sys::signal::kill, unistd::Pid};
use serde_json::Value;
use tests::rig::{
    lab::{Lab, SERVER, STRANGER, WAN, sip},
    policy::Policy,
    registrar::{Registrar, Ways},
    sipguard::Sipguard,
    subscriber::{Deed, Subscribers},
    talker::{Talker, nonce},
    tool::{Tool, can_run},
    traffic::{request, sender},
    wait,
};

const TOOLS: &[Tool] = &[Tool::Ip, Tool::Sipguard];

const PATIENCE: Duration = Duration::from_secs(20);

/// N12 says one second; a busy machine may take longer.
const SOON: Duration = Duration::from_secs(3);

/// What a server answers to its calls: the first, and all others. `None` is
/// nothing at all.
type Answers = [Option<&'static str>; 2];

const OK: Option<&str> = Some("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
const BUSY: Option<&str> = Some("HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n");

/// A small HTTP server in sipguard's namespace.
struct Hook {
    url: String,
    calls: Arc<Mutex<Vec<(Instant, Value)>>>,
}

impl Hook {
    fn start(lab: &Lab, answers: Answers) -> Result<Self> {
        let listener = lab.server().enter(|| TcpListener::bind("127.0.0.1:0"))?;
        let url = format!("http://{}/hook", listener.local_addr()?);
        let calls = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&calls);
        thread::spawn(move || {
            let mut hanging = Vec::new();
            for stream in listener.incoming().map_while(Result::ok) {
                let Ok(body) = read(&stream) else { continue };
                let mut calls = kept.lock().unwrap_or_else(PoisonError::into_inner);
                calls.push((Instant::now(), body));
                match answers[usize::from(calls.len() > 1)] {
                    Some(answer) => drop((&stream).write_all(answer.as_bytes())),
                    None => hanging.push(stream),
                }
            }
        });
        Ok(Self { url, calls })
    }

    /// The calls so far that tell of such a change, and when they came.
    fn calls(&self, change: &str) -> Vec<(Instant, Value)> {
        let calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        calls.iter().filter(|(_, body)| body["change"] == change).cloned().collect()
    }

    fn first(&self, change: &str) -> Result<(Instant, Value)> {
        wait::until(&format!("a webhook: {change}"), PATIENCE, || {
            Ok(self.calls(change).into_iter().next())
        })
    }
}

/// The body of one request.
fn read(stream: &TcpStream) -> Result<Value> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        ensure!(reader.read_line(&mut line)? > 0, "cut off");
        let line = line.trim_end().to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse()?;
        }
        if line.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(serde_json::from_slice(&body)?)
}

fn script(lab: &Lab, name: &str, text: &str) -> Result<PathBuf> {
    let path = lab.folder().join(name);
    fs::write(&path, format!("#!/bin/sh\n{text}\n"))?;
    fs::set_permissions(&path, Permissions::from_mode(0o755))?;
    Ok(path)
}

fn action(kind: &str, name: &str, more: &str) -> String {
    format!("[[alerts.action]]\ntype = \"{kind}\"\nname = \"{name}\"\n{more}\n")
}

fn exec(name: &str, program: &Path) -> String {
    action("exec", name, &format!("command = [\"{}\"]\ntimeout = \"1s\"", program.display()))
}

fn webhook(name: &str, url: &str) -> String {
    action("webhook", name, &format!("url = \"{url}\"\ntimeout = \"1s\"\nretries = 1"))
}

/// OPTIONS of one source alert quickly, and are calm again quickly.
const OPTIONS: &str = "[alerts]\nclear = \"2s\"\n\
    options_from_source = { threshold = 20, window = \"4s\", severity = \"warning\" }\n";

/// Starts it, and waits until its first second is over: what came before it
/// looked for the first time is not counted.
fn start<'a>(lab: &'a Lab, main: &str) -> Result<Sipguard<'a>> {
    let sipguard = Sipguard::start(lab, &Policy::usual()?.with_main(main), &["--iface", WAN])?;
    thread::sleep(Duration::from_millis(1_500));
    Ok(sipguard)
}

/// Sends OPTIONS like a scanner; gives when the twentieth left.
fn scan(lab: &Lab, count: u64) -> Result<Instant> {
    let socket = sender(lab, STRANGER)?;
    let mut reached = Instant::now();
    for number in 0..count {
        socket.send_to(&request("OPTIONS", b"Telephone/1.6", number), sip(SERVER))?;
        if number < 20 {
            reached = Instant::now();
        }
    }
    Ok(reached)
}

fn alerts(sipguard: &Sipguard<'_>) -> Result<Value> {
    sipguard.json(&["alerts", "--json"])
}

fn open_of(sipguard: &Sipguard<'_>, rule: &str) -> Result<Option<Value>> {
    let alerts = alerts(sipguard)?;
    let open = alerts["open"].as_array().context("no list")?;
    Ok(open.iter().find(|alert| alert["rule"] == rule).cloned())
}

#[test]
fn n12_f45_a_scan_is_told_within_a_second_and_once() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let hook = Hook::start(&lab, [OK, OK])?;
    let written = lab.folder().join("written");
    let program = format!(
        "echo \"$SIPGUARD_ALERT_CHANGE $SIPGUARD_ALERT_RULE $SIPGUARD_ALERT_SUBJECT\" >> {}",
        written.display()
    );
    let pager = exec("pager", &script(&lab, "pager", &program)?);
    let main = format!("{OPTIONS}{pager}{}", webhook("hook", &hook.url));
    let sipguard = start(&lab, &main)?;

    let reached = scan(&lab, 30)?;
    let (called, body) = hook.first("raised")?;
    let ran = wait::until("the program", PATIENCE, || {
        let text = fs::read_to_string(&written).unwrap_or_default();
        Ok(text.contains("raised options_from_source 198.51.100.7").then(Instant::now))
    })?;
    let (called, ran) = (called.duration_since(reached), ran.duration_since(reached));
    println!("webhook {called:?}, program {ran:?} after the threshold");
    ensure!(called < SOON && ran < SOON, "webhook {called:?}, program {ran:?}");
    let alert = &body["alert"];
    ensure!(alert["rule"] == "options_from_source" && alert["severity"] == "warning", "{body}");
    ensure!(alert["subject"] == STRANGER.to_string() && alert["threshold"] == 20, "{body}");
    ensure!(body["text"].as_str().is_some_and(|text| text.starts_with("sipguard on ")), "{body}");
    ensure!(sipguard.json(&["status", "--json"])?["alerts"] == 1);

    // Another scan within the alert is the same one.
    scan(&lab, 40)?;
    let (_, over) = hook.first("cleared")?;
    ensure!(over["alert"]["number"] == alert["number"], "{over}");
    ensure!(over["alert"]["peak"].as_f64() >= Some(60.0), "{over}");
    ensure!(hook.calls("raised").len() == 1, "{:?}", hook.calls("raised"));
    let all = alerts(&sipguard)?;
    ensure!(all["open"] == serde_json::json!([]), "{all}");
    ensure!(all["past"][0]["rule"] == "options_from_source", "{all}");
    for (kind, log) in [("alert", "raised: warning options"), ("clear", "cleared: warning options")]
    {
        let lines = sipguard.json(&["log", "--type", kind, "--ip", "198.51.100.7", "--json"])?;
        let lines = lines["lines"].as_array().context("no lines")?;
        ensure!(lines.len() == 1 && lines[0]["by"] == "alert:options_from_source", "{lines:?}");
        ensure!(sipguard.log().contains(log), "{}", sipguard.log());
    }
    let shown = sipguard.command(&["alerts"])?.success()?.text();
    ensure!(shown.contains("options_from_source") && shown.contains("pager"), "{shown}");
    Ok(())
}

/// The hanging collector, the program without end and the server in trouble
/// delay neither each other nor the daemon.
#[test]
fn f45_who_hangs_delays_nobody() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let hanging = Hook::start(&lab, [None, None])?;
    let troubled = Hook::start(&lab, [BUSY, OK])?;
    let id = lab.folder().join("id");
    let endless = script(&lab, "endless", &format!("echo $$ > {}; sleep 1000", id.display()))?;
    let main = [
        OPTIONS,
        &webhook("hanging", &hanging.url),
        &exec("endless", &endless),
        &webhook("troubled", &troubled.url),
    ]
    .concat();
    let sipguard = start(&lab, &main)?;
    let reached = scan(&lab, 30)?;
    let (called, _) = troubled.first("raised")?;
    let called = called.duration_since(reached);
    println!("the troubled one was called {called:?} after the threshold");
    ensure!(called < SOON, "{called:?}");
    let asked = Instant::now();
    alerts(&sipguard)?;
    ensure!(asked.elapsed() < SOON, "the daemon stood still for {:?}", asked.elapsed());
    wait::until("all actions", PATIENCE, || {
        let all = alerts(&sipguard)?;
        let actions = all["actions"].as_array().context("no actions")?;
        let is = |name: &str, key: &str| {
            let action = actions.iter().find(|action| action["name"] == name);
            action.is_some_and(|action| action[key].as_u64() >= Some(1))
        };
        let done = is("hanging", "failed") && is("endless", "failed") && is("troubled", "told");
        Ok((done && is("log", "told")).then_some(()))
    })?;
    ensure!(troubled.calls("raised").len() == 2, "{:?}", troubled.calls("raised"));
    ensure!(hanging.calls("raised").len() == 2, "{:?}", hanging.calls("raised"));
    let all = alerts(&sipguard)?;
    ensure!(all["actions"].to_string().contains("killed after 1 s"), "{all}");
    let id = Pid::from_raw(fs::read_to_string(&id)?.trim().parse()?);
    ensure!(kill(id, None).is_err(), "the program lives");
    sipguard.stop()?.success()?;
    Ok(())
}

#[test]
fn f45_an_action_is_tried_and_a_reload_keeps_what_is_open() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let pager = exec("pager", &script(&lab, "pager", "exit 0")?);
    let broken = exec("broken", &script(&lab, "broken", "exit 7")?);
    let main = |threshold: u64| {
        format!(
            "[alerts]\noptions_from_source = {{ threshold = {threshold}, window = \"1h\" }}\n\
             {pager}{broken}"
        )
    };
    let sipguard = start(&lab, &main(20))?;
    let works = sipguard.command(&["alerts", "--test", "pager"])?.success()?.text();
    ensure!(works.starts_with("action pager works: ended with code 0"), "{works}");
    let fails = sipguard.command(&["alerts", "--test", "broken"])?.expect_code(1)?.words();
    ensure!(fails.contains("exit status: 7"), "{fails}");
    let unknown = sipguard.command(&["alerts", "--test", "mail"])?.expect_code(1)?.words();
    ensure!(unknown.contains("log, pager, broken"), "{unknown}");

    scan(&lab, 30)?;
    let before = wait::until("an alert", PATIENCE, || open_of(&sipguard, "options_from_source"))?;
    sipguard.folder().put("sipguard.toml", &main(25))?;
    let said = sipguard.command(&["reload"])?.success()?.text();
    ensure!(said.contains("alerts.options_from_source.threshold 20 -> 25"), "{said}");
    thread::sleep(Duration::from_millis(1_500));
    let after = open_of(&sipguard, "options_from_source")?.context("it is gone")?;
    ensure!(after["number"] == before["number"] && after["since"] == before["since"], "{after}");

    // One that fails is an alert of its own, and ends with the next good one.
    sipguard.folder().put("sipguard.toml", "[alerts]\nnonsense = 1\n")?;
    sipguard.command(&["reload"])?.expect_code(78)?;
    wait::until("an alert", PATIENCE, || open_of(&sipguard, "reload_failed"))?;
    sipguard.folder().put("sipguard.toml", "[alerts]\noptions_from_source.enabled = false\n")?;
    sipguard.command(&["reload"])?.success()?;
    wait::until("the end of all", PATIENCE, || {
        Ok((alerts(&sipguard)?["open"] == serde_json::json!([])).then_some(()))
    })?;
    Ok(())
}

/// L19: a customer with a wrong password is told of, and is clean after the fix.
#[test]
fn l19_a_customer_who_is_banned_again_and_again_is_told_of() -> Result<()> {
    if !can_run(&[TOOLS, &[Tool::Unshare, Tool::Kamailio, Tool::Sipp]].concat()) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let _registrar = Registrar::start(&lab, Ways::default())?;
    let main = "[auth]\nfailures = 2\nban = \"1s\"\nban_max = \"1s\"\n\
                [rules]\nrate_auth = { mode = \"off\" }\n\
                [alerts]\nclear = \"1s\"\nrepeated_ban = { threshold = 2 }\n";
    let sipguard = start(&lab, main)?;
    // A phone of the same office goes on working.
    Subscribers::one(STRANGER, 5062, 1001).does(Deed::Register(1), &lab)?;
    let trunk = Talker::new(&lab, STRANGER, 5066)?;
    for ban in 1..=2 {
        let nonce = nonce(&trunk.ask(&trunk.register("1002"))?)?;
        for _ in 0..2 {
            trunk.ask(&trunk.guess("1002", &nonce))?;
        }
        let banned = wait::until("a ban", PATIENCE, || Ok(sipguard.bans()?.pop()))?;
        println!("ban {ban}: {banned}");
        wait::until("its end", PATIENCE, || Ok(sipguard.bans()?.is_empty().then_some(())))?;
        // The program's clock is a tick behind the one by which the list is told.
        wait::until("an answer", PATIENCE, || {
            Ok((!trunk.asks_in_vain(&trunk.register("1002"))?).then_some(()))
        })?;
    }
    let alert = wait::until("an alert", PATIENCE, || open_of(&sipguard, "repeated_ban"))?;
    ensure!(alert["subject"] == STRANGER.to_string() && alert["value"] == 2.0, "{alert}");
    drop(trunk);
    Subscribers::one(STRANGER, 5066, 1002).does(Deed::Register(1), &lab)?;
    wait::until("the all-clear", PATIENCE, || {
        Ok(open_of(&sipguard, "repeated_ban")?.is_none().then_some(()))
    })?;
    Ok(())
}

/// A rule that is only tried would hurt somebody whom the server knows.
#[test]
fn f45_a_rule_in_observe_that_would_hurt_a_customer_is_told_of() -> Result<()> {
    if !can_run(&[TOOLS, &[Tool::Unshare, Tool::Kamailio, Tool::Sipp]].concat()) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let _registrar = Registrar::start(&lab, Ways::default())?;
    let main = "[limits.verified]\noptions = { rate = \"1/s\", burst = 1 }\n\
                [limits.stranger]\noptions = { rate = \"1/s\", burst = 1 }\n\
                [rules]\nrate_verified = { mode = \"observe\" }\n";
    let sipguard = start(&lab, main)?;
    Subscribers::one(STRANGER, 5062, 1001).does(Deed::Register(1), &lab)?;
    let phone = Talker::new(&lab, STRANGER, 5062)?;
    let alert = wait::until("an alert", PATIENCE, || {
        for _ in 0..5 {
            phone.say(&phone.request("OPTIONS", "1001", "1001"))?;
        }
        open_of(&sipguard, "observe_would_hurt")
    })?;
    ensure!(alert["subject"] == "rate_verified", "{alert}");
    let summary = alert["summary"].as_str().unwrap_or_default();
    ensure!(summary.ends_with("the last of 198.51.100.7:5062"), "{alert}");
    Ok(())
}
