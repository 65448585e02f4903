//! Floods, from one source and from very many: what comes through is bounded by
//! the policy, whoever must be served is served, and what is remembered of
//! strangers costs nobody else anything.

use std::net::Ipv4Addr;

use sipguard::kernel::{Action, TestKernel};
use sipguard_common::{abi::Ban, rule::Rule};
use tests::{
    crowd::{Crowd, spoofed},
    kernel::{load_or_skip, packets},
    packet::{Packet, flag},
    plans::{plan_of, plan_with},
    random::Random,
    sip::Message,
};

const S: u64 = 1_000_000_000;
/// Any time will do.
const START: u64 = 1_000 * S;
const SERVER: &str = "203.0.113.1:5060";
const STRANGER: u32 = u32::from_be_bytes([198, 51, 100, 7]);
const CUSTOMER: u32 = u32::from_be_bytes([198, 51, 100, 77]);

fn kernel(settings: &str) -> Option<TestKernel> {
    let mut kernel = load_or_skip()?;
    kernel.apply(&plan_with(settings)).expect("a policy");
    kernel.set_clock(START).expect("a clock");
    Some(kernel)
}

fn udp(payload: impl AsRef<[u8]>) -> Crowd {
    Crowd::new(&Packet::udp("198.51.100.7:5061", SERVER).payload(payload))
}

fn syn() -> Crowd {
    Crowd::new(&Packet::tcp("198.51.100.7:5061", SERVER).tcp_flags(flag::SYN))
}

fn request(method: &str) -> Message {
    Message::request(method, "sip:100@203.0.113.1").agent("Telephone/1.6")
}

fn rule(kernel: &mut TestKernel, frame: &[u8]) -> Rule {
    kernel.run(frame).expect("a run").rule
}

#[derive(Debug, Default)]
struct Tally(Vec<(Rule, usize)>);

impl Tally {
    fn add(&mut self, rule: Rule) {
        match self.0.iter_mut().find(|(known, _)| *known == rule) {
            Some((_, count)) => *count += 1,
            None => self.0.push((rule, 1)),
        }
    }

    fn of(&self, rule: Rule) -> usize {
        self.0.iter().find(|(known, _)| *known == rule).map_or(0, |(_, count)| *count)
    }

    fn passed(&self) -> usize {
        let passes = |rule: &Rule| rule.verdict() == sipguard_common::rule::Verdict::Pass;
        self.0.iter().filter(|(rule, _)| passes(rule)).map(|(_, count)| count).sum()
    }
}

/// How many packets of a flood fell under each rule: `count` of them in
/// `seconds`, evenly, each from its `sender`.
fn flood_of(
    kernel: &mut TestKernel,
    crowd: &mut Crowd,
    count: usize,
    seconds: u64,
    sender: impl Fn(u32) -> u32,
) -> Tally {
    let mut tally = Tally::default();
    for i in 0..count {
        let now = START + seconds * S * i as u64 / count as u64;
        kernel.set_clock(now).expect("a clock");
        tally.add(rule(kernel, crowd.from(sender(i as u32), 5060)));
    }
    tally
}

/// A03: not one OPTIONS passes, from one source or from 100,000, and none
/// leaves anything behind in the kernel.
#[test]
fn a03_options_floods_reach_nobody_and_leave_no_trace() {
    let Some(mut kernel) = kernel("") else { return };
    let count = packets(100_000);
    let mut options = udp(request("OPTIONS").build());
    let one = flood_of(&mut kernel, &mut options, count, 1, |_| STRANGER);
    assert_eq!(one.of(Rule::Options), count, "{one:?}");
    let many = flood_of(&mut kernel, &mut options, count, 1, spoofed);
    assert_eq!(many.of(Rule::Options), count, "{many:?}");
    assert_eq!(kernel.remembered().expect("a count"), [0; 3]);
    // Nor have they spent what the strangers have together.
    let mut register = udp(request("REGISTER").build());
    assert_eq!(rule(&mut kernel, register.from(CUSTOMER, 5060)), Rule::Stranger);
}

/// A03: where OPTIONS are limited instead, one source has its own limit, and
/// all of them together that of all strangers.
#[test]
fn a03_limited_options_floods_are_bounded() {
    let Some(mut kernel) = kernel("[policy]\noptions = \"limit\"\n") else { return };
    let mut options = udp(request("OPTIONS").build());
    // 5 at once, and one a second for ten seconds.
    let one = flood_of(&mut kernel, &mut options, packets(100_000), 10, |_| STRANGER);
    assert!((14..=15).contains(&one.passed()), "{one:?}");

    kernel.forget_sources().expect("forgotten");
    // 5,000 at once, and 1,000 a second for one second.
    let count = packets(100_000);
    let many = flood_of(&mut kernel, &mut options, count, 1, spoofed);
    assert!(many.passed() <= 6_001, "{many:?}");
    assert_eq!(many.passed() + many.of(Rule::Greylist), count, "{many:?}");
    let [strangers, networks, _] = kernel.remembered().expect("a count");
    assert!(strangers <= 6_001 && networks <= 6_001, "{strangers} and {networks} remembered");
}

