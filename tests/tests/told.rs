//! What is told of packets: bounded, whatever a flood brings, and enough to
//! find a signature that never matches.

use sipguard::kernel::TestKernel;
use sipguard_common::{abi::outcome, rule::Rule};
use tests::{
    crowd::{Crowd, spoofed},
    kernel::{load_or_skip, packets},
    packet::Packet,
    plans::{plan_of, plan_with},
    sip::Message,
};

const S: u64 = 1_000_000_000;
const START: u64 = 1_000 * S;
const SERVER: &str = "203.0.113.1:5060";

fn kernel() -> Option<TestKernel> {
    let mut kernel = load_or_skip()?;
    kernel.apply(&plan_of("", &[], &[])).expect("a policy");
    kernel.set_clock(START).expect("a clock");
    Some(kernel)
}

fn scan(agent: &str) -> Crowd {
    let register = Message::request("REGISTER", "sip:203.0.113.1").agent(agent).build();
    Crowd::new(&Packet::udp("198.51.100.7:5061", SERVER).payload(register))
}

/// D16: of a flood the kernel tells as much as `[events]` says, of one source
/// and of one rule; all the rest is counted as kept back, and no more.
#[test]
fn d16_a_flood_makes_no_flood_of_events() {
    // By rule: 50 at once and 10 a second. By source: 5 at once and 1 a second.
    type Sender = fn(u32) -> u32;
    let floods: [(Sender, std::ops::RangeInclusive<usize>); 2] =
        [(|_| 0xc633_6407, 14..=15), (spoofed, 149..=150)];
    for (sender, expected) in floods {
        let Some(mut kernel) = kernel() else { return };
        let mut reader = kernel.kernel().take_events().expect("the reader");
        let mut crowd = scan("friendly-scanner");
        let (mut told, count) = (0, packets(100_000));
        for i in 0..count {
            kernel.set_clock(START + 10 * S * i as u64 / count as u64).expect("a clock");
            let verdict = kernel.run(crowd.from(sender(i as u32), 5060)).expect("a run");
            assert_eq!(verdict.rule, Rule::Signature);
            while let Some(event) = reader.next_event() {
                told += 1;
                assert_eq!((event.rule, event.outcome), (Rule::Signature as u8, outcome::DROPPED));
                assert_eq!(
                    kernel.kernel().signature_name(event.signature),
                    Some("friendly-scanner")
                );
                assert!(event.bytes.starts_with(b"REGISTER sip:203.0.113.1"));
            }
        }
        assert!(expected.contains(&told), "{told} events of {count} packets");
        let losses = kernel.kernel().event_losses().expect("losses");
        assert_eq!((losses.suppressed, losses.lost), ((count - told) as u64, 0));
    }
}

/// D16: what nobody takes does not grow, and what had no room is counted.
#[test]
fn d16_events_that_nobody_takes_are_counted_as_lost() {
    let Some(mut kernel) = load_or_skip() else { return };
    let much = "[events]\nrule = { rate = \"1000000/s\", burst = 1000000 }\n\
        source = { rate = \"1000000/s\", burst = 1000000 }\n";
    kernel.apply(&plan_with(much)).expect("a policy");
    kernel.set_clock(START).expect("a clock");
    let mut crowd = scan("friendly-scanner");
    for i in 0..10_000 {
        kernel.run(crowd.from(spoofed(i), 5060)).expect("a run");
    }
    let losses = kernel.kernel().event_losses().expect("losses");
    let mut reader = kernel.kernel().take_events().expect("the reader");
    let told = std::iter::from_fn(|| reader.next_event()).count();
    assert!((100..2_000).contains(&told), "{told}");
    assert_eq!(losses.lost + losses.suppressed + told as u64, 10_000, "{losses:?}");
    assert!(losses.lost > 0);
}

/// D17: each signature has a count of its own, which says of a typo that it
/// has never matched; a reload keeps the counts.
#[test]
fn d17_signatures_that_never_matched_are_known() {
    let Some(mut kernel) = load_or_skip() else { return };
    let with_typo = || {
        let dir = tempfile::tempdir().expect("a directory");
        tests::plans::write_policy(dir.path(), "", &[], &[]);
        let typo = "[[signature]]\nname = \"typo\"\nfield = \"user-agent\"\nmatch = \"prefix\"\n\
            text = \"sundayaddr\"\n";
        let file = dir.path().join("signatures.toml");
        let text = std::fs::read_to_string(&file).expect("signatures");
        std::fs::write(&file, text + "\n" + typo).expect("written");
        match sipguard::policy::load(dir.path()) {
            Ok((plan, _)) => plan,
            Err(diagnostics) => panic!("{diagnostics}"),
        }
    };
    kernel.apply(&with_typo()).expect("a policy");
    kernel.set_clock(START).expect("a clock");
    for (agent, times) in [("sundayddr", 7), ("friendly-scanner", 3)] {
        for i in 0..times {
            let verdict = kernel.run(scan(agent).from(spoofed(i), 5060)).expect("a run");
            assert_eq!(verdict.rule, Rule::Signature);
        }
    }
    kernel.apply(&with_typo()).expect("the policy again");
    let hits = kernel.kernel().signature_hits().expect("hits");
    assert_eq!((hits["sundayddr"], hits["friendly-scanner"], hits["typo"]), (7, 3, 0));
    let matched: Vec<&String> =
        hits.iter().filter(|(_, hits)| **hits > 0).map(|hit| hit.0).collect();
    assert_eq!(matched, ["friendly-scanner", "sundayddr"]);
    assert_eq!(hits.len(), with_typo().signatures.len(), "one for each signature");
}
