//! Fetching feeds from servers that misbehave in every way: what comes of it is
//! the whole list, or an error and nothing.

use std::{
    fs, io,
    net::SocketAddr,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Result, bail, ensure};
use sipguard::{
    feeds::{FeedError, Fetched, Patience, Read, Skipped, Version, fetch_within},
    policy::{FeedFormat, FeedSettings, FeedSource},
};
use tests::rig::{
    gzip,
    lab::{GATEWAY, Lab},
    tool::{Tool, can_run},
    web::{Part, Web, reply},
};

const TOOLS: &[Tool] = &[Tool::Ip];

/// How long a fetch may take here; those that go well take far less.
const WHOLE: Duration = Duration::from_secs(4);

/// No fetch may take this long.
const TOO_LONG: Duration = Duration::from_secs(10);

const LIST: &[u8] = b"# list\n192.0.2.66\n192.0.2.67 ; scanner\n";

fn patience() -> Patience {
    Patience {
        connect: Duration::from_secs(2),
        read: Duration::from_secs(2),
        whole: WHOLE,
        pace: Duration::ZERO,
        pages_at_once: 10,
    }
}

/// A server outside, and where feeds are fetched from.
struct Site {
    lab: Lab,
    web: Web,
}

impl Site {
    fn new() -> Result<Option<Self>> {
        if !can_run(TOOLS) {
            return Ok(None);
        }
        let lab = Lab::new()?;
        let web = Web::start(lab.outside(), SocketAddr::new(GATEWAY, 8080))?;
        Ok(Some(Self { lab, web }))
    }

    fn settings(&self, path: &str) -> FeedSettings {
        FeedSettings::of(FeedSource::Url(self.web.url(path)))
    }

    /// Fetches, and holds it to its time.
    fn fetch(
        &self,
        settings: &FeedSettings,
        known: Option<&Version>,
    ) -> Result<Result<Fetched, FeedError>> {
        let started = Instant::now();
        let fetched = self
            .lab
            .server()
            .enter(|| Ok::<_, io::Error>(fetch_within(settings, known, &patience())))?;
        let took = started.elapsed();
        ensure!(took < TOO_LONG, "{took:?}: {fetched:?}");
        Ok(fetched)
    }

    fn reads(&self, settings: &FeedSettings) -> Result<(Read, Version)> {
        match self.fetch(settings, None)? {
            Ok(Fetched::New(read, version)) => Ok((read, version)),
            other => bail!("{other:?}"),
        }
    }

    /// What is wrong with the list at a path.
    fn fails(&self, path: &str) -> Result<FeedError> {
        match self.fetch(&self.settings(path), None)? {
            Err(error) => Ok(error),
            Ok(fetched) => bail!("{path}: {fetched:?}"),
        }
    }
}

#[test]
fn f47_lists_are_asked_for_again_only_when_they_have_changed() -> Result<()> {
    let Some(site) = Site::new()? else { return Ok(()) };
    site.web.says("/etag", |request| {
        vec![Part::Bytes(match request.header("If-None-Match") {
            Some("\"one\"") => reply("304 Not Modified", &[], b""),
            _ => reply("200 OK", &["ETag: \"one\""], LIST),
        })]
    });
    site.web.says("/date", |request| {
        let date = "Thu, 01 Jan 2026 00:00:00 GMT";
        vec![Part::Bytes(match request.header("If-Modified-Since") {
            Some(since) if since == date => reply("304 Not Modified", &[], b""),
            _ => reply("200 OK", &[&format!("Last-Modified: {date}")], LIST),
        })]
    });
    for path in ["/etag", "/date"] {
        let settings = site.settings(path);
        let (read, version) = site.reads(&settings)?;
        ensure!(read.nets.len() == 2 && read.skipped == Skipped::default(), "{read:?}");
        let again = site.fetch(&settings, Some(&version))?;
        ensure!(matches!(again, Ok(Fetched::Unchanged)), "{path}: {again:?}");
        // Other settings make another list of the same bytes.
        let other = FeedSettings { min_prefix_v4: 8, ..settings };
        let again = site.fetch(&other, Some(&version))?;
        ensure!(matches!(again, Ok(Fetched::New(..))), "{path}: {again:?}");
    }
    let agent =
        site.web.requests().first().and_then(|one| one.header("User-Agent")).map(str::to_owned);
    ensure!(agent.is_some_and(|agent| agent.starts_with("sipguard/")));
    // Nobody has asked it whether anything changed.
    site.web.says_bytes("/odd", reply("304 Not Modified", &[], b""));
    ensure!(matches!(site.fails("/odd")?, FeedError::Status(304)));
    Ok(())
}

