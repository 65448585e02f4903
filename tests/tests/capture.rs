//! F37: whole packets in a file, as an operator takes them.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::Signal;
use serde_json::Value;
use tests::rig::{
    lab::{Lab, SERVER, SERVER_V6, STRANGER, STRANGER_V6, STRANGERS, TRUSTED, WAN, sip},
    policy::Policy,
    process::{self, Finished, Process},
    scanner::Scan,
    sipguard::{Sipguard, client},
    tool::{Tool, can_run},
    traffic::{FLOOD, Flow, request, sender},
    tshark, wait,
};

const TOOLS: &[Tool] = &[Tool::Ip, Tool::Sipguard, Tool::Tshark];

/// How long anything here may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A capture that is being taken.
struct Taking(Process);

impl Taking {
    /// Begins one, and waits until packets come.
    fn start(lab: &Lab, sipguard: &Sipguard<'_>, arguments: &[&str]) -> Result<Self> {
        let arguments = [&["capture"], arguments].concat();
        let process = Process::start(&mut client(lab, sipguard.socket(), &arguments)?)?;
        process.stderr().line(PATIENCE, |line| line.starts_with("capturing to "))?;
        Ok(Self(process))
    }

    /// Ends it as Ctrl-C does.
    fn stop(self) -> Result<Finished> {
        self.0.signal(Signal::SIGINT)?;
        self.0.finish(PATIENCE)?.success()
    }
}

/// A name for a capture, as tshark and the command line take it.
fn file(lab: &Lab, name: &str) -> (PathBuf, String) {
    let path = lab.folder().join(name);
    let text = path.display().to_string();
    (path, text)
}

/// Waits until so many packets are in the capture.
fn until_captured(sipguard: &Sipguard<'_>, packets: u64) -> Result<()> {
    wait::until("captured packets", PATIENCE, || {
        let capture = sipguard.json(&["status", "--json"])?["capture"].take();
        Ok((capture["packets"].as_u64() >= Some(packets)).then_some(()))
    })
}

fn held(sipguard: &Sipguard<'_>) -> Result<Value> {
    Ok(sipguard.json(&["status", "--json"])?["capture"].take())
}

/// The numbers in the last words: packets, lost, held back.
fn numbers(end: &Finished) -> Result<[u64; 3]> {
    let words = end.words();
    let line = words.lines().last().context("no words")?;
    let before = |what: &str| -> Result<u64> {
        let (head, _) = line.split_once(what).with_context(|| format!("no{what} in {line}"))?;
        Ok(head.rsplit([' ', '\n']).next().unwrap_or_default().parse()?)
    };
    Ok([before(" packet")?, before(" lost")?, before(" held back")?])
}

/// The comment of each packet, and what tshark reads of its SIP.
fn comments(file: &Path) -> Result<Vec<(String, String, String)>> {
    let fields = ["frame.comment", "sip.Method", "sip.User-Agent"];
    let rows = tshark::fields(file, "frame", &fields)?;
    let row = |row: Vec<String>| match <[String; 3]>::try_from(row) {
        Ok([comment, method, agent]) => Ok((comment, method, agent)),
        Err(row) => anyhow::bail!("no three fields: {row:?}"),
    };
    rows.into_iter().map(row).collect()
}