/// A02: a flood of what sipsak sends, under its own name and none.
#[test]
fn a02_sipsak_floods_reach_nobody() {
    let Some(mut kernel) = kernel("") else { return };
    let sipsak = |agent: Option<&str>| {
        let message = Message::bare("OPTIONS sip:nobody@203.0.113.1 SIP/2.0")
            .header("Via", "SIP/2.0/UDP 198.51.100.7:41234;branch=z9hG4bK.5a6b7c8d;rport;alias")
            .header("From", "sip:sipsak@198.51.100.7:41234;tag=5d0b5e6a")
            .header("To", "sip:nobody@203.0.113.1")
            .header("Call-ID", "1561026154@198.51.100.7")
            .header("CSeq", "1 OPTIONS")
            .header("Max-Forwards", "70");
        let named = match agent {
            Some(agent) => message.agent(agent),
            None => message,
        };
        udp(named.build())
    };
    for agent in [Some("sipsak 0.9.8.1"), Some("Telephone/1.6"), None] {
        let flood = flood_of(&mut kernel, &mut sipsak(agent), packets(10_000), 1, |_| STRANGER);
        assert_eq!(flood.passed(), 0, "{agent:?}: {flood:?}");
    }
}

/// A11: what cannot be read comes through as often as `other` says, of one
/// source and of all strangers.
#[test]
fn a11_garbage_floods_are_bounded() {
    let Some(mut kernel) = kernel("") else { return };
    let mut random = Random::new(0xa11);
    let garbage: Vec<Vec<u8>> = (0..1_000)
        .map(|_| {
            let len = 12 + random.below(1_400);
            (0..len).map(|_| random.byte()).collect()
        })
        .collect();
    let mut frames: Vec<Crowd> = garbage.iter().map(udp).collect();
    // 20 at once, and 5 a second for ten seconds.
    let mut one = Tally::default();
    let count = packets(20_000);
    for i in 0..count {
        kernel.set_clock(START + 10 * S * i as u64 / count as u64).expect("a clock");
        one.add(rule(&mut kernel, frames[i % 1_000].from(STRANGER, 5060)));
    }
    assert!((69..=70).contains(&one.passed()), "{one:?}");
    assert_eq!(one.passed(), one.of(Rule::Unparsed), "{one:?}");

    kernel.forget_sources().expect("forgotten");
    let mut many = Tally::default();
    let count = packets(100_000);
    for i in 0..count {
        kernel.set_clock(START + S * i as u64 / count as u64).expect("a clock");
        many.add(rule(&mut kernel, frames[i % 1_000].from(spoofed(i as u32), 5060)));
    }
    // 1,000 at once, and 200 a second.
    assert!(many.passed() <= 1_201, "{many:?}");
    // Requests have not paid for it.
    let mut register = udp(request("REGISTER").build());
    assert_eq!(rule(&mut kernel, register.from(CUSTOMER, 5060)), Rule::Stranger);
}

/// A11: floods of endless headers end at the limits on messages, where those
/// are set, before they spend anything; else at those of their method.
#[test]
fn a11_header_abuse_is_bounded() {
    let limits = "[limits.message]\nbytes = 8000\nline = 1000\nlines = 100\n";
    let abuse = |lines: usize, line: usize, body: usize| {
        let message = (0..lines).fold(request("REGISTER"), |message, _| message.line("x:"));
        let message = message.header("Subject", &"y".repeat(line));
        udp(message.body("text/plain", vec![b'z'; body]).build())
    };
    let many_lines = || abuse(200, 1, 0);
    let long_line = || abuse(0, 1_100, 0);
    let long_message = || abuse(0, 1, 8_000);
    let flood = |settings: &str, crowd: &mut Crowd| {
        let mut kernel = kernel(settings)?;
        Some(flood_of(&mut kernel, crowd, packets(10_000), 10, |_| STRANGER))
    };
    for mut crowd in [many_lines(), long_line(), long_message()] {
        let Some(limited) = flood(limits, &mut crowd) else { return };
        assert_eq!(limited.of(Rule::Oversize), packets(10_000), "{limited:?}");
        // 200 at once, and 5 a second.
        let Some(unlimited) = flood("", &mut crowd) else { return };
        assert!((249..=250).contains(&unlimited.passed()), "{unlimited:?}");
    }
    let Some(harmless) = flood(limits, &mut abuse(40, 400, 3_000)) else { return };
    assert_eq!(harmless.of(Rule::Oversize), 0, "{harmless:?}");
}

