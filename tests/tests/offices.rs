//! Honest traffic at the sizes that honest sites have: not a packet is lost.

use std::{collections::HashSet, net::Ipv4Addr};

use sipguard::kernel::TestKernel;
use sipguard_common::rule::{Rule, Verdict};
use tests::{
    crowd::{Crowd, spoofed},
    kernel::{load_or_skip, packets},
    packet::{Packet, protocol},
    plans::{plan_of, plan_with},
    sip::{Message, sdp},
};

const S: u64 = 1_000_000_000;
/// Any time will do.
const START: u64 = 1_000 * S;
const SERVER: &str = "203.0.113.1:5060";
const NAT: u32 = u32::from_be_bytes([198, 51, 100, 7]);
const DIGEST: &str = "Digest username=\"200\", realm=\"203.0.113.1\", nonce=\"1f7ac0\", \
    uri=\"sip:203.0.113.1\", response=\"0a4f113b26feeb83c0f0d1f9d3a1e7b2\"";

fn request(method: &str) -> Message {
    Message::request(method, "sip:100@203.0.113.1").agent("Grandstream GXP2140 1.0.9.14")
}

fn udp(message: &Message) -> Crowd {
    Crowd::new(&Packet::udp("198.51.100.7:5061", SERVER).payload(message.build()))
}

/// A kernel under the defaults with these trusted peers.
fn kernel(trusted: &[&str]) -> Option<TestKernel> {
    let mut kernel = load_or_skip()?;
    kernel.apply(&plan_of("", trusted, &[])).expect("a policy");
    kernel.set_clock(START).expect("a clock");
    Some(kernel)
}

fn rule(kernel: &mut TestKernel, frame: &[u8]) -> Rule {
    kernel.run(frame).expect("a run").rule
}

/// The packets of a phone that starts: a registration and a subscription, each
/// without and with credentials.
fn start_of_a_phone() -> [Crowd; 4] {
    let (register, subscribe) = (request("REGISTER"), request("SUBSCRIBE"));
    [
        udp(&register),
        udp(&register.clone().header("Authorization", DIGEST)),
        udp(&subscribe),
        udp(&subscribe.clone().header("Authorization", DIGEST)),
    ]
}

/// The server accepts the registration of a phone at this port.
fn accept(kernel: &mut TestKernel, port: u16) {
    let reply = Message::response("200 OK", "REGISTER").build();
    let phone = format!("{}:{port}", Ipv4Addr::from(NAT));
    let frame = Packet::udp(SERVER, &phone).payload(reply).build();
    assert!(!kernel.run_egress(&frame).expect("a run").hidden);
}

/// D09, L06: 50 and 100 phones behind one address that all start in the same
/// instant, each from a port of its own, and then live for an hour.
#[test]
fn d09_l06_offices_behind_one_address_lose_nothing() {
    for phones in [50, 100] {
        let Some(mut kernel) = kernel(&[]) else { return };
        let mut start = start_of_a_phone();
        for crowd in &mut start {
            for phone in 0..phones {
                let found = rule(&mut kernel, crowd.from(NAT, 20_000 + phone));
                assert_eq!(found, Rule::Stranger, "phone {phone} of {phones} starts");
            }
        }
        (0..phones).for_each(|phone| accept(&mut kernel, 20_000 + phone));
        let [register, registered, ..] = &mut start;
        let mut keepalive = Crowd::new(&Packet::udp("198.51.100.7:1", SERVER).payload("\r\n\r\n"));
        for minute in 1..=60 {
            for phone in 0..phones {
                let spread = 60 * S * u64::from(phone) / u64::from(phones);
                kernel.set_clock(START + minute * 60 * S + spread).expect("a clock");
                let port = 20_000 + phone;
                for crowd in [&mut *register, &mut *registered] {
                    let found = rule(&mut kernel, crowd.from(NAT, port));
                    assert_eq!(found, Rule::Verified, "phone {phone} in minute {minute}");
                }
                accept(&mut kernel, port);
                let found = rule(&mut kernel, keepalive.from(NAT, port));
                assert_eq!(found, Rule::Keepalive, "phone {phone} in minute {minute}");
            }
        }
    }
}

