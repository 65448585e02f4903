//! Who becomes verified, for how long (F20), and what is counted (F25).

use sipguard_common::{
    abi::{
        Learned::{Ended, Verified},
        how,
    },
    learn::Fate,
    method::Method,
    rule::Rule,
};

use super::{
    Story,
    cast::Phone,
    scene::{HOUR, MINUTE, S, Scene},
};
use crate::{packet::Packet, sip::Message};

pub(super) fn stories() -> Vec<Story> {
    vec![
        Story::new("granted_times", &["F20"], granted_times),
        Story::new("registration_ends", &["F20"], registration_ends),
        Story::new("calls_verify", &["F20"], calls_verify),
        Story::new("successes_renew", &["F20"], successes_renew),
        Story::new("only_the_servers_words_verify", &["F20"], only_the_servers_words),
        Story::new("reply_to_another_port", &["F20"], another_port),
        Story::new("forged_customers_have_a_room_of_their_own", &["F20"], unproven),
        Story::new("replies_are_counted", &["F25"], counters),
        Story::new("trusted_peers_teach_nothing", &["F01", "F25"], trusted),
    ]
}

fn phone() -> Phone {
    Phone::new("198.51.100.7:5061", "200")
}

/// How long an endpoint stays verified, in seconds; 0 where it is not.
fn left(scene: &Scene<'_>, phone: &Phone) -> u64 {
    let (verified, _) = scene.stage.endpoint(&phone.endpoint()).unwrap_or_default();
    verified.expires_ns.saturating_sub(scene.now_ns) / S
}

