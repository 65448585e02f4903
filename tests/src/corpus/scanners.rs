//! Messages in the shape that attack tools give them (A01, A02, A07, A08).
//! What gives them away under a changed User-Agent is a fingerprint (F05).

use sipguard_common::{method::Method, rule::Rule};

use super::{Case, stranger, stranger_v6};
use crate::sip::{Message, sdp};

const SVMAP_TAG: &str = "63623030373130313133633401323933373333343532";
const DIGEST: &str = "Digest username=\"1000\",realm=\"asterisk\",nonce=\"5f2d0c11\",\
    uri=\"sip:203.0.113.1\",response=\"8d2f4c1be90a1177c05a3b66d1f0aa27\",algorithm=MD5";

/// A message of the SIPVicious tools: their header order and their names.
fn sipvicious(method: &str, uri: &str, user: &str, agent: &str) -> Message {
    let address = format!("\"{user}\"<sip:{user}@1.1.1.1>");
    Message::bare(format!("{method} {uri} SIP/2.0"))
        .header("Via", "SIP/2.0/UDP 198.51.100.7:5061;branch=z9hG4bK-2718281828;rport")
        .header("From", &format!("{address};tag={SVMAP_TAG}"))
        .header("Accept", "application/sdp")
        .agent(agent)
        .header("To", &address)
        .header("Contact", &format!("sip:{user}@198.51.100.7:5061"))
        .header("CSeq", &format!("1 {method}"))
        .header("Call-ID", "314159265358979323846264")
        .header("Max-Forwards", "70")
}

pub(super) fn cases() -> Vec<Case> {
    [sipvicious_tools(), other_tools(), fraud()].concat()
}

fn dropped(
    name: &'static str,
    id: &'static str,
    method: Method,
    text: &'static str,
    message: &Message,
) -> Case {
    Case::new(name, id, Rule::Signature, stranger(message.build()).build())
        .method(method)
        .signature(text)
}

fn options(name: &'static str, id: &'static str, payload: impl AsRef<[u8]>) -> Case {
    Case::new(name, id, Rule::Options, stranger(payload).build()).method(Method::Options)
}

fn sipvicious_tools() -> Vec<Case> {
    let scanner = "friendly-scanner";
    let uri = "sip:1000@203.0.113.1";
    let svmap = |agent| sipvicious("OPTIONS", "sip:100@203.0.113.1", "sipvicious", agent);
    let svwar = |method: &str, agent| sipvicious(method, uri, "1000", agent);
    let svcrack = |agent| {
        sipvicious("REGISTER", "sip:203.0.113.1", "1000", agent).header("Authorization", DIGEST)
    };
    vec![
        dropped("svmap", "A01", Method::Options, scanner, &svmap(scanner)),
        options("svmap_with_changed_agent", "A01", svmap("Asterisk PBX").build()),
        dropped("svmap_invite", "A01", Method::Invite, scanner, &svwar("INVITE", scanner)),
        dropped("svwar", "A01", Method::Register, scanner, &svwar("REGISTER", scanner)),
        options("svwar_options_with_changed_agent", "A01", svwar("OPTIONS", "Phone").build()),
        dropped(
            "svwar_with_changed_agent",
            "A01",
            Method::Register,
            "svmap-tag",
            &svwar("REGISTER", "Phone"),
        ),
        dropped("svcrack", "A01", Method::Register, scanner, &svcrack(scanner)),
        dropped(
            "svcrack_with_changed_agent",
            "A01",
            Method::Register,
            "svmap-tag",
            &svcrack("Phone"),
        ),
        Case::new(
            "svmap_over_ipv6",
            "A01",
            Rule::Signature,
            stranger_v6(svmap(scanner).build()).build(),
        )
        .method(Method::Options)
        .signature(scanner),
        dropped("svwar_subscribe", "A01", Method::Subscribe, scanner, &svwar("SUBSCRIBE", scanner)),
        dropped("svwar_message", "A01", Method::Message, scanner, &svwar("MESSAGE", scanner)),
        dropped("svwar_bye", "A01", Method::Bye, scanner, &svwar("BYE", scanner)),
    ]
}

