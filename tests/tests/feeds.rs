//! Feeds in a running sipguard: what they hold is dropped, named, and gone when
//! they no longer hold it.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tests::rig::{
    lab::{GATEWAY, Lab, SERVER, STRANGERS, TRUSTED, WAN},
    policy::Policy,
    process::Finished,
    sipguard::{Sipguard, state},
    tool::{Tool, can_run},
    traffic::{Listener, request, sender},
    wait,
    web::{Part, Web, reply},
};

const TOOLS: &[Tool] = &[Tool::Ip, Tool::Sipguard];

const IFACE: &[&str] = &["--iface", WAN];

/// How long anything here may take that has no time limit of its own.
const PATIENCE: Duration = Duration::from_secs(20);

const KEY: &str = "5ecr3t-key";

fn web(lab: &Lab) -> Result<Web> {
    Web::start(lab.outside(), SocketAddr::new(GATEWAY, 8080))
}

/// One feed, with more keys.
fn feed(name: &str, source: &str, more: &str) -> String {
    let key = if source.starts_with('/') { "path" } else { "url" };
    format!("[[feeds.feed]]\nname = \"{name}\"\n{key} = \"{source}\"\n{more}\n")
}

/// The state of a feed.
fn state_of(sipguard: &Sipguard<'_>, name: &str) -> Result<Value> {
    let all = sipguard.json(&["feeds", "--json"])?;
    let found = all["feeds"].as_array().and_then(|all| all.iter().find(|one| one["name"] == name));
    found.cloned().with_context(|| format!("no feed {name}: {all}"))
}

fn until_state(sipguard: &Sipguard<'_>, name: &str, state: &str) -> Result<Value> {
    let found = wait::until(&format!("the feed {name} to be {state}"), PATIENCE, || {
        let found = state_of(sipguard, name)?;
        Ok((found["state"] == state).then_some(found))
    });
    found.with_context(|| sipguard.log())
}

fn refresh(sipguard: &Sipguard<'_>, name: &str) -> Result<Finished> {
    sipguard.command(&["feeds", "--refresh", name])
}

fn standing(sipguard: &Sipguard<'_>, source: IpAddr) -> Result<Value> {
    sipguard.json(&["why", &source.to_string(), "--json"])
}

/// Whether a request of a source arrives at the server.
fn arrives(lab: &Lab, listener: &Listener, source: IpAddr) -> Result<bool> {
    listener.receives(&sender(lab, source)?, &request("REGISTER", b"Telephone/1.6", 1))
}

fn lines(sipguard: &Sipguard<'_>) -> Result<Vec<String>> {
    let log = sipguard.json(&["log", "--type", "feed", "--json"])?;
    let lines = log["lines"].as_array().context("no lines")?;
    Ok(lines.iter().map(|line| format!("{} {}", line["by"], line["new"])).collect())
}

