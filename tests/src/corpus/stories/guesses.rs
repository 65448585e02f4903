//! Who guesses passwords and tries out accounts (F21, F22, N08).

use sipguard_common::{
    abi::Learned::{AuthBan, Failure, Harvest, HarvestBan},
    learn::Fate,
    rule::{Rule, Verdict},
};

use super::{
    Story,
    cast::Phone,
    scene::{HOUR, MINUTE, S, Scene},
};

pub(super) fn stories() -> Vec<Story> {
    vec![
        Story::new("five_wrong_passwords", &["F21"], five_wrong),
        Story::new("slow_guesses", &["F21", "N08"], slow_guesses),
        Story::new("guesses_over_fifty_accounts", &["A05", "N08"], fifty_accounts),
        Story::new("guesses_from_many_ports", &["A05", "N08"], many_ports),
        Story::new("guesses_with_one_nonce", &["A05", "N08"], one_nonce),
        Story::new("guesses_within_one_transaction", &["A05", "N08"], one_transaction),
        Story::new("guesses_all_at_once", &["A05", "N08"], all_at_once),
        Story::new("guesses_that_are_cancelled", &["A05", "F21"], cancelled),
        Story::new("guesses_between_calls_to_anybody", &["A05", "N08"], between_calls),
        Story::new("guesses_with_made_up_nonces", &["A05"], made_up_nonces),
        Story::new("accounts_tried_out", &["A06", "F22"], accounts_tried_out),
        Story::new("accounts_tried_out_from_many_ports", &["A06", "F22"], from_many_ports),
        Story::new("accounts_tried_out_over_tcp", &["A06", "F22"], over_tcp),
        Story::new("accounts_tried_out_in_one_dialog", &["A06", "F22"], in_one_dialog),
        Story::new("unknown_accounts_with_passwords", &["F21"], unknown_accounts),
    ]
}

/// Guesses that a source may deliver in its first hour, and in any other one:
/// the last ones of an hour and the first ones of the next are close together.
const FIRST_HOUR: usize = 18;
const ANY_HOUR: usize = 24;

