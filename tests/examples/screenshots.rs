//! Pictures of the dashboard under attack, for docs/: real scanners and many
//! made ones outside, a real registrar with phones within, and Chromium.
//!
//! ```sh
//! cargo run -p tests --example screenshots -- docs 150
//! ```
//!
//! The number is for how many seconds the attack goes on before. `pngquant` makes
//! the pictures smaller.

use std::{
    env,
    f64::consts::TAU,
    net::IpAddr,
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use tests::rig::{
    browser::Browser,
    lab::{Lab, SERVER, WAN, sip},
    policy::Policy,
    registrar::{Registrar, Ways},
    scanner::{Attack, Attacker},
    sipguard::Sipguard,
    subscriber::{Deed, Subscribers},
    tool::{Tool, can_run},
    traffic::{request, sender},
};

/// One who sends: from where, what, how often a second, and how that changes:
/// the length of a wave in seconds.
struct Sender {
    source: String,
    method: &'static str,
    agent: &'static [u8],
    rate: f64,
    wave: f64,
}

fn senders() -> Vec<Sender> {
    let one =
        |source: String, method, agent, rate, wave| Sender { source, method, agent, rate, wave };
    let mut all = vec![
        one("198.51.100.61".into(), "OPTIONS", b"friendly-scanner", 46.0, 90.0),
        one("198.51.100.23".into(), "INVITE", b"sipcli/v1.8", 38.0, 55.0),
        one("192.0.2.144".into(), "REGISTER", b"Cisco-SIPGateway", 61.0, 140.0),
        one("192.0.2.201".into(), "OPTIONS", b"Asterisk PBX 18.9.0", 24.0, 70.0),
        one("198.51.100.118".into(), "INVITE", b"MicroSIP/3.21.3", 33.0, 40.0),
        one("198.51.100.203".into(), "REGISTER", b"VaxSIPUserAgent/3.1", 19.0, 110.0),
        one("192.0.2.33".into(), "SUBSCRIBE", b"Telephone/1.6", 16.0, 60.0),
    ];
    for host in 150..164_u8 {
        let wave = 30.0 + f64::from(host % 7) * 9.0;
        let (method, agent): (_, &[u8]) = match host % 2 {
            0 => ("OPTIONS", b"pplsip"),
            _ => ("REGISTER", b"Linksys/SPA942-6.1.5"),
        };
        all.push(one(format!("198.51.100.{host}"), method, agent, 2.5, wave));
    }
    all
}

fn main() -> Result<()> {
    let tools = [
        Tool::Ip,
        Tool::Unshare,
        Tool::Kamailio,
        Tool::Sipp,
        Tool::Sipguard,
        Tool::Sipvicious,
        Tool::Chromium,
        Tool::Chromedriver,
    ];
    ensure!(can_run(&tools), "something is missing");
    let mut arguments = env::args().skip(1);
    let folder = PathBuf::from(arguments.next().context("where to?")?);
    let seconds = arguments.next().map_or(Ok(150), |text| text.parse())?;

    let lab = Lab::new()?;
    let _registrar =
        Registrar::start(&lab, Ways { probes: Some(Duration::from_secs(10)), ..Ways::default() })?;
    let sipguard = Sipguard::start(&lab, &Policy::usual()?, &["--iface", WAN])?;
    let senders = senders();
    for source in senders.iter().map(|sender| sender.source.as_str()).chain(OFFICES) {
        lab.ip_outside(&["address", "add", &format!("{source}/32"), "dev", "far0"])?;
    }
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let mut workers: Vec<_> =
            senders.iter().map(|sender| scope.spawn(|| sends(&lab, sender, &stop))).collect();
        workers.push(scope.spawn(|| customers(&lab, &stop)));
        workers.push(scope.spawn(|| scanners(&lab, &stop)));
        let taken = pictures(&lab, &sipguard, &folder, Duration::from_secs(seconds));
        stop.store(true, Ordering::Relaxed);
        for worker in workers {
            if let Err(error) = worker.join().ok().context("a thread has panicked")? {
                eprintln!("{error:#}");
            }
        }
        taken
    })
}

const OFFICES: [&str; 3] = ["192.0.2.70", "192.0.2.71", "198.51.100.240"];

/// Sends until told to stop.
fn sends(lab: &Lab, one: &Sender, stop: &AtomicBool) -> Result<()> {
    let socket = sender(lab, one.source.parse::<IpAddr>()?)?;
    let began = Instant::now();
    for number in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        socket.send_to(&request(one.method, one.agent, number), sip(SERVER))?;
        let at = began.elapsed().as_secs_f64();
        let rate = one.rate * (1.0 + 0.75 * (TAU * at / one.wave).sin()).max(0.1);
        thread::sleep(Duration::from_secs_f64((1.0 / rate).min(2.0)));
    }
    Ok(())
}

/// Offices whose phones register and renew that.
fn customers(lab: &Lab, stop: &AtomicBool) -> Result<()> {
    while !stop.load(Ordering::Relaxed) {
        for (office, users) in OFFICES.into_iter().zip([1000..1014, 1100..1109, 1200..1206]) {
            let within = Duration::from_secs(2);
            Subscribers { within, pause: within, ..Subscribers::new(office.parse()?, users) }
                .does(Deed::Register(8), lab)?;
        }
    }
    Ok(())
}

/// Real tools, one after the other.
fn scanners(lab: &Lab, stop: &AtomicBool) -> Result<()> {
    for turn in 0_u16.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let address = [198, 51, 100, 8 + u8::try_from(turn % 3)?].into();
        Attacker { address, port: 5061 }.guesses(lab, 1000, "100-400")?.found()?;
        Attack::Svwar("INVITE").run(lab)?;
    }
    Ok(())
}

fn pictures(
    lab: &Lab,
    sipguard: &Sipguard<'_>,
    folder: &std::path::Path,
    after: Duration,
) -> Result<()> {
    let page = sipguard.command(&["dashboard"])?.success()?.text();
    let browser = Browser::start(lab)?;
    browser.screen(1280, 1160, 1.0, false)?;
    browser.open(page.trim_end())?;
    thread::sleep(after);
    sipguard
        .command(&["block", "198.51.100.203", "--ttl", "7d", "--reason", "guesses for days"])?
        .success()?;
    thread::sleep(Duration::from_secs(6));
    for (name, scheme) in [("light", "light"), ("dark", "dark")] {
        browser.scheme(scheme)?;
        thread::sleep(Duration::from_secs(2));
        browser.picture(&folder.join(format!("dashboard-{name}.png")))?;
    }
    browser.scheme("light")?;
    browser.screen(360, 1400, 1.0, true)?;
    thread::sleep(Duration::from_secs(2));
    browser.picture(&folder.join("dashboard-phone.png"))?;
    let complaints = browser.complaints()?;
    ensure!(complaints.is_empty(), "{complaints:?}");
    Ok(())
}
