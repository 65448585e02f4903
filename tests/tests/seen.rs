//! F35, F37: who sends, and whole packets for captures, as the kernel program
//! gives them away.

use std::time::Duration;

use sipguard::kernel::{BenchKernel, TapWish, Tapped, TestKernel};
use sipguard_common::{
    abi::{SNAPLEN_MAX, TALLIES, Tap, verdict},
    method::Method,
    rule::Rule,
};
use tests::{
    kernel::{load_or_skip, or_skip},
    packet::Packet,
    plans::plan_with,
    sip::Message,
};

const S: u64 = 1_000_000_000;

fn request(source: &str, method: &str) -> Vec<u8> {
    let message = Message::request(method, "sip:100@203.0.113.1").build();
    let server = if source.starts_with('[') { "[2001:db8:1::1]:5060" } else { "203.0.113.1:5060" };
    Packet::udp(source, server).payload(message).build()
}

fn run(kernel: &mut TestKernel, frame: &[u8]) -> Rule {
    kernel.run(frame).expect("a run").rule
}

#[test]
fn f35_every_source_is_tallied_by_what_it_sends() {
    let Some(mut kernel) = load_or_skip() else { return };
    kernel.apply(&plan_with("")).expect("a policy");
    kernel.set_clock(1_000 * S).expect("a clock");
    for _ in 0..3 {
        assert_eq!(run(&mut kernel, &request("198.51.100.7:5061", "OPTIONS")), Rule::Options);
    }
    let register = request("198.51.100.8:5061", "REGISTER");
    assert_eq!(run(&mut kernel, &register), Rule::Stranger);
    // Two addresses of one customer's network.
    run(&mut kernel, &request("[2001:db8:7::1]:5061", "INVITE"));
    kernel.set_clock(1_001 * S).expect("a clock");
    run(&mut kernel, &request("[2001:db8:7::2]:5061", "REGISTER"));

    let mut tallies = kernel.kernel().tallies();
    tallies.sort_by_key(|tally| tally.source);
    let seen: Vec<_> = tallies
        .iter()
        .map(|tally| {
            let requests = (tally.options, tally.register, tally.invite);
            (tally.source.to_string(), tally.packets, tally.dropped, requests, tally.method)
        })
        .collect();
    let source = str::to_owned;
    assert_eq!(
        seen,
        [
            (source("198.51.100.7/32"), 3, 3, (3, 0, 0), Some(Method::Options)),
            (source("198.51.100.8/32"), 1, 0, (0, 1, 0), Some(Method::Register)),
            (source("2001:db8:7::/64"), 2, 0, (0, 1, 1), Some(Method::Register)),
        ]
    );
    let [_, one, network] = &tallies[..] else { unreachable!("three of them") };
    assert_eq!((one.rule, one.bytes), (Rule::Stranger, register.len() as u64));
    assert_eq!((one.last_ns, network.last_ns), (1_000 * S, 1_001 * S));
    assert_eq!((one.samples, network.samples), (1, 2));
}

/// A flood of made-up sources takes the places of those that are quiet, and not
/// of those that send.
#[test]
fn f35_made_up_sources_do_not_hide_who_sends() {
    let Some(mut kernel) = load_or_skip() else { return };
    kernel.apply(&plan_with("")).expect("a policy");
    let busy = request("198.51.100.7:5061", "OPTIONS");
    for i in 0..4 * u32::try_from(TALLIES).expect("few") {
        kernel.set_clock(1_000 * S + u64::from(i) * 1_000_000).expect("a clock");
        let [a, b, c, d] = (0x0a00_0000 + i).to_be_bytes();
        run(&mut kernel, &request(&format!("{a}.{b}.{c}.{d}:5061"), "OPTIONS"));
        if i % 1_000 == 0 {
            run(&mut kernel, &busy);
        }
    }
    let tallies = kernel.kernel().tallies();
    assert!(tallies.len() > TALLIES / 2 && tallies.len() <= TALLIES, "{}", tallies.len());
    let busy = "198.51.100.7/32".parse().expect("a network");
    let found = tallies.iter().find(|tally| tally.source == busy).expect("it has sent all along");
    assert_eq!(found.packets, 33);
}

/// In a flood packets stand for others, and their sum is that of the flood.
#[test]
fn f35_a_flood_is_estimated() {
    let Some(mut kernel) = or_skip(BenchKernel::load()) else { return };
    kernel.kernel().apply(&plan_with("")).expect("a policy");
    let flood = request("198.51.100.7:5061", "OPTIONS");
    let sent = 2_000_000;
    kernel.run(&flood, sent).expect("a run");
    let tallies = kernel.kernel().tallies();
    let [tally] = &tallies[..] else { panic!("{tallies:?}") };
    let share = tally.packets as f64 / f64::from(sent);
    println!("{share:.3} of {sent} packets were seen in {} samples", tally.samples);
    // Where the run is interrupted, what was passed over before is forgotten.
    assert!((0.5..=1.02).contains(&share), "{tally:?}");
    assert!(tally.samples < u64::from(sent) / 10, "{tally:?}");
    assert_eq!(tally.packets, tally.options);
}

