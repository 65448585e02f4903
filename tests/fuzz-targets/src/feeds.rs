//! What servers of block lists send, and what was kept of it.

use std::fs;

use jiff::Timestamp;
use sipguard::{
    feeds::{FeedError, Kept, Read, Skipped, Version, testing},
    policy::{FeedSettings, FeedSource, parse_net},
};

use crate::Seed;

pub(crate) const NEEDS_KERNEL: bool = false;

/// Characters of an error at most.
const LONGEST: usize = 600;

fn settings() -> FeedSettings {
    let source = FeedSource::Url("https://lists.example/all.txt".to_owned());
    FeedSettings { max_entries: 1000, ..FeedSettings::of(source) }
}

/// The first byte says what the rest is: a list, a page of APIBAN, or a file that
/// holds the last good version.
///
/// # Panics
/// Where something comes out that may not.
pub fn run(input: &[u8]) {
    let Some((kind, bytes)) = input.split_first() else { return };
    match kind % 4 {
        0 => list(bytes),
        1 => page(200, bytes),
        2 => page(400, bytes),
        _ => kept(bytes),
    }
}

fn list(bytes: &[u8]) {
    let settings = settings();
    let Read { nets, .. } = match testing::list(bytes, &settings) {
        Ok(read) => read,
        Err(error) => return check(&error),
    };
    assert!(nets.len() <= settings.max_entries && nets.is_sorted());
    for net in nets {
        assert!(settings.takes(net) && net.trunc() == net, "{net}");
        let address = net.addr();
        assert!(!address.is_loopback() && !address.is_multicast(), "{net}");
        assert!(!address.is_unspecified(), "{net}");
    }
}

fn page(status: u16, body: &[u8]) {
    match testing::page(status, body) {
        // It becomes a part of a URL.
        Ok(Some((_, id))) => assert!(id.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{id}"),
        Ok(None) => {}
        Err(error) => check(&error),
    }
}

fn check(error: &FeedError) {
    let text = error.to_string();
    assert!(text.len() < LONGEST && !text.chars().any(char::is_control), "{text:?}");
}

fn kept(bytes: &[u8]) {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("x.list"), bytes).expect("a file");
    let Ok(Some(kept)) = Kept::read(folder.path(), "x") else { return };
    kept.write(folder.path(), "x").expect("a file again");
    let again = Kept::read(folder.path(), "x").expect("a good file");
    assert_eq!(again, Some(kept), "what was read is written, and read again");
}

pub(crate) fn seeds() -> Vec<Seed> {
    let list = "\u{feff}# remark\r\n192.0.2.7\r\n 198.51.100.0/24 ; x\n\"192.0.2.9\",2026,x\n\
                2001:db8::1\tx\n::ffff:192.0.2.13\n203.0.113.9/24\n10.0.0.1\n0.0.0.0/0\n";
    let more = r#"{"ipaddress": ["192.0.2.1", "192.0.2.2"], "ID": "987654321"}"#;
    let number = r#"{"ipaddress": "192.0.2.1", "ID": 42}"#;
    let end = r#"{"ipaddress": ["no new bans"], "ID": "none"}"#;
    vec![
        Seed::new("list", [b"\0", list.as_bytes()].concat()),
        Seed::new("page", [b"\x01", more.as_bytes()].concat()),
        Seed::new("page_number", [b"\x01", number.as_bytes()].concat()),
        Seed::new("page_end", [b"\x02", end.as_bytes()].concat()),
        Seed::new("kept", [b"\x03", &a_kept_file()[..]].concat()),
    ]
}

fn a_kept_file() -> Vec<u8> {
    let nets = ["192.0.2.7", "198.51.100.0/24", "2001:db8::/32"];
    let nets = nets.map(|net| parse_net(net).expect("a network")).to_vec();
    let now = Timestamp::from_second(1_800_000_000).expect("a time");
    let folder = tempfile::tempdir().expect("a folder");
    let kept = Kept::new(Version::of(&settings()), Skipped::default(), nets, now);
    kept.write(folder.path(), "x").expect("a file");
    fs::read(folder.path().join("x.list")).expect("the file")
}