/// D10, L10: answers to the server's own probes: 100 a minute from one address,
/// evenly and all at once, for an hour.
#[test]
fn d10_l10_a_hundred_answers_a_minute_from_one_address_pass() {
    let Some(mut kernel) = kernel(&[]) else { return };
    let mut answer = udp(&Message::response("200 OK", "OPTIONS"));
    for minute in 0..60 {
        for i in 0..100_u16 {
            let evenly = if minute % 2 == 0 { 60 * S * u64::from(i) / 100 } else { 0 };
            kernel.set_clock(START + minute * 60 * S + evenly).expect("a clock");
            let found = rule(&mut kernel, answer.from(NAT, 20_000 + i));
            assert_eq!(found, Rule::Response, "answer {i} in minute {minute}");
        }
    }
}

/// D10, L10: answers of 10,000 endpoints that are probed each minute, evenly
/// and all at once.
#[test]
fn d10_l10_answers_of_ten_thousand_endpoints_pass() {
    let Some(mut kernel) = kernel(&[]) else { return };
    let mut answer = udp(&Message::response("200 OK", "OPTIONS"));
    let endpoints = packets(10_000) as u32;
    for minute in 0..10 {
        for i in 0..endpoints {
            let evenly = if minute < 5 { 60 * S * u64::from(i) / u64::from(endpoints) } else { 0 };
            kernel.set_clock(START + minute * 60 * S + evenly).expect("a clock");
            let found = rule(&mut kernel, answer.from(spoofed(i), 5060));
            assert_eq!(found, Rule::Response, "endpoint {i} in minute {minute}");
        }
    }
}

/// L01: keepalives of a trusted gateway each five seconds and in bursts of 30,
/// over UDP and TCP, whatever it calls itself.
#[test]
fn l01_keepalives_of_a_trusted_gateway_pass() {
    let Some(mut kernel) = kernel(&["192.0.2.10"]) else { return };
    for agent in ["sipcli/v1.8", "friendly-scanner", "Asterisk PBX"] {
        let options = Message::request("OPTIONS", "sip:203.0.113.1").agent(agent).build();
        let from = "192.0.2.10:5060";
        let frames = [
            Packet::udp(from, SERVER).payload(&options).build(),
            Packet::tcp(from, SERVER).payload(&options).build(),
        ];
        for burst in 0..120 {
            kernel.set_clock(START + burst * 5 * S).expect("a clock");
            for frame in frames.iter().cycle().take(30) {
                assert_eq!(rule(&mut kernel, frame), Rule::Trusted, "{agent}");
            }
        }
    }
}

/// The messages of one call.
const CALL: [&str; 5] = ["INVITE", "ACK", "UPDATE", "INFO", "BYE"];

/// L02: 200 calls a second of five messages from all over a trusted network,
/// and 500 a second of one carrier.
#[test]
fn l02_a_trusted_network_and_a_carrier_are_never_limited() {
    let Some(mut kernel) = kernel(&["192.0.2.0/24", "203.0.113.200"]) else { return };
    let mut call = CALL.map(|method| udp(&request(method)));
    let network = |i: u32| u32::from_be_bytes([192, 0, 2, 0]) + i % 256;
    let carrier = |_| u32::from_be_bytes([203, 0, 113, 200]);
    let senders: [(u32, &dyn Fn(u32) -> u32); 2] = [(200, &network), (500, &carrier)];
    for (calls_a_second, sender) in senders {
        let calls = packets(calls_a_second as usize * 20) as u32;
        for i in 0..calls {
            let now = START + S * u64::from(i) / u64::from(calls_a_second);
            kernel.set_clock(now).expect("a clock");
            for message in &mut call {
                assert_eq!(rule(&mut kernel, message.from(sender(i), 5060)), Rule::Trusted);
            }
        }
    }
}

/// L02, F01: a peer of the class premium places the 200 calls a second that
/// the class is for.
#[test]
fn l02_a_premium_peer_places_its_calls() {
    use sipguard::policy::{CpsClass, Peer};
    let Some(mut kernel) = kernel(&[]) else { return };
    let mut plan = plan_of("", &[], &[]);
    let peer = Peer { name: "carrier".to_owned(), class: Some(CpsClass::Premium) };
    plan.trusted.insert("192.0.2.10".parse().expect("a target"), peer);
    kernel.apply(&plan).expect("a policy");
    let mut call = CALL.map(|method| udp(&request(method)));
    for i in 0..packets(4_000) as u64 {
        kernel.set_clock(START + S * i / 200).expect("a clock");
        for message in &mut call {
            let peer = u32::from_be_bytes([192, 0, 2, 10]);
            assert_eq!(rule(&mut kernel, message.from(peer, 5060)), Rule::Trusted, "call {i}");
        }
    }
}

