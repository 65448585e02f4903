//! The egress program by TEST_RUN, together with the ingress program: they
//! share one state, which tests can set and read.

use sipguard::kernel::{BenchKernel, TestKernel};
use sipguard_common::{
    abi::{Address, Ban, Endpoint, Failures, Learned, Site, Verified, how, stealth},
    method::Method,
    rule::Rule,
};
use tests::{
    corpus::Setup,
    kernel::{load_or_skip, or_skip},
    packet::Packet,
    plans::plan,
    sip::Message,
};

const S: u64 = 1_000_000_000;
const NOW: u64 = 1_000 * S;

const PHONE: &str = "198.51.100.7:5061";
const SERVER: &str = "203.0.113.1:5060";
const UDP: u8 = 17;

fn phone() -> Endpoint {
    Endpoint::new(source(), 5061u16.to_be_bytes(), UDP)
}

fn source() -> Address {
    Address::v4([198, 51, 100, 7])
}

/// A loaded program at [`NOW`], with the base policy.
fn loaded() -> Option<TestKernel> {
    let mut kernel = load_or_skip()?;
    kernel.apply(&plan(Setup::Base)).expect("a policy");
    kernel.set_clock(NOW).expect("a clock");
    Some(kernel)
}

/// The rule by which a request of the phone is judged.
fn asks(kernel: &mut TestKernel, request: &Message) -> Rule {
    let frame = Packet::udp(PHONE, SERVER).payload(request.build()).build();
    kernel.run(&frame).expect("a run").rule
}

fn frame_out(reply: &Message) -> Vec<u8> {
    Packet::udp(SERVER, PHONE).payload(reply.build()).build()
}

fn options() -> Message {
    Message::request("OPTIONS", "sip:100@203.0.113.1")
}

fn register(number: u32) -> Message {
    Message::request("REGISTER", "sip:203.0.113.1").replace("CSeq", &format!("{number} REGISTER"))
}

/// The server's reply to a request of that number.
fn reply(status: &str, number: u32) -> Message {
    Message::response(status, "REGISTER")
        .replace("Call-ID", "b1c4e6@198.51.100.7")
        .replace("CSeq", &format!("{number} REGISTER"))
        .header("Contact", "<sip:200@198.51.100.7:5061>;expires=600")
}

#[test]
fn a_phone_that_the_server_has_accepted_is_verified() {
    let Some(mut kernel) = loaded() else { return };
    assert_eq!(asks(&mut kernel, &options()), Rule::Options);

    const NONCE: &str = "Digest realm=\"a\", nonce=\"c0ffee0011223344\"";
    assert_eq!(asks(&mut kernel, &register(1)), Rule::Stranger);
    let challenge = frame_out(&reply("401 Unauthorized", 1).header("WWW-Authenticate", NONCE));
    let out = kernel.run_egress(&challenge).expect("a run");
    assert!(!out.hidden);
    assert_eq!(out.frame, challenge, "changed on its way");
    let credentials = format!("{NONCE}, username=\"200\", uri=\"sip:a\", response=\"0f\"");
    let again = register(2).header("Authorization", &credentials);
    assert_eq!(asks(&mut kernel, &again), Rule::Stranger);
    assert_eq!(kernel.endpoint(&phone()).expect("a map"), None);

    kernel.run_egress(&frame_out(&reply("200 OK", 2))).expect("a run");
    let (verified, is_proven) = kernel.endpoint(&phone()).expect("a map").expect("verified");
    assert!(is_proven);
    assert_eq!((verified.how, verified.status), (how::REGISTER, 200));
    assert_eq!(verified.expires_ns, NOW + 600 * S);
    assert!(kernel.site(&source()).expect("a map").is_some());
    assert_eq!(kernel.learned(Learned::Verified).expect("counts"), 1);
    let replies = kernel.replies().expect("counts");
    let registers = |class: usize| replies.by[class][Method::Register as usize];
    assert_eq!([registers(2), registers(4)], [1, 1]);
    assert_eq!(asks(&mut kernel, &options()), Rule::Verified);

    kernel.forget_learned().expect("the maps");
    assert_eq!(kernel.endpoint(&phone()).expect("a map"), None);
    assert_eq!(kernel.site(&source()).expect("a map"), None);
    assert_eq!(asks(&mut kernel, &options()), Rule::Options);
}

#[test]
fn what_a_test_sets_holds_for_the_programs() {
    let Some(mut kernel) = loaded() else { return };
    let verified = Verified { expires_ns: NOW + 1, since_ns: 1, ..Verified::default() };
    for is_proven in [true, false] {
        kernel.set_endpoint(phone(), verified, is_proven).expect("a map");
        assert_eq!(kernel.endpoint(&phone()).expect("a map"), Some((verified, is_proven)));
        assert_eq!(asks(&mut kernel, &options()), Rule::Verified);
        kernel.forget_learned().expect("the maps");
    }

    let site = Site { until_ns: NOW + 1, since_ns: NOW, shift: 1, ..Site::default() };
    kernel.set_site(source(), site).expect("a map");
    assert_eq!(kernel.site(&source()).expect("a map"), Some(site));
    let failures = Failures { count: 3, ..Failures::default() };
    kernel.set_failures(phone(), failures).expect("a map");
    assert_eq!(kernel.failures(&phone()).expect("a map"), Some(failures));
    assert_eq!(kernel.failures(&Endpoint::whole(source())).expect("a map"), None);

    let ban = Ban { expires_ns: NOW + 1, rule: Rule::Auth.number(), ..Ban::default() };
    kernel.ban_endpoint(phone(), ban).expect("a map");
    assert_eq!(kernel.ban_of(&phone()).expect("a map"), Some(ban));
    assert_eq!(asks(&mut kernel, &register(1)), Rule::Banned);
    kernel.forget_learned().expect("the maps");
    assert_eq!(kernel.ban_of(&phone()).expect("a map"), None);
    assert_eq!(asks(&mut kernel, &register(1)), Rule::Stranger);
}

#[test]
fn what_is_hidden_from_a_stranger_is_told_as_hidden() {
    let Some(mut kernel) = loaded() else { return };
    let mut silent = plan(Setup::Base);
    silent.policy.stealth = stealth::NONE;
    kernel.apply(&silent).expect("a policy");
    let not_found = frame_out(&reply("404 Not Found", 1));
    assert!(kernel.run_egress(&not_found).expect("a run").hidden);
    assert_eq!(kernel.learned(Learned::Hidden).expect("counts"), 1);
    silent.policy.stealth = stealth::ALL;
    kernel.apply(&silent).expect("a policy");
    assert!(!kernel.run_egress(&not_found).expect("a run").hidden);
}

#[test]
fn the_program_that_protects_runs_repeatedly() {
    let Some(mut kernel) = or_skip(BenchKernel::load()) else { return };
    kernel.kernel().apply(&plan(Setup::Base)).expect("a policy");
    let took = kernel.run_egress(&frame_out(&reply("200 OK", 1)), 1_000).expect("a run");
    assert!(!took.is_zero() && took.as_millis() < 1, "{took:?} for one packet");
}
