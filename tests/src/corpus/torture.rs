//! The torture messages of RFC 4475, each in our own words and so that it
//! shows the same property. From strangers: what a filter cannot read, the
//! server may answer, so all but OPTIONS pass.

use sipguard_common::{method::Method, rule::Rule};

use super::{Case, stranger};
use crate::sip::{Message, sdp};

pub(super) fn cases() -> Vec<Case> {
    [
        valid(),
        invalid_requests(),
        invalid_options(),
        invalid_responses(),
        transaction_layer(),
        refused_requests(),
        odd_registrations(),
    ]
    .concat()
}

fn passes(name: &'static str, method: Method, payload: impl AsRef<[u8]>) -> Case {
    Case::new(name, "RFC4475", Rule::Stranger, stranger(payload).build()).method(method)
}

fn options(name: &'static str, payload: impl AsRef<[u8]>) -> Case {
    Case::new(name, "RFC4475", Rule::Options, stranger(payload).build()).method(Method::Options)
}

fn response(name: &'static str, message: &Message) -> Case {
    Case::new(name, "RFC4475", Rule::Response, stranger(message.build()).build())
}

fn unparsed(name: &'static str, payload: impl AsRef<[u8]>) -> Case {
    Case::new(name, "RFC4475", Rule::Unparsed, stranger(payload).build())
}

fn invite_to(uri: &str) -> Message {
    Message::request("INVITE", uri).header("Contact", "<sip:caller@198.51.100.7>")
}

fn invite() -> Message {
    invite_to("sip:desk@example.org")
}

fn register() -> Message {
    Message::request("REGISTER", "sip:example.org").header("Contact", "<sip:desk@198.51.100.7>")
}

fn probe_to(uri: &str) -> Message {
    Message::request("OPTIONS", uri)
}

fn probe() -> Message {
    probe_to("sip:desk@example.org")
}

/// Section 3.1.1: valid messages.
fn valid() -> Vec<Case> {
    let escaped = invite_to("sip:sips%3Adesk%40example.org@example.net")
        .replace("To", "sip:%64esk@example.org")
        .replace("From", "<sip:front%20desk@example.net>;tag=1")
        .replace("Contact", "<sip:d%65sk@example.net;%6C%72;k%65y=v%61lue%25%34%31>");
    let nulls = register()
        .replace("To", "sip:zero-%00-zero@example.org")
        .replace("Contact", "<sip:%00@198.51.100.7>")
        .header("Contact", "<sip:%00%00@198.51.100.7>");
    let escaped_method = Message::bare("RE%47IST%45R sip:example.org SIP/2.0")
        .header("To", "\"%D%45\" <sip:desk@example.org>")
        .header("CSeq", "2 RE%47IST%45R");
    let transports = probe()
        .header("Via", "SIP/2.0/SCTP two.example.org;branch=z9hG4bK2")
        .header("Via", "SIP/2.0/TLS three.example.org;branch=z9hG4bK3")
        .header("Via", "SIP/2.0/PIGEON four.example.org;branch=z9hG4bK4")
        .header("Via", "SIP/2.0/TCP five.example.org;branch=z9hG4bK5");
    let multipart = Message::request("MESSAGE", "sip:desk@example.org")
        .body("multipart/mixed;boundary=edge", MULTIPART);
    let two = [register().build(), invite().body("application/sdp", sdp()).build()].concat();
    vec![
        passes("rfc4475_wsinv", Method::Invite, WSINV),
        unparsed("rfc4475_intmeth", INTMETH),
        passes("rfc4475_esc01", Method::Invite, escaped.build()),
        passes("rfc4475_escnull", Method::Register, nulls.build()),
        unparsed("rfc4475_esc02", escaped_method.build()),
        options(
            "rfc4475_lwsdisp",
            probe().replace("From", "desk<sip:d@example.org>;tag=1").build(),
        ),
        passes("rfc4475_longreq", Method::Invite, longreq().build()),
        passes("rfc4475_dblreq", Method::Register, two),
        options("rfc4475_semiuri", probe_to("sip:desk;room=2%40example.net@example.org").build()),
        options("rfc4475_transports", transports.build()),
        passes("rfc4475_mpart01", Method::Message, multipart.build()),
        // A reason phrase beyond ASCII, and an empty one.
        response("rfc4475_unreason", &Message::response("200 = 5 * 40 двести", "INVITE")),
        response("rfc4475_noreason", &Message::response("100 ", "INVITE")),
    ]
}

