//! Token buckets that are over their limit (F06, F07), and what they must not
//! touch: each class has its own.

use sipguard_common::{
    method::{Class, Method},
    rule::Rule,
};

use super::{Case, SERVER, STRANGER, Setup, stranger, stranger_v6};
use crate::{
    packet::{Packet, flag},
    sip::Message,
};

fn request(method: Method) -> Vec<u8> {
    Message::request(method.name(), "sip:100@203.0.113.1").build()
}

fn case(name: &'static str, class: Class, expect: Rule, packet: &Packet) -> Case {
    Case::new(name, "F07", expect, packet.build()).setup(Setup::Exhausted(class))
}

pub(super) fn cases() -> Vec<Case> {
    [by_method(), by_source(), untouched(), tries()].concat()
}

/// Only a request with credentials is a try.
fn tries() -> Vec<Case> {
    let register = Message::request("REGISTER", "sip:203.0.113.1");
    let credentials = "Digest username=\"200\", realm=\"pbx\", nonce=\"n\", response=\"0\"";
    let guess = register.clone().header("Authorization", credentials);
    let case = |name, expect, message: &Message| {
        Case::new(name, "N08", expect, stranger(message.build()).build())
            .method(Method::Register)
            .setup(Setup::TriesExhausted)
    };
    vec![
        case("guess_over_the_tries", Rule::RateAuth, &guess),
        case("register_over_the_tries", Rule::Stranger, &register),
    ]
}

fn by_method() -> Vec<Case> {
    let over = |name, method: Method| {
        case(name, method.class(), Rule::RateMethod, &stranger(request(method))).method(method)
    };
    let unknown = stranger(b"SERVICE sip:100@203.0.113.1 SIP/2.0\r\n\r\n");
    let answer = stranger(Message::response("200 OK", "OPTIONS").build());
    vec![
        over("register_over_its_limit", Method::Register),
        over("invite_over_its_limit", Method::Invite),
        over("subscribe_over_its_limit", Method::Subscribe),
        over("message_over_its_limit", Method::Message),
        over("publish_over_its_limit", Method::Publish),
        over("ack_over_its_limit", Method::Ack),
        over("bye_over_its_limit", Method::Bye),
        over("cancel_over_its_limit", Method::Cancel),
        over("update_over_its_limit", Method::Update),
        over("prack_over_its_limit", Method::Prack),
        over("info_over_its_limit", Method::Info),
        over("notify_over_its_limit", Method::Notify),
        over("refer_over_its_limit", Method::Refer),
        case(
            "register_over_its_limit_v6",
            Class::Register,
            Rule::RateMethod,
            &stranger_v6(request(Method::Register)),
        )
        .method(Method::Register),
        case("unknown_method_over_its_limit", Class::Other, Rule::RateMethod, &unknown),
        case("garbage_over_its_limit", Class::Other, Rule::RateMethod, &stranger([0xa5; 200])),
        case("response_over_its_limit", Class::Response, Rule::RateMethod, &answer),
        case(
            "keepalive_over_its_limit",
            Class::Keepalive,
            Rule::RateMethod,
            &stranger(b"\r\n\r\n"),
        ),
    ]
}

fn by_source() -> Vec<Case> {
    let total = |name, expect, packet: Packet| case(name, Class::Total, expect, &packet);
    let unknown = stranger(b"SERVICE sip:100@203.0.113.1 SIP/2.0\r\n\r\n");
    let answer = stranger(Message::response("200 OK", "OPTIONS").build());
    vec![
        total(
            "register_of_an_exhausted_source",
            Rule::RateSource,
            stranger(request(Method::Register)),
        )
        .method(Method::Register),
        total(
            "invite_of_an_exhausted_source_v6",
            Rule::RateSource,
            stranger_v6(request(Method::Invite)),
        )
        .method(Method::Invite),
        total("unknown_method_of_an_exhausted_source", Rule::RateSource, unknown),
        total("garbage_of_an_exhausted_source", Rule::RateSource, stranger([0xa5; 200])),
        // The total counts requests: what keeps a mapping open or answers the
        // server has buckets of its own.
        total("keepalive_of_an_exhausted_source", Rule::Keepalive, stranger(b"\r\n\r\n")),
        total("response_of_an_exhausted_source", Rule::Response, answer),
    ]
}

fn untouched() -> Vec<Case> {
    let scanner = Message::request("REGISTER", "sip:203.0.113.1").agent("sipcli").build();
    let passes = |name, class, method: Method| {
        case(name, class, Rule::Stranger, &stranger(request(method))).method(method)
    };
    vec![
        passes("invite_beside_exhausted_register", Class::Register, Method::Invite),
        passes("register_beside_exhausted_invite", Class::Invite, Method::Register),
        passes("ack_beside_exhausted_invite", Class::Invite, Method::Ack),
        passes("bye_beside_exhausted_event", Class::Event, Method::Bye),
        passes("register_beside_exhausted_other", Class::Other, Method::Register),
        passes("register_beside_exhausted_keepalive", Class::Keepalive, Method::Register),
        case("signature_before_limits", Class::Register, Rule::Signature, &stranger(scanner))
            .method(Method::Register)
            .signature("sipcli alone"),
        case(
            "trusted_has_no_limit",
            Class::Total,
            Rule::Trusted,
            &Packet::udp("192.0.2.10:5060", SERVER).payload(request(Method::Invite)),
        ),
        case(
            "blocked_before_limits",
            Class::Total,
            Rule::Blocked,
            &Packet::udp("203.0.113.66:5060", SERVER).payload(request(Method::Invite)),
        ),
        case(
            "later_fragment_has_no_limit",
            Class::Total,
            Rule::Fragment,
            &stranger(request(Method::Invite)).fragment(64, 64),
        ),
        case(
            "tcp_has_no_limit_yet",
            Class::Total,
            Rule::Stranger,
            &Packet::tcp(STRANGER, SERVER).tcp_flags(flag::SYN),
        ),
    ]
}
