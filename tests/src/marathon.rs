//! Packets without end through the kernel program and its host twin, which must say
//! the same of each; and among them such that must pass, whoever says so.

use std::collections::BTreeMap;

use sipguard::{
    kernel::{Action, TestKernel},
    policy::Plan,
};
use sipguard_common::{
    abi::Verified,
    method::Method,
    rule::{Rule, Verdict},
};

use crate::{
    corpus::{Setup, corpus},
    legit::{self, Who},
    mutate::{MIN_FRAME, mutations},
    plans::plan,
    random::Random,
    twin::{Outcome, Twin},
};

/// The clock moves on by this much with each mutated packet, so that buckets fill,
/// overflow and refill.
const STEP_NS: u64 = 700_000;

/// With each packet that must pass by this much: no limit is meant to be met.
const PAUSE_NS: u64 = 10_000_000_000;

/// Everything that the base policy leaves out.
pub const STRICT: &str = "
[policy]
posture = \"attack\"
fragments = \"drop\"
[auth]
harvest = 6
[limits.strangers]
total = { rate = \"50/s\", burst = 20 }
other = { rate = \"5/s\", burst = 3 }
syn = { rate = \"5/s\", burst = 2 }
keepalive = { rate = \"20/s\", burst = 5 }
response = { rate = \"20/s\", burst = 5 }
[limits.subnet]
prefix_v4 = 28
total = { rate = \"20/s\", burst = 10 }
[limits.ports]
max = 5
[limits.message]
bytes = 700
line = 200
lines = 15
[rules]
rate_method = { mode = \"observe\" }
signature = { mode = \"off\" }
";

/// Under which packets are judged.
pub const SETUPS: [Setup; 6] = [
    Setup::Base,
    Setup::OptionsLimit,
    Setup::TwoPorts,
    Setup::ProtectedAddress,
    Setup::Settings(STRICT),
    Setup::Settings("[policy]\nmode = \"observe\"\n"),
];

/// How many packets were judged, by the rule that they fell under.
#[derive(Clone, Debug, Default)]
pub struct Judged {
    pub by_rule: BTreeMap<&'static str, u64>,
    /// Of them, those that had to pass.
    pub legit: u64,
}

impl Judged {
    /// Adds another count.
    pub fn add(&mut self, other: &Self) {
        for (rule, count) in &other.by_rule {
            *self.by_rule.entry(rule).or_default() += count;
        }
        self.legit += other.legit;
    }

    /// All of them.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.by_rule.values().sum()
    }

    fn note(&mut self, rule: Rule) {
        *self.by_rule.entry(rule.name()).or_default() += 1;
    }
}

/// A kernel program and its twin that begin anew under a plan.
struct Pair<'a> {
    kernel: &'a mut TestKernel,
    twin: Twin<'a>,
    now_ns: u64,
    judged: Judged,
}

impl<'a> Pair<'a> {
    fn new(kernel: &'a mut TestKernel, plan: &'a Plan) -> Self {
        kernel.forget_sources().expect("no sources");
        kernel.forget_learned().expect("nothing learned");
        kernel.set_peer(0, 0).expect("an unused bucket");
        kernel.apply(plan).expect("a policy");
        let mut twin = Twin::new(plan);
        twin.set_key(kernel.key().expect("a key"));
        Self { kernel, twin, now_ns: 0, judged: Judged::default() }
    }

    /// Both judge a frame, some time after the one before.
    fn judge(&mut self, after_ns: u64, frame: &[u8]) -> Outcome {
        self.now_ns += after_ns;
        let judged = agree(self.kernel, &mut self.twin, self.now_ns, frame);
        self.judged.note(judged.rule);
        judged
    }
}

/// What both say of a frame at this time.
///
/// # Panics
/// Where kernel and host differ, here and below.
pub fn agree(kernel: &mut TestKernel, twin: &mut Twin<'_>, now_ns: u64, frame: &[u8]) -> Outcome {
    kernel.set_clock(now_ns).expect("a clock");
    twin.set_clock(now_ns);
    let verdict = kernel.run(frame).expect("a run");
    let on_host = twin.run(frame);
    assert_eq!(Outcome::from(&verdict), on_host, "kernel and host: {frame:02x?}");
    let passes = on_host.rule.verdict() == Verdict::Pass;
    assert_eq!(verdict.action == Action::Pass, passes, "{frame:02x?}");
    assert!((on_host.method as usize) < Method::ALL.len());
    on_host
}

/// The corpus and then `count` mutations of it, under one of [`SETUPS`].
///
/// # Panics
/// As [`agree`].
pub fn mutated(kernel: &mut TestKernel, setup: Setup, seed: u64, count: usize) -> Judged {
    let plan = plan(setup);
    let mut pair = Pair::new(kernel, &plan);
    let corpus = corpus().into_iter().map(|case| case.frame);
    let frames = corpus.chain(mutations(seed, count)).filter(|frame| frame.len() >= MIN_FRAME);
    for frame in frames {
        pair.judge(STEP_NS, &frame);
    }
    pair.judged
}

/// `count` packets that must pass, under the policy that is shipped.
///
/// # Panics
/// Where one does not, too.
pub fn legit(kernel: &mut TestKernel, seed: u64, count: usize) -> Judged {
    let plan = plan(Setup::Base);
    let mut pair = Pair::new(kernel, &plan);
    let verified = Verified { expires_ns: u64::MAX / 2, ..Verified::default() };
    pair.kernel.set_endpoint(legit::phone(), verified, true).expect("a map");
    pair.twin.set_verified(legit::phone(), verified);
    let mut random = Random::new(seed);
    for _ in 0..count {
        let (who, frame) = legit::packet(&mut random);
        let rule = pair.judge(PAUSE_NS, &frame).rule;
        let is_right = match who {
            Who::Trusted => rule == Rule::Trusted,
            Who::Verified | Who::Stranger => rule.verdict() == Verdict::Pass,
        };
        assert!(is_right, "{who:?}, {}: {}", rule.name(), String::from_utf8_lossy(&frame));
        pair.judged.legit += 1;
    }
    pair.judged
}
