//! The kernel program against its host twin, over the corpus and generated
//! packets: the same rule, method and signature for each.

use std::collections::{HashMap, HashSet};

use sipguard::kernel::Action;
use sipguard_common::{
    abi::Learned,
    method::Method,
    rule::{Rule, Verdict},
};
use tests::{
    corpus::{Setup, corpus, stories::Chatter},
    kernel::{load_or_skip, packets},
    mutate::mutations,
    plans::plan,
    stage::Stage,
    twin::{Outcome, Twin},
};

/// Generated packets, unless [`tests::kernel::packets`] is told of fewer. More
/// in the long run of the fuzzers.
const GENERATED: usize = 400_000;

/// The clock moves on by this much with each packet, so that buckets fill,
/// overflow and refill.
const STEP_NS: u64 = 700_000;

/// Everything that the base policy leaves out.
const STRICT: &str = "
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

/// BPF_PROG_TEST_RUN takes no shorter frame.
const MIN_FRAME: usize = 14;

#[test]
fn the_kernel_program_equals_its_host_twin() {
    let Some(mut kernel) = load_or_skip() else { return };
    let setups = [
        Setup::Base,
        Setup::OptionsLimit,
        Setup::TwoPorts,
        Setup::ProtectedAddress,
        Setup::Settings(STRICT),
        Setup::Settings("[policy]\nmode = \"observe\"\n"),
    ];
    let count = packets(GENERATED);
    let mut generated = mutations(0x5151_5060, count);
    for setup in setups {
        let plan = plan(setup);
        kernel.forget_sources().expect("no sources");
        kernel.set_peer(0, 0).expect("an unused bucket");
        kernel.apply(&plan).expect("a policy");
        let mut twin = Twin::new(&plan);
        twin.set_key(kernel.key().expect("a key"));
        let corpus = corpus().into_iter().map(|case| case.frame);
        let frames = corpus.chain(generated.by_ref().take(count / setups.len()));
        let frames = frames.filter(|frame| frame.len() >= MIN_FRAME);
        for (n, frame) in (1..).zip(frames) {
            let now = n * STEP_NS;
            kernel.set_clock(now).expect("a clock");
            twin.set_clock(now);
            let verdict = kernel.run(&frame).expect("a run");
            let in_kernel = Outcome {
                rule: verdict.rule,
                method: verdict.method as u32,
                signature: verdict.signature.map_or(0, |index| index as u32 + 1),
                would: verdict.would,
            };
            let on_host = twin.run(&frame);
            assert_eq!(in_kernel, on_host, "{setup:?}, packet {n}: {frame:02x?}");
            let passes = on_host.rule.verdict() == Verdict::Pass;
            assert_eq!(verdict.action == Action::Pass, passes);
            assert!((on_host.method as usize) < Method::ALL.len());
        }
    }
}

/// Packets of the talk, likewise.
const TALK: usize = 100_000;

/// Nothing is refused, so that all is learned.
const LOOSE: &str = "
[policy]
options = \"pass\"
stealth = \"all\"
[auth]
failures = 10000
harvest = 10000
";

/// Everything bans at once.
const HARSH: &str = "
[policy]
stealth = \"none\"
[limits]
source_prefix_v6 = 48
[auth]
failures = 2
window = \"10m\"
harvest = 4
[limits.verified]
register = { rate = \"1/s\", burst = 3 }
[limits.strangers]
total = { rate = \"2/s\", burst = 2 }
reserve = { rate = \"1/s\", burst = 2 }
[rules]
harvest = { mode = \"observe\" }
";

/// Nothing of what replies say has effects, but is told.
const OBSERVED: &str = "
[auth]
failures = 3
[rules]
auth = { mode = \"observe\" }
stealth = { mode = \"observe\" }
greylist = { mode = \"observe\" }
rate_verified = { mode = \"observe\" }
";

/// Both programs and both sides of the twin, over requests and replies that
/// belong together: rules, fates, what is learned and what is kept of it.
#[test]
fn the_kernel_programs_learn_as_their_host_twin_does() {
    let Some(mut kernel) = load_or_skip() else { return };
    let settings = ["", LOOSE, HARSH, OBSERVED, STRICT];
    let count = packets(TALK) / settings.len();
    let mut met = HashSet::new();
    for (seed, settings) in (0x6001..).zip(settings) {
        let plan = plan(Setup::Settings(settings));
        let mut stage = Stage::new(&plan, Some(&mut kernel));
        let mut now_ns = 1_000_000_000_000;
        let (mut leaving, mut learned, mut verified) = (0, HashMap::new(), 0);
        for step in Chatter::new(seed).take(count) {
            now_ns += step.after_ns;
            stage.set_clock(now_ns);
            if step.leaves {
                leaving += 1;
                let left = stage.leaves(&step.frame);
                left.learned.iter().for_each(|what| *learned.entry(*what).or_insert(0) += 1);
            } else {
                verified += usize::from(stage.comes(&step.frame).rule == Rule::Verified);
            }
        }
        println!("{settings}: {leaving} left, {verified} verified, {learned:?}");
        assert!(leaving > count / 3 && verified > count / 100, "{leaving} {verified}");
        met.extend(learned.into_keys());
    }
    let seen_only_when_tried = [Learned::Hidden, Learned::Challenged];
    for what in Learned::ALL.iter().filter(|what| !seen_only_when_tried.contains(what)) {
        assert!(count < TALK / 8 || met.contains(what), "{} was never met", what.name());
    }
}
