//! The keys of `[limits]`, `[rules]`, `[events]`, and those of `[policy]` that
//! stand beside them.

use sipguard_common::{method::Budget, rule::Rule};

use super::*;
use crate::policy::{
    Fragments, MessageLimits, PortLimit, RateLimit, RuleMode, limits::verified_classes,
    modes::dropping,
};

fn per_second(rate: u64, burst: u64) -> Limit {
    Limit::new(rate, 1_000_000_000, burst).unwrap()
}

#[test]
fn limits_of_all_strangers_reach_the_plan() {
    let plan = plan(
        SETTINGS,
        r#"
[limits.stranger]
syn = { rate = "2/s", burst = 9 }
[limits.strangers]
total = { rate = "10/s", burst = 20 }
syn = { rate = "11/s", burst = 21 }
keepalive = { rate = "12/s", burst = 22 }
response = "unlimited"
other = { rate = "13/s", burst = 23 }
"#,
    );
    assert_eq!(plan.policy.limits[Class::Syn as usize], per_second(2, 9));
    let budget = |budget: Budget| plan.policy.strangers[budget as usize];
    assert_eq!(budget(Budget::Total), per_second(10, 20));
    assert_eq!(budget(Budget::Syn), per_second(11, 21));
    assert_eq!(budget(Budget::Keepalive), per_second(12, 22));
    assert_eq!(budget(Budget::Response), Limit::UNLIMITED);
    assert_eq!(budget(Budget::Other), per_second(13, 23));
}

#[test]
fn f08_networks_reach_the_plan() {
    let plan = plan(
        SETTINGS,
        "[limits.subnet]\nprefix_v4 = 20\nprefix_v6 = 40\ntotal = { rate = \"7/s\", burst = 8 }\n",
    );
    assert_eq!(plan.policy.subnet, per_second(7, 8));
    let network = |octets| {
        let address = abi::Address::from_octets(octets);
        address.subnet(plan.policy.subnet_mask, plan.policy.subnet_mask_v4).octets()
    };
    assert_eq!(network([0xff; 16]), {
        let mut cut = [0; 16];
        cut[..5].fill(0xff);
        cut
    });
    let v4 = abi::Address::v4([198, 51, 100, 7]).octets();
    assert_eq!(network(v4), abi::Address::v4([198, 51, 96, 0]).octets());
}

/// F10: what limits the ports, and the warning that comes with it.
#[test]
fn f10_a_limit_of_ports_is_warned_of() {
    let text = "[limits.ports]\nmax = 20\nwindow = \"90s\"\n";
    let (plan, warnings) = Config::with(SETTINGS, text).load().unwrap();
    assert_eq!(plan.limits.ports, PortLimit { max: Some(20), window: "90s".parse().unwrap() });
    // Of 20 ports, two share a bit at worst.
    assert!((19..=20).contains(&plan.policy.max_ports), "{}", plan.policy.max_ports);
    assert_eq!(plan.policy.ports_window_ns, 90_000_000_000);
    let warnings = brief(&warnings);
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].starts_with("2:7 phones behind one address lose packets"), "{warnings:?}");
    assert!(warnings[0].contains("trust the offices"), "{warnings:?}");

    let plan = super::plan(SETTINGS, "[limits.ports]\nmax = \"unlimited\"\n");
    assert_eq!((plan.limits.ports.max, plan.policy.max_ports), (None, 0));
}

#[test]
fn f13_limits_of_messages_reach_the_plan() {
    let text = "[limits.message]\nbytes = 8000\nline = 500\nlines = 60\n";
    let sized = plan(SETTINGS, text);
    let limits = MessageLimits { bytes: Some(8000), line: Some(500), lines: Some(60) };
    assert_eq!(sized.limits.message, limits);
    let policy = &sized.policy;
    assert_eq!((policy.max_message, policy.max_line, policy.max_lines), (8000, 500, 60));
    let unlimited = plan(
        SETTINGS,
        "[limits.message]\nbytes = \"unlimited\"\nline = \"unlimited\"\nlines = \"unlimited\"\n",
    );
    assert_eq!(unlimited.limits.message, MessageLimits::default());
    assert_eq!(unlimited.policy.max_message, 0);
}

