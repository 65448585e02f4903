//! Responses (L12): they echo what the request said and are never searched.

use sipguard_common::rule::Rule;

use super::{Case, stranger, stranger_v6};
use crate::sip::Message;

fn response(name: &'static str, message: &Message) -> Case {
    Case::new(name, "L12", Rule::Response, stranger(message.build()).build())
}

pub(super) fn cases() -> Vec<Case> {
    let ok = || Message::response("200 OK", "OPTIONS");
    let case =
        |name, payload: &[u8]| Case::new(name, "L12", Rule::Response, stranger(payload).build());
    vec![
        response("answer_to_options", &ok()),
        response(
            "answer_with_allow",
            &ok().header("Allow", "INVITE, ACK, CANCEL, OPTIONS, BYE, REGISTER, NOTIFY"),
        ),
        response("answer_with_scanner_in_server", &ok().header("Server", "friendly-scanner")),
        response("answer_with_scanner_as_user_agent", &ok().agent("friendly-scanner")),
        response("answer_with_sipvicious_as_user_agent", &ok().agent("sipvicious/0.3")),
        response(
            "answer_that_echoes_a_scanner",
            &ok().replace("From", "\"sipvicious\"<sip:100@1.1.1.1>;tag=6339"),
        ),
        response("answer_trying", &Message::response("100 Trying", "INVITE")),
        response("answer_challenge", &Message::response("401 Unauthorized", "REGISTER")),
        response("answer_not_found", &Message::response("404 Not Found", "OPTIONS")),
        response("answer_with_bare_lf", &ok().agent("sipcli").lf()),
        case("answer_in_lower_case", b"sip/2.0 200 ok\r\nvia: x\r\n\r\n"),
        case("answer_behind_crlf", b"\r\n\r\nSIP/2.0 200 OK\r\nCSeq: 1 OPTIONS\r\n\r\n"),
        case("answer_of_twelve_bytes", b"SIP/2.0 200 "),
        case("answer_without_line_end", b"SIP/2.0 200 OK OPTIONS sip:"),
        Case::new("answer_v6", "L12", Rule::Response, stranger_v6(ok().build()).build()),
        // No response, and so searched like anything that starts with a letter.
        Case::new(
            "answer_of_another_version",
            "",
            Rule::Unparsed,
            stranger(b"SIP/3.0 200 OK\r\nCSeq: 1 OPTIONS\r\n\r\n").build(),
        ),
        Case::new(
            "answer_with_tab_behind_the_version",
            "",
            Rule::Unparsed,
            stranger(b"SIP/2.0\t200 OK\r\nCSeq: 1 OPTIONS\r\n\r\n").build(),
        ),
    ]
}
