//! Forms of packets and messages on their way out.

use sipguard_common::{
    abi::Learned::{AuthBan, Failure, Harvest, Verified},
    learn::Fate,
    rule::Rule,
};

use super::{
    Story,
    cast::Phone,
    scene::{S, Scene},
};
use crate::{packet::Packet, sip::Message};

pub(super) fn stories() -> Vec<Story> {
    vec![
        Story::new("replies_in_every_packet", &["F12", "F20"], packets),
        Story::new("compact_folded_and_bare_replies", &["A09", "F20"], messages),
        Story::new("several_replies_in_a_segment", &["L22", "F20"], segment),
        Story::new("request_and_reply_in_a_segment", &["L22", "F20"], mixed_segment),
        Story::new("replies_that_cannot_be_read", &["F13"], unreadable),
        Story::new("replies_that_answer_nothing", &["F13"], unanswered),
        Story::new("credentials_in_every_form", &["A09", "F21"], credentials),
    ]
}

fn phone(port: u16) -> Phone {
    Phone::new(&format!("198.51.100.7:{port}"), "200")
}

/// A frame leaves, and verifies the phone.
#[track_caller]
fn verifies(scene: &mut Scene<'_>, phone: &Phone, packet: &Packet) {
    assert!(!scene.is_verified(phone));
    let left = scene.stage.leaves(&packet.build());
    assert_eq!((left.fate, &left.learned[..]), (Fate::Leaves, &[Verified][..]));
    assert!(scene.is_verified(phone));
}

fn packets(scene: &mut Scene<'_>) {
    let forms: [fn(Packet) -> Packet; 6] = [
        |packet| packet,
        |packet| packet.vlan(7),
        |packet| packet.tag(0x88a8, 8).vlan(7),
        Packet::no_checksum,
        Packet::wrong_checksum,
        Packet::pad,
    ];
    for (n, form) in forms.into_iter().enumerate() {
        for at in [format!("198.51.100.7:{}", 3000 + n), format!("[2001:db8:5::7]:{}", 3000 + n)] {
            let mut phone = Phone::new(&at, "200");
            phone.ask("REGISTER");
            verifies(scene, &phone, &form(phone.gets(phone.granted(600).build())));
        }
    }
    let mut phone = phone(4000);
    phone.ask("REGISTER");
    let options = phone.gets(phone.granted(600).build()).ipv4_options(&[1; 12]);
    verifies(scene, &phone, &options);
    let mut phone = self::phone(4001).tcp();
    phone.ask("REGISTER");
    verifies(scene, &phone, &phone.gets(phone.granted(600).build()));
}

fn messages(scene: &mut Scene<'_>) {
    let reply = |phone: &Phone, lines: &[&str]| {
        let head = Message::bare("SIP/2.0 200 OK").line(format!("i: {}", phone.call_id));
        lines.iter().fold(head, |message, line| message.line(line))
    };
    let mut n = 5000;
    let mut verified = |message: &dyn Fn(&Phone) -> Vec<u8>, seconds: u64| {
        n += 1;
        let mut phone = phone(n);
        phone.ask("REGISTER");
        let payload = message(&phone);
        verifies(scene, &phone, &phone.gets(payload));
        let (state, _) = scene.stage.endpoint(&phone.endpoint()).expect("an endpoint");
        assert_eq!((state.expires_ns - scene.now_ns) / S, seconds);
    };
    let contact = "m: <sip:200@198.51.100.7>;expires=777";
    verified(&|phone| reply(phone, &["CSeq: 1 REGISTER", "t: <sip:200@x>", contact]).build(), 777);
    verified(&|phone| reply(phone, &["CSeq: 1 REGISTER", contact]).lf().build(), 777);
    verified(&|phone| reply(phone, &["CSEQ :\t1   REGISTER", contact]).build(), 777);
    verified(&|phone| reply(phone, &["cseq:1 REGISTER", contact]).build(), 777);
    verified(
        &|phone| {
            reply(phone, &["CSeq: 1 REGISTER", "Contact:\r\n <sip:a@b>\r\n\t;expires=777"]).build()
        },
        777,
    );
    // Behind the other headers, and without any end.
    verified(&|phone| reply(phone, &["X: y", "CSeq: 1 REGISTER", contact]).head(), 777);
}

/// Over TCP, several messages in one segment.
fn segment(scene: &mut Scene<'_>) {
    let mut phone = phone(6000).tcp();
    let first = phone.ask("REGISTER");
    scene.passes(&phone, &first);
    let refused = phone.reply("401 Unauthorized").build();
    phone.ask("REGISTER");
    let accepted = phone.granted(900).build();
    let notify =
        Message::request("NOTIFY", "sip:200@x").body("text/plain", "SIP/2.0 403 No").build();
    let bytes = [refused, accepted, notify].concat();
    let left = scene.stage.leaves(&phone.gets(bytes).build());
    assert_eq!((left.fate, &left.learned[..]), (Fate::Leaves, &[Verified, Harvest][..]));
    assert_eq!(left.counted.by.iter().flatten().sum::<u64>(), 2);
    assert_eq!(left.counted.requests.iter().sum::<u64>(), 1);
    assert!(scene.is_verified(&phone));
    assert!(scene.stage.endpoint(&phone.endpoint()).is_some_and(|(_, is_proven)| is_proven));
    // A piece of a message is none.
    let piece = &phone.granted(900).build()[20..];
    let left = scene.stage.leaves(&phone.gets(piece).build());
    assert_eq!((left.counted.other, left.learned.len()), (1, 0));
}