fn other_tools() -> Vec<Case> {
    let sipsak = Message::bare("OPTIONS sip:probe@203.0.113.1 SIP/2.0")
        .header("Via", "SIP/2.0/UDP 198.51.100.7:5061;branch=z9hG4bK.1a2b3c4d;rport;alias")
        .header("From", "sip:sipsak@198.51.100.7:5061;tag=3ade68b1")
        .header("To", "sip:probe@203.0.113.1")
        .header("Call-ID", "987654321@198.51.100.7")
        .header("CSeq", "1 OPTIONS")
        .header("Contact", "sip:sipsak@198.51.100.7:5061")
        .header("Max-Forwards", "70")
        .agent("sipsak 0.9.8.1")
        .header("Accept", "text/plain");
    let nmap = Message::bare("OPTIONS sip:nm SIP/2.0")
        .header("Via", "SIP/2.0/UDP nm;branch=foo")
        .header("From", "<sip:nm@nm>;tag=root")
        .header("To", "<sip:nm2@nm2>")
        .header("Call-ID", "50000")
        .header("CSeq", "42 OPTIONS")
        .header("Max-Forwards", "70");
    let enumeration = Message::request("REGISTER", "sip:203.0.113.1").agent("Nmap NSE");
    let metasploit = |method: &str| {
        Message::request(method, "sip:1000@203.0.113.1")
            .replace("From", "<sip:1000@203.0.113.1>;tag=70c00e8c")
    };
    let smap = Message::request("OPTIONS", "sip:smap@203.0.113.1")
        .replace("To", "<sip:smap@203.0.113.1>")
        .agent("smap");
    let censys = Message::request("OPTIONS", "sip:test.echo@sip5060.net")
        .replace("From", "<sip:censysinspect@censys.io>;tag=1");
    let crash = Message::request("INVITE", "sip:100@203.0.113.1")
        .header("Subject", &"A".repeat(900))
        .agent("friendly-scanner");
    vec![
        options("sipsak", "A02", sipsak.build()),
        options(
            "sipsak_with_one_word_agent",
            "A02",
            sipsak.replace("User-Agent", "sipsak").build(),
        ),
        options("nmap_service_probe", "A08", nmap.build()),
        options("nmap_service_probe_cut_short", "A08", b"OPTIONS sip:nm SIP/2.0\r\n"),
        dropped("nmap_enumeration", "A08", Method::Register, "Nmap NSE", &enumeration),
        options("metasploit_options", "A08", metasploit("OPTIONS").build()),
        dropped(
            "metasploit_enumeration",
            "A08",
            Method::Register,
            "metasploit-tag",
            &metasploit("REGISTER"),
        ),
        options(
            "zmap_probe",
            "A08",
            b"OPTIONS sip:a@a SIP/2.0\r\nVia: SIP/2.0/UDP a:5060\r\nCSeq: 1 OPTIONS\r\n\r\n",
        ),
        dropped("smap_probe", "A08", Method::Options, "smap", &smap),
        options("censys_probe", "A08", censys.build()),
        dropped(
            "viproy_register",
            "A08",
            Method::Register,
            "Viproy",
            &Message::request("REGISTER", "sip:203.0.113.1")
                .replace("CSeq", "3452345 REGISTER")
                .agent("Viproy Penetration Testing Kit"),
        ),
        dropped(
            "sivus_discovery",
            "A08",
            Method::Options,
            "SIVuS",
            &Message::request("OPTIONS", "sip:sivus-discovery@203.0.113.1").agent("SIVuS Scanner"),
        ),
        dropped("overlong_subject", "A11", Method::Invite, "friendly-scanner", &crash),
        dropped(
            "sundayddr_register",
            "A08",
            Method::Register,
            "sundayddr",
            &Message::request("REGISTER", "sip:203.0.113.1")
                .replace("From", "\"sipsscuser\"<sip:192@198.51.100.7>;tag=1")
                .agent("sundayddr"),
        ),
    ]
}

fn fraud() -> Vec<Case> {
    let kit = "v=0\r\no=- 16264 18299 IN IP4 198.51.100.7\r\ns=call\r\nc=IN IP4 198.51.100.7\r\n\
               t=0 0\r\nm=audio 25282 RTP/AVP 0 101\r\n";
    let call = |number: &str| {
        Message::request("INVITE", &format!("sip:{number}@203.0.113.1"))
            .header("Contact", "<sip:200@198.51.100.7:5061>")
    };
    let invite = Method::Invite;
    vec![
        dropped(
            "fraud_pplsip",
            "A07",
            invite,
            "pplsip",
            &call("00441632960000").agent("pplsip").body("application/sdp", kit),
        ),
        dropped(
            "fraud_sipcli",
            "A07",
            invite,
            "sipcli",
            &call("900441632960000").agent("sipcli/v1.8").body("application/sdp", sdp()),
        ),
        dropped(
            "fraud_vax",
            "A07",
            invite,
            "VaxSIPUserAgent",
            &call("0").agent("VaxSIPUserAgent/3.1").body("application/sdp", sdp()),
        ),
        dropped(
            "fraud_user_agent_behind_byte_512",
            "A07",
            invite,
            "pplsip",
            &call("0")
                .header("P-Pad", &"x".repeat(500))
                .agent("pplsip")
                .body("application/sdp", kit),
        ),
        dropped(
            "fraud_with_random_agent",
            "A07",
            invite,
            "toll-fraud-sdp",
            &call("0").agent("kx81bq").body("application/sdp", kit),
        ),
        dropped(
            "fraud_without_agent",
            "A07",
            invite,
            "toll-fraud-sdp",
            &call("0").body("application/sdp", kit),
        ),
    ]
}