/// Half seconds after the first sending at which RFC 3261 repeats an INVITE
/// within 10 seconds (17.1.1.2, timer A), and a BYE within 32 (17.1.2.2, E).
const INVITE_LADDER: [u64; 5] = [0, 1, 3, 7, 15];
const BYE_LADDER: [u64; 11] = [0, 1, 3, 7, 15, 23, 31, 39, 47, 55, 63];

/// L15: 20 calls at once that nobody answers for 10 seconds, and the ends of 50
/// that nobody answers at all: each repetition passes.
#[test]
fn l15_retransmission_ladders_pass() {
    for (method, ladder, calls) in
        [("INVITE", &INVITE_LADDER[..], 20), ("BYE", &BYE_LADDER[..], 50)]
    {
        let Some(mut kernel) = kernel(&[]) else { return };
        let mut message = udp(&request(method));
        for half_seconds in ladder {
            kernel.set_clock(START + half_seconds * S / 2).expect("a clock");
            for call in 0..calls {
                let found = rule(&mut kernel, message.from(NAT, 5060));
                assert_eq!(found, Rule::Stranger, "{method} {call} at {half_seconds}");
            }
        }
    }
}

/// L13: ten calls a second of a trunk that nobody knows, for ten minutes, each
/// with and without credentials.
#[test]
fn l13_a_strange_trunk_places_ten_calls_a_second() {
    let Some(mut kernel) = kernel(&[]) else { return };
    let allow = "INVITE, ACK, CANCEL, BYE, OPTIONS, REGISTER, NOTIFY";
    let invite = request("INVITE").header("Allow", allow).body("application/sdp", sdp());
    let mut call = [
        udp(&invite),
        udp(&request("ACK")),
        udp(&invite.clone().header("Proxy-Authorization", DIGEST)),
        udp(&request("ACK")),
        udp(&request("BYE")),
    ];
    for i in 0..packets(6_000) as u64 {
        kernel.set_clock(START + S * i / 10).expect("a clock");
        for message in &mut call {
            assert_eq!(rule(&mut kernel, message.from(NAT, 5060)), Rule::Stranger, "call {i}");
        }
    }
}

/// L24: an INVITE of 4,000 bytes in fragments, over IPv4 and IPv6, of a
/// stranger and of a trusted peer; the pieces in either order.
#[test]
fn l24_a_call_in_fragments_passes() {
    let Some(mut kernel) = kernel(&["192.0.2.10", "2001:db8:1::10"]) else { return };
    let invite = request("INVITE").body("application/sdp", sdp().repeat(30)).build();
    assert!(invite.len() > 4_000);
    for (from, to, first) in [
        ("198.51.100.7:5060", SERVER, Rule::Stranger),
        ("[2001:db8:5::7]:5060", "[2001:db8:2::1]:5060", Rule::Stranger),
        ("192.0.2.10:5060", SERVER, Rule::Trusted),
        ("[2001:db8:1::10]:5060", "[2001:db8:2::1]:5060", Rule::Trusted),
    ] {
        let later = if first == Rule::Trusted { Rule::Trusted } else { Rule::Fragment };
        let packet = Packet::udp(from, to).payload(&invite);
        let mut pieces: Vec<(usize, Rule)> = (0..invite.len() + 8)
            .step_by(1_440)
            .map(|offset| (offset, if offset == 0 { first } else { later }))
            .collect();
        for _ in 0..2 {
            for (offset, expected) in &pieces {
                let frame = packet.clone().fragment(*offset, 1_440).build();
                assert_eq!(rule(&mut kernel, &frame), *expected, "{from} at {offset}");
            }
            pieces.reverse();
        }
    }
}