/// What stands behind a request of the server, or behind a keepalive, is read.
fn mixed_segment(scene: &mut Scene<'_>) {
    for before in [Message::request("NOTIFY", "sip:200@x").build(), b"\r\n\r\n".to_vec()] {
        let mut phone = phone(6001).tcp();
        let ask = phone.ask("REGISTER");
        scene.passes(&phone, &ask);
        let bytes = [before, phone.granted(900).build()].concat();
        let left = scene.stage.leaves(&phone.gets(bytes).build());
        assert_eq!(left.counted.by[2].iter().sum::<u64>(), 1);
        let (state, _) = scene.stage.endpoint(&phone.endpoint()).expect("an endpoint");
        assert_eq!((state.expires_ns - scene.now_ns) / S, 900);
        scene.wait(3600 * S);
    }
}

/// They leave, and teach nothing.
fn unreadable(scene: &mut Scene<'_>) {
    let phone = phone(6100);
    for line in [
        "SIP/2.0 ",
        "SIP/2.0 OK",
        "SIP/2.0 20",
        "SIP/2.0 0200 OK",
        "SIP/2.0 700 X",
        "SIP/2.0 099 X",
        "SIP/2.0 2x0 OK",
        "SIP/2.0  200 OK",
        "SIP/2.0 -20 OK",
    ] {
        let message = Message::bare(line)
            .header("Call-ID", &phone.call_id)
            .header("CSeq", "1 REGISTER")
            .header("Contact", "<sip:200@x>;expires=600");
        scene.teaches(&phone, &message, &[]);
        assert!(!scene.is_verified(&phone), "{line}");
    }
    // Cut at every length: what leaves without its method verifies nobody, and
    // nothing is ever lost but what would be with all of it.
    let whole = phone.granted(600).build();
    for len in 0..whole.len() {
        let left = scene.stage.leaves(&phone.gets(&whole[..len]).build());
        assert_eq!(left.fate, Fate::Leaves, "{len}");
    }
}

/// Without Call-ID or CSeq nobody can be blamed.
fn unanswered(scene: &mut Scene<'_>) {
    let mut phone = phone(6200);
    let ask = phone.ask("REGISTER");
    scene.passes(&phone, &ask);
    scene.challenges(&mut phone, "");
    for n in 0..50 {
        let wrong = phone.answer("REGISTER");
        scene.comes(&phone, &wrong);
        let bare = Message::bare("SIP/2.0 401 Unauthorized")
            .header("WWW-Authenticate", &format!("Digest realm=\"pbx\", nonce=\"{n}\""));
        let message = match n % 3 {
            0 => bare,
            1 => bare.header("Call-ID", &phone.call_id),
            _ => bare.header("CSeq", &format!("{} REGISTER", phone.number)),
        };
        scene.leaves(&phone, &message);
        scene.wait(S);
    }
    assert_eq!((scene.count(Failure), scene.count(AuthBan)), (0, 0));
    // To somebody who never asked.
    let mut other = self::phone(6201).moved("198.51.100.99:5060");
    other.ask("REGISTER");
    scene.teaches(&other, &other.reply("486 Busy Here").replace("CSeq", "x"), &[]);
}

/// However the header is written, the wrong password counts.
fn credentials(scene: &mut Scene<'_>) {
    let forms: [&dyn Fn(&str) -> String; 8] = [
        &|nonce| format!("Authorization: Digest username=\"2\", nonce=\"{nonce}\""),
        &|nonce| format!("AUTHORIZATION:Digest nonce=\"{nonce}\",username=\"2\""),
        &|nonce| format!("authorization :  digest NONCE=\"{nonce}\""),
        &|nonce| format!("Authorization:\r\n Digest username=\"2\",\r\n\tnonce=\"{nonce}\""),
        &|nonce| format!("Proxy-Authorization: Digest nonce=\"{nonce}\""),
        &|nonce| format!("PROXY-AUTHORIZATION: Digest cnonce=\"x\", nonce=\"{nonce}\", nc=1"),
        &|nonce| format!("Authorization: Digest nextnonce=\"y\",nonce=\"{nonce}\""),
        &|nonce| format!("Authorization: Digest opaque=\"a=b\", nonce=\"{nonce}\""),
    ];
    for (n, form) in forms.iter().enumerate() {
        let mut phone = Phone::new(&format!("198.51.100.{}:5060", 100 + n), "200");
        let ask = phone.ask("REGISTER");
        scene.passes(&phone, &ask);
        scene.challenges(&mut phone, "");
        let line = form(&phone.nonce);
        let wrong = phone.ask("REGISTER").line(&line);
        scene.expect(&phone, &wrong, Rule::Stranger);
        let before = scene.count(Failure);
        scene.challenges(&mut phone, "");
        assert_eq!(scene.count(Failure), before + 1, "{line}");
    }
}
