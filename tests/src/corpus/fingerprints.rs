//! Fingerprints beyond User-Agent (F05): as the tools send them, in other
//! spelling (A09), and what comes close to them and must pass.

use sipguard_common::{method::Method, rule::Rule};

use super::{Case, Setup, stranger, stranger_v6};
use crate::sip::{Message, sdp};

const SVMAP_TAG: &str = "63623030373130313133633401323933373333343532";
/// The same for another port: 5061.
const SVMAP_TAG_5061: &str = "63623030373130313133633501323933373333343532";
/// `1000`, and a byte 01.
const SVWAR_TAG: &str = "3130303001313233343536373839";
/// `2001:db8:2::1` and 5060 in hexadecimal.
const SVMAP_TAG_V6: &str = "323030313064623830303032303030303133633401323933373333";
const KIT: &str = "v=0\r\no=- 16264 18299 IN IP4 198.51.100.7\r\ns=call\r\n\
    c=IN IP4 198.51.100.7\r\nt=0 0\r\nm=audio 25282 RTP/AVP 0 101\r\n";

fn register() -> Message {
    Message::request("REGISTER", "sip:203.0.113.1").agent("Phone 1.0")
}

fn invite() -> Message {
    Message::request("INVITE", "sip:100@203.0.113.1").agent("Phone 1.0")
}

/// A REGISTER with a From of this tag.
fn tagged(tag: &str) -> Message {
    register().replace("From", &format!("\"1000\"<sip:1000@203.0.113.1>;tag={tag}"))
}

fn hit(name: &'static str, id: &'static str, signature: &'static str, message: &Message) -> Case {
    Case::new(name, id, Rule::Signature, stranger(message.build()).build())
        .method(Method::Register)
        .signature(signature)
}

fn passes(name: &'static str, id: &'static str, message: &Message) -> Case {
    Case::new(name, id, Rule::Stranger, stranger(message.build()).build()).method(Method::Register)
}

fn of(method: Method, case: Case) -> Case {
    case.method(method)
}

pub(super) fn cases() -> Vec<Case> {
    [tools(), conditions(), spelling(), shares(), bare_probes(), honest(), quoted()].concat()
}

