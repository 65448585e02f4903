//! Files in, plans and findings out.

mod alerts;
mod auth;
mod crowdsec;
mod feeds;
mod limits;
mod mirror;

use std::{fs, time::Instant};

use ipnet::IpNet;
use proptest::prelude::*;
use sipguard_common::{abi, bucket::Limit, method::Class};
use tempfile::TempDir;

use super::*;
use crate::policy::{CpsClass, Mode, OptionsRule, Posture, Target};

/// A configuration directory whose other files are empty.
struct Config(TempDir);

impl Config {
    fn new() -> Self {
        let config = Self(tempfile::tempdir().unwrap());
        for name in FILES {
            config.write(name, "");
        }
        config
    }

    fn with(name: &str, text: &str) -> Self {
        let config = Self::new();
        config.write(name, text);
        config
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.0.path().join(name), text).unwrap();
    }

    fn load(&self) -> Result<(Plan, Vec<Diagnostic>), Diagnostics> {
        load_at(self.0.path(), "2026-01-01T00:00:00Z".parse().unwrap())
    }
}

/// `line:column message | help` of every finding.
fn brief(findings: &[Diagnostic]) -> Vec<String> {
    let show = |finding: &Diagnostic| match (finding.line, finding.column) {
        (Some(line), Some(column)) => {
            format!("{line}:{column} {} | {}", finding.message, finding.help)
        }
        _ => format!("{} | {}", finding.message, finding.help),
    };
    findings.iter().map(show).collect()
}

fn errors(name: &str, text: &str) -> Vec<String> {
    brief(&Config::with(name, text).load().unwrap_err().0)
}

fn warnings(name: &str, text: &str) -> Vec<String> {
    brief(&Config::with(name, text).load().unwrap().1)
}

fn plan(name: &str, text: &str) -> Plan {
    let (plan, warnings) = Config::with(name, text).load().unwrap();
    assert_eq!(brief(&warnings), Vec::<String>::new());
    plan
}

#[test]
fn empty_files_are_the_defaults() {
    let (plan, warnings) = Config::new().load().unwrap();
    assert!(warnings.is_empty());
    assert!(plan.changes(&Plan::default()).is_empty());
    assert!(plan.policy_bytes() == Plan::default().policy_bytes());
}

#[test]
fn every_setting_reaches_the_plan() {
    let plan = plan(
        SETTINGS,
        r#"
[interfaces]
names = ["eth0", "eth1.100"]
mode = "generic"
[sip]
ports = [5060, "5070-5072", 0xffff]
addresses = ["203.0.113.1", "2001:db8::/32"]
keepalives = ["HELLO", "jaK\u0000"]
[policy]
posture = "closed"
options = "limit"
[limits]
source_prefix_v6 = 56
[limits.stranger]
register = { rate = "20/60s", burst = 40 }
total = "unlimited"
invite.rate = "30/m"
[control]
socket = "/tmp/x.sock"
"#,
    );
    assert_eq!(plan.interfaces, ["eth0", "eth1.100"]);
    assert_eq!(plan.mode, Mode::Generic);
    assert_eq!(plan.ports.to_string(), "5060, 5070-5072, 65535");
    assert_eq!(plan.policy.ports.iter().map(|word| word.count_ones()).sum::<u32>(), 5);
    assert_eq!(plan.policy.ports[1023], 1 << 63);
    assert_eq!(plan.protected.len(), 2);
    assert_eq!(plan.keepalives, [b"HELLO".to_vec(), b"jaK\0".to_vec()]);
    assert_eq!((plan.posture, plan.options), (Posture::Closed, OptionsRule::Limit));
    assert_eq!(plan.policy.posture, abi::posture::CLOSED);
    assert_eq!(plan.policy.options, abi::options::LIMIT);
    assert_eq!(plan.policy.source_mask[1], 0);
    let limit = |class: Class| plan.policy.limits[class as usize];
    assert_eq!(limit(Class::Register), Limit::new(20, 60_000_000_000, 40).unwrap());
    assert_eq!(limit(Class::Invite), Limit::new(30, 60_000_000_000, 30).unwrap());
    assert_eq!(limit(Class::Total), Limit::UNLIMITED);
    assert_eq!(plan.socket.to_str(), Some("/tmp/x.sock"));
}

