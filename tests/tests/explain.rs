//! `sipguard explain` against what judges packets, and what it says.

use std::{collections::HashMap, fs, path::Path};

use serde_json::Value;
use sipguard::{
    explain::{self, Banned, Effect, Entered, Explanation, Known, Running},
    kernel::TestKernel,
    policy::{self, Place, Places, Plan},
};
use sipguard_common::{
    abi::{Ports, Source},
    method::Method,
    rule::Rule,
};
use tempfile::TempDir;
use tests::{
    corpus::{BLOCKED, Case, Setup, TRUSTED, corpus},
    kernel::load_or_skip,
    mutate::mutations,
    packet::Packet,
    plans::{settings, write_policy},
    sip::Message,
    twin::{Outcome, Twin},
};

/// The clock of the twin and of the kernel program.
const NOW_NS: u64 = 1_000_000_000_000;

/// Generated packets for the twin to agree on.
const GENERATED: usize = 2_000;

/// A policy and the files it was read from.
struct Files {
    dir: TempDir,
    plan: Plan,
    places: Places,
    running: Option<Running>,
}

impl Files {
    fn new(write: impl FnOnce(&Path)) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        write(dir.path());
        let (plan, _) = policy::load(dir.path()).unwrap_or_else(|errors| panic!("{errors}"));
        let places = Places::new(dir.path());
        Self { dir, plan, places, running: None }
    }

    fn of(setup: Setup) -> Self {
        Self::new(|dir| write_policy(dir, &settings(setup), TRUSTED, BLOCKED))
    }

    fn with_settings(settings: &str) -> Self {
        Self::new(|dir| write_policy(dir, settings, TRUSTED, BLOCKED))
    }

    fn known(&self) -> Known<'_> {
        Known { plan: &self.plan, places: &self.places, running: self.running.as_ref() }
    }

    fn explain(&self, frame: &[u8]) -> Explanation {
        explain::packet(self.known(), frame)
    }

    fn address(&self, source: &str) -> Explanation {
        let target: policy::Target = source.parse().expect("a source");
        explain::address(self.known(), target.net.addr(), target.port)
    }
}

/// Whether a case needs state that an explanation does not have: it explains a
/// first packet.
fn is_stateful(setup: Setup) -> bool {
    matches!(
        setup,
        Setup::Exhausted(_)
            | Setup::SubnetExhausted
            | Setup::PortsExhausted
            | Setup::BudgetExhausted(_)
            | Setup::Banned
            | Setup::TriesExhausted
            | Setup::Verified
            | Setup::VerifiedExhausted(_)
            | Setup::VerifiedBanned
            | Setup::Site
            | Setup::SiteClosed
            | Setup::OverCps
    )
}

fn by_policy() -> Vec<(Files, Vec<Case>)> {
    let mut groups: HashMap<String, (Setup, Vec<Case>)> = HashMap::new();
    for case in corpus() {
        let group = groups.entry(settings(case.setup)).or_insert((case.setup, Vec::new()));
        group.1.push(case);
    }
    groups.into_values().map(|(setup, cases)| (Files::of(setup), cases)).collect()
}

fn outcome(explanation: &Explanation) -> Outcome {
    Outcome {
        rule: explanation.decision.expect("a decision").rule,
        method: explanation.method.unwrap_or(Method::Unknown) as u32,
        signature: explanation.signature.map_or(0, |index| index as u32 + 1),
        would: explanation.would,
    }
}

fn twins(plan: &Plan, frame: &[u8]) -> Outcome {
    let mut twin = Twin::new(plan);
    twin.set_clock(NOW_NS);
    twin.run(frame)
}

#[test]
fn explain_decides_as_the_host_twin_does() {
    let mut expected = 0;
    for (files, cases) in by_policy() {
        for case in &cases {
            let explained = files.explain(&case.frame);
            assert_eq!(outcome(&explained), twins(&files.plan, &case.frame), "{}", case.name);
            assert!(!explained.steps.is_empty(), "{}", case.name);
            if !is_stateful(case.setup) {
                assert_eq!(outcome(&explained).rule, case.expect, "{}", case.name);
                expected += 1;
            }
        }
    }
    assert!(expected > 150, "{expected}");
    let files = Files::of(Setup::Base);
    for frame in mutations(0x37, GENERATED) {
        let explained = outcome(&files.explain(&frame));
        assert_eq!(explained, twins(&files.plan, &frame), "{frame:02x?}");
    }
}