/// What each tool sends under another User-Agent.
fn tools() -> Vec<Case> {
    let f05 = |name, signature, message: &Message| hit(name, "F05", signature, message);
    let via = |branch: &str| format!("SIP/2.0/UDP 198.51.100.7:5061;branch={branch}");
    let body =
        |line: &str| invite().body("application/sdp", [sdp(), line.as_bytes(), b"\r\n"].concat());
    let options = |name, signature, message: &Message| {
        of(Method::Options, f05(name, signature, message)).setup(Setup::OptionsLimit)
    };
    let nmap = Message::bare("OPTIONS sip:nm SIP/2.0")
        .header("Via", "SIP/2.0/UDP nm;branch=foo")
        .header("From", "<sip:nm@nm>;tag=root")
        .header("To", "<sip:nm2@nm2>")
        .header("CSeq", "42 OPTIONS");
    let other_line = Message::bare("OPTIONS sip:nm2 SIP/2.0");
    vec![
        f05("svmap_tag_of_port_5060", "svmap-tag", &tagged(SVMAP_TAG)),
        f05("svmap_tag_of_port_5061", "sipvicious-tag", &tagged(SVMAP_TAG_5061)),
        f05("svmap_tag_of_ipv6", "sipvicious-tag", &tagged(SVMAP_TAG_V6)),
        f05("svwar_tag", "sipvicious-tag", &tagged(SVWAR_TAG)),
        f05("svcrack_first_tag", "svcrack-first-tag", &tagged("3206210844")),
        f05("svcrash_tag", "svcrash-tag", &tagged("683a653a7901746865726501627965")),
        f05(
            "svcrash_branch",
            "svcrash-branch",
            &register().replace("Via", &via("z9hG4bK-573841574")),
        ),
        f05(
            "from_of_svmap",
            "svmap-from",
            &register().replace("From", "\"sip\"<sip:100@1.1.1.1>;tag=1"),
        ),
        f05("to_of_svmap", "svmap-to", &register().replace("To", "\"100\"<sip:100@1.1.1.1>")),
        f05(
            "branch_of_sundayddr",
            "sundayddr-branch",
            &register().replace("Via", &via("zqwehwebK-1234")),
        ),
        f05(
            "from_of_sundayddr",
            "sundayddr-from",
            &register().replace("From", "\"sipsscuser\"<sip:192@198.51.100.7>;tag=1"),
        ),
        options("start_line_of_nmap", "nmap-start-line", &nmap),
        options(
            "from_of_nmap",
            "nmap-from",
            &other_line.clone().header("From", "<sip:nm@nm>;tag=root"),
        ),
        options(
            "cseq_and_via_of_nmap",
            "nmap-cseq",
            &other_line.header("Via", "SIP/2.0/UDP nm;branch=foo").header("CSeq", "42 OPTIONS"),
        ),
        f05("tag_of_metasploit", "metasploit-tag", &tagged("70c00e8c")),
        f05("cseq_of_viproy", "viproy-cseq", &register().replace("CSeq", "3452345 REGISTER")),
        of(
            Method::Invite,
            f05(
                "cseq_of_inviteflood",
                "inviteflood-cseq",
                &invite().replace("CSeq", "0000000001 INVITE"),
            ),
        ),
        of(
            Method::Invite,
            f05(
                "sdp_of_inviteflood",
                "inviteflood-sdp",
                &body("o=MxSIP 0 639859198 IN IP4 198.51.100.7"),
            ),
        ),
        f05(
            "from_of_sivus",
            "SIVuS-discovery",
            &register().replace("From", "<sip:sivus-discovery@vopsecurity.org>;tag=1"),
        ),
        f05(
            "to_of_sivus",
            "SIVuS-discovery-to",
            &register().replace("To", "<sip:sivus-discovery@vopsecurity.org>"),
        ),
        f05(
            "contact_of_sivus",
            "SIVuS-discovery-contact",
            &register().header("Contact", "<sip:sivus-discovery@vopsecurity.org>"),
        ),
        f05("from_of_smap", "smap-from", &register().replace("From", "<sip:smap@x>;tag=1")),
        f05("to_of_smap", "smap-to", &register().replace("To", "<sip:smap@203.0.113.1>")),
        f05(
            "from_of_censys",
            "censys-from",
            &register().replace("From", "<sip:censysinspect@censys.io>;tag=1"),
        ),
        f05(
            "uri_of_censys",
            "censys-uri",
            &Message::request("REGISTER", "sip:test.echo@sip5060.net"),
        ),
        f05(
            "via_of_the_rfc",
            "rfc-atlanta",
            &register().replace("Via", "SIP/2.0/UDP pc33.atlanta.com;branch=z9hG4bK776asdhds"),
        ),
        f05(
            "call_id_of_the_rfc",
            "rfc-call-id",
            &register().replace("Call-ID", "a84b4c76e66710@pc33.atlanta.com"),
        ),
        f05(
            "contact_of_the_rfc",
            "rfc-contact",
            &register().header("Contact", "<sip:alice@pc33.atlanta.com>"),
        ),
        of(Method::Invite, f05("sdp_of_sippts", "sippts-sdp", &body("s=SIPPTS"))),
    ]
}

/// Conditions that must hold together.
fn conditions() -> Vec<Case> {
    let invite_hit = |name, id, signature, message: &Message| {
        of(Method::Invite, hit(name, id, signature, message))
    };
    let invite_passes = |name, message: &Message| of(Method::Invite, passes(name, "F05", message));
    let branch = "a1".repeat(35) + "b";
    let via = |branch: &str| format!("SIP/2.0/UDP 198.51.100.7:5061;branch={branch};rport");
    let contact = "<sip:200@198.51.100.7:5061;transport=udp>;expires=60";
    let call_id = "1234567-7654321-1029384";
    let alone = KIT.replace("25282", "25284");
    vec![
        invite_hit(
            "kit_with_its_sdp_only",
            "A07",
            "toll-fraud-sdp",
            &invite().body("application/sdp", KIT),
        ),
        invite_hit(
            "kit_with_its_call_id",
            "A07",
            "toll-fraud-call-id",
            &invite().replace("Call-ID", call_id).body("application/sdp", &alone),
        ),
        invite_hit(
            "kit_with_lf",
            "A09",
            "toll-fraud-sdp",
            &invite().body("application/sdp", KIT.replace("\r\n", "\n")).lf(),
        ),
        invite_passes("kit_origin_without_the_rest", &invite().body("application/sdp", &alone)),
        invite_passes(
            "kit_audio_without_the_rest",
            &invite().body("application/sdp", KIT.replace("18299", "18298")),
        ),
        invite_passes(
            "call_id_of_three_numbers",
            &invite().replace("Call-ID", call_id).body("application/sdp", sdp()),
        ),
        hit(
            "sippts_pair",
            "A08",
            "sippts",
            &register().replace("Via", &via(&branch)).header("Contact", contact),
        ),
        passes("sippts_branch_alone", "F05", &register().replace("Via", &via(&branch))),
        passes("sippts_contact_alone", "F05", &register().header("Contact", contact)),
        passes(
            "sippts_branch_of_72",
            "F05",
            &register().replace("Via", &via(&(branch.clone() + "c"))).header("Contact", contact),
        ),
        of(
            Method::Message,
            passes(
                "kit_in_the_body_of_a_message",
                "L14",
                &Message::request("MESSAGE", "sip:100@203.0.113.1").body("text/plain", KIT),
            ),
        ),
        of(
            Method::Invite,
            passes(
                "kit_behind_the_body",
                "F05",
                &Message::bare("INVITE sip:100@203.0.113.1 SIP/2.0")
                    .line("Content-Length: 0\r\n\r\nv=0")
                    .line(KIT),
            ),
        ),
    ]
}

