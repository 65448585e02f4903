//! Rules of the way out in mode observe or off, and the postures.

use sipguard_common::{
    abi::Learned::{AuthBan, AuthWould, HarvestBan, HarvestWould, StealthWould},
    learn::Fate,
    rule::Rule,
};

use super::{
    Story,
    cast::Phone,
    scene::{S, Scene},
};

pub(super) fn stories() -> Vec<Story> {
    vec![
        Story::new("observed_bans", &["F17"], observed)
            .settings("[rules]\nauth = { mode = \"observe\" }\nharvest = { mode = \"observe\" }\n"),
        Story::new("bans_off", &["F17"], off)
            .settings("[rules]\nauth = { mode = \"off\" }\nharvest = { mode = \"off\" }\n"),
        Story::new("observed_stealth", &["F17", "F23"], observed_stealth)
            .settings("[rules]\nstealth = { mode = \"observe\" }\n"),
        Story::new("stealth_off", &["F17", "F23"], stealth_off)
            .settings("[rules]\nstealth = { mode = \"off\" }\n"),
        Story::new("all_observed", &["F17"], all_observed)
            .settings("[policy]\nmode = \"observe\"\n"),
        Story::new("observed_limits_of_a_customer", &["F17"], observed_rate).settings(
            "[limits.verified]\ninvite = { rate = \"1/h\", burst = 1 }\n\
             [rules]\nrate_verified = { mode = \"observe\" }\n",
        ),
        Story::new("limits_of_a_customer", &["F07"], rate)
            .settings("[limits.verified]\ninvite = { rate = \"1/m\", burst = 3 }\n"),
        Story::new("posture_open", &["F44"], open).settings("[policy]\nposture = \"open\"\n"),
        Story::new("posture_closed", &["F44"], closed).settings("[policy]\nposture = \"closed\"\n"),
        Story::new("posture_attack", &["F44"], attack).settings("[policy]\nposture = \"attack\"\n"),
    ]
}

fn scanner() -> Phone {
    Phone::new("198.51.100.66:5060", "100")
}

/// Twenty guesses, and sixty accounts that are not there.
fn scan(scene: &mut Scene<'_>) -> usize {
    let mut phone = scanner();
    let mut came = 0;
    for _ in 0..20 {
        came += usize::from(scene.guesses(&mut phone));
        scene.wait(S);
    }
    for n in 0..60 {
        phone.call_id = format!("call-{n}");
        let ask = phone.ask("INVITE");
        if scene.comes(&phone, &ask) == Rule::Stranger {
            came += 1;
            scene.leaves(&phone, &phone.reply("404 Not Found"));
        }
        scene.wait(S);
    }
    assert_eq!(scene.ban(&phone).or(scene.ban_of_source(&phone)), None);
    came
}

fn observed(scene: &mut Scene<'_>) {
    assert_eq!(scan(scene), 80);
    assert_eq!(scene.count(AuthBan) + scene.count(HarvestBan), 0);
    // The fifth, tenth, fifteenth and last guess; of the hour's, the 15th on.
    assert!(scene.count(AuthWould) >= 4 && scene.count(HarvestWould) >= 8);
}

fn off(scene: &mut Scene<'_>) {
    assert_eq!(scan(scene), 80);
    for what in [AuthBan, HarvestBan, AuthWould, HarvestWould] {
        assert_eq!(scene.count(what), 0, "{}", what.name());
    }
}

fn refused(scene: &mut Scene<'_>) -> Fate {
    let mut phone = scanner();
    let ask = phone.ask("INVITE");
    scene.passes(&phone, &ask);
    scene.leaves(&phone, &phone.reply("404 Not Found")).fate
}

fn observed_stealth(scene: &mut Scene<'_>) {
    assert_eq!(refused(scene), Fate::Leaves);
    assert_eq!(scene.count(StealthWould), 1);
}

fn stealth_off(scene: &mut Scene<'_>) {
    assert_eq!(refused(scene), Fate::Leaves);
    assert_eq!(scene.count(StealthWould), 0);
}

fn all_observed(scene: &mut Scene<'_>) {
    assert_eq!(scan(scene), 80);
    assert!(scene.count(AuthWould) >= 4 && scene.count(StealthWould) == 60);
}

/// Calls at once, and what becomes of the second one.
fn second_call(scene: &mut Scene<'_>) -> (Rule, u64) {
    let mut phone = Phone::new("198.51.100.7:5061", "200");
    scene.registers(&mut phone, 600);
    let first = phone.ask("INVITE");
    scene.expect(&phone, &first, Rule::Verified);
    let second = phone.ask("INVITE");
    let outcome = scene.stage.comes(&phone.sends(second.build()).build());
    (outcome.rule, outcome.would)
}

fn observed_rate(scene: &mut Scene<'_>) {
    assert_eq!(second_call(scene), (Rule::Verified, Rule::RateVerified.bit()));
}

/// Its own bucket, which is that of no neighbour.
fn rate(scene: &mut Scene<'_>) {
    assert_eq!(second_call(scene), (Rule::Verified, 0));
    let mut phone = Phone::new("198.51.100.7:5061", "200");
    let third = phone.ask("INVITE");
    scene.expect(&phone, &third, Rule::Verified);
    for _ in 0..10 {
        let more = phone.ask("INVITE");
        scene.expect(&phone, &more, Rule::RateVerified);
        let end = phone.ask("BYE");
        scene.expect(&phone, &end, Rule::Verified);
    }
    let mut neighbour = Phone::new("198.51.100.7:5062", "201");
    scene.registers(&mut neighbour, 600);
    let call = neighbour.ask("INVITE");
    scene.expect(&neighbour, &call, Rule::Verified);
    scene.wait(60 * S);
    let again = phone.ask("INVITE");
    scene.expect(&phone, &again, Rule::Verified);
}

/// Nobody is banned for what the server says, and nothing is hidden.
fn open(scene: &mut Scene<'_>) {
    assert_eq!(scan(scene), 80);
    assert_eq!(refused(scene), Fate::Leaves);
    for what in [AuthBan, HarvestBan, AuthWould, HarvestWould, StealthWould] {
        assert_eq!(scene.count(what), 0, "{}", what.name());
    }
}

/// Who is verified stays, and whoever is behind the same address.
fn closed(scene: &mut Scene<'_>) {
    let mut phone = Phone::new("198.51.100.7:5061", "200");
    let ask = phone.ask("REGISTER");
    scene.expect(&phone, &ask, Rule::Closed);
    // The server itself has sent it something.
    scene.leaves(&phone, &crate::sip::Message::request("NOTIFY", "sip:200@198.51.100.7"));
    scene.registers(&mut phone, 600);
    let call = phone.ask("INVITE");
    scene.expect(&phone, &call, Rule::Verified);
    scene.registers(&mut phone.clone().port(7000), 600);
    let other = scanner();
    scene.expect(&other, &call, Rule::Closed);
}

/// Three guesses, then a quarter of an hour.
fn attack(scene: &mut Scene<'_>) {
    let mut phone = scanner();
    let came = (0..10).filter(|_| scene.guesses(&mut phone)).count();
    assert_eq!(came, 3);
    let ban = scene.ban_of_source(&phone).expect("a ban");
    assert_eq!(ban.expires_ns - ban.since_ns, 900 * S);
}