/// L25: phones behind VLAN tags, options of IPv4 and extension headers of IPv6
/// register and call.
#[test]
fn l25_vlans_ipv6_and_ip_options_pass() {
    let Some(mut kernel) = kernel(&[]) else { return };
    let (v4, v6) = ("198.51.100.7:5060", "[2001:db8:5::7]:5060");
    let server_v6 = "[2001:db8:2::1]:5060";
    let forms: [(&str, &dyn Fn(Packet) -> Packet); 7] = [
        (v4, &|packet| packet.vlan(7)),
        (v4, &|packet| packet.tag(tests::packet::ethertype::QINQ, 9).vlan(7)),
        (v4, &|packet| packet.ipv4_options(&[1; 40])),
        (v4, &|packet| packet.vlan(7).ipv4_options(&[0x94, 4, 0, 0])),
        (v6, &|packet| packet),
        (v6, &|packet| packet.vlan(7).padding_extension(protocol::HOP_BY_HOP)),
        (v6, &|packet| packet.padding_extension(protocol::DESTINATION)),
    ];
    for (i, (from, form)) in forms.iter().enumerate() {
        let to = if from.starts_with('[') { server_v6 } else { SERVER };
        for method in ["REGISTER", "INVITE", "ACK", "BYE"] {
            for packet in [Packet::udp(from, to), Packet::tcp(from, to)] {
                let frame = form(packet.payload(request(method).build())).build();
                let verdict = kernel.run(&frame).expect("a run");
                assert_eq!(verdict.rule, Rule::Stranger, "form {i}, {method}");
                assert_eq!(verdict.method.name(), method, "form {i} was not read");
            }
        }
    }
}

/// L29: a softphone whose vendor uses a listed SDK is freed by trusting it, and
/// by disabling the signature, and by nothing else.
#[test]
fn l29_a_softphone_with_a_listed_sdk_is_freed() {
    let Some(mut kernel) = load_or_skip() else { return };
    kernel.set_clock(START).expect("a clock");
    let mut register =
        udp(&Message::request("REGISTER", "sip:203.0.113.1").agent("VaxSIPUserAgent/3.5"));
    kernel.apply(&plan_of("", &[], &[])).expect("a policy");
    assert_eq!(rule(&mut kernel, register.from(NAT, 5060)), Rule::Signature);
    kernel.apply(&plan_of("", &["198.51.100.7"], &[])).expect("a policy");
    assert_eq!(rule(&mut kernel, register.from(NAT, 5060)), Rule::Trusted);
    assert_eq!(rule(&mut kernel, register.from(NAT + 1, 5060)), Rule::Signature);
    kernel.apply(&without_signature("VaxSIPUserAgent")).expect("a policy");
    assert_eq!(rule(&mut kernel, register.from(NAT, 5060)), Rule::Stranger);
    let mut scanner =
        udp(&Message::request("REGISTER", "sip:203.0.113.1").agent("friendly-scanner"));
    assert_eq!(rule(&mut kernel, scanner.from(NAT, 5060)), Rule::Signature);
}

/// The shipped policy with one signature disabled, as its owner does it.
fn without_signature(name: &str) -> sipguard::policy::Plan {
    let dir = tempfile::tempdir().expect("a directory");
    tests::plans::write_policy(dir.path(), "", &[], &[]);
    let file = dir.path().join("signatures.toml");
    let text = std::fs::read_to_string(&file).expect("signatures");
    let at = text.find(&format!("name = \"{name}\"")).expect("the signature");
    let (before, after) = text.split_at(at);
    let after = after.replacen("enabled = true", "enabled = false", 1);
    std::fs::write(&file, format!("{before}{after}")).expect("written");
    match sipguard::policy::load(dir.path()) {
        Ok((plan, _)) => plan,
        Err(diagnostics) => panic!("{diagnostics}"),
    }
}

