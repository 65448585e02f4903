//! F42: the dashboard in a real browser, with real scanners outside.

use std::{net::IpAddr, thread, time::Duration};

use anyhow::{Context as _, Result, ensure};
use tests::rig::{
    browser::Browser,
    lab::{Lab, SERVER, STRANGER, STRANGERS, WAN, sip},
    policy::Policy,
    scanner::Scan,
    sipguard::Sipguard,
    tool::{Tool, can_run},
    traffic::{Listener, request, sender},
    wait,
};

const TOOLS: &[Tool] =
    &[Tool::Ip, Tool::Sipguard, Tool::Sipvicious, Tool::Chromium, Tool::Chromedriver];

const PATIENCE: Duration = Duration::from_secs(20);

/// What a page that trusts a packet would run.
const HOSTILE: &[u8] = b"<img src=x onerror=window.pwned=1><script>window.pwned=2</script>";

/// The number in a tile.
const DROPPED: &str =
    "Number(document.querySelector('#tile-dropped b').textContent.replace(',', ''))";

fn address(sipguard: &Sipguard<'_>) -> Result<String> {
    Ok(sipguard.command(&["dashboard"])?.success()?.text().trim_end().to_owned())
}

/// Opens the dialog and blocks an address for an hour.
fn block(browser: &Browser<'_>, address: &str) -> Result<()> {
    browser.click("#block")?;
    browser.until("document.getElementById('entry-dialog').open")?;
    browser.type_into("#entry-target", address)?;
    browser.click("#entry-do")?;
    browser.until("!document.getElementById('entry-dialog').open")
}

#[test]
fn f42_an_attack_is_seen_and_an_address_blocked_from_the_page() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let listener = Listener::new(&lab, SERVER)?;
    let sipguard = Sipguard::start(&lab, &Policy::usual()?, &["--iface", WAN])?;
    let browser = Browser::start(&lab)?;
    let page = address(&sipguard)?;
    browser.open(&page)?;
    browser.until("document.getElementById('link').dataset.state === 'live'")?;
    browser.until("document.getElementById('lock').textContent === 'Lock'")?;
    ensure!(browser.run("return location.href")? == "http://127.0.0.1:9061/", "the token stays");
    ensure!(browser.text("#interfaces")?.contains(WAN), "no interface");

    // A scanner, as it is.
    browser.until(&format!("{DROPPED} === 0"))?;
    thread::scope(|scope| {
        let scan = scope.spawn(|| Scan::Svmap.run(&lab));
        browser.until(&format!("{DROPPED} > 0"))?;
        ensure!(scan.join().ok().context("svmap")??.is_none(), "svmap has found something");
        Ok(())
    })?;
    browser.until("document.getElementById('rules-legend').textContent.includes('options')")?;
    let told = format!("document.getElementById('events').textContent.includes('{STRANGER}')");
    browser.until(&told)?;
    browser.until(&format!("document.querySelector('[data-source=\"{STRANGER}\"]')"))?;

    // It scans much faster than anybody should: that is an alert.
    for number in 0..60 {
        let options = request("OPTIONS", b"friendly-scanner", number);
        sender(&lab, STRANGER)?.send_to(&options, sip(SERVER))?;
    }
    browser
        .until(&format!("document.getElementById('alerts').textContent.includes('{STRANGER}')"))?;

    // Text of packets stays text.
    let other = sender(&lab, STRANGERS[1])?;
    other.send_to(&request("OPTIONS", HOSTILE, 1), sip(SERVER))?;
    browser
        .until("document.getElementById('events').textContent.includes('<img src=x onerror=')")?;
    let made = "return document.querySelectorAll('#events script, #events img').length";
    ensure!(browser.run(made)? == 0, "a packet has made elements");
    ensure!(browser.run("return window.pwned ?? null")?.is_null(), "a packet has run a script");

    // A block holds in the kernel, and is taken back.
    let third = sender(&lab, STRANGERS[2])?;
    let register = request("REGISTER", b"Telephone/1.6", 1);
    ensure!(listener.receives(&third, &register)?, "a stranger cannot register");
    let target = STRANGERS[2].to_string();
    block(&browser, &target)?;
    ensure!(!listener.receives(&third, &register)?, "the page's block does nothing");
    let log = sipguard.json(&["log", "--json", "--type", "block"])?;
    ensure!(log["lines"][0]["by"] == "web", "{log}");
    browser.click(".toast button:not(.quiet)")?;
    wait::until("the end of the block", PATIENCE, || {
        Ok(listener.receives(&third, &register)?.then_some(()))
    })?;

    block(&browser, &target)?;
    ensure!(!listener.receives(&third, &register)?, "the second block does nothing");
    browser.click("#tab-blocked")?;
    let row = format!("[data-target=\"{target}\"]");
    browser.until(&format!("document.querySelector('{row}')?.textContent.includes('59 min')"))?;
    browser.click(&format!("{row} [aria-label^=Unblock]"))?;
    wait::until("the end of the second block", PATIENCE, || {
        Ok(listener.receives(&third, &register)?.then_some(()))
    })?;

    narrow(&browser)?;
    let complaints = browser.complaints()?;
    ensure!(complaints.is_empty(), "{complaints:?}");
    Ok(())
}

