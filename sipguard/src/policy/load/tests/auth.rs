//! The keys of `[auth]`, and `policy.stealth`.

use super::*;
use crate::{
    policy::{AuthProfile, AuthSettings, Stealth},
    ttl::Ttl,
};

const S: u64 = 1_000_000_000;

fn ttl(text: &str) -> Ttl {
    text.parse().unwrap()
}

/// F21: the profiles of the issue, and the numbers that take their place.
#[test]
fn f21_profiles_and_numbers_reach_the_plan() {
    let auth = |text: &str| plan(SETTINGS, &format!("[auth]\n{text}")).policy.auth;
    assert_eq!((auth("").failures, auth("").window_ns), (5, 600 * S));
    for (name, failures, seconds) in
        [("standard", 6, 180), ("internet", 5, 600), ("attack", 3, 900), ("highlatency", 8, 300)]
    {
        let auth = auth(&format!("profile = \"{name}\"\n"));
        assert_eq!((auth.failures, auth.window_ns), (failures, seconds * S), "{name}");
    }
    let written = plan(
        SETTINGS,
        "[auth]\nwindow = \"2h\"\nprofile = \"standard\"\nban = \"7d\"\nban_max = \"1w\"\nharvest = 50\n",
    );
    let expected = AuthSettings {
        profile: AuthProfile::Standard,
        failures: 6,
        window: ttl("2h"),
        ban: Ttl::WEEK,
        ban_max: Ttl::WEEK,
        harvest: 50,
    };
    assert_eq!(written.auth, expected);
    let expected = abi::Auth {
        failures: 6,
        harvest: 50,
        window_ns: 7200 * S,
        unproven_ban_ns: 60 * S,
        tries: [Limit::new(2, 3600 * S, 6).unwrap(), Limit::new(7, 3600 * S, 6).unwrap()],
    };
    assert_eq!(written.policy.auth, expected);
    assert_eq!(written.policy.ban_ns, 7 * 86_400 * S);
    assert_eq!(auth("failures = 9\nprofile = \"attack\"\n").failures, 9);
    assert_eq!(auth("ban = \"20s\"\n").unproven_ban_ns, 20 * S, "never longer than a proven one");
}

#[test]
fn f23_stealth_reaches_the_plan() {
    let of = |text: &str| plan(SETTINGS, text).policy.stealth;
    assert_eq!(of(""), abi::stealth::CHALLENGES);
    assert_eq!(of("[policy]\nstealth = \"challenges\"\n"), abi::stealth::CHALLENGES);
    assert_eq!(of("[policy]\nstealth = \"all\"\n"), abi::stealth::ALL);
    assert_eq!(of("[policy]\nstealth = \"all\"\nposture = \"attack\"\n"), abi::stealth::ALL);
    let config = Config::with(SETTINGS, "[policy]\nstealth = \"none\"\n");
    let (plan, found) = config.load().unwrap();
    assert_eq!((plan.stealth, plan.policy.stealth), (Stealth::None, abi::stealth::NONE));
    let found = brief(&found);
    assert_eq!(found.len(), 1);
    assert!(found[0].starts_with("2:11 no new phone can register"), "{found:?}");
}

/// F44: what the server's replies bring about, by posture.
#[test]
fn f44_postures_ban_as_they_say() {
    let of = |posture: &str, auth: &str| {
        let text = format!("[policy]\nposture = \"{posture}\"\nstealth = \"challenges\"\n{auth}");
        plan(SETTINGS, &text).policy
    };
    let guarded = of("guarded", "");
    let closed = of("closed", "");
    assert_eq!((closed.auth, closed.ban_ns), (guarded.auth, guarded.ban_ns));
    assert_eq!(closed.verified, guarded.verified);

    let open = of("open", "");
    assert_eq!((open.auth.failures, open.auth.harvest), (0, 0));
    assert_eq!(open.stealth, abi::stealth::ALL);
    assert!(open.verified.iter().all(|limit| *limit == Limit::UNLIMITED));
    assert_eq!(open.reserve, Limit::UNLIMITED);
    assert_eq!(open.ban_ns, 600 * S, "that of signatures over TCP");

    let attack = of("attack", "");
    let expected = abi::Auth {
        failures: 3,
        harvest: 15,
        window_ns: 900 * S,
        unproven_ban_ns: 60 * S,
        tries: [Limit::new(1, 3600 * S, 3).unwrap(), Limit::new(3, 3600 * S, 3).unwrap()],
    };
    assert_eq!((attack.auth, attack.ban_ns), (expected, 900 * S));
    assert_eq!(attack.stealth, abi::stealth::CHALLENGES);
    let stricter = of("attack", "[auth]\nwindow = \"1h\"\nban = \"2h\"\n");
    assert_eq!((stricter.auth.window_ns, stricter.ban_ns), (3600 * S, 7200 * S));
    let profile = of("attack", "[auth]\nprofile = \"highlatency\"\n");
    assert_eq!((profile.auth.failures, profile.auth.window_ns), (3, 900 * S));
}

