//! What somebody can do to others by forging their packets, or by filling what
//! sipguard remembers: little, and no longer than he goes on.

use std::net::Ipv4Addr;

use sipguard::kernel::TestKernel;
use sipguard_common::{
    abi::{Address, BANS, Ban, Endpoint, Verified, how},
    frame::UDP,
    rule::{Rule, Verdict},
};
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
const CUSTOMER: u32 = u32::from_be_bytes([198, 51, 100, 77]);
const NEIGHBOUR: u32 = u32::from_be_bytes([198, 51, 100, 78]);
const TRUSTED: u32 = u32::from_be_bytes([192, 0, 2, 10]);

fn kernel(settings: &str) -> Option<TestKernel> {
    let mut kernel = load_or_skip()?;
    kernel.apply(&plan_with(settings)).expect("a policy");
    kernel.set_clock(START).expect("a clock");
    Some(kernel)
}

fn udp(message: Message) -> Crowd {
    Crowd::new(&Packet::udp("198.51.100.7:5061", SERVER).payload(message.build()))
}

fn request(method: &str) -> Message {
    Message::request(method, "sip:100@203.0.113.1").agent("Telephone/1.6")
}

fn rule(kernel: &mut TestKernel, frame: &[u8]) -> Rule {
    kernel.run(frame).expect("a run").rule
}

fn passes(rule: Rule) -> bool {
    rule.verdict() == Verdict::Pass
}

/// The server has accepted it, for an hour.
fn verify(kernel: &mut TestKernel, address: u32, port: u16) {
    let address = Address::v4(address.to_be_bytes());
    let expires_ns = START + 3600 * S;
    let verified =
        Verified { expires_ns, since_ns: START, how: how::REGISTER, ..Verified::default() };
    let endpoint = Endpoint::new(address, port.to_be_bytes(), UDP);
    kernel.set_endpoint(endpoint, verified, true).expect("a map");
}

/// Who knows a customer's address and port can forge what comes from there, and
/// so spend its limits; nobody else's, no ban, and not for longer than he goes on.
#[test]
fn l31_a_flood_in_the_name_of_a_customer_spends_his_limits_only() {
    let Some(mut kernel) = kernel("") else { return };
    verify(&mut kernel, CUSTOMER, 5060);
    verify(&mut kernel, NEIGHBOUR, 5060);
    let mut invites = udp(request("INVITE"));
    let count = packets(50_000);
    let mut dropped = 0;
    for i in 0..count {
        kernel.set_clock(START + 5 * S * i as u64 / count as u64).expect("a clock");
        match rule(&mut kernel, invites.from(CUSTOMER, 5060)) {
            Rule::Verified => {}
            Rule::RateVerified => dropped += 1,
            other => panic!("{other:?}"),
        }
        if i % 1_000 == 0 {
            assert_eq!(rule(&mut kernel, invites.from(NEIGHBOUR, 5060)), Rule::Verified);
            assert_eq!(rule(&mut kernel, invites.from(TRUSTED, 5060)), Rule::Trusted);
        }
    }
    assert!(dropped > count / 2, "the flood is not bounded: {dropped} of {count} dropped");
    assert_eq!(kernel.kernel().bans().expect("bans"), []);
    // A second after its end he calls as before.
    kernel.set_clock(START + 6 * S).expect("a clock");
    for _ in 0..20 {
        assert_eq!(rule(&mut kernel, invites.from(CUSTOMER, 5060)), Rule::Verified);
    }
}

/// Credentials that stand before the real ones decide whether a guess is proven:
/// a decoy makes it one that may be forged. It is then held to the tries of
/// those, which are no more.
#[test]
fn n08_decoy_credentials_gain_no_tries() {
    let Some(mut kernel) = kernel("") else { return };
    let credentials = |nonce: &str, number: usize| {
        format!(
            "Digest username=\"100\", realm=\"a\", nonce=\"{nonce}\", uri=\"sip:203.0.113.1\", \
             response=\"{number:032x}\""
        )
    };
    let mut passed = 0;
    let guesses = 600;
    for number in 0..guesses {
        // Ten in a second, for a minute.
        kernel.set_clock(START + S * number as u64 / 10).expect("a clock");
        let message = request("REGISTER")
            .replace("Call-ID", &format!("guess-{number}"))
            .header("Authorization", &credentials("decoy", number))
            .header("Authorization", &credentials("real", number));
        let found = rule(&mut kernel, udp(message).from(CUSTOMER, 5060));
        assert!(matches!(found, Rule::Stranger | Rule::RateAuth | Rule::RateMethod), "{found:?}");
        passed += usize::from(found == Rule::Stranger);
    }
    assert!((5..=7).contains(&passed), "{passed} guesses of {guesses} have passed");
}

/// The reserve is for those who repeat themselves. Who does so by the thousand,
/// with made-up addresses, gets the reserve, and no more.
#[test]
fn l31_a_flood_that_repeats_itself_gets_the_reserve_and_no_more() {
    let Some(mut kernel) = kernel("") else { return };
    verify(&mut kernel, CUSTOMER, 5060);
    let mut registers = udp(request("REGISTER"));
    // Each of 20,000 sources four times within four seconds.
    let (sources, seconds) = (packets(20_000) as u64, 4);
    let mut passed = 0u64;
    for round in 0..seconds {
        for source in 0..sources {
            kernel.set_clock(START + round * S + S * source / sources).expect("a clock");
            let found = rule(&mut kernel, registers.from(spoofed(source as u32), 5060));
            passed += u64::from(passes(found));
            if source % 1_000 == 0 {
                assert_eq!(rule(&mut kernel, registers.from(CUSTOMER, 5060)), Rule::Verified);
                assert_eq!(rule(&mut kernel, registers.from(TRUSTED, 5060)), Rule::Trusted);
            }
        }
    }
    // 5,000 and 1,000 a second of all strangers, 400 and 200 a second beyond.
    let most = 5_000 + 1_000 * seconds + 400 + 200 * seconds;
    assert!(passed <= most + 1, "{passed} have passed, {most} may");
    assert_eq!(kernel.kernel().bans().expect("bans"), []);
}

/// D14: more bans than there is room for take the room of bans: old ones are
/// forgotten, new ones hold, and lists are as they were.
#[test]
fn d14_bans_without_number_evict_bans_only() {
    let Some(mut kernel) = load_or_skip() else { return };
    kernel.apply(&plan_of("", &["192.0.2.10"], &["203.0.113.66"])).expect("a policy");
    kernel.set_clock(START).expect("a clock");
    verify(&mut kernel, CUSTOMER, 5060);
    let ban = Ban { expires_ns: u64::MAX, ..Ban::default() };
    let count = u32::try_from(BANS).expect("a number") + 10_000;
    for number in 0..count {
        kernel.ban(Ipv4Addr::from(spoofed(number)).into(), ban).expect("a ban");
    }
    let held = kernel.kernel().bans().expect("bans").len();
    assert!(held <= BANS && held > BANS / 2, "{held} of {count}");
    let mut registers = udp(request("REGISTER"));
    assert_eq!(rule(&mut kernel, registers.from(spoofed(count - 1), 5060)), Rule::Banned);
    assert_eq!(rule(&mut kernel, registers.from(CUSTOMER, 5060)), Rule::Verified);
    assert_eq!(rule(&mut kernel, registers.from(TRUSTED, 5060)), Rule::Trusted);
    let blocked = u32::from_be_bytes([203, 0, 113, 66]);
    assert_eq!(rule(&mut kernel, registers.from(blocked, 5060)), Rule::Blocked);
}