fn wish() -> TapWish {
    TapWish { rules: vec![], source: None, all: false, snaplen: SNAPLEN_MAX, per_second: None }
}

#[test]
fn f37_a_tap_gives_what_it_was_asked_for() {
    let Some(mut kernel) = load_or_skip() else { return };
    kernel.apply(&plan_with("[rules.signature]\nmode = \"observe\"\n")).expect("a policy");
    kernel.set_clock(1_000 * S).expect("a clock");
    let mut reader = kernel.kernel().take_tapped().expect("there is one");
    let message = Message::request("INVITE", "sip:100@203.0.113.1");
    let message = message.header("User-Agent", "friendly-scanner").build();
    let scan = Packet::udp("198.51.100.9:5061", "203.0.113.1:5060").payload(message).build();
    let frames = [
        (request("198.51.100.7:5061", "OPTIONS"), Rule::Options, verdict::DROPPED),
        (request("198.51.100.8:5061", "REGISTER"), Rule::Stranger, verdict::PASSED),
        (scan, Rule::Signature, verdict::WOULD_DROP),
        (request("[2001:db8:7::1]:5061", "OPTIONS"), Rule::Options, verdict::DROPPED),
    ];
    let mut given = |capture: Option<TapWish>, mirror: Option<TapWish>| {
        kernel.kernel().set_tap(Tap::Capture, capture.as_ref()).expect("a tap");
        kernel.kernel().set_tap(Tap::Mirror, mirror.as_ref()).expect("a tap");
        for (frame, ..) in &frames {
            run(&mut kernel, frame);
        }
        let given: Vec<Tapped> = std::iter::from_fn(|| reader.next_packet()).collect();
        for Tapped { head, frame } in &given {
            let (whole, rule, verdict) =
                frames.iter().find(|(whole, ..)| whole.starts_with(frame)).expect("one of ours");
            assert_eq!((head.rule, head.verdict), (rule.number(), *verdict));
            assert_eq!((head.length as usize, head.time_ns), (whole.len(), 1_000 * S));
            assert_eq!(head.signature != 0, *rule == Rule::Signature);
        }
        let lens: Vec<_> = given.iter().map(|one| (one.head.taps, one.frame.len())).collect();
        lens
    };
    let len = |i: usize| frames[i].0.len();
    assert_eq!(given(None, None), []);
    assert_eq!(given(Some(wish()), None), [(1, len(0)), (1, len(2)), (1, len(3))]);
    let all = TapWish { all: true, snaplen: 100, ..wish() };
    assert_eq!(given(Some(all.clone()), None), [(1, 100); 4]);
    let source = Some("198.51.100.0/29".parse().expect("a network"));
    assert_eq!(given(Some(TapWish { source, ..all.clone() }), None), [(1, 100)]);
    let source = Some("2001:db8:7::/48".parse().expect("a network"));
    assert_eq!(given(Some(TapWish { source, ..all.clone() }), None), [(1, 100)]);
    let rules = vec![Rule::Signature];
    assert_eq!(given(None, Some(TapWish { rules, ..wish() })), [(2, len(2))]);
    // Each gets what it asked for, in one record with the longer part.
    let mirror = TapWish { rules: vec![Rule::Options], ..wish() };
    assert_eq!(given(Some(all), Some(mirror)), [(3, len(0)), (1, 100), (1, 100), (3, len(3))]);
    assert_eq!(given(None, None), []);
}

#[test]
fn f37_a_tap_is_held_to_its_rate_and_says_what_it_did_not_give() {
    let Some(mut kernel) = or_skip(BenchKernel::load()) else { return };
    kernel.kernel().apply(&plan_with("")).expect("a policy");
    let flood = request("198.51.100.7:5061", "OPTIONS");
    let limited = TapWish { per_second: Some(10), ..wish() };
    let mut reader = kernel.kernel().take_tapped().expect("there is one");
    kernel.kernel().set_tap(Tap::Mirror, Some(&limited)).expect("a tap");
    let took = kernel.run(&flood, 100_000).expect("a run") * 100_000;
    let given = std::iter::from_fn(|| reader.next_packet()).count();
    let most = 10 + 10 * usize::try_from(took.as_secs() + 2).expect("short");
    assert!((10..=most).contains(&given), "{given} in {took:?}");
    let counts = kernel.kernel().tap_counts().expect("counts");
    assert_eq!(counts.held_back, [0, 100_000 - given as u64]);

    // Nobody reads: the ring buffer has an end.
    kernel.kernel().set_tap(Tap::Mirror, None).expect("a tap");
    kernel.kernel().set_tap(Tap::Capture, Some(&wish())).expect("a tap");
    kernel.run(&flood, 100_000).expect("a run");
    let given = std::iter::from_fn(|| reader.next_packet()).count();
    let counts = kernel.kernel().tap_counts().expect("counts");
    assert_eq!(counts.lost, [100_000 - given as u64, 0]);
    assert!((1_000..100_000).contains(&given), "{given}");
    assert!(took < Duration::from_secs(60));
}
