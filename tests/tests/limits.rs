//! Token buckets in the kernel: exact to the nanosecond, and on two CPUs.

use std::{
    sync::Barrier,
    thread,
    time::{Duration, Instant},
};

use nix::{
    sched::{CpuSet, sched_setaffinity},
    unistd::Pid,
};
use sipguard::kernel::BenchKernel;
use sipguard_common::rule::Rule;
use tests::{
    corpus::Setup,
    kernel::{load_or_skip, or_skip, packets},
    packet::Packet,
    plans::{UNSHARED, plan, plan_with},
    sip::Message,
};

const S: u64 = 1_000_000_000;

fn request(method: &str) -> Message {
    Message::request(method, "sip:100@203.0.113.1")
}

fn register(source: &str) -> Vec<u8> {
    Packet::udp(source, "203.0.113.1:5060").payload(request("REGISTER").build()).build()
}

/// F06, D13: a burst, then one packet for each interval, to the nanosecond;
/// fractions are kept, an hour of silence gives one burst and no more.
#[test]
fn d13_buckets_are_exact_to_the_nanosecond() {
    let Some(mut kernel) = load_or_skip() else { return };
    let policy =
        "[limits.stranger]\nregister = { rate = \"20/60s\", burst = 3 }\ntotal = \"unlimited\"\n";
    kernel.apply(&plan_with(&format!("{policy}{UNSHARED}"))).expect("a policy");
    let frame = register("198.51.100.7:5061");
    let mut at = |now: u64| {
        kernel.set_clock(now).expect("a clock");
        kernel.run(&frame).expect("a run").rule
    };
    let start = 1_000 * S;
    for _ in 0..3 {
        assert_eq!(at(start), Rule::Stranger);
    }
    assert_eq!(at(start), Rule::RateMethod);
    assert_eq!(at(start + 3 * S - 1), Rule::RateMethod);
    assert_eq!(at(start + 3 * S), Rule::Stranger);
    assert_eq!(at(start + 3 * S), Rule::RateMethod);
    // Once a second for ten minutes: 200 tokens, whatever is asked between.
    let passed = (1..=600).filter(|s| at(start + (3 + s) * S) == Rule::Stranger).count();
    assert_eq!(passed, 200);
    let idle = start + 10_000_000 * S;
    assert_eq!((0..10).filter(|_| at(idle) == Rule::Stranger).count(), 3);
    // The clock goes back: one interval later the source is served again.
    assert_eq!(at(start), Rule::RateMethod);
    assert_eq!(at(start + 3 * S), Rule::Stranger);
}

/// F07: one class over its limit leaves the others alone; the total holds for
/// all of them. Sources do not share buckets, addresses of one /64 do.
#[test]
fn f07_classes_and_sources_have_buckets_of_their_own() {
    let Some(mut kernel) = load_or_skip() else { return };
    let policy = "[limits.stranger]\n\
        register = { rate = \"1/h\", burst = 1 }\n\
        invite = { rate = \"1/h\", burst = 2 }\n\
        total = { rate = \"1/h\", burst = 3 }\n";
    kernel.apply(&plan_with(policy)).expect("a policy");
    kernel.set_clock(S).expect("a clock");
    let mut rule = |method: &str, source: &str, destination: &str| {
        let frame = Packet::udp(source, destination).payload(request(method).build()).build();
        kernel.run(&frame).expect("a run").rule
    };
    let (a, b, server) = ("198.51.100.7:5061", "198.51.100.8:5061", "203.0.113.1:5060");
    assert_eq!(rule("REGISTER", a, server), Rule::Stranger);
    assert_eq!(rule("REGISTER", a, server), Rule::RateMethod);
    assert_eq!(rule("REGISTER", b, server), Rule::Stranger);
    assert_eq!(rule("INVITE", a, server), Rule::Stranger);
    assert_eq!(rule("INVITE", a, server), Rule::Stranger);
    assert_eq!(rule("INVITE", a, server), Rule::RateMethod);
    assert_eq!(rule("BYE", a, server), Rule::RateSource);
    let (c, d, e, server) = (
        "[2001:db8:5::1]:5061",
        "[2001:db8:5::ffff]:5061",
        "[2001:db8:5:1::1]:5061",
        "[2001:db8::1]:5060",
    );
    assert_eq!(rule("REGISTER", c, server), Rule::Stranger);
    assert_eq!(rule("REGISTER", d, server), Rule::RateMethod);
    assert_eq!(rule("REGISTER", e, server), Rule::Stranger);
}