/// An address is dropped while its feed has it, and no longer; the feed is named
/// wherever somebody asks; trust, this host and wide networks stay untouched.
#[test]
fn f47_what_feeds_hold_is_dropped_named_and_freed_again() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let (lab, [one, other, mine, _]) = (Lab::new()?, STRANGERS);
    let (web, listener) = (web(&lab)?, Listener::new(&lab, SERVER)?);
    let list = format!(
        "# list\n{one};scanner\n{other}\n{TRUSTED}\n{SERVER}\n203.0.113.0/24\n{GATEWAY}\n\
         0.0.0.0/0\n198.0.0.0/8\n127.0.0.1\nnonsense\n"
    );
    web.says_bytes("/list", reply("200 OK", &[], list.as_bytes()));
    let page = format!("{{\"ipaddress\":[\"{one}\"],\"ID\":\"7\"}}");
    web.says_bytes(&format!("/api/{KEY}"), reply("200 OK", &[], page.as_bytes()));
    let end = br#"{"ipaddress":["no new bans"],"ID":"none"}"#;
    web.says_bytes(&format!("/api/{KEY}/7"), reply("400 Bad Request", &[], end));
    let (key, path) = (lab.folder().join("key"), lab.folder().join("mine.txt"));
    fs::write(&key, KEY)?;
    fs::write(&path, format!("{mine}\n"))?;
    let apiban = format!("format = \"apiban\"\nkey_file = \"{}\"", key.display());
    let main = feed("list", &web.url("/list"), "")
        + &feed("apiban", &web.url("/api/{key}"), &apiban)
        + &feed("mine", &path.display().to_string(), "")
        + &feed("off", &web.url("/off"), "enabled = false");
    let policy = Policy::unsigned()?.with_main(&main);
    let sipguard = Sipguard::start(&lab, &policy, &[IFACE, &["--log", "trace"]].concat())?;

    let status = until_state(&sipguard, "list", "ok")?;
    ensure!(status["entries"] == 3 && status["own"] == 3 && status["trusted"] == 1, "{status}");
    let skipped = &status["skipped"];
    ensure!(skipped["wide"] == 2 && skipped["special"] == 1 && skipped["unreadable"] == 1);
    ensure!(until_state(&sipguard, "apiban", "ok")?["entries"] == 1);
    ensure!(until_state(&sipguard, "mine", "ok")?["entries"] == 1);
    until_state(&sipguard, "off", "off")?;
    ensure!(sipguard.json(&["status", "--json"])?["fed"] == 4);

    for source in [one, other, mine] {
        let before = sipguard.stats()?.packets("blocked")?;
        ensure!(!arrives(&lab, &listener, source)?, "{source} arrives");
        ensure!(sipguard.stats()?.packets("blocked")? > before, "{}", sipguard.stats()?);
    }
    ensure!(arrives(&lab, &listener, TRUSTED)?, "trust does not win");

    let why = standing(&sipguard, one)?;
    ensure!(why["standing"] == "blocked" && why["blocked"][0]["origin"] == "feed", "{why}");
    let names: Vec<&Value> =
        why["blocked"].as_array().context("no blocks")?.iter().map(|one| &one["name"]).collect();
    ensure!(names == ["apiban", "list"], "{why}");
    let shown = sipguard.command(&["why", &one.to_string()])?.success()?.text();
    ensure!(
        shown.contains("feed") && shown.contains("apiban") && shown.contains("allow"),
        "{shown}"
    );
    let shown = sipguard.command(&["list", "blocked"])?.success()?.text();
    ensure!(shown.lines().any(|line| line.contains(&mine.to_string()) && line.contains("mine")));
    println!("$ sipguard feeds\n{}", sipguard.command(&["feeds"])?.success()?.text());
    println!("$ sipguard log\n{}", sipguard.command(&["log", "--type", "feed"])?.success()?.text());

    // An operator is told how to free somebody all the same.
    let refused = sipguard.command(&["unblock", &mine.to_string()])?.expect_code(1)?.words();
    ensure!(refused.contains("feed mine") && refused.contains("sipguard allow"), "{refused}");
    sipguard.command(&["block", &mine.to_string()])?.success()?;
    let still = sipguard.command(&["unblock", &mine.to_string()])?.expect_code(1)?.words();
    ensure!(still.contains("still blocked") && still.contains("the feed mine"), "{still}");
    let allowed = sipguard.command(&["allow", &mine.to_string()])?.success()?.words();
    ensure!(allowed.contains("trust wins: an entry of the feed mine"), "{allowed}");
    ensure!(arrives(&lab, &listener, mine)?, "trust does not win");
    sipguard.command(&["allow", "--remove", &mine.to_string()])?.success()?;
    ensure!(!arrives(&lab, &listener, mine)?, "the feed is forgotten");

    // The next version has somebody else.
    web.says_bytes("/list", reply("200 OK", &[], b"192.0.2.66\n"));
    refresh(&sipguard, "list")?.success()?;
    ensure!(arrives(&lab, &listener, other)?, "{other} is gone from the list");
    ensure!(!arrives(&lab, &listener, one)?, "{one} is still in another");
    ensure!(lines(&sipguard)?.iter().any(|line| line.contains("added 1, removed 6: 1 entries")));
    fs::write(&path, "")?;
    refresh(&sipguard, "mine")?.success()?;
    ensure!(arrives(&lab, &listener, mine)?);

    // A feed that is taken out goes at the reload, with its file.
    let kept = state(&lab).join("feeds/apiban.list");
    ensure!(kept.is_file());
    policy.clone().with_main(&feed("list", &web.url("/list"), "")).write(sipguard.folder())?;
    let (ok, message) = sipguard.hang_up()?;
    ensure!(ok && message.contains("-3 feeds"), "{message}");
    ensure!(arrives(&lab, &listener, one)?, "{one} is in no list");
    wait::until("the end of its file", PATIENCE, || Ok((!kept.exists()).then_some(())))?;
    ensure!(sipguard.json(&["status", "--json"])?["fed"] == 1, "the other feed stays");

    let told = String::from_utf8_lossy(&sipguard.output()).into_owned();
    ensure!(!told.contains(KEY), "the key is told");
    Ok(())
}