/// A name, headers of the reply, and the seconds that they grant.
type Form<'f> = (&'f str, Vec<(&'f str, String)>, u64);

fn granted_times(scene: &mut Scene<'_>) {
    let contact = |at: &str, more: &str| format!("<sip:200@{at}:5061;transport=udp>{more}");
    let here = |more: &str| contact("198.51.100.7", more);
    let least = left_at_least(scene);
    let forms: [Form<'_>; 15] = [
        ("contact", vec![("Contact", here(";expires=3600"))], 3600),
        ("contact in capitals", vec![("CONTACT", here(";EXPIRES=1800"))], 1800),
        ("compact", vec![("m", here(";q=0.5;expires=900"))], 900),
        ("header", vec![("Contact", here("")), ("Expires", "1200".to_owned())], 1200),
        ("header first", vec![("Expires", "1300".to_owned()), ("Contact", here(""))], 1300),
        (
            "contact before header",
            vec![("Contact", here(";expires=700")), ("Expires", "9000".to_owned())],
            700,
        ),
        ("none", vec![("Contact", here(""))], least),
        ("nothing", vec![], least),
        ("short", vec![("Contact", here(";expires=60"))], least),
        ("one second", vec![("Contact", here(";expires=1"))], least),
        (
            "several lines",
            vec![
                ("Contact", contact("198.51.100.99", ";expires=50")),
                ("Contact", here(";expires=2000")),
            ],
            2000,
        ),
        (
            "one line",
            vec![(
                "Contact",
                format!("{}, {}", contact("198.51.100.99", ";expires=50"), here(";expires=2100")),
            )],
            2100,
        ),
        ("folded", vec![("Contact", here("\r\n ;expires=2200"))], 2200),
        ("ages", vec![("Contact", here(";expires=99999999999999999999"))], 366 * 86_400),
        ("no number", vec![("Contact", here(";expires=soon")), ("Expires", "x".to_owned())], least),
    ];
    for (n, (name, headers, seconds)) in forms.into_iter().enumerate() {
        let mut phone = phone().port(7000 + n as u16);
        let ask = phone.ask("REGISTER");
        scene.passes(&phone, &ask);
        let reply = phone.reply("200 OK");
        let reply = headers.iter().fold(reply, |reply, (name, value)| reply.header(name, value));
        scene.leaves(&phone, &reply);
        assert_eq!(left(scene, &phone), seconds, "{name}");
    }
    scene.wait(HOUR);
}

/// Seconds that everybody stays verified at least.
fn left_at_least(scene: &mut Scene<'_>) -> u64 {
    let mut phone = phone();
    let ask = phone.ask("INVITE");
    scene.passes(&phone, &ask);
    scene.leaves(&phone, &phone.reply("200 OK"));
    let least = left(scene, &phone);
    assert!((300..600).contains(&least), "{least}");
    least
}

fn registration_ends(scene: &mut Scene<'_>) {
    for bye in ["<sip:200@198.51.100.7:5061>;expires=0", "*"] {
        let mut phone = phone();
        scene.registers(&mut phone, 3600);
        let ask = phone.ask("REGISTER");
        scene.expect(&phone, &ask, Rule::Verified);
        let reply = phone.reply("200 OK").header("Contact", bye).header("Expires", "0");
        scene.teaches(&phone, &reply, &[Ended]);
        assert!(!scene.is_verified(&phone));
        let call = phone.ask("INVITE");
        scene.expect(&phone, &call, Rule::Stranger);
        // Once more: there is nothing to end.
        scene.teaches(&phone, &reply, &[]);
        scene.wait(MINUTE);
    }
    // A registration by itself, too.
    let mut phone = phone();
    scene.registers(&mut phone, 400);
    scene.wait(400 * S - 1);
    assert!(scene.is_verified(&phone));
    scene.wait(1);
    assert!(!scene.is_verified(&phone));
    let probe = phone.ask("OPTIONS");
    scene.expect(&phone, &probe, Rule::Options);
}

fn calls_verify(scene: &mut Scene<'_>) {
    let mut phone = phone();
    let ask = phone.ask("INVITE");
    scene.passes(&phone, &ask);
    scene.teaches(&phone, &phone.reply("100 Trying"), &[]);
    scene.teaches(&phone, &phone.reply("180 Ringing"), &[]);
    assert!(!scene.is_verified(&phone));
    scene.teaches(&phone, &phone.reply("200 OK"), &[Verified]);
    let (verified, _) = scene.stage.endpoint(&phone.endpoint()).expect("an endpoint");
    assert_eq!((verified.how, verified.status), (how::INVITE, 200));
    // The server calls somebody.
    let other = self::phone().port(9000);
    scene.teaches(&other, &Message::request("INVITE", "sip:200@198.51.100.7"), &[Verified]);
    let (verified, is_proven) = scene.stage.endpoint(&other.endpoint()).expect("an endpoint");
    assert_eq!((verified.how, verified.status, is_proven), (how::CONTACTED, 0, true));
}

/// Any success keeps who is verified, but verifies nobody.
fn successes_renew(scene: &mut Scene<'_>) {
    let methods = ["SUBSCRIBE", "OPTIONS", "UPDATE", "BYE", "MESSAGE", "PUBLISH", "INFO"];
    for method in methods {
        let mut stranger = phone().port(4000);
        let ask = stranger.ask(method);
        scene.comes(&stranger, &ask);
        scene.teaches(&stranger, &stranger.reply("200 OK"), &[]);
        assert!(!scene.is_verified(&stranger));
    }
    let mut phone = phone();
    scene.registers(&mut phone, 300);
    for method in methods.iter().cycle().take(100) {
        scene.wait(4 * MINUTE);
        let ask = phone.ask(method);
        scene.expect(&phone, &ask, Rule::Verified);
        scene.teaches(&phone, &phone.reply("202 Accepted"), &[]);
    }
}

/// Nothing that comes in verifies anybody.
fn only_the_servers_words(scene: &mut Scene<'_>) {
    let mut phone = phone();
    for status in ["200 OK", "401 Unauthorized"] {
        for method in ["REGISTER", "INVITE", "OPTIONS"] {
            scene.expect(&phone, &Message::response(status, method), Rule::Response);
        }
    }
    let ask = phone.ask("REGISTER").header("Expires", "3600");
    scene.passes(&phone, &ask);
    // Nor what leaves from another port than those of the server.
    let elsewhere = Packet::udp("203.0.113.1:5090", "198.51.100.7:5061");
    let frame = elsewhere.payload(phone.granted(3600).build()).build();
    let left = scene.stage.leaves(&frame);
    assert_eq!((left.fate, left.learned), (Fate::Leaves, vec![]));
    assert!(!scene.is_verified(&phone));
    let probe = phone.ask("OPTIONS");
    scene.expect(&phone, &probe, Rule::Options);
}

/// A phone without `rport`, behind a NAT: the reply goes to the port of its Via
/// (RFC 3261 section 18.2.2), its next request comes from the NAT's port.
fn another_port(scene: &mut Scene<'_>) {
    let mut phone = phone();
    let via = phone.clone().port(5060);
    let first = phone.ask("REGISTER");
    scene.passes(&phone, &first);
    let mut asked = phone.clone().port(5060);
    scene.challenges(&mut asked, "");
    phone.nonce = asked.nonce;
    let second = phone.answer("REGISTER");
    scene.passes(&phone, &second);
    scene.leaves(&via, &phone.granted(600));
    assert!(scene.is_verified(&phone) && scene.is_verified(&via));
    // A wrong password is that of the port that the request came from.
    for _ in 0..5 {
        let wrong = phone.answer("REGISTER");
        scene.passes(&phone, &wrong);
        let (name, challenge) = scene.challenge(&mut phone, "");
        scene.leaves(&via, &phone.reply("401 Unauthorized").header(name, &challenge));
    }
    assert!(scene.ban(&phone).is_some() && scene.ban(&via).is_none());
}

/// Who was accepted without having seen a challenge makes no site.
fn unproven(scene: &mut Scene<'_>) {
    let mut phone = phone();
    let ask = phone.ask("REGISTER");
    scene.passes(&phone, &ask);
    scene.leaves(&phone, &phone.granted(600));
    let (_, is_proven) = scene.stage.endpoint(&phone.endpoint()).expect("an endpoint");
    assert!(!is_proven && scene.stage.site(phone.address()).is_none());
    let probe = phone.ask("OPTIONS");
    scene.expect(&phone, &probe, Rule::Verified);
    // Nor who makes a challenge up.
    phone.nonce = "made-up".to_owned();
    let ask = phone.answer("REGISTER");
    scene.passes(&phone, &ask);
    scene.leaves(&phone, &phone.granted(600));
    let (_, is_proven) = scene.stage.endpoint(&phone.endpoint()).expect("an endpoint");
    assert!(!is_proven && scene.stage.site(phone.address()).is_none());
    scene.registers(&mut phone, 600);
    let (_, is_proven) = scene.stage.endpoint(&phone.endpoint()).expect("an endpoint");
    assert!(is_proven && scene.stage.site(phone.address()).is_some());
    // It ends as a whole.
    let ask = phone.ask("REGISTER");
    scene.passes(&phone, &ask);
    scene.leaves(&phone, &phone.granted(0));
    assert!(!scene.is_verified(&phone));
    let probe = phone.ask("OPTIONS");
    scene.expect(&phone, &probe, Rule::Options);
}

fn counters(scene: &mut Scene<'_>) {
    let mut phone = phone();
    scene.registers(&mut phone, 3600);
    for method in Method::ALL.into_iter().skip(1) {
        phone.ask(method.name());
        for (class, status) in [
            (1, "180 Ringing"),
            (2, "299 Good"),
            (3, "302 Moved Temporarily"),
            (4, "486 Busy Here"),
            (5, "503 Service Unavailable"),
            (6, "603 Decline"),
        ] {
            let left = scene.leaves(&phone, &phone.reply(status));
            assert_eq!(left.counted.by[class][method as usize], 1, "{status} {}", method.name());
            assert_eq!(left.counted.by.iter().flatten().sum::<u64>(), 1);
            assert_eq!(left.counted.requests.iter().sum::<u64>() + left.counted.other, 0);
        }
        let left = scene.leaves(&phone, &Message::request(method.name(), "sip:200@x"));
        assert_eq!(left.counted.requests[method as usize], 1);
        assert_eq!(left.counted.by.iter().flatten().sum::<u64>() + left.counted.other, 0);
    }
    for other in [&b"\r\n\r\n"[..], b"\0", b"SERVICE sip:x SIP/2.0\r\n\r\n", &[0xa5; 100]] {
        let left = scene.stage.leaves(&phone.gets(other).build());
        assert_eq!(left.counted.other, 1);
    }
    // Of other ports and other protocols nothing is counted.
    let none =
        Packet::udp("203.0.113.1:5061", "198.51.100.7:5061").payload(phone.reply("200 OK").build());
    let left = scene.stage.leaves(&none.build());
    assert_eq!(left.counted, sipguard_common::abi::Replies::ZERO);
}

/// To a trusted peer everything leaves, and nothing is learned of it.
fn trusted(scene: &mut Scene<'_>) {
    let mut peer = Phone::new("192.0.2.10:5060", "peer");
    for _ in 0..20 {
        let wrong = peer.answer("REGISTER");
        scene.expect(&peer, &wrong, Rule::Trusted);
        for status in ["401 Unauthorized", "403 Forbidden", "404 Not Found"] {
            let (name, challenge) = scene.challenge(&mut peer, "");
            scene.teaches(&peer, &peer.reply(status).header(name, &challenge), &[]);
        }
    }
    let ask = peer.ask("REGISTER");
    scene.expect(&peer, &ask, Rule::Trusted);
    scene.teaches(&peer, &peer.granted(3600), &[]);
    scene.teaches(&peer, &Message::request("OPTIONS", "sip:x"), &[]);
    assert_eq!(scene.stage.endpoint(&peer.endpoint()), None);
    assert_eq!(scene.stage.failures(&peer.whole()), None);
    // Trusted with one port only.
    let mut other = Phone::new("192.0.2.20:5062", "other");
    let ask = other.ask("REGISTER");
    scene.expect(&other, &ask, Rule::Stranger);
    scene.teaches(&other, &other.granted(3600), &[Verified]);
}
