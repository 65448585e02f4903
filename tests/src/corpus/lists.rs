//! Trusted and blocked sources (F01, F02): whole addresses, networks at both
//! of their ends and one beyond, addresses with a port.

use sipguard_common::{method::Method, rule::Rule};

use super::{Case, SERVER, SERVER_V6, Setup};
use crate::{packet::Packet, sip::Message};

/// A REGISTER: passes from a stranger, so that `blocked` is the list's doing.
fn register() -> Vec<u8> {
    Message::request("REGISTER", "sip:203.0.113.1").agent("Phone 1.0").build()
}

/// A scanner's OPTIONS: dropped from a stranger, so that `trusted` is.
fn probe() -> Vec<u8> {
    Message::request("REGISTER", "sip:203.0.113.1").agent("friendly-scanner").build()
}

fn to_server(from: &str) -> Packet {
    Packet::udp(from, if from.starts_with('[') { SERVER_V6 } else { SERVER })
}

fn trusted(name: &'static str, from: &str) -> Case {
    Case::new(name, "F01", Rule::Trusted, to_server(from).payload(probe()).build())
}

fn not_trusted(name: &'static str, from: &str) -> Case {
    Case::new(name, "F01", Rule::Signature, to_server(from).payload(probe()).build())
        .method(Method::Register)
        .signature("friendly-scanner")
}

fn blocked(name: &'static str, from: &str) -> Case {
    Case::new(name, "F02", Rule::Blocked, to_server(from).payload(register()).build())
}

fn not_blocked(name: &'static str, from: &str) -> Case {
    Case::new(name, "F02", Rule::Stranger, to_server(from).payload(register()).build())
        .method(Method::Register)
}

pub(super) fn cases() -> Vec<Case> {
    let mut cases = vec![
        trusted("trusted_address", "192.0.2.10:5060"),
        trusted("trusted_address_from_any_port", "192.0.2.10:49152"),
        not_trusted("one_below_a_trusted_address", "192.0.2.9:5060"),
        not_trusted("one_above_a_trusted_address", "192.0.2.11:5060"),
        trusted("trusted_network_first_address", "192.0.2.64:5060"),
        trusted("trusted_network_last_address", "192.0.2.127:1024"),
        not_trusted("one_below_a_trusted_network", "192.0.2.63:5060"),
        not_trusted("one_above_a_trusted_network", "192.0.2.128:5060"),
        trusted("trusted_address_with_port", "192.0.2.20:5060"),
        not_trusted("trusted_address_with_another_port", "192.0.2.20:5061"),
        not_trusted("trusted_address_with_port_in_swapped_byte_order", "192.0.2.20:50195"),
        not_trusted("trusted_port_of_another_address", "192.0.2.21:5060"),
        trusted("trusted_address_v6", "[2001:db8:1::10]:5060"),
        not_trusted("one_above_a_trusted_address_v6", "[2001:db8:1::11]:5060"),
        trusted("trusted_network_first_address_v6", "[2001:db8:1:64::]:5060"),
        trusted("trusted_network_last_address_v6", "[2001:db8:1:64:ffff:ffff:ffff:ffff]:5060"),
        not_trusted("one_below_a_trusted_network_v6", "[2001:db8:1:63:ffff:ffff:ffff:ffff]:5060"),
        not_trusted("one_above_a_trusted_network_v6", "[2001:db8:1:65::]:5060"),
        trusted("trusted_address_with_port_v6", "[2001:db8:1::20]:5060"),
        not_trusted("trusted_address_with_another_port_v6", "[2001:db8:1::20]:5062"),
        trusted("trusted_wins_over_a_longer_block", "192.0.2.70:5060"),
        blocked("blocked_address", "203.0.113.66:5060"),
        blocked("blocked_address_from_any_port", "203.0.113.66:31337"),
        not_blocked("one_below_a_blocked_address", "203.0.113.65:5060"),
        not_blocked("one_above_a_blocked_address", "203.0.113.67:5060"),
        blocked("blocked_network_first_address", "203.0.113.128:5060"),
        blocked("blocked_network_last_address", "203.0.113.255:5060"),
        not_blocked("one_below_a_blocked_network", "203.0.113.127:5060"),
        blocked("blocked_address_v6", "[2001:db8::bad]:5060"),
        not_blocked("one_above_a_blocked_address_v6", "[2001:db8::bae]:5060"),
        blocked("blocked_network_first_address_v6", "[2001:db8:bad::]:5060"),
        blocked("blocked_network_last_address_v6", "[2001:db8:bad:ffff:ffff:ffff:ffff:ffff]:5060"),
        not_blocked(
            "one_below_a_blocked_network_v6",
            "[2001:db8:bac:ffff:ffff:ffff:ffff:ffff]:5060",
        ),
        not_blocked("one_above_a_blocked_network_v6", "[2001:db8:bae::]:5060"),
    ];
    cases.extend(whatever_they_send());
    cases
}