/// Tries for three hours, and holds what came to the server against that.
fn guess_for_hours(
    scene: &mut Scene<'_>,
    gap_ns: u64,
    mut guess: impl FnMut(&mut Scene<'_>, u32) -> bool,
) {
    let start = scene.now_ns;
    let mut times = Vec::new();
    let mut n = 0;
    while scene.now_ns < start + 3 * HOUR {
        if guess(scene, n) {
            times.push(scene.now_ns);
        }
        n += 1;
        scene.wait(gap_ns);
    }
    let within = |from: u64| times.iter().filter(|at| (from..from + HOUR).contains(at)).count();
    assert!(within(start) <= FIRST_HOUR, "{} in the first hour", within(start));
    let most = times.iter().map(|from| within(*from)).max().unwrap_or(0);
    assert!(most <= ANY_HOUR, "{most} in an hour");
}

/// The packet after the fifth reply is the first that does not come through.
fn five_wrong(scene: &mut Scene<'_>) {
    let mut phone = Phone::new("198.51.100.66:5060", "100");
    for n in 1..=5 {
        assert!(scene.guesses(&mut phone));
        assert_eq!(scene.count(Failure), n);
    }
    let next = phone.ask("REGISTER");
    scene.expect(&phone, &next, Rule::Banned);
    let other = phone.clone().port(7000).tcp();
    scene.expect(&other, &next, Rule::Banned);
    let ban = scene.ban_of_source(&phone).expect("a ban");
    assert_eq!((ban.failures, ban.proven, ban.rule), (5, 1, Rule::Auth.number()));
    assert_eq!(ban.expires_ns, scene.now_ns + 600 * S);
    scene.wait(600 * S - 1);
    scene.expect(&phone, &next, Rule::Banned);
    scene.wait(1);
    scene.expect(&phone, &next, Rule::Stranger);
}

/// Always four in ten minutes.
fn slow_guesses(scene: &mut Scene<'_>) {
    let mut phone = Phone::new("198.51.100.66:5060", "100");
    guess_for_hours(scene, 150 * S + 1, |scene, _| scene.guesses(&mut phone));
    assert!(scene.count(Failure) > 0);
}

fn fifty_accounts(scene: &mut Scene<'_>) {
    guess_for_hours(scene, S, |scene, n| {
        let mut phone = Phone::new("198.51.100.66:5060", &format!("{}", 100 + n % 50));
        phone.number = 10 * n;
        scene.guesses(&mut phone)
    });
    assert!(scene.count(AuthBan) > 3);
}

fn many_ports(scene: &mut Scene<'_>) {
    guess_for_hours(scene, S / 2, |scene, n| {
        let at = format!("198.51.100.66:{}", 1024 + n % 60_000);
        let mut phone = Phone::new(&at, &format!("{}", 100 + n % 50));
        phone.number = 10 * n;
        scene.guesses(&mut phone)
    });
}

/// One challenge for all guesses, which is never asked for again.
fn one_nonce(scene: &mut Scene<'_>) {
    let mut phone = Phone::new("198.51.100.66:5060", "100");
    let first = phone.ask("REGISTER");
    scene.passes(&phone, &first);
    scene.challenges(&mut phone, "");
    guess_for_hours(scene, S, |scene, n| {
        phone.account = format!("{}", 100 + n % 50);
        scene.guesses_again(&mut phone)
    });
    assert!(scene.count(AuthBan) > 3);
}

/// The same Call-ID and CSeq for all guesses, each with another password.
fn one_transaction(scene: &mut Scene<'_>) {
    let mut phone = Phone::new("198.51.100.66:5060", "100");
    let first = phone.ask("REGISTER");
    scene.passes(&phone, &first);
    scene.challenges(&mut phone, "");
    guess_for_hours(scene, S, |scene, n| {
        phone.number = 7;
        let response = format!("{n:032x}");
        let guess = phone.answer("REGISTER");
        let nonce = phone.nonce.clone();
        let credentials = format!(
            "Digest username=\"100\", realm=\"pbx\", nonce=\"{nonce}\", uri=\"sip:203.0.113.1\", \
             response=\"{response}\", algorithm=MD5"
        );
        let guess = guess.replace("Authorization", &credentials);
        if scene.comes(&phone, &guess).verdict() == Verdict::Drop {
            return false;
        }
        scene.challenges(&mut phone, "");
        phone.nonce = nonce;
        true
    });
}

/// CANCEL has the number of the guess, and its success is none of the guess.
fn cancelled(scene: &mut Scene<'_>) {
    let mut phone = Phone::new("198.51.100.66:5060", "100");
    let first = phone.ask("INVITE");
    scene.passes(&phone, &first);
    scene.challenges(&mut phone, "");
    for n in 1..=5 {
        let nonce = phone.nonce.clone();
        let guess = phone.answer("INVITE");
        scene.passes(&phone, &guess);
        let mut cancel = phone.clone();
        cancel.number -= 1;
        let message = cancel.answer("CANCEL");
        scene.passes(&phone, &message);
        scene.leaves(&cancel, &cancel.reply("200 OK"));
        scene.challenges(&mut phone, "");
        assert_eq!(scene.count(Failure), n);
        phone.nonce = nonce;
    }
    assert!(scene.ban_of_source(&phone).is_some());
}

/// The server takes calls of everybody: that says nothing of a password.
fn between_calls(scene: &mut Scene<'_>) {
    let mut phone = Phone::new("198.51.100.66:5060", "100");
    guess_for_hours(scene, S, |scene, n| {
        if n % 4 == 3 {
            let call = phone.ask("INVITE");
            if scene.comes(&phone, &call).verdict() == Verdict::Pass {
                scene.leaves(&phone.clone(), &phone.reply("200 OK"));
            }
        }
        scene.guesses(&mut phone)
    });
    assert!(scene.count(AuthBan) > 3);
}

/// Guesses that were under way when the ban was made are answered still.
fn all_at_once(scene: &mut Scene<'_>) {
    let mut phone = Phone::new("198.51.100.66:5060", "100");
    let first = phone.ask("REGISTER");
    scene.passes(&phone, &first);
    scene.challenges(&mut phone, "");
    let nonce = phone.nonce.clone();
    let mut sent = Vec::new();
    for _ in 0..100 {
        let guess = phone.answer("REGISTER");
        if scene.comes(&phone, &guess) == Rule::Stranger {
            sent.push(phone.clone());
        }
    }
    // They are bounded before the server has said anything.
    assert!((5..=FIRST_HOUR).contains(&sent.len()), "{}", sent.len());
    for phone in &mut sent {
        scene.challenges(phone, "");
    }
    assert_eq!(scene.count(Failure), sent.len());
    assert!(scene.count(AuthBan) >= 1);
    phone.nonce = nonce;
    assert!(!scene.guesses_again(&mut phone));
}

/// The server does not even look at such passwords, and the sender may be
/// forged: bans of a minute.
fn made_up_nonces(scene: &mut Scene<'_>) {
    let mut phone = Phone::new("198.51.100.66:5060", "100");
    let mut came = 0;
    for n in 0..HOUR / S {
        phone.nonce = format!("made-up-{n}");
        came += usize::from(scene.guesses_again(&mut phone));
        assert!(scene.ban_of_source(&phone).is_none());
        scene.wait(S);
    }
    println!("{came} guesses with made-up nonces in an hour");
    assert!((5..=600).contains(&came), "{came}");
    assert_eq!(scene.count(AuthBan), 0);
}

/// Asks for one account after the other; true if that came to the server.
fn tries(scene: &mut Scene<'_>, phone: &mut Phone, n: u32) -> bool {
    phone.account = format!("{}", 100 + n);
    let ask = phone.ask("REGISTER");
    if scene.comes(phone, &ask).verdict() == Verdict::Drop {
        return false;
    }
    if n.is_multiple_of(2) {
        scene.challenges(phone, "");
    } else {
        let left = scene.leaves(phone, &phone.reply("404 Not Found"));
        assert_eq!(left.fate == Fate::Leaves, phone.endpoint().protocol() == 6);
    }
    true
}

fn accounts_tried_out(scene: &mut Scene<'_>) {
    let mut phone = Phone::new("198.51.100.66:5060", "");
    let mut came = 0;
    for n in 0..300 {
        phone.call_id = format!("call-{n}");
        came += u32::from(tries(scene, &mut phone, n));
        scene.wait(S / 10);
    }
    assert_eq!((came, scene.count(Harvest), scene.count(HarvestBan)), (30, 30, 1));
    let ban = scene.ban(&phone).expect("a ban");
    assert_eq!((ban.failures, ban.proven, ban.rule), (30, 0, Rule::Harvest.number()));
    assert_eq!(ban.expires_ns - ban.since_ns, MINUTE);
    // Only this endpoint: its neighbours are strangers, too.
    assert!(scene.ban_of_source(&phone).is_none());
}

fn from_many_ports(scene: &mut Scene<'_>) {
    let mut came = 0;
    for n in 0..1000 {
        let mut phone = Phone::new(&format!("198.51.100.66:{}", 2000 + n), "");
        came += u32::from(tries(scene, &mut phone, n));
        scene.wait(S / 4);
    }
    let phone = Phone::new("198.51.100.66:5060", "");
    let ban = scene.stage.ban_of(&phone.whole()).expect("a ban");
    assert_eq!((ban.failures, ban.proven), (300, 0));
    assert!(came < 1000 - 200, "{came}");
}

fn over_tcp(scene: &mut Scene<'_>) {
    let mut phone = Phone::new("198.51.100.66:5060", "").tcp();
    let came = (0..100).filter(|n| tries(scene, &mut phone, *n)).count();
    assert_eq!(came, 30);
    let ban = scene.ban(&phone).expect("a ban");
    assert_eq!((ban.proven, ban.expires_ns - ban.since_ns), (1, 600 * S));
}

/// The same Call-ID and CSeq for each account.
fn in_one_dialog(scene: &mut Scene<'_>) {
    let mut phone = Phone::new("198.51.100.66:5060", "");
    let mut came = 0;
    for n in 0..300 {
        phone.number = 7;
        came += u32::from(tries(scene, &mut phone, n));
        scene.wait(S / 5);
    }
    assert!(scene.count(HarvestBan) >= 1, "{came} accounts in a minute");
}

/// Of who has no account the password is wrong, too.
fn unknown_accounts(scene: &mut Scene<'_>) {
    let mut phone = Phone::new("198.51.100.66:5060", "100");
    let first = phone.ask("REGISTER");
    scene.passes(&phone, &first);
    scene.challenges(&mut phone, "");
    for _ in 0..5 {
        let guess = phone.answer("REGISTER");
        scene.passes(&phone, &guess);
        scene.leaves(&phone, &phone.reply("404 Not Found"));
    }
    assert!(scene.ban_of_source(&phone).is_some_and(|ban| ban.proven == 1));
}
