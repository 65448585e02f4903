//! What is none of the filter's business (L26): other protocols, other ports,
//! and frames whose headers are broken or cut.

use sipguard_common::rule::Rule;

use super::{Case, SERVER, SERVER_V6, STRANGER, STRANGER_V6, Setup, stranger, stranger_v6};
use crate::{
    packet::{self, Packet, ethertype, flag, protocol},
    sip::Message,
};

/// What a stranger would lose at once on the protected port.
fn probe() -> Vec<u8> {
    Message::request("OPTIONS", "sip:100@203.0.113.1").agent("friendly-scanner").build()
}

fn not_sip(name: &'static str, id: &'static str, frame: Vec<u8>) -> Case {
    Case::new(name, id, Rule::NotSip, frame)
}

/// A datagram to another port of the server.
fn to_port(port: u16, payload: &[u8]) -> Packet {
    Packet::udp(STRANGER, &format!("203.0.113.1:{port}")).payload(payload)
}

pub(super) fn cases() -> Vec<Case> {
    [other_ports(), other_protocols(), broken()].concat()
}

fn other_ports() -> Vec<Case> {
    let rtp = [&[0x80, 0x08, 0, 1, 0, 0, 0, 0xa0, 0x11, 0x22, 0x33, 0x44][..], &[0xd5; 160]];
    let spelled =
        [rtp[0], b"OPTIONS sip:100@203.0.113.1 SIP/2.0\r\nUser-Agent: friendly-scanner\r\n"];
    vec![
        not_sip("rtp", "L26", to_port(16384, &rtp.concat()).build()),
        not_sip("rtp_that_spells_options", "L26", to_port(16384, &spelled.concat()).build()),
        not_sip("rtp_payload_starts_with_options", "L26", to_port(20000, &probe()).build()),
        not_sip("rtcp", "L26", to_port(16385, &[0x80, 0xc9, 0, 1, 1, 2, 3, 4]).build()),
        not_sip(
            "dns_query",
            "L26",
            to_port(53, b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x03www\0\0\x01\0\x01").build(),
        ),
        not_sip(
            "h323_ras",
            "L26",
            to_port(1719, &[0x0e, 0x80, 0, 0, 6, 0, 8, 0x91, 0x4a, 0]).build(),
        ),
        not_sip("tftp_read", "L26", to_port(69, b"\0\x01phone.cnf\0octet\0").build()),
        not_sip("port_one_above", "L26", to_port(5061, &probe()).build()),
        not_sip("port_one_below", "L26", to_port(5059, &probe()).build()),
        not_sip(
            "port_in_swapped_byte_order",
            "L26",
            to_port(5060u16.swap_bytes(), &probe()).build(),
        ),
        not_sip("port_of_second_listener_not_configured", "L26", to_port(5070, &probe()).build()),
        not_sip("port_zero", "L26", to_port(0, &probe()).build()),
        not_sip(
            "source_port_alone_protects_nothing",
            "L26",
            Packet::udp("198.51.100.7:5060", "203.0.113.1:5080").payload(probe()).build(),
        ),
        not_sip(
            "port_of_no_listener_v6",
            "L26",
            Packet::udp(STRANGER_V6, "[2001:db8:2::1]:5080").payload(probe()).build(),
        ),
        not_sip(
            "blocked_source_to_another_port",
            "L26",
            Packet::udp("203.0.113.66:5060", "203.0.113.1:4500").payload(probe()).build(),
        ),
        not_sip("port_beside_two_protected", "L26", to_port(5071, &probe()).build())
            .setup(Setup::TwoPorts),
        not_sip(
            "other_address_than_the_protected_one",
            "L26",
            Packet::udp(STRANGER, "203.0.113.2:5060").payload(probe()).build(),
        )
        .setup(Setup::ProtectedAddress),
        not_sip("v6_where_only_a_v4_address_is_protected", "L26", stranger_v6(probe()).build())
            .setup(Setup::ProtectedAddress),
        not_sip(
            "blocked_source_to_an_address_not_protected",
            "L26",
            Packet::udp("203.0.113.66:5060", "203.0.113.2:5060").payload(probe()).build(),
        )
        .setup(Setup::ProtectedAddress),
        not_sip(
            "later_fragment_to_an_address_not_protected",
            "L26",
            Packet::udp(STRANGER, "203.0.113.2:5060").payload(probe()).fragment(64, 64).build(),
        )
        .setup(Setup::ProtectedAddress),
    ]
}

fn other_protocols() -> Vec<Case> {
    let raw = |number| {
        Packet::raw(STRANGER, SERVER, number)
            .payload(stranger(probe()).build().split_off(34))
            .build()
    };
    let tcp = |port: u16| Packet::tcp(STRANGER, &format!("203.0.113.1:{port}"));
    let inner = stranger(probe()).build();
    vec![
        not_sip("ssh", "L26", tcp(22).payload(b"SSH-2.0-OpenSSH_9.2p1\r\n").build()),
        not_sip(
            "web",
            "L26",
            tcp(80).payload(b"GET / HTTP/1.1\r\nHost: x\r\nUser-Agent: sipcli\r\n\r\n").build(),
        ),
        not_sip("web_syn", "L26", tcp(443).tcp_flags(flag::SYN).build()),
        not_sip("mysql", "L26", tcp(3306).payload(b"\x20\0\0\x01\x85\xa6\x03\0").build()),
        not_sip(
            "h323_call_signalling",
            "L26",
            tcp(1720).payload(b"\x03\0\0\x08\x08\x02\0\x01").build(),
        ),
        not_sip("arp_request", "L26", packet::arp([198, 51, 100, 7], [203, 0, 113, 1])),
        not_sip(
            "icmp_echo",
            "L26",
            Packet::icmp(STRANGER, SERVER, 8, 0, b"\0\x01\0\x01pingpingping").build(),
        ),
        not_sip(
            "icmp_port_unreachable_quotes_sip",
            "L26",
            Packet::icmp(STRANGER, SERVER, 3, 3, &[&[0; 4], &inner[14..]].concat()).build(),
        ),
        not_sip(
            "icmpv6_echo",
            "L26",
            Packet::icmp(STRANGER_V6, SERVER_V6, 128, 0, b"\0\x01\0\x01ping").build(),
        ),
        not_sip(
            "icmp_from_a_blocked_source",
            "L26",
            Packet::icmp("203.0.113.66:0", SERVER, 8, 0, b"\0\x01\0\x01").build(),
        ),
        not_sip("udp_lite", "L26", raw(protocol::UDP_LITE)),
        not_sip("sctp", "L26", raw(protocol::SCTP)),
        not_sip("gre", "L26", raw(protocol::GRE)),
        not_sip(
            "ip_in_ip",
            "L26",
            Packet::raw(STRANGER, SERVER, protocol::IPIP).payload(&inner[14..]).build(),
        ),
        not_sip(
            "no_next_header_v6",
            "L26",
            Packet::raw(STRANGER_V6, SERVER_V6, protocol::NONE).payload(probe()).build(),
        ),
        not_sip(
            "later_fragment_of_icmp",
            "L26",
            Packet::raw(STRANGER, SERVER, protocol::ICMP).payload(probe()).fragment(64, 64).build(),
        ),
        not_sip(
            "pppoe",
            "L26",
            packet::ethernet(
                &[],
                ethertype::PPPOE,
                &[&[0x11, 0, 0, 1, 1, 0, 0, 0x21][..], &inner[14..]].concat(),
            ),
        ),
        not_sip(
            "mpls",
            "L26",
            packet::ethernet(&[], ethertype::MPLS, &[&[0, 1, 1, 64][..], &inner[14..]].concat()),
        ),
        not_sip(
            "llc_of_spanning_tree",
            "L26",
            packet::ethernet(&[], 38, &[&[0x42, 0x42, 3][..], &[0; 43]].concat()),
        ),
    ]
}

/// What the headers claim is not there.
fn broken() -> Vec<Case> {
    let v4 = || stranger(probe());
    let v6 = || stranger_v6(probe());
    vec![
        not_sip("frame_of_an_ethernet_header_alone", "F12", v4().cut(14).build()),
        not_sip("frame_ends_in_a_vlan_tag", "F12", v4().vlan(7).cut(16).build()),
        not_sip("frame_ends_in_the_ipv4_header", "F12", v4().cut(33).build()),
        not_sip("frame_ends_in_ipv4_options", "F12", v4().ipv4_options(&[1; 8]).cut(40).build()),
        not_sip("frame_ends_behind_the_ipv4_header", "F12", v4().cut(34).build()),
        not_sip("frame_ends_in_the_ports", "F12", v4().cut(37).build()),
        not_sip("frame_ends_in_the_udp_header", "F12", v4().cut(41).build()),
        not_sip("frame_ends_in_the_ipv6_header", "F12", v6().cut(53).build()),
        not_sip("frame_ends_in_the_udp_header_v6", "F12", v6().cut(60).build()),
        not_sip(
            "frame_ends_in_an_extension_header",
            "F12",
            v6().padding_extension(protocol::DESTINATION).cut(58).build(),
        ),
        not_sip(
            "extension_header_longer_than_the_packet",
            "F12",
            Packet::raw(STRANGER_V6, SERVER_V6, protocol::DESTINATION)
                .payload([protocol::UDP, 200, 1, 4, 0, 0, 0, 0])
                .build(),
        ),
        not_sip("ipv4_header_length_of_four_words", "F12", v4().ip_first_byte(0x44).build()),
        not_sip("ipv4_header_length_zero", "F12", v4().ip_first_byte(0x40).build()),
        not_sip(
            "ipv4_header_longer_than_the_frame",
            "F12",
            stranger(b"").ip_first_byte(0x4f).build(),
        ),
        not_sip("ipv4_ethertype_with_version_six", "F12", v4().ip_first_byte(0x65).build()),
        not_sip("ipv6_ethertype_with_version_four", "F12", v6().ip_first_byte(0x45).build()),
        not_sip(
            "tcp_header_cut_in_the_ports",
            "F12",
            Packet::tcp(STRANGER, SERVER).cut(37).build(),
        ),
        not_sip("three_vlan_tags", "F12", v4().vlan(1).vlan(2).vlan(3).build()),
        not_sip(
            "nine_extension_headers",
            "F12",
            (0..9).fold(v6(), |packet, _| packet.padding_extension(protocol::DESTINATION)).build(),
        ),
    ]
}
