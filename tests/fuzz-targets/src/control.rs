//! Requests to the control socket and to the web listener.

use std::{cell::RefCell, fs, path::Path};

use serde_json::Value;
use sipguard::{
    api::web::testing::{Asked, Door, Doors},
    policy::FILES,
    sanitise::sanitise_json,
};
use tempfile::TempDir;

use crate::Seed;

pub(crate) const NEEDS_KERNEL: bool = false;

/// A daemon answers so many inputs before another one takes its place, so that its
/// lists stay short.
const INPUTS: u32 = 200;

struct Office {
    doors: Doors,
    asked: u32,
    // Holds the files that a reload reads.
    _config: TempDir,
}

thread_local! {
    static OFFICE: RefCell<Option<Office>> = const { RefCell::new(None) };
}

fn open() -> Office {
    let config = tempfile::tempdir().expect("a folder");
    write(config.path());
    let doors = Doors::new(config.path()).expect("a daemon");
    Office { doors, asked: 0, _config: config }
}

fn write(folder: &Path) {
    for name in FILES {
        let text = match name {
            "trusted.toml" => "[[peer]]\nname = \"carrier\"\naddress = [\"203.0.113.20:5060\"]\n",
            "blacklist.toml" => {
                "[[block]]\naddress = \"198.51.100.0/24\"\nreason = \"old friends\"\n"
            }
            _ => "",
        };
        fs::write(folder.join(name), text).expect("a file");
    }
}

/// The input as requests, one behind the other with a line of `%%` between them: a
/// line with the door (`socket` or `web`), the method and the path, lines of the
/// head, an empty line, the body. `TOKEN` in a head stands for the right one.
///
/// # Panics
/// Where an answer fails on our side, has no reason, or tells the token.
pub fn run(input: &[u8]) {
    OFFICE.with_borrow_mut(|office| {
        if office.as_ref().is_some_and(|office| office.asked >= INPUTS) {
            *office = None;
        }
        let Office { doors, asked, .. } = office.get_or_insert_with(open);
        *asked += 1;
        for request in parts(input, b"\n%%\n").take(8) {
            ask(doors, request);
        }
    });
}

/// Cut wherever `mark` stands.
fn parts<'i>(input: &'i [u8], mark: &'i [u8]) -> impl Iterator<Item = &'i [u8]> {
    let mut rest = Some(input);
    std::iter::from_fn(move || {
        let all = rest?;
        let at = all.windows(mark.len()).position(|part| part == mark);
        rest = at.map(|at| &all[at + mark.len()..]);
        Some(at.map_or(all, |at| &all[..at]))
    })
}

fn ask(doors: &Doors, request: &[u8]) {
    let mut split = parts(request, b"\n\n");
    let head = split.next().unwrap_or_default();
    let body = request.get(head.len() + 2..).unwrap_or_default();
    let head = String::from_utf8_lossy(head).replace("TOKEN", doors.token());
    let mut lines = head.lines();
    let mut words = lines.next().unwrap_or_default().split(' ');
    let (door, method, uri) = (words.next(), words.next(), words.next());
    let (Some(method), Some(uri)) = (method, uri) else { return };
    let door = if door == Some("web") { Door::Web } else { Door::Socket };
    let headers: Vec<(&str, &[u8])> = lines
        .filter_map(|line| line.split_once(": ").map(|(name, value)| (name, value.as_bytes())))
        .collect();
    let asked = Asked { method, uri, headers: &headers, body };
    let Some(answered) = doors.ask(door, &asked) else { return };
    let text = String::from_utf8_lossy(&answered.body);
    assert!(answered.status < 500 || answered.status == 503, "{}: {text}", answered.status);
    if door == Door::Web && uri != "/v1/web" {
        assert!(!text.contains(doors.token()) || uri.contains(doors.token()), "{text}");
    }
    if uri.starts_with("/v1/") && serde_json::from_str::<Value>(&text).is_ok() {
        assert_eq!(text, sanitise_json(text.to_string()));
    }
    if answered.status >= 400 && uri.starts_with("/v1/") && method != "HEAD" {
        let failure: Value = serde_json::from_str(&text)
            .unwrap_or_else(|error| panic!("{}: {error}: {text}", answered.status));
        let error = failure["error"].as_str().unwrap_or_default();
        assert!(!error.is_empty(), "{text}");
    }
}

/// Method, path and body.
const REQUESTS: &[(&str, &str, &str)] = &[
    ("GET", "/metrics", ""),
    ("GET", "/v1/status", ""),
    ("GET", "/v1/stats", ""),
    ("GET", "/v1/signatures", ""),
    ("GET", "/v1/events?rule=options&source=198.51.100.0/24&last=5", ""),
    ("GET", "/v1/events?follow=true", ""),
    ("GET", "/v1/pulse?last=3&follow=true", ""),
    ("GET", "/v1/stream", ""),
    ("GET", "/v1/web", ""),
    ("GET", "/v1/lists?kind=blocked&search=198&limit=2", ""),
    ("GET", "/v1/alerts", ""),
    ("POST", "/v1/alerts/test", r#"{"action": "log"}"#),
    ("GET", "/v1/why/198.51.100.7", ""),
    ("GET", "/v1/why/2001:db8::1", ""),
    ("GET", "/v1/log?ip=198.51.100.7&since=24h&type=ban&limit=5", ""),
    ("GET", "/v1/capture?rule=options&source=198.51.100.7&snaplen=256&max_size=65536&count=3", ""),
    ("GET", "/v1/report?since=24h", ""),
    ("GET", "/v1/posture", ""),
    ("POST", "/v1/posture", r#"{"posture": "closed"}"#),
    ("GET", "/v1/feeds", ""),
    ("POST", "/v1/feeds/refresh", r#"{"name": "voipbl"}"#),
    ("POST", "/v1/reload", ""),
    ("POST", "/v1/blocks", r#"{"target": "192.0.2.7", "ttl": "1h", "reason": "x"}"#),
    ("DELETE", "/v1/blocks/192.0.2.7", ""),
    ("POST", "/v1/trusted", r#"{"target": "[2001:db8::1]:5060", "ttl": "10m"}"#),
    ("DELETE", "/v1/trusted/192.0.2.0/24", ""),
    ("GET", "/", ""),
    ("GET", "/page/main.js", ""),
    ("GET", "/session", ""),
    ("POST", "/login", "token=TOKEN"),
    ("POST", "/logout", ""),
];

pub(crate) fn seeds() -> Vec<Seed> {
    let named = |number: usize, door: &str, (method, path, body): (&str, &str, &str)| {
        let head = match door {
            "web" => {
                "Host: localhost:9061\nOrigin: http://localhost:9061\nAuthorization: Bearer TOKEN\n"
            }
            _ => "Host: x\n",
        };
        let name = format!("{door}_{number}_{}", method.to_lowercase());
        Seed::new(name, format!("{door} {method} {path}\n{head}\n{body}"))
    };
    let each = REQUESTS.iter().enumerate();
    each.flat_map(|(number, request)| ["socket", "web"].map(|door| named(number, door, *request)))
        .collect()
}
