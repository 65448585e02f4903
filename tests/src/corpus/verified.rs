//! Who is verified, and who is beside such.

use sipguard_common::{
    method::{Class, Method},
    rule::Rule,
};

use super::{Case, Setup, stranger, stranger_v6};
use crate::{
    packet::{Packet, flag},
    sip::Message,
};

fn request(method: Method) -> Message {
    Message::request(method.name(), "sip:100@203.0.113.1")
}

pub(super) fn cases() -> Vec<Case> {
    [endpoints(), limits(), sites()].concat()
}

fn endpoints() -> Vec<Case> {
    let case = |name, id, expect, payload: Vec<u8>| {
        Case::new(name, id, expect, stranger(payload).build()).setup(Setup::Verified)
    };
    let ask = |name, id, method: Method| {
        case(name, id, Rule::Verified, request(method).build()).method(method)
    };
    let scanner = request(Method::Register).agent("friendly-scanner").build();
    let syn = Packet::tcp(super::STRANGER, super::SERVER).tcp_flags(flag::SYN);
    let banned = stranger(request(Method::Invite).build());
    let v6 = stranger_v6(request(Method::Options).build());
    vec![
        ask("verified_options", "L17", Method::Options),
        ask("verified_register", "F20", Method::Register),
        ask("verified_publish", "L20", Method::Publish),
        ask("verified_subscribe", "L20", Method::Subscribe),
        ask("verified_notify", "L20", Method::Notify),
        ask("verified_message", "L20", Method::Message),
        ask("verified_prack", "L20", Method::Prack),
        ask("verified_info", "L20", Method::Info),
        ask("verified_refer", "L20", Method::Refer),
        case("verified_scanner", "F04", Rule::Signature, scanner)
            .method(Method::Register)
            .signature("friendly-scanner"),
        case("verified_keepalive", "L11", Rule::Keepalive, b"\r\n\r\n".to_vec()),
        case("verified_garbage", "F13", Rule::Unparsed, vec![0xa5; 100]),
        Case::new("verified_v6", "L25", Rule::Verified, v6.build())
            .method(Method::Options)
            .setup(Setup::Verified),
        Case::new("verified_over_tcp", "L22", Rule::Stranger, syn.build()).setup(Setup::Site),
        Case::new("verified_and_its_source_banned", "L31", Rule::Verified, banned.build())
            .method(Method::Invite)
            .setup(Setup::VerifiedBanned),
    ]
}

fn limits() -> Vec<Case> {
    let over = |name, method: Method, class| {
        Case::new(name, "F07", Rule::RateVerified, stranger(request(method).build()).build())
            .method(method)
            .setup(Setup::VerifiedExhausted(class))
    };
    let other = stranger(request(Method::Bye).build());
    vec![
        over("verified_over_its_register_limit", Method::Register, Class::Register),
        over("verified_over_its_options_limit", Method::Options, Class::Options),
        over("verified_over_all_its_limits", Method::Invite, Class::Total),
        Case::new("verified_over_another_limit", "F07", Rule::Verified, other.build())
            .method(Method::Bye)
            .setup(Setup::VerifiedExhausted(Class::Invite)),
    ]
}

fn sites() -> Vec<Case> {
    let case = |name, expect, method: Method, setup| {
        Case::new(name, "F24", expect, stranger(request(method).build()).build())
            .method(method)
            .setup(setup)
    };
    vec![
        case("options_beside_a_customer", Rule::Options, Method::Options, Setup::Site),
        case("register_beside_a_customer", Rule::Stranger, Method::Register, Setup::Site),
        case(
            "register_beside_a_customer_where_closed",
            Rule::Stranger,
            Method::Register,
            Setup::SiteClosed,
        ),
    ]
}
