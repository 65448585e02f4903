//! A million blocked networks: what a reload takes, and that no packet is
//! judged by half a policy meanwhile (F02, I4, N13, P09, P12).

use std::{
    fmt::Write as _,
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    ops::Range,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use sipguard::api::client::{Client, ClientError};
use tests::{
    bench::traffic::{BLOCKED, source},
    rig::{
        footprint::{self, Footprint},
        lab::{Lab, WAN},
        policy::{Policy, peer, signature},
        sipguard::Sipguard,
        streams::{Must, Numbered, Outcome, Stream, Streams},
        tool::{Tool, can_run},
    },
};

const TOOLS: &[Tool] = &[Tool::Ip, Tool::Sipguard];

const IFACE: &[&str] = &["--iface", WAN];

const MILLION: u32 = 1_000_000;

/// Of a million, so many are others in the second policy: there is room for
/// both policies at once, but not for two millions of networks.
const OTHERS: u32 = 200_000;

/// What a reload may take, as docs/reference.md says, on a machine that does
/// other things as well.
const BOUND: Duration = Duration::from_secs(30);
const PEAK_BYTES: u64 = 700 << 20;
const RESIDENT_BYTES: u64 = 300 << 20;
const MAP_BYTES: u64 = 400 << 20;

/// Packets of each stream before and after a reload.
const AROUND: u64 = 2_000;

/// Packets a second of each stream.
const RATE: u32 = 4_000;

/// Packets that may be under way when a reload ends: a batch of a sender.
const UNDER_WAY: u64 = 64;

/// What one of the two policies says of a source.
#[derive(Clone, Copy)]
struct Says {
    trusted: Option<u8>,
    blocked: Option<u8>,
    signature: bool,
}

const NOTHING: Says = Says { trusted: None, blocked: None, signature: false };
const TRUST: Says = Says { trusted: Some(32), ..NOTHING };
const BLOCK: Says = Says { blocked: Some(32), ..NOTHING };

/// Sources for which both policies give a reason of their own, and what must
/// become of their packets. A mixture of the policies would do otherwise.
const CHECKERS: &[(&str, Must, Says, Says)] = &[
    ("trusted, then by its network", Must::Arrive, TRUST, Says { trusted: Some(28), ..NOTHING }),
    (
        "trusted and blocked, then neither",
        Must::Arrive,
        Says { blocked: Some(32), ..TRUST },
        NOTHING,
    ),
    (
        "trusted and blocked, then likewise by networks",
        Must::Arrive,
        Says { blocked: Some(30), ..TRUST },
        Says { trusted: Some(28), blocked: Some(32), signature: false },
    ),
    ("blocked, then by its network", Must::End, BLOCK, Says { blocked: Some(28), ..NOTHING }),
    ("blocked, then known by its looks", Must::End, BLOCK, Says { signature: true, ..NOTHING }),
    ("trusted, then blocked", Must::Vary, TRUST, BLOCK),
    ("blocked, then trusted", Must::Vary, BLOCK, TRUST),
    ("blocked, then nothing", Must::Vary, BLOCK, NOTHING),
];

/// What the last three do before and after.
const VARYING: [(&str, [bool; 2]); 3] = [
    ("trusted, then blocked", [true, false]),
    ("blocked, then trusted", [false, true]),
    ("blocked, then nothing", [false, true]),
];

/// Each checker has a /24 of its own.
fn address(checker: usize) -> Ipv4Addr {
    Ipv4Addr::new(198, 18, checker as u8, 5)
}

/// The User-Agent of the checker of this number.
fn agent(checker: usize) -> String {
    format!("Checker {checker}")
}

/// The first policy (0) or the second one (1), with these of the networks, and
/// others in the place of `others`.
fn policy(which: usize, networks: Range<u32>, others: Range<u32>) -> Policy {
    const LENGTHS: [u8; 4] = [28, 29, 30, 32];
    let (mut trusted, mut signatures) = (String::new(), String::new());
    let mut blocked = "[[block]]\naddress = [\n".to_owned();
    for number in networks {
        let length = LENGTHS[(number + u32::from(others.contains(&number))) as usize % 4];
        // A String takes every write.
        let _ = writeln!(blocked, "\"{}/{length}\",", source(BLOCKED, number));
    }
    for (number, (_, _, first, second)) in CHECKERS.iter().enumerate() {
        let says = [first, second][which];
        let net = |length: u8| {
            let net = ipnet::Ipv4Net::new(address(number), length).expect("a length");
            net.trunc().to_string()
        };
        if let Some(length) = says.trusted {
            trusted += &peer(&format!("checker{number}"), &net(length));
        }
        if let Some(length) = says.blocked {
            let _ = writeln!(blocked, "\"{}\",", net(length));
        }
        if says.signature {
            signatures += &signature(&format!("checker{number}"), &agent(number));
        }
    }
    // Only lists and signatures shall decide.
    let main = "[policy]\nposture = \"open\"\n".to_owned();
    Policy { main, trusted, blacklist: blocked + "]\n", signatures }
}

fn streams(lab: &Lab) -> Result<Streams<'_>> {
    let stream = |(number, (name, must, ..)): (usize, &(&'static str, Must, Says, Says))| Stream {
        name,
        source: SocketAddr::new(IpAddr::V4(address(number)), 0),
        per_second: RATE,
        datagrams: vec![Numbered::request("INVITE", &agent(number))],
        must: *must,
    };
    Streams::start(lab, CHECKERS.iter().enumerate().map(stream).collect())
}

/// Those that change sides do so once, and have done so when the reload ends.
fn changed_once(outcome: &Outcome, forward: bool, marks: &[[u64; 2]]) -> Result<()> {
    ensure!(
        outcome.on_the_wire + outcome.in_the_socket == 0,
        "the machine is too busy to tell: {outcome}"
    );
    for ((name, passes), [before, after]) in VARYING.iter().zip(marks) {
        let passes = if forward { *passes } else { [passes[1], passes[0]] };
        let fate = outcome.of(name)?;
        let missing: Vec<_> = fate.numbers.missing(fate.sent).collect();
        ensure!(missing.len() == 1, "{name} has changed more than once: {missing:?}; {outcome}");
        // The last one of what it was before.
        let turn = match passes {
            [true, _] => *missing[0].start() - 1,
            [false, _] => *missing[0].end(),
        };
        ensure!(
            (*before..=after + UNDER_WAY).contains(&turn),
            "{name}: changed at {turn}, the reload was from {before} to {after}: {outcome}"
        );
    }
    Ok(())
}

/// Reloads under traffic; gives how long that took.
fn reload(lab: &Lab, sipguard: &Sipguard<'_>, forward: bool) -> Result<Duration> {
    let streams = streams(lab)?;
    streams.more_of_all(AROUND)?;
    let sent = || VARYING.iter().map(|(name, _)| streams.sent(name)).collect::<Result<Vec<_>>>();
    let before = sent()?;
    let started = Instant::now();
    Client::new(sipguard.socket().to_owned()).reload()?;
    let took = started.elapsed();
    let after = sent()?;
    streams.more_of_all(AROUND)?;
    let outcome = streams.stop()?;
    println!("{took:?}: {outcome}");
    outcome.check()?;
    let marks: Vec<[u64; 2]> =
        before.into_iter().zip(after).map(|(before, after)| [before, after]).collect();
    changed_once(&outcome, forward, &marks)?;
    Ok(took)
}

/// The peak of what it takes is that since now.
fn forget_peak(sipguard: &Sipguard<'_>) -> Result<()> {
    fs::write(format!("/proc/{}/clear_refs", sipguard.pid()), "5").context("cannot reset the peak")
}

#[test]
fn f02_n13_a_reload_of_a_million_networks_is_bounded_and_never_half_applied() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    for number in 0..CHECKERS.len() {
        lab.ip_outside(&["address", "add", &format!("{}/32", address(number)), "dev", "far0"])?;
    }
    let room = MILLION - CHECKERS.len() as u32;
    let [first, second] = [policy(0, 0..room, 0..0), policy(1, 0..room, 0..OTHERS)];
    let few = policy(0, 0..100, 0..0);
    let sipguard = Sipguard::start(&lab, &few, IFACE)?;
    println!("with few: {}", Footprint::of(sipguard.pid())?);

    first.write(sipguard.folder())?;
    let client = Client::new(sipguard.socket().to_owned());
    let started = Instant::now();
    client.reload()?;
    println!("from 100 to a million: {:?}, {}", started.elapsed(), Footprint::of(sipguard.pid())?);
    ensure!(started.elapsed() < BOUND);
    for (next, forward) in [(&second, true), (&first, false), (&second, true)] {
        next.write(sipguard.folder())?;
        forget_peak(&sipguard)?;
        let took = reload(&lab, &sipguard, forward)?;
        let (now, peak) = (Footprint::of(sipguard.pid())?, footprint::peak_bytes(sipguard.pid())?);
        println!("{OTHERS} others of a million: {took:?}, {now}, {} MB at most", peak / 1_000_000);
        ensure!(took < BOUND, "{took:?}");
        ensure!(peak < PEAK_BYTES && now.resident_bytes < RESIDENT_BYTES, "{peak}, {now}");
        ensure!(now.map_bytes < MAP_BYTES, "{now}");
    }

    // What does not fit beside what is there changes nothing.
    policy(0, 0..room, 0..room).write(sipguard.folder())?;
    let before = sipguard.json(&["list", "trusted", "--json"])?;
    match client.reload() {
        Err(ClientError::Failed { failure, .. }) => {
            ensure!(failure.error.contains("1000000"), "says {}", failure.error);
        }
        other => ensure!(false, "two millions fit: {other:?}"),
    }
    ensure!(sipguard.json(&["list", "trusted", "--json"])? == before);
    first.write(sipguard.folder())?;
    reload(&lab, &sipguard, false)?;

    few.write(sipguard.folder())?;
    client.reload()?;
    println!("back to 100: {}", Footprint::of(sipguard.pid())?);
    Ok(())
}