/// D06, L13: 40 calls at 10 a second from a stranger whose INVITEs list
/// OPTIONS and REGISTER in Allow: all pass.
#[test]
fn d06_l13_invites_that_name_other_methods_pass() {
    let Some(mut kernel) = load_or_skip() else { return };
    kernel.apply(&plan(Setup::Base)).expect("a policy");
    let invite = request("INVITE")
        .header("Allow", "INVITE, ACK, CANCEL, BYE, OPTIONS, REGISTER, NOTIFY")
        .build();
    let frame = Packet::udp("198.51.100.7:5060", "203.0.113.1:5060").payload(invite).build();
    for call in 0..400 {
        kernel.set_clock(S + call * S / 10).expect("a clock");
        assert_eq!(kernel.run(&frame).expect("a run").rule, Rule::Stranger, "call {call}");
    }
}

/// D10: 100 answers at once to the server's own probes pass.
#[test]
fn d10_answers_to_the_servers_probes_pass() {
    let Some(mut kernel) = load_or_skip() else { return };
    kernel.apply(&plan(Setup::Base)).expect("a policy");
    let answer = Message::response("200 OK", "OPTIONS").build();
    let frame = Packet::udp("198.51.100.7:5060", "203.0.113.1:5060").payload(answer).build();
    kernel.set_clock(S).expect("a clock");
    for _ in 0..100 {
        assert_eq!(kernel.run(&frame).expect("a run").rule, Rule::Response);
    }
}

/// F14: a block ends in the kernel at its expiry, to the nanosecond, and needs
/// no daemon for it.
#[test]
fn f14_blocks_end_by_themselves() {
    let Some(mut kernel) = load_or_skip() else { return };
    kernel.apply(&plan(Setup::Base)).expect("a policy");
    let net = "198.51.100.7/32".parse().expect("a network");
    let frame = register("198.51.100.7:5061");
    kernel.kernel().block(net, Some(Duration::from_secs(60))).expect("a block");
    let end = kernel.blocked_until(net).expect("a look").expect("an entry");
    kernel.set_clock(end - 1).expect("a clock");
    assert_eq!(kernel.run(&frame).expect("a run").rule, Rule::Blocked);
    kernel.set_clock(end).expect("a clock");
    assert_eq!(kernel.run(&frame).expect("a run").rule, Rule::Stranger);
}

/// D13: on two CPUs at once, what passes is within 2 % of the ideal.
#[test]
fn d13_two_cpus_share_one_bucket_exactly() {
    let packets = u32::try_from(packets(3_000_000)).expect("a number of packets");
    let rate = packets / 30;
    // Many seconds of tokens: none is lost while other work takes the CPUs, and
    // when exactly the runs began and ended counts little.
    let burst = packets / 3;
    let Some(mut kernel) = or_skip(BenchKernel::load()) else { return };
    let policy = format!(
        "[limits.stranger]\nregister = {{ rate = \"{rate}/s\", burst = {burst} }}\ntotal = \"unlimited\"\n{UNSHARED}"
    );
    kernel.kernel().apply(&plan_with(&policy)).expect("a policy");
    let frame = register("198.51.100.7:5061");
    let start = Barrier::new(2);
    let run = |cpu: usize| {
        let mut cpus = CpuSet::new();
        cpus.set(cpu).expect("a CPU");
        sched_setaffinity(Pid::from_raw(0), &cpus).expect("this CPU");
        start.wait();
        let from = Instant::now();
        kernel.run(&frame, packets).expect("a run");
        (from, Instant::now())
    };
    let [(from_a, to_a), (from_b, to_b)] = thread::scope(|scope| {
        [scope.spawn(|| run(0)), scope.spawn(|| run(1))]
            .map(|thread| thread.join().expect("a thread"))
    });
    let elapsed = to_a.max(to_b) - from_a.min(from_b);
    let ideal = f64::from(burst) + elapsed.as_secs_f64() * f64::from(rate);
    let passed = kernel.counted(Rule::Stranger).expect("counters");
    let ratio = passed as f64 / ideal;
    assert!((0.98..=1.02).contains(&ratio), "{passed} of {ideal:.0} passed: {ratio:.3}");
}
