//! The control socket with a real client, curl's kind of request, and a filter
//! without a kernel.

mod capture;

use std::{
    fs,
    io::{Read, Write},
    os::unix::net::UnixStream,
    path::PathBuf,
    sync::{Arc, mpsc},
    thread::{self, JoinHandle},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use sipguard_common::{abi::Event, method::Class, rule::Rule};
use tempfile::TempDir;
use tokio::{runtime, sync::oneshot};

use super::{
    client::{Client, ClientError, EventsQuery, LogQuery},
    places::EACH,
    wire::{Entry, EventLine, Kind, Origin, PostureWish},
};
use crate::{
    api,
    daemon::{ControlSocket, Shared, fake::Fake, sample},
    history::{Kind as Happened, Line},
    kernel::{BanEntry, Level, SiteEntry, Standing, VerifiedEntry},
    offender::Offender,
    policy::parse_net,
};

const TRUSTED: &str = "[[peer]]\nname = \"carrier\"\naddress = [\"203.0.113.20:5060\"]\n";
const BLACKLIST: &str = "[[block]]\naddress = \"198.51.100.0/24\"\nreason = \"old friends\"\n";

/// A daemon that answers on a socket of its own.
struct Running {
    dir: TempDir,
    fake: Fake,
    shared: Shared,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("sipguard.toml"), "").unwrap();
        fs::write(dir.path().join("signatures.toml"), "").unwrap();
        fs::write(dir.path().join("trusted.toml"), TRUSTED).unwrap();
        fs::write(dir.path().join("blacklist.toml"), BLACKLIST).unwrap();
        let fake = Fake::default();
        let shared = Shared::new(fake.daemon(dir.path()));
        let served = shared.clone();
        let (socket, listener) = ControlSocket::bind(&dir.path().join("control.sock")).unwrap();
        let (stop, stopped) = oneshot::channel();
        let thread = thread::spawn(move || {
            let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = tokio::net::UnixListener::from_std(listener).unwrap();
                let stopped = async { stopped.await.unwrap_or_default() };
                api::serve(listener, served, stopped).await;
            });
            drop(socket);
        });
        Self { dir, fake, shared, stop: Some(stop), thread: Some(thread) }
    }

    /// The kernel program tells of a packet.
    fn tell(&self, rule: Rule, host: u8, signature: u32) {
        let event = Event { signature, ..sample(rule, [198, 51, 100, host], b"OPTIONS sip:") };
        let told = self.shared.blocking_daemon().told(event).unwrap();
        self.shared.events().add(&Arc::new(told));
    }

    /// The kept events, in short.
    fn events(&self, query: &EventsQuery) -> Vec<String> {
        let mut events = Vec::new();
        let take = |line| -> Result<(), ClientError> {
            let EventLine::Event(event) = line else { panic!("missed some") };
            events.push(format!("{} {}", event.rule, event.source));
            Ok(())
        };
        self.client().events(query, take).unwrap();
        events
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("control.sock")
    }

    fn client(&self) -> Client {
        Client::new(self.socket())
    }

    /// A request as text, and the status and body of the answer.
    fn raw(&self, request: &str, body: &str) -> (u16, Value) {
        let answer = self.exchange(request, body);
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        let body = answer.split_once("\r\n\r\n").unwrap().1;
        (status, serde_json::from_str(body).unwrap_or(Value::Null))
    }

    /// What comes back, head and all.
    fn exchange(&self, request: &str, body: &str) -> String {
        let mut stream = UnixStream::connect(self.socket()).unwrap();
        let length = body.len();
        let head = format!(
            "{request} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        // The answer may come, and the connection end, before all is read.
        let _ = stream.write_all(body.as_bytes());
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shared.events().close();
        drop(self.stop.take());
        self.thread.take().unwrap().join().unwrap();
    }
}

fn entry(target: &str) -> Entry {
    Entry { target: target.to_owned(), ttl: None, reason: None }
}

fn failure(error: ClientError) -> (String, Option<String>) {
    let ClientError::Failed { failure, .. } = error else { panic!("{error}") };
    (failure.error, failure.hint)
}

