//! The listener with real connections, and a filter without a kernel.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{runtime, sync::oneshot};

use super::{guard::Refusal, limits::STREAMS, listener::CONNECTIONS, *};
use crate::{
    api::body,
    daemon::{TOKEN_FILE, Token, fake::Fake},
    policy::WebSettings,
};

/// Longer than anything takes here.
const PATIENCE: Duration = Duration::from_secs(20);

/// A listener on loopback, with a port of its own.
struct Running {
    dir: TempDir,
    fake: Fake,
    shared: Shared,
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    fn start(names: &[&str]) -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = port.local_addr().unwrap();
        drop(port);
        Self::at(address, names)
    }

    fn at(address: SocketAddr, names: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for name in crate::policy::FILES {
            fs::write(dir.path().join(name), "").unwrap();
        }
        let fake = Fake::default();
        let shared = Shared::new(fake.daemon(dir.path()));
        let names = names.iter().map(ToString::to_string).collect();
        let settings = WebSettings { listen: Some(address), names };
        let (state, served) = (dir.path().join("state"), shared.clone());
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = thread::spawn(move || {
            let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                tokio::select! {
                    () = listen(settings, state, served) => {}
                    _ = stopped => {}
                }
            });
        });
        let running = Self { dir, fake, shared, address, stop: Some(stop), thread: Some(thread) };
        running.until(|web| web.address.is_some());
        running
    }

    fn until(&self, wanted: impl Fn(&crate::daemon::WebState) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !wanted(self.shared.blocking_daemon().web()) {
            assert!(Instant::now() < deadline, "{:?}", self.shared.blocking_daemon().web());
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn token(&self) -> String {
        let text = fs::read_to_string(self.dir.path().join("state").join(TOKEN_FILE)).unwrap();
        text.trim_end().to_owned()
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// A request with these header lines, and the status, head and body of the
    /// answer.
    fn ask(&self, request: &str, headers: &[&str], body: &str) -> (u16, String, String) {
        let mut stream = self.connect();
        let (headers, length) = (headers.join("\r\n"), body.len());
        let head = format!(
            "{request} HTTP/1.1\r\n{headers}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        let _ = stream.write_all(body.as_bytes());
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (status, head.to_ascii_lowercase(), body.to_owned())
    }

    fn status(&self, request: &str, headers: &[&str]) -> u16 {
        self.ask(request, headers, "").0
    }

    fn host(&self) -> String {
        format!("Host: {}", self.address)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shared.events().close();
        drop(self.stop.take());
        self.thread.take().unwrap().join().unwrap();
    }
}

const BLOCK: &str = r#"{"target": "192.0.2.7", "ttl": "1h"}"#;

#[test]
fn looking_on_loopback_needs_nothing_and_changing_needs_the_token() {
    let running = Running::start(&[]);
    let (host, token) = (running.host(), running.token());
    assert_eq!(running.status("GET /v1/status", &[&host]), 200);
    let (status, head, _) = running.ask("GET /", &[&host], "");
    assert_eq!(status, 200);
    assert!(head.contains("content-security-policy: default-src 'none'"), "{head}");
    assert!(!head.contains("access-control"), "{head}");

    let (status, _, body) = running.ask("POST /v1/blocks", &[&host], BLOCK);
    assert_eq!(status, 401, "{body}");
    let wrong = format!("Authorization: Bearer {}", "0".repeat(64));
    assert_eq!(running.ask("POST /v1/blocks", &[&host, &wrong], BLOCK).0, 401);
    for request in
        ["DELETE /v1/blocks/192.0.2.7", "POST /v1/reload", "PUT /v1/status", "POST /logout"]
    {
        assert_eq!(running.status(request, &[&host]), 401, "{request}");
    }
    assert!(running.fake.take().is_empty());

    let right = format!("Authorization: Bearer {token}");
    assert_eq!(running.ask("POST /v1/blocks", &[&host, &right], BLOCK).0, 201);
    assert_eq!(running.fake.take(), ["block 192.0.2.7/32 Some(3600s)"]);
    let (_, _, log) = running.ask("GET /v1/log", &[&host], "");
    let log: Value = serde_json::from_str(&log).unwrap();
    assert_eq!(log["lines"][0]["by"], "web", "{log}");
    assert_eq!(running.status("PUT /v1/status", &[&host, &right]), 405);
}

#[test]
fn a_name_that_is_not_ours_is_refused() {
    let running = Running::start(&["sip.example.net"]);
    let port = running.address.port();
    let right = format!("Authorization: Bearer {}", running.token());
    for host in [
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "192.0.2.1",
        "a@localhost",
        "",
        "[::1",
    ] {
        let host = format!("Host: {host}:{port}");
        assert_eq!(running.status("GET /v1/status", &[&host, &right]), 421, "{host}");
    }
    assert_eq!(running.status("GET /v1/status", &["Host: localhost", "Host: evil.example"]), 421);
    assert_eq!(running.status("GET /v1/status", &["X: y"]), 421);
    let other = "GET http://evil.example/v1/status";
    assert_eq!(running.status(other, &["Host: localhost"]), 421);
    for host in ["localhost", "LOCALHOST:1", "127.0.0.1", "127.8.8.8:80", "[::1]:9061"] {
        assert_eq!(running.status("GET /v1/status", &[&format!("Host: {host}")]), 200, "{host}");
    }
    // A name leads here from anywhere; so does whoever passes requests on.
    for host in ["sip.example.net", "SIP.example.NET:9061"] {
        let host = format!("Host: {host}");
        assert_eq!(running.status("GET /v1/status", &[&host]), 401, "{host}");
        assert_eq!(running.status("GET /v1/status", &[&host, &right]), 200, "{host}");
    }
    let passed = ["Host: localhost", "X-Forwarded-For: 192.0.2.1"];
    assert_eq!(running.status("GET /v1/status", &passed), 401);
}

#[test]
fn another_page_is_refused() {
    let running = Running::start(&[]);
    let (host, right) = (running.host(), format!("Authorization: Bearer {}", running.token()));
    let (port, other) = (running.address.port(), running.address.port() ^ 1);
    for origin in [
        "http://evil.example".to_owned(),
        "null".to_owned(),
        format!("http://127.0.0.1:{other}"),
        format!("http://localhost:{port}"),
        format!("ftp://127.0.0.1:{port}"),
        format!("http://127.0.0.1:{port}.evil.example"),
    ] {
        let origin = format!("Origin: {origin}");
        assert_eq!(running.status("GET /v1/status", &[&host, &origin, &right]), 403, "{origin}");
        let (status, ..) = running.ask("POST /v1/blocks", &[&host, &origin, &right], BLOCK);
        assert_eq!(status, 403, "{origin}");
    }
    let own = format!("Origin: http://127.0.0.1:{port}");
    assert_eq!(running.status("GET /v1/status", &[&host, &own]), 200);
    assert_eq!(running.ask("POST /v1/blocks", &[&host, &own, &right], BLOCK).0, 201);
    assert_eq!(running.fake.take().len(), 1);
}

/// Images and scripts of other pages are asked for without an `Origin`.
#[test]
fn another_page_gets_nothing_but_a_link_to_ours() {
    let running = Running::start(&[]);
    let (host, right) = (running.host(), format!("Authorization: Bearer {}", running.token()));
    let status = |request: &str, site: &str, mode: &str| {
        let (site, mode) = (format!("Sec-Fetch-Site: {site}"), format!("Sec-Fetch-Mode: {mode}"));
        running.ask(request, &[&host, &right, &site, &mode], BLOCK).0
    };
    for site in ["cross-site", "same-site"] {
        for request in ["GET /v1/stream", "GET /v1/status", "HEAD /", "GET /page/main.js"] {
            assert_eq!(status(request, site, "no-cors"), 403, "{site} {request}");
            assert_eq!(status(request, site, "navigate"), 403, "{site} {request}");
        }
        assert_eq!(status("GET /", site, "cors"), 403, "{site}");
        assert_eq!(status("POST /v1/blocks", site, "navigate"), 403, "{site}");
        assert_eq!(status("GET /", site, "navigate"), 200, "{site}");
    }
    assert!(running.fake.take().is_empty());
    for site in ["same-origin", "none"] {
        assert_eq!(status("GET /v1/status", site, "cors"), 200, "{site}");
    }
    assert_eq!(status("POST /v1/blocks", "same-origin", "cors"), 201);
}

#[test]
fn a_browser_gets_a_cookie_that_scripts_cannot_read() {
    let running = Running::start(&[]);
    let (host, port) = (running.host(), running.address.port());
    let origin = format!("Origin: http://127.0.0.1:{port}");
    let (status, head, _) = running.ask("POST /login", &[&host, &origin], "token=nonsense");
    assert_eq!(status, 403);
    assert!(!head.contains("set-cookie"), "{head}");
    let form = format!("token={}", running.token());
    let (status, head, _) = running.ask("POST /login", &[&host, &origin], &form);
    assert_eq!(status, 303);
    let cookie = head.lines().find_map(|line| line.strip_prefix("set-cookie: ")).unwrap();
    assert!(cookie.contains("; httponly; samesite=strict"), "{cookie}");
    let cookie = format!("Cookie: other=1; {}", cookie.split(';').next().unwrap());
    let (_, _, session) = running.ask("GET /session", &[&host, &cookie], "");
    assert_eq!(serde_json::from_str::<Value>(&session).unwrap(), json!({"changes": true}));
    let (_, _, session) = running.ask("GET /session", &[&host], "");
    assert_eq!(serde_json::from_str::<Value>(&session).unwrap(), json!({"changes": false}));

    // What changes something comes from our page, and browsers say so.
    assert_eq!(running.ask("POST /v1/blocks", &[&host, &cookie], BLOCK).0, 401);
    assert_eq!(running.ask("POST /v1/blocks", &[&host, &cookie, &origin], BLOCK).0, 201);
    let evil = "Origin: http://evil.example";
    assert_eq!(running.ask("POST /v1/blocks", &[&host, &cookie, evil], BLOCK).0, 403);
    // The cookie of one of several tunnels is none of another's.
    let (there, origin) = ("Host: 127.0.0.1:1", "Origin: http://127.0.0.1:1");
    assert_eq!(running.ask("POST /v1/blocks", &[there, &cookie, origin], BLOCK).0, 401);
    let (status, head, _) = running.ask(
        "POST /logout",
        &[&host, &cookie, &format!("Origin: http://127.0.0.1:{port}")],
        "",
    );
    assert_eq!(status, 303);
    assert!(head.contains("max-age=0"), "{head}");
}

#[test]
fn off_loopback_everything_needs_the_token() {
    let settings = WebSettings { listen: None, names: vec!["sip.example.net".to_owned()] };
    let token = Token::new().unwrap();
    let at = |address: &str| Guard::new(address.parse().unwrap(), &settings, token.clone());
    let request = |guard: &Guard, path: &str, host: &str, bearer: bool| {
        let mut request = axum::http::Request::get(path).header("Host", host);
        if bearer {
            request = request.header("Authorization", format!("Bearer {}", token.reveal()));
        }
        let (head, ()) = request.body(()).unwrap().into_parts();
        guard.admits(&head.method, &head.uri, &head.headers)
    };
    for address in ["0.0.0.0:9061", "192.0.2.1:9061", "[::]:9061"] {
        let guard = at(address);
        for host in ["192.0.2.1:9061", "localhost", "[2001:db8::1]", "sip.example.net"] {
            for path in ["/", "/v1/status", "/session", "/page/main.js", "/v1/stream"] {
                assert_eq!(
                    request(&guard, path, host, false),
                    Err(Refusal::Token),
                    "{host} {path}"
                );
                assert_eq!(request(&guard, path, host, true), Ok(()), "{host} {path}");
            }
            assert_eq!(request(&guard, "/page/base.css", host, false), Ok(()));
        }
        assert_eq!(request(&guard, "/", "evil.example", true), Err(Refusal::Host));
    }
    assert_eq!(request(&at("[::1]:9061"), "/v1/status", "[::1]:9061", false), Ok(()));
    assert_eq!(request(&at("127.0.0.1:9061"), "/", "192.0.2.1", true), Err(Refusal::Host));
}

#[test]
fn the_token_is_not_told_over_tcp() {
    let running = Running::start(&[]);
    let (host, token) = (running.host(), running.token());
    let right = format!("Authorization: Bearer {token}");
    let paths =
        ["/v1/web", "/v1/status", "/", "/page/main.js", "/session", "/v1/log", "/v1/signatures"];
    for path in paths {
        for headers in [&[host.as_str()][..], &[&host, &right]] {
            let (_, head, body) = running.ask(&format!("GET {path}"), headers, "");
            assert!(!head.contains(&token) && !body.contains(&token), "{path}");
        }
    }
    assert_eq!(running.status("GET /v1/web", &[&host, &right]), 403);
}

#[test]
fn a_busy_port_is_a_problem_until_it_is_free() {
    let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let running = Running::at(other.local_addr().unwrap(), &[]);
    running.until(|web| web.problem.is_some());
    let status = running.shared.blocking_daemon().status().unwrap();
    let problem = status.web.problem.unwrap();
    assert!(problem.starts_with(&format!("cannot listen on {}", running.address)), "{problem}");
    drop(other);
    running.until(|web| web.problem.is_none());
    assert_eq!(running.status("GET /v1/status", &[&running.host()]), 200);
}

#[test]
fn without_a_place_for_the_token_there_is_one_for_now() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("file"), "").unwrap();
    let fake = Fake::default();
    for name in crate::policy::FILES {
        fs::write(dir.path().join(name), "").unwrap();
    }
    let shared = Shared::new(fake.daemon(dir.path()));
    let settings = WebSettings { listen: Some("127.0.0.1:0".parse().unwrap()), names: Vec::new() };
    let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        tokio::select! {
            () = listen(settings, dir.path().join("file"), shared.clone()) => {}
            () = async {
                while shared.daemon().await.web().address.is_none() {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            } => {}
        }
    });
    let daemon = shared.blocking_daemon();
    assert!(daemon.web().token.is_some());
    assert!(daemon.web().problem.as_ref().unwrap().contains("until the next start"));
}