/// The same in other spelling.
fn spelling() -> Vec<Case> {
    let a09 = |name, line: &str| hit(name, "A09", "svmap-tag", &register().line(line));
    let tag = |name: &str| format!("{name} \"s\"<sip:s@203.0.113.1>;tag={SVMAP_TAG}");
    let lf = Message::bare("REGISTER sip:203.0.113.1 SIP/2.0").line(tag("From:")).lf();
    vec![
        a09("fingerprint_in_compact_from", &tag("f:")),
        a09("fingerprint_in_upper_case", &tag("FROM:").to_uppercase()),
        a09("fingerprint_behind_spaces", &tag("From \t:   ")),
        a09("fingerprint_in_compact_from_behind_spaces", &tag("F  :\t")),
        a09("fingerprint_folded", &tag("From:\r\n ")),
        a09("fingerprint_folded_before_the_tag", &tag("From:").replace(";tag", "\r\n ;tag")),
        hit("fingerprint_with_lf", "A09", "svmap-tag", &lf),
        hit(
            "fingerprint_in_compact_to",
            "A09",
            "smap-to",
            &register().line("t:<sip:smap@203.0.113.1>"),
        ),
        hit(
            "fingerprint_in_compact_via",
            "A09",
            "sundayddr-branch",
            &register().line("v: SIP/2.0/UDP x;branch=zqwehwebK-1"),
        ),
        hit(
            "fingerprint_in_compact_call_id",
            "A09",
            "rfc-call-id",
            &register().line("i: 1@pc33.atlanta.com"),
        ),
        hit(
            "fingerprint_in_compact_contact",
            "A09",
            "rfc-contact",
            &register().line("m: sip:a@pc33.atlanta.com"),
        ),
        Case::new(
            "fingerprint_over_ipv6",
            "A09",
            Rule::Signature,
            stranger_v6(tagged(SVMAP_TAG).build()).build(),
        )
        .method(Method::Register)
        .signature("svmap-tag"),
        Case::new(
            "fingerprint_behind_line_ends",
            "A09",
            Rule::Signature,
            stranger([b"\r\n\r\n", &tagged(SVMAP_TAG).build()[..]].concat()).build(),
        )
        .method(Method::Register)
        .signature("svmap-tag"),
        passes("longer_name_than_from", "A09", &register().line(tag("Fromage:"))),
        passes("other_compact_name", "A09", &register().line(tag("x:"))),
    ]
}

/// Each header has its own share, so that many of one hide no other (A11).
fn shares() -> Vec<Case> {
    let flood = |line: &str, n: usize| (0..n).fold(register(), |message, _| message.line(line));
    let scanner = |message: Message| message.agent("friendly-scanner");
    let last = |message: Message| message.line(format!("From: <sip:a@b>;tag={SVMAP_TAG}"));
    let agent = "friendly-scanner";
    vec![
        hit("agent_behind_forty_vias", "A11", agent, &scanner(flood("Via: x", 40))),
        hit("agent_behind_forty_froms", "A11", agent, &scanner(flood("f: x", 40))),
        hit("agent_behind_forty_contacts", "A11", agent, &scanner(flood("m: *", 40))),
        hit(
            "agent_behind_forty_names_that_begin_alike",
            "A11",
            agent,
            &scanner(flood("User-Agents: x", 40)),
        ),
        hit("fourth_from", "A11", "svmap-tag", &last(flood("f: x", 2))),
        // The stated bound: a message with more than any server takes.
        passes("fifth_from", "A11", &last(flood("f: x", 3))),
    ]
}

