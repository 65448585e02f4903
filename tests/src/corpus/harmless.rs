//! Messages of honest strangers that careless filters drop (L13, L14, L32, D04,
//! D06, D12), and what is no SIP but harms nobody (F13).

use sipguard_common::{method::Method, rule::Rule};

use super::{Case, stranger};
use crate::sip::{Message, sdp};

const ALLOW: &str = "INVITE, ACK, CANCEL, OPTIONS, BYE, REGISTER, SUBSCRIBE, NOTIFY, REFER, INFO";
const DIGEST: &str = "Digest username=\"200\", realm=\"203.0.113.1\", nonce=\"1f7ac0\", \
    uri=\"sip:203.0.113.1\", response=\"0a4f113b26feeb83c0f0d1f9d3a1e7b2\"";
/// What the guides' filters look for, as somebody may quote it.
const QUOTED: &str = "OPTIONS sip:100@203.0.113.1 SIP/2.0\r\nUser-Agent: friendly-scanner\r\n";

fn passes(name: &'static str, id: &'static str, method: Method, message: &Message) -> Case {
    Case::new(name, id, Rule::Stranger, stranger(message.build()).build()).method(method)
}

pub(super) fn cases() -> Vec<Case> {
    [every_method(), words_elsewhere(), long_uris(), no_sip()].concat()
}

fn every_method() -> Vec<Case> {
    let plain = |name, method: Method| {
        passes(
            name,
            "",
            method,
            &Message::request(method.name(), "sip:100@203.0.113.1").agent("Phone 1.0"),
        )
    };
    let register = Message::request("REGISTER", "sip:203.0.113.1").agent("Phone 1.0");
    vec![
        plain("plain_register", Method::Register),
        plain("plain_invite", Method::Invite),
        plain("plain_ack", Method::Ack),
        plain("plain_bye", Method::Bye),
        plain("plain_cancel", Method::Cancel),
        plain("plain_update", Method::Update),
        plain("plain_prack", Method::Prack),
        plain("plain_info", Method::Info),
        plain("plain_notify", Method::Notify),
        plain("plain_refer", Method::Refer),
        plain("plain_subscribe", Method::Subscribe),
        plain("plain_message", Method::Message),
        plain("plain_publish", Method::Publish),
        passes(
            "register_with_credentials",
            "",
            Method::Register,
            &register.header("Authorization", DIGEST),
        ),
        Case::new(
            "register_in_lower_case",
            "",
            Rule::Stranger,
            stranger(b"register sip:203.0.113.1 SIP/2.0\r\nCSeq: 1 REGISTER\r\n\r\n").build(),
        )
        .method(Method::Register),
        Case::new(
            "register_behind_crlf",
            "",
            Rule::Stranger,
            stranger(b"\r\n\r\nREGISTER sip:203.0.113.1 SIP/2.0\r\nCSeq: 1 REGISTER\r\n\r\n")
                .build(),
        )
        .method(Method::Register),
    ]
}

fn words_elsewhere() -> Vec<Case> {
    let invite = || {
        Message::request("INVITE", "sip:100@203.0.113.1")
            .agent("Phone 1.0")
            .header("Contact", "<sip:200@198.51.100.7:5061>")
    };
    let notify = || Message::request("NOTIFY", "sip:100@203.0.113.1").header("Event", "talk");
    let message = || Message::request("MESSAGE", "sip:100@203.0.113.1");
    let register = || Message::request("REGISTER", "sip:203.0.113.1").agent("Phone 1.0");
    vec![
        passes(
            "invite_with_allow",
            "L13",
            Method::Invite,
            &invite().header("Allow", ALLOW).body("application/sdp", sdp()),
        ),
        passes(
            "invite_with_allow_first",
            "L13",
            Method::Invite,
            &Message::bare("INVITE sip:100@203.0.113.1 SIP/2.0")
                .header("Allow", "OPTIONS, REGISTER"),
        ),
        passes(
            "d06_invite_with_register_in_allow",
            "D06",
            Method::Invite,
            &invite().header("Allow", "REGISTER").body("application/sdp", sdp()),
        ),
        passes(
            "d06_ack_with_register_in_cseq",
            "D06",
            Method::Ack,
            &Message::request("ACK", "sip:REGISTER@203.0.113.1").replace("CSeq", "1 REGISTER"),
        ),
        passes(
            "d06_invite_to_a_user_called_register",
            "D06",
            Method::Invite,
            &invite().replace("To", "\"REGISTER\" <sip:REGISTER@203.0.113.1>"),
        ),
        passes(
            "d04_notify_body_quotes_options",
            "D04",
            Method::Notify,
            &notify().body("message/sipfrag", QUOTED),
        ),
        passes(
            "notify_body_is_a_sip_fragment",
            "L14",
            Method::Notify,
            &notify().body("message/sipfrag", "SIP/2.0 200 OK\r\nUser-Agent: sipcli\r\n"),
        ),
        passes(
            "message_body_quotes_options",
            "L14",
            Method::Message,
            &message().body("text/plain", "We dropped OPTIONS sip:100 from friendly-scanner."),
        ),
        passes(
            "message_body_quotes_a_scanner",
            "L14",
            Method::Message,
            &message().body("text/plain", QUOTED),
        ),
        passes(
            "message_body_with_lf_quotes_a_scanner",
            "L14",
            Method::Message,
            &message().body("text/plain", QUOTED.replace("\r\n", "\n")).lf(),
        ),
        passes(
            "message_body_starts_with_empty_lines",
            "L14",
            Method::Message,
            &message().body("text/plain", format!("\r\n\r\n{QUOTED}")),
        ),
        passes(
            "display_name_scanner_room",
            "L32",
            Method::Invite,
            &invite().replace("From", "\"Scanner Room\" <sip:200@203.0.113.1>;tag=1"),
        ),
        passes(
            "user_part_sipvicious_lab",
            "L32",
            Method::Register,
            &register().replace("To", "<sip:sipvicious-lab@203.0.113.1>"),
        ),
        passes(
            "from_user_friendly_scanner",
            "L32",
            Method::Invite,
            &invite().replace("From", "friendly-scanner <sip:friendly-scanner@203.0.113.1>;tag=1"),
        ),
        passes(
            "from_anonymous",
            "L32",
            Method::Invite,
            &invite().replace("From", "\"Anonymous\" <sip:anonymous@anonymous.invalid>;tag=1"),
        ),
        passes(
            "subject_speaks_of_scanners",
            "L32",
            Method::Invite,
            &invite().header("Subject", "User-Agent: friendly-scanner"),
        ),
        passes(
            "server_header_of_a_request",
            "L32",
            Method::Register,
            &register().header("Server", "friendly-scanner"),
        ),
        passes(
            "organization_sipvicious",
            "L32",
            Method::Invite,
            &invite().header("Organization", "sipvicious training"),
        ),
    ]
}

