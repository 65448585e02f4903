//! `sipguard replay`: captures judged as the running filter would have done.

use std::{
    collections::BTreeMap,
    fs,
    net::IpAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use sipguard::{
    kernel::Action as Judged,
    policy::{self, Plan, RuleMode},
    replay::{Captured, Direction, Replay, Summary},
};
use sipguard_common::{abi::Learned, method::Method, rule::Rule};
use tests::{
    kernel::or_skip,
    packet::{Packet, ethernet, ethertype},
    plans::{plan_with, write_policy},
    rig::{
        capture::{Recording, cut},
        lab::{Lab, STRANGER, STRANGERS, TRUSTED, WAN},
        phone::{Action, Phone},
        policy::{Folder, Policy},
        process::{self, Finished},
        scanner::Scan,
        server::Server,
        sipguard::{Sipguard, client},
        tool::{Tool, can_run},
    },
    sip::Message,
};

const ETHERNET: u32 = 1;

fn start() -> Timestamp {
    "2020-02-03T04:05:06Z".parse().expect("a time")
}

fn after(milliseconds: i64) -> Option<Timestamp> {
    Some(start() + SignedDuration::from_millis(milliseconds))
}

fn request(method: &str) -> Vec<u8> {
    let message = Message::request(method, "sip:100@203.0.113.1").agent("Telephone/1.6");
    Packet::udp("198.51.100.7:5061", "203.0.113.1:5060").payload(message.build()).build()
}

fn captured(time: Option<Timestamp>, data: &[u8]) -> Captured<'_> {
    let len = u32::try_from(data.len()).expect("a packet");
    Captured { time, link: ETHERNET, direction: None, data, len }
}

/// Judges a capture that starts at [`start`].
fn replay(plan: Plan) -> Option<Replay> {
    or_skip(Replay::new(plan, Some(start()), []))
}

fn rule(replay: &mut Replay, packet: &Captured<'_>) -> Rule {
    replay.judge(packet).expect("a verdict").outcome.expect("it came in").rule
}

const SLOW_REGISTER: &str =
    "[limits.stranger]\nregister = { rate = \"5/s\", burst = 20 }\ntotal = \"unlimited\"\n";

/// How many of 250 REGISTERs with so many milliseconds between them pass.
fn passed_registers(every: i64) -> Option<usize> {
    let mut replay = replay(plan_with(SLOW_REGISTER))?;
    let frame = request("REGISTER");
    let mut passed = 0;
    for number in 0..250 {
        match rule(&mut replay, &captured(after(number * every), &frame)) {
            Rule::RateMethod => {}
            Rule::Stranger => passed += 1,
            other => panic!("{other:?}"),
        }
    }
    Some(passed)
}

#[test]
fn f36_limits_follow_the_clock_of_the_capture() {
    let Some(fast) = passed_registers(4) else { return };
    assert!((20..=25).contains(&fast), "{fast} of 250 in a second");
    assert_eq!(passed_registers(1_000), Some(250), "in four minutes");
}

#[test]
fn f36_a_clock_that_was_set_back_neither_starves_nor_feeds_a_source() {
    let Some(mut replay) = replay(plan_with(SLOW_REGISTER)) else { return };
    let frame = request("REGISTER");
    let mut at = |time| rule(&mut replay, &captured(time, &frame));
    assert_eq!((0..30).filter(|_| at(after(7_200_000)) == Rule::Stranger).count(), 20);
    assert_eq!((0..30).filter(|_| at(after(0)) == Rule::Stranger).count(), 0);
    assert_eq!((1..=10).filter(|n| at(after(n * 1_000)) == Rule::Stranger).count(), 10);
    // Without a time, it is that of the packet before.
    assert_eq!((0..30).filter(|_| at(None) == Rule::Stranger).count(), 19);
    assert_eq!((replay.summary().notes.backwards, replay.summary().notes.untimed), (1, 30));
}

