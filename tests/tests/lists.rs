//! The lists and the policy in the kernel: what holds, what ends, and that a
//! change never leaves a packet between two policies.

use std::time::Duration;

use sipguard::{
    kernel::TestKernel,
    policy::{Plan, Target},
};
use sipguard_common::rule::Rule;
use tests::{
    kernel::load_or_skip,
    packet::Packet,
    plans::{plan_of, plan_with},
    sip::Message,
};

const S: u64 = 1_000_000_000;
const HOUR: Option<Duration> = Some(Duration::from_secs(3600));

fn options(source: &str) -> Vec<u8> {
    let payload = Message::request("OPTIONS", "sip:100@203.0.113.1").build();
    Packet::udp(source, "203.0.113.1:5060").payload(payload).build()
}

fn rule(kernel: &mut TestKernel, source: &str) -> Rule {
    kernel.run(&options(source)).expect("a run").rule
}

fn target(text: &str) -> Target {
    text.parse().expect("a target")
}

fn plan(trusted: &[&str], blocked: &[&str]) -> Plan {
    plan_of("", trusted, blocked)
}

/// L28: an allowance ends by itself, and while it does not hold any more it
/// hides no wider trust; the same for blocks.
#[test]
fn l28_an_expired_prefix_hides_no_wider_one() {
    let Some(mut kernel) = load_or_skip() else { return };
    kernel.apply(&plan(&["198.51.100.0/24"], &["203.0.113.0/24"])).expect("a policy");
    for narrow in ["198.51.100.128/25", "198.51.100.128/26", "198.51.100.129"] {
        kernel.kernel().allow(target(narrow), HOUR).expect("an allowance");
    }
    for narrow in ["203.0.113.128/25", "203.0.113.129/32"] {
        kernel.kernel().block(narrow.parse().expect("a net"), HOUR).expect("a block");
    }
    kernel.kernel().allow(target("192.0.2.1"), HOUR).expect("an allowance");
    kernel.set_clock(S).expect("a clock");
    assert_eq!(rule(&mut kernel, "192.0.2.1:5060"), Rule::Trusted);
    kernel.set_clock(u64::MAX / 2).expect("a clock");
    assert_eq!(rule(&mut kernel, "198.51.100.129:5060"), Rule::Trusted);
    assert_eq!(rule(&mut kernel, "203.0.113.129:5060"), Rule::Blocked);
    assert_eq!(rule(&mut kernel, "192.0.2.1:5060"), Rule::Options);
}

/// What is both the plan's and the operator's goes only when both let go, and
/// ends when the later of the two does.
#[test]
fn file_and_operator_entries_are_a_union() {
    let Some(mut kernel) = load_or_skip() else { return };
    let net = "198.51.100.7/32".parse().expect("a net");
    let source = "198.51.100.7:5060";
    kernel.set_clock(u64::MAX / 2).expect("a clock");
    kernel.apply(&plan(&[], &["198.51.100.7"])).expect("a policy");
    kernel.kernel().block(net, HOUR).expect("a block");
    assert_eq!(rule(&mut kernel, source), Rule::Blocked, "the file's has no end");
    kernel.apply(&plan(&[], &[])).expect("a policy");
    assert_eq!(rule(&mut kernel, source), Rule::Options, "the operator's hour is over");
    kernel.kernel().block(net, None).expect("a block");
    kernel.apply(&plan(&[], &["198.51.100.7"])).expect("a policy");
    kernel.kernel().unblock(net).expect("no block");
    assert_eq!(rule(&mut kernel, source), Rule::Blocked);
    kernel.apply(&plan(&[], &[])).expect("a policy");
    assert_eq!(rule(&mut kernel, source), Rule::Options);
}

/// I1: trust with a port holds for that port, and wins over any block.
#[test]
fn i1_trust_wins_with_and_without_port() {
    let Some(mut kernel) = load_or_skip() else { return };
    kernel.set_clock(S).expect("a clock");
    let trusted = ["198.51.100.7:5060", "198.51.100.64/26:5070", "2001:db8:5::7"];
    kernel.apply(&plan(&trusted, &["198.51.100.0/24", "2001:db8:5::/48"])).expect("a policy");
    assert_eq!(rule(&mut kernel, "198.51.100.7:5060"), Rule::Trusted);
    assert_eq!(rule(&mut kernel, "198.51.100.7:5061"), Rule::Blocked);
    assert_eq!(rule(&mut kernel, "198.51.100.65:5070"), Rule::Trusted);
    assert_eq!(rule(&mut kernel, "198.51.100.65:5060"), Rule::Blocked);
}

/// F18: limits, posture and signatures come and go with the plan as a whole.
#[test]
fn f18_a_new_plan_replaces_the_old_one() {
    let Some(mut kernel) = load_or_skip() else { return };
    kernel.set_clock(S).expect("a clock");
    for (settings, expected) in [
        ("", Rule::Options),
        ("[policy]\noptions = \"pass\"\n", Rule::Stranger),
        ("[policy]\nposture = \"closed\"\n", Rule::Closed),
        ("[sip]\nports = [5070]\n", Rule::NotSip),
        ("[sip]\naddresses = [\"203.0.113.2\"]\n", Rule::NotSip),
        ("[sip]\naddresses = [\"203.0.113.0/24\"]\n", Rule::Options),
        ("", Rule::Options),
    ] {
        kernel.apply(&plan_with(settings)).expect("a policy");
        assert_eq!(rule(&mut kernel, "198.51.100.7:5061"), expected, "{settings}");
    }
}

/// F31, R9: a plan that does not fit leaves the one before it in force, with
/// all its entries and none of the new ones.
#[test]
fn a_plan_that_does_not_fit_changes_nothing() {
    let Some(mut kernel) = load_or_skip() else { return };
    kernel.set_clock(S).expect("a clock");
    kernel.apply(&plan(&["192.0.2.1"], &["203.0.113.9"])).expect("a policy");
    // The operator's entries take room that the file would need.
    for i in 0..8u32 {
        let net = std::net::Ipv4Addr::from(0x0a00_0000 + i);
        kernel.kernel().allow(target(&net.to_string()), None).expect("an allowance");
    }
    let many: Vec<String> =
        (0..65_530u32).map(|i| std::net::Ipv4Addr::from(0x0b00_0000 + i).to_string()).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let error = kernel.apply(&plan(&many, &[])).expect_err("too many");
    assert!(error.to_string().contains("trusted list is full"), "{error}");
    assert_eq!(rule(&mut kernel, "192.0.2.1:5060"), Rule::Trusted);
    assert_eq!(rule(&mut kernel, "203.0.113.9:5060"), Rule::Blocked);
    assert_eq!(rule(&mut kernel, "10.0.0.7:5060"), Rule::Trusted);
    assert_eq!(rule(&mut kernel, "11.0.0.7:5060"), Rule::Options);
}
