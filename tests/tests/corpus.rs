//! The corpus, judged by the host twin and by the real kernel program.

use std::collections::HashMap;

use sipguard::policy::Plan;
use sipguard_common::{
    abi::Source,
    decide::Judgement,
    method::{BUCKETS, Method},
    rule::{Rule, Verdict},
};
use tests::{
    corpus::{Case, Setup, corpus},
    kernel::load_or_skip,
    plans::plan,
    twin::Twin,
};

/// The clock of all cases; any time but 0 would do.
const NOW_NS: u64 = 1_000_000_000_000;

/// Cases by the policy that they need: loading one is the slow part.
fn by_policy() -> Vec<(Plan, Vec<Case>)> {
    let mut groups: HashMap<Setup, Vec<Case>> = HashMap::new();
    for case in corpus() {
        let policy = match case.setup {
            Setup::Exhausted(_) => Setup::Base,
            other => other,
        };
        groups.entry(policy).or_default().push(case);
    }
    groups.into_iter().map(|(setup, cases)| (plan(setup), cases)).collect()
}

/// The buckets that a case needs of its source.
fn source_state(case: &Case, plan: &Plan) -> Source {
    let mut state = Source { tat_ns: [0; BUCKETS] };
    if let Setup::Exhausted(class) = case.setup {
        let limit = plan.policy.limits[class as usize];
        state.tat_ns[class as usize] = NOW_NS + limit.tolerance_ns + limit.interval_ns;
    }
    state
}

fn assert_case(case: &Case, plan: &Plan, judged: Judgement, passed: bool) {
    let name = case.name;
    assert_eq!(judged.rule, case.expect, "{name} ({})", case.id);
    assert_eq!(passed, case.expect.verdict() == Verdict::Pass, "{name}");
    if matches!(case.expect, Rule::Trusted | Rule::Blocked | Rule::NotSip) {
        return;
    }
    let method = case.method.unwrap_or(Method::Unknown);
    assert_eq!(judged.method, method as u32, "{name}: method");
    let signature = (judged.signature as usize).checked_sub(1);
    let found = signature.map(|index| plan.signatures[index].name.as_str());
    assert_eq!(found, case.signature, "{name}: signature");
}

#[test]
fn the_host_twin_judges_the_corpus() {
    for (plan, cases) in by_policy() {
        for case in &cases {
            let mut twin = Twin::new(&plan);
            twin.set_clock(NOW_NS);
            if let Some(source) = case.source() {
                twin.set_source(source, source_state(case, &plan));
            }
            let judged = twin.run(&case.frame);
            assert_case(case, &plan, judged, judged.rule.verdict() == Verdict::Pass);
        }
    }
}

#[test]
fn the_kernel_program_judges_the_corpus() {
    let Some(mut kernel) = load_or_skip() else { return };
    kernel.set_clock(NOW_NS).expect("a clock");
    for (plan, cases) in by_policy() {
        kernel.apply(&plan).expect("a policy");
        for case in &cases {
            if let Some(source) = case.source() {
                kernel
                    .set_source(source, plan.policy.source_mask, source_state(case, &plan))
                    .expect("the state of a source");
            }
            let verdict = kernel.run(&case.frame).expect("a run");
            let judged = Judgement {
                rule: verdict.rule,
                method: verdict.method as u32,
                signature: verdict.signature.map_or(0, |index| index as u32 + 1),
            };
            assert_case(case, &plan, judged, verdict.passed);
        }
    }
}

/// F15: every packet is counted under exactly one rule, with its bytes.
#[test]
fn every_packet_is_counted_under_exactly_one_rule() {
    let Some(mut kernel) = load_or_skip() else { return };
    kernel.set_clock(NOW_NS).expect("a clock");
    let plan = plan(Setup::Base);
    kernel.apply(&plan).expect("a policy");
    let cases: Vec<Case> = corpus().into_iter().filter(|case| case.setup == Setup::Base).collect();
    let mut expected: HashMap<Rule, (u64, u64)> = HashMap::new();
    for case in &cases {
        if let Some(source) = case.source() {
            let state = source_state(case, &plan);
            kernel.set_source(source, plan.policy.source_mask, state).expect("a source");
        }
        kernel.run(&case.frame).expect("a run");
        let count = expected.entry(case.expect).or_default();
        count.0 += 1;
        count.1 += case.frame.len() as u64;
    }
    let counted = kernel.kernel().counters().expect("counters");
    let sum = |rule: Rule| {
        counted
            .iter()
            .map(|interface| interface.counters.rules[rule as usize])
            .fold((0, 0), |(packets, bytes), count| (packets + count.packets, bytes + count.bytes))
    };
    for rule in Rule::ALL {
        let wanted = expected.get(rule).copied().unwrap_or_default();
        assert_eq!(sum(*rule), wanted, "{}", rule.name());
    }
}