fn forget(kernel: &mut TestKernel, case: &Case, plan: &Plan) {
    kernel.forget_sources().expect("no sources");
    kernel.set_peer(0, 0).expect("a peer");
    if let Some(source) = case.source() {
        kernel.set_source(source, &plan.policy, Source::NEW).expect("a source");
        kernel.set_ports(source, &plan.policy, Ports::NEW).expect("ports");
    }
}

#[test]
fn explain_decides_as_the_kernel_program_does() {
    let Some(mut kernel) = load_or_skip() else { return };
    kernel.set_clock(NOW_NS).expect("a clock");
    for (files, cases) in by_policy() {
        kernel.apply(&files.plan).expect("a policy");
        for case in &cases {
            forget(&mut kernel, case, &files.plan);
            let verdict = kernel.run(&case.frame).expect("a run");
            let explained = files.explain(&case.frame);
            let decision = explained.decision.expect("a decision");
            let name = case.name;
            assert_eq!((decision.rule, decision.action), (verdict.rule, verdict.action), "{name}");
            assert_eq!(explained.would, verdict.would, "{name}");
            assert_eq!(explained.signature, verdict.signature, "{name}");
        }
    }
}

fn stranger(method: &str, agent: &str) -> Vec<u8> {
    let message = Message::request(method, "sip:100@203.0.113.1").agent(agent).build();
    Packet::udp("198.51.100.7:5061", "203.0.113.1:5060").payload(message).build()
}

/// The step of a rule.
fn said(explanation: &Explanation, subject: &str) -> String {
    let step = explanation.steps.iter().find(|step| step.subject == subject);
    step.unwrap_or_else(|| panic!("no {subject} in {:#?}", explanation.steps)).to_string()
}

const AGENT: &str = "Telephone/1.6";

#[test]
fn every_step_names_the_line_that_decides() {
    let files = Files::with_settings(
        "[policy]\nposture = \"guarded\"\noptions = \"drop\"\n\n\
         [limits.stranger]\nregister = { rate = \"1/s\", burst = 9 }\n",
    );
    let options = files.explain(&stranger("OPTIONS", AGENT));
    let trusted = "trusted: no entry of trusted.toml covers 198.51.100.7:5061";
    assert_eq!(said(&options, "trusted"), trusted);
    let options = said(&options, "options");
    assert_eq!(options, "options: policy.options = \"drop\" (sipguard.toml:3): drop");

    let register = files.explain(&stranger("REGISTER", AGENT));
    assert_eq!(said(&register, "closed"), "closed: policy.posture = \"guarded\" (sipguard.toml:2)");
    let limit = "limits.stranger.register 1/s burst 9: a first packet is within it";
    assert_eq!(said(&register, "rate_method"), format!("rate_method: {limit} (sipguard.toml:6)"));
    assert!(said(&register, "rate_source").ends_with("(default)"), "{register:#?}");

    let scan = files.explain(&stranger("REGISTER", "friendly-scanner\u{1b}[31m"));
    let signatures = fs::read_to_string(files.dir.path().join("signatures.toml")).expect("a file");
    let line = signatures.lines().position(|line| line == "name = \"friendly-scanner\"");
    let line = line.expect("the signature") + 1;
    let words = "\"friendly-scanner\" matches the user-agent \"friendly-scanner\u{1b}[31m\"";
    let expected = format!("signature: {words} (signatures.toml:{line}): drop");
    assert_eq!(said(&scan, "signature"), expected);

    let blocked = files.address("203.0.113.200");
    let expected = "blocked: 203.0.113.128/25 (blacklist.toml:2): drop";
    assert_eq!(said(&blocked, "blocked"), expected);
    assert_eq!(blocked.decision.expect("a decision").rule, Rule::Blocked);
    let peer = files.address("192.0.2.70");
    assert_eq!(said(&peer, "trusted"), "trusted: 192.0.2.64/26, \"peers\" (trusted.toml:3)");
    let capped = files.address("192.0.2.30");
    let class = "trusted_cps: class small: 10 INVITEs per second, 20 at once (trusted.toml:6)";
    assert_eq!(said(&capped, "trusted_cps"), class);
}

