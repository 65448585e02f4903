//! Many customers behind one address.

use sipguard_common::{
    abi::Learned::{AuthBan, Failure, HarvestBan},
    learn::Fate,
    rule::{Rule, Verdict},
};

use super::{
    Story,
    cast::Phone,
    scene::{DAY, HOUR, MINUTE, S, Scene},
};

pub(super) fn stories() -> Vec<Story> {
    vec![
        Story::new("call_centre_after_an_outage", &["L07"], call_centre),
        Story::new("old_passwords_for_ever", &["L08"], old_passwords),
        Story::new("scanner_behind_a_carriers_nat", &["L09"], carrier_nat),
        Story::new("answers_of_a_hundred_phones", &["L10"], answers_of_one_address),
        Story::new("answers_of_ten_thousand_phones", &["L10"], answers_of_many),
        Story::new("limits_grow_with_accounts", &["F24"], limits_grow),
        Story::new("a_site_is_remembered", &["F24"], remembered),
    ]
}

/// Phones behind one address.
fn office(count: u16) -> Vec<Phone> {
    let phone = |n| Phone::new(&format!("198.51.100.7:{}", 10_000 + n), &format!("{}", 1000 + n));
    (0..count).map(phone).collect()
}

/// All come in, slowly enough for a source that nobody knows.
fn settle(scene: &mut Scene<'_>, phones: &mut [Phone], seconds: u32) {
    for phone in phones {
        scene.registers(phone, seconds);
        scene.wait(500_000_000);
    }
}

/// All ports are new, and all come within two seconds.
fn call_centre(scene: &mut Scene<'_>) {
    let mut phones = office(500);
    settle(scene, &mut phones, 3600);
    scene.wait(4 * HOUR);
    for (n, phone) in phones.iter_mut().enumerate() {
        *phone = phone.clone().port(20_000 + n as u16);
    }
    for phone in &mut phones {
        let first = phone.ask("REGISTER");
        scene.expect(phone, &first, Rule::Stranger);
        scene.challenges(phone, "");
        scene.wait(4_000_000);
    }
    for phone in &mut phones {
        let second = phone.answer("REGISTER");
        scene.expect(phone, &second, Rule::Stranger);
        scene.leaves(phone, &phone.granted(3600));
    }
    assert!(phones.iter().all(|phone| scene.is_verified(phone)));
}

/// Ten of 500 try each minute, for a day.
fn old_passwords(scene: &mut Scene<'_>) {
    let mut phones = office(500);
    settle(scene, &mut phones, 4 * 3600);
    let (wrong, right) = phones.split_at_mut(10);
    scene.wait(5 * HOUR);
    let (mut tries, mut came) = (0, 0);
    for minute in 0..DAY / MINUTE {
        for phone in &mut *wrong {
            tries += 1;
            came += usize::from(scene.guesses(phone));
        }
        // The others renew theirs each four hours.
        for phone in right.iter_mut().skip(minute as usize % 240).step_by(240) {
            scene.registers(phone, 4 * 3600);
        }
        scene.wait(MINUTE);
    }
    assert!(scene.count(AuthBan) >= 10 && came < tries / 2, "{came} of {tries}");
    assert_eq!((scene.count(Failure), scene.count(HarvestBan)), (came, 0));
    assert!(right.iter().all(|phone| scene.ban(phone).is_none()));
    assert_eq!(scene.ban_of_source(&right[0]), None);
}

fn carrier_nat(scene: &mut Scene<'_>) {
    let mut phones = office(300);
    settle(scene, &mut phones, 600);
    let mut scanned = 0;
    for round in 0..10_u16 {
        for (n, phone) in phones.iter_mut().enumerate() {
            scene.registers(phone, 600);
            scene.wait(S / 10);
            let account = format!("{n}");
            let mut scanner = Phone::new(&format!("198.51.100.7:{}", 40_000 + n % 50), &account);
            let probe = scanner.ask("OPTIONS");
            assert_eq!(scene.comes(&scanner, &probe).verdict(), Verdict::Drop);
            scanner.number = 1000 * u32::from(round);
            scanned += usize::from(scene.guesses(&mut scanner));
        }
        assert_eq!(scene.ban_of_source(&phones[0]), None);
    }
    // Each of the scanner's ports is banned after its fifth guess.
    assert!(scanned <= 50 * 5, "{scanned}");
    // A new customer comes in beside all that.
    scene.registers(&mut Phone::new("198.51.100.7:9999", "new"), 600);
}

/// The server asks each of a hundred phones each minute whether it is there.
fn answers_of_one_address(scene: &mut Scene<'_>) {
    let phones = office(100);
    for _ in 0..60 {
        for phone in &phones {
            assert_eq!(scene.leaves(phone, &probe()).fate, Fate::Leaves);
            scene.wait(S / 2);
            scene.expect(phone, &answer(), Rule::Response);
        }
        scene.wait(10 * S);
    }
}

fn probe() -> crate::sip::Message {
    crate::sip::Message::request("OPTIONS", "sip:200@198.51.100.7")
}

fn answer() -> crate::sip::Message {
    crate::sip::Message::response("200 OK", "OPTIONS")
}

fn answers_of_many(scene: &mut Scene<'_>) {
    for n in 0..10_000_u32 {
        let phone =
            Phone::new(&format!("198.{}.{}.{}:5060", 18 + n % 2, n / 250, 1 + n % 250), "x");
        scene.leaves(&phone, &probe());
        scene.expect(&phone, &answer(), Rule::Response);
        scene.wait(6_000_000);
    }
}

/// How many REGISTERs of a new port pass at once.
fn room(scene: &mut Scene<'_>) -> usize {
    let mut passed = 0;
    for n in 0..3000_u16 {
        let mut phone = Phone::new(&format!("198.51.100.7:{}", 30_000 + n), "new");
        let ask = phone.ask("REGISTER");
        if scene.comes(&phone, &ask).verdict() == Verdict::Drop {
            break;
        }
        passed += 1;
    }
    scene.wait(HOUR);
    passed
}

/// Twice as many for one account, then as the number of accounts.
fn limits_grow(scene: &mut Scene<'_>) {
    assert_eq!(room(scene), 200);
    let mut phones = office(8);
    scene.registers(&mut phones[0], 7 * 86_400);
    assert!((395..=400).contains(&room(scene)));
    settle(scene, &mut phones, 7 * 86_400);
    let of_eight = room(scene);
    assert!((1590..=1600).contains(&of_eight), "{of_eight}");
    // The same account again is no other one.
    settle(scene, &mut phones, 7 * 86_400);
    assert_eq!(room(scene), of_eight);
}

/// For a day, and two at most, though nobody is there any more.
fn remembered(scene: &mut Scene<'_>) {
    settle(scene, &mut office(8), 60);
    scene.wait(DAY - HOUR);
    assert!(room(scene) >= 1590);
    scene.wait(DAY + 2 * HOUR);
    assert_eq!(room(scene), 200);
}