#[test]
fn all_errors_of_all_files_at_once() {
    let config = Config::new();
    config.write(
        SETTINGS,
        r#"colour = "red"
[interfaces]
name = ["eth0"]
mode = "fast"
[sip]
ports = [0, 70000, "5080-5060", 5060.5]
keepalives = ["OPTI", "x"]
[limits.stranger]
regsiter = { rate = "5/s" }
invite = { rate = "5/x", bust = 1 }
event = { burst = 0 }
"#,
    );
    config.write(TRUSTED, "[[peer]]\nname = \"\"\naddress = [\"198.51.100.7/24\", 5]\n");
    config.write(BLACKLIST, "[[block]]\nreason = \"x\"\n[[block]]\naddress = \"host\"\n");
    fs::remove_file(config.0.path().join(SIGNATURES)).unwrap();
    let found = config.load().unwrap_err();
    let shown = brief(&found.0);
    let expected = [
        "1:1 unknown key `colour` | what can stand here: interfaces, sip, policy, auth, limits, rules, events, control, state, web, mirror, alerts, feeds, crowdsec",
        "3:1 unknown key `name` | did you mean `names`?",
        r#"4:8 `mode` cannot be `fast` | write "auto" or "native" or "generic""#,
        "6:10 `ports` must be between 1 and 65535 | write a whole number of 1 to 65535",
        "6:13 `ports` must be between 1 and 65535 | write a whole number of 1 to 65535",
        r#"6:20 `5080-5060` is not a range of ports | write the lower and the higher port, 1 to 65535: "5060-5080""#,
        "6:33 `ports` must be a whole number, not a number with a fraction | write a whole number of 1 to 65535",
        "7:15 payloads with this start could be SIP: `OPTIONS ...` | scanners could use it to pass unread: write more bytes, or leave it out",
        "7:23 a keepalive has 4 to 16 bytes, this one 1 | write the first bytes of its payload",
        "9:1 unknown key `regsiter` | did you mean `register`?",
        r#"10:19 `5/x`: the time must be s, m or h, with a whole number of at least 1 before it or none | write for example "5/s", "20/60s", "30/m" or "6/h""#,
        "10:26 unknown key `bust` | did you mean `burst`?",
        r#"11:9 `rate` is missing here | add for example rate = "5/s""#,
        "11:19 `burst` must be between 1 and 1000000 | write a whole number of 1 to 1000000",
        r#"2:8 `name` is empty | write for example name = "carrier""#,
        "3:12 `198.51.100.7/24` has bits set behind its prefix | did you mean the network 198.51.100.0/24 or the address 198.51.100.7?",
        r#"3:31 `address` must be a string, not a whole number | write for example address = ["203.0.113.10", "198.51.100.0/24", "203.0.113.20:5060"]"#,
        r#"1:1 `address` is missing here | add for example address = "192.0.2.66""#,
        "4:11 `host` is not an IP address or network | names are not resolved: write the addresses themselves, such as 203.0.113.10",
    ];
    for (shown, expected) in shown.iter().zip(expected) {
        assert_eq!(shown, expected);
    }
    assert_eq!(shown.len(), expected.len() + 1, "{shown:#?}");
    assert!(shown[expected.len()].starts_with("the file does not exist"), "{shown:#?}");
    let rendered = found.to_string();
    assert!(rendered.contains("sipguard.toml:9:1\n"), "{rendered}");
    assert!(rendered.contains("9 | regsiter = { rate"), "{rendered}");
    assert!(rendered.contains("  | ^^^^^^^^\n"), "{rendered}");
    assert!(rendered.contains("= help: did you mean `register`?"), "{rendered}");
}

#[test]
fn a_missing_directory_is_one_error() {
    let found = load(Path::new("/nonexistent/sipguard")).unwrap_err();
    assert_eq!(found.0.len(), 1);
    assert!(found.0[0].help.contains("signatures.toml"));
}

#[test]
fn every_missing_file_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let found = load(dir.path()).unwrap_err();
    assert_eq!(found.0.len(), 4);
    for (finding, name) in found.0.iter().zip(FILES) {
        assert!(finding.file.ends_with(name));
        assert!(finding.help.contains("an empty file will do"));
    }
}

