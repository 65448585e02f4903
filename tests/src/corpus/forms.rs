//! Forms of packets (F12): tags, IP options, extension headers, fragments,
//! lengths that disagree, padding, checksums, jumbo frames.

use sipguard_common::{method::Method, rule::Rule};

use super::{Case, SERVER, SERVER_V6, STRANGER, STRANGER_V6, stranger, stranger_v6};
use crate::{
    packet::{Packet, ethertype, protocol},
    sip::{Message, sdp},
};

fn probe() -> Vec<u8> {
    Message::request("OPTIONS", "sip:100@203.0.113.1").build()
}

/// A probe that is dropped in whatever form it comes.
fn options(name: &'static str, packet: Packet) -> Case {
    Case::new(name, "F12", Rule::Options, packet.build()).method(Method::Options)
}

pub(super) fn cases() -> Vec<Case> {
    [headers(), extensions(), fragments(), lengths(), jumbo()].concat()
}

fn headers() -> Vec<Case> {
    let v4 = || stranger(probe());
    let v6 = || stranger_v6(probe());
    vec![
        options("plain_v4", v4()),
        options("plain_v6", v6()),
        options("vlan", v4().vlan(7)),
        options("vlan_with_priority", v4().tag(ethertype::VLAN, 0xe007)),
        options("vlan_zero", v4().vlan(0)),
        options("vlan_v6", v6().vlan(7)),
        options("qinq", v4().tag(ethertype::QINQ, 100).vlan(7)),
        options("qinq_old_ethertype", v4().tag(ethertype::QINQ_OLD, 100).vlan(7)),
        options("two_plain_vlan_tags", v4().vlan(100).vlan(7)),
        options("qinq_v6", v6().tag(ethertype::QINQ, 100).vlan(7)),
        options("single_service_tag", v4().tag(ethertype::QINQ, 100)),
        options("ipv4_one_option_word", v4().ipv4_options(&[1])),
        options("ipv4_router_alert", v4().ipv4_options(&[0x94, 4, 0, 0])),
        options(
            "ipv4_record_route_of_full_length",
            v4().ipv4_options(&[&[7, 39, 4][..], &[0; 37]].concat()),
        ),
        options("ipv4_options_in_a_vlan", v4().ipv4_options(&[1; 12]).vlan(7)),
        // Options that hold what a filter with a fixed header length would
        // take for the UDP header of another port.
        options(
            "ipv4_options_that_look_like_ports",
            v4().ipv4_options(&[0x44, 8, 5, 0, 0x40, 0, 0x40, 0]),
        ),
        options("udp_without_checksum", v4().no_checksum()),
        options("udp_with_wrong_checksum", v4().wrong_checksum()),
        options("source_port_zero", Packet::udp("198.51.100.7:0", SERVER).payload(probe())),
        options(
            "source_port_is_the_protected_one",
            Packet::udp("198.51.100.7:5060", SERVER).payload(probe()),
        ),
    ]
}

fn extensions() -> Vec<Case> {
    let v6 = || stranger_v6(probe());
    let chain = || {
        v6().padding_extension(protocol::HOP_BY_HOP)
            .padding_extension(protocol::DESTINATION)
            .extension(protocol::ROUTING, &[4, 0, 0, 0, 0, 0])
            .padding_extension(protocol::DESTINATION)
    };
    vec![
        options("hop_by_hop_header", v6().padding_extension(protocol::HOP_BY_HOP)),
        options("destination_header", v6().padding_extension(protocol::DESTINATION)),
        options("routing_header", v6().extension(protocol::ROUTING, &[4, 0, 0, 0, 0, 0])),
        options("long_destination_header", v6().extension(protocol::DESTINATION, &[0; 254])),
        options("four_extension_headers", chain()),
        options("four_extension_headers_in_a_vlan", chain().vlan(7)),
        options(
            "eight_extension_headers",
            (0..8).fold(v6(), |packet, _| packet.padding_extension(protocol::DESTINATION)),
        ),
        options("fragment_header_of_a_whole_packet", v6().fragment(0, 9999)),
        options(
            "fragment_header_behind_others",
            v6().padding_extension(protocol::HOP_BY_HOP).fragment(0, 9999),
        ),
    ]
}

