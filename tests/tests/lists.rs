//! The lists and the policy in the kernel: what holds, what ends, and that a
//! change never leaves a packet between two policies.

use std::{net::IpAddr, ops::RangeInclusive, time::Duration};

use sipguard::{
    kernel::TestKernel,
    policy::{CpsClass, Peer, Plan, Target},
};
use sipguard_common::{
    abi::{Address, Ban},
    networks::{self, BITS, LOOK, NONE, WHOLE},
    rule::Rule,
};
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
    let server = if source.starts_with('[') { "[2001:db8:2::1]:5060" } else { "203.0.113.1:5060" };
    Packet::udp(source, server).payload(payload).build()
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

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// F01, F02: entries in one another, trust in blocks and blocks in trust, with
/// ports, at both ends of each network.
#[test]
fn f01_f02_entries_within_entries() {
    let Some(mut kernel) = load_or_skip() else { return };
    let trusted = [
        "10.0.0.0/8",
        "100.64.7.0/24",
        "100.64.8.128/25:5070",
        "100.64.9.9",
        "100.65.0.0/16:5070",
        "2001:db8:7::/48",
        "2001:db9:1::1",
    ];
    let blocked = [
        "10.1.0.0/16",
        "10.1.2.3",
        "100.0.0.0/8",
        "100.64.0.0/10",
        "198.18.0.0/15",
        "198.18.3.0/24",
        "192.88.99.128/25",
        "2001:db8::/32",
        "2000::/12",
    ];
    kernel.apply(&plan(&trusted, &blocked)).expect("a policy");
    for (source, expected) in [
        ("10.0.0.0:5060", Rule::Trusted),
        ("10.1.2.3:5060", Rule::Trusted),
        ("10.255.255.255:5060", Rule::Trusted),
        ("9.255.255.255:5060", Rule::Options),
        ("11.0.0.0:5060", Rule::Options),
        ("100.0.0.0:5060", Rule::Blocked),
        ("100.64.6.255:5060", Rule::Blocked),
        ("100.64.7.0:5060", Rule::Trusted),
        ("100.64.7.255:5060", Rule::Trusted),
        ("100.64.8.0:5060", Rule::Blocked),
        ("100.64.8.127:5070", Rule::Blocked),
        ("100.64.8.128:5070", Rule::Trusted),
        ("100.64.8.128:5060", Rule::Blocked),
        ("100.64.9.8:5060", Rule::Blocked),
        ("100.64.9.9:5060", Rule::Trusted),
        ("100.65.255.255:5070", Rule::Trusted),
        ("100.65.255.255:5071", Rule::Blocked),
        ("100.66.0.0:5070", Rule::Blocked),
        ("101.0.0.0:5060", Rule::Options),
        ("198.17.255.255:5060", Rule::Options),
        ("198.18.3.255:5060", Rule::Blocked),
        ("198.19.255.255:5060", Rule::Blocked),
        ("198.20.0.0:5060", Rule::Options),
        ("192.88.99.127:5060", Rule::Options),
        ("192.88.99.128:5060", Rule::Blocked),
        ("[2001:db8:6::1]:5060", Rule::Blocked),
        ("[2001:db8:7::1]:5060", Rule::Trusted),
        ("[2001:db9:1::1]:5060", Rule::Trusted),
        ("[2001:db9:1::2]:5060", Rule::Blocked),
        ("[2010:1::1]:5060", Rule::Options),
    ] {
        assert_eq!(rule(&mut kernel, source), expected, "{source}");
    }
    kernel.apply(&plan(&[], &[])).expect("a policy");
    for source in ["10.1.2.3:5060", "100.64.7.0:5060", "198.18.3.1:5060", "[2001:db8::1]:5060"] {
        assert_eq!(rule(&mut kernel, source), Rule::Options, "{source}, no lists any more");
    }
}