/// L11: at a site where most packets are keepalives, 2,000 phones send each
/// kind each second: all pass, and cost nobody's requests anything.
#[test]
fn l11_keepalives_of_two_thousand_phones_pass() {
    let Some(mut kernel) = kernel(&[]) else { return };
    let payloads: [&[u8]; 6] = [
        b"\r\n",
        b"\r\n\r\n",
        b"\0",
        b"",
        b"HELLO",
        b"\x00\x01\x00\x08\x21\x12\xa4\x42abcdefghijkl\0\0\0\0\0\0\0\0",
    ];
    let mut kinds =
        payloads.map(|payload| Crowd::new(&Packet::udp("198.51.100.7:1", SERVER).payload(payload)));
    let phones = packets(12_000) as u32 / 6;
    for second in 0..10 {
        for phone in 0..phones {
            let now = START + second * S + S * u64::from(phone) / u64::from(phones);
            kernel.set_clock(now).expect("a clock");
            for (kind, crowd) in kinds.iter_mut().enumerate() {
                let found = rule(&mut kernel, crowd.from(spoofed(phone), 5060));
                assert_eq!(found, Rule::Keepalive, "kind {kind} of phone {phone}");
            }
        }
    }
    let mut register = udp(&request("REGISTER"));
    assert_eq!(rule(&mut kernel, register.from(NAT, 5060)), Rule::Stranger);
}

/// L26: what is for other ports is never counted against anybody, however much
/// of it there is, whatever it spells.
#[test]
fn l26_floods_to_other_ports_are_untouched() {
    let Some(mut kernel) = kernel(&[]) else { return };
    let options = Message::request("OPTIONS", "sip:100@203.0.113.1").agent("friendly-scanner");
    for port in [22, 80, 443, 1720, 3306, 10_000, 16_384, 40_002] {
        let server = format!("203.0.113.1:{port}");
        for mut crowd in [
            Crowd::new(&Packet::udp("198.51.100.7:1", &server).payload(options.build())),
            Crowd::new(&Packet::tcp("198.51.100.7:1", &server).payload(options.build())),
        ] {
            for _ in 0..packets(2_000) {
                assert_eq!(rule(&mut kernel, crowd.from(NAT, 5060)), Rule::NotSip);
            }
        }
    }
    assert_eq!(kernel.remembered().expect("a count"), [0; 3]);
}

/// L28: an allowance frees at once what a signature or a block would drop, and
/// ends by itself to the nanosecond.
#[test]
fn l28_a_temporary_allowance_ends_by_itself() {
    let Some(mut kernel) = load_or_skip() else { return };
    kernel.apply(&plan_with("")).expect("a policy");
    kernel.set_clock(1).expect("a clock");
    let mut scan = udp(&Message::request("REGISTER", "sip:203.0.113.1").agent("sipcli/v1.8"));
    let blocked = Ipv4Addr::new(203, 0, 113, 66);
    for (source, before) in [(Ipv4Addr::from(NAT), Rule::Signature), (blocked, Rule::Blocked)] {
        let frame = scan.from(source.into(), 5060).to_vec();
        assert_eq!(rule(&mut kernel, &frame), before);
        let hour = std::time::Duration::from_secs(3600);
        let target = source.to_string().parse().expect("a target");
        kernel.kernel().allow(target, Some(hour)).expect("an allowance");
        assert_eq!(rule(&mut kernel, &frame), Rule::Trusted);
        kernel.set_clock(u64::MAX / 2).expect("a clock");
        assert_eq!(rule(&mut kernel, &frame), before, "the hour is over");
        kernel.set_clock(1).expect("a clock");
        kernel.kernel().allow(target, Some(hour)).expect("an allowance");
        kernel.kernel().disallow(&target).expect("no allowance");
        assert_eq!(rule(&mut kernel, &frame), before, "taken back");
    }
}

/// L12, D10: answers with scanners' words pass at the rate of a large site, and
/// cost its requests nothing.
#[test]
fn l12_answers_cost_no_requests() {
    let Some(mut kernel) = kernel(&[]) else { return };
    let mut answer = udp(&Message::response("200 OK", "OPTIONS")
        .header("Allow", "OPTIONS, REGISTER")
        .header("Server", "friendly-scanner")
        .agent("sipcli/v1.8"));
    let mut seen = HashSet::new();
    for i in 0..packets(10_000) as u64 {
        kernel.set_clock(START + S * i / 200).expect("a clock");
        seen.insert(rule(&mut kernel, answer.from(NAT, 5060)));
    }
    assert_eq!(seen, HashSet::from([Rule::Response]));
    for mut crowd in start_of_a_phone() {
        for _ in 0..100 {
            assert_eq!(rule(&mut kernel, crowd.from(NAT, 5060)).verdict(), Verdict::Pass);
        }
    }
}
