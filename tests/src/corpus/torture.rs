//! The torture messages of RFC 4475, each re-written in our own words so that
//! it shows the same property. From strangers: a filter that cannot read a
//! message lets the server answer it, so all but OPTIONS pass.

use sipguard_common::{method::Method, rule::Rule};

use super::{Case, stranger};
use crate::sip::{Message, sdp};

pub(super) fn cases() -> Vec<Case> {
    [valid(), invalid(), transaction_layer(), application_layer()].concat()
}

fn passes(name: &'static str, method: Method, payload: impl AsRef<[u8]>) -> Case {
    Case::new(name, "RFC4475", Rule::Stranger, stranger(payload).build()).method(method)
}

fn options(name: &'static str, payload: impl AsRef<[u8]>) -> Case {
    Case::new(name, "RFC4475", Rule::Options, stranger(payload).build()).method(Method::Options)
}

fn response(name: &'static str, payload: impl AsRef<[u8]>) -> Case {
    Case::new(name, "RFC4475", Rule::Response, stranger(payload).build())
}

fn unparsed(name: &'static str, payload: impl AsRef<[u8]>) -> Case {
    Case::new(name, "RFC4475", Rule::Unparsed, stranger(payload).build())
}

fn request(method: &str, uri: &str) -> Message {
    Message::request(method, uri)
}

fn invite() -> Message {
    request("INVITE", "sip:desk@example.org").header("Contact", "<sip:caller@198.51.100.7>")
}

fn register() -> Message {
    request("REGISTER", "sip:example.org").header("Contact", "<sip:desk@198.51.100.7>")
}

fn probe() -> Message {
    request("OPTIONS", "sip:desk@example.org")
}

