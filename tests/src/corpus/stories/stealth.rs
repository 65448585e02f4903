//! Which replies strangers get (F23).

use sipguard_common::learn::Fate::{self, Challenge, Dropped, Leaves};

use super::{Story, cast::Phone, scene::Scene};

pub(super) fn stories() -> Vec<Story> {
    vec![
        Story::new("stealth_all", &["F23"], all).settings("[policy]\nstealth = \"all\"\n"),
        Story::new("stealth_challenges", &["F23"], challenges)
            .settings("[policy]\nstealth = \"challenges\"\n"),
        Story::new("stealth_none", &["F23"], none).settings("[policy]\nstealth = \"none\"\n"),
        Story::new("accounts_look_alike", &["F23"], look_alike),
    ]
}

/// What becomes of each reply, by what is asked for: of a challenge, of a
/// provisional reply, of a success to what does not verify, and of any other.
fn replies(scene: &mut Scene<'_>, phone: &Phone, expected: [Fate; 4]) {
    let [challenge, provisional, success, other] = expected;
    // A phone learns from these how to register.
    let helpful = success;
    for method in ["REGISTER", "INVITE", "OPTIONS", "SUBSCRIBE"] {
        for (status, fate) in [
            ("100 Trying", provisional),
            ("183 Session Progress", provisional),
            ("401 Unauthorized", challenge),
            ("407 Proxy Authentication Required", challenge),
            ("301 Moved Permanently", if method == "REGISTER" { helpful } else { other }),
            ("423 Interval Too Brief", if method == "REGISTER" { helpful } else { other }),
            ("400 Bad Request", other),
            ("403 Forbidden", other),
            ("404 Not Found", other),
            ("488 Not Acceptable Here", other),
            ("500 Server Internal Error", other),
            ("603 Decline", other),
        ] {
            let mut phone = phone.clone();
            phone.ask(method);
            let left = scene.leaves(&phone, &phone.reply(status));
            assert_eq!(left.fate, fate, "{status} to {method}");
        }
    }
    let mut phone = phone.clone();
    phone.ask("OPTIONS");
    assert_eq!(scene.leaves(&phone, &phone.reply("200 OK")).fate, success);
}

fn strangers() -> [Phone; 2] {
    [Phone::new("198.51.100.66:5060", "100"), Phone::new("[2001:db8:5::66]:5060", "100")]
}

/// Who is verified gets everything, and so does whoever is trusted, and who
/// came over TCP.
fn others(scene: &mut Scene<'_>) {
    let mut phone = Phone::new("198.51.100.7:5061", "200").tcp();
    scene.registers(&mut phone, 3600);
    let trusted = Phone::new("192.0.2.10:5060", "peer");
    let tcp = Phone::new("198.51.100.8:5061", "200").tcp();
    for phone in [phone, trusted, tcp] {
        replies(scene, &phone, [Leaves; 4]);
    }
}

fn all(scene: &mut Scene<'_>) {
    strangers().iter().for_each(|phone| replies(scene, phone, [Leaves; 4]));
    others(scene);
}

fn challenges(scene: &mut Scene<'_>) {
    let expected = [Leaves, Leaves, Leaves, Challenge];
    strangers().iter().for_each(|phone| replies(scene, phone, expected));
    others(scene);
}

fn none(scene: &mut Scene<'_>) {
    strangers().iter().for_each(|phone| replies(scene, phone, [Dropped; 4]));
    others(scene);
}

/// Whatever the server says of an account, it looks like a challenge, and who
/// answers that one is held to it like to the server's own.
fn look_alike(scene: &mut Scene<'_>) {
    let mut phone = Phone::new("198.51.100.66:5060", "100");
    let ask = phone.ask("REGISTER");
    scene.passes(&phone, &ask);
    let real = scene.challenges(&mut phone, "");
    assert_eq!(real.fate, Leaves);
    let ask = phone.ask("REGISTER");
    scene.passes(&phone, &ask);
    let left = scene.leaves(&phone, &phone.reply("404 Not Found"));
    assert_eq!(left.fate, Challenge);
    let Some(frame) = left.forged else {
        assert!(!scene.stage.has_kernel(), "no challenge was made");
        return;
    };
    let text = String::from_utf8_lossy(&frame).into_owned();
    let (_, behind) = text.split_once("nonce=\"").expect("a nonce");
    phone.nonce = behind.split('"').next().unwrap_or_default().to_owned();
    for n in 1..=5 {
        let guess = phone.answer("REGISTER");
        scene.passes(&phone, &guess);
        scene.leaves(&phone, &phone.reply("404 Not Found"));
        let failures = scene.stage.failures(&phone.whole()).map(|failures| failures.hour);
        assert_eq!(failures, Some(n));
    }
    assert!(scene.ban_of_source(&phone).is_some_and(|ban| ban.proven == 1));
}