/// F02: of a /24 that is blocked in parts, exactly those, whatever becomes of
/// the others; an entry with an end sends the packet to the list itself, and its
/// end brings the bits back.
#[test]
fn f02_parts_of_a_network() {
    let Some(mut kernel) = load_or_skip() else { return };
    let is_blocked = |kernel: &mut TestKernel, octet: u8| {
        rule(kernel, &format!("198.51.100.{octet}:5060")) == Rule::Blocked
    };
    let assert_parts = |kernel: &mut TestKernel, state: u8, blocked: &[RangeInclusive<u8>]| {
        let address = Address::v4([198, 51, 100, 0]);
        let byte = kernel.index_of(address).expect("an index");
        assert_eq!(networks::blocked(byte), state, "{blocked:?}");
        for octet in 0..=255 {
            let expected = blocked.iter().any(|part| part.contains(&octet));
            assert_eq!(is_blocked(kernel, octet), expected, ".{octet} of {blocked:?}");
        }
    };
    let net = |text: &str| text.parse().expect("a net");
    let day = ["198.51.100.0", "198.51.100.62/31", "198.51.100.64/28", "198.51.100.255"];
    kernel.set_clock(S).expect("a clock");
    kernel.apply(&plan(&[], &day)).expect("a policy");
    assert_parts(&mut kernel, BITS, &[0..=0, 62..=79, 255..=255]);
    kernel.kernel().block(net("198.51.100.128/25"), None).expect("a block");
    assert_parts(&mut kernel, BITS, &[0..=0, 62..=79, 128..=255]);
    kernel.kernel().block(net("198.51.100.7/32"), HOUR).expect("a block");
    assert_parts(&mut kernel, LOOK, &[0..=0, 7..=7, 62..=79, 128..=255]);
    kernel.apply(&plan(&[], &["198.51.100.32/27"])).expect("a policy");
    assert_parts(&mut kernel, LOOK, &[7..=7, 32..=63, 128..=255]);
    kernel.kernel().unblock(net("198.51.100.7/32")).expect("no block");
    assert_parts(&mut kernel, BITS, &[32..=63, 128..=255]);
    kernel.kernel().block(net("198.51.0.0/16"), None).expect("a block");
    assert_parts(&mut kernel, WHOLE, &[0..=255]);
    kernel.kernel().unblock(net("198.51.0.0/16")).expect("no block");
    assert_parts(&mut kernel, BITS, &[32..=63, 128..=255]);
    // Trust wins over the bits, too.
    kernel.kernel().allow(target("198.51.100.40"), None).expect("an allowance");
    assert_parts(&mut kernel, BITS, &[32..=39, 41..=63, 128..=255]);
    // Another network in the place that is free, and the first one again.
    kernel.kernel().unblock(net("198.51.100.128/25")).expect("no block");
    kernel.apply(&plan(&[], &["203.0.113.9"])).expect("a policy");
    assert_parts(&mut kernel, NONE, &[]);
    kernel.apply(&plan(&[], &["203.0.113.9", "198.51.100.9"])).expect("a policy");
    assert_parts(&mut kernel, BITS, &[9..=9]);
    assert_eq!(rule(&mut kernel, "203.0.113.9:5060"), Rule::Blocked);
    assert_eq!(rule(&mut kernel, "203.0.113.10:5060"), Rule::Options);
}

/// A ban holds until its last nanosecond, for the source as the policy cuts
/// it, and never for who is trusted.
#[test]
fn i6_a_ban_ends_by_itself() {
    let Some(mut kernel) = load_or_skip() else { return };
    kernel
        .apply(&plan(&["192.0.2.0/24", "198.51.100.9:5060"], &["203.0.113.7"]))
        .expect("a policy");
    kernel.set_clock(S).expect("a clock");
    assert_eq!(rule(&mut kernel, "198.51.100.7:5060"), Rule::Options);
    let ban = Ban { expires_ns: 2 * S, since_ns: S, rule: 18, signature: 1, ..Ban::default() };
    for banned in ["198.51.100.7", "198.51.100.9", "192.0.2.1", "203.0.113.7", "2001:db8:5::7"] {
        kernel.ban(address(banned), ban).expect("a ban");
    }
    for (clock, expected) in [(S, Rule::Banned), (2 * S - 1, Rule::Banned), (2 * S, Rule::Options)]
    {
        kernel.set_clock(clock).expect("a clock");
        assert_eq!(rule(&mut kernel, "198.51.100.7:5061"), expected, "at {clock} ns");
        assert_eq!(rule(&mut kernel, "[2001:db8:5::ffff:1]:5061"), expected, "the same /64");
        assert_eq!(rule(&mut kernel, "198.51.100.8:5061"), Rule::Options);
        assert_eq!(rule(&mut kernel, "[2001:db8:5:1::7]:5061"), Rule::Options, "another /64");
        assert_eq!(rule(&mut kernel, "192.0.2.1:5060"), Rule::Trusted);
        assert_eq!(rule(&mut kernel, "198.51.100.9:5060"), Rule::Trusted);
        assert_eq!(rule(&mut kernel, "198.51.100.9:5061"), expected);
        assert_eq!(rule(&mut kernel, "203.0.113.7:5060"), Rule::Blocked);
    }
}