#[test]
fn what_is_too_large_is_refused() {
    let running = Running::start(&[]);
    let right = format!("Authorization: Bearer {}", running.token());
    let large = "x".repeat(body::MAX_BODY + 1);
    assert_eq!(running.ask("POST /v1/blocks", &[&running.host(), &right], &large).0, 413);
    let long = format!("X: {}", "x".repeat(32 << 10));
    assert_eq!(running.status("GET /v1/status", &[&running.host(), &long]), 431);
    assert!(running.fake.take().is_empty());
}

#[test]
fn who_says_nothing_makes_nobody_wait_for_long() {
    let running = Running::start(&[]);
    let mut idle: Vec<TcpStream> = (0..CONNECTIONS).map(|_| running.connect()).collect();
    for (number, stream) in idle.iter_mut().enumerate().filter(|(number, _)| number % 2 == 0) {
        write!(stream, "GET /v1/status HTTP/1.1\r\nX-{number}: ").unwrap();
    }
    // All places are taken; they are free again after a second.
    assert_eq!(running.status("GET /v1/status", &[&running.host()]), 200);
    for mut stream in idle {
        let mut rest = Vec::new();
        // Cut off, with or without an answer.
        let _ = stream.read_to_end(&mut rest);
    }
}

#[test]
fn followers_are_counted_and_their_places_given_back() {
    let running = Running::start(&[]);
    let follow = || {
        let mut stream = running.connect();
        let host = running.host();
        write!(stream, "GET /v1/stream HTTP/1.1\r\n{host}\r\n\r\n").unwrap();
        let mut head = [0; 12];
        stream.read_exact(&mut head).unwrap();
        (stream, String::from_utf8(head.to_vec()).unwrap())
    };
    let followers: Vec<_> = (0..STREAMS).map(|_| follow()).collect();
    assert!(followers.iter().all(|(_, head)| head == "HTTP/1.1 200"));
    assert_eq!(follow().1, "HTTP/1.1 503");
    assert_eq!(running.status("GET /v1/status", &[&running.host()]), 200);
    drop(followers);
    let deadline = Instant::now() + PATIENCE;
    while follow().1 != "HTTP/1.1 200" {
        assert!(Instant::now() < deadline);
    }
}