#[test]
fn syntax_errors_do_not_hide_other_findings_or_make_up_new_ones() {
    assert_eq!(
        errors(TRUSTED, "[[peer]]\nname = carrier\naddress = \"192.0.2.1\"\n[[pear]]\n"),
        [
            "2:8 string values must be quoted, expected literal string | this is not TOML: see https://toml.io",
            "4:3 unknown key `pear` | did you mean `peer`?",
        ]
    );
    let found = errors(SETTINGS, "[sip\nports = [0]\n");
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(
        errors(SETTINGS, "[sip]\nports = [5060]\nports = [5061]\n"),
        ["3:1 duplicate key | a name stands once in a table: remove one of the two"]
    );
}

#[test]
fn wrong_types_everywhere_are_findings() {
    for key in ["interfaces", "sip", "policy", "auth", "limits", "control"] {
        assert_eq!(errors(SETTINGS, &format!("{key} = 1")).len(), 1);
        assert_eq!(errors(SETTINGS, &format!("[[{key}]]")).len(), 1);
    }
    for (name, key) in [(TRUSTED, "peer"), (BLACKLIST, "block"), (SIGNATURES, "signature")] {
        assert_eq!(errors(name, &format!("{key} = 1")).len(), 1);
        assert_eq!(errors(name, &format!("{key} = [1, 2]")).len(), 2);
        assert_eq!(errors(name, &format!("[{key}]\n")).len(), 1);
    }
    for text in [
        "[interfaces]\nnames = \"eth0\"",
        "[interfaces]\nnames = [1]",
        "[interfaces]\nnames = [\"a/b\"]",
        "[interfaces]\nnames = [\"0123456789abcdef\"]",
        "[interfaces]\nnames = [\"eth0\", \"eth0\"]",
        "[interfaces]\nnames = [\"\"]",
        "[interfaces]\nmode = true",
        "[sip]\nports = 5060",
        "[sip]\nports = []",
        "[sip]\nports = [-1]",
        "[sip]\nports = [99999999999999999999999]",
        "[sip]\nports = [\"0-5\"]",
        "[sip]\naddresses = [\"192.0.2.1:5060\"]",
        "[sip]\naddresses = [\"192.0.2.1\", \"::ffff:192.0.2.1\"]",
        "[sip]\nkeepalives = [1]",
        "[sip]\nkeepalives = [\"HELLO\", \"HELLO\"]",
        "[policy]\nposture = 1979-05-27T07:32:00Z",
        "[policy]\noptions = \"Drop\"",
        "[limits]\nsource_prefix_v6 = 0",
        "[limits]\nsource_prefix_v6 = 129",
        "[limits]\nsource_prefix_v6 = \"64\"",
        "[limits]\nstranger = 5",
        "[limits.stranger]\ntotal = 5",
        "[limits.stranger]\ntotal = \"5/s\"",
        "[limits.stranger]\ntotal = \"infinite\"",
        "[limits.stranger]\ntotal = { rate = 5 }",
        "[limits.stranger]\ntotal = { rate = \"1/h\", burst = 1000 }",
        "[limits.stranger]\ntotal = { rate = \"5/s\", burst = \"5\" }",
        "[control]\nsocket = \"run/x.sock\"",
        "[control]\nsocket = \"/run/\"",
        "[control]\nsocket = 1",
    ] {
        assert_eq!(errors(SETTINGS, text).len(), 1, "{text}");
    }
    let long = format!("[control]\nsocket = \"/{}\"", "x".repeat(200));
    assert_eq!(errors(SETTINGS, &long).len(), 1);
    let nine = "[sip]\nkeepalives = [\"aaaa\",\"bbbb\",\"cccc\",\"dddd\",\"eeee\",\"ffff\",\"gggg\",\"hhhh\",\"jjjj\"]";
    assert_eq!(errors(SETTINGS, nine).len(), 1);
}