#[test]
fn modes_and_postures_are_part_of_the_answer() {
    let files = Files::with_settings(
        "[rules]\noptions = { mode = \"observe\" }\nsignature = { mode = \"off\" }\n",
    );
    let scan = files.explain(&stranger("OPTIONS", "friendly-scanner"));
    let options = said(&scan, "options");
    assert!(options.ends_with(": would drop, but observes (sipguard.toml:2)"), "{options}");
    let signature = said(&scan, "signature");
    assert!(signature.ends_with(": nothing, the rule is off (sipguard.toml:3)"), "{signature}");
    assert_eq!((outcome(&scan).rule, scan.would), (Rule::Stranger, Rule::Options.bit()));

    let observe = Files::with_settings("[policy]\nmode = \"observe\"\nposture = \"closed\"\n");
    let blocked = observe.address("203.0.113.66");
    assert_eq!(blocked.decision, None);
    assert_eq!(blocked.would, Rule::Blocked.bit() | Rule::Closed.bit());
    let limits = blocked.steps.iter().filter(|step| step.effect == Some(Effect::WouldDrop));
    assert!(limits.clone().count() > 10, "{limits:?}");

    let attack = Files::with_settings("[policy]\noptions = \"pass\"\nposture = \"attack\"\n");
    let options = said(&attack.explain(&stranger("OPTIONS", AGENT)), "options");
    assert_eq!(options, "options: policy.posture = \"attack\" (sipguard.toml:3): drop");
    let register = said(&attack.explain(&stranger("REGISTER", AGENT)), "rate_method");
    let quarter = "a quarter of limits.stranger.register 5/s burst 200 under posture attack";
    let expected = format!("rate_method: {quarter}: a first packet is within it (sipguard.toml:3)");
    assert_eq!(register, expected);
    let open = Files::with_settings("[policy]\nposture = \"open\"\n");
    let register = said(&open.explain(&stranger("REGISTER", AGENT)), "rate_method");
    assert_eq!(register, "rate_method: no limit under posture open (sipguard.toml:2)");
}

/// Nobody is verified, and what the server's replies would bring about is told.
#[test]
fn what_replies_teach_is_part_of_the_answer() {
    let files = Files::with_settings(
        "[policy]\nposture = \"guarded\"\n[auth]\nprofile = \"standard\"\nban = \"1h\"\n\
         [rules]\nharvest = { mode = \"observe\" }\n",
    );
    let subjects = |explanation: &Explanation| -> Vec<&str> {
        explanation.steps.iter().map(|step| step.subject).collect()
    };
    let register = files.explain(&stranger("REGISTER", AGENT));
    let order = ["packet", "trusted", "blocked", "banned", "verified", "closed", "message"];
    assert_eq!(subjects(&register)[..7], order);
    assert!(said(&register, "verified").contains("judged as a stranger"), "{register:#?}");

    let address = files.address("198.51.100.7");
    assert_eq!(subjects(&address)[..5], order[1..6]);
    let auth = "auth: 6 wrong passwords in 3m ban for 1h (sipguard.toml:4)";
    assert_eq!(said(&address, "auth"), auth);
    let harvest = said(&address, "harvest");
    assert!(harvest.starts_with("harvest: 30 challenges and unknown accounts in 3m ban (default)"));
    assert!(harvest.ends_with(": would drop, but observes (sipguard.toml:7)"), "{harvest}");
    assert_eq!(said(&address, "stealth"), "stealth: policy.stealth = \"challenges\" (default)");
    let reserve = "greylist: limits.strangers.reserve 200/s burst 400 (default)";
    assert_eq!(said(&address, "greylist"), reserve);

    let attack = Files::with_settings("[policy]\nposture = \"attack\"\n[auth]\nfailures = 9\n");
    let address = attack.address("198.51.100.7");
    let auth = "auth: 3 wrong passwords in 15m ban for 15m under posture attack (sipguard.toml:2)";
    assert_eq!(said(&address, "auth"), auth);
    let open = Files::with_settings("[policy]\nposture = \"open\"\n").address("198.51.100.7");
    for rule in ["auth", "harvest", "stealth"] {
        let expected = format!("{rule}: policy.posture = \"open\" (sipguard.toml:2)");
        assert_eq!(said(&open, rule), expected);
    }
    let written = Files::with_settings("[auth]\nprofile = \"attack\"\nfailures = 9\n");
    let auth = said(&written.address("198.51.100.7"), "auth");
    assert_eq!(auth, "auth: 9 wrong passwords in 15m ban for 10m (sipguard.toml:3)");
}