/// A payload that is a method word and nothing else.
fn bare_probes() -> Vec<Case> {
    let probe = |name, word: &str| {
        Case::new(name, "F05", Rule::Signature, stranger(word).build()).signature("bare probe")
    };
    let keepalive =
        |name, payload: &str| Case::new(name, "L11", Rule::Keepalive, stranger(payload).build());
    vec![
        probe("bare_options", "OPTIONS"),
        probe("bare_register", "REGISTER"),
        probe("bare_invite", "INVITE"),
        probe("bare_ack", "ACK"),
        probe("bare_bye", "BYE"),
        probe("bare_subscribe", "SUBSCRIBE"),
        probe("bare_options_in_lower_case", "options"),
        Case::new("bare_options_padded", "F05", Rule::Signature, stranger("OPTIONS").pad().build())
            .signature("bare probe"),
        keepalive("method_and_line_end", "OPTIONS\r\n"),
        keepalive("method_and_space", "OPTIONS "),
        keepalive("method_cut_short", "OPTION"),
        keepalive("method_with_more", "INVITES"),
        keepalive("method_behind_another_letter", "xACK"),
        keepalive("short_word_ping", "ping"),
    ]
}

/// What phones write into the same places.
fn honest() -> Vec<Case> {
    let l33 = |name, message: &Message| passes(name, "L33", message);
    let via = |value: &str| register().replace("Via", value);
    vec![
        l33("tag_of_a_grandstream", &tagged("1570046183")),
        l33("tag_of_exosip", &tagged("3206210845")),
        l33("tag_of_pjsip", &tagged("3fa2c1e07b1d4e6f9a8b7c6d5e4f3a2b")),
        l33("tag_of_sofia", &tagged("Zy9SXc0tFvK5N")),
        l33("tag_of_a_cisco", &tagged("000af4b2c3d4011e5a6b7c8d-31323334")),
        l33("tag_of_asterisk", &tagged("as6f0a2c1b")),
        l33("tag_of_printable_bytes", &tagged("61626364656631323334353637383930")),
        l33("tag_with_byte_01_and_letters", &tagged("3130303001616263646566")),
        l33("tag_with_byte_01_and_four_digits", &tagged("313030300131323334")),
        l33("tag_of_odd_digits", &tagged("313030300131323334353")),
        l33("tag_goes_on_behind_the_digits", &tagged(&format!("{SVWAR_TAG}-x"))),
        l33(
            "branch_of_pjsip",
            &via("SIP/2.0/UDP 198.51.100.7:5061;rport;branch=z9hG4bKPj8c2d1f6a"),
        ),
        l33("branch_of_exosip", &via("SIP/2.0/UDP 198.51.100.7;rport;branch=z9hG4bK573841574")),
        l33(
            "branch_of_eyebeam",
            &via("SIP/2.0/UDP 198.51.100.7;branch=z9hG4bK-d87543-1a2b3c4d-1--d87543-;rport"),
        ),
        l33(
            "contact_with_expires",
            &register().header("Contact", "<sip:200@198.51.100.7;transport=udp>;expires=3600"),
        ),
        l33(
            "display_name_of_four_ones",
            &register().replace("From", "\"1.1.1.1\" <sip:2@x>;tag=1"),
        ),
        l33("user_of_four_ones", &register().replace("To", "<sip:1.1.1.1@203.0.113.1>")),
        l33("address_that_begins_with_ones", &register().replace("To", "<sip:1@1.1.1.10>")),
        l33("subject_of_four_ones", &register().header("Subject", "<sip:x@1.1.1.1>")),
        passes("user_of_smapper", "L32", &register().replace("To", "<sip:smapper@203.0.113.1>")),
        of(Method::Invite, l33("sdp_of_a_phone", &invite().body("application/sdp", sdp()))),
    ]
}

/// Where somebody quotes a fingerprint, or answers who sent it.
fn quoted() -> Vec<Case> {
    let tag = format!("\"s\"<sip:s@1.1.1.1>;tag={SVMAP_TAG}");
    let echo = Message::response("401 Unauthorized", "REGISTER")
        .replace("From", &tag)
        .replace("Via", "SIP/2.0/UDP x;branch=zqwehwebK-1");
    let quoting = |method: Method, name| {
        let message = Message::request(method.name(), "sip:100@203.0.113.1")
            .body("text/plain", format!("From: {tag}\r\n{KIT}s=SIPPTS\r\n"));
        of(method, passes(name, "L14", &message))
    };
    vec![
        Case::new(
            "response_echoes_fingerprints",
            "L12",
            Rule::Response,
            stranger(echo.build()).build(),
        ),
        Case::new(
            "trusted_svmap",
            "L01",
            Rule::Trusted,
            crate::packet::Packet::udp("192.0.2.10:5060", "203.0.113.1:5060")
                .payload(tagged(SVMAP_TAG).build())
                .build(),
        ),
        quoting(Method::Message, "message_quotes_fingerprints"),
        quoting(Method::Notify, "notify_quotes_fingerprints"),
        passes("fingerprint_in_another_header", "L32", &register().line(format!("X-From: {tag}"))),
    ]
}
