//! TCP on a protected port: connections by lists and limits, segments by what
//! is seen of their messages.

use sipguard_common::{
    method::{Budget, Class, Method},
    rule::Rule,
};

use super::{Case, SERVER, SERVER_V6, STRANGER, STRANGER_V6, Setup};
use crate::{
    packet::{Packet, flag},
    sip::{Message, sdp},
};

const TLS_SERVER: &str = "203.0.113.1:5061";

fn probe() -> Vec<u8> {
    Message::request("OPTIONS", "sip:100@203.0.113.1").agent("friendly-scanner").build()
}

fn register() -> Message {
    Message::request("REGISTER", "sip:203.0.113.1").agent("Phone 1.0")
}

fn scan() -> Vec<u8> {
    Message::request("REGISTER", "sip:203.0.113.1").agent("friendly-scanner").build()
}

fn invite() -> Message {
    Message::request("INVITE", "sip:100@203.0.113.1").agent("Phone 1.0")
}

fn from(source: &str) -> Packet {
    Packet::tcp(source, SERVER)
}

fn case(name: &'static str, expect: Rule, packet: &Packet) -> Case {
    Case::new(name, "F11", expect, packet.build())
}

/// A segment of a stranger.
fn segment(name: &'static str, expect: Rule, payload: impl AsRef<[u8]>) -> Case {
    case(name, expect, &from(STRANGER).payload(payload))
}

fn hit(name: &'static str, method: Option<Method>, payload: impl AsRef<[u8]>) -> Case {
    let case = segment(name, Rule::Signature, payload).signature("friendly-scanner");
    match method {
        Some(method) => case.method(method),
        None => case,
    }
}

pub(super) fn cases() -> Vec<Case> {
    [connections(), listed(), messages(), pieces(), tls()].concat()
}

fn connections() -> Vec<Case> {
    let syn = || from(STRANGER).tcp_flags(flag::SYN);
    vec![
        case("tcp_syn", Rule::Stranger, &syn()),
        case(
            "tcp_syn_v6",
            Rule::Stranger,
            &Packet::tcp(STRANGER_V6, SERVER_V6).tcp_flags(flag::SYN),
        ),
        case("tcp_syn_over_its_rate", Rule::SynRate, &syn()).setup(Setup::Exhausted(Class::Syn)),
        case("tcp_syn_over_the_budget", Rule::RateStrangers, &syn())
            .setup(Setup::BudgetExhausted(Budget::Syn)),
        case("tcp_syn_over_the_rate_of_its_network", Rule::RateSubnet, &syn())
            .setup(Setup::SubnetExhausted),
        case("tcp_syn_beside_a_spent_budget_of_requests", Rule::Stranger, &syn())
            .setup(Setup::BudgetExhausted(Budget::Total)),
        case("tcp_syn_ack", Rule::Stranger, &from(STRANGER).tcp_flags(flag::SYN | flag::ACK))
            .setup(Setup::Exhausted(Class::Syn)),
        case("tcp_ack", Rule::Stranger, &from(STRANGER).tcp_flags(flag::ACK))
            .setup(Setup::Exhausted(Class::Syn)),
        case("tcp_reset", Rule::Stranger, &from(STRANGER).tcp_flags(flag::RST)),
        Case::new(
            "tcp_cut_in_its_header",
            "F12",
            Rule::Stranger,
            from(STRANGER).payload(scan()).cut(46).build(),
        ),
    ]
}

fn listed() -> Vec<Case> {
    vec![
        case(
            "tcp_syn_of_a_trusted_peer",
            Rule::Trusted,
            &from("192.0.2.10:40000").tcp_flags(flag::SYN),
        ),
        case(
            "tcp_message_of_a_trusted_peer",
            Rule::Trusted,
            &from("192.0.2.10:40000").payload(probe()),
        ),
        case(
            "tcp_from_the_port_of_a_trusted_peer",
            Rule::Trusted,
            &from("192.0.2.20:5060").payload(probe()),
        ),
        case(
            "tcp_from_another_port_of_a_trusted_peer",
            Rule::Options,
            &from("192.0.2.20:40000").payload(probe()),
        )
        .method(Method::Options),
        case(
            "tcp_syn_of_a_blocked_source",
            Rule::Blocked,
            &from("203.0.113.66:40000").tcp_flags(flag::SYN),
        ),
        case(
            "tcp_syn_of_a_blocked_network_v6",
            Rule::Blocked,
            &Packet::tcp("[2001:db8:bad::5]:40000", SERVER_V6).tcp_flags(flag::SYN),
        ),
        case(
            "tcp_reset_of_a_blocked_source",
            Rule::Blocked,
            &from("203.0.113.66:40000").tcp_flags(flag::RST),
        ),
        case("tcp_ack_of_a_banned_source", Rule::Banned, &from(STRANGER).tcp_flags(flag::ACK))
            .setup(Setup::Banned),
    ]
}