/// A valid request all of whose parts are long: more than one frame holds.
fn longreq() -> Message {
    let long = |word: &str| word.repeat(40);
    invite()
        .replace("To", &format!("\"{}\" <sip:desk@example.org:6000;{}>", long("name "), long("p")))
        .replace("From", &format!("sip:{}@example.net;tag={}", long("user"), long("tag")))
        .replace("Call-ID", &long("call"))
        .replace("Contact", &format!("<sip:{}@198.51.100.7>", long("contact")))
        .header("Subject", &long("subject "))
        .header(&long("Name"), "value")
        .header("Via", &format!("SIP/2.0/TCP {}.example.net;branch=z9hG4bK", long("host")))
        .body("application/sdp", sdp())
}

/// Section 3.1.2: invalid requests that are no OPTIONS.
fn invalid_requests() -> Vec<Case> {
    let with_length = |length: &str| {
        let head = format!("Content-Type: application/sdp\r\nContent-Length: {length}\r\n\r\n");
        [&invite().head(), head.as_bytes(), sdp()].concat()
    };
    let separators = invite()
        .header("Via", "SIP/2.0/UDP 198.51.100.7;;,;,,")
        .replace("Contact", "\"Desk\" <sip:desk@example.org>;;;;");
    // 2 to the 65th, and more than fits anywhere.
    let numbers = register()
        .replace("CSeq", "36893488147419103232 REGISTER")
        .replace("Max-Forwards", "300")
        .replace("Contact", "<sip:desk@198.51.100.7>;expires=281474976710656")
        .header("Expires", "99999999999999999999999");
    let unbalanced = invite().replace("To", "\"Front desk <sip:desk@example.org>");
    let escaped_header = invite_to("sip:desk@example.org?Route=%3Csip:example.net%3E");
    let other_zone = invite().header("Date", "Fri, 01 Jan 2010 16:00:00 CET");
    let bare_contact = register().replace("Contact", "sip:d@example.org?Route=%3Csip:x.example%3E");
    let other_method =
        Message::request("KNOCK", "sip:desk@example.org").replace("CSeq", "8 INVITE");
    let invite = Method::Invite;
    vec![
        passes("rfc4475_badinv01", invite, separators.build()),
        passes("rfc4475_clerr", invite, with_length("9999")),
        passes("rfc4475_ncl", invite, with_length("-999")),
        passes("rfc4475_scalar02", Method::Register, numbers.build()),
        passes("rfc4475_quotbal", invite, unbalanced.build()),
        passes("rfc4475_ltgtruri", invite, invite_to("<sip:desk@example.org>").build()),
        passes("rfc4475_lwsruri", invite, invite_to("sip:desk@example.org; lr").build()),
        passes("rfc4475_lwsstart", invite, LWSSTART),
        passes("rfc4475_escruri", invite, escaped_header.build()),
        passes("rfc4475_baddate", invite, other_zone.build()),
        passes("rfc4475_regbadct", Method::Register, bare_contact.build()),
        unparsed("rfc4475_mismatch02", other_method.build()),
    ]
}

/// Section 3.1.2: invalid OPTIONS.
fn invalid_options() -> Vec<Case> {
    let quoted_user = probe()
        .replace("From", "\"Desk, front\" <sip:\"front.desk\"@example.net>;tag=4")
        .replace("To", "\"Desk, back\" < sip:desk@example.org >");
    let unquoted_name = probe().replace("From", "Desk, front <sip:desk@example.net>;tag=4");
    vec![
        options("rfc4475_trws", TRWS),
        options("rfc4475_badaspec", quoted_user.build()),
        options("rfc4475_baddn", unquoted_name.build()),
        options("rfc4475_badvers", BADVERS),
        options("rfc4475_mismatch01", probe().replace("CSeq", "8 INVITE").build()),
    ]
}

/// Section 3.1.2: invalid responses.
fn invalid_responses() -> Vec<Case> {
    let numbers = Message::response("503 Service Unavailable", "INVITE")
        .replace("CSeq", "99999999999999999999 OPTIONS")
        .header("Retry-After", "99999999999999999999999999")
        .header("Warning", "9999 example.org \"Too large\"");
    vec![
        response("rfc4475_scalarlg", &numbers),
        // 2 to the 32nd more than 5.
        response("rfc4475_bigcode", &Message::response("4294967301 too large a code", "INVITE")),
    ]
}

/// Sections 3.2 and 3.4: transaction layer, and messages of RFC 2543.
fn transaction_layer() -> Vec<Case> {
    let empty_branch = probe().replace("Via", "SIP/2.0/UDP 198.51.100.7;branch=z9hG4bK");
    let old = Message::bare("INVITE sip:desk@example.net SIP/2.0")
        .header("Via", "SIP/2.0/UDP host.example.com")
        .header("Record-Route", "<sip:host.example.com>")
        .header("From", "sip:caller@host.example.com;user=phone")
        .header("To", "sip:desk@example.net")
        .header("Call-ID", "7@host.example.com")
        .header("CSeq", "56 INVITE")
        .body("application/sdp", sdp());
    vec![
        options("rfc4475_badbranch", empty_branch.build()),
        passes("rfc4475_inv2543", Method::Invite, old.build()),
    ]
}