#[test]
fn f47_packed_lists_are_unpacked_and_bombs_are_not() -> Result<()> {
    let Some(site) = Site::new()? else { return Ok(()) };
    let packed = |bytes: &[u8]| reply("200 OK", &["Content-Encoding: gzip"], bytes);
    let good = gzip::stored(LIST);
    site.web.says_bytes("/good", packed(&good));
    let (read, _) = site.reads(&site.settings("/good"))?;
    ensure!(read.nets.len() == 2, "{read:?}");

    let bomb = gzip::bomb(64 << 20);
    ensure!(bomb.len() < 1 << 20, "{} bytes", bomb.len());
    site.web.says_bytes("/bomb", packed(&bomb));
    let error = site.fails("/bomb")?;
    ensure!(matches!(error, FeedError::TooLarge { max: 0x100_0000 }), "{error}");

    site.web.says_bytes("/cut", packed(&good[..good.len() - 20]));
    site.web.says_bytes("/rubbish", packed(b"192.0.2.66\n"));
    let mut wrong = good.clone();
    wrong[20] ^= 1;
    site.web.says_bytes("/wrong", packed(&wrong));
    for path in ["/cut", "/rubbish", "/wrong"] {
        let error = site.fails(path)?;
        ensure!(error.to_string().contains("damaged or cut off"), "{path}: {error}");
    }
    Ok(())
}

#[test]
fn f47_half_a_list_is_none() -> Result<()> {
    let Some(site) = Site::new()? else { return Ok(()) };
    let whole = reply("200 OK", &[], LIST);
    site.web.says_bytes("/length", &whole[..whole.len() - 10]);
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n192.0.2.66\n\r\n";
    site.web.says_bytes("/chunk", chunked);
    site.web.says_bytes("/head", "HTTP/1.1 200 OK\r\nContent-");
    site.web.says_bytes("/nothing", "");
    site.web.says_bytes("/other", "SIP/2.0 200 OK\r\n\r\n");
    for path in ["/length", "/chunk", "/head", "/nothing", "/other"] {
        let error = site.fails(path)?;
        println!("{path}: {error}");
    }
    Ok(())
}

#[test]
fn f47_what_is_no_list_is_refused() -> Result<()> {
    let Some(site) = Site::new()? else { return Ok(()) };
    let html = b"<!DOCTYPE html>\n<html>\n<body>\nDown for maintenance\n192.0.2.66\n</body>\n";
    site.web.says_bytes("/html", reply("200 OK", &["Content-Type: text/plain"], html));
    ensure!(matches!(site.fails("/html")?, FeedError::NotAList { .. }));
    site.web.says_bytes("/empty", reply("200 OK", &[], b"\r\n"));
    ensure!(matches!(site.fails("/empty")?, FeedError::Empty));
    for (path, status) in [("/error", 503), ("/gone", 404), ("/part", 206)] {
        site.web.says_bytes(path, reply(&format!("{status} x"), &[], LIST));
        let error = site.fails(path)?;
        ensure!(matches!(error, FeedError::Status(said) if said == status), "{error}");
    }
    // Wrong lines among right ones are left out.
    let mixed = b"0.0.0.0/0\n::/0\n127.0.0.1\n10.0.0.0/8\n192.0.2.66\nx\n";
    site.web.says_bytes("/mixed", reply("200 OK", &[], mixed));
    let (read, _) = site.reads(&site.settings("/mixed"))?;
    ensure!(read.nets.len() == 1, "{read:?}");
    ensure!(read.skipped == Skipped { unreadable: 1, wide: 3, special: 1 }, "{read:?}");
    Ok(())
}

#[test]
fn f47_nobody_is_waited_for_for_ever() -> Result<()> {
    let Some(site) = Site::new()? else { return Ok(()) };
    site.web.says("/silent", |_| vec![Part::Wait(Duration::from_secs(20))]);
    let error = site.fails("/silent")?;
    ensure!(matches!(error, FeedError::Timeout(_)), "{error}");
    site.web.says("/slow", |_| {
        let head = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n".to_vec();
        let drip = Part::Endless(b"192.0.2.66\n".to_vec(), Duration::from_millis(300));
        vec![Part::Bytes(head), drip]
    });
    let error = site.fails("/slow")?;
    ensure!(matches!(error, FeedError::Timeout(_)), "{error}");
    site.web.says("/endless", |_| {
        let head = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n".to_vec();
        let line = b"192.0.2.66 # somebody who never stops\n".repeat(1000);
        vec![Part::Bytes(head), Part::Endless(line, Duration::ZERO)]
    });
    let settings = FeedSettings { max_bytes: 1 << 20, ..site.settings("/endless") };
    let fetched = site.fetch(&settings, None)?;
    ensure!(matches!(fetched, Err(FeedError::TooLarge { max: 0x10_0000 })), "{fetched:?}");
    // Nobody listens there.
    let url = format!("http://{GATEWAY}:9/x");
    let fetched = site.fetch(&FeedSettings::of(FeedSource::Url(url)), None)?;
    ensure!(fetched.is_err(), "{fetched:?}");
    Ok(())
}