#[test]
fn f37_tshark_and_replay_read_what_scanners_have_sent() -> Result<()> {
    if !can_run(&[TOOLS, &[Tool::Sipvicious]].concat()) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let sipguard = Sipguard::start(&lab, &Policy::usual()?, &["--iface", WAN])?;
    let (path, name) = file(&lab, "drops.pcapng");
    let taking = Taking::start(&lab, &sipguard, &["-w", &name])?;
    ensure!(Scan::Svmap.run(&lab)?.is_none(), "svmap has found something");
    ensure!(Scan::SvmapMethod("REGISTER").run(&lab)?.is_none(), "svmap has found something");
    // What passes is not captured.
    sender(&lab, TRUSTED)?.send_to(&request("OPTIONS", b"trunk", 1), sip(SERVER))?;
    let v6 = request("OPTIONS", b"Telephone/1.6", 1);
    sender(&lab, STRANGER_V6)?.send_to(&v6, sip(SERVER_V6))?;
    let stats = sipguard.stats()?;
    let dropped = stats.packets("options")? + stats.packets("signature")?;
    ensure!(stats.packets("options")? >= 2 && stats.packets("signature")? >= 1, "{stats}");
    until_captured(&sipguard, dropped)?;
    let end = taking.stop()?;
    ensure!(numbers(&end)? == [dropped, 0, 0], "{end}");
    ensure!(end.words().contains("ended by a signal"), "{end}");

    let read = comments(&path)?;
    ensure!(read.len() as u64 == dropped, "{} frames, {dropped} dropped", read.len());
    for (comment, method, agent) in &read {
        let expected = match method.as_str() {
            "OPTIONS" => "options: dropped",
            _ => "signature: dropped (svmap-to)",
        };
        ensure!(comment == expected && !agent.is_empty(), "{comment}, {method}, {agent}");
    }
    ensure!(read.iter().any(|(_, method, _)| method == "REGISTER"), "{read:?}");
    let all =
        ["frame.interface_name", "frame.packet_flags_direction", "frame.len", "frame.cap_len"];
    for row in tshark::fields(&path, "frame", &all)? {
        ensure!(row[0] == WAN && row[1] == "0x00000001" && row[2] == row[3], "{row:?}");
    }
    let v6 = tshark::fields(&path, "ipv6.src == 2001:db8:2::7", &["sip.Method"])?;
    ensure!(v6 == [["OPTIONS"]], "{v6:?}");

    let config = sipguard.folder().path().display().to_string();
    let replayed =
        sipguard.command(&["replay", &name, "--config", &config, "--json"])?.success()?;
    let lines = replayed.text();
    let rules: Vec<Value> = lines.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    ensure!(rules.len() == read.len() + 1, "{replayed}");
    for (replayed, (comment, ..)) in rules.iter().zip(&read) {
        let rule = replayed["rule"].as_str().context("no rule")?;
        ensure!(comment.starts_with(&format!("{rule}: ")), "{replayed}: {comment}");
        ensure!(replayed["verdict"] == "drop", "{replayed}");
    }
    Ok(())
}

/// A packet each of three sources, under three rules.
fn three(lab: &Lab) -> Result<()> {
    for (source, method, agent) in [
        (STRANGERS[0], "OPTIONS", "Telephone/1.6"),
        (STRANGERS[1], "REGISTER", "friendly-scanner"),
        (STRANGERS[2], "REGISTER", "Telephone/1.6"),
    ] {
        let request = request(method, agent.as_bytes(), 1);
        sender(lab, source)?.send_to(&request, sip(SERVER))?;
    }
    Ok(())
}

#[test]
fn f37_rules_sources_lengths_and_modes_are_chosen() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let policy = Policy::usual()?.with_main("[rules]\nsignature = { mode = \"observe\" }\n");
    let sipguard = Sipguard::start(&lab, &policy, &["--iface", WAN])?;
    let options = "options: dropped";
    let signature = "signature: would drop (friendly-scanner)";
    for (number, (arguments, expected)) in [
        (&[][..], &[options, signature][..]),
        (&["--rule", "options"], &[options]),
        (&["--rule", "options", "--rule", "signature"], &[options, signature]),
        (&["--source", "198.51.100.8"], &[signature]),
        (&["--source", "198.51.100.0/29"], &[options]),
        (&["--all"], &[options, signature, "stranger: passed"]),
        (&["--rule", "stranger"], &["stranger: passed"]),
        (&["--all", "--source", "2001:db8::/32"], &[]),
    ]
    .into_iter()
    .enumerate()
    {
        let (path, name) = file(&lab, &format!("{number}.pcapng"));
        let taking = Taking::start(&lab, &sipguard, &[&["-w", &name], arguments].concat())?;
        three(&lab)?;
        until_captured(&sipguard, expected.len() as u64)?;
        let end = taking.stop()?;
        let read = comments(&path)?;
        let mut comments: Vec<&str> = read.iter().map(|(comment, ..)| comment.as_str()).collect();
        comments.sort_unstable();
        ensure!(comments == expected, "{arguments:?}: {comments:?}\n{end}");
    }
    let (path, name) = file(&lab, "short.pcapng");
    let short = ["-w", &name, "--snaplen", "100", "--rule", "options", "--count", "2"];
    let taking = Taking::start(&lab, &sipguard, &short)?;
    (0..3).try_for_each(|_| three(&lab))?;
    let end = taking.0.finish(PATIENCE)?.success()?;
    ensure!(end.words().contains("that was the number asked for"), "{end}");
    let rows = tshark::fields(&path, "frame", &["frame.cap_len", "frame.len", "ip.src"])?;
    ensure!(rows.len() == 2, "{rows:?}");
    for row in rows {
        ensure!(row[0] == "100" && row[1].parse::<u32>()? > 200, "{row:?}");
        ensure!(row[2] == STRANGER.to_string(), "{row:?}");
    }
    Ok(())
}

