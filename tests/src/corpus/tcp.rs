//! TCP on a protected port: lists and posture judge it, its content is unread.

use sipguard_common::rule::Rule;

use super::{Case, SERVER, SERVER_V6, STRANGER, STRANGER_V6};
use crate::{
    packet::{Packet, flag},
    sip::Message,
};

fn probe() -> Vec<u8> {
    Message::request("OPTIONS", "sip:100@203.0.113.1").agent("friendly-scanner").build()
}

pub(super) fn cases() -> Vec<Case> {
    let from = |source: &str| Packet::tcp(source, SERVER);
    let case = |name, expect, packet: Packet| Case::new(name, "F11", expect, packet.build());
    vec![
        case("tcp_syn", Rule::Stranger, from(STRANGER).tcp_flags(flag::SYN)),
        case(
            "tcp_syn_v6",
            Rule::Stranger,
            Packet::tcp(STRANGER_V6, SERVER_V6).tcp_flags(flag::SYN),
        ),
        case("tcp_ack", Rule::Stranger, from(STRANGER).tcp_flags(flag::ACK)),
        case("tcp_reset", Rule::Stranger, from(STRANGER).tcp_flags(flag::RST)),
        case("tcp_message", Rule::Stranger, from(STRANGER).payload(probe())),
        case("tcp_message_in_a_vlan", Rule::Stranger, from(STRANGER).payload(probe()).vlan(7)),
        case("tcp_keepalive", Rule::Stranger, from(STRANGER).payload(b"\r\n\r\n")),
        case(
            "tcp_syn_of_a_trusted_peer",
            Rule::Trusted,
            from("192.0.2.10:40000").tcp_flags(flag::SYN),
        ),
        case(
            "tcp_message_of_a_trusted_peer",
            Rule::Trusted,
            from("192.0.2.10:40000").payload(probe()),
        ),
        case(
            "tcp_from_the_port_of_a_trusted_peer",
            Rule::Trusted,
            from("192.0.2.20:5060").payload(probe()),
        ),
        case(
            "tcp_from_another_port_of_a_trusted_peer",
            Rule::Stranger,
            from("192.0.2.20:40000").payload(probe()),
        ),
        case(
            "tcp_syn_of_a_blocked_source",
            Rule::Blocked,
            from("203.0.113.66:40000").tcp_flags(flag::SYN),
        ),
        case(
            "tcp_syn_of_a_blocked_network_v6",
            Rule::Blocked,
            Packet::tcp("[2001:db8:bad::5]:40000", SERVER_V6).tcp_flags(flag::SYN),
        ),
        case(
            "tcp_reset_of_a_blocked_source",
            Rule::Blocked,
            from("203.0.113.66:40000").tcp_flags(flag::RST),
        ),
    ]
}