#[test]
fn addresses_that_a_browser_can_use() {
    for (address, expected) in
        [("0.0.0.0:80", "127.0.0.1:80"), ("[::]:80", "[::1]:80"), ("192.0.2.1:1", "192.0.2.1:1")]
    {
        assert_eq!(listener::reachable(address.parse().unwrap()).to_string(), expected);
    }
}

/// Whoever may look over loopback may not take whole packets.
#[test]
fn f37_no_capture_is_taken_over_tcp() {
    let running = Running::start(&[]);
    let bearer = format!("Authorization: Bearer {}", running.token());
    for headers in [&[running.host().as_str()][..], &[&running.host(), &bearer]] {
        let (status, _, body) = running.ask("GET /v1/capture?count=1", headers, "");
        assert!(status == 403 && body.contains("control socket"), "{status} {body}");
    }
    assert!(running.fake.take().is_empty());
}

/// The parts of the page are in the program: there is no path to a file.
#[test]
fn no_path_leads_to_a_file() {
    let running = Running::start(&[]);
    let (host, right) = (running.host(), format!("Authorization: Bearer {}", running.token()));
    for path in [
        "/web.token",
        "/page/web.token",
        "/page/../web.token",
        "/page/%2e%2e/web.token",
        "/page/..%2fweb.token",
        "/page/..%5cweb.token",
        "//etc/passwd",
        "/page//etc/passwd",
        "/page/%2fetc%2fpasswd",
        "/v1/why/..%2f..%2fetc%2fpasswd",
        "/page/main.js%00.css",
    ] {
        let (status, _, body) = running.ask(&format!("GET {path}"), &[&host, &right], "");
        assert!(matches!(status, 400 | 404), "{path}: {status}");
        assert!(!body.contains(&running.token()) && !body.contains("root:"), "{path}: {body}");
    }
    assert_eq!(running.status("GET /page/main.js", &[&host, &right]), 200);
}