/// Section 3.3: what a server reads well and yet refuses.
fn refused_requests() -> Vec<Case> {
    let insufficient = Message::bare("INVITE sip:desk@example.org SIP/2.0")
        .header("CSeq", "1 INVITE")
        .header("Via", "SIP/2.0/UDP 198.51.100.7;branch=z9hG4bK1")
        .body("application/sdp", sdp());
    let extensions =
        probe().header("Require", "nobodyHasIt, neitherThis").header("Proxy-Require", "norThat");
    let unknown_body =
        invite().body("application/unheard-of", "<tone>\r\n <hz>440</hz>\r\n</tone>\r\n");
    let doubled = invite()
        .header("CSeq", "8 BYE")
        .header("From", "<sip:second@example.net>;tag=2")
        .header("To", "sip:second@example.com")
        .header("Call-ID", "second@198.51.100.7")
        .header("Max-Forwards", "5");
    let lengths = b"Content-Length: 13\r\nContent-Length: 5\r\n\r\nWhich of the two?\r\n";
    let broadcast = Message::response("200 OK", "INVITE")
        .header("Via", "SIP/2.0/UDP 255.255.255.255;branch=z9hG4bK2")
        .body("application/sdp", sdp());
    let no_sdp = invite().header("Accept", "text/unheard-of").body("application/sdp", sdp());
    vec![
        passes("rfc4475_insuf", Method::Invite, insufficient.build()),
        options("rfc4475_unkscm", probe_to("unheardofscheme:whatever-follows").build()),
        options("rfc4475_novelsc", probe_to("xmpp://198.51.100.103:3002").build()),
        options("rfc4475_bext01", extensions.build()),
        passes("rfc4475_invut", Method::Invite, unknown_body.build()),
        passes("rfc4475_multi01", Method::Invite, doubled.build()),
        options("rfc4475_mcl01", [&probe().head(), &lengths[..]].concat()),
        response("rfc4475_bcast", &broadcast),
        options("rfc4475_zeromf", probe().replace("Max-Forwards", "0").build()),
        passes("rfc4475_sdp01", Method::Invite, no_sdp.build()),
    ]
}

/// Section 3.3: registrations.
fn odd_registrations() -> Vec<Case> {
    let schemes = register()
        .replace("To", "isbn:0000000000")
        .replace("From", "<http://www.example.org>;tag=3")
        .replace("Contact", "<name:front_desk>");
    let contact =
        |name, value| passes(name, Method::Register, register().replace("Contact", value).build());
    let scheme = register().header("Authorization", "UnheardOf opaque=value");
    vec![
        passes("rfc4475_unksm2", Method::Register, schemes.build()),
        passes("rfc4475_regaut01", Method::Register, scheme.build()),
        contact("rfc4475_cparam01", "sip:+441632960000@example.net;novelty"),
        contact("rfc4475_cparam02", "<sip:+441632960000@example.net;novelty>"),
        contact("rfc4475_regescrt", "<sip:d@example.org?Route=%3Csip:x.example%3E>"),
    ]
}

/// White space, folded lines and letter case wherever the grammar has them.
const WSINV: &[u8] = b"INVITE sip:desk@example.org;novelty SIP/2.0\r\n\
    tO :\r\n sip:desk@example.org ;   tag    = d1\r\n\
    FROM   : \"The \\\"front\\\" desk\"       <sip:front@example.net>\r\n  ;\r\n  tag = f1\r\n\
    mAX-fORWARDS: 0068\r\n\
    Call-ID: white.space@198.51.100.7\r\n\
    CSEQ: 0009\r\n  INVITE\r\n\
    Via  : SIP  /   2.0\r\n /UDP\r\n    198.51.100.7;branch=z9hG4bK1\r\n\
    s :\r\n\
    Novelty:   one line\r\n and another\r\n\
    Separators: ;;,,;;,;\r\n\
    Content-Type: application/sdp\r\n\
    Route:\r\n <sip:proxy.example.org;lr;key=value;flag>\r\n\
    v:  SIP  / 2.0  / TCP     198.51.100.8  ;\r\n  branch  =   z9hG4bK2  ,\r\n\
    \x20SIP  /    2.0   / UDP  198.51.100.9\r\n\
    m:\"Quote \\\"\\\"\" <sip:front@example.net> ; key =\r\n   value ;\r\n  flag ; q = 0.3\r\n\
    Content-Length: 0\r\n\r\n";

