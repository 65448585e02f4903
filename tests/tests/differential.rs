//! The kernel program against its host twin, over the corpus and generated
//! packets: the same rule, method and signature for each.

use sipguard::kernel::Action;
use sipguard_common::{method::Method, rule::Verdict};
use tests::{
    corpus::{Setup, corpus},
    kernel::{load_or_skip, packets},
    mutate::mutations,
    plans::plan,
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
