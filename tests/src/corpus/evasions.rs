//! The same scanner in other spelling (A09), and lines that only look like its.

use sipguard_common::{method::Method, rule::Rule};

use super::{Case, stranger, stranger_v6};
use crate::{
    packet::{Packet, ethertype, protocol},
    sip::Message,
};

const SCANNER: &str = "friendly-scanner";

fn register() -> Message {
    Message::request("REGISTER", "sip:203.0.113.1")
}

fn scanner() -> Vec<u8> {
    register().agent(SCANNER).build()
}

fn hit(name: &'static str, payload: impl AsRef<[u8]>) -> Case {
    hit_in(name, &stranger(payload))
}

fn hit_in(name: &'static str, packet: &Packet) -> Case {
    Case::new(name, "A09", Rule::Signature, packet.build())
        .method(Method::Register)
        .signature(SCANNER)
}

fn miss(name: &'static str, payload: impl AsRef<[u8]>) -> Case {
    Case::new(name, "A09", Rule::Stranger, stranger(payload).build()).method(Method::Register)
}

pub(super) fn cases() -> Vec<Case> {
    [spelling(), folding(), places(), start(), framing(), not_the_header()].concat()
}

/// Letters, white space and line ends.
fn spelling() -> Vec<Case> {
    let far_colon = format!("User-Agent{}:friendly-scanner", " ".repeat(60));
    let mixed =
        b"REGISTER sip:203.0.113.1 SIP/2.0\nVia: x\r\nUser-Agent: friendly-scanner\nTo: y\r\n\r\n";
    let line = |name, line: &str| hit(name, register().line(line).build());
    let exact = |name, message: Message, text| {
        Case::new(name, "A09", Rule::Signature, stranger(message.build()).build())
            .method(Method::Register)
            .signature(text)
    };
    vec![
        line("no_space_after_the_colon", "User-Agent:friendly-scanner"),
        line("many_spaces_after_the_colon", "User-Agent:                    friendly-scanner"),
        line("tab_after_the_colon", "User-Agent:\tfriendly-scanner"),
        line("space_before_the_colon", "User-Agent : friendly-scanner"),
        line("tab_before_the_colon", "User-Agent\t: friendly-scanner"),
        line("white_space_all_round", "User-Agent \t \t: \t \tfriendly-scanner"),
        line("sixty_spaces_before_the_colon", &far_colon),
        line("name_in_upper_case", "USER-AGENT: friendly-scanner"),
        line("name_in_lower_case", "user-agent: friendly-scanner"),
        line("name_in_mixed_case", "uSeR-aGeNt: FrIeNdLy-ScAnNeR"),
        line("trailing_space", "User-Agent: friendly-scanner "),
        exact("exact_with_trailing_space", register().line("User-Agent: pplsip "), "pplsip"),
        exact(
            "exact_with_trailing_white_space",
            register().line("User-Agent: pplsip \t  "),
            "pplsip",
        ),
        exact("exact_with_tab_after_the_colon", register().line("user-agent:\tPPLSIP"), "pplsip"),
        hit("bare_lf", register().agent(SCANNER).lf().build()),
        exact("bare_lf_exact", register().agent("smap").lf(), "smap"),
        hit("mixed_line_ends", mixed),
    ]
}

/// Values that continue on the next line (RFC 3261 section 7.3.1).
fn folding() -> Vec<Case> {
    let line = |name, line: &str| hit(name, register().line(line).build());
    let exact = |name, line: &str, text| {
        Case::new(name, "A09", Rule::Signature, stranger(register().line(line).build()).build())
            .method(Method::Register)
            .signature(text)
    };
    vec![
        line("folded_value", "User-Agent:\r\n friendly-scanner"),
        line("folded_value_with_tab", "User-Agent:\r\n\tfriendly-scanner"),
        line("folded_value_with_lf", "User-Agent:\n friendly-scanner"),
        line("folded_value_behind_spaces", "User-Agent:   \r\n   \t friendly-scanner"),
        line(
            "folded_behind_another_folded_header",
            "Subject: a\r\n b\r\nUser-Agent:\r\n friendly-scanner",
        ),
        exact("folded_exact_value", "User-Agent:\r\n pplsip", "pplsip"),
        exact("folded_between_two_words", "User-Agent: Nmap\r\n NSE", "Nmap NSE"),
        exact("two_spaces_between_two_words", "User-Agent: Nmap  NSE", "Nmap NSE"),
        exact("tab_between_two_words", "User-Agent: Nmap\tNSE", "Nmap NSE"),
        exact(
            "folded_before_contained_word",
            "User-Agent: Phone\r\n with sipvicious",
            "sipvicious",
        ),
        line("folded_value_goes_on", "User-Agent: friendly-scanner\r\n and more"),
        miss(
            "folded_inside_the_word",
            register().line("User-Agent: friendly-\r\n scanner").build(),
        ),
        miss("folded_exact_value_goes_on", register().line("User-Agent: pplsip\r\n phone").build()),
        miss(
            "folded_line_of_another_header",
            register().line("Subject: x\r\n User-Agent: friendly-scanner").build(),
        ),
        miss(
            "folded_line_with_tab_of_another_header",
            register().line("Subject: x\r\n\tUser-Agent: friendly-scanner").build(),
        ),
    ]
}

