//! Against servers that say what a local API says, and what it never would.

use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    thread::{self, JoinHandle},
    time::Instant,
};

use super::*;
use crate::crowdsec::Reach;

const SECOND: Duration = Duration::from_secs(1);

/// Answers one request, and gives what was asked.
fn server(answer: Vec<u8>) -> (Lapi, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let thread = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        let (mut asked, mut buffer) = (Vec::new(), [0; 4096]);
        while let Ok(count @ 1..) = stream.read(&mut buffer) {
            asked.extend_from_slice(&buffer[..count]);
            if asked.starts_with(b"GET") && asked.ends_with(b"\r\n\r\n") {
                break;
            }
        }
        // Whoever has heard enough hangs up.
        let _ = stream.write_all(&answer);
        String::from_utf8(asked).unwrap()
    });
    (Lapi::patient(&url, SECOND), thread)
}

fn says(status: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

fn streamed(answer: Vec<u8>) -> (Result<Answer, CrowdsecError>, String) {
    let (lapi, thread) = server(answer);
    let settings = CrowdsecSettings { max_decisions: 1000, ..CrowdsecSettings::default() };
    let read = lapi.stream("k3y", true, &settings, &mut Words::default());
    (read, thread.join().unwrap())
}

#[test]
fn f48_the_stream_is_asked_for_with_the_key() {
    let (read, asked) = streamed(says("200 OK", br#"{"new":null,"deleted":null}"#));
    assert!(read.unwrap().new.is_empty());
    let expected = "GET /v1/decisions/stream?dedup=false&scopes=ip,range&startup=true HTTP/1.1\r\n";
    assert!(asked.starts_with(expected), "{asked}");
    assert!(asked.to_lowercase().contains("x-api-key: k3y\r\n"), "{asked}");
}

#[test]
fn f48_hostile_answers_of_the_stream_are_refused() {
    let bomb = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n".to_vec();
    for answer in [
        says("200 OK", b"<html>proxy</html>"),
        says("200 OK", b""),
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"new\":[".to_vec(),
        b"nonsense\r\n\r\n".to_vec(),
        says("302 Found\r\nLocation: http://127.0.0.1:1/", b""),
        says("500 Internal Server Error", br#"{"message":"database is locked"}"#),
        [bomb, gzip_of_zeros()].concat(),
    ] {
        let (read, _) = streamed(answer.clone());
        let error = read.unwrap_err();
        assert_eq!(error.reach(), Reach::Perhaps, "{error}");
        assert!(!error.to_string().contains("k3y"));
    }
    let (read, _) = streamed(says("403 Forbidden", br#"{"message":"access forbidden"}"#));
    assert!(matches!(read, Err(CrowdsecError::Denied { what: "key", status: 403 })));
}

/// 200 MB of blanks within an array, as gzip: stored blocks would be as large, so
/// it is made by the same library that unpacks it.
fn gzip_of_zeros() -> Vec<u8> {
    // A deflate stream of one fixed block: a blank, then copies of 258 bytes of
    // what is one byte back.
    struct Bits(Vec<u8>, u32, u8);
    impl Bits {
        fn put(&mut self, value: u32, count: u8) {
            for bit in 0..count {
                self.1 |= (value >> bit & 1) << self.2;
                self.2 += 1;
                if self.2 == 8 {
                    self.0.push(self.1 as u8);
                    (self.1, self.2) = (0, 0);
                }
            }
        }
        /// Codes of Huffman come with their first bit first.
        fn code(&mut self, value: u32, count: u8) {
            (0..count).rev().for_each(|bit| self.put(value >> bit & 1, 1));
        }
    }
    let mut bits = Bits(vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3], 0, 0);
    bits.put(1, 1);
    bits.put(1, 2);
    bits.code(0x30 + u32::from(b' '), 8);
    for _ in 0..800_000 {
        // Length 258 is code 285, eight bits; distance 1 is code 0, five bits.
        bits.code(0b1100_0101, 8);
        bits.code(0, 5);
    }
    bits.code(0, 7);
    bits.put(0, 7);
    bits.0.extend([0; 8]);
    bits.0
}

#[test]
fn f48_who_does_not_listen_has_not_heard_us() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let settings = CrowdsecSettings::default();
    let words = &mut Words::default();
    let error = Lapi::patient(&url, SECOND).stream("k", false, &settings, words).unwrap_err();
    assert_eq!(error.reach(), Reach::Nobody, "{error}");
}

#[test]
fn f48_who_hangs_is_left() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let started = Instant::now();
    let lapi = Lapi::patient(&url, Duration::from_millis(100));
    let (settings, words) = (CrowdsecSettings::default(), &mut Words::default());
    let error = lapi.stream("k", false, &settings, words).unwrap_err();
    assert_eq!(error.reach(), Reach::Perhaps, "{error}");
    assert!(started.elapsed() < 20 * SECOND);
}

fn login() -> Login {
    Login { machine: "sg".to_owned(), password: "p4ss".to_owned() }
}

#[test]
fn f48_a_machine_logs_in_and_reports() {
    let later = Timestamp::now() + Duration::from_secs(3600);
    let body = format!(r#"{{"code":200,"expire":"{later}","token":"t0ken"}}"#);
    let (lapi, thread) = server(says("200 OK", body.as_bytes()));
    let token = lapi.log_in(&login()).unwrap();
    let asked = thread.join().unwrap();
    assert!(asked.starts_with("POST /v1/watchers/login "), "{asked}");
    assert!(asked.contains(r#""machine_id":"sg""#) && asked.contains("sipguard/auth"), "{asked}");
    assert!((3400..3600).contains(&token.good_for.as_secs()), "{token:?}");
    assert!(!format!("{token:?}").contains("t0ken"));

    let report = Report::sample("192.0.2.1/32".parse().unwrap());
    let (lapi, thread) = server(says("201 Created", br#"["1"]"#));
    lapi.report(&token, &[report]).unwrap();
    let asked = thread.join().unwrap();
    assert!(asked.starts_with("POST /v1/alerts ") && asked.contains("Bearer t0ken\r\n"), "{asked}");
    let (lapi, _) = server(says("401 Unauthorized", b"{}"));
    assert!(matches!(lapi.report(&token, &[]), Err(CrowdsecError::Denied { what: "token", .. })));
}

#[test]
fn f48_odd_logins_are_refused_and_odd_ends_bounded() {
    for body in ["", "{}", r#"{"token":""}"#, r#"{"token":"a b"}"#, r#"{"token":5}"#, "<html>"] {
        let (lapi, _) = server(says("200 OK", body.as_bytes()));
        assert!(lapi.log_in(&login()).is_err(), "{body}");
    }
    let (lapi, _) = server(says("403 Forbidden", b"{}"));
    assert!(matches!(lapi.log_in(&login()), Err(CrowdsecError::Denied { what: "login", .. })));
    for (expire, most) in [("1999-01-01T00:00:00Z", 60), ("9999-01-01T00:00:00Z", 86_400)] {
        let body = format!(r#"{{"expire":"{expire}","token":"x"}}"#);
        let (lapi, _) = server(says("200 OK", body.as_bytes()));
        let good_for = lapi.log_in(&login()).unwrap().good_for;
        assert!((60..=most).contains(&good_for.as_secs()), "{expire}: {good_for:?}");
    }
}

#[test]
fn f48_local_apis_that_want_no_usage_are_not_asked_again() {
    for (status, expected) in [("201 Created", true), ("404 Not Found", false), ("405 No", false)] {
        let (lapi, _) = server(says(status, b""));
        assert_eq!(lapi.tell_usage("k", &Value::Null).unwrap(), expected);
    }
}