/// Section 3.1.1: valid messages.
fn valid() -> Vec<Case> {
    vec![
        passes("rfc4475_wsinv", Method::Invite, b"INVITE sip:desk@example.org;unknownparam SIP/2.0\r\n\
            TO :\r\n sip:desk@example.org ;   tag    = 4401ka\r\n\
            from   : \"A \\\"quoted\\\" caller\"       <sip:caller@example.net>\r\n  ;\r\n  tag = 77\r\n\
            MaX-fOrWaRdS: 0068\r\n\
            Call-ID: spaced.0ha0isnda977644900765@198.51.100.7\r\n\
            cseq: 0009\r\n  INVITE\r\n\
            Via  : SIP  /   2.0\r\n /UDP\r\n    198.51.100.7;branch=z9hG4bK390skdjuw\r\n\
            s :\r\n\
            NewFangledHeader:   newfangled value\r\n continued newfangled value\r\n\
            UnknownHeaderWithUnusualValue: ;;,,;;,;\r\n\
            Content-Type: application/sdp\r\n\
            Route:\r\n <sip:services.example.org;lr;unknownwith=value;unknown-no-value>\r\n\
            v:  SIP  / 2.0  / TCP     198.51.100.8  ;\r\n  branch  =   z9hG4bK9ikj8  ,\r\n SIP  /    2.0   / UDP  198.51.100.9\r\n\
            m:\"Quoted string \\\"\\\"\" <sip:caller@example.net> ; newparam =\r\n      newvalue ;\r\n  secondparam ; q = 0.33\r\n\
            Content-Length: 0\r\n\r\n"),
        unparsed("rfc4475_intmeth", b"!interesting-Method0123456789_*+`.%indeed'~ sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*:&it+has=1,weird!*pas$wo~d_too.(doesn't-it)@example.org SIP/2.0\r\n\
            Via: SIP/2.0/TCP host1.example.org;branch=z9hG4bK-.!%66*_+`'~\r\n\
            To: \"BEL:\\\x07 NUL:\\\x00 DEL:\\\x7f\" <sip:1_unusual.URI~(to-be!sure)@example.org>\r\n\
            From: token1~` token2'+_ token3*%!.- <sip:mundane@example.org>;fromParam''~+*_!.-%=\"\xd1\x80\";tag=_token~1'+`*%!-.\r\n\
            Call-ID: intmeth.word%ZK-!.*_+'@word`~)(><:\\/\"][?}{\r\n\
            CSeq: 139122385 !interesting-Method0123456789_*+`.%indeed'~\r\n\
            Max-Forwards: 255\r\nContent-Length: 0\r\n\r\n"),
        passes("rfc4475_esc01", Method::Invite, request("INVITE", "sip:sips%3Adesk%40example.org@example.net")
            .replace("To", "sip:%64esk@example.org")
            .replace("From", "<sip:I%20have%20spaces@example.net>;tag=938")
            .header("Contact", "<sip:cal%6Cer@host5.example.net;%6C%72;n%61me=v%61lue%25%34%31>")
            .build()),
        passes("rfc4475_escnull", Method::Register, register()
            .replace("To", "sip:null-%00-null@example.org")
            .replace("Contact", "<sip:%00@host5.example.org>")
            .header("Contact", "<sip:%00%00@host5.example.org>")
            .build()),
        unparsed("rfc4475_esc02", Message::bare("RE%47IST%45R sip:registrar.example.org SIP/2.0")
            .header("To", "\"%Z%45\" <sip:resource@example.org>")
            .header("From", "\"%Z%45\" <sip:resource@example.org>;tag=f232jadfj23")
            .header("CSeq", "29344 RE%47IST%45R")
            .build()),
        options("rfc4475_lwsdisp", probe().replace("From", "caller<sip:caller@example.org>;tag=323").build()),
        passes("rfc4475_longreq", Method::Invite, longreq()),
        passes("rfc4475_dblreq", Method::Register, [register().build(), invite().body("application/sdp", sdp()).build()].concat()),
        options("rfc4475_semiuri", request("OPTIONS", "sip:user;par=u%40example.net@example.org").build()),
        options("rfc4475_transports", probe()
            .header("Via", "SIP/2.0/SCTP t2.example.org;branch=z9hG4bKklasjdhf")
            .header("Via", "SIP/2.0/TLS t3.example.org;branch=z9hG4bK2980unddj")
            .header("Via", "SIP/2.0/UNKNOWN t4.example.org;branch=z9hG4bKasd0f3en")
            .header("Via", "SIP/2.0/TCP t5.example.org;branch=z9hG4bK0a9idfnee")
            .build()),
        passes("rfc4475_mpart01", Method::Message, request("MESSAGE", "sip:desk@example.org")
            .body("multipart/mixed;boundary=7a9cbec02ceef655", b"--7a9cbec02ceef655\r\n\
                Content-Type: text/plain\r\nContent-Transfer-Encoding: binary\r\n\r\nHello\r\n\
                --7a9cbec02ceef655\r\nContent-Type: application/octet-stream\r\n\r\n\
                0\x82\x01R\x06\x09*\x86H\x86\xf7\r\x01\x07\x02\xa0\x82\x01C\0\0\xff\xfe\r\n\
                --7a9cbec02ceef655--\r\n")
            .build()),
        response("rfc4475_unreason", Message::response(
            "200 = 2**3 * 5**2 \u{43d}\u{43e} \u{441}\u{442}\u{43e} \u{434}\u{435}\u{432}\u{44f}\u{43d}\u{43e}\u{441}\u{442}\u{43e}",
            "INVITE").build()),
        response("rfc4475_noreason", Message::response("100 ", "INVITE").build()),
    ]
}

/// A valid request all of whose parts are long; more than one frame holds.
fn longreq() -> Vec<u8> {
    let long = |head: &str, n: usize| format!("{head}{}", "long".repeat(n));
    request("INVITE", "sip:desk@example.org")
        .replace(
            "To",
            &format!(
                "\"I have a user name of {} proportion\" <sip:desk@example.org:6000;{}=yes>",
                long("", 40),
                long("param", 20)
            ),
        )
        .replace("From", &format!("sip:{}@example.net;tag={}", long("caller", 40), long("tag", 40)))
        .replace("Call-ID", &long("one", 40))
        .header("Unknown-Long-Header", &long("value-", 60))
        .header(&long("Unknown-", 30), "value")
        .header(
            "Via",
            &format!("SIP/2.0/TCP {}.example.net;branch={}", long("host", 20), long("z9hG4bK", 40)),
        )
        .header("Contact", &format!("<sip:{}@host5.example.net>", long("user", 60)))
        .body("application/sdp", sdp())
        .build()
}