fn flood(lab: &Lab) -> Result<Flow> {
    Flow::start(lab, STRANGER, SERVER, FLOOD, |number| {
        request("REGISTER", b"friendly-scanner", number)
    })
}

#[test]
fn f37_a_flood_fills_no_disk() -> Result<()> {
    const SIZE: u64 = 256 << 10;
    if !can_run(&[TOOLS, &[Tool::Unshare]].concat()) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let sipguard = Sipguard::start(&lab, &Policy::usual()?, &["--iface", WAN])?;
    let flood = flood(&lab)?;

    let (path, name) = file(&lab, "full.pcapng");
    let bounded = ["-w", &name, "--max-size", "256K"];
    let end = Taking::start(&lab, &sipguard, &bounded)?.0.finish(PATIENCE)?.success()?;
    ensure!(end.words().contains("256K are full"), "{end}");
    let size = fs::metadata(&path)?.len();
    ensure!((SIZE - 2_000..=SIZE).contains(&size), "{size} bytes");
    ensure!(comments(&path)?.len() as u64 == numbers(&end)?[0], "{end}");

    // The last packets, in two files.
    let (path, name) = file(&lab, "turning.pcapng");
    let (before, _) = file(&lab, "turning.pcapng.1");
    let turning = ["-w", &name, "--max-size", "256K", "--rotate", "--duration", "2s"];
    let end = Taking::start(&lab, &sipguard, &turning)?.0.finish(PATIENCE)?.success()?;
    ensure!(
        end.words().contains("2s are over") && end.words().contains("older ones went"),
        "{end}"
    );
    let sizes = [fs::metadata(&path)?.len(), fs::metadata(&before)?.len()];
    ensure!(sizes.iter().sum::<u64>() <= SIZE && sizes[1] > SIZE / 2 - 2_000, "{sizes:?}");
    let read = [comments(&before)?, comments(&path)?].concat();
    ensure!(read.len() as u64 == numbers(&end)?[0], "{} in the files: {end}", read.len());
    let times = [&before, &path].map(|path| {
        let rows = tshark::fields(path, "frame", &["frame.time_epoch"])?;
        rows.into_iter().map(|row| Ok(row[0].parse::<f64>()?)).collect::<Result<Vec<f64>>>()
    });
    let [earlier, later] = times;
    let last = earlier?.into_iter().fold(0.0, f64::max);
    // Two processors may tell a little out of order.
    ensure!(later?.iter().all(|time| *time > last - 0.1), "the files are out of order");

    // A few a second, and the rest is held back.
    let (path, name) = file(&lab, "few.pcapng");
    let few = ["-w", &name, "--per-second", "10", "--duration", "2s"];
    let end = Taking::start(&lab, &sipguard, &few)?.0.finish(PATIENCE)?.success()?;
    let [packets, _, held_back] = numbers(&end)?;
    ensure!((11..=60).contains(&packets) && held_back > packets, "{end}");
    ensure!(comments(&path)?.len() as u64 == packets, "{end}");
    is_whole_on_a_full_disk(&lab, &sipguard)?;
    flood.stop()?;
    Ok(())
}