/// Where a segment spends what all strangers have, the greylist keeps the next
/// request back, and rule `rate_strangers` where that is off.
#[test]
fn a_spent_budget_is_part_of_the_answer() {
    let message = Message::request("REGISTER", "sip:100@203.0.113.1").agent(AGENT).build();
    let twice = [&message[..], &message[..]].concat();
    let segment = Packet::tcp("198.51.100.7:5061", "203.0.113.1:5060").payload(twice).build();
    for (mode, rule, would) in [
        ("enforce", Rule::Greylist, 0),
        ("observe", Rule::Stranger, Rule::Greylist.bit()),
        ("off", Rule::RateStrangers, 0),
    ] {
        let files = Files::with_settings(&format!(
            "[limits.strangers]\ntotal = {{ rate = \"1/h\", burst = 1 }}\n\
             [rules]\ngreylist = {{ mode = \"{mode}\" }}\n"
        ));
        let explained = files.explain(&segment);
        assert_eq!((outcome(&explained).rule, explained.would), (rule, would), "{mode}");
        assert_eq!(outcome(&explained), twins(&files.plan, &segment), "{mode}");
        let limit = "limits.strangers.total 1/h burst 1";
        let is_said = |words: &str| explained.steps.iter().any(|step| step.found == words);
        match mode {
            "off" => assert!(is_said(&format!("{limit}: over it")), "{explained:#?}"),
            _ => {
                assert!(is_said(&format!("{limit}: spent")), "{explained:#?}");
                assert!(is_said("not sent again after a while"), "{explained:#?}");
            }
        }
    }
}

/// What was entered by hand counts with what the files say.
#[test]
fn entries_made_at_run_time_are_part_of_the_answer() {
    let mut files = Files::of(Setup::Base);
    let entered = |target: &str| Entered {
        feed: None,
        target: target.parse().expect("a target"),
        reason: Some("trial".to_owned()),
        until: None,
    };
    let register = stranger("REGISTER", AGENT);
    assert!(said(&files.explain(&register), "banned").contains("not asked"));
    let until = "2030-01-02T03:04:05Z".parse().expect("a time");
    let (rule, signature) = ("signature".to_owned(), Some("sipvicious".to_owned()));
    let net = policy::parse_net("198.51.100.7").expect("an address");
    let mut running = Running::default();
    running.banned.push(Banned { net, rule, signature, until });
    files.running = Some(running.clone());
    let banned = files.explain(&register);
    let words = "banned: until 2030-01-02T03:04:05Z, for signature \"sipvicious\": drop";
    assert_eq!((outcome(&banned).rule, said(&banned, "banned").as_str()), (Rule::Banned, words));
    assert_eq!(said(&files.address("198.51.100.7"), "banned"), words);

    running.blocked.push(entered("198.51.100.0/25"));
    files.running = Some(running.clone());
    let blocked = files.explain(&register);
    let words = "blocked: 198.51.100.0/25, by `sipguard block`, reason \"trial\": drop";
    assert_eq!(
        (outcome(&blocked).rule, said(&blocked, "blocked").as_str()),
        (Rule::Blocked, words)
    );

    running.trusted.push(entered("198.51.100.7:5061"));
    files.running = Some(running.clone());
    assert_eq!(outcome(&files.explain(&register)).rule, Rule::Trusted);
    let other = files.address("198.51.100.7:5062");
    assert_eq!(other.decision.expect("a decision").rule, Rule::Blocked);
    assert!(other.steps.iter().any(|step| step.found.contains("from that port only")));

    files.running = Some(Running { chose_posture: true, ..Running::default() });
    let words = "closed: posture guarded, by `sipguard posture`";
    assert_eq!(said(&files.explain(&register), "closed"), words);
}

#[test]
fn places_are_written_as_people_read_them() {
    let step = Files::of(Setup::Base).explain(&stranger("REGISTER", AGENT));
    let written: Value = serde_json::to_value(&step.steps).expect("JSON");
    assert_eq!(written[2]["place"], Value::Null, "{written}");
    assert!(written.as_array().expect("steps").iter().any(|step| step["place"] == "default"));
    assert_eq!(Place::Default.to_string(), "default");
}