/// A12: of one source's connections, as many as syn says; a trusted peer's and
/// those of others are not counted with them, and open ones go on.
#[test]
fn a12_syn_floods_of_one_source_are_bounded() {
    let Some(mut kernel) = kernel("") else { return };
    let mut syns = syn();
    // 200 at once, and 5 a second for ten seconds.
    let count = packets(50_000);
    let one = flood_of(&mut kernel, &mut syns, count, 10, |_| STRANGER);
    assert!((249..=250).contains(&one.passed()), "{one:?}");
    assert_eq!(one.of(Rule::SynRate), count - one.passed(), "{one:?}");
    assert_eq!(rule(&mut kernel, syns.from(CUSTOMER, 5060)), Rule::Stranger);
    let open = Packet::tcp("198.51.100.7:5061", SERVER);
    for segment in [open.clone().tcp_flags(flag::ACK), open.payload(request("REGISTER").build())] {
        assert_eq!(rule(&mut kernel, &segment.build()), Rule::Stranger);
    }
}

/// A12: of 100,000 sources' connections, as many as all strangers may open;
/// all of a trusted peer's.
#[test]
fn a12_syn_floods_of_many_sources_are_bounded() {
    let Some(mut kernel) = kernel("") else { return };
    for port in [5060, 5061] {
        kernel.forget_sources().expect("forgotten");
        let server = format!("203.0.113.1:{port}");
        let mut syns = Crowd::new(&Packet::tcp("198.51.100.7:1", &server).tcp_flags(flag::SYN));
        let trusted = u32::from(Ipv4Addr::new(192, 0, 2, 10));
        let mut flood = Tally::default();
        let count = packets(100_000);
        for i in 0..count {
            kernel.set_clock(START + S * i as u64 / count as u64).expect("a clock");
            flood.add(rule(&mut kernel, syns.from(spoofed(i as u32), 5060)));
            if i % 100 == 0 {
                assert_eq!(rule(&mut kernel, syns.from(trusted, 5060)), Rule::Trusted);
            }
        }
        // 2,000 at once, and 500 a second.
        assert!(flood.passed() <= 2_501, "port {port}: {flood:?}");
        assert_eq!(flood.passed() + flood.of(Rule::RateStrangers), count, "port {port}: {flood:?}");
        let [strangers, ..] = kernel.remembered().expect("a count");
        assert!(strangers <= 2_501, "port {port}: {strangers} remembered");
    }
    // Phones over UDP have not noticed.
    assert_eq!(
        rule(&mut kernel, udp(request("REGISTER").build()).from(CUSTOMER, 1)),
        Rule::Stranger
    );
}

/// D02: 250 sources with 40 packets each, in turns, so that each is the one
/// that was not seen for longest: each has its own limit.
#[test]
fn d02_two_hundred_and_fifty_sources_are_told_apart() {
    let Some(mut kernel) = kernel("[policy]\noptions = \"limit\"\n") else { return };
    let mut options = udp(request("OPTIONS").build());
    let mut passed = [0; 250];
    for round in 0..40 {
        kernel.set_clock(START + round * S / 5).expect("a clock");
        for (source, passed) in passed.iter_mut().enumerate() {
            let found = rule(&mut kernel, options.from(spoofed(source as u32), 5060));
            assert!(matches!(found, Rule::Stranger | Rule::RateMethod), "{found:?}");
            *passed += usize::from(found == Rule::Stranger);
        }
    }
    // 5 at once, and one a second over 7.8 seconds.
    assert_eq!(passed, [12; 250]);
}

/// D11: a source that sends 11 packets a minute under a limit of 10 has one of
/// them dropped, not all; and as soon as it sends 10, none.
#[test]
fn d11_a_source_just_over_its_limit_is_back_by_itself() {
    let limits = "[limits.stranger]\nregister = { rate = \"10/60s\", burst = 10 }\n";
    let Some(mut kernel) = kernel(limits) else { return };
    let mut register = udp(request("REGISTER").build());
    let mut now = START;
    let mut minutes = |per_minute: u64, minutes: u64| {
        let mut passed = 0;
        for _ in 0..per_minute * minutes {
            kernel.set_clock(now).expect("a clock");
            passed += u64::from(rule(&mut kernel, register.from(STRANGER, 5060)) == Rule::Stranger);
            now += 60 * S / per_minute;
        }
        passed
    };
    assert!((600..=610).contains(&minutes(11, 60)));
    // The first of them may still come too early.
    assert!((599..=600).contains(&minutes(10, 60)));
    // Ten times too many for an hour: nothing is held against it later.
    assert!((600..=610).contains(&minutes(100, 60)));
    assert!((599..=600).contains(&minutes(10, 60)));
}