fn long_uris() -> Vec<Case> {
    // `sip:` and `@203.0.113.1` are 16 of these characters.
    let uri = |len: usize| format!("sip:{}@203.0.113.1", "9".repeat(len - 16));
    let invite = |name, id, len: usize| {
        passes(
            name,
            id,
            Method::Invite,
            &Message::request("INVITE", &uri(len)).body("application/sdp", sdp()),
        )
    };
    let with_parameters = "sip:+441632960000;isub=1411@203.0.113.1:5060;user=phone;transport=udp";
    vec![
        invite("request_uri_of_48", "D12", 48),
        invite("request_uri_of_49", "D12", 49),
        invite("request_uri_of_64", "D12", 64),
        invite("request_uri_of_100", "L32", 100),
        invite("request_uri_of_128", "D12", 128),
        invite("request_uri_of_200", "L32", 200),
        invite("request_uri_of_900", "D12", 900),
        passes(
            "request_uri_with_parameters",
            "D12",
            Method::Invite,
            &Message::request("INVITE", with_parameters),
        ),
    ]
}

fn no_sip() -> Vec<Case> {
    let unparsed =
        |name, payload: &[u8]| Case::new(name, "F13", Rule::Unparsed, stranger(payload).build());
    let rtp =
        [&[0x80, 0x08, 0, 1, 0, 0, 0, 0xa0, 0x11, 0x22, 0x33, 0x44][..], &[0xd5; 160]].concat();
    vec![
        unparsed(
            "unknown_method",
            b"SERVICE sip:100@203.0.113.1 SIP/2.0\r\nCSeq: 1 SERVICE\r\n\r\n",
        ),
        unparsed(
            "unknown_method_that_starts_as_a_known_one",
            b"INVITED sip:100@203.0.113.1 SIP/2.0\r\n\r\n",
        ),
        unparsed(
            "unknown_method_that_a_known_one_starts_with",
            b"REG sip:100@203.0.113.1 SIP/2.0\r\n\r\n",
        ),
        unparsed("method_and_a_tab", b"INVITE\tsip:100@203.0.113.1 SIP/2.0\r\n\r\n"),
        unparsed("rtp_on_the_sip_port", &rtp),
        unparsed("binary_of_twelve_bytes", &[0xa5; 12]),
        unparsed("binary_of_a_full_frame", &[0xa5; 1472]),
        unparsed("text_without_a_method", b"hello, is anybody there?"),
        unparsed("digits", b"0123456789012345"),
        unparsed("spaces", &[b' '; 40]),
        unparsed("http_on_the_sip_port", b"GET / HTTP/1.1\r\nHost: 203.0.113.1\r\n\r\n"),
        unparsed("dns_on_the_sip_port", b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x03www\0\0\x01\0\x01"),
        unparsed("bracket_and_options", b"[OPTIONS sip:100@203.0.113.1 SIP/2.0\r\n\r\n"),
        unparsed(
            "utf8_byte_order_mark_and_options",
            b"\xef\xbb\xbfOPTIONS sip:100@203.0.113.1 SIP/2.0\r\n\r\n",
        ),
    ]
}