#[test]
fn status_and_stats() {
    let running = Running::start();
    let status = running.client().status().unwrap();
    assert_eq!((status.trusted.file, status.blocked.file), (1, 1));
    assert_eq!(status.interfaces[0].mode, "native");
    let (code, stats) = running.raw("GET /v1/stats", "");
    assert_eq!(code, 200);
    assert_eq!(stats["interfaces"], json!([{"name": "eth0", "mode": "native"}]));
    let lost = json!({"suppressed": 11, "lost": 1});
    assert_eq!(stats["events"], lost);
    assert_eq!(serde_json::to_value(status.events).unwrap(), lost);
    let options = stats["rules"].as_array().unwrap().iter().find(|one| one["rule"] == "options");
    assert_eq!(options.unwrap()["would_packets"], 2);
    let packets: u64 =
        stats["rules"].as_array().unwrap().iter().filter_map(|r| r["packets"].as_u64()).sum();
    assert_eq!(packets, 5);
}

#[test]
fn a_block_is_made_updated_listed_and_taken_back() {
    let running = Running::start();
    let client = running.client();
    let first = Entry { ttl: Some("1h".parse().unwrap()), ..entry("192.0.2.7") };
    let added = client.block(&first).unwrap();
    assert!(!added.updated && added.until.is_some());
    assert_eq!(added.undo, "sipguard unblock 192.0.2.7");
    let second = Entry { reason: Some("\u{1b}[31m".to_owned()), ..entry("192.0.2.7") };
    let added = client.block(&second).unwrap();
    assert!(added.updated && added.until.is_none());
    let list = client.lists(Some(Kind::Blocked)).unwrap();
    assert!(list.trusted.is_none());
    let list = list.blocked.unwrap();
    assert_eq!(list.len(), 2);
    assert_eq!((list[0].origin, list[0].reason.as_deref()), (Origin::File, Some("old friends")));
    assert_eq!(list[1].origin, Origin::Operator);
    assert_eq!(list[1].uid, Some(nix::unistd::Uid::effective().as_raw()));
    let removed = client.unblock("192.0.2.7").unwrap();
    assert!(removed.still.is_empty());
    assert_eq!(removed.undo, "sipguard block 192.0.2.7");
    let (error, _) = failure(client.unblock("192.0.2.7").unwrap_err());
    assert_eq!(error, "192.0.2.7 is not blocked");
    assert_eq!(
        running.fake.take(),
        ["block 192.0.2.7/32 Some(3600s)", "block 192.0.2.7/32 None", "unblock 192.0.2.7/32"]
    );
}

#[test]
fn what_the_file_blocks_is_not_unblocked_in_silence() {
    let running = Running::start();
    let client = running.client();
    let (error, hint) = failure(client.unblock("198.51.100.0/24").unwrap_err());
    assert!(error.contains("blacklist.toml"), "{error}");
    assert!(hint.unwrap().contains("sipguard reload"));
    let (error, hint) = failure(client.unblock("198.51.100.7").unwrap_err());
    assert_eq!(error, "198.51.100.7 is not blocked by itself: 198.51.100.0/24 covers it");
    assert!(hint.unwrap().contains("blacklist.toml"));
    assert!(running.fake.take().is_empty());

    // An operator's entry inside of the file's goes, and the rest is told.
    client.block(&entry("198.51.100.7")).unwrap();
    let removed = client.unblock("198.51.100.7").unwrap();
    assert_eq!(removed.still.len(), 1);
    assert_eq!(removed.still[0].target, "198.51.100.0/24");
}

