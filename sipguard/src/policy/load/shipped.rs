//! The files in `config/`: they are the manual, and so must be right.

use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf};

use sipguard_common::{abi::Policy, automaton::Field, rule::Rule};
use toml::de::{DeTable, DeValue};

use super::*;
use crate::policy::{
    AlertRule, AuthProfile, Condition, Match, Signature, blocks, lint,
    modes::dropping,
    peers,
    settings::{self, alerts, auth, crowdsec, events, feeds, limits, mirror, rules, values, web},
    signatures,
};

fn config() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../config")
}

fn text(name: &str) -> String {
    fs::read_to_string(config().join(name)).unwrap()
}

fn shipped() -> Plan {
    let (plan, warnings) = load(&config()).unwrap_or_else(|found| panic!("{found}"));
    assert!(warnings.is_empty(), "{}", Diagnostics(warnings));
    plan
}

/// The signatures that look at User-Agent alone.
fn agents(plan: &Plan) -> impl Iterator<Item = &Condition> {
    plan.signatures.iter().filter_map(Signature::only).filter(|only| only.field == Field::UserAgent)
}

fn nothing_genuine_matches(plan: &Plan) {
    for (field, values) in lint::GENUINE {
        for value in *values {
            let index = lint::run(&plan.policy.automaton, *field, value);
            assert_eq!(index, None, "{field:?}: {value}");
        }
    }
}

/// The index of the signature that a User-Agent matches.
fn matches(plan: &Plan, value: &str) -> Option<usize> {
    lint::run(&plan.policy.automaton, Field::UserAgent, value)
}

#[test]
fn it_is_the_built_in_policy_and_signatures() {
    let mut expected = Plan::default();
    let plan = shipped();
    expected.signatures.clone_from(&plan.signatures);
    let changes = plan.changes(&expected);
    assert!(changes.is_empty(), "{changes}");
    expected.policy.automaton.roots = plan.policy.automaton.roots;
    assert_eq!(plan.policy.limits, expected.policy.limits);
    // Padding-free: all settings stand before the automaton, which is last.
    let settings = std::mem::offset_of!(Policy, automaton);
    assert!(plan.policy_bytes()[..settings] == expected.policy_bytes()[..settings]);
}

/// Every key that can be written stands in the manual with a value, or, in
/// the lists, in an example.
#[test]
fn every_key_is_documented() {
    let settings_text = text(SETTINGS);
    let table = DeTable::parse(&settings_text).unwrap();
    let section = |path: &[&str]| {
        path.iter().try_fold(DeValue::Table(table.get_ref().clone()), |at, key| {
            Some(at.get(*key)?.get_ref().clone())
        })
    };
    let modes: Vec<&str> = dropping().map(Rule::name).collect();
    for (path, keys) in [
        (&[][..], settings::SECTIONS),
        (&["interfaces"], settings::INTERFACES),
        (&["sip"], settings::SIP),
        (&["policy"], settings::POLICY),
        (&["auth"], auth::AUTH),
        (&["limits"], limits::LIMITS),
        (&["limits", "stranger"], limits::CLASSES),
        (&["limits", "stranger", "register"], values::LIMIT),
        (&["limits", "strangers"], limits::STRANGERS),
        (&["limits", "verified"], limits::VERIFIED),
        (&["limits", "subnet"], limits::SUBNET),
        (&["limits", "ports"], limits::PORTS),
        (&["limits", "message"], limits::MESSAGE),
        (&["rules"], &modes),
        (&["rules", "signature"], rules::RULE),
        (&["events"], events::EVENTS),
        (&["control"], settings::CONTROL),
        (&["web"], web::WEB),
        (&["mirror"], mirror::MIRROR),
        (&["alerts"], alerts::ALERTS),
        (&["crowdsec"], crowdsec::CROWDSEC),
    ] {
        for key in keys {
            let value = section(path).and_then(|at| at.get(*key).cloned());
            // What takes the place of a profile's stands behind a #.
            let is_example = settings_text.contains(&format!("\n#{key} = "));
            assert!(
                value.is_some() || is_example,
                "{path:?} {key} is missing in config/{SETTINGS}"
            );
        }
    }
    for key in feeds::FEED {
        let is_example = settings_text.contains(&format!("\n#{key} = "));
        assert!(is_example, "{key} of a feed is missing in config/{SETTINGS}");
    }
    for (name, keys) in
        [(TRUSTED, peers::PEER), (BLACKLIST, blocks::BLOCK), (SIGNATURES, signatures::SIGNATURE)]
    {
        for key in keys {
            let described = format!("\n#   {key} ");
            assert!(text(name).contains(&described), "{key} is not described in config/{name}");
        }
    }
}