#[test]
fn f47_redirects_are_followed_for_a_while() -> Result<()> {
    let Some(site) = Site::new()? else { return Ok(()) };
    site.web.says_bytes("/lists/new", reply("200 OK", &[], LIST));
    site.web.says_bytes("/old", reply("301 Moved", &["Location: /lists/older"], b""));
    site.web.says_bytes("/lists/older", reply("302 Found", &["Location: new"], b""));
    ensure!(site.reads(&site.settings("/old"))?.0.nets.len() == 2);

    site.web.says_bytes("/loop", reply("302 Found", &["Location: /loop"], b""));
    let before = site.web.requests().len();
    let error = site.fails("/loop")?;
    ensure!(matches!(error, FeedError::TooManyRedirects(_)), "{error}");
    let asked = site.web.requests().len() - before;
    ensure!(asked <= 6, "{asked} requests");
    site.web.says_bytes("/nowhere", reply("302 Found", &[], b""));
    site.web.says_bytes("/file", reply("302 Found", &["Location: file:///etc/passwd"], b""));
    for path in ["/nowhere", "/file"] {
        let error = site.fails(path)?;
        ensure!(matches!(error, FeedError::BadRedirect(_)), "{error}");
    }
    Ok(())
}

const KEY: &str = "5ecr3t-key";

fn apiban(site: &Site) -> Result<FeedSettings> {
    let key_file = site.lab.folder().join("apiban.key");
    write(&key_file, KEY)?;
    Ok(FeedSettings {
        format: FeedFormat::Apiban,
        key_file: Some(key_file),
        ..site.settings("/api/{key}/banned")
    })
}

fn write(path: &Path, text: &str) -> Result<()> {
    Ok(fs::write(path, format!("{text}\n"))?)
}

/// A page of APIBAN.
fn page(site: &Site, id: &str, addresses: &[&str], next: &str) {
    let path = match id {
        "" => format!("/api/{KEY}/banned"),
        id => format!("/api/{KEY}/banned/{id}"),
    };
    let status = if next == "none" { "400 Bad Request" } else { "200 OK" };
    let body = serde_json::json!({ "ipaddress": addresses, "ID": next }).to_string();
    site.web.says_bytes(&path, reply(status, &[], body.as_bytes()));
}

#[test]
fn f47_apibans_pages_are_read_to_the_end_or_not_at_all() -> Result<()> {
    let Some(site) = Site::new()? else { return Ok(()) };
    let settings = apiban(&site)?;
    page(&site, "", &["192.0.2.66", "192.0.2.67"], "101");
    page(&site, "101", &["192.0.2.68", "192.0.2.66"], "102");
    page(&site, "102", &["no new bans"], "none");
    let (read, _) = site.reads(&settings)?;
    ensure!(read.nets.len() == 3, "{read:?}");

    let fails = || match site.fetch(&settings, None)? {
        Err(error) => {
            let text = error.to_string();
            ensure!(!text.contains(KEY), "the key is told: {text}");
            Ok(error)
        }
        Ok(fetched) => bail!("{fetched:?}"),
    };
    // The pages change while they are read.
    page(&site, "102", &["192.0.2.69"], "101");
    ensure!(matches!(fails()?, FeedError::Circle { page: 3 }));
    page(&site, "102", &["192.0.2.69"], "gone");
    ensure!(matches!(fails()?, FeedError::Status(404)));
    // As many as there may be requests, and more than that.
    let limited = br#"{"ipaddress":"rate limit exceeded","ID":"unauthorized"}"#;
    site.web.says_bytes(&format!("/api/{KEY}/banned/102"), reply("429 x", &[], limited));
    ensure!(matches!(fails()?, FeedError::Refused { status: 429, .. }));
    let echo = format!("{{\"ipaddress\":\"no key {KEY}\",\"ID\":\"unauthorized\"}}");
    site.web.says_bytes(&format!("/api/{KEY}/banned"), reply("403 x", &[], echo.as_bytes()));
    ensure!(fails()?.to_string().contains("no key {key}"));
    let away = format!("Location: http://203.0.113.1:8080/{KEY}");
    site.web.says_bytes(&format!("/api/{KEY}/banned"), reply("302 x", &[&away], b""));
    ensure!(matches!(fails()?, FeedError::BadRedirect(_)));
    let whole = reply("200 OK", &[], br#"{"ipaddress":["192.0.2.66"],"ID":"101"}"#);
    site.web.says_bytes(&format!("/api/{KEY}/banned"), &whole[..whole.len() - 5]);
    fails()?;
    site.web.says_bytes(&format!("/api/{KEY}/banned"), reply("200 OK", &[], b"<html>"));
    ensure!(matches!(fails()?, FeedError::NotAPage { page: 1, .. }));
    Ok(())
}