fn messages() -> Vec<Case> {
    let two = |first: Message, second: Vec<u8>| [first.build(), second].concat();
    let with_body = || invite().body("application/sdp", sdp());
    vec![
        segment("tcp_message", Rule::Stranger, register().build()).method(Method::Register),
        segment("tcp_options", Rule::Options, probe()).method(Method::Options),
        case("tcp_options_in_a_vlan", Rule::Options, &from(STRANGER).payload(probe()).vlan(7))
            .method(Method::Options),
        segment("tcp_over_the_rate", Rule::RateMethod, register().build())
            .method(Method::Register)
            .setup(Setup::Exhausted(Class::Register)),
        segment("tcp_response", Rule::Response, Message::response("200 OK", "OPTIONS").build())
            .setup(Setup::Exhausted(Class::Response)),
        segment("tcp_keepalive", Rule::Keepalive, b"\r\n\r\n")
            .setup(Setup::Exhausted(Class::Keepalive)),
        hit("tcp_scanner", Some(Method::Register), scan()),
        case(
            "tcp_scanner_v6",
            Rule::Signature,
            &Packet::tcp(STRANGER_V6, SERVER_V6).payload(scan()),
        )
        .method(Method::Register)
        .signature("friendly-scanner"),
        hit(
            "tcp_scanner_behind_keepalives",
            Some(Method::Register),
            [b"\r\n\r\n", &scan()[..]].concat(),
        ),
        hit("tcp_scanner_behind_a_message", Some(Method::Register), two(register(), scan())),
        hit("tcp_scanner_behind_a_body", Some(Method::Register), two(with_body(), scan())),
        hit(
            "tcp_scanner_behind_a_message_and_a_keepalive",
            Some(Method::Register),
            [register().build(), b"\r\n\r\n".to_vec(), scan()].concat(),
        ),
        segment("tcp_options_behind_a_message", Rule::Options, two(register(), probe()))
            .method(Method::Options),
        segment("tcp_several_messages", Rule::Stranger, two(with_body(), register().build()))
            .method(Method::Register),
    ]
    .into_iter()
    .chain([Case::new(
        "tcp_body_that_quotes_a_scanner",
        "L14",
        Rule::Stranger,
        from(STRANGER)
            .payload(
                Message::request("MESSAGE", "sip:100@203.0.113.1")
                    .body("text/plain", b"look:\r\nUser-Agent: friendly-scanner\r\n")
                    .build(),
            )
            .build(),
    )
    .method(Method::Message)])
    .collect()
}

/// A message that was split: judged by what is seen, never dropped for it.
fn pieces() -> Vec<Case> {
    let message = register().build();
    let piece = |name, from: usize, to: usize, expect| {
        let frame = self::from(STRANGER).payload(&message[from..to]).build();
        Case::new(name, "L22", expect, frame)
    };
    let scan = scan();
    let agent = scan.windows(10).position(|bytes| bytes == b"User-Agent").unwrap_or(0);
    vec![
        piece("tcp_first_bytes_of_a_message", 0, 5, Rule::Keepalive)
            .setup(Setup::Exhausted(Class::Keepalive)),
        piece("tcp_first_half_of_a_message", 0, 100, Rule::Stranger).method(Method::Register),
        piece("tcp_second_half_of_a_message", 100, message.len(), Rule::Unparsed)
            .setup(Setup::Exhausted(Class::Other)),
        piece("tcp_last_bytes_of_a_message", message.len() - 4, message.len(), Rule::Keepalive)
            .setup(Setup::Exhausted(Class::Keepalive)),
        segment("tcp_rest_that_starts_with_a_method", Rule::Unparsed, b"INVITE\r\nTo: <sip:x>\r\n"),
        segment("tcp_rest_that_is_a_method", Rule::Unparsed, b"REGISTER\r\n\r\n"),
        segment("tcp_first_word_of_a_message", Rule::Unparsed, b"OPTIONS"),
        hit("tcp_scanner_split_before_its_agent", None, &scan[agent - 20..]),
        segment("tcp_scanner_split_in_its_agent", Rule::Unparsed, &scan[agent + 4..]),
    ]
}

fn tls() -> Vec<Case> {
    let tls = |source: &str| Packet::tcp(source, TLS_SERVER);
    let case = |name, expect, packet: Packet| Case::new(name, "L23", expect, packet.build());
    vec![
        case("tls_bytes_that_spell_a_scanner", Rule::Stranger, tls(STRANGER).payload(scan())),
        case("tls_handshake", Rule::Stranger, tls(STRANGER).payload([0x16, 3, 1, 2, 0])),
        case("tls_trusted", Rule::Trusted, tls("192.0.2.10:40000").payload(scan())),
        Case::new(
            "tls_syn_over_its_rate",
            "F11",
            Rule::SynRate,
            tls(STRANGER).tcp_flags(flag::SYN).build(),
        )
        .setup(Setup::Exhausted(Class::Syn)),
        Case::new(
            "tls_blocked",
            "F11",
            Rule::Blocked,
            tls("203.0.113.66:40000").payload([0x16, 3, 1, 2, 0]).build(),
        ),
        case("tls_port_by_udp", Rule::NotSip, Packet::udp(STRANGER, TLS_SERVER).payload(scan())),
    ]
}