#[test]
fn f36_blocks_hold_as_they_did_then() {
    let dir = tempfile::tempdir().expect("a directory");
    write_policy(dir.path(), "", &[], &[]);
    let until = start() + SignedDuration::from_secs(10);
    let block = format!("[[block]]\naddress = \"198.51.100.7\"\nuntil = {until}\n");
    fs::write(dir.path().join("blacklist.toml"), block).expect("a file");
    let (plan, _) = policy::load_at(dir.path(), start()).expect("a policy");
    let Some(mut replay) = replay(plan) else { return };
    let frame = request("REGISTER");
    for (milliseconds, expected) in
        [(0, Rule::Blocked), (9_999, Rule::Blocked), (10_000, Rule::Stranger)]
    {
        assert_eq!(rule(&mut replay, &captured(after(milliseconds), &frame)), expected);
    }
}

#[test]
fn f36_every_link_type_gives_the_same_verdict() {
    let Some(mut replay) = replay(plan_with("")) else { return };
    let frame = request("OPTIONS");
    let (mut sll, mut sll2) = (vec![0; 16], vec![0; 20]);
    sll[14] = 8;
    sll2[0] = 8;
    for (link, head) in [
        (ETHERNET, &frame[..14]),
        (12, &[]),
        (14, &[]),
        (101, &[]),
        (228, &[]),
        (0, &[2, 0, 0, 0]),
        (108, &[0, 0, 0, 2]),
        (113, &sll),
        (276, &sll2),
    ] {
        let data = [head, &frame[14..]].concat();
        let packet = Captured { link, ..captured(after(0), &data) };
        let seen = replay.judge(&packet).expect("a verdict");
        let outcome = seen.outcome.expect("it came in");
        assert!(!outcome.passed() && outcome.rule == Rule::Options, "{link}: {outcome:?}");
        assert_eq!(seen.source.expect("a source").to_string(), "198.51.100.7:5061");
    }
}

#[test]
fn f36_packets_of_any_length_are_judged() {
    let Some(mut replay) = replay(plan_with("")) else { return };
    let whole = request("OPTIONS");
    for len in 0..whole.len() {
        replay.judge(&captured(after(0), &whole[..len])).expect("a verdict");
    }
    assert_eq!(replay.summary().notes.short, 14);
    // Content that is not there does not keep the start of it from being read.
    let cut = Captured { len: 900, ..captured(after(0), &whole[..whole.len() - 40]) };
    assert_eq!(rule(&mut replay, &cut), Rule::Options);
    assert_eq!(replay.summary().notes.incomplete, 1);
    for len in [1_500, 3_520, 4_096, 9_000, 65_535, 65_553, 65_554, 262_144] {
        let mut long = whole.clone();
        long.resize(len, 0);
        assert_eq!(rule(&mut replay, &captured(after(0), &long)), Rule::Options, "{len}");
    }
    assert_eq!(replay.summary().notes.long, 2);
    let arp = ethernet(&[], ethertype::ARP, &[0; 28]);
    assert_eq!(rule(&mut replay, &captured(after(0), &arp)), Rule::NotSip);
}

/// A rule that observes lets packets go on, and says so; one packet can be
/// objected to by several.
#[test]
fn f36_rules_that_observe_say_what_they_would_drop() {
    let settings =
        "[rules]\noptions = { mode = \"observe\" }\nsignature = { mode = \"observe\" }\n";
    let Some(mut replay) = replay(plan_with(settings)) else { return };
    let options = request("OPTIONS");
    let scan = Message::request("OPTIONS", "sip:100@203.0.113.1").agent("friendly-scanner");
    let scan = Packet::udp("198.51.100.8:5061", "203.0.113.1:5060").payload(scan.build()).build();
    let [observed, both] = [Rule::Options.bit(), Rule::Options.bit() | Rule::Signature.bit()];
    for (frame, would, signature) in
        [(&options, observed, None), (&scan, both, Some("friendly-scanner"))]
    {
        let seen = replay.judge(&captured(after(0), frame)).expect("a verdict");
        let outcome = seen.outcome.expect("it came in");
        assert_eq!((outcome.rule, outcome.action), (Rule::Stranger, Judged::Pass));
        assert_eq!((outcome.would, outcome.mode), (would, RuleMode::Observe));
        assert_eq!(outcome.signature.map(|signature| signature.name.as_str()), signature);
    }
    let summary = replay.summary();
    assert_eq!((summary.dropped, summary.spared), (0, 2));
    assert_eq!(
        (summary.rules[&Rule::Options].would, summary.rules[&Rule::Signature].would),
        (2, 1)
    );
    let scanner = &summary.sources[&IpAddr::from([198, 51, 100, 8])];
    assert_eq!((scanner.spared, scanner.passed, scanner.drops()), (1, 1, 0));
}