/// On a phone nothing is cut off at the side.
fn narrow(browser: &Browser<'_>) -> Result<()> {
    browser.screen(360, 740, 1.0, true)?;
    browser.until("window.innerWidth === 360")?;
    let over = "const out = [...document.querySelectorAll('body *')].filter((one) => {
        const box = one.getBoundingClientRect();
        return box.width > 1 && box.right > 361 && !one.closest('svg, .unseen, .events .text');
    });
    return [document.documentElement.scrollWidth, out.map((one) => one.outerHTML.slice(0, 90))]";
    let seen = browser.run(over)?;
    ensure!(seen[0] == 360 && seen[1].as_array().is_some_and(Vec::is_empty), "{seen}");
    Ok(())
}

/// Types a token into the form that stands in for the page.
fn log_in(browser: &Browser<'_>, token: &str) -> Result<()> {
    browser.until("document.querySelector('form[action=\"/login\"]')")?;
    browser.type_into("#token", token)?;
    browser.click("form button")
}

#[test]
fn f42_off_loopback_the_page_asks_for_the_token() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let policy = Policy::usual()?.with_main(&format!("[web]\nlisten = \"{SERVER}:9061\"\n"));
    let sipguard = Sipguard::start(&lab, &policy, &["--iface", WAN])?;
    let browser = Browser::start(&lab)?;
    let page = address(&sipguard)?;
    let (url, token) = page.split_once("#token=").context("no token")?;
    ensure!(url == format!("http://{SERVER}:9061/"), "{url}");
    let here = format!("location.href === '{url}'");
    let status = "return fetch('/v1/status').then((answer) => answer.status)";

    browser.open(url)?;
    log_in(&browser, &"0".repeat(64))?;
    browser.until(&format!("{here} && !document.getElementById('wrong').hidden"))?;
    ensure!(browser.run(status)? == 401, "a wrong token has opened something");

    log_in(&browser, token)?;
    browser
        .until(&format!("{here} && document.getElementById('link')?.dataset.state === 'live'"))?;
    ensure!(browser.text("#interfaces")?.contains(WAN), "no interface");
    ensure!(browser.run(status)? == 200, "the right token has opened nothing");
    block(&browser, &STRANGER.to_string())?;

    // Whose cookie has ended meanwhile is asked again when the daemon is back.
    browser.run("return fetch('/logout', { method: 'POST' }).then(() => true)")?;
    sipguard.stop()?;
    let _sipguard = Sipguard::start(&lab, &policy, &["--iface", WAN])?;
    browser.until("document.querySelector('form[action=\"/login\"]')")?;

    // The printed address brings the token along.
    browser.open("about:blank")?;
    browser.open(&page)?;
    browser.until(&format!("{here} && document.getElementById('link')?.dataset.state === 'live'"))
}

#[test]
fn f42_what_cannot_be_done_is_said_and_a_daemon_that_is_gone_comes_back() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let policy = Policy::usual()?;
    let sipguard = Sipguard::start(&lab, &policy, &["--iface", WAN])?;
    let browser = Browser::start(&lab)?;
    let page = address(&sipguard)?;
    let (url, token) = page.split_once("#token=").context("no token")?;

    // Without the token one may look, and is asked for it.
    browser.open(url)?;
    browser.until("document.getElementById('link').dataset.state === 'live'")?;
    browser.click("#block")?;
    browser.until("document.getElementById('token-dialog').open")?;
    browser.type_into("#token", &"0".repeat(64))?;
    browser.click("#token-dialog .primary")?;
    browser.until("!document.getElementById('token-problem').hidden")?;
    browser.run("document.getElementById('token').value = ''")?;
    browser.type_into("#token", token)?;
    browser.click("#token-dialog .primary")?;
    browser.until("document.getElementById('entry-dialog').open")?;
    browser.type_into("#entry-target", &SERVER.to_string())?;
    browser.click("#entry-do")?;
    browser.until("document.getElementById('entry-problem').textContent.includes('this host')")?;
    browser.click("#entry-dialog [data-close]")?;

    // Reasons are text, too, whoever wrote them.
    let hostile = "<img src=x onerror=window.pwned=3>\u{202e}";
    let stranger: IpAddr = STRANGERS[3];
    sipguard.command(&["block", &stranger.to_string(), "--reason", hostile])?.success()?;
    browser.click("#tab-blocked")?;
    browser.until("document.getElementById('panel').textContent.includes('<img src=x')")?;
    ensure!(browser.text("#panel")?.contains("\\u{202e}"), "invisible characters stay so");
    ensure!(browser.run("return window.pwned ?? null")?.is_null(), "a reason has run a script");
    let complaints = browser.complaints()?;
    let expected = |line: &&String| !line.contains("/login") && !line.contains("/v1/blocks");
    ensure!(complaints.iter().find(expected).is_none(), "{complaints:?}");

    sipguard.stop()?;
    browser.until("!document.getElementById('gone').hidden")?;
    let sipguard = Sipguard::start(&lab, &policy, &["--iface", WAN])?;
    browser.until("document.getElementById('link').dataset.state === 'live'")?;
    browser.until("document.getElementById('gone').hidden")?;
    // The token is the same, and so the browser still has it.
    browser.until("document.getElementById('lock').textContent === 'Lock'")?;
    drop(sipguard);
    Ok(())
}