/// Section 3.1.2: invalid messages.
fn invalid() -> Vec<Case> {
    let mut negative = invite().head();
    negative.extend_from_slice(b"Content-Type: application/sdp\r\nContent-Length: -999\r\n\r\n");
    negative.extend_from_slice(sdp());
    let mut larger = invite().head();
    larger.extend_from_slice(b"Content-Type: application/sdp\r\nContent-Length: 9999\r\n\r\n");
    larger.extend_from_slice(sdp());
    vec![
        passes("rfc4475_badinv01", Method::Invite, invite()
            .header("Via", "SIP/2.0/UDP 198.51.100.7;;,;,,")
            .replace("Contact", "\"Caller\" <sip:caller@example.org>;;;;")
            .build()),
        passes("rfc4475_clerr", Method::Invite, larger),
        passes("rfc4475_ncl", Method::Invite, negative),
        passes("rfc4475_scalar02", Method::Register, register()
            .replace("CSeq", "36893488147419103232 REGISTER")
            .replace("Max-Forwards", "300")
            .header("Expires", "1000000000000000000000")
            .replace("Contact", "<sip:desk@198.51.100.7>;expires=280297596632815")
            .build()),
        response("rfc4475_scalarlg", Message::response("503 Service Unavailable", "INVITE")
            .replace("CSeq", "9292394834772304023312 OPTIONS")
            .header("Retry-After", "949302838503028349304023988")
            .header("Warning", "1812 overture \"In Progress\"")
            .build()),
        passes("rfc4475_quotbal", Method::Invite, invite().replace("To", "\"Mr. Desk <sip:desk@example.org>").build()),
        passes("rfc4475_ltgtruri", Method::Invite, request("INVITE", "<sip:desk@example.org>").build()),
        passes("rfc4475_lwsruri", Method::Invite, request("INVITE", "sip:desk@example.org; lr").build()),
        passes("rfc4475_lwsstart", Method::Invite, b"INVITE  sip:desk@example.org  SIP/2.0\r\n\
            Via: SIP/2.0/UDP 198.51.100.7;branch=z9hG4bK1\r\nMax-Forwards: 8\r\nTo: sip:desk@example.org\r\n\
            From: <sip:caller@example.net>;tag=1\r\nCall-ID: spaces@198.51.100.7\r\nCSeq: 1893884 INVITE\r\n\r\n"),
        options("rfc4475_trws", b"OPTIONS sip:desk@example.org SIP/2.0  \r\n\
            Via: SIP/2.0/UDP 198.51.100.7;branch=z9hG4bK2\r\nMax-Forwards: 8\r\nTo: sip:desk@example.org\r\n\
            From: <sip:caller@example.net>;tag=2\r\nCall-ID: trailing@198.51.100.7\r\nCSeq: 238923 OPTIONS\r\n\r\n"),
        passes("rfc4475_escruri", Method::Invite, request("INVITE", "sip:desk@example.org?Route=%3Csip:example.net%3E").build()),
        passes("rfc4475_baddate", Method::Invite, invite().header("Date", "Fri, 01 Jan 2010 16:00:00 EST").build()),
        passes("rfc4475_regbadct", Method::Register, register().replace("Contact", "sip:desk@example.org?Route=%3Csip:sip.example.org%3E").build()),
        options("rfc4475_badaspec", request("OPTIONS", "sip:desk@example.org")
            .replace("From", "\"Bell, Alexander\" <sip:\"a.bell\"@example.org>;tag=43")
            .replace("To", "\"Watson, Thomas\" < sip:desk@example.org >")
            .build()),
        options("rfc4475_baddn", probe().replace("From", "Bell, Alexander <sip:caller@example.org>;tag=43").build()),
        options("rfc4475_badvers", b"OPTIONS sip:desk@example.org SIP/7.0\r\nVia: SIP/7.0/UDP 198.51.100.7;branch=z9hG4bK3\r\n\
            Max-Forwards: 70\r\nTo: sip:desk@example.org\r\nFrom: <sip:caller@example.net>;tag=3\r\n\
            Call-ID: version@198.51.100.7\r\nCSeq: 1 OPTIONS\r\n\r\n"),
        options("rfc4475_mismatch01", probe().replace("CSeq", "8 INVITE").build()),
        unparsed("rfc4475_mismatch02", request("NEWMETHOD", "sip:desk@example.org").replace("CSeq", "8 INVITE").build()),
        response("rfc4475_bigcode", Message::response("4294967301 more than a receiver may expect", "INVITE").build()),
    ]
}