/// A method, a URI and parameters of every character that they may hold.
const INTMETH: &[u8] = b"!Knock-0123456789_*+`.%twice'~ \
    sip:d_e.s-k!~*'(1)&=+$,;?/:p;a=s!s,w~o(r)d@example.org SIP/2.0\r\n\
    Via: SIP/2.0/TCP host.example.org;branch=z9hG4bK-.!%66*_+`'~\r\n\
    To: \"BEL \\\x07 NUL \\\x00 DEL \\\x7f\" <sip:d_e.s-k!~*'(1)@example.org>\r\n\
    From: one~` two'+_ three*%!.- <sip:x@example.org>;k''~+*_!.-%=\"\xd1\x80\";tag=_~1'+`*%!-.\r\n\
    Call-ID: word%-!.*_+'@word`~)(><:\\/\"][?}{\r\n\
    CSeq: 123456789 !Knock-0123456789_*+`.%twice'~\r\n\
    Max-Forwards: 255\r\n\
    Content-Length: 0\r\n\r\n";

/// A part of text and a part of bytes.
const MULTIPART: &[u8] = b"--edge\r\n\
    Content-Type: text/plain\r\n\r\nHello\r\n--edge\r\n\
    Content-Type: application/octet-stream\r\n\r\n\
    0\x82\x01R\x06\x09*\x86H\x86\xf7\r\x01\x07\x02\xa0\x82\x01C\0\0\xff\xfe\r\n--edge--\r\n";

/// Two spaces where the start line has one.
const LWSSTART: &[u8] = b"INVITE  sip:desk@example.org  SIP/2.0\r\n\
    Via: SIP/2.0/UDP 198.51.100.7;branch=z9hG4bK1\r\n\
    To: sip:desk@example.org\r\n\
    From: <sip:caller@example.net>;tag=1\r\n\
    Call-ID: spaces@198.51.100.7\r\n\
    CSeq: 1 INVITE\r\n\r\n";

/// Spaces behind the start line.
const TRWS: &[u8] = b"OPTIONS sip:desk@example.org SIP/2.0  \r\n\
    Via: SIP/2.0/UDP 198.51.100.7;branch=z9hG4bK2\r\n\
    To: sip:desk@example.org\r\n\
    From: <sip:caller@example.net>;tag=2\r\n\
    Call-ID: trailing@198.51.100.7\r\n\
    CSeq: 1 OPTIONS\r\n\r\n";

/// A version that does not exist.
const BADVERS: &[u8] = b"OPTIONS sip:desk@example.org SIP/7.0\r\n\
    Via: SIP/7.0/UDP 198.51.100.7;branch=z9hG4bK3\r\n\
    To: sip:desk@example.org\r\n\
    From: <sip:caller@example.net>;tag=3\r\n\
    Call-ID: version@198.51.100.7\r\n\
    CSeq: 1 OPTIONS\r\n\r\n";

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::cases;

    /// The names that the RFC gives its messages, by section.
    const NAMES: [&[&str]; 5] = [
        // 3.1.1
        &[
            "wsinv",
            "intmeth",
            "esc01",
            "escnull",
            "esc02",
            "lwsdisp",
            "longreq",
            "dblreq",
            "semiuri",
            "transports",
            "mpart01",
            "unreason",
            "noreason",
        ],
        // 3.1.2
        &[
            "badinv01",
            "clerr",
            "ncl",
            "scalar02",
            "scalarlg",
            "quotbal",
            "ltgtruri",
            "lwsruri",
            "lwsstart",
            "trws",
            "escruri",
            "baddate",
            "regbadct",
            "badaspec",
            "baddn",
            "badvers",
            "mismatch01",
            "mismatch02",
            "bigcode",
        ],
        // 3.2
        &["badbranch"],
        // 3.3
        &[
            "insuf", "unkscm", "novelsc", "unksm2", "bext01", "invut", "regaut01", "multi01",
            "mcl01", "bcast", "zeromf", "cparam01", "cparam02", "regescrt", "sdp01",
        ],
        // 3.4
        &["inv2543"],
    ];

    #[test]
    fn every_message_of_the_rfc_is_there() {
        let wanted: BTreeSet<&str> = NAMES.concat().into_iter().collect();
        assert_eq!(wanted.len(), 49);
        let cases = cases();
        let names = cases.iter().map(|case| case.name.trim_start_matches("rfc4475_"));
        assert_eq!(names.collect::<BTreeSet<_>>(), wanted);
    }
}