/// Keys of actions and of alert rules are described once, in lists; each rule
/// shows its own.
#[test]
fn keys_of_alerts_are_described() {
    let text = text(SETTINGS);
    let rules = AlertRule::ALL.iter().map(|rule| (*rule, alerts::keys(*rule)));
    for (rule, keys) in rules {
        let line = text.lines().find(|line| line.starts_with(&format!("{} = {{ ", rule.name())));
        for key in keys {
            assert!(text.contains(&format!("\n#   {key} ")), "{key}");
            assert!(line.unwrap().contains(key) || *key == "actions", "{line:?} {key}");
        }
    }
    for key in alerts::ACTION {
        assert!(text.contains(&format!("\n#   {key} ")), "{key} is not described");
    }
}

/// A key with its value, or an example of one.
fn is_setting(line: &str) -> bool {
    let line = line.strip_prefix('#').unwrap_or(line);
    line.contains(" = ") && line.starts_with(|c: char| c.is_lowercase())
}

/// Each setting has a comment of its own, and says its default.
#[test]
fn every_setting_has_a_comment() {
    let text = text(SETTINGS);
    let lines: Vec<&str> = text.lines().collect();
    for (above, line) in lines.iter().zip(&lines[1..]) {
        if is_setting(line) {
            assert!(above.starts_with("# "), "no comment above: {line}");
        }
    }
    let settings = lines.iter().filter(|line| is_setting(line));
    let defaults = lines.iter().filter(|line| line.starts_with("# Default: "));
    assert_eq!(settings.count(), defaults.count());
}

/// F21: the manual's profiles are the code's, and its examples the default one.
#[test]
fn profiles_are_those_of_the_code() {
    let text = text(SETTINGS);
    for profile in AuthProfile::ALL {
        let minutes = profile.window().duration().as_secs() / 60;
        let (name, failures) = (format!("\"{}\"", profile.name()), profile.failures());
        let line = format!("#   {name:14} {failures} in {minutes} minutes");
        assert!(text.lines().any(|written| written.starts_with(&line)), "{line}");
    }
    let (failures, window) = (AuthProfile::default().failures(), AuthProfile::default().window());
    for line in [format!("#failures = {failures}"), format!("#window = \"{window}\"")] {
        assert!(text.lines().any(|written| written == line), "{line}");
    }
}

/// The examples work when their # is removed.
#[test]
fn examples_load() {
    let dir = tempfile::tempdir().unwrap();
    let key = dir.path().join("key");
    fs::write(&key, "").unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o640)).unwrap();
    for name in FILES {
        let secrets = ["apiban.key", "crowdsec.key", "crowdsec.login"];
        let text = secrets.iter().fold(text(name), |text, secret| {
            text.replace(&format!("/etc/sipguard/{secret}"), &key.display().to_string())
        });
        let text: String = text
            .lines()
            .map(|line| match line.strip_prefix('#') {
                Some(example) if example.starts_with(|c: char| c == '[' || c.is_lowercase()) => {
                    format!("{example}\n")
                }
                _ => format!("{line}\n"),
            })
            .collect();
        fs::write(dir.path().join(name), text).unwrap();
    }
    let (plan, warnings) = load(dir.path()).unwrap_or_else(|found| panic!("{found}"));
    assert!(warnings.is_empty(), "{}", Diagnostics(warnings));
    assert_eq!((plan.trusted.len(), plan.blocked.len(), plan.feeds.len()), (5, 3, 3));
}