/// Where among the headers it stands.
fn places() -> Vec<Case> {
    let many = |n: usize| {
        let message = (1..n).fold(register(), |message, _| message.agent("Phone"));
        message.agent(SCANNER).build()
    };
    let short_lines =
        (0..200).fold(Message::bare("REGISTER sip:x SIP/2.0"), |message, _| message.line("a:"));
    let last = register().agent(SCANNER).head();
    // Ends with the last byte that is read.
    let full = |tail: &str| {
        let head = register().head().len() + "P: \r\n".len() + tail.len();
        [register().line(format!("P: {}", "x".repeat(1472 - head))).head(), tail.into()].concat()
    };
    vec![
        hit(
            "first_header",
            Message::bare("REGISTER sip:203.0.113.1 SIP/2.0")
                .agent(SCANNER)
                .header("Via", "x")
                .build(),
        ),
        hit(
            "only_header",
            b"REGISTER sip:203.0.113.1 SIP/2.0\r\nUser-Agent: friendly-scanner\r\n\r\n",
        ),
        hit("last_header", last.clone()),
        hit("last_header_without_line_end", &last[..last.len() - 2]),
        hit("last_header_without_lf", &last[..last.len() - 1]),
        hit(
            "no_version_in_the_start_line",
            b"REGISTER sip:203.0.113.1\r\nUser-Agent: friendly-scanner\r\n\r\n",
        ),
        hit("second_of_two_user_agents", many(2)),
        hit("first_of_two_user_agents", register().agent(SCANNER).agent("Phone").build()),
        hit("fourth_user_agent", many(4)),
        // The stated bound: a message with more User-Agents than any server
        // takes for one.
        miss("fifth_user_agent", many(5)),
        hit(
            "behind_a_long_line",
            register().header("Subject", &"x".repeat(1000)).agent(SCANNER).build(),
        ),
        hit("behind_two_hundred_short_lines", short_lines.agent(SCANNER).build()),
        hit(
            "behind_byte_512",
            register().header("Subject", &"x".repeat(420)).agent(SCANNER).build(),
        ),
        hit("ends_with_the_last_byte_read", full("User-Agent: friendly-scanner")),
        hit("line_ends_with_the_last_byte_read", full("User-Agent: friendly-scanner\r\n")),
        hit(
            "binary_before_it",
            register().line(b"Subject: \0\x01\xff\x80\x7f").agent(SCANNER).build(),
        ),
        hit(
            "line_without_colon_before_it",
            register().line("no colon here").agent(SCANNER).build(),
        ),
    ]
}

/// What stands before and at the start line.
fn start() -> Vec<Case> {
    let behind = |lead: &[u8]| [lead, &scanner()].concat();
    let start = |line: &str| format!("{line}\r\nUser-Agent: friendly-scanner\r\n\r\n");
    let unknown = |name, line: &str| {
        Case::new(name, "A09", Rule::Signature, stranger(start(line)).build()).signature(SCANNER)
    };
    let probe = Message::request("OPTIONS", "sip:100@203.0.113.1").build();
    vec![
        hit("behind_one_crlf", behind(b"\r\n")),
        hit("behind_two_crlf", behind(b"\r\n\r\n")),
        hit("behind_lf_alone", behind(b"\n\n\n")),
        hit("behind_cr_alone", behind(b"\r")),
        hit("behind_nuls", behind(&[0; 5])),
        hit("behind_seven_line_ends", behind(b"\n\n\n\n\n\n\n")),
        hit("behind_thirty_two_crlf", behind(&b"\r\n".repeat(32))),
        hit("behind_three_hundred_crlf", behind(&b"\r\n".repeat(300))),
        hit("method_in_lower_case", start("register sip:203.0.113.1 SIP/2.0")),
        hit("method_in_mixed_case", start("ReGiStEr sip:203.0.113.1 SIP/2.0")),
        hit("two_spaces_behind_the_method", start("REGISTER  sip:203.0.113.1 SIP/2.0")),
        hit("another_version", start("REGISTER sip:203.0.113.1 SIP/9.9")),
        unknown("unknown_method_of_a_scanner", "SERVICE sip:203.0.113.1 SIP/2.0"),
        unknown("tab_behind_the_method", "REGISTER\tsip:203.0.113.1 SIP/2.0"),
        unknown("one_letter_start_line", "x"),
        Case::new(
            "options_behind_crlf",
            "A09",
            Rule::Options,
            stranger([b"\r\n\r\n", &probe[..]].concat()).build(),
        )
        .method(Method::Options),
        Case::new(
            "options_behind_nuls",
            "A09",
            Rule::Options,
            stranger([b"\0\0\0", &probe[..]].concat()).build(),
        )
        .method(Method::Options),
        Case::new(
            "options_behind_three_hundred_crlf",
            "A09",
            Rule::Options,
            stranger([b"\r\n".repeat(300), probe.clone()].concat()).build(),
        )
        .method(Method::Options),
        // Not searched: no message starts with these.
        Case::new(
            "bracket_before_the_method",
            "A09",
            Rule::Unparsed,
            stranger(start("[REGISTER sip:x SIP/2.0")).build(),
        ),
        Case::new(
            "digit_before_the_method",
            "A09",
            Rule::Unparsed,
            stranger(start("1REGISTER sip:x SIP/2.0")).build(),
        ),
        Case::new(
            "space_before_the_method",
            "A09",
            Rule::Unparsed,
            stranger(start(" REGISTER sip:x SIP/2.0")).build(),
        ),
    ]
}

