//! The control socket with a real client, curl's kind of request, and a filter
//! without a kernel.

use std::{
    fs,
    io::{Read, Write},
    os::unix::net::UnixStream,
    path::PathBuf,
    thread::{self, JoinHandle},
};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{runtime, sync::oneshot};

use super::{
    client::{Client, ClientError},
    wire::{Entry, Kind, Origin},
};
use crate::{
    api,
    daemon::{ControlSocket, Shared, fake::Fake},
};

const TRUSTED: &str = "[[peer]]\nname = \"carrier\"\naddress = [\"203.0.113.20:5060\"]\n";
const BLACKLIST: &str = "[[block]]\naddress = \"198.51.100.0/24\"\nreason = \"old friends\"\n";

/// A daemon that answers on a socket of its own.
struct Running {
    dir: TempDir,
    fake: Fake,
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
        let (socket, listener) = ControlSocket::bind(&dir.path().join("control.sock")).unwrap();
        let (stop, stopped) = oneshot::channel();
        let thread = thread::spawn(move || {
            let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = tokio::net::UnixListener::from_std(listener).unwrap();
                let stopped = async { stopped.await.unwrap_or_default() };
                api::serve(listener, shared, stopped).await;
            });
            drop(socket);
        });
        Self { dir, fake, stop: Some(stop), thread: Some(thread) }
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("control.sock")
    }

    fn client(&self) -> Client {
        Client::new(self.socket())
    }

    /// A request as text, and the status and body of the answer.
    fn raw(&self, request: &str, body: &str) -> (u16, Value) {
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
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        let body = answer.split_once("\r\n\r\n").unwrap().1;
        (status, serde_json::from_str(body).unwrap_or(Value::Null))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
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