/// F17: one mode for all, and a milder one for some.
#[test]
fn f17_modes_reach_the_plan() {
    let text = |all: &str| {
        format!(
            "[policy]\nmode = \"{all}\"\n[rules]\noptions = {{ mode = \"observe\" }}\n\
             signature.mode = \"off\"\nblocked.mode = \"enforce\"\n"
        )
    };
    let bits = |rules: &[Rule]| rules.iter().map(|rule| rule.bit()).sum::<u64>();
    let enforced = plan(SETTINGS, &text("enforce")).policy;
    assert_eq!(enforced.observed, Rule::Options.bit());
    assert_eq!(enforced.enforced, Rule::DROPS - bits(&[Rule::Options, Rule::Signature]));
    let observed = plan(SETTINGS, &text("observe")).policy;
    assert_eq!(observed.enforced, 0);
    assert_eq!(observed.observed, Rule::DROPS - Rule::Signature.bit());
    let off = plan(SETTINGS, &text("off")).policy;
    assert_eq!((off.enforced, off.observed), (0, 0));

    for rule in dropping() {
        for mode in RuleMode::ALL {
            let text = format!("[rules.{}]\nmode = \"{}\"\n", rule.name(), mode.name());
            assert_eq!(plan(SETTINGS, &text).modes.of(rule), mode, "{text}");
        }
    }
}

#[test]
fn f16_limits_of_events_reach_the_plan() {
    let plan = plan(
        SETTINGS,
        "[events]\nrule = { rate = \"3/s\", burst = 4 }\nsource = { rate = \"6/m\" }\nlog = false\n",
    );
    assert_eq!(plan.policy.events_rule, per_second(3, 4));
    assert_eq!(plan.policy.events_source, Limit::new(6, 60_000_000_000, 6).unwrap());
    assert!(!plan.events.log);
}

#[test]
fn f12_fragments_and_tls_reach_the_plan() {
    let plan = plan(
        SETTINGS,
        "[sip]\ntls_ports = [5061, \"5081-5082\"]\n[policy]\nfragments = \"drop\"\n",
    );
    assert_eq!(plan.fragments, Fragments::Drop);
    assert_eq!(plan.policy.fragments, abi::fragments::DROP);
    assert_eq!(plan.tls_ports.to_string(), "5061, 5081-5082");
    assert_eq!(plan.policy.tls_ports.iter().map(|word| word.count_ones()).sum::<u32>(), 3);
}

/// F44: a quarter for what is new, nothing else for what is there already.
#[test]
fn f44_posture_attack_quarters_what_is_new() {
    let attack = plan(SETTINGS, "[policy]\nposture = \"attack\"\noptions = \"pass\"\n");
    let (attack, guarded) = (attack.policy, Plan::default().policy);
    assert_eq!(attack.posture, abi::posture::ATTACK);
    assert_eq!(attack.options, abi::options::DROP);
    let slower = |now: Limit, before: Limit| now.interval_ns / before.interval_ns;
    for class in Class::ALL {
        let goes_on = matches!(class, Class::Dialog | Class::Response | Class::Keepalive);
        let class = class as usize;
        let expected = if goes_on { 1 } else { 4 };
        assert_eq!(slower(attack.limits[class], guarded.limits[class]), expected, "{class}");
    }
    assert_eq!(slower(attack.subnet, guarded.subnet), 4);
    for budget in Budget::ALL {
        let goes_on = matches!(budget, Budget::Keepalive | Budget::Response);
        let expected = if goes_on { 1 } else { 4 };
        let budget = budget as usize;
        assert_eq!(slower(attack.strangers[budget], guarded.strangers[budget]), expected);
    }
    assert_eq!(slower(attack.reserve, guarded.reserve), 4);
    assert_eq!(attack.verified, guarded.verified, "a customer notices nothing");
}

