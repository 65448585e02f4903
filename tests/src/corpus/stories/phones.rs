//! Phones of customers, for long: none of their messages is dropped.

use sipguard_common::{
    abi::Learned::{AuthBan, Ended, Failure, HarvestBan, Unproven, Verified},
    rule::Rule,
};

use super::{
    Story,
    cast::Phone,
    scene::{DAY, HOUR, MINUTE, S, Scene},
};

pub(super) fn stories() -> Vec<Story> {
    vec![
        Story::new("day_of_refreshes", &["L03"], day_of_refreshes),
        Story::new("day_of_refreshes_just_as_they_end", &["L03"], day_at_the_end),
        Story::new("old_nonces", &["L04"], old_nonces),
        Story::new("old_nonces_first", &["L04"], old_nonces_first),
        Story::new("mistyped_four_times", &["L05"], mistyped_four_times),
        Story::new("trunk_with_a_wrong_password", &["L19"], trunk_with_a_wrong_password),
        Story::new("other_address_and_port", &["L21"], moves),
        Story::new("ten_repetitions", &["L21", "F21"], ten_repetitions),
        Story::new("phone_of_ipv6", &["L25", "F20"], ipv6),
    ]
}

fn phone() -> Phone {
    Phone::new("198.51.100.7:5061", "200")
}

#[track_caller]
fn no_failures(scene: &Scene<'_>) {
    for what in [Failure, Unproven, AuthBan, HarvestBan] {
        assert_eq!(scene.count(what), 0, "{}", what.name());
    }
}

fn day_of_refreshes(scene: &mut Scene<'_>) {
    let mut phone = phone();
    scene.registers(&mut phone, 600);
    for _ in 0..DAY / (300 * S) {
        scene.wait(300 * S);
        let first = phone.ask("REGISTER");
        scene.expect(&phone, &first, Rule::Verified);
        scene.challenges(&mut phone, "");
        let second = phone.answer("REGISTER");
        scene.expect(&phone, &second, Rule::Verified);
        scene.teaches(&phone.clone(), &phone.granted(600), &[]);
    }
    no_failures(scene);
    assert_eq!(scene.count(Verified), 1);
}

/// Each comes when the one before is over.
fn day_at_the_end(scene: &mut Scene<'_>) {
    let mut phone = phone();
    for _ in 0..DAY / (300 * S) {
        scene.registers(&mut phone, 300);
        scene.wait(300 * S);
    }
    no_failures(scene);
    assert_eq!(scene.count(Ended), 0);
}

/// The server changes its nonces each minute, and says so.
fn old_nonces(scene: &mut Scene<'_>) {
    let mut phone = phone();
    scene.registers(&mut phone, 600);
    let forms = [
        ", stale=true",
        ", stale=TRUE",
        ", stale=\"true\"",
        ", Stale=True",
        ",stale=true,qop=\"auth\"",
    ];
    for form in forms.iter().cycle().take(200) {
        scene.wait(MINUTE);
        let old = phone.answer("REGISTER");
        scene.passes(&phone, &old);
        scene.challenges(&mut phone, form);
        let new = phone.answer("REGISTER");
        scene.passes(&phone, &new);
        scene.leaves(&phone, &phone.granted(600));
    }
    no_failures(scene);
}

/// The same of a phone that nobody knows, and that never comes in.
fn old_nonces_first(scene: &mut Scene<'_>) {
    let mut phone = phone();
    let first = phone.ask("REGISTER");
    scene.passes(&phone, &first);
    scene.challenges(&mut phone, "");
    for _ in 0..20 {
        scene.wait(S);
        let next = phone.answer("REGISTER");
        scene.passes(&phone, &next);
        scene.challenges(&mut phone, ", stale=true");
    }
    assert_eq!(scene.ban_of_source(&phone), None);
    no_failures(scene);
}

fn mistyped_four_times(scene: &mut Scene<'_>) {
    let mut phone = phone();
    for _ in 0..50 {
        for _ in 0..4 {
            assert!(scene.guesses(&mut phone));
            scene.wait(5 * S);
        }
        scene.registers(&mut phone, 60);
        scene.wait(MINUTE);
        assert_eq!(scene.ban_of_source(&phone), None);
    }
    assert_eq!((scene.count(Failure), scene.count(AuthBan)), (200, 0));
}