/// The last good version holds while the server is gone or lies, over a
/// restart, and until it is too old.
#[test]
fn f47_the_last_good_version_holds_for_its_time() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let (lab, [one, ..]) = (Lab::new()?, STRANGERS);
    let (web, listener) = (web(&lab)?, Listener::new(&lab, SERVER)?);
    let list = format!("{one}\n");
    web.says("/list", move |request| {
        vec![Part::Bytes(match request.header("If-None-Match") {
            Some("\"1\"") => reply("304 Not Modified", &[], b""),
            _ => reply("200 OK", &["ETag: \"1\""], list.as_bytes()),
        })]
    });
    let url = web.url("/list");
    let policy = Policy::unsigned()?.with_main(&feed("list", &url, ""));
    let sipguard = Sipguard::start(&lab, &policy, IFACE)?;
    until_state(&sipguard, "list", "ok")?;
    ensure!(!arrives(&lab, &listener, one)?);
    refresh(&sipguard, "list")?.success()?;
    let asked = web.requests();
    ensure!(asked.last().and_then(|one| one.header("If-None-Match")) == Some("\"1\""));

    // A page that says what is wrong is no list.
    web.says_bytes("/list", reply("200 OK", &[], b"<html>\n<p>Down</p>\n</html>\n"));
    let refused = refresh(&sipguard, "list")?.expect_code(1)?.words();
    ensure!(refused.contains("no list of addresses"), "{refused}");
    until_state(&sipguard, "list", "failing")?;
    ensure!(!arrives(&lab, &listener, one)?, "the last good version is gone");
    ensure!(lines(&sipguard)?.iter().any(|line| line.contains("failed: this is no list")));
    sipguard.stop()?;

    // The server is gone for good.
    drop(web);
    let sipguard = Sipguard::start(&lab, &policy, IFACE)?;
    let status = until_state(&sipguard, "list", "ok")?;
    ensure!(status["entries"] == 1, "{status}");
    ensure!(!arrives(&lab, &listener, one)?, "a restart forgets the list");
    let said = sipguard.log();
    let (holds, attached) = (said.find("1 entries of an earlier run"), said.find("\"start\""));
    ensure!(holds.is_some() && holds < attached, "not from the first packet on: {said}");
    refresh(&sipguard, "list")?.expect_code(1)?;
    ensure!(!arrives(&lab, &listener, one)?);

    // A second is over at once.
    let short = "interval = \"1s\"\nmax_age = \"2s\"";
    policy.clone().with_main(&feed("list", &url, short)).write(sipguard.folder())?;
    ensure!(sipguard.hang_up()?.0);
    let status = until_state(&sipguard, "list", "over")?;
    ensure!(status["entries"] == 0, "{status}");
    wait::until("the end of the list", PATIENCE, || {
        Ok(arrives(&lab, &listener, one)?.then_some(()))
    })?;
    Ok(())
}

/// What is too old goes by itself, and says so.
#[test]
fn f47_what_nobody_confirms_goes_by_itself() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let (lab, [one, ..]) = (Lab::new()?, STRANGERS);
    let (web, listener) = (web(&lab)?, Listener::new(&lab, SERVER)?);
    web.says_bytes("/list", reply("200 OK", &[], format!("{one}\n").as_bytes()));
    let main = feed("list", &web.url("/list"), "interval = \"1s\"\nmax_age = \"6s\"");
    let policy = Policy::unsigned()?.with_main(&main);
    let sipguard = Sipguard::start(&lab, &policy, IFACE)?;
    until_state(&sipguard, "list", "ok")?;
    ensure!(!arrives(&lab, &listener, one)?);
    drop(web);
    let status = until_state(&sipguard, "list", "over")?;
    ensure!(status["entries"] == 0 && status["last_error"].is_string(), "{status}");
    wait::until("the end of the list", PATIENCE, || {
        Ok(arrives(&lab, &listener, one)?.then_some(()))
    })?;
    let said = sipguard.log();
    ensure!(said.contains("none of its 1 entries holds any more"), "{said}");
    ensure!(lines(&sipguard)?.iter().any(|line| line.contains("older than 6s: removed 1")));
    Ok(())
}

/// A hundred thousand networks come and go as a whole, while the daemon answers.
#[test]
fn f47_a_hundred_thousand_networks_come_and_go() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let (lab, [one, ..]) = (Lab::new()?, STRANGERS);
    let listener = Listener::new(&lab, SERVER)?;
    let path = lab.folder().join("many.txt");
    let address = |n: u32| Ipv4Addr::from(0x1400_0000 + n * 7);
    let mut text: String = (0..99_999).map(|n| format!("{}\n", address(n))).collect();
    fs::write(&path, format!("{text}{one}\n"))?;
    let policy = Policy::unsigned()?.with_main(&feed("many", &path.display().to_string(), ""));
    let sipguard = Sipguard::start(&lab, &policy, &[IFACE, &["--log", "debug"]].concat())?;
    let status = until_state(&sipguard, "many", "ok")?;
    ensure!(status["entries"] == 100_000, "{status}");
    ensure!(!arrives(&lab, &listener, one)?);
    // One more, and one less.
    text += "192.0.2.66\n";
    fs::write(&path, &text)?;
    refresh(&sipguard, "many")?.success()?;
    ensure!(arrives(&lab, &listener, one)?);
    ensure!(lines(&sipguard)?.iter().any(|line| line.contains("added 1, removed 1: 100000")));
    // Too many are none: what was there stays.
    fs::write(&path, (0..200_001).map(|n| format!("{}\n", address(n))).collect::<String>())?;
    refresh(&sipguard, "many")?.expect_code(1)?;
    ensure!(state_of(&sipguard, "many")?["entries"] == 100_000);
    // Most of them go, with a warning.
    fs::write(&path, "192.0.2.66\n")?;
    refresh(&sipguard, "many")?.success()?;
    ensure!(sipguard.json(&["status", "--json"])?["fed"] == 1);
    let said = sipguard.log();
    ensure!(said.contains("it has shrunk from 100000 entries to 1"), "{said}");
    for line in said.lines().filter(|line| line.contains("in force within")) {
        println!("{line}");
    }
    Ok(())
}