/// A later fragment is judged by the ban of its source, as by a block.
#[test]
fn later_fragments_of_banned_sources_end() {
    let Some(mut kernel) = load_or_skip() else { return };
    kernel.apply(&plan(&[], &[])).expect("a policy");
    let fragment = Packet::udp("198.51.100.7:5060", "203.0.113.1:5060")
        .payload([b'x'; 400])
        .fragment(200, 200)
        .build();
    assert_eq!(kernel.run(&fragment).expect("a run").rule, Rule::Fragment);
    let ban = Ban { expires_ns: u64::MAX, ..Ban::default() };
    kernel.ban(address("198.51.100.7"), ban).expect("a ban");
    assert_eq!(kernel.run(&fragment).expect("a run").rule, Rule::Banned);
}

#[test]
fn bans_are_listed_and_lifted() {
    let Some(mut kernel) = load_or_skip() else { return };
    kernel.apply(&plan(&[], &[])).expect("a policy");
    let kernel = kernel.kernel();
    let hour = Duration::from_secs(3600);
    for banned in ["198.51.100.7", "198.51.100.200", "203.0.113.9", "2001:db8:5::7"] {
        kernel.ban(address(banned), hour, Rule::Signature).expect("a ban");
    }
    kernel.ban(address("203.0.113.9"), Duration::ZERO, Rule::Signature).expect("a ban");
    let mut bans = kernel.bans().expect("bans");
    bans.sort_by_key(|ban| ban.who.source);
    let sources: Vec<String> = bans.iter().map(|ban| ban.who.source.to_string()).collect();
    assert_eq!(sources, ["198.51.100.7/32", "198.51.100.200/32", "2001:db8:5::/64"]);
    for ban in &bans {
        assert_eq!((ban.rule, ban.signature), (Rule::Signature, 0));
        let seconds = ban.expires.duration_since(ban.since).as_secs();
        assert!((3599..=3601).contains(&seconds), "{ban:?}");
    }
    let mut lift = |net: &str| kernel.unban(net.parse().expect("a net")).expect("no ban");
    assert_eq!(lift("198.51.100.8/32"), 0);
    assert_eq!(lift("198.51.100.0/25"), 1);
    assert_eq!(lift("2001:db8:5::ffff/128"), 1);
    assert_eq!(lift("0.0.0.0/0"), 2, "one has ended, but is there");
    assert!(kernel.bans().expect("bans").is_empty());
}

/// F01: a peer's class and bucket go with every address of it.
#[test]
fn f01_classes_of_peers() {
    let Some(mut kernel) = load_or_skip() else { return };
    let cpu = stay_on_one_cpu();
    let mut plan = Plan::default();
    let mut peer = |target_text: &str, name: &str, class| {
        plan.trusted.insert(target(target_text), Peer { name: name.to_owned(), class });
    };
    peer("192.0.2.0/24", "wide", None);
    peer("192.0.2.7", "small", Some(CpsClass::Small));
    peer("192.0.2.8:5060", "large", Some(CpsClass::Large));
    peer("192.0.2.128/25", "medium", Some(CpsClass::Medium));
    peer("192.0.2.192/26:5060", "premium", Some(CpsClass::Premium));
    peer("198.51.100.0/24", "small", Some(CpsClass::Small));
    peer("203.0.113.0/24", "free", None);
    kernel.apply(&plan).expect("a policy");
    let mut as_whom = |source: &str| {
        assert_eq!(rule(&mut kernel, source), Rule::Trusted, "{source}");
        kernel.trusted_as(cpu).expect("scratch memory")
    };
    let small = as_whom("192.0.2.7:5060");
    let large = as_whom("192.0.2.8:5060");
    let medium = as_whom("192.0.2.129:5060");
    assert_eq!([small.0, medium.0, large.0], [1, 2, 3]);
    assert_eq!(as_whom("198.51.100.1:5060"), small, "the same peer, the same bucket");
    assert!(small.1 != large.1 && large.1 != medium.1 && small.1 != medium.1);
    assert_eq!(as_whom("192.0.2.8:5061").0, 0, "the network's, which has no class");
    assert_eq!(as_whom("192.0.2.200:5060"), medium, "a network without port comes first");
    assert_eq!(as_whom("203.0.113.1:5060").0, 0);
}

/// Keeps this thread on the CPU that it runs on.
fn stay_on_one_cpu() -> usize {
    let cpu = nix::sched::sched_getcpu().expect("a CPU");
    let mut set = nix::sched::CpuSet::new();
    set.set(cpu).expect("a CPU");
    nix::sched::sched_setaffinity(nix::unistd::Pid::from_raw(0), &set).expect("one CPU");
    cpu
}
