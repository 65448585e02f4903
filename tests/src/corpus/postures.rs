//! Postures other than guarded, several ports, one protected address.

use sipguard_common::{method::Method, rule::Rule};

use super::{Case, SERVER, STRANGER, Setup, stranger, stranger_v6};
use crate::{packet::Packet, sip::Message};

fn register() -> Vec<u8> {
    Message::request("REGISTER", "sip:203.0.113.1").agent("Phone 1.0").build()
}

fn probe() -> Vec<u8> {
    Message::request("OPTIONS", "sip:100@203.0.113.1").build()
}

pub(super) fn cases() -> Vec<Case> {
    [closed(), open(), ports_and_addresses()].concat()
}

fn closed() -> Vec<Case> {
    let scanner = Message::request("REGISTER", "sip:203.0.113.1").agent("sipcli/v1.8").build();
    let answer = Message::response("200 OK", "OPTIONS").build();
    let case = |name, expect, packet: Packet| {
        Case::new(name, "F44", expect, packet.build()).setup(Setup::Closed)
    };
    vec![
        case("closed_register", Rule::Closed, stranger(register())),
        case("closed_register_v6", Rule::Closed, stranger_v6(register())),
        case("closed_options", Rule::Closed, stranger(probe())),
        case("closed_scanner", Rule::Closed, stranger(scanner)),
        case("closed_keepalive", Rule::Closed, stranger(b"\r\n\r\n")),
        case("closed_response", Rule::Closed, stranger(answer)),
        case("closed_garbage", Rule::Closed, stranger([0xa5; 100])),
        case("closed_first_fragment", Rule::Closed, stranger(register()).fragment(0, 64)),
        case("closed_later_fragment", Rule::Fragment, stranger(register()).fragment(64, 64)),
        case("closed_tcp", Rule::Closed, Packet::tcp(STRANGER, SERVER).payload(probe())),
        case(
            "closed_trusted",
            Rule::Trusted,
            Packet::udp("192.0.2.10:5060", SERVER).payload(probe()),
        ),
        case(
            "closed_blocked",
            Rule::Blocked,
            Packet::udp("203.0.113.66:5060", SERVER).payload(register()),
        ),
        case(
            "closed_other_port",
            Rule::NotSip,
            Packet::udp(STRANGER, "203.0.113.1:16384").payload(probe()),
        ),
    ]
}

fn open() -> Vec<Case> {
    let scanner = Message::request("REGISTER", "sip:203.0.113.1").agent("sipcli/v1.8").build();
    let answer = Message::response("200 OK", "OPTIONS").build();
    let case = |name, expect, packet: Packet| {
        Case::new(name, "F44", expect, packet.build()).setup(Setup::Open)
    };
    vec![
        case("open_register", Rule::Stranger, stranger(register())).method(Method::Register),
        case("open_scanner", Rule::Signature, stranger(scanner))
            .method(Method::Register)
            .signature("sipcli"),
        case("open_keepalive", Rule::Keepalive, stranger(b"\r\n\r\n")),
        case("open_response", Rule::Response, stranger(answer)),
        case("open_garbage", Rule::Unparsed, stranger([0xa5; 100])),
        case(
            "open_trusted",
            Rule::Trusted,
            Packet::udp("192.0.2.10:5060", SERVER).payload(probe()),
        ),
        case(
            "open_blocked",
            Rule::Blocked,
            Packet::udp("203.0.113.66:5060", SERVER).payload(register()),
        ),
    ]
}

fn ports_and_addresses() -> Vec<Case> {
    let second = Packet::udp(STRANGER, "203.0.113.1:5070");
    vec![
        Case::new("first_of_two_ports", "", Rule::Options, stranger(probe()).build())
            .method(Method::Options)
            .setup(Setup::TwoPorts),
        Case::new("second_of_two_ports", "", Rule::Options, second.payload(probe()).build())
            .method(Method::Options)
            .setup(Setup::TwoPorts),
        Case::new("protected_address", "", Rule::Options, stranger(probe()).build())
            .method(Method::Options)
            .setup(Setup::ProtectedAddress),
        Case::new(
            "later_fragment_to_the_protected_address",
            "F12",
            Rule::Fragment,
            stranger(probe()).fragment(64, 64).build(),
        )
        .setup(Setup::ProtectedAddress),
    ]
}
