//! The corpus, judged by the host twin and by the real kernel program.

use std::{collections::HashMap, net::Ipv6Addr};

use sipguard::{
    kernel::{Action, KernelError, TestKernel},
    policy::Plan,
};
use sipguard_common::{
    abi::{Ban, Ports, Site, Source, Verified, cps},
    bucket::Limit,
    method::{BUDGETS, Budget, Method},
    rule::Rule,
};
use tests::{
    corpus::{Case, Setup, corpus},
    kernel::load_or_skip,
    plans::plan,
    twin::{Outcome, Twin},
};

/// The clock of all cases; any time but 0 would do.
const NOW_NS: u64 = 1_000_000_000_000;

/// Cases by the policy that they need: loading one is the slow part.
fn by_policy() -> Vec<(Plan, Vec<Case>)> {
    let mut groups: HashMap<Setup, Vec<Case>> = HashMap::new();
    for case in corpus() {
        let policy = match case.setup {
            Setup::Exhausted(_)
            | Setup::SubnetExhausted
            | Setup::BudgetExhausted(_)
            | Setup::Banned
            | Setup::TriesExhausted
            | Setup::Verified
            | Setup::VerifiedExhausted(_)
            | Setup::VerifiedBanned
            | Setup::Site
            | Setup::OverCps => Setup::Base,
            Setup::SiteClosed => Setup::Closed,
            other => other,
        };
        groups.entry(policy).or_default().push(case);
    }
    groups.into_iter().map(|(setup, cases)| (plan(setup), cases)).collect()
}

/// A bucket that is over its limit.
fn exhausted(limit: Limit) -> u64 {
    NOW_NS + limit.tolerance_ns + limit.interval_ns
}

/// What is remembered before a case.
struct Before {
    source: Source,
    subnet: u64,
    ports: Ports,
    budgets: [u64; BUDGETS],
    peer: u64,
    ban: Option<Ban>,
    verified: Option<Verified>,
    site: Option<Site>,
}

fn before(case: &Case, plan: &Plan) -> Before {
    let policy = &plan.policy;
    let mut before = Before {
        source: Source::NEW,
        subnet: 0,
        ports: Ports::NEW,
        budgets: [0; BUDGETS],
        peer: 0,
        ban: None,
        verified: None,
        site: None,
    };
    let verified = || Verified { expires_ns: NOW_NS + 1, ..Verified::default() };
    let site = || Site { until_ns: NOW_NS + 1, ..Site::default() };
    let ban = || Ban { expires_ns: NOW_NS + 1, ..Ban::default() };
    match case.setup {
        Setup::Exhausted(class) => {
            before.source.tat_ns[class as usize] = exhausted(policy.limits[class as usize]);
        }
        Setup::SubnetExhausted => before.subnet = exhausted(policy.subnet),
        Setup::PortsExhausted => {
            before.ports.since_ns = NOW_NS;
            before.ports.count = u64::from(policy.max_ports);
        }
        Setup::BudgetExhausted(budget) => {
            before.budgets[budget as usize] = exhausted(policy.strangers[budget as usize]);
        }
        Setup::OverCps => before.peer = exhausted(policy.cps[usize::from(cps::SMALL)]),
        Setup::Banned => before.ban = Some(ban()),
        Setup::TriesExhausted => before.source.tries_ns = policy.auth.tries.map(exhausted),
        Setup::Verified => before.verified = Some(verified()),
        Setup::VerifiedBanned => (before.verified, before.ban) = (Some(verified()), Some(ban())),
        Setup::VerifiedExhausted(class) => {
            let mut spent = verified();
            spent.tat_ns[class as usize] = exhausted(policy.verified[class as usize]);
            before.verified = Some(spent);
        }
        Setup::Site | Setup::SiteClosed => before.site = Some(site()),
        _ => {}
    }
    before
}