/// Every value that is on by default, in several casings.
#[test]
fn known_scanners_match() {
    let plan = shipped();
    let prefix = [
        "friendly-scanner",
        "friendly-request",
        "sipcli/",
        "sipscan",
        "SIVuS",
        "siparmyknife",
        "Nsauditor",
        "Viproy",
        "VaxSIPUserAgent",
        "VaxIPUserAgent",
        "VaxUserAgent",
    ];
    let exact = [
        "sundayddr",
        "pplsip",
        "sipptk",
        "sip-scan",
        "smap",
        "iWar",
        "Gulp",
        "Nmap NSE",
        "Test Agent",
        "Hacker",
        "NiceGuy",
        "QNQ",
        "VoIP SIP",
        "VoIPSec",
        "Asterix PBX",
        "dr.pes",
        "FourCats",
        "A_B_C",
        "ciscovoipswichpbx",
        "ciscovoipswichpbx123",
        "SIPADMINPBXCISCOOO123",
        "SIPFPBXciscooo",
        "UsaAirport",
        "Elite 1.0 Brcm Callctrl/1.5.1.0 MxSF/v.3.2.6.26",
    ];
    let check = |kind: Match, text: &str, value: String| {
        let swapped: String = value
            .chars()
            .enumerate()
            .map(|(i, c)| if i % 2 == 0 { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() })
            .collect();
        for value in [value.to_lowercase(), value.to_uppercase(), swapped, value] {
            let index = matches(&plan, &value).unwrap_or_else(|| panic!("{value} passes"));
            let signature = &plan.signatures[index];
            let only = signature.only().unwrap();
            assert_eq!((only.kind, only.text.as_str()), (kind, text), "{value}");
        }
    };
    for text in prefix {
        check(Match::Prefix, text, text.to_owned());
        check(Match::Prefix, text, format!("{text}/v1.8 (any)"));
    }
    for text in exact {
        check(Match::Exact, text, text.to_owned());
        check(Match::Exact, text, format!("{text}  "));
        assert_eq!(matches(&plan, &format!("{text} phone")), None);
        assert_eq!(matches(&plan, &format!("a {text}")), None);
    }
    check(Match::Exact, "sipcli", "sipcli".to_owned());
    check(Match::Prefix, "sipcli ", "sipcli v1.8".to_owned());
    check(Match::Contains, "sipvicious", "the sipvicious suite".to_owned());
    // It begins with the letters of sipcli, and is a phone's.
    assert_eq!(matches(&plan, "SipClient 2.1"), None);
    let agents = agents(&plan).count();
    assert_eq!(agents, prefix.len() + exact.len() + 3);
}

/// L33: User-Agents that must pass.
#[test]
fn l33_phones_gateways_and_servers_pass() {
    let plan = shipped();
    for value in [
        "3CXPhoneSystem",
        "Asterisk PBX",
        "OpenSIPS (3.4.2 (x86_64/linux))",
        "FPBX-2.8.1(1.8.20.0)",
        "Grandstream GXP2140 1.0.9.14",
        "Z 5.5.5 rv2.10.16.6",
        "X-Lite release 1103k",
        "eyeBeam release 1011d stamp 40820",
        "PolycomVVX-VVX_411-UA/5.9.0.9373",
        "FreeSWITCH-mod_sofia/1.10.7-release+git~20211024",
        "MicroSIP/3.21.3",
        "Telephone/1.6",
        "VoIP My ID Mediaserver",
        "Cisco-SIPGateway/IOS-12.x",
        "",
    ] {
        assert_eq!(matches(&plan, value), None, "{value}");
    }
    nothing_genuine_matches(&plan);
}

/// D18: `system` blocked 3CXPhoneSystem, `x` blocked X-Lite.
#[test]
fn d18_no_text_of_the_list_is_an_ordinary_word() {
    let plan = shipped();
    for value in ["x", "X", "system", "friendly", "scanner", "bot", "3CXPhoneSystem", "X-Lite"] {
        assert_eq!(matches(&plan, value), None, "{value}");
    }
    let text = text(SIGNATURES);
    for word in ["x", "system", "friendly", "scanner", "bot"] {
        assert!(!text.to_lowercase().contains(&format!("text = \"{word}\"")), "{word}");
    }
}

/// What is disabled is valid, matches what it says once enabled, and spares
/// what must pass.
#[test]
fn opt_in_signatures_work_when_enabled() {
    let dir = tempfile::tempdir().unwrap();
    for name in FILES {
        let text = text(name).replace("enabled = false", "enabled = true");
        fs::write(dir.path().join(name), text).unwrap();
    }
    let (plan, warnings) = load(dir.path()).unwrap_or_else(|found| panic!("{found}"));
    assert_eq!(plan.signatures.len(), shipped().signatures.len() + 31);
    // sipptk is one of SIPp's, once that is enabled.
    assert_eq!(warnings.len(), 1, "{}", Diagnostics(warnings));
    for Condition { text, .. } in agents(&plan) {
        assert!(matches(&plan, text).is_some(), "{text}");
    }
    for (field, value, name) in [
        (Field::From, "sipp <sip:sipp@198.51.100.7>;tag=7SIPpTag001", "SIPp tag"),
        (Field::Subject, "Performance Test", "SIPp subject"),
        (Field::From, "sip:sipsak@198.51.100.7:5061;tag=3ade68b1", "sipsak-from"),
        (
            Field::Via,
            "SIP/2.0/UDP 198.51.100.7:5061;branch=z9hG4bK.1a2b3c4d;rport;alias",
            "sipsak-branch",
        ),
    ] {
        let index = lint::run(&plan.policy.automaton, field, value);
        assert_eq!(index.map(|index| plan.signatures[index].name.as_str()), Some(name));
    }
    nothing_genuine_matches(&plan);
}