/// Messages over TCP are read, and what they say closes the connection.
#[test]
fn f36_tcp_is_read_and_reset() {
    let Some(mut replay) = replay(plan_with("")) else { return };
    let mut judge = |method: &str, agent: &str| {
        let message = Message::request(method, "sip:100@203.0.113.1").agent(agent).build();
        let segment = Packet::tcp("198.51.100.7:5061", "203.0.113.1:5060").payload(message).build();
        let seen = replay.judge(&captured(after(0), &segment)).expect("a verdict");
        let outcome = seen.outcome.expect("it came in");
        (outcome.rule, outcome.action, seen.method)
    };
    let register = Some(Method::Register);
    assert_eq!(judge("REGISTER", "Telephone/1.6"), (Rule::Stranger, Judged::Pass, register));
    assert_eq!(judge("REGISTER", "friendly-scanner"), (Rule::Signature, Judged::Reset, register));
    let options = Some(Method::Options);
    assert_eq!(judge("OPTIONS", "Telephone/1.6"), (Rule::Options, Judged::Reset, options));
    assert_eq!(replay.summary().dropped, 2);
}

/// What the server sends is not judged, but tells whom it knows.
#[test]
fn f36_known_sources_that_lose_packets_are_hurt() {
    let Some(mut replay) = replay(plan_with(SLOW_REGISTER)) else { return };
    let answer = |to: &str, method: &str| {
        let message = Message::response("200 OK", method).build();
        Packet::udp("203.0.113.1:5060", to).payload(message).build()
    };
    let register = request("REGISTER");
    for _ in 0..21 {
        replay.judge(&captured(after(0), &register)).expect("a verdict");
    }
    let is_hurt = |summary: &Summary| {
        summary.sources.get(&IpAddr::from([198, 51, 100, 7])).is_some_and(|count| count.is_hurt())
    };
    let mut send = |frame: &[u8]| {
        let seen = replay.judge(&captured(after(1), frame)).expect("a verdict");
        assert_eq!(seen.outcome, None, "the server has sent it");
        is_hurt(replay.summary())
    };
    assert!(!send(&answer("198.51.100.7:5061", "OPTIONS")), "scanners get that, too");
    assert!(!send(&answer("198.51.100.8:5061", "REGISTER")), "it is another's");
    assert!(send(&answer("198.51.100.7:5061", "REGISTER")));
    assert_eq!(replay.summary().outgoing, 3);
}