fn is_whole_on_a_full_disk(lab: &Lab, sipguard: &Sipguard<'_>) -> Result<()> {
    const SCRIPT: &str = "mount -t tmpfs -o size=128k none \"$1\" && \
        \"$2\" --socket \"$3\" capture -w \"$1/full\"; code=$?; cp \"$1/full\" \"$4\"; exit $code";
    let (disk, copy) = (lab.folder().join("disk"), lab.folder().join("copy.pcapng"));
    fs::create_dir(&disk)?;
    let mut command = lab.server().command(Tool::Unshare.path()?)?;
    command.args(["--mount", "sh", "-c", SCRIPT, "sh"]);
    command.arg(&disk).arg(Tool::Sipguard.path()?).arg(sipguard.socket()).arg(&copy);
    let end = process::run(&mut command, PATIENCE)?.expect_code(1)?;
    ensure!(end.words().contains("No space left on device"), "{end}");
    ensure!(comments(&copy)?.len() > 50, "{end}");
    Ok(())
}

#[test]
fn f37_one_capture_at_a_time_and_none_outlives_its_taker() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let sipguard = Sipguard::start(&lab, &Policy::usual()?, &["--iface", WAN])?;
    ensure!(held(&sipguard)?.is_null());
    let (path, name) = file(&lab, "first.pcapng");
    let taking = Taking::start(&lab, &sipguard, &["-w", &name])?;
    ensure!(held(&sipguard)?["uid"] == 0);
    let (second, second_name) = file(&lab, "second.pcapng");
    let refused = sipguard.command(&["capture", "-w", &second_name])?.expect_code(1)?;
    ensure!(refused.words().contains("uid 0 takes a capture since 2"), "{refused}");
    ensure!(!second.exists(), "a file of a capture that never was");

    three(&lab)?;
    until_captured(&sipguard, 2)?;
    taking.0.signal(Signal::SIGKILL)?;
    taking.0.finish(PATIENCE)?;
    wait::until("the end of the capture", PATIENCE, || {
        Ok(held(&sipguard)?.is_null().then_some(()))
    })?;
    // What had come by then is whole.
    ensure!(comments(&path)?.len() <= 2);

    // A file that is there stays, unless it is to go.
    let again = sipguard.command(&["capture", "-w", &name])?.expect_code(1)?;
    ensure!(again.words().contains("is there already"), "{again}");
    let taking = Taking::start(&lab, &sipguard, &["-w", &name, "--force"])?;
    three(&lab)?;
    until_captured(&sipguard, 2)?;
    sipguard.stop()?.success()?;
    let end = taking.0.finish(PATIENCE)?.expect_code(3)?;
    ensure!(numbers_of_stopped(&end)? == 2 && comments(&path)?.len() == 2, "{end}");
    Ok(())
}

/// Packets in the last words but one.
fn numbers_of_stopped(end: &Finished) -> Result<u64> {
    let words = end.words();
    let line = words.lines().find(|line| line.contains("sipguard has stopped"));
    let number = line.and_then(|line| line.split(' ').next()).context("no number")?;
    Ok(number.parse()?)
}

#[test]
fn f37_stdout_and_curl_get_the_same_stream() -> Result<()> {
    if !can_run(&[TOOLS, &[Tool::Curl]].concat()) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let sipguard = Sipguard::start(&lab, &Policy::usual()?, &["--iface", WAN])?;
    let flood = flood(&lab)?;
    let streamed = sipguard.command(&["capture", "-w", "-", "--count", "5"])?.success()?;
    let (path, _) = file(&lab, "stdout.pcapng");
    fs::write(&path, &streamed.stdout)?;
    ensure!(comments(&path)?.len() == 5, "{streamed}");

    let (path, name) = file(&lab, "curl.pcapng");
    let mut curl = lab.server().command(Tool::Curl.path()?)?;
    curl.arg("--unix-socket").arg(sipguard.socket()).args(["-sS", "--fail", "-o", &name]);
    curl.arg("http://localhost/v1/capture?rule=signature,options&count=5&snaplen=200");
    process::run(&mut curl, PATIENCE)?.success()?;
    let read = comments(&path)?;
    ensure!(read.len() == 5 && read[0].0 == "signature: dropped (friendly-scanner)", "{read:?}");
    flood.stop()?;
    // A reader of stdout who goes away ends it.
    wait::until("the end of the capture", PATIENCE, || {
        Ok(held(&sipguard)?.is_null().then_some(()))
    })?;
    Ok(())
}
