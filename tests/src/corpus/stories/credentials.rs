//! Forged packets: what carries somebody else's address bans nobody for long
//! (L31), and an answer opens nothing (D01).

use sipguard_common::{
    abi::Learned::{AuthBan, Failure, HarvestBan, Unproven},
    rule::Rule,
};

use super::{
    Story,
    cast::Phone,
    scene::{HOUR, S, Scene},
};

pub(super) fn stories() -> Vec<Story> {
    vec![
        Story::new("forged_in_the_name_of_a_customer", &["L31"], of_a_customer),
        Story::new("forged_in_the_name_of_a_site", &["L31"], of_a_site),
        Story::new("forged_in_the_name_of_a_stranger", &["L31"], of_a_stranger),
        Story::new("nonce_that_somebody_else_was_sent", &["L31"], nonce_of_another),
        Story::new("same_sockets_after_an_answer", &["D01"], same_sockets),
    ]
}

/// Requests with made-up credentials that the server refuses.
fn forge(scene: &mut Scene<'_>, victim: &Phone, count: u32, mut each: impl FnMut(&mut Scene<'_>)) {
    for n in 0..count {
        let mut forged = victim.clone();
        (forged.call_id, forged.number) = (format!("forged-{n}"), n);
        forged.nonce = format!("made-up-{n}");
        let wrong = forged.answer("REGISTER");
        if scene.comes(&forged, &wrong) != Rule::Banned {
            scene.challenges(&mut forged, "");
        }
        scene.wait(S);
        each(scene);
    }
}

fn of_a_customer(scene: &mut Scene<'_>) {
    let mut phone = Phone::new("198.51.100.7:5061", "200");
    scene.registers(&mut phone, 3600);
    let before = scene.learned.len();
    forge(scene, &phone.clone(), 1000, |scene| {
        assert_eq!((scene.ban(&phone), scene.ban_of_source(&phone)), (None, None));
    });
    let ask = phone.ask("INVITE");
    scene.expect(&phone, &ask, Rule::Verified);
    assert!(scene.learned[before..].iter().all(|what| *what == Unproven));
}

fn of_a_site(scene: &mut Scene<'_>) {
    let mut phone = Phone::new("198.51.100.7:5061", "200");
    scene.registers(&mut phone, 3600);
    for port in [1000, 2000, 3000] {
        let other = phone.clone().port(port);
        forge(scene, &other, 400, |scene| assert_eq!(scene.ban(&other), None));
    }
    assert_eq!(scene.ban_of_source(&phone), None);
    assert_eq!(scene.count(HarvestBan) + scene.count(AuthBan) + scene.count(Failure), 0);
    // A new phone there gets in, too.
    scene.registers(&mut phone.clone().port(4000), 60);
}

fn of_a_stranger(scene: &mut Scene<'_>) {
    let stranger = Phone::new("198.51.100.7:5061", "200");
    forge(scene, &stranger, 2000, |scene| {
        for ban in [scene.ban(&stranger), scene.ban_of_source(&stranger)].into_iter().flatten() {
            assert_eq!((ban.proven, ban.rule), (0, Rule::Harvest.number()));
            assert!(ban.expires_ns - ban.since_ns <= 60 * S);
        }
    });
    assert!(scene.count(HarvestBan) > 0);
    assert_eq!(scene.count(AuthBan) + scene.count(Failure), 0);
    scene.wait(61 * S);
    scene.registers(&mut stranger.clone(), 60);
}

/// Two-way evidence is that of this very address.
fn nonce_of_another(scene: &mut Scene<'_>) {
    let mut scanner = Phone::new("198.51.100.66:5060", "200");
    let victim = Phone::new("198.51.100.7:5061", "200");
    let first = scanner.ask("REGISTER");
    scene.passes(&scanner, &first);
    scene.challenges(&mut scanner, "");
    for n in 0..20 {
        let mut forged = victim.clone();
        (forged.nonce, forged.number) = (scanner.nonce.clone(), n);
        scene.guesses_again(&mut forged);
        scene.wait(S);
    }
    assert_eq!((scene.count(Failure), scene.count(AuthBan)), (0, 0));
    assert!((1..=20).contains(&scene.count(Unproven)));
    assert_eq!(scene.ban_of_source(&victim), None);
}

fn same_sockets(scene: &mut Scene<'_>) {
    let mut scanner = Phone::new("198.51.100.66:5060", "100");
    let plain = scanner.ask("REGISTER");
    scene.expect(&scanner, &plain, Rule::Stranger);
    scene.challenges(&mut scanner, "");
    for _ in 0..1000 {
        let probe = scanner.ask("OPTIONS");
        scene.expect(&scanner, &probe, Rule::Options);
        let guess = scanner.answer("REGISTER").agent("friendly-scanner");
        scene.expect(&scanner, &guess, Rule::Signature);
        scene.wait(S / 100);
    }
    // Not even who has an account may scan with it.
    scene.wait(HOUR);
    scene.registers(&mut scanner, 600);
    let scan = scanner.ask("REGISTER").agent("friendly-scanner");
    scene.expect(&scanner, &scan, Rule::Signature);
    let probe = scanner.ask("OPTIONS").agent("friendly-scanner");
    scene.expect(&scanner, &probe, Rule::Signature);
}