/// What the server sent then teaches what it taught then, by the capture's own
/// clock: who has registered is a customer, until that ends.
#[test]
fn f36_what_the_server_sent_teaches() {
    let Some(mut replay) = replay(plan_with("")) else { return };
    let (phone, server) = ("198.51.100.7:5061", "203.0.113.1:5060");
    let challenge = "Digest realm=\"a\", nonce=\"c0ffee0011223344\"";
    let register = |number: u32| {
        let sequence = format!("{number} REGISTER");
        Message::request("REGISTER", "sip:203.0.113.1").replace("CSeq", &sequence)
    };
    let reply = |status: &str, number: u32| {
        Message::response(status, "REGISTER")
            .replace("Call-ID", "b1c4e6@198.51.100.7")
            .replace("CSeq", &format!("{number} REGISTER"))
    };
    let credentials = format!("{challenge}, username=\"200\", uri=\"sip:a\", response=\"0f\"");
    let came_in = |message: Message| Packet::udp(phone, server).payload(message.build()).build();
    let left = |message: Message| Packet::udp(server, phone).payload(message.build()).build();

    let mut judge = |milliseconds: i64, frame: &[u8]| {
        let seen = replay.judge(&captured(after(milliseconds), frame)).expect("a verdict");
        let taught: Vec<(Learned, u64)> = seen.taught.counts().collect();
        (seen.outcome.map(|outcome| outcome.rule), taught)
    };
    let options = request("OPTIONS");
    assert_eq!(judge(0, &options), (Some(Rule::Options), vec![]));
    assert_eq!(judge(10, &came_in(register(1))), (Some(Rule::Stranger), vec![]));
    let refusal = reply("401 Unauthorized", 1).header("WWW-Authenticate", challenge);
    // As anybody gets it who has not registered yet.
    assert_eq!(judge(20, &left(refusal)), (None, vec![(Learned::Harvest, 1)]));
    let again = register(2).header("Authorization", &credentials);
    assert_eq!(judge(30, &came_in(again)), (Some(Rule::Stranger), vec![]));
    let accepted = reply("200 OK", 2).header("Contact", "<sip:200@198.51.100.7>;expires=600");
    assert_eq!(judge(40, &left(accepted)), (None, vec![(Learned::Verified, 1)]));
    assert_eq!(judge(600_000, &options), (Some(Rule::Verified), vec![]));
    assert_eq!(judge(600_041, &options).0, Some(Rule::Options), "it has ended");

    let summary = replay.summary();
    let learned = [(Learned::Verified, 1), (Learned::Harvest, 1)];
    assert_eq!(summary.learned, BTreeMap::from(learned));
    assert_eq!((summary.outgoing, summary.dropped), (2, 2));
}

/// Whatever the server sends and however long it is.
#[test]
fn f36_packets_of_the_server_of_any_length_are_read() {
    let Some(mut replay) = replay(plan_with("")) else { return };
    let message = Message::response("200 OK", "OPTIONS").build();
    let whole = Packet::udp("203.0.113.1:5060", "198.51.100.7:5061").payload(message).build();
    for len in (0..whole.len()).chain([1_500, 3_500, 3_501, 9_000, 65_553, 65_554]) {
        let mut frame = whole.clone();
        frame.resize(len, b' ');
        let out = Captured { direction: Some(Direction::Out), ..captured(after(0), &frame) };
        assert_eq!(replay.judge(&out).expect("no refusal").outcome, None, "{len}");
    }
}

/// The direction that the capture gives holds, whatever the ports.
#[test]
fn f36_the_capture_knows_what_came_in() {
    let Some(mut replay) = replay(plan_with("")) else { return };
    let frame = request("OPTIONS");
    let out = Captured { direction: Some(Direction::Out), ..captured(after(0), &frame) };
    assert_eq!(replay.judge(&out).expect("a verdict").outcome, None);
    let came_in = Captured { direction: Some(Direction::In), ..captured(after(0), &frame) };
    assert_eq!(rule(&mut replay, &came_in), Rule::Options);
}

const TOOLS: &[Tool] = &[
    Tool::Ip,
    Tool::Unshare,
    Tool::Kamailio,
    Tool::Sipp,
    Tool::Sipvicious,
    Tool::Tcpdump,
    Tool::Sipguard,
];

/// How long a replay may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Two scans from [`STRANGER`], an unknown phone that registers and calls, and
/// a trunk that does what scanners do.
fn traffic(lab: &Lab) -> Result<()> {
    Scan::Svmap.run(lab)?;
    Scan::SvmapMethod("REGISTER").run(lab)?;
    phone().does(Action::Register, 3, lab)?;
    phone().does(Action::Call, 1, lab)?;
    Phone { address: TRUSTED, user_agent: "friendly-scanner" }.does(Action::Keepalive, 3, lab)
}