#[test]
fn keepalives_cannot_smuggle_messages() {
    for text in [
        "OPTI",
        "opti",
        "OPTIONS sip:",
        "INVITE ",
        "ACK ",
        "ACK sip:x",
        "SIP/",
        "SIP/2.0 200",
        "REGISTER sip:x",
        "SUBSCRIBE",
        "\\r\\n\\r\\n",
        "\\r\\n\\r\\nB",
        "\\n\\nBYE",
    ] {
        let found = errors(SETTINGS, &format!("[sip]\nkeepalives = [\"{text}\"]"));
        assert!(found.len() == 1 && found[0].contains("could be SIP"), "{text}: {found:?}");
    }
    for text in [
        "HELLO",
        "hello",
        "jaK\\u0000",
        "OPTIMUS",
        "INFORM",
        "ACKN",
        "\\u0000\\u0000\\u0000\\u0000",
    ] {
        assert_eq!(
            plan(SETTINGS, &format!("[sip]\nkeepalives = [\"{text}\"]")).keepalives.len(),
            1
        );
    }
}

#[test]
fn settings_that_hardly_anybody_means_are_warned_of() {
    let found = warnings(SETTINGS, "[sip]\nports = [\"1024-65535\"]\n");
    assert!(found[0].contains("64512 ports are protected"), "{found:?}");
    let found = warnings(
        SETTINGS,
        "[limits.stranger]\nregister = { rate = \"5/s\", burst = 10 }\noptions = { rate = \"1/h\" }\n",
    );
    assert_eq!(found.len(), 1);
    assert!(found[0].contains("phones behind one address"), "{found:?}");
}

#[test]
fn peers_of_every_form() {
    let plan = plan(
        TRUSTED,
        r#"
[[peer]]
name = "carrier"
address = ["203.0.113.10", "198.51.100.0/24", "203.0.113.20:5060", "[2001:db8::1]:5060"]
[[peer]]
name = "office"
address = "::ffff:192.0.2.7"
"#,
    );
    let shown: Vec<String> =
        plan.trusted.iter().map(|(target, peer)| format!("{target} {}", peer.name)).collect();
    assert_eq!(
        shown,
        [
            "192.0.2.7 office",
            "198.51.100.0/24 carrier",
            "203.0.113.10 carrier",
            "203.0.113.20:5060 carrier",
            "[2001:db8::1]:5060 carrier",
        ]
    );
}

/// F01: each class by its name, none by default, and nothing else.
#[test]
fn peers_have_classes() {
    let one = |line: &str| {
        format!("[[peer]]\nname = \"carrier\"\naddress = [\"192.0.2.1\", \"192.0.2.2\"]\n{line}")
    };
    for class in CpsClass::ALL {
        let plan = plan(TRUSTED, &one(&format!("class = \"{}\"\n", class.name())));
        assert_eq!(plan.trusted.len(), 2);
        assert!(plan.trusted.values().all(|peer| peer.class == Some(class)));
    }
    assert!(plan(TRUSTED, &one("")).trusted.values().all(|peer| peer.class.is_none()));
    let found = errors(TRUSTED, &one("class = \"huge\"\n"));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("premium"), "{found:?}");
}

#[test]
fn duplicate_peers_name_both_places() {
    assert_eq!(
        errors(
            TRUSTED,
            r#"[[peer]]
name = "a"
address = ["192.0.2.1", "192.0.2.1:5060"]
[[peer]]
name = "a"
address = ["::ffff:192.0.2.1", "192.0.2.1:5061"]
"#
        ),
        [
            "5:8 another peer is called `a`, in line 2 | give each peer a name of its own, or one peer a list of addresses",
            "6:12 `192.0.2.1` is trusted already, as `a` in line 3 | remove one of the two",
        ]
    );
    assert_eq!(errors(TRUSTED, "[[peer]]\nname = \"a\"\naddress = []\n").len(), 1);
    assert_eq!(
        errors(TRUSTED, "[[peer]]\nname = \"a\\u001b[2J\"\naddress = \"192.0.2.1\"\n").len(),
        1
    );
}

#[test]
fn wide_trust_is_warned_of() {
    let all = |address: &str| {
        warnings(TRUSTED, &format!("[[peer]]\nname = \"a\"\naddress = \"{address}\"\n"))
    };
    assert!(all("0.0.0.0/0")[0].contains("nothing is filtered"));
    assert!(!all("10.0.0.0/7").is_empty());
    assert_eq!(all("10.0.0.0/8"), Vec::<String>::new());
    assert_eq!(all("2000::/15").len(), 1);
    assert_eq!(all("2001::/16"), Vec::<String>::new());
}