/// F20: what is not written is never less than what strangers may send.
#[test]
fn f20_limits_of_verified_endpoints_reach_the_plan() {
    let text = r#"
[limits.stranger]
invite = { rate = "300/s", burst = 60 }
dialog = "unlimited"
other = { rate = "60/s", burst = 100 }
[limits.verified]
register = { rate = "7/s", burst = 300 }
other = { rate = "60/s", burst = 100 }
response = "unlimited"
[limits.strangers]
reserve = { rate = "17/s", burst = 18 }
"#;
    let written = plan(SETTINGS, text);
    let of = |class: Class| written.policy.verified[class as usize];
    assert_eq!(of(Class::Register), per_second(7, 300));
    assert_eq!(of(Class::Other), per_second(60, 100));
    assert_eq!(of(Class::Response), Limit::UNLIMITED);
    assert_eq!(of(Class::Invite), per_second(300, 1000), "the higher of each");
    assert_eq!(of(Class::Dialog), Limit::UNLIMITED);
    assert_eq!(of(Class::Keepalive), per_second(500, 5000), "the default");
    assert_eq!(of(Class::Syn), Limit::UNLIMITED, "it has no verified port");
    assert_eq!(written.policy.reserve, per_second(17, 18));
    let head = "[limits.stranger]\ninvite = { rate = \"300/s\", burst = 60 }\n";
    assert_eq!(
        plan(SETTINGS, head).changes(&Plan::default()).to_string(),
        "limits changed",
        "that of verified endpoints, too"
    );
}

/// What a real customer sends is far below every default, and what a stranger
/// may send, as well.
#[test]
fn f20_defaults_of_verified_endpoints_are_generous() {
    let limits = Plan::default().limits;
    for class in verified_classes() {
        let (verified, stranger) = (limits.verified[class as usize], limits.stranger(class));
        let (RateLimit::Limited { rate, burst, .. }, RateLimit::Limited { rate: low, .. }) =
            (verified, stranger)
        else {
            panic!("{class:?} is unlimited");
        };
        assert!(rate.packets() >= 5 * low.packets(), "{class:?}");
        assert_eq!(verified.at_least(stranger), verified, "{class:?}");
        // Thirty repetitions at once are nothing.
        assert!(burst >= 200, "{class:?}");
    }
    let RateLimit::Limited { burst, .. } = limits.verified[Class::Response as usize] else {
        panic!("responses are unlimited");
    };
    assert!(burst >= 10_000, "L10: the answers of a proxy of 10,000 phones");
}

#[test]
fn f20_customers_with_less_than_strangers_are_warned_of() {
    for (text, line) in [
        ("[limits.verified]\nregister = { rate = \"4/s\", burst = 2000 }\n", 2),
        ("[limits.verified]\nregister = { rate = \"50/s\", burst = 199 }\n", 2),
        (
            "[limits.stranger]\nregister = \"unlimited\"\n\
             [limits.verified]\nregister = { rate = \"50/s\", burst = 2000 }\n",
            4,
        ),
    ] {
        let found = warnings(SETTINGS, text);
        assert_eq!(found.len(), 1, "{text}: {found:?}");
        assert!(found[0].starts_with(&format!("{line}:12 customers may send less")), "{found:?}");
        assert!(found[0].contains("limits.stranger.register is "), "{found:?}");
    }
    plan(SETTINGS, "[limits.verified]\nregister = { rate = \"5/s\", burst = 200 }\n");
    plan(SETTINGS, "[limits.verified]\nregister = { rate = \"300/m\", burst = 200 }\n");
}

