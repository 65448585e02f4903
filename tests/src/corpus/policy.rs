//! What sipguard.toml can add to the base policy: modes, posture attack,
//! fragments, sizes, networks, ports, all strangers together, capped peers,
//! bans.

use sipguard_common::{
    method::{Budget, Class, Method},
    rule::Rule,
};

use super::{CAPPED, Case, SERVER, STRANGER, Setup, stranger, stranger_v6};
use crate::{packet::Packet, sip::Message};

fn register() -> Message {
    Message::request("REGISTER", "sip:203.0.113.1").agent("Phone 1.0")
}

fn scanner() -> Vec<u8> {
    Message::request("REGISTER", "sip:203.0.113.1").agent("friendly-scanner").build()
}

fn probe() -> Vec<u8> {
    Message::request("OPTIONS", "sip:100@203.0.113.1").build()
}

pub(super) fn cases() -> Vec<Case> {
    [modes(), attack(), fragments(), sizes(), shared(), capped(), bans()].concat()
}

fn modes() -> Vec<Case> {
    const OBSERVE: Setup = Setup::Settings("[policy]\nmode = \"observe\"\n");
    const OFF: Setup = Setup::Settings("[policy]\nmode = \"off\"\n");
    const ONE: Setup = Setup::Settings("[rules]\nsignature = { mode = \"observe\" }\n");
    const NONE: Setup = Setup::Settings("[rules]\noptions = { mode = \"off\" }\n");
    let case = |name, expect, payload: Vec<u8>, setup| {
        Case::new(name, "F17", expect, stranger(payload).build()).setup(setup)
    };
    let blocked = |name, expect, setup| {
        let packet = Packet::udp("203.0.113.66:5060", SERVER).payload(register().build());
        Case::new(name, "F17", expect, packet.build()).setup(setup)
    };
    vec![
        case("observed_scanner", Rule::Stranger, scanner(), OBSERVE)
            .method(Method::Register)
            .signature("friendly-scanner")
            .would(&[Rule::Signature]),
        case("observed_options", Rule::Stranger, probe(), OBSERVE)
            .method(Method::Options)
            .would(&[Rule::Options]),
        case("observed_register", Rule::Stranger, register().build(), OBSERVE)
            .method(Method::Register),
        blocked("observed_block", Rule::Stranger, OBSERVE)
            .method(Method::Register)
            .would(&[Rule::Blocked]),
        case("observed_signature_of_options", Rule::Options, probe(), ONE).method(Method::Options),
        case("one_observed_rule", Rule::Stranger, scanner(), ONE)
            .method(Method::Register)
            .signature("friendly-scanner")
            .would(&[Rule::Signature]),
        case("options_off", Rule::Stranger, probe(), NONE).method(Method::Options),
        case("scanner_beside_options_off", Rule::Signature, scanner(), NONE)
            .method(Method::Register)
            .signature("friendly-scanner"),
        blocked("block_off", Rule::Stranger, OFF).method(Method::Register),
        case("options_all_off", Rule::Stranger, probe(), OFF).method(Method::Options),
    ]
}

fn attack() -> Vec<Case> {
    const ATTACK: Setup = Setup::Settings("[policy]\nposture = \"attack\"\noptions = \"pass\"\n");
    let case = |name, expect, payload: Vec<u8>| {
        Case::new(name, "F44", expect, stranger(payload).build()).setup(ATTACK)
    };
    vec![
        case("attack_options", Rule::Options, probe()).method(Method::Options),
        case("attack_register", Rule::Stranger, register().build()).method(Method::Register),
    ]
}

fn fragments() -> Vec<Case> {
    const DROP: Setup = Setup::Settings("[policy]\nfragments = \"drop\"\n");
    let later = |packet: Packet| packet.fragment(64, 64);
    let case =
        |name, expect, packet: Packet| Case::new(name, "F12", expect, packet.build()).setup(DROP);
    let payload = register().build();
    vec![
        case("later_fragment_of_a_stranger", Rule::FragmentStranger, later(stranger(&payload))),
        case(
            "later_fragment_of_a_stranger_v6",
            Rule::FragmentStranger,
            later(stranger_v6(&payload)),
        ),
        case(
            "later_fragment_of_a_trusted_peer_where_others_are_dropped",
            Rule::Trusted,
            later(Packet::udp("192.0.2.10:5060", SERVER).payload(&payload)),
        ),
        case(
            "first_fragment_where_others_are_dropped",
            Rule::Stranger,
            stranger(&payload).fragment(0, 128),
        )
        .method(Method::Register),
    ]
}