/// Sections 3.2 and 3.4: transaction layer, and messages of RFC 2543.
fn transaction_layer() -> Vec<Case> {
    vec![
        options(
            "rfc4475_badbranch",
            probe().replace("Via", "SIP/2.0/UDP 198.51.100.7;branch=z9hG4bK").build(),
        ),
        passes(
            "rfc4475_inv2543",
            Method::Invite,
            Message::bare("INVITE sip:desk@example.net SIP/2.0")
                .header("Via", "SIP/2.0/UDP host.example.com")
                .header("Record-Route", "<sip:host.example.com>")
                .header("From", "sip:caller@host.example.com;user=phone")
                .header("To", "sip:desk@example.net")
                .header("Call-ID", "1717@host.example.com")
                .header("CSeq", "56 INVITE")
                .body("application/sdp", sdp())
                .build(),
        ),
    ]
}

/// Section 3.3: application layer.
fn application_layer() -> Vec<Case> {
    let many = invite()
        .replace("CSeq", "5 INVITE")
        .header("CSeq", "8 BYE")
        .header("From", "<sip:other.caller@example.net>;tag=192424")
        .header("To", "sip:other.desk@example.com")
        .header("Call-ID", "other@198.51.100.7")
        .header("Max-Forwards", "5")
        .header("Contact", "<sip:caller@host5.example.net>");
    let lengths = [probe().head(), b"Content-Length: 13\r\nContent-Length: 5\r\n\r\nThere's no way to know how many octets are supposed to be here.\r\n".to_vec()];
    vec![
        passes(
            "rfc4475_insuf",
            Method::Invite,
            Message::bare("INVITE sip:desk@example.org SIP/2.0")
                .header("CSeq", "193942 INVITE")
                .header("Via", "SIP/2.0/UDP 198.51.100.95;branch=z9hG4bKkdj.insuf")
                .body("application/sdp", sdp())
                .build(),
        ),
        options(
            "rfc4475_unkscm",
            request("OPTIONS", "noSchemeThatAnybodyKnows:totallyopaquecontent").build(),
        ),
        options("rfc4475_novelsc", request("OPTIONS", "soap.beep://198.51.100.103:3002").build()),
        passes(
            "rfc4475_unksm2",
            Method::Register,
            register()
                .replace("To", "isbn:2983792873")
                .replace("From", "<http://www.example.org>;tag=3234233")
                .replace("Contact", "<name:Desk_Of_Example>")
                .build(),
        ),
        options(
            "rfc4475_bext01",
            probe()
                .header("Require", "nothingSupportsThis, nothingSupportsThisEither")
                .header("Proxy-Require", "noProxiesSupportThis, norDoAnyProxiesSupportThis")
                .build(),
        ),
        passes(
            "rfc4475_invut",
            Method::Invite,
            invite()
                .body(
                    "application/unknownformat",
                    "<audio>\r\n <pcmu port=\"443\"/>\r\n</audio>\r\n",
                )
                .build(),
        ),
        passes(
            "rfc4475_regaut01",
            Method::Register,
            register().header("Authorization", "NoOneKnowsThisScheme opaque-data=here").build(),
        ),
        passes("rfc4475_multi01", Method::Invite, many.build()),
        options("rfc4475_mcl01", lengths.concat()),
        response(
            "rfc4475_bcast",
            Message::response("200 OK", "INVITE")
                .header("Via", "SIP/2.0/UDP 255.255.255.255;branch=z9hG4bK1saber23")
                .body("application/sdp", sdp())
                .build(),
        ),
        options("rfc4475_zeromf", probe().replace("Max-Forwards", "0").build()),
        passes(
            "rfc4475_cparam01",
            Method::Register,
            register().replace("Contact", "sip:+19725552222@gw1.example.net;unknownparam").build(),
        ),
        passes(
            "rfc4475_cparam02",
            Method::Register,
            register()
                .replace("Contact", "<sip:+19725552222@gw1.example.net;unknownparam>")
                .build(),
        ),
        passes(
            "rfc4475_regescrt",
            Method::Register,
            register()
                .replace("Contact", "<sip:desk@example.org?Route=%3Csip:sip.example.org%3E>")
                .build(),
        ),
        passes(
            "rfc4475_sdp01",
            Method::Invite,
            invite()
                .header("Accept", "text/nobodyKnowsThis")
                .body("application/sdp", sdp())
                .build(),
        ),
    ]
}