#[test]
fn bans_have_moved_and_the_answer_says_where() {
    assert_eq!(
        errors(SETTINGS, "[policy]\nban = \"10m\"\nbann = 1\n"),
        [
            "2:1 `ban` stands in the section [auth] now | move it there: the key is `auth.ban`",
            "3:1 unknown key `bann` | what can stand here: posture, options, stealth, fragments, mode, fail_mode",
        ]
    );
}

#[test]
fn a_longest_ban_shorter_than_the_first_is_an_error() {
    assert_eq!(
        errors(SETTINGS, "[auth]\nban = \"1h\"\nban_max = \"30m\"\n"),
        [
            "3:11 the longest ban, 30m, is shorter than the first one, 1h | write ban_max = \"1h\" or more, or a shorter ban"
        ]
    );
    // The default of the other one counts.
    let found = errors(SETTINGS, "[auth]\nban = \"2d\"\n");
    assert_eq!(
        found,
        [
            "2:7 the longest ban, 1d, is shorter than the first one, 2d | write ban_max = \"2d\" or more, or a shorter ban"
        ]
    );
    assert!(errors(SETTINGS, "[auth]\nban_max = \"9m\"\n")[0].starts_with("2:11 the longest ban"));
    plan(SETTINGS, "[auth]\nban = \"1h\"\nban_max = \"60m\"\n");
    // A wrong one is one finding.
    assert_eq!(errors(SETTINGS, "[auth]\nban = \"1h\"\nban_max = \"0s\"\n").len(), 1);
}

#[test]
fn what_bans_customers_or_nobody_is_warned_of() {
    for (text, place, words) in [
        ("failures = 2", "2:12", "a typing error bans a customer"),
        ("profile = \"attack\"\nfailures = 1", "3:12", "`failures` is 1"),
        ("window = \"59s\"", "2:10", "who guesses slowly is never banned"),
        ("harvest = 9", "2:11", "a new phone may be banned before it has registered"),
    ] {
        let found = warnings(SETTINGS, &format!("[auth]\n{text}\n"));
        assert_eq!(found.len(), 1, "{text}: {found:?}");
        assert!(found[0].starts_with(place) && found[0].contains(words), "{text}: {found:?}");
    }
    plan(SETTINGS, "[auth]\nfailures = 3\nwindow = \"60s\"\nharvest = 10\n");
    plan(SETTINGS, "[auth]\nprofile = \"attack\"\n");
}

#[test]
fn wrong_values_are_one_finding_each() {
    for text in [
        "[policy]\nstealth = \"some\"",
        "[policy]\nstealth = true",
        "[auth]\nprofile = \"strict\"",
        "[auth]\nprofile = 5",
        "[auth]\nfailures = 0",
        "[auth]\nfailures = 10001",
        "[auth]\nfailures = \"5\"",
        "[auth]\nfailures = \"unlimited\"",
        "[auth]\nwindow = 600",
        "[auth]\nwindow = \"600\"",
        "[auth]\nwindow = \"0s\"",
        "[auth]\nwindow = \"8d\"",
        "[auth]\nban = 600",
        "[auth]\nban = \"600\"",
        "[auth]\nban = \"0s\"",
        "[auth]\nban = \"8d\"",
        "[auth]\nban_max = \"8d\"",
        "[auth]\nban_max = false",
        "[auth]\nharvest = 2",
        "[auth]\nharvest = -1",
        "[auth]\nban_min = \"1m\"",
        "[auth.ban]\nfirst = \"1m\"",
    ] {
        let found = errors(SETTINGS, text);
        assert_eq!(found.len(), 1, "{text}: {found:?}");
        assert!(!found[0].ends_with("| "), "{text}: no remedy: {found:?}");
    }
    let found = errors(SETTINGS, "[auth]\nprofile = \"high-latency\"\n");
    assert!(found[0].contains("did you mean \"highlatency\"?"), "{found:?}");
}

#[test]
fn a_reload_says_which_of_them_changed() {
    let new = plan(
        SETTINGS,
        "[policy]\nstealth = \"all\"\n[auth]\nprofile = \"attack\"\nban = \"1h\"\nban_max = \"2d\"\n\
         harvest = 40\n[rules]\nauth.mode = \"observe\"\ngreylist.mode = \"off\"\n\
         [limits.strangers]\nreserve = \"unlimited\"\n",
    );
    assert_eq!(
        new.changes(&Plan::default()).to_string(),
        "policy.stealth challenges -> all, auth.profile internet -> attack, auth.failures 5 -> 3, \
         auth.window 10m -> 15m, auth.ban 10m -> 1h, auth.ban_max 1d -> 2d, auth.harvest 30 -> 40, \
         rules.greylist.mode enforce -> off, rules.auth.mode enforce -> observe, \
         limits.strangers.reserve 200/s burst 400 -> unlimited"
    );
}