#[test]
fn blocks_with_reasons_and_times() {
    let plan = plan(
        BLACKLIST,
        r#"
[[block]]
address = "192.0.2.66"
[[block]]
address = ["198.51.100.0/24", "2001:db8:bad::/48"]
reason = "toll fraud"
until = 2030-01-01T00:00:00+02:00
[[block]]
address = "192.0.2.67"
until = "2030-01-01T00:00:00Z"
"#,
    );
    let get = |net: &str| plan.blocked.get(&net.parse::<Target>().unwrap().net).unwrap();
    assert_eq!(get("192.0.2.66"), &crate::policy::Block::default());
    assert_eq!(get("198.51.100.0/24").reason.as_deref(), Some("toll fraud"));
    let until = get("2001:db8:bad::/48").until.unwrap();
    assert_eq!(until, "2029-12-31T22:00:00Z".parse().unwrap());
    assert_eq!(get("192.0.2.67").until.unwrap(), "2030-01-01T00:00:00Z".parse().unwrap());
}

#[test]
fn wrong_blocks_are_errors() {
    let block =
        |text: &str| errors(BLACKLIST, &format!("[[block]]\naddress = \"192.0.2.1\"\n{text}"));
    for text in [
        "until = 2030-01-01T00:00:00",
        "until = 2030-01-01",
        "until = 07:32:00",
        "until = \"tomorrow\"",
        "until = \"2030-01-01T00:00:00\"",
        "until = 5",
        "reason = 5",
        "reason = \"a\\u202eb\"",
        "[[block]]\naddress = []",
        "[[block]]\naddress = 5",
        "[[block]]\naddress = \"192.0.2.1:5060\"",
        "[[block]]\naddress = \"::/0\"",
    ] {
        assert_eq!(block(text).len(), 1, "{text}: {:?}", block(text));
    }
    assert_eq!(
        block("[[block]]\naddress = [\"192.0.2.1/32\"]\n"),
        ["4:12 `192.0.2.1` is blocked already, in line 2 | remove one of the two"]
    );
}

#[test]
fn blocks_that_do_nothing_are_warned_of() {
    let config = Config::new();
    config.write(
        TRUSTED,
        "[[peer]]\nname = \"a\"\naddress = [\"192.0.2.0/24\", \"198.51.100.1:5060\", \"2001:db8::/32\"]\n",
    );
    config.write(
        BLACKLIST,
        r#"[[block]]
address = ["192.0.2.0/25", "198.51.100.1", "192.0.0.0/16", "2001:db8::5", "2001:db9::5"]
[[block]]
address = "203.0.113.1"
until = 2025-12-31T23:59:59Z
[[block]]
address = "0.0.0.0/0"
"#,
    );
    let (plan, warnings) = config.load().unwrap();
    assert_eq!(
        brief(&warnings),
        [
            "2:12 `192.0.2.0/25` is trusted as `a`: trust wins | remove the block, or narrow the trust in trusted.toml",
            "2:60 `2001:db8::5` is trusted as `a`: trust wins | remove the block, or narrow the trust in trusted.toml",
            "5:9 this block ended at 2025-12-31T23:59:59Z and is left out | remove the entry, or give it a later time",
            "7:11 `0.0.0.0/0` blocks every IPv4 address that is not trusted | use posture = \"closed\" to admit trusted sources only",
        ]
    );
    assert!(!plan.blocked.contains_key(&"203.0.113.1/32".parse::<IpNet>().unwrap()));
}

fn entry(name: &str, kind: &str, text: &str) -> String {
    format!(
        "[[signature]]\nname = \"{name}\"\nfield = \"user-agent\"\nmatch = \"{kind}\"\ntext = \"{text}\"\n"
    )
}