fn phone() -> Phone<'static> {
    Phone { address: STRANGERS[1], user_agent: "Grandstream GXP2140 1.0.9.14" }
}

fn run(lab: &Lab, file: &Path, folder: &Folder, arguments: &[&str]) -> Result<Finished> {
    let nobody = lab.folder().join("nobody.sock");
    let mut command = client(lab, &nobody, &["replay"])?;
    command.arg(file).arg("--config").arg(folder.path()).args(arguments);
    process::run(&mut command, PATIENCE)
}

/// The packets and the summary of `replay --json`.
fn answer(finished: &Finished) -> Result<(Vec<Value>, Value)> {
    let text = finished.text();
    let lines: Result<Vec<Value>, _> = text.lines().map(serde_json::from_str).collect();
    let mut lines = lines.with_context(|| format!("no JSON:\n{finished}"))?;
    let mut last = lines.pop().context("no line at all")?;
    ensure!(last["summary"].is_object(), "no summary: {last}");
    ensure!(lines.iter().all(|line| line["n"].is_u64()), "{lines:?}");
    Ok((lines, last["summary"].take()))
}

type Counts = BTreeMap<String, u64>;

/// Packets by rule, where there are any. Not those for no protected port: the
/// namespaces talk about more than SIP.
fn counts(rules: &Value) -> Result<Counts> {
    let rules = rules.as_array().context("no rules")?;
    let count = |rule: &Value| {
        let name = rule["rule"].as_str().context("no name")?.to_owned();
        Ok((name, rule["packets"].as_u64().context("no packets")?))
    };
    let counts: Result<Counts> = rules.iter().map(count).collect();
    Ok(counts?.into_iter().filter(|(rule, n)| *n > 0 && rule != Rule::NotSip.name()).collect())
}

fn source(summary: &Value, address: IpAddr) -> Result<&Value> {
    let sources = summary["sources"].as_array().context("no sources")?;
    let found = sources.iter().find(|one| one["source"] == address.to_string());
    found.with_context(|| format!("{address} is not in {summary}"))
}

fn folder(lab: &Lab, name: &str, policy: &Policy) -> Result<Folder> {
    let folder = Folder::new(lab.folder().join(name))?;
    policy.write(&folder)?;
    Ok(folder)
}

/// The same traffic, judged by the filter in its way and afterwards.
#[test]
fn f36_replay_counts_what_the_filter_has_counted() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let _server = Server::start(&lab)?;
    let sipguard = Sipguard::start(&lab, &Policy::usual()?, &["--iface", WAN])?;
    // Where everything is that is sent, also what the filter drops.
    let recording = Recording::start(&lab, lab.outside(), "far0", "")?;
    traffic(&lab)?;
    let file = recording.stop()?;
    let live = sipguard.stats()?;

    let replayed = run(&lab, &file, sipguard.folder(), &["--json"])?.success()?;
    let (lines, summary) = answer(&replayed)?;
    let replayed = counts(&summary["rules"])?;
    ensure!(replayed == counts(&live.0["rules"])?, "{replayed:?}, but live {live}");
    ensure!(replayed.values().sum::<u64>() == lines.len() as u64);
    ensure!(replayed.len() >= 3, "not much has happened: {replayed:?}");
    ensure!(summary["complete"] == true);
    ensure!(source(&summary, STRANGER)?["passed"] == 0, "{summary}");
    ensure!(source(&summary, phone().address)?["dropped"] == 0, "{summary}");

    let after = sipguard.stats()?;
    ensure!(counts(&after.0["rules"])? == counts(&live.0["rules"])?, "the replay was counted");
    Ok(())
}