/// What carries it.
fn framing() -> Vec<Case> {
    let v4 = || stranger(scanner());
    let v6 = || stranger_v6(scanner());
    vec![
        hit_in("scanner_in_a_vlan", &v4().vlan(7)),
        hit_in("scanner_in_qinq", &v4().tag(ethertype::QINQ, 100).vlan(7)),
        hit_in("scanner_in_old_qinq", &v4().tag(ethertype::QINQ_OLD, 100).vlan(7)),
        hit_in("scanner_over_ipv6", &v6()),
        hit_in("scanner_over_ipv6_in_a_vlan", &v6().vlan(7)),
        hit_in("scanner_behind_ip_options", &v4().ipv4_options(&[1; 40])),
        hit_in(
            "scanner_behind_extension_headers",
            &v6().padding_extension(protocol::HOP_BY_HOP).padding_extension(protocol::DESTINATION),
        ),
        hit_in("scanner_behind_a_fragment_header", &v6().fragment(0, 9999)),
        hit_in("scanner_without_checksum", &v4().no_checksum()),
        hit_in("scanner_with_udp_length_zero", &v4().udp_length(0)),
        Case { id: "F12", ..hit_in("scanner_with_longer_udp_length", &v4().udp_length(2000)) },
    ]
}

/// Lines that are not the User-Agent header of the message.
fn not_the_header() -> Vec<Case> {
    let line = |name, line: &str| miss(name, register().line(line).build());
    vec![
        line("longer_header_name", "User-Agent-Info: friendly-scanner"),
        line("header_name_with_prefix", "X-User-Agent: friendly-scanner"),
        line("header_name_without_dash", "UserAgent: friendly-scanner"),
        line("header_name_with_a_space", "User Agent: friendly-scanner"),
        line("header_without_colon", "User-Agent friendly-scanner"),
        line("bare_cr_ends_no_line", "Subject: x\rUser-Agent: friendly-scanner"),
        line("value_behind_another_word", "User-Agent: the friendly-scanner"),
        line("compact_form_does_not_exist", "u: friendly-scanner"),
        miss(
            "user_agent_in_the_body",
            register().body("text/plain", "User-Agent: friendly-scanner\r\n").build(),
        ),
        miss(
            "user_agent_behind_an_empty_line",
            b"REGISTER sip:203.0.113.1 SIP/2.0\r\n\r\nUser-Agent: friendly-scanner\r\n\r\n",
        ),
        miss(
            "user_agent_behind_an_empty_line_of_lf",
            b"REGISTER sip:203.0.113.1 SIP/2.0\nVia: x\n\nUser-Agent: friendly-scanner\n\n",
        ),
        miss(
            "user_agent_behind_mixed_empty_line",
            b"REGISTER sip:203.0.113.1 SIP/2.0\r\nVia: x\n\r\nUser-Agent: friendly-scanner\r\n",
        ),
        miss(
            "user_agent_in_the_start_line",
            b"REGISTER sip:x;User-Agent: friendly-scanner SIP/2.0\r\nVia: x\r\n\r\n",
        ),
        miss("user_agent_cut_in_its_value", register().line("User-Agent: friendly-scanne").head()),
        miss("user_agent_cut_in_its_name", [register().head(), b"User-Agen".to_vec()].concat()),
    ]
}