/// Neither list reads what a packet holds.
fn whatever_they_send() -> Vec<Case> {
    let from_trusted = || Packet::udp("192.0.2.10:5060", SERVER);
    let from_blocked = || Packet::udp("203.0.113.66:5060", SERVER);
    let case = Case::new;
    vec![
        case(
            "trusted_keepalive",
            "F01",
            Rule::Trusted,
            from_trusted().payload(b"\r\n\r\n").build(),
        ),
        case("trusted_empty_datagram", "F01", Rule::Trusted, from_trusted().pad().build()),
        case("trusted_garbage", "F01", Rule::Trusted, from_trusted().payload([0xa5; 300]).build()),
        case(
            "trusted_response",
            "F01",
            Rule::Trusted,
            from_trusted().payload(Message::response("200 OK", "OPTIONS").build()).build(),
        ),
        case(
            "trusted_later_fragment",
            "F01",
            Rule::Trusted,
            from_trusted().payload([b'x'; 400]).fragment(200, 200).build(),
        ),
        case(
            "trusted_in_a_vlan",
            "F01",
            Rule::Trusted,
            from_trusted().payload(probe()).vlan(100).build(),
        ),
        case(
            "trusted_to_the_second_port",
            "F01",
            Rule::Trusted,
            Packet::udp("192.0.2.10:5060", "203.0.113.1:5070").payload(probe()).build(),
        )
        .setup(Setup::TwoPorts),
        case(
            "later_fragment_of_an_address_trusted_with_its_port",
            "F01",
            Rule::Fragment,
            Packet::udp("192.0.2.20:5060", SERVER).payload([b'x'; 400]).fragment(200, 200).build(),
        ),
        case(
            "blocked_keepalive",
            "F02",
            Rule::Blocked,
            from_blocked().payload(b"\r\n\r\n").build(),
        ),
        case("blocked_empty_datagram", "F02", Rule::Blocked, from_blocked().build()),
        case("blocked_garbage", "F02", Rule::Blocked, from_blocked().payload([0xa5; 300]).build()),
        case(
            "blocked_scanner_is_not_counted_as_signature",
            "F02",
            Rule::Blocked,
            from_blocked().payload(probe()).build(),
        ),
        case(
            "blocked_response",
            "F02",
            Rule::Blocked,
            from_blocked().payload(Message::response("200 OK", "OPTIONS").build()).build(),
        ),
        case(
            "blocked_first_fragment",
            "F02",
            Rule::Blocked,
            from_blocked().payload([b'x'; 400]).fragment(0, 200).build(),
        ),
        case(
            "blocked_later_fragment",
            "F02",
            Rule::Blocked,
            from_blocked().payload([b'x'; 400]).fragment(200, 200).build(),
        ),
        case(
            "blocked_later_fragment_v6",
            "F02",
            Rule::Blocked,
            Packet::udp("[2001:db8:bad::1]:5060", SERVER_V6)
                .payload([b'x'; 400])
                .fragment(200, 200)
                .build(),
        ),
        case(
            "blocked_in_qinq",
            "F02",
            Rule::Blocked,
            from_blocked()
                .payload(register())
                .tag(crate::packet::ethertype::QINQ, 100)
                .vlan(7)
                .build(),
        ),
    ]
}