fn trunk_with_a_wrong_password(scene: &mut Scene<'_>) {
    let mut trunk = Phone::new("198.51.100.90:5060", "trunk");
    let mut came = 0;
    for _ in 0..24 * 60 {
        came += usize::from(scene.guesses(&mut trunk));
        if let Some(ban) = scene.ban_of_source(&trunk) {
            assert!(ban.expires_ns <= scene.now_ns + 600 * S && ban.proven == 1);
        }
        scene.wait(MINUTE);
    }
    assert!(scene.count(AuthBan) >= 24, "{}", scene.count(AuthBan));
    assert_eq!(came, scene.count(Failure));
    // The password is right now: the trunk is back when its ban is over.
    let repaired = scene.now_ns;
    while scene.ban_of_source(&trunk).is_some() {
        let ask = trunk.ask("REGISTER");
        scene.expect(&trunk, &ask, Rule::Banned);
        scene.wait(MINUTE);
    }
    assert!(scene.now_ns - repaired <= 600 * S);
    let bans = scene.count(AuthBan);
    for _ in 0..24 {
        scene.registers(&mut trunk, 3600);
        assert!(scene.is_verified(&trunk));
        scene.wait(HOUR);
    }
    assert_eq!(scene.count(AuthBan), bans);
}

fn moves(scene: &mut Scene<'_>) {
    let mut phone = phone();
    for n in 0..100_u16 {
        let at = format!("198.51.{}.{}:{}", 100 + n % 3, 1 + n, 2000 + n * 7);
        phone = phone.moved(&at);
        scene.registers(&mut phone, 3600);
        scene.wait(30 * S);
        // Its NAT gives it another port.
        phone = phone.port(30_000 + n);
        scene.registers(&mut phone, 3600);
        let call = phone.ask("INVITE");
        scene.expect(&phone, &call, Rule::Verified);
        scene.wait(30 * S);
    }
    no_failures(scene);
}

/// A link so slow that each message goes ten times before its answer is there,
/// and each is answered.
fn ten_repetitions(scene: &mut Scene<'_>) {
    let mut phone = phone();
    let first = phone.ask("REGISTER");
    (0..10).for_each(|_| scene.passes(&phone, &first));
    let (name, challenge) = scene.challenge(&mut phone, "");
    let refused = phone.reply("401 Unauthorized").header(name, &challenge);
    (0..10).for_each(|_| drop(scene.leaves(&phone, &refused)));
    for round in 1..=4 {
        let wrong = phone.answer("REGISTER");
        (0..10).for_each(|_| scene.passes(&phone, &wrong));
        let (name, challenge) = scene.challenge(&mut phone, "");
        let refused = phone.reply("401 Unauthorized").header(name, &challenge);
        for _ in 0..10 {
            scene.leaves(&phone, &refused);
            scene.wait(500_000_000);
        }
        assert_eq!(scene.count(Failure), round);
    }
    let right = phone.answer("REGISTER");
    (0..10).for_each(|_| scene.passes(&phone, &right));
    (0..10).for_each(|_| drop(scene.leaves(&phone, &phone.granted(300))));
    assert_eq!((scene.count(Verified), scene.count(AuthBan)), (1, 0));
    assert!(scene.is_verified(&phone));
}

/// Addresses of one /64 are one source; an endpoint has its whole address.
fn ipv6(scene: &mut Scene<'_>) {
    let mut phone = Phone::new("[2001:db8:5::7]:5061", "200");
    scene.registers(&mut phone, 600);
    let mut neighbour = Phone::new("[2001:db8:5::8]:5061", "201");
    let probe = phone.ask("OPTIONS");
    scene.expect(&phone, &probe, Rule::Verified);
    let probe = neighbour.ask("OPTIONS");
    scene.expect(&neighbour, &probe, Rule::Options);
    assert!(scene.stage.site(neighbour.address()).is_some());
    for _ in 0..4 {
        assert!(scene.guesses(&mut neighbour));
    }
    assert!(scene.guesses(&mut neighbour));
    assert!(scene.ban(&neighbour).is_some() && scene.ban_of_source(&phone).is_none());
    let probe = phone.ask("OPTIONS");
    scene.expect(&phone, &probe, Rule::Verified);
}
