//! While strangers have spent what they all may send (F26).

use sipguard_common::rule::Rule;

use super::{
    Story,
    cast::Phone,
    scene::{MINUTE, S, Scene},
};

pub(super) fn stories() -> Vec<Story> {
    vec![
        Story::new("first_register_during_a_flood", &["L27", "F26"], ladder),
        Story::new("repeated_too_soon_or_too_late", &["F26"], too_soon_or_too_late),
        Story::new("forged_flood_while_the_budget_is_spent", &["F26"], forged_flood),
        Story::new("customers_while_the_budget_is_spent", &["F09", "L20"], customers),
        Story::new("observed_greylist", &["F17", "F26"], observed)
            .settings("[rules]\ngreylist = { mode = \"observe\" }\n"),
        Story::new("greylist_off", &["F17", "F26"], off)
            .settings("[rules]\ngreylist = { mode = \"off\" }\n"),
    ]
}

/// Goes on, and the budget is spent still.
fn wait(scene: &mut Scene<'_>, ns: u64) {
    scene.wait(ns);
    scene.spend_budget();
}

/// Timer E of RFC 3261: the first repetition comes in.
fn ladder(scene: &mut Scene<'_>) {
    for n in 0..100 {
        let mut phone = Phone::new(&format!("198.51.100.{}:5061", 1 + n), "200");
        let first = phone.ask("REGISTER");
        wait(scene, MINUTE);
        scene.expect(&phone, &first, Rule::Greylist);
        for later in [500_000_000, S, 2 * S, 4 * S] {
            wait(scene, later);
            scene.expect(&phone, &first, Rule::Stranger);
        }
        // The same call goes on.
        scene.challenges(&mut phone, "");
        let second = phone.answer("REGISTER");
        wait(scene, S);
        scene.expect(&phone, &second, Rule::Stranger);
        scene.leaves(&phone, &phone.granted(600));
        let call = phone.ask("INVITE");
        scene.expect(&phone, &call, Rule::Verified);
    }
}

fn too_soon_or_too_late(scene: &mut Scene<'_>) {
    let mut phone = Phone::new("198.51.100.1:5061", "200");
    let first = phone.ask("REGISTER");
    wait(scene, MINUTE);
    scene.expect(&phone, &first, Rule::Greylist);
    for _ in 0..3 {
        wait(scene, S / 10);
        scene.expect(&phone, &first, Rule::Greylist);
    }
    wait(scene, S / 10);
    scene.expect(&phone, &first, Rule::Stranger);
    // From another port of the same source, too.
    scene.expect(&phone.clone().port(7000), &first, Rule::Stranger);
    // But not from another source.
    scene.expect(&phone.clone().moved("198.51.100.2:5061"), &first, Rule::Greylist);
    wait(scene, 33 * S);
    scene.expect(&phone, &first, Rule::Greylist);
}

/// Ever new senders and Call-IDs: none comes in, and a phone does beside them.
fn forged_flood(scene: &mut Scene<'_>) {
    let mut phone = Phone::new("198.51.100.1:5061", "200");
    let first = phone.ask("REGISTER");
    wait(scene, S);
    scene.expect(&phone, &first, Rule::Greylist);
    for n in 0..5_000_u32 {
        let at = format!("11.{}.{}.{}:5060", n % 200, n / 250, n % 250);
        let mut forged = Phone::new(&at, &format!("{n}"));
        let ask = forged.ask("REGISTER");
        scene.expect(&forged, &ask, Rule::Greylist);
    }
    wait(scene, S / 2);
    scene.expect(&phone, &first, Rule::Stranger);
}

fn customers(scene: &mut Scene<'_>) {
    let mut phone = Phone::new("198.51.100.7:5061", "200");
    scene.registers(&mut phone, 600);
    wait(scene, S);
    for method in ["REGISTER", "INVITE", "OPTIONS", "BYE"] {
        let ask = phone.ask(method);
        scene.expect(&phone, &ask, Rule::Verified);
    }
    let mut neighbour = phone.clone().port(7000);
    scene.registers(&mut neighbour, 600);
    let mut stranger = Phone::new("198.51.101.1:5060", "300");
    let ask = stranger.ask("INVITE");
    scene.expect(&stranger, &ask, Rule::Greylist);
}

fn observed(scene: &mut Scene<'_>) {
    let mut phone = Phone::new("198.51.100.1:5061", "200");
    let first = phone.ask("REGISTER");
    wait(scene, S);
    let outcome = scene.stage.comes(&phone.sends(first.build()).build());
    assert_eq!((outcome.rule, outcome.would), (Rule::Stranger, Rule::Greylist.bit()));
}

fn off(scene: &mut Scene<'_>) {
    let mut phone = Phone::new("198.51.100.1:5061", "200");
    let first = phone.ask("REGISTER");
    wait(scene, S);
    scene.expect(&phone, &first, Rule::RateStrangers);
    wait(scene, S);
    scene.expect(&phone, &first, Rule::RateStrangers);
}