#[test]
fn enabled_signatures_reach_the_automaton_in_order() {
    let text = entry("one", "prefix", "friendly-scanner")
        + &entry("two", "exact", "sundayddr")
        + "enabled = false\n"
        + &entry("three", "contains", "sipvicious");
    let plan = plan(SIGNATURES, &text);
    let names: Vec<&str> =
        plan.signatures.iter().map(|signature| signature.name.as_str()).collect();
    assert_eq!(names, ["one", "three"]);
    let run =
        |value| lint::run(&plan.policy.automaton, plan.signatures[0].conditions[0].field, value);
    assert_eq!(run("Friendly-Scanner"), Some(0));
    assert_eq!(run("is SIPVicious"), Some(1));
    assert_eq!(run("sundayddr"), None);
}

#[test]
fn wrong_signatures_are_errors() {
    let all = |text: &str| errors(SIGNATURES, text);
    assert_eq!(
        all(&(entry("a", "prefix", "friendly-scanner") + &entry("b", "prefix", "Friendly-SCANNER"))),
        [
            "10:8 the same signature stands in line 5 (letters match in either case) | remove one of the two"
        ]
    );
    assert_eq!(
        all(&(entry("a", "prefix", "friendly-scanner") + &entry("a", "prefix", "sipcli"))),
        [
            "7:8 another signature is called `a`, in line 2 | give each signature a name of its own: counters and events show it"
        ]
    );
    for (kind, text) in [
        ("glob", "abcdef"),
        ("regex", "(abc"),
        ("regex", "[abc]*"),
        ("regex", "(?:[a-z]{200}){200}"),
        ("exact", ""),
        ("exact", "  "),
        ("exact", " abcdef"),
        ("exact", "abcdef "),
        ("prefix", " abcdef"),
        ("contains", "abc\\u0000def"),
        ("contains", "abc\\r\\ndef"),
    ] {
        assert_eq!(all(&entry("a", kind, text)).len(), 1, "{kind} {text:?}");
    }
    assert_eq!(all(&entry("a", "prefix", &"x".repeat(129))).len(), 1);
    assert_eq!(all(&entry("a", "exact", "abcdef").replace("user-agent", "form")).len(), 1);
    let joined = |rest: &str| all(&format!("[[signature]]\nname = \"a\"\nall = {rest}\n"));
    let one = "{ field = \"from\", match = \"exact\", text = \"abc\" }";
    assert!(joined(one)[0].contains("`all` must be a list"));
    assert!(joined(&format!("[{one}]"))[0].contains("less than two conditions"));
    assert!(joined(&format!("[{one}, {one}]\nfield = \"to\""))[0].contains("beside `all`"));
    assert!(
        joined(&format!("[{one}, {{ field = \"to\", match = \"exact\" }}]"))[0]
            .contains("`text` is missing")
    );
    assert!(
        joined(&format!("[{one}, {{ feld = \"to\" }}]"))
            .iter()
            .any(|finding| finding.contains("did you mean `field`?"))
    );
    assert_eq!(all("[[signature]]\nname = \"a\"\n").len(), 3);
    assert_eq!(all(&(entry("a", "exact", "abcdef") + "enabled = 1\n")).len(), 1);
}

#[test]
fn too_many_signatures_or_states_say_what_to_do() {
    let many = |count: usize, tail: &str| {
        (0..count)
            .map(|i| entry(&format!("s{i}"), "prefix", &format!("{i:04}{tail}")))
            .collect::<String>()
    };
    let found = errors(SIGNATURES, &many(4097, "abcd"));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("4097 signatures are enabled, 4096 fit"), "{found:?}");
    let found = errors(SIGNATURES, &many(4096, &"abcdefgh".repeat(4)));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].contains("states, 65536 fit") || found[0].contains("fit | shorten"),
        "{found:?}"
    );
}

#[test]
fn risky_signatures_are_warned_of() {
    let only = |kind: &str, text: &str| warnings(SIGNATURES, &entry("a", kind, text));
    for text in [
        "friendly",
        "scanner",
        "x",
        "System",
        "bot",
        "Cisco-SIPGateway",
        "FPBX",
        "Asterisk PBX",
        "linksys",
        "Zoiper",
    ] {
        for kind in ["exact", "prefix", "contains"] {
            let found = only(kind, text);
            assert_eq!(found.len(), 1, "{kind} {text}: {found:?}");
            assert!(found[0].contains("matches real phones"), "{found:?}");
        }
    }
    assert!(only("contains", "abcde")[0].contains("is short for `contains`"));
    assert!(only("prefix", "abc")[0].contains("is short for `prefix`"));
    assert_eq!(only("prefix", "abcd"), Vec::<String>::new());
    assert_eq!(only("exact", "a"), Vec::<String>::new());
    assert!(
        only("prefix", "Grandstream")[0].contains("a genuine User-Agent: `Grandstream GXP2140")
    );
    assert!(only("contains", "PhoneSystem")[0].contains("3CXPhoneSystem"));
}