#[test]
fn f42_lists_are_narrowed() {
    let running = Running::start();
    for target in ["192.0.2.7", "192.0.2.8", "192.0.2.77"] {
        let reason = Some(format!("Noise of {target}"));
        running.client().block(&Entry { reason, ..entry(target) }).unwrap();
    }
    let targets = |query: &str| {
        let (status, lists) = running.raw(&format!("GET /v1/lists?kind=blocked{query}"), "");
        assert_eq!(status, 200, "{lists}");
        let list = lists["blocked"].as_array().unwrap().clone();
        list.iter().map(|one| one["target"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(targets("")[0], "198.51.100.0/24");
    assert_eq!(targets("&limit=2"), ["192.0.2.7", "192.0.2.8"]);
    assert_eq!(targets("&search=192.0.2.7"), ["192.0.2.7", "192.0.2.77"]);
    assert_eq!(targets("&search=OLD"), ["198.51.100.0/24"]);
    assert_eq!(targets("&search=noise&limit=9").len(), 3);
    assert_eq!(targets("&limit=0"), [] as [&str; 0]);
    assert_eq!(running.raw("GET /v1/lists?limit=x", "").0, 400);
}

#[test]
fn trust_is_given_and_taken_and_wins() {
    let running = Running::start();
    let client = running.client();
    let added = client.allow(&entry("[2001:db8::1]:5060")).unwrap();
    assert_eq!(added.undo, "sipguard allow --remove [2001:db8::1]:5060");
    let (error, hint) = failure(client.block(&entry("2001:db8::1")).unwrap_err());
    assert!(error.contains("which is trusted"), "{error}");
    assert!(hint.unwrap().contains("allow --remove"));
    client.disallow("[2001:db8::1]:5060").unwrap();
    client.block(&entry("2001:db8::1")).unwrap();

    let added = client.allow(&entry("198.51.100.7")).unwrap();
    assert!(added.notes[0].contains("198.51.100.0/24"), "{:?}", added.notes);
    let (error, _) = failure(client.disallow("203.0.113.20:5060").unwrap_err());
    assert!(error.contains("trusted.toml"), "{error}");
    let (error, _) = failure(client.disallow("203.0.113.20").unwrap_err());
    assert_eq!(error, "203.0.113.20 is not trusted");
}

#[test]
fn dangerous_blocks_change_nothing() {
    let running = Running::start();
    for target in ["203.0.113.0/24", "10.0.0.1", "10.0.0.0/8", "128.0.0.0/2"] {
        let (error, hint) = failure(running.client().block(&entry(target)).unwrap_err());
        assert!(!error.is_empty() && hint.is_some(), "{target}");
    }
    assert!(running.fake.take().is_empty());
}

#[test]
fn a_kernel_that_refuses_changes_nothing() {
    let running = Running::start();
    running.fake.asked().refuses = true;
    let (error, _) = failure(running.client().block(&entry("192.0.2.7")).unwrap_err());
    assert_eq!(error, "the kernel refused: the list is full");
    assert_eq!(running.client().status().unwrap().blocked.operator, 0);
}

#[test]
fn a_reload_is_all_or_nothing() {
    let running = Running::start();
    let client = running.client();
    client.block(&entry("192.0.2.7")).unwrap();
    let blacklist = running.dir.path().join("blacklist.toml");
    fs::write(&blacklist, "[[block]]\naddress = \"198.51.100.0/24\n").unwrap();
    let ClientError::Failed { failure, .. } = client.reload().unwrap_err() else { panic!() };
    assert!(failure.report.is_some() && failure.diagnostics.is_some());
    assert_eq!(client.status().unwrap().blocked.file, 1);
    assert!(!client.status().unwrap().reload.unwrap().ok);

    let two = "[[block]]\naddress = \"192.0.2.0/28\"\n[[block]]\naddress = \"10.0.0.2\"\n";
    fs::write(&blacklist, two).unwrap();
    let reloaded = client.reload().unwrap();
    assert!(reloaded.summary.contains("blocked"), "{}", reloaded.summary);
    assert!(reloaded.notes.iter().any(|note| note.contains("10.0.0.2")), "{:?}", reloaded.notes);
    let status = client.status().unwrap();
    assert_eq!((status.blocked.file, status.blocked.operator), (1, 1));
    assert!(status.reload.unwrap().ok);
    assert_eq!(running.fake.take(), ["block 192.0.2.7/32 None", "apply 192.0.2.0/28"]);

    running.fake.asked().refuses = true;
    fs::write(&blacklist, "").unwrap();
    assert!(client.reload().is_err());
    assert_eq!(client.status().unwrap().blocked.file, 1);
}

#[test]
fn curl_needs_no_content_type_and_may_write_slashes() {
    let running = Running::start();
    let (code, answer) =
        running.raw("POST /v1/blocks", r#"{"target": "192.0.2.0/24", "ttl": "90s"}"#);
    assert_eq!((code, &answer["updated"]), (201, &json!(false)));
    let (code, answer) = running.raw("DELETE /v1/blocks/192.0.2.0/24", "");
    assert_eq!((code, &answer["target"]), (200, &json!("192.0.2.0/24")));
    let (code, _) = running.raw("GET /v1/lists?kind=trusted", "");
    assert_eq!(code, 200);
}

#[test]
fn wrong_requests_are_answered_as_json_with_their_status() {
    let running = Running::start();
    let large = format!(r#"{{"target": "{}"}}"#, "1".repeat(70_000));
    for (request, body, status) in [
        ("GET /", "", 404),
        ("GET /v1/nothing", "", 404),
        ("PUT /v1/status", "", 405),
        ("GET /v1/blocks", "", 405),
        ("GET /v1/lists?kind=all", "", 400),
        ("GET /v1/lists?sort=up", "", 400),
        ("POST /v1/blocks", "", 400),
        ("POST /v1/blocks", "[", 400),
        ("POST /v1/blocks", r#"{"target": 7}"#, 400),
        ("POST /v1/blocks", r#"{"target": "192.0.2.7", "tll": "1h"}"#, 400),
        ("POST /v1/blocks", r#"{"target": "192.0.2.7", "ttl": "1"}"#, 400),
        ("POST /v1/blocks", r#"{"target": "192.0.2.7:5060"}"#, 400),
        ("POST /v1/blocks", "\u{1b}\u{0}", 400),
        ("POST /v1/blocks", &large, 413),
        ("POST /v1/trusted", r#"{"target": "0.0.0.0/0"}"#, 409),
        ("POST /v1/posture", r#"{"posture": "locked"}"#, 400),
        ("POST /v1/posture", r#"{"posture": null}"#, 400),
        ("POST /v1/posture", r#"{"posture": "open", "ttl": "1h"}"#, 400),
        ("DELETE /v1/posture", "", 405),
        ("GET /v1/events?rule=nonsense", "", 400),
        ("GET /v1/events?source=198.51.100.7:5060", "", 400),
        ("GET /v1/events?last=-1", "", 400),
        ("GET /v1/events?follow=maybe", "", 400),
        ("GET /v1/events?since=1", "", 400),
        ("POST /v1/events", "", 405),
        ("GET /v1/why/198.51.100.0/24", "", 404),
        ("GET /v1/why/198.51.100.0%2f24", "", 400),
        ("GET /v1/why/nonsense", "", 400),
        ("GET /v1/log?type=crime", "", 400),
        ("GET /v1/log?since=yesterday", "", 400),
        ("GET /v1/log?ip=nonsense", "", 400),
        ("GET /v1/log?order=up", "", 400),
        ("POST /v1/log", "", 405),
        ("DELETE /v1/blocks/nonsense", "", 400),
        ("DELETE /v1/blocks/%ff", "", 400),
        ("DELETE /v1/blocks/192.0.2.7", "", 404),
        ("DELETE /v1/trusted/203.0.113.20:5060", "", 409),
    ] {
        let (code, answer) = running.raw(request, body);
        assert_eq!(code, status, "{request} {answer}");
        assert!(answer["error"].is_string(), "{request} {answer}");
    }
    let long = "x".repeat(201);
    let body = format!(r#"{{"target": "192.0.2.7", "reason": "{long}"}}"#);
    assert_eq!(running.raw("POST /v1/blocks", &body).0, 400);
    assert!(running.fake.take().is_empty());
}

/// Whoever has curl reads it at a terminal.
#[test]
fn answers_show_control_and_bidirectional_characters_as_escapes() {
    let running = Running::start();
    let hostile = "\u{90}\u{202e}x";
    let blocked = format!(r#"{{"target": "192.0.2.7", "reason": "{hostile}"}}"#);
    assert_eq!(running.raw("POST /v1/blocks", &blocked).0, 201);
    let unknown = format!(r#"{{"target": "192.0.2.7", "{hostile}": "1"}}"#);
    for (request, body) in [
        ("GET /v1/events?r%c2%90%e2%80%aex=1", ""),
        ("POST /v1/blocks", &unknown),
        ("GET /v1/lists?kind=blocked", ""),
    ] {
        let answer = running.exchange(request, body);
        assert!(!answer.contains(['\u{90}', '\u{202e}']), "{request} {answer:?}");
        assert!(answer.contains("content-type: application/json"), "{request} {answer}");
        assert!(answer.contains(r"\u0090\u202ex"), "{request} {answer}");
    }
}

fn wish(posture: &str) -> PostureWish {
    PostureWish { posture: posture.to_owned() }
}

/// F44: what the operator chooses holds until he gives it back.
#[test]
fn f44_a_posture_holds_over_reloads_until_it_is_given_back() {
    let running = Running::start();
    let client = running.client();
    let posture = || {
        let posture = client.posture().unwrap();
        (posture.posture, posture.origin, posture.file)
    };
    let of = |posture: &str, origin, file: &str| (posture.to_owned(), origin, file.to_owned());
    assert_eq!(posture(), of("guarded", Origin::File, "guarded"));

    let changed = client.set_posture(&wish("closed")).unwrap();
    assert_eq!(changed.undo, "sipguard posture file");
    assert!(changed.notes[0].contains("1 trusted entries pass (1 by file"), "{:?}", changed.notes);
    assert_eq!(running.fake.take(), ["apply closed198.51.100.0/24"]);
    assert_eq!(posture(), of("closed", Origin::Operator, "guarded"));

    // A reload changes everything but that, and says so.
    let settings = running.dir.path().join("sipguard.toml");
    fs::write(&settings, "[policy]\nposture = \"attack\"\n").unwrap();
    let reloaded = client.reload().unwrap();
    assert_eq!(reloaded.summary, "policy.posture guarded -> attack");
    assert!(reloaded.notes[0].contains("`sipguard posture file`"), "{:?}", reloaded.notes);
    assert_eq!(running.fake.take(), ["apply closed198.51.100.0/24"]);
    assert_eq!(posture(), of("closed", Origin::Operator, "attack"));
    assert_eq!(client.reload().unwrap().summary, "nothing changed");

    let changed = client.set_posture(&wish("open")).unwrap();
    assert_eq!(changed.undo, "sipguard posture closed");
    let changed = client.set_posture(&wish("file")).unwrap();
    assert_eq!((changed.old.posture.as_str(), changed.new.posture.as_str()), ("open", "attack"));
    assert_eq!(changed.undo, "sipguard posture open");
    assert_eq!(posture(), of("attack", Origin::File, "attack"));
    fs::write(&settings, "").unwrap();
    assert!(client.reload().unwrap().notes.is_empty());
    assert_eq!(client.status().unwrap().posture.posture, "guarded");
}

#[test]
fn f44_closed_warns_where_nobody_is_trusted_or_it_drops_nothing() {
    let running = Running::start();
    let client = running.client();
    fs::write(running.dir.path().join("trusted.toml"), "").unwrap();
    let settings = running.dir.path().join("sipguard.toml");
    fs::write(settings, "[rules]\nclosed.mode = \"observe\"\n").unwrap();
    client.reload().unwrap();
    let notes = client.set_posture(&wish("closed")).unwrap().notes;
    assert!(notes[0].contains("nobody is trusted"), "{notes:?}");
    assert!(notes[1].contains("rule closed is in mode observe"), "{notes:?}");
}

#[test]
fn f44_a_kernel_that_refuses_leaves_the_posture() {
    let running = Running::start();
    let client = running.client();
    running.fake.asked().refuses = true;
    let (error, _) = failure(client.set_posture(&wish("closed")).unwrap_err());
    assert_eq!(error, "the kernel refused: the list is full");
    assert_eq!(client.posture().unwrap().origin, Origin::File);
    running.fake.asked().refuses = false;
    running.fake.take();
    fs::write(running.dir.path().join("blacklist.toml"), "").unwrap();
    client.reload().unwrap();
    assert_eq!(running.fake.take(), ["apply "]);
}

fn ban(source: &str, seconds: i64) -> BanEntry {
    let now = Timestamp::now();
    BanEntry {
        who: Offender { source: parse_net(source).unwrap(), port: None },
        expires: now + SignedDuration::from_secs(600 - seconds),
        since: now - SignedDuration::from_secs(seconds),
        rule: Rule::Signature,
        signature: 1,
        failures: 0,
        proven: true,
    }
}

#[test]
fn bans_are_listed_counted_and_lifted() {
    let running = Running::start();
    let client = running.client();
    running.fake.asked().bans =
        vec![ban("192.0.2.7", 60), ban("2001:db8:1::/64", 10), ban("192.0.2.9", 30)];
    assert_eq!(client.status().unwrap().banned, 3);
    let lists = client.lists(Some(Kind::Banned)).unwrap();
    assert!(lists.blocked.is_none() && lists.trusted.is_none());
    let banned = lists.banned.unwrap();
    let sources: Vec<&str> = banned.iter().map(|ban| ban.source.as_str()).collect();
    assert_eq!(sources, ["2001:db8:1::/64", "192.0.2.9", "192.0.2.7"]);
    assert_eq!(
        (banned[0].rule.as_str(), banned[0].signature.as_deref()),
        ("signature", Some("first"))
    );
    assert_eq!(client.lists(None).unwrap().banned.unwrap().len(), 3);

    let removed = client.unblock("192.0.2.7").unwrap();
    assert_eq!((removed.listed, removed.unbanned), (false, 1));
    assert!(removed.undo.starts_with("sipguard block 192.0.2.7 --ttl 8m5"), "{}", removed.undo);
    // An address stands for the network that is banned.
    let removed = client.unblock("2001:db8:1::5").unwrap();
    assert!(removed.undo.starts_with("sipguard block 2001:db8:1::/64 --ttl 9m4"));
    assert_eq!(client.status().unwrap().banned, 1);
    let (error, _) = failure(client.unblock("192.0.2.7").unwrap_err());
    assert_eq!(error, "192.0.2.7 is not blocked");
    assert!(running.fake.take().is_empty());

    // Both at once, and a file that blocks all the same.
    client.block(&entry("192.0.2.9")).unwrap();
    let removed = client.unblock("192.0.2.9").unwrap();
    assert_eq!((removed.listed, removed.unbanned), (true, 1));
    assert_eq!(removed.undo, "sipguard block 192.0.2.9");
    running.fake.asked().bans = vec![ban("198.51.100.7", 60)];
    let removed = client.unblock("198.51.100.7").unwrap();
    assert_eq!(removed.still[0].target, "198.51.100.0/24");
}

#[test]
fn bans_of_single_ports_are_lifted_with_their_address() {
    let running = Running::start();
    let client = running.client();
    let port = BanEntry {
        who: Offender { source: parse_net("192.0.2.7").unwrap(), port: Some((5061, 17)) },
        rule: Rule::Auth,
        signature: 0,
        failures: 5,
        ..ban("192.0.2.7", 30)
    };
    running.fake.asked().bans = vec![port, ban("192.0.2.7", 60)];
    let banned = client.lists(Some(Kind::Banned)).unwrap().banned.unwrap();
    assert_eq!((banned[0].port, banned[0].transport.as_deref()), (Some(5061), Some("udp")));
    assert_eq!((banned[0].failures, banned[1].port), (5, None));
    assert_eq!(client.unblock("192.0.2.7").unwrap().unbanned, 2);
    let log = client.log(&LogQuery { kind: Some("unban"), limit: 9, ..LogQuery::default() });
    let targets: Vec<String> =
        log.unwrap().lines.into_iter().filter_map(|line| line.target).collect();
    assert_eq!(targets, ["192.0.2.7:5061/udp", "192.0.2.7"]);
}

fn verified(last: u8) -> VerifiedEntry {
    let now = Timestamp::now();
    VerifiedEntry::for_tests([192, 0, 2, last].into(), now, now + SignedDuration::from_secs(300))
}

#[test]
fn f20_verified_endpoints_are_listed() {
    let running = Running::start();
    running.fake.asked().verified = vec![verified(7), verified(8)];
    let lists = running.client().lists(Some(Kind::Verified)).unwrap();
    assert!(lists.banned.is_none());
    let list = lists.verified.unwrap();
    assert_eq!(list.len(), 2);
    assert_eq!((list[0].port, list[0].transport.as_str()), (5061, "udp"));
    assert_eq!((list[0].how.as_str(), list[0].status), ("register", Some(200)));
}

/// F34: every list, bucket, ban and verified state of an address.
#[test]
fn f34_why_says_all_that_holds_for_an_address() {
    let running = Running::start();
    let client = running.client();
    let address = "192.0.2.7".parse().unwrap();
    let stranger = client.why(address).unwrap();
    assert_eq!((stranger.standing.as_str(), stranger.undo.len()), ("stranger", 0));

    let level = Level { left: 3, burst: 9 };
    running.fake.asked().standing = Standing {
        verified: vec![(verified(7), vec![(Class::Invite, level)])],
        site: Some(SiteEntry { accounts: 3, times: 4, until: Timestamp::now() }),
        failures: Vec::new(),
        levels: Default::default(),
    };
    let site = client.why(address).unwrap();
    assert_eq!((site.standing.as_str(), site.undo.len()), ("verified", 0));
    assert_eq!(site.verified[0].endpoint.port, 5061);
    assert_eq!(
        (site.verified[0].levels[0].name.as_str(), site.verified[0].levels[0].left),
        ("invite", 3)
    );
    assert_eq!(site.site.map(|site| site.times), Some(4));

    running.fake.asked().bans = vec![ban("192.0.2.7", 60), ban("192.0.2.8", 60)];
    running.tell(Rule::Options, 7, 0);
    let banned = client.why(address).unwrap();
    assert_eq!((banned.standing.as_str(), banned.banned.len()), ("banned", 1));
    assert_eq!(banned.undo, ["`sipguard unblock 192.0.2.7`"]);
    // The packet came from another network.
    assert!(banned.events.is_empty());

    client.block(&entry("192.0.2.0/24")).unwrap();
    let blocked = client.why(address).unwrap();
    assert_eq!((blocked.standing.as_str(), blocked.blocked.len()), ("blocked", 1));
    assert_eq!(blocked.undo, ["`sipguard unblock 192.0.2.0/24`", "`sipguard unblock 192.0.2.7`"]);
    assert_eq!(blocked.history.len(), 1);

    let file = client.why("198.51.100.7".parse().unwrap()).unwrap();
    assert_eq!(file.undo, ["remove 198.51.100.0/24 from blacklist.toml, `sipguard reload`"]);
    assert_eq!(file.events.len(), 1);
    client.allow(&entry("198.51.100.7")).unwrap();
    let trusted = client.why("198.51.100.7".parse().unwrap()).unwrap();
    assert_eq!((trusted.standing.as_str(), trusted.trusted.len()), ("trusted", 1));
    assert_eq!(trusted.undo[0], "`sipguard allow --remove 198.51.100.7`");
    // Trust in one port is not trust in the address.
    let port = client.why("203.0.113.20".parse().unwrap()).unwrap();
    assert_eq!((port.standing.as_str(), port.trusted.len()), ("verified", 1));
}

/// F38: who did what, when, old and new.
#[test]
fn f38_the_log_says_who_did_what() {
    let running = Running::start();
    let client = running.client();
    client.block(&Entry { reason: Some("noise".to_owned()), ..entry("192.0.2.7") }).unwrap();
    client.unblock("192.0.2.7").unwrap();
    client.allow(&entry("203.0.113.9")).unwrap();
    client.disallow("203.0.113.9").unwrap();
    client.set_posture(&wish("closed")).unwrap();
    client.reload().unwrap();
    fs::write(running.dir.path().join("blacklist.toml"), "[[").unwrap();
    client.reload().unwrap_err();
    // Nothing happens, and nothing is told of.
    client.unblock("192.0.2.9").unwrap_err();
    let log = client.log(&LogQuery { limit: 100, ..LogQuery::default() }).unwrap().lines;
    let kinds: Vec<&str> = log.iter().map(|line| line.kind.as_str()).collect();
    let all = ["block", "unblock", "allow", "disallow", "posture", "reload", "reload"];
    assert_eq!(kinds, all);
    let uid = format!("uid:{}", nix::unistd::Uid::effective());
    assert!(log.iter().all(|line| line.by == uid), "{log:?}");
    assert_eq!(log[0].target.as_deref(), Some("192.0.2.7"));
    assert_eq!(log[0].old.as_deref(), Some("none"));
    assert_eq!(log[0].new.as_deref(), Some("without end: noise"));
    assert_eq!(log[1].old, log[0].new);
    assert_eq!(log[4].old.as_deref(), Some("guarded (file)"));
    assert_eq!(log[4].new.as_deref(), Some("closed (operator)"));
    assert!(log[6].new.as_deref().unwrap().starts_with("failed: "));

    let history = running.shared.blocking_daemon().history().clone();
    let old = Timestamp::now() - SignedDuration::from_hours(48);
    history.add(Line { at: old, ..Line::new(Happened::Start, "uid:0") });
    let some = |query: LogQuery| {
        let lines = client.log(&LogQuery { limit: 100, ..query }).unwrap().lines;
        lines.into_iter().map(|line| line.kind).collect::<Vec<_>>()
    };
    let ip = parse_net("192.0.2.0/24").ok();
    assert_eq!(some(LogQuery { ip, ..LogQuery::default() }), ["block", "unblock"]);
    let since = "24h".parse().ok();
    assert_eq!(some(LogQuery { since, ..LogQuery::default() }), all);
    let kind = Some("start");
    assert_eq!(some(LogQuery { kind, ..LogQuery::default() }), ["start"]);
}

#[test]
fn d17_signatures_come_with_their_hits() {
    let running = Running::start();
    let one = |name: &str| {
        format!(
            "[[signature]]\nname = \"{name}\"\nfield = \"user-agent\"\nmatch = \"exact\"\n\
             text = \"the {name} scanner\"\n"
        )
    };
    let text = one("first") + &one("second") + &one("third");
    fs::write(running.dir.path().join("signatures.toml"), text).unwrap();
    running.client().reload().unwrap();
    let signatures = running.client().signatures().unwrap().signatures;
    let hits: Vec<(&str, u64)> =
        signatures.iter().map(|one| (one.name.as_str(), one.packets)).collect();
    assert_eq!(hits, [("second", 7), ("first", 0), ("third", 0)]);
}

#[test]
fn f16_kept_events_are_filtered_lines_of_json() {
    let running = Running::start();
    running.tell(Rule::Signature, 7, 1);
    running.tell(Rule::Options, 8, 0);
    running.tell(Rule::Signature, 9, 1);
    let all = EventsQuery::default();
    assert_eq!(
        running.events(&all),
        ["signature 198.51.100.7", "options 198.51.100.8", "signature 198.51.100.9"]
    );
    let rule = EventsQuery { rule: Some("signature".to_owned()), ..all.clone() };
    assert_eq!(running.events(&EventsQuery { last: Some(1), ..rule }), ["signature 198.51.100.9"]);
    let source = parse_net("198.51.100.8/29").ok();
    assert_eq!(
        running.events(&EventsQuery { source, ..all }),
        ["options 198.51.100.8", "signature 198.51.100.9"]
    );
    let (error, hint) = failure(
        running
            .client()
            .events(&EventsQuery { rule: Some("x".to_owned()), ..EventsQuery::default() }, |_| {
                Ok::<_, ClientError>(())
            })
            .unwrap_err(),
    );
    assert_eq!(error, "there is no rule `x`");
    assert!(hint.unwrap().contains("rate_strangers"));
}

#[test]
fn f16_events_are_followed_as_they_come() {
    let running = Running::start();
    running.tell(Rule::Signature, 7, 1);
    let (send, receive) = mpsc::channel();
    let client = running.client();
    let follower = thread::spawn(move || {
        let rule = Some("signature".to_owned());
        let query = EventsQuery { rule, follow: true, ..EventsQuery::default() };
        let take = |line| -> Result<(), ClientError> {
            let EventLine::Event(event) = line else { panic!("missed some") };
            send.send(event).unwrap();
            Ok(())
        };
        client.events(&query, take)
    });
    let next = || receive.recv_timeout(Duration::from_secs(20)).unwrap();
    let first = next();
    assert_eq!(first.source.to_string(), "198.51.100.7");
    assert_eq!((first.interface.as_str(), first.signature.as_deref()), ("eth0", Some("first")));
    for host in 10..200 {
        running.tell(Rule::Options, host, 0);
        running.tell(Rule::Signature, host, 0);
        assert_eq!(next().source.to_string(), format!("198.51.100.{host}"));
    }
    running.shared.events().close();
    follower.join().unwrap().unwrap();
}

/// What comes on a connection until its end, which is after so long at the
/// latest.
fn rest(stream: &mut UnixStream) -> String {
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut answer = Vec::new();
    // The end may be a reset: nothing that was sent was read.
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn who_asks_slowly_is_left() {
    let running = Running::start();
    let start = std::time::Instant::now();
    let mut head = UnixStream::connect(running.socket()).unwrap();
    head.write_all(b"GET /v1/status HTTP/1.1\r\nHost:").unwrap();
    let mut silent = UnixStream::connect(running.socket()).unwrap();
    let mut body = UnixStream::connect(running.socket()).unwrap();
    body.write_all(b"POST /v1/blocks HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n{").unwrap();
    // They hold nobody up meanwhile.
    running.client().status().unwrap();
    let answer = rest(&mut body);
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(rest(&mut head).len() < 500);
    assert_eq!(rest(&mut silent), "");
    assert!(start.elapsed() < Duration::from_secs(20));
}

#[test]
fn a_head_without_end_is_refused() {
    let running = Running::start();
    let mut stream = UnixStream::connect(running.socket()).unwrap();
    let line = format!("X-Fill: {}\r\n", "x".repeat(1000));
    let _ = stream.write_all(b"GET /v1/status HTTP/1.1\r\nHost: x\r\n");
    for _ in 0..1000 {
        if stream.write_all(line.as_bytes()).is_err() {
            break;
        }
    }
    let answer = rest(&mut stream);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431 "), "{answer}");
    running.client().status().unwrap();
}

#[test]
fn a_user_has_so_many_connections_and_hears_why_there_are_no_more() {
    let running = Running::start();
    let follow = "GET /v1/events?follow=true HTTP/1.1\r\nHost: x\r\n\r\n";
    let mut followers: Vec<UnixStream> = (0..EACH)
        .map(|_| {
            let mut stream = UnixStream::connect(running.socket()).unwrap();
            stream.write_all(follow.as_bytes()).unwrap();
            // It is answered: its place is taken.
            stream.read_exact(&mut [0; 12]).unwrap();
            stream
        })
        .collect();
    let refused = running.client().status().unwrap_err();
    let ClientError::Failed { failure, .. } = refused else { panic!("{refused}") };
    assert!(failure.error.contains("too many are connected"), "{}", failure.error);
    assert!(failure.hint.unwrap().contains(&EACH.to_string()));
    // Who is turned away takes no place for long either.
    let away: Vec<UnixStream> =
        (0..100).filter_map(|_| UnixStream::connect(running.socket()).ok()).collect();
    followers.pop();
    let back = (0..200).any(|_| {
        thread::sleep(Duration::from_millis(50));
        running.client().status().is_ok()
    });
    assert!(back, "the place that became free is not given again");
    drop(away);
}
