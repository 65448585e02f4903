//! The kernel program against its host twin, over the corpus and generated
//! packets: the same rule, method and signature for each.

use std::collections::{HashMap, HashSet};

use sipguard_common::{abi::Learned, rule::Rule};
use tests::{
    corpus::{Setup, stories::Chatter},
    kernel::{load_or_skip, packets},
    marathon::{SETUPS, STRICT, legit, mutated},
    plans::plan,
    stage::Stage,
};

/// Generated packets, unless [`tests::kernel::packets`] is told of fewer. More by
/// `cargo xtask fuzz --packets N`.
const GENERATED: usize = 400_000;

/// Packets that must pass.
const LEGIT: usize = 60_000;

#[test]
fn the_kernel_program_equals_its_host_twin() {
    let Some(mut kernel) = load_or_skip() else { return };
    let count = packets(GENERATED) / SETUPS.len();
    for (seed, setup) in (0x5151_5060..).zip(SETUPS) {
        println!("{setup:?}");
        mutated(&mut kernel, setup, seed, count);
    }
}

/// I1, F13: whatever peers send, and however phones write what they may send.
#[test]
fn what_must_pass_does_however_it_varies() {
    let Some(mut kernel) = load_or_skip() else { return };
    let judged = legit(&mut kernel, 0x600d, packets(LEGIT));
    println!("{judged:?}");
    for rule in ["trusted", "verified", "stranger"] {
        assert!(judged.by_rule.contains_key(rule), "no packet under {rule}");
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