/// D14, I8: whatever a million strangers send, or seem to, no ban, block or
/// trust goes: nothing that can be spoofed writes there.
#[test]
fn d14_a_million_strangers_evict_nothing_else() {
    let Some(mut kernel) = load_or_skip() else { return };
    let settings = "[limits.strangers]\ntotal = \"unlimited\"\n[limits.ports]\nmax = 500\n";
    let trusted = ["192.0.2.10", "192.0.2.64/26", "192.0.2.20:5060", "198.51.100.0/26:5070"];
    kernel
        .apply(&plan_of(settings, &trusted, &["203.0.113.66", "203.0.113.128/25"]))
        .expect("a policy");
    kernel.set_clock(START).expect("a clock");
    let ban = Ban { expires_ns: u64::MAX, ..Ban::default() };
    kernel.ban(Ipv4Addr::from(CUSTOMER).into(), ban).expect("a ban");

    let mut register = udp(request("REGISTER").build());
    for stranger in 0..packets(1_000_000) as u32 {
        assert_eq!(rule(&mut kernel, register.from(spoofed(stranger), 5060)), Rule::Stranger);
    }
    let [strangers, networks, ports] = kernel.remembered().expect("a count");
    println!("{strangers} strangers, {networks} networks and {ports} sets of ports remembered");
    assert!(strangers >= 100_000, "the flood has written nothing: {strangers}");
    for (source, port, expected) in [
        ([198, 51, 100, 77], 5060, Rule::Banned),
        ([203, 0, 113, 66], 5060, Rule::Blocked),
        ([203, 0, 113, 255], 5060, Rule::Blocked),
        ([192, 0, 2, 10], 5060, Rule::Trusted),
        ([192, 0, 2, 127], 5060, Rule::Trusted),
        ([192, 0, 2, 20], 5060, Rule::Trusted),
        ([198, 51, 100, 63], 5070, Rule::Trusted),
    ] {
        let source = u32::from_be_bytes(source);
        assert_eq!(rule(&mut kernel, register.from(source, port)), expected);
    }
}

/// L27: a new customer's first REGISTER passes in the middle of floods of
/// everything else, from one source and from many.
#[test]
fn l27_a_first_register_passes_during_floods_of_other_content() {
    let Some(mut kernel) = kernel("") else { return };
    let mut random = Random::new(27);
    let mut floods = [
        udp(request("OPTIONS").build()),
        udp(Message::request("REGISTER", "sip:203.0.113.1").agent("friendly-scanner").build()),
        udp(Message::request("INVITE", "sip:100@203.0.113.1").agent("sipcli/v1.8").build()),
        udp(b"\r\n\r\n"),
        udp([0xff; 300]),
        udp(Message::response("200 OK", "OPTIONS").build()),
        syn(),
    ];
    let mut register = udp(request("REGISTER").build());
    let count = packets(300_000);
    let mut customers = 0;
    for i in 0..count {
        kernel.set_clock(START + S * i as u64 / count as u64).expect("a clock");
        let source = if i % 2 == 0 { STRANGER } else { spoofed(i as u32) };
        let crowd = random.below(floods.len());
        rule(&mut kernel, floods[crowd].from(source, 5060));
        if i % 1_000 == 0 {
            customers += 1;
            let customer = spoofed(0x0080_0000 + customers);
            assert_eq!(rule(&mut kernel, register.from(customer, 5060)), Rule::Stranger, "at {i}");
        }
    }
    assert!(customers >= 30);
}

/// L31: packets that only seem to be somebody's ban nobody, whatever they say.
#[test]
fn l31_spoofed_datagrams_and_segments_ban_nobody() {
    let Some(mut kernel) = kernel("") else { return };
    let scan = Message::request("REGISTER", "sip:203.0.113.1").agent("friendly-scanner").build();
    let segment = Packet::tcp("198.51.100.7:5061", SERVER).payload(&scan);
    let (mut datagrams, mut segments) = (udp(&scan), Crowd::new(&segment));
    let trusted = u32::from_be_bytes([192, 0, 2, 10]);
    for port in 1..=1_000 {
        assert_eq!(rule(&mut kernel, datagrams.from(trusted, port)), Rule::Trusted);
        assert_eq!(rule(&mut kernel, segments.from(trusted, port)), Rule::Trusted);
        assert_eq!(rule(&mut kernel, datagrams.from(CUSTOMER, port)), Rule::Signature);
        let judged = kernel.run(segments.from(CUSTOMER, port)).expect("a run");
        assert_eq!((judged.rule, judged.action), (Rule::Signature, Action::Reset));
    }
    assert_eq!(kernel.kernel().bans().expect("bans"), []);
    let mut register = udp(request("REGISTER").build());
    assert_eq!(rule(&mut kernel, register.from(CUSTOMER, 5060)), Rule::Stranger);
    assert_eq!(rule(&mut kernel, register.from(trusted, 5060)), Rule::Trusted);
}