#[test]
fn wrong_values_are_one_finding_each() {
    for text in [
        "rules = 1",
        "events = 1",
        "[sip]\ntls_ports = 5061",
        "[sip]\ntls_ports = [0]",
        "[policy]\nmode = \"enforced\"",
        "[policy]\nmode = true",
        "[policy]\nfragments = \"limit\"",
        "[limits]\nstrangers = 5",
        "[limits.strangers]\ntotal = 5",
        "[limits.strangers]\nregister = \"unlimited\"",
        "[limits.strangers]\nreserve = 200",
        "[limits]\nverified = \"unlimited\"",
        "[limits.verified]\ntotal = \"1000/s\"",
        "[limits.verified]\nsyn = \"unlimited\"",
        "[limits.verified]\nreserve = \"unlimited\"",
        "[limits]\nsubnet = \"unlimited\"",
        "[limits.subnet]\nprefix_v4 = 7",
        "[limits.subnet]\nprefix_v4 = 33",
        "[limits.subnet]\nprefix_v6 = 15",
        "[limits.subnet]\nprefix_v6 = 129",
        "[limits.subnet]\ntotal = \"5/s\"",
        "[limits.subnet]\nprefix = 24",
        "[limits.ports]\nmax = 4",
        "[limits.ports]\nmax = 501",
        "[limits.ports]\nmax = \"20\"",
        "[limits.ports]\nmax = \"none\"",
        "[limits.ports]\nwindow = 60",
        "[limits.ports]\nwindow = \"8d\"",
        "[limits.message]\nbytes = 299",
        "[limits.message]\nbytes = 65536",
        "[limits.message]\nline = 99",
        "[limits.message]\nline = \"infinite\"",
        "[limits.message]\nlines = 9",
        "[limits.message]\nlines = 1001",
        "[limits.message]\nbody = 5",
        "[rules]\nsignature = \"observe\"",
        "[rules]\nsignature = { mod = \"observe\" }",
        "[rules]\nsignature = { mode = \"drop\" }",
        "[rules]\nsignatures = { mode = \"off\" }",
        "[rules]\nstranger = { mode = \"off\" }",
        "[events]\nrule = \"unlimited\"",
        "[events]\nsource = \"1/s\"",
        "[events]\nsource = { rate = \"1/s\", burst = 0 }",
        "[events]\nlog = \"yes\"",
        "[events]\nlogs = true",
    ] {
        let found = errors(SETTINGS, text);
        assert_eq!(found.len(), 1, "{text}: {found:?}");
        assert!(!found[0].ends_with("| "), "{text}: no remedy: {found:?}");
    }
}

#[test]
fn answers_say_what_to_write() {
    let one = |text: &str| errors(SETTINGS, text).remove(0);
    let found = one("[rules]\ntrusted = { mode = \"observe\" }");
    assert!(found.contains("`trusted` never drops: it has no mode"), "{found}");
    assert!(found.contains("rules with a mode: trusted_cps, blocked, banned"), "{found}");
    let found = one("[rules]\nsignatures = { mode = \"observe\" }");
    assert!(found.ends_with("did you mean `signature`?"), "{found}");
    let found = one("[events]\nrule = \"unlimited\"");
    assert!(found.contains("events cannot be unlimited"), "{found}");
    let found = one("[limits.ports]\nmax = \"none\"");
    assert!(found.ends_with("write \"unlimited\" or a number of 5 to 500"), "{found}");
    let found = one("[limits.ports]\nwindow = \"30d\"");
    assert!(found.contains("`30d` is longer than 7d"), "{found}");
}

#[test]
fn a_reload_says_which_of_them_changed() {
    let new = plan(
        SETTINGS,
        "[policy]\nmode = \"observe\"\n[events]\nlog = false\n[rules]\noptions.mode = \"off\"\n\
         [limits.message]\nbytes = 9000\n",
    );
    assert_eq!(
        new.changes(&Plan::default()).to_string(),
        "policy.mode enforce -> observe, events.log true -> false, \
         rules.options.mode enforce -> off, limits.message.bytes unlimited -> 9000"
    );
    let both = plan(SETTINGS, "[limits.strangers]\nsyn = \"unlimited\"\ntotal = \"unlimited\"\n");
    assert!(both.limits.strangers[..2].iter().all(|limit| *limit == RateLimit::Unlimited));
    assert_eq!(both.changes(&Plan::default()).to_string(), "limits changed");
}