fn sizes() -> Vec<Case> {
    const BYTES: Setup = Setup::Settings("[limits.message]\nbytes = 900\n");
    const LINE: Setup = Setup::Settings("[limits.message]\nline = 300\n");
    const LINES: Setup = Setup::Settings("[limits.message]\nlines = 20\n");
    let case = |name, expect, payload: Vec<u8>, setup| {
        Case::new(name, "F13", expect, stranger(payload).build())
            .method(Method::Register)
            .setup(setup)
    };
    let long = || register().header("X-Long", &"x".repeat(400)).build();
    let many = || {
        let lines = (0..30).fold(register(), |message, _| message.header("X", "y"));
        lines.build()
    };
    let large = || register().body("text/plain", [b'x'; 900]).build();
    let folded = format!("x{}", "\r\n xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx".repeat(10));
    vec![
        case("message_within_its_size", Rule::Stranger, register().build(), BYTES),
        case("message_over_its_size", Rule::Oversize, large(), BYTES),
        Case::new(
            "first_fragment_of_a_message_over_its_size",
            "F13",
            Rule::Oversize,
            stranger(large()).fragment(0, 256).build(),
        )
        .method(Method::Register)
        .setup(BYTES),
        case("line_within_its_length", Rule::Stranger, register().build(), LINE),
        case("line_over_its_length", Rule::Oversize, long(), LINE),
        case(
            "folded_line_over_its_length",
            Rule::Oversize,
            register().header("X-Long", &folded).build(),
            LINE,
        ),
        case("lines_within_their_number", Rule::Stranger, register().build(), LINES),
        case("lines_over_their_number", Rule::Oversize, many(), LINES),
        case("message_of_any_size", Rule::Stranger, large(), Setup::Base),
        case("line_of_any_length", Rule::Stranger, long(), Setup::Base),
        case("lines_of_any_number", Rule::Stranger, many(), Setup::Base),
    ]
}

/// Limits that sources share.
fn shared() -> Vec<Case> {
    let case = |name, id, expect, payload: Vec<u8>, setup| {
        Case::new(name, id, expect, stranger(payload).build()).setup(setup)
    };
    let trusted = |name, id, setup| {
        let packet = Packet::udp("192.0.2.10:5060", SERVER).payload(register().build());
        Case::new(name, id, Rule::Trusted, packet.build()).setup(setup)
    };
    let total = Setup::BudgetExhausted(Budget::Total);
    vec![
        case(
            "network_over_its_rate",
            "F08",
            Rule::RateSubnet,
            register().build(),
            Setup::SubnetExhausted,
        )
        .method(Method::Register),
        case(
            "response_beside_a_network_over_its_rate",
            "F08",
            Rule::Response,
            Message::response("200 OK", "OPTIONS").build(),
            Setup::SubnetExhausted,
        ),
        case("strangers_over_their_budget", "F09", Rule::Greylist, register().build(), total)
            .method(Method::Register),
        case("garbage_beside_a_spent_budget", "F09", Rule::Unparsed, vec![0xa5; 100], total),
        case(
            "garbage_over_the_budget",
            "F09",
            Rule::RateStrangers,
            vec![0xa5; 100],
            Setup::BudgetExhausted(Budget::Other),
        ),
        case("scanner_beside_a_spent_budget", "F09", Rule::Signature, scanner(), total)
            .method(Method::Register)
            .signature("friendly-scanner"),
        case("keepalive_beside_a_spent_budget", "F09", Rule::Keepalive, vec![b'\r', b'\n'], total),
        case(
            "keepalive_over_the_budget",
            "F09",
            Rule::RateStrangers,
            vec![b'\r', b'\n'],
            Setup::BudgetExhausted(Budget::Keepalive),
        ),
        case(
            "response_over_the_budget",
            "F09",
            Rule::RateStrangers,
            Message::response("200 OK", "OPTIONS").build(),
            Setup::BudgetExhausted(Budget::Response),
        ),
        trusted("trusted_peer_beside_a_spent_budget", "F09", total),
        case("too_many_ports", "F10", Rule::Fanout, register().build(), Setup::PortsExhausted)
            .method(Method::Register),
        trusted("trusted_peer_with_many_ports", "F10", Setup::PortsExhausted),
    ]
}

fn capped() -> Vec<Case> {
    let from = |source: &str, method: &str| {
        let message = Message::request(method, "sip:100@203.0.113.1").agent("friendly-scanner");
        Packet::udp(&format!("{source}:5060"), SERVER).payload(message.build())
    };
    let case = |name, expect, packet: Packet, setup| {
        Case::new(name, "F01", expect, packet.build()).setup(setup)
    };
    vec![
        case("capped_peer_calls", Rule::Trusted, from(CAPPED, "INVITE"), Setup::Base),
        case(
            "capped_peer_over_its_class",
            Rule::TrustedCps,
            from(CAPPED, "INVITE"),
            Setup::OverCps,
        )
        .method(Method::Invite),
        case("capped_peer_rings_off", Rule::Trusted, from(CAPPED, "BYE"), Setup::OverCps),
        case("capped_peer_probes", Rule::Trusted, from(CAPPED, "OPTIONS"), Setup::OverCps),
        case("other_peer_calls", Rule::Trusted, from("192.0.2.10", "INVITE"), Setup::OverCps),
    ]
}

fn bans() -> Vec<Case> {
    let case = |name, expect, packet: Packet| {
        Case::new(name, "F14", expect, packet.build()).setup(Setup::Banned)
    };
    vec![
        case("banned_source", Rule::Banned, stranger(register().build())),
        case("banned_source_v6", Rule::Banned, stranger_v6(register().build())),
        case("banned_source_by_tcp", Rule::Banned, Packet::tcp(STRANGER, SERVER)),
        case(
            "later_fragment_of_a_banned_source",
            Rule::Banned,
            stranger(register().build()).fragment(64, 64),
        ),
        case(
            "banned_and_trusted",
            Rule::Trusted,
            Packet::udp("192.0.2.10:5060", SERVER).payload(register().build()),
        ),
        Case::new(
            "source_over_two_limits",
            "F07",
            Rule::RateMethod,
            stranger(register().build()).build(),
        )
        .method(Method::Register)
        .setup(Setup::Exhausted(Class::Register)),
    ]
}