fn prepare_twin(twin: &mut Twin<'_>, case: &Case, plan: &Plan) {
    let before = before(case, plan);
    if let Some(source) = case.source() {
        twin.set_source(source, before.source);
        twin.set_subnet(source, before.subnet);
        twin.set_ports(source, before.ports);
        if let Some(ban) = before.ban {
            twin.ban(source, ban);
        }
        if let Some(site) = before.site {
            twin.set_site(source, site);
        }
    }
    if let (Some(sender), Some(verified)) = (case.sender(), before.verified) {
        twin.set_verified(sender, verified);
    }
    twin.set_peer(0, before.peer);
    for budget in Budget::ALL {
        twin.set_budget(budget, before.budgets[budget as usize]);
    }
}

fn prepare_kernel(kernel: &mut TestKernel, case: &Case, plan: &Plan) -> Result<(), KernelError> {
    let before = before(case, plan);
    kernel.forget_learned()?;
    if let (Some(sender), Some(verified)) = (case.sender(), before.verified) {
        kernel.set_endpoint(sender, verified, true)?;
    }
    if let Some(source) = case.source() {
        if let Some(site) = before.site {
            kernel.set_site(source.source(plan.policy.source_mask), site)?;
        }
        kernel.set_source(source, &plan.policy, before.source)?;
        kernel.set_subnet(source, &plan.policy, before.subnet)?;
        kernel.set_ports(source, &plan.policy, before.ports)?;
        let ban = before.ban.unwrap_or_default();
        kernel.ban(Ipv6Addr::from(source.octets()).to_canonical(), ban)?;
    }
    kernel.set_peer(0, before.peer)?;
    Budget::ALL
        .into_iter()
        .try_for_each(|budget| kernel.set_budget(budget, before.budgets[budget as usize]))
}

/// What is wrong with an outcome, if anything is.
fn wrong(case: &Case, plan: &Plan, judged: Outcome, action: Option<Action>) -> Option<String> {
    let found = (judged.signature as usize)
        .checked_sub(1)
        .map(|index| plan.signatures[index].name.as_str());
    let rule = judged.rule;
    let would: u64 = case.would.iter().map(|rule| rule.bit()).sum();
    let is_unread = matches!(rule, Rule::Trusted | Rule::Blocked | Rule::NotSip);
    let method = case.method.unwrap_or(Method::Unknown) as u32;
    let is_right = rule == case.expect
        && action.is_none_or(|action| action == case.action())
        && judged.would == would
        && (is_unread || (judged.method == method && found == case.signature));
    (!is_right).then(|| {
        format!(
            "{} ({}): {}, method {}, signature {found:?}, would {:#x}, {action:?}\n    not {}, \
             method {method}, signature {:?}, would {would:#x}, {:?}",
            case.name,
            case.id,
            rule.name(),
            judged.method,
            judged.would,
            case.expect.name(),
            case.signature,
            case.action(),
        )
    })
}

fn assert_none(wrong: &[String]) {
    assert!(wrong.is_empty(), "{} cases are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn the_host_twin_judges_the_corpus() {
    let mut all = Vec::new();
    for (plan, cases) in by_policy() {
        for case in &cases {
            let mut twin = Twin::new(&plan);
            twin.set_clock(NOW_NS);
            prepare_twin(&mut twin, case, &plan);
            let judged = twin.run(&case.frame);
            all.extend(wrong(case, &plan, judged, None));
        }
    }
    assert_none(&all);
}

#[test]
fn the_kernel_program_judges_the_corpus() {
    let Some(mut kernel) = load_or_skip() else { return };
    kernel.set_clock(NOW_NS).expect("a clock");
    let mut all = Vec::new();
    for (plan, cases) in by_policy() {
        kernel.apply(&plan).expect("a policy");
        for case in &cases {
            prepare_kernel(&mut kernel, case, &plan).expect("the state before");
            let verdict = kernel.run(&case.frame).expect("a run");
            let judged = Outcome::from(&verdict);
            all.extend(wrong(case, &plan, judged, Some(verdict.action)));
        }
    }
    assert_none(&all);
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
        prepare_kernel(&mut kernel, case, &plan).expect("the state before");
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
