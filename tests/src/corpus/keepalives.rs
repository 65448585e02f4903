//! Keepalives (L11): what phones and routers send to hold a NAT mapping open.

use sipguard_common::rule::Rule;

use super::{Case, KEEPALIVE, Setup, stranger, stranger_v6};

/// A STUN binding request (RFC 8489) with the magic cookie.
fn stun(kind: [u8; 2], attributes: &[u8]) -> Vec<u8> {
    let mut packet = kind.to_vec();
    packet.extend_from_slice(&(attributes.len() as u16).to_be_bytes());
    packet.extend_from_slice(&[0x21, 0x12, 0xa4, 0x42]);
    packet.extend_from_slice(b"transaction1");
    packet.extend_from_slice(attributes);
    packet
}

fn keepalive(name: &'static str, payload: impl AsRef<[u8]>) -> Case {
    Case::new(name, "L11", Rule::Keepalive, stranger(payload).build())
}

pub(super) fn cases() -> Vec<Case> {
    let mut cases = vec![
        keepalive("empty_datagram", b""),
        keepalive("crlf", b"\r\n"),
        keepalive("double_crlf", b"\r\n\r\n"),
        keepalive("lf", b"\n"),
        keepalive("one_nul", b"\0"),
        keepalive("four_nuls", b"\0\0\0\0"),
        keepalive("eleven_nuls", [0; 11]),
        keepalive("twelve_nuls", [0; 12]),
        keepalive("crlf_and_nul_mixed", b"\r\n\0\r\n\0\0\r\n\r\n\0\0\r\n\r\n"),
        keepalive("hundred_crlf", b"\r\n".repeat(100)),
        keepalive("full_frame_of_crlf", b"\r\n".repeat(736)),
        keepalive("full_frame_of_nuls", [0; 1472]),
        keepalive("hello", b"HELLO"),
        keepalive("vendor_word", b"jaK"),
        keepalive("vendor_bytes", [0xff; 8]),
        keepalive("vendor_bytes_eleven", [0xa5; 11]),
        keepalive("short_options_of_eleven_bytes", b"OPTIONS sip"),
        keepalive("short_response_of_eleven_bytes", b"SIP/2.0 200"),
        keepalive("stun_binding_request", stun([0, 1], b"")),
        keepalive("stun_binding_indication", stun([0, 0x11], b"")),
        keepalive(
            "stun_binding_success",
            stun([1, 1], &[0, 0x20, 0, 8, 0, 1, 0x11, 0x22, 1, 2, 3, 4]),
        ),
    ];
    let case = |name, id, expect, frame| Case::new(name, id, expect, frame);
    cases.extend([
        case("crlf_padded", "L11", Rule::Keepalive, stranger(b"\r\n").pad().build()),
        case("crlf_v6", "L11", Rule::Keepalive, stranger_v6(b"\r\n\r\n").build()),
        case("crlf_in_a_vlan", "L11", Rule::Keepalive, stranger(b"\r\n\r\n").vlan(7).build()),
        case(
            "stun_with_software_attribute",
            "D12",
            Rule::Keepalive,
            stranger(stun([0, 1], b"\x80\x22\0\x08phone1.0")).build(),
        ),
        case("stun_v6", "D12", Rule::Keepalive, stranger_v6(stun([0, 1], b"")).build()),
        // One byte short of a STUN header.
        case(
            "stun_cut_by_one_byte",
            "",
            Rule::Unparsed,
            stranger(&stun([0, 1], b"")[..19]).build(),
        ),
        case("stun_with_wrong_cookie", "", Rule::Unparsed, {
            let mut packet = stun([1, 1], b"");
            packet[4] ^= 1;
            stranger(packet).build()
        }),
        case("stun_with_a_high_bit", "", Rule::Unparsed, {
            stranger(stun([0x81, 1], b"")).build()
        }),
        case("configured_keepalive", "L11", Rule::Keepalive, stranger(KEEPALIVE).build())
            .setup(Setup::Keepalives),
        case(
            "configured_keepalive_is_a_prefix",
            "L11",
            Rule::Keepalive,
            stranger(format!("{KEEPALIVE} 4711 from branch office\r\n")).build(),
        )
        .setup(Setup::Keepalives),
        case(
            "keepalive_that_is_not_configured",
            "L11",
            Rule::Unparsed,
            stranger(KEEPALIVE).build(),
        ),
        case(
            "configured_keepalive_of_another_ending",
            "L11",
            Rule::Unparsed,
            stranger(b"PING-KEEPALIVX").build(),
        )
        .setup(Setup::Keepalives),
    ]);
    cases
}