/// Before there is a filter: what would it do?
#[test]
fn f36_what_would_be_dropped_and_who_would_be_hurt() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let _server = Server::start(&lab)?;
    let ethernet = Recording::start(&lab, lab.server(), WAN, "")?;
    // With what the server and its callee say to each other.
    let cooked = Recording::start(&lab, lab.server(), "any", "")?;
    traffic(&lab)?;
    let (ethernet, cooked) = (ethernet.stop()?, cooked.stop()?);
    let usual = folder(&lab, "usual", &Policy::usual()?)?;

    let judged = |file: &PathBuf| -> Result<(Vec<Value>, Value)> {
        answer(&run(&lab, file, &usual, &["--json"])?.success()?)
    };
    let (lines, summary) = judged(&ethernet)?;
    let (cooked_lines, cooked_summary) = judged(&cooked)?;
    ensure!(summary["rules"] != Value::Null && lines.len() == cooked_lines.len());
    ensure!(counts(&summary["rules"])? == counts(&cooked_summary["rules"])?);
    // The server has answered the scan, and yet has no dealings with it.
    let scanner = source(&summary, STRANGER)?;
    ensure!(scanner["passed"] == 0 && scanner["dropped"] != 0 && scanner["hurt"] == false);
    let known = source(&summary, phone().address)?;
    ensure!(known["dropped"] == 0 && known["known"] == true && known["hurt"] == false);
    ensure!(source(&summary, TRUSTED)?["dropped"] == 0);
    ensure!(summary["outgoing"].as_u64().is_some_and(|count| count > 0));
    ensure!(summary["learned"]["verified"] == 1, "{summary}");
    ensure!(counts(&summary["rules"])?.contains_key("verified"), "{summary}");

    let (all, _) = answer(&run(&lab, &ethernet, &usual, &["--json", "--direction", "both"])?)?;
    ensure!(Some(all.len() as u64) == summary["packets"].as_u64());
    let outgoing = all.iter().filter(|line| line["rule"].is_null() && line["verdict"].is_null());
    ensure!(Some(outgoing.count() as u64) == summary["outgoing"].as_u64());
    ensure!(all.iter().filter(|line| line["taught"] == json!(["verified"])).count() == 1);

    // Too strict a limit for a phone that the server does not know yet.
    let strict = "[limits.stranger]\nregister = { rate = \"1/h\", burst = 1 }\n";
    let strict = folder(&lab, "strict", &Policy::usual()?.with_main(strict))?;
    let (_, summary) = answer(&run(&lab, &ethernet, &strict, &["--json"])?.success()?)?;
    let hurt = source(&summary, phone().address)?;
    ensure!(hurt["hurt"] == true && hurt["by"] == json!({"rate_method": 1}), "{hurt}");
    let text = run(&lab, &ethernet, &strict, &[])?.success()?.text();
    ensure!(text.contains("\nhurt: 1 "), "{text}");

    // Cut off in its last packet.
    let len = fs::metadata(&ethernet)?.len() - 1;
    let cut = cut(&ethernet, usize::try_from(len)?)?;
    let failed = run(&lab, &cut, &usual, &["--json"])?.expect_code(1)?;
    let (_, summary) = answer(&failed)?;
    ensure!(summary["complete"] == false);
    ensure!(summary["packets"] == all.len() as u64 - 1, "{summary}");
    let words = failed.words();
    ensure!(words.contains(&format!("byte {len}: ")) && words.contains("hint: "), "{words}");
    Ok(())
}

#[test]
fn f36_what_is_no_capture_is_refused() -> Result<()> {
    if !can_run(&[Tool::Ip, Tool::Sipguard]) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let usual = folder(&lab, "usual", &Policy::usual()?)?;
    let file = usual.path().join("sipguard.toml");
    fs::write(&file, "# text\n")?;
    let refused = run(&lab, &file, &usual, &[])?.expect_code(1)?;
    ensure!(refused.words().contains("no capture but text") && refused.text().is_empty());
    let missing = run(&lab, &lab.folder().join("missing.pcap"), &usual, &[])?.expect_code(1)?;
    ensure!(missing.words().contains("missing.pcap: "));
    Ok(())
}
