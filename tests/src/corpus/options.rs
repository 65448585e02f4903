//! OPTIONS of strangers (F03, D03): the method alone decides, whatever URI
//! follows.

use sipguard_common::{
    method::{Class, Method},
    rule::Rule,
};

use super::{Case, Setup, stranger, stranger_v6};
use crate::sip::Message;

fn options(name: &'static str, id: &'static str, payload: impl AsRef<[u8]>) -> Case {
    Case::new(name, id, Rule::Options, stranger(payload).build()).method(Method::Options)
}

fn unparsed(name: &'static str, payload: impl AsRef<[u8]>) -> Case {
    Case::new(name, "F03", Rule::Unparsed, stranger(payload).build())
}

pub(super) fn cases() -> Vec<Case> {
    let request = |uri: &str| Message::request("OPTIONS", uri).build();
    let probe = || stranger(request("sip:100@203.0.113.1")).build();
    let scanner = Message::request("OPTIONS", "sip:100@203.0.113.1").agent("friendly-scanner");
    vec![
        options("d03_sip", "D03", request("sip:100@203.0.113.1")),
        options("d03_sips", "D03", request("sips:100@203.0.113.1")),
        options("d03_tel", "D03", request("tel:+441632960000")),
        options("d03_star", "D03", request("*")),
        options("d03_unknown_scheme", "D03", request("im:100@203.0.113.1")),
        options("d03_upper_case_scheme", "D03", request("SIP:100@203.0.113.1")),
        options("d03_no_uri", "D03", b"OPTIONS  SIP/2.0\r\nCSeq: 1 OPTIONS\r\n\r\n"),
        options("options_lower_case", "F03", b"options sip:100@203.0.113.1 SIP/2.0\r\n\r\n"),
        options("options_mixed_case", "F03", b"OpTiOnS sip:100@203.0.113.1 SIP/2.0\r\n\r\n"),
        options("options_of_twelve_bytes", "F03", b"OPTIONS sip:"),
        options("options_without_version", "F03", b"OPTIONS sip:100@203.0.113.1\r\n\r\n"),
        options("options_without_line_end", "F03", b"OPTIONS sip:100@203.0.113.1 SIP/2.0"),
        options("options_with_two_spaces", "F03", b"OPTIONS  sip:100@203.0.113.1 SIP/2.0\r\n\r\n"),
        options("options_of_a_full_frame", "F03", {
            let mut message = request("sip:100@203.0.113.1");
            message.resize(1472, b'x');
            message
        }),
        unparsed("options_and_a_tab", b"OPTIONS\tsip:100@203.0.113.1 SIP/2.0\r\n\r\n"),
        unparsed("options_and_a_line_end", b"OPTIONS\r\n sip:100@203.0.113.1 SIP/2.0\r\n\r\n"),
        unparsed("options_and_a_letter", b"OPTIONSX sip:100@203.0.113.1 SIP/2.0\r\n\r\n"),
        unparsed("letter_and_options", b"XOPTIONS sip:100@203.0.113.1 SIP/2.0\r\n\r\n"),
        unparsed("space_and_options", b" OPTIONS sip:100@203.0.113.1 SIP/2.0\r\n\r\n"),
        unparsed("option_without_s", b"OPTION sip:100@203.0.113.1 SIP/2.0\r\n\r\n"),
        Case::new("options_limited", "F03", Rule::Stranger, probe())
            .method(Method::Options)
            .setup(Setup::OptionsLimit),
        Case::new(
            "options_limited_v6",
            "F03",
            Rule::Stranger,
            stranger_v6(request("tel:1")).build(),
        )
        .method(Method::Options)
        .setup(Setup::OptionsLimit),
        Case::new("options_passed", "F03", Rule::Stranger, probe())
            .method(Method::Options)
            .setup(Setup::OptionsPass),
        Case::new(
            "options_passed_but_scanner",
            "F03",
            Rule::Signature,
            stranger(scanner.build()).build(),
        )
        .method(Method::Options)
        .signature("friendly-scanner")
        .setup(Setup::OptionsPass),
        Case::new(
            "options_limited_but_scanner",
            "F03",
            Rule::Signature,
            stranger(scanner.build()).build(),
        )
        .method(Method::Options)
        .signature("friendly-scanner")
        .setup(Setup::OptionsLimit),
        // Dropped before any bucket is looked at.
        Case::new("options_over_the_limit_are_still_options", "F03", Rule::Options, probe())
            .method(Method::Options)
            .setup(Setup::Exhausted(Class::Options)),
        Case::new(
            "options_of_an_exhausted_source_are_still_options",
            "F03",
            Rule::Options,
            probe(),
        )
        .method(Method::Options)
        .setup(Setup::Exhausted(Class::Total)),
    ]
}