#[test]
fn signatures_behind_others_are_warned_of() {
    let both = |a: (&str, &str), b: (&str, &str)| {
        warnings(SIGNATURES, &(entry("first", a.0, a.1) + &entry("second", b.0, b.1)))
    };
    for (a, b) in [
        (("prefix", "friendly-"), ("prefix", "Friendly-scanner")),
        (("prefix", "friendly-"), ("exact", "friendly-scanner")),
        (("contains", "vicious"), ("prefix", "sipvicious")),
        (("contains", "vicious"), ("contains", "sipviciousx")),
        (("prefix", "sipvicious"), ("exact", "sipvicious")),
    ] {
        let found = both(a, b);
        assert_eq!(found.len(), 1, "{a:?} {b:?}");
        assert!(found[0].contains("never matches: `first` matches before it"), "{found:?}");
    }
    assert!(both(("prefix", "friendly-scanner"), ("prefix", "friendly-"))[0].contains("`second`"));
    assert!(both(("prefix", "vicious"), ("contains", "the-vicious")).is_empty());
    assert!(both(("exact", "sipcli"), ("prefix", "sipcli/")).is_empty());
}

#[test]
fn what_files_say_cannot_steer_a_terminal() {
    let config = Config::new();
    config.write(
        SETTINGS,
        "\"\\u001b[31m\u{9b}2J\" = 1\n[policy]\nposture = \"\\u0007\u{202e}\"\n# \u{1b}]0;x\u{7}\n",
    );
    config.write(TRUSTED, "[[peer]]\nname = \"a\"\naddress = \"\\u001b[2J\"\n");
    let found = config.load().unwrap_err();
    let shown = found.to_string();
    assert!(found.0.len() >= 4, "{shown}");
    assert!(!shown.chars().any(|c| c != '\n' && c.is_control()), "{shown:?}");
    assert!(!shown.contains('\u{202e}'));
}

#[test]
fn large_block_lists_load_fast() {
    let count = if cfg!(debug_assertions) { 20_000 } else { 1_000_000 };
    let address = |i: usize| format!("{}.{}.{}.{}", 20 + (i >> 16), i >> 8 & 255, i & 255, 1);
    for count in [100_000.min(count), count] {
        let lines: String = (0..count)
            .map(|i| format!("[[block]]\naddress = \"{}\"\nreason = \"scanner\"\n", address(i)))
            .collect();
        let list: Vec<String> = (0..count).map(|i| format!("  \"{}\",\n", address(i))).collect();
        let list = format!("[[block]]\naddress = [\n{}]\n", list.concat());
        for (form, text) in [("[[block]] each", lines), ("one list", list)] {
            let config = Config::with(BLACKLIST, &text);
            let start = Instant::now();
            let (plan, _) = config.load().unwrap();
            println!("{count} blocks, {form}: {:?}", start.elapsed());
            assert_eq!(plan.blocked.len(), count);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever the bytes are: findings or a plan, never a panic.
    #[test]
    fn no_file_makes_it_panic(
        file in 0usize..4,
        text in "((\\[\\[?|)(peer|block|signature|sip|limits\\.stranger)(\\]\\]?|)\n|(name|address|until|reason|text|match|field|ports|total|rate) ?= ?(\"[ -~é\u{202e}]{0,9}\"|[0-9./:-]{0,12}|\\[|\\]|\\{|true|\"\"\")\n|[\u{0}-\u{ff}]{0,4}){0,12}",
    ) {
        let config = Config::with(FILES[file], &text);
        if let Err(found) = config.load() {
            prop_assert!(found.0.iter().any(|finding| finding.severity == Severity::Error));
            let shown = found.to_string();
            prop_assert!(!shown.chars().any(|c| c != '\n' && c.is_control()));
        }
    }
}