fn fragments() -> Vec<Case> {
    let invite = Message::request("INVITE", "sip:100@203.0.113.1")
        .header("Contact", "<sip:200@198.51.100.7:5061>")
        .body("application/sdp", sdp().repeat(9))
        .build();
    let scanner = Message::request("REGISTER", "sip:203.0.113.1")
        .agent("friendly-scanner")
        .header("Subject", &"x".repeat(1200))
        .build();
    let fragment = |name, id, packet: Packet| Case::new(name, id, Rule::Fragment, packet.build());
    vec![
        options("first_fragment", stranger(probe()).fragment(0, 128)),
        options("first_fragment_v6", stranger_v6(probe()).fragment(0, 128)),
        Case::new(
            "first_fragment_of_a_call",
            "L24",
            Rule::Stranger,
            stranger(&invite).fragment(0, 1480).build(),
        )
        .method(Method::Invite),
        fragment("later_fragment_of_a_call", "L24", stranger(&invite).fragment(1480, 1480)),
        fragment("later_fragment_of_a_call_v6", "L24", stranger_v6(&invite).fragment(1448, 1448)),
        Case::new(
            "first_fragment_of_a_scanner",
            "F12",
            Rule::Signature,
            stranger(&scanner).fragment(0, 1000).build(),
        )
        .method(Method::Register)
        .signature("friendly-scanner"),
        Case::new(
            "first_fragment_of_a_scanner_v6",
            "F12",
            Rule::Signature,
            stranger_v6(&scanner).fragment(0, 1000).build(),
        )
        .method(Method::Register)
        .signature("friendly-scanner"),
        fragment("middle_fragment", "F12", stranger(&scanner).fragment(496, 496)),
        fragment("last_fragment", "F12", stranger(&scanner).fragment(992, 992)),
        // The next 8 bytes of a datagram whose first fragment was only its header.
        fragment("second_of_tiny_fragments", "F12", stranger(probe()).fragment(8, 8)),
        Case::new(
            "first_of_tiny_fragments",
            "F12",
            Rule::Keepalive,
            stranger(probe()).fragment(0, 8).build(),
        ),
        fragment(
            "later_fragment_behind_options",
            "F12",
            stranger(probe()).ipv4_options(&[1; 4]).fragment(64, 64),
        ),
        fragment("later_fragment_in_a_vlan", "F12", stranger(probe()).vlan(7).fragment(64, 64)),
        fragment(
            "later_fragment_behind_extension_headers",
            "F12",
            stranger_v6(probe()).padding_extension(protocol::HOP_BY_HOP).fragment(64, 64),
        ),
        // Bytes of a later fragment where the ports of a first one stand.
        fragment(
            "later_fragment_that_looks_like_another_port",
            "F12",
            stranger([0xff; 400]).fragment(64, 64),
        ),
        fragment(
            "later_fragment_of_tcp",
            "F12",
            Packet::tcp(STRANGER, SERVER).payload(probe()).fragment(64, 64),
        ),
        fragment(
            "later_fragment_of_tcp_v6",
            "F12",
            Packet::tcp(STRANGER_V6, SERVER_V6).payload(probe()).fragment(64, 64),
        ),
    ]
}

fn lengths() -> Vec<Case> {
    let scanner = Message::request("REGISTER", "sip:203.0.113.1").agent("friendly-scanner").build();
    let clean_part = scanner.windows(4).position(|w| w == b"User").unwrap_or(0) as u16;
    let keepalive = |name, packet: Packet| Case::new(name, "F12", Rule::Keepalive, packet.build());
    vec![
        // The rest of the frame is padding to the server, whatever it spells.
        Case::new(
            "udp_length_ends_before_the_user_agent",
            "F12",
            Rule::Stranger,
            stranger(&scanner).udp_length(8 + clean_part).build(),
        )
        .method(Method::Register),
        keepalive("udp_length_ends_after_eleven_bytes", stranger(probe()).udp_length(8 + 11)),
        options("udp_length_ends_after_twelve_bytes", stranger(probe()).udp_length(8 + 12)),
        keepalive("udp_length_of_an_empty_datagram", stranger(probe()).udp_length(8)),
        options("udp_length_zero", stranger(probe()).udp_length(0)),
        options("udp_length_below_its_header", stranger(probe()).udp_length(7)),
        options("udp_length_longer_than_the_packet", stranger(probe()).udp_length(9000)),
        options("udp_length_longest", stranger(probe()).udp_length(u16::MAX)),
        options("udp_length_longer_than_the_packet_v6", stranger_v6(probe()).udp_length(9000)),
        keepalive("ip_length_ends_after_eleven_bytes", stranger(probe()).ip_length(20 + 8 + 11)),
        keepalive("ip_length_ends_after_eleven_bytes_v6", stranger_v6(probe()).ip_length(8 + 11)),
        options("ip_length_longer_than_the_frame", stranger(probe()).ip_length(9000)),
        options("ip_length_longer_than_the_frame_v6", stranger_v6(probe()).ip_length(9000)),
        options("frame_cut_in_the_message", stranger(probe()).cut(100)),
        keepalive("frame_cut_after_eleven_bytes", stranger(probe()).cut(42 + 11)),
        keepalive("padded_to_the_shortest_frame", stranger(b"OPTIONS sip").pad()),
        keepalive("padded_empty_datagram", stranger(b"").pad()),
    ]
}

fn jumbo() -> Vec<Case> {
    let large = |agent_first: bool| {
        let message = Message::request("INVITE", "sip:100@203.0.113.1");
        let long = "x".repeat(2400);
        let message = if agent_first {
            message.agent("friendly-scanner").header("Subject", &long)
        } else {
            message.header("Subject", &long).agent("friendly-scanner")
        };
        message.build()
    };
    vec![
        Case::new("jumbo_scanner", "F12", Rule::Signature, stranger(large(true)).build())
            .method(Method::Invite)
            .signature("friendly-scanner"),
        // Beyond the 1472 bytes that an Ethernet frame of 1500 could carry,
        // payloads are not read.
        Case::new(
            "jumbo_scanner_beyond_what_is_read",
            "F12",
            Rule::Stranger,
            stranger(large(false)).build(),
        )
        .method(Method::Invite),
        Case::new(
            "jumbo_options",
            "F12",
            Rule::Options,
            stranger([probe(), vec![b'x'; 2500]].concat()).build(),
        )
        .method(Method::Options),
        Case::new(
            "jumbo_options_in_several_pages",
            "F12",
            Rule::Options,
            stranger([probe(), vec![b'x'; 8400]].concat()).build(),
        )
        .method(Method::Options),
    ]
}
