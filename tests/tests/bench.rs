//! The rig of the benchmarks works: what it sends arrives, and is counted.
//! Whether it is fast is for `cargo xtask bench`.

use std::{thread, time::Duration};

use tests::{
    bench::{
        capacity::flood,
        filter::{Active, Filter},
        generator::{Generator, Pace},
        policy,
        reader::Reader,
        stand::Stand,
        traffic::{AGENTS, Mix, hidden_among},
    },
    rig::tool::{Tool, can_run},
};

const WINDOW: Duration = Duration::from_millis(200);
const TOOLS: &[Tool] = &[Tool::Ethtool, Tool::Ip, Tool::Sipguard, Tool::BenchObject];
/// Packets a second that every machine can take.
const GENTLE: u32 = 10_000;

/// Packets of a flood reach the interface, and the thread that receives them is
/// the one whose run time is read.
#[test]
fn a_flood_arrives_and_costs_something() {
    if !can_run(TOOLS) {
        return;
    }
    for filter in [Filter::Nothing, Filter::Drop] {
        let stand = Stand::new().expect("a wire");
        let active = Active::set_up(filter, &stand).expect("the filter");
        let span = flood(&active, Mix::Options(1), WINDOW).expect("a flood");
        assert!(span.received > 100, "{}: {span:?}", filter.name());
        let cost = span.cost().expect("packets");
        assert!((1.0..1e6).contains(&cost), "{}: {cost} ns", filter.name());
    }
}

/// What the generator makes of many sources is SIP that sipguard judges as it
/// should: scanners end, the trusted peer among them is read.
#[test]
fn sipguard_judges_what_the_generator_sends() {
    if !can_run(TOOLS) {
        return;
    }
    let stand = Stand::new().expect("a wire");
    let small = policy::with(AGENTS.len(), 100);
    let active = Active::sipguard_with(&stand, &small).expect("sipguard");
    let reader = Reader::start(&stand).expect("a reader");
    let before = stand.snapshot().expect("counters");
    let generator = Generator::start(&stand, Mix::Hidden, Pace::Steady(GENTLE)).expect("frames");
    thread::sleep(WINDOW);
    let sent = generator.stop().expect("the number sent");
    thread::sleep(WINDOW);
    let received = stand.snapshot().expect("counters").received - before.received;
    let read = reader.stop().expect("the numbers read");
    let stats = active.sipguard().expect("sipguard").stats().expect("counters");

    assert!(sent > 256 && received > 0, "{received} of {sent}");
    assert!(read.trusted > 0 && read.trusted <= hidden_among(sent), "{read:?} of {sent}");
    assert_eq!(read.all, read.trusted, "scanners were read: {stats}");
    assert_eq!(stats.packets("trusted").expect("a rule"), read.trusted, "{stats}");
    let dropped = stats.packets("signature").expect("a rule");
    assert!(dropped + read.trusted <= sent && dropped > 0, "{stats} of {sent}");
}
