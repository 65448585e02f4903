//! Calls, and what belongs to them.

use sipguard_common::{learn::Fate, rule::Rule};

use super::{
    Story,
    cast::Phone,
    scene::{HOUR, MINUTE, S, Scene},
};
use crate::sip::Message;

pub(super) fn stories() -> Vec<Story> {
    vec![
        Story::new("call_of_two_hours_with_update", &["L16"], call_with_update),
        Story::new("call_of_two_hours_with_invite", &["L16"], call_with_invite),
        Story::new("options_within_a_call", &["L17"], options_within_a_call),
        Story::new("own_registration_at_a_carrier", &["L18"], own_registration),
        Story::new("every_method_of_a_customer", &["L20"], every_method),
        Story::new("forbidden_numbers", &["F21"], forbidden_numbers),
    ]
}

/// A trunk without registration calls: INVITE, 407, ACK, INVITE, 200, ACK.
fn calls(scene: &mut Scene<'_>, phone: &mut Phone) {
    let first = phone.ask("INVITE");
    scene.passes(phone, &first);
    scene.challenges(phone, "");
    let second = phone.answer("INVITE");
    scene.passes(phone, &second);
    scene.teaches(&phone.clone(), &phone.reply("100 Trying"), &[]);
    let left = scene.leaves(&phone.clone(), &phone.reply("200 OK"));
    assert_eq!(left.fate, Fate::Leaves);
    let number = phone.number;
    let ack = phone.ask("ACK");
    scene.expect(phone, &ack, Rule::Verified);
    phone.number = number;
}

fn trunk() -> Phone {
    Phone::new("198.51.100.9:5060", "trunk")
}

fn call_with_update(scene: &mut Scene<'_>) {
    let mut phone = trunk();
    calls(scene, &mut phone);
    for _ in 0..2 * HOUR / (300 * S) {
        scene.wait(300 * S);
        let update = phone.ask("UPDATE");
        scene.expect(&phone, &update, Rule::Verified);
        scene.wait(S / 10);
        scene.leaves(&phone, &phone.reply("200 OK"));
    }
    let bye = phone.ask("BYE");
    scene.expect(&phone, &bye, Rule::Verified);
}

/// Of a server that refreshes each half hour: the source is known still.
fn call_with_invite(scene: &mut Scene<'_>) {
    let mut phone = trunk();
    calls(scene, &mut phone);
    for _ in 0..4 {
        scene.wait(15 * MINUTE);
        let again = phone.answer("INVITE");
        scene.passes(&phone, &again);
        scene.leaves(&phone, &phone.reply("200 OK"));
        let update = phone.ask("UPDATE");
        scene.expect(&phone, &update, Rule::Verified);
        scene.wait(15 * MINUTE);
        let info = phone.ask("INFO");
        scene.passes(&phone, &info);
    }
    let bye = phone.ask("BYE");
    scene.passes(&phone, &bye);
}

fn options_within_a_call(scene: &mut Scene<'_>) {
    let mut phone = trunk();
    let probe = phone.ask("OPTIONS");
    scene.expect(&phone, &probe, Rule::Options);
    calls(scene, &mut phone);
    for _ in 0..120 {
        scene.wait(MINUTE);
        let probe = phone.ask("OPTIONS");
        scene.expect(&phone, &probe, Rule::Verified);
        scene.leaves(&phone, &phone.reply("200 OK"));
    }
}

/// Its replies, and the calls that come from there.
fn own_registration(scene: &mut Scene<'_>) {
    let mut carrier = Phone::new("198.51.100.200:5060", "carrier");
    let call = carrier.ask("OPTIONS");
    scene.expect(&carrier, &call, Rule::Options);
    for _ in 0..24 {
        scene.leaves(&carrier, &Message::request("REGISTER", "sip:carrier.example"));
        scene.expect(&carrier, &Message::response("401 Unauthorized", "REGISTER"), Rule::Response);
        scene.leaves(&carrier, &Message::request("REGISTER", "sip:carrier.example"));
        scene.expect(&carrier, &Message::response("200 OK", "REGISTER"), Rule::Response);
        for _ in 0..10 {
            let call = carrier.ask("INVITE");
            scene.expect(&carrier, &call, Rule::Verified);
            scene.leaves(&carrier, &carrier.reply("200 OK"));
            let probe = carrier.ask("OPTIONS");
            scene.expect(&carrier, &probe, Rule::Verified);
            scene.wait(4 * MINUTE);
        }
        // No call for long: the address is known still.
        scene.wait(20 * MINUTE);
        let call = carrier.ask("INVITE");
        scene.expect(&carrier, &call, Rule::Stranger);
    }
    assert!(!scene.is_verified(&carrier) && scene.stage.site(carrier.address()).is_some());
}

fn every_method(scene: &mut Scene<'_>) {
    let mut phone = Phone::new("198.51.100.7:5061", "200");
    scene.registers(&mut phone, 600);
    for method in [
        "PUBLISH",
        "SUBSCRIBE",
        "NOTIFY",
        "MESSAGE",
        "PRACK",
        "INFO",
        "REFER",
        "OPTIONS",
        "INVITE",
        "ACK",
        "BYE",
        "CANCEL",
        "UPDATE",
        "REGISTER",
    ] {
        for _ in 0..60 {
            let ask = phone.ask(method);
            scene.expect(&phone, &ask, Rule::Verified);
            scene.wait(S / 10);
        }
    }
    let unknown = Message::request("SERVICE", "sip:203.0.113.1");
    scene.expect(&phone, &unknown, Rule::Unparsed);
}

/// A customer dials what is forbidden to it, with the right password.
fn forbidden_numbers(scene: &mut Scene<'_>) {
    let mut phone = Phone::new("198.51.100.7:5061", "200");
    scene.registers(&mut phone, 7200);
    for status in ["403 Forbidden", "404 Not Found", "484 Address Incomplete"] {
        for _ in 0..20 {
            let first = phone.ask("INVITE");
            scene.expect(&phone, &first, Rule::Verified);
            scene.challenges(&mut phone, "");
            let second = phone.answer("INVITE");
            scene.expect(&phone, &second, Rule::Verified);
            scene.teaches(&phone, &phone.reply(status), &[]);
            scene.wait(10 * S);
        }
    }
    assert_eq!((scene.ban(&phone), scene.ban_of_source(&phone)), (None, None));
}
