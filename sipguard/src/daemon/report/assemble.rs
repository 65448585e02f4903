//! From what was counted to what is told.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use jiff::{SignedDuration, Timestamp};
use sipguard_common::rule::{Rule, Verdict};

use crate::{
    api::wire::{
        InterfaceMode, Report, ReportBanned, ReportBans, ReportDrops, ReportNetwork, ReportRule,
        ReportSource, ReportStep, SignatureCount,
    },
    history::{Line, RuleTotal, Span, Totals},
    policy::{Modes, RuleMode, net_text, parse_net},
};

/// Sources that are told, and that networks are summed up from.
const SOURCES: usize = 50;
const MAX_SOURCES: usize = 100_000;

/// Networks, and banned ones, that are told.
const NETWORKS: usize = 20;

/// Steps over time at most, and the shortest.
const STEPS: i64 = 96;
const SHORTEST_STEP: SignedDuration = SignedDuration::from_mins(5);

/// Bits of the networks that sources are summed up by.
const V4_BITS: u8 = 24;
const V6_BITS: u8 = 48;

/// All that a report is made of.
pub(super) struct Facts<'a> {
    pub(super) from: Timestamp,
    pub(super) until: Timestamp,
    pub(super) posture: String,
    pub(super) interfaces: Vec<InterfaceMode>,
    pub(super) modes: &'a Modes,
    pub(super) totals: Totals,
    /// The lines of bans.
    pub(super) bans: &'a [Line],
    pub(super) signatures: Vec<SignatureCount>,
    pub(super) signatures_since: Timestamp,
}

/// What of the counts a report from `from` to `until` needs.
pub(super) fn span(from: Timestamp, until: Timestamp) -> Span {
    Span { since: from, step: step(from, until), sources: MAX_SOURCES }
}

/// So that there are not too many, in whole minutes.
fn step(from: Timestamp, until: Timestamp) -> SignedDuration {
    let minutes = until.duration_since(from).as_mins() / STEPS;
    SignedDuration::from_mins(minutes + 1).max(SHORTEST_STEP)
}

/// The report.
pub(super) fn assemble(facts: Facts<'_>) -> Report {
    let Facts { from, until, posture, interfaces, modes, totals, bans, .. } = facts;
    let mut rules: Vec<ReportRule> =
        totals.rules.iter().filter_map(|one| rule(one, modes)).collect();
    rules.sort_by_key(|one| (Reverse(one.packets.max(one.would_packets)), one.rule.clone()));
    let sum = |verdict: Verdict| {
        let of = rules.iter().filter(|one| one.verdict == verdict.name());
        of.map(|one| one.packets).fold(0, u64::saturating_add)
    };
    Report {
        from,
        until,
        counted_from: totals.first,
        posture,
        interfaces,
        passed: sum(Verdict::Pass),
        dropped: sum(Verdict::Drop),
        would_drop: rules.iter().map(|one| one.would_packets).fold(0, u64::saturating_add),
        silent_rules: silent(&rules, modes),
        steps: steps(&totals.steps, step(from, until)),
        networks: networks(&totals),
        sources: totals
            .sources
            .into_iter()
            .take(SOURCES)
            .map(|one| ReportSource {
                source: one.source,
                packets: one.packets,
                dropped: one.dropped,
                rule: one.rule,
                method: one.method,
            })
            .collect(),
        all_sources: totals.all_sources,
        bans: by_rule(bans),
        banned: banned(bans),
        silent_signatures: facts
            .signatures
            .into_iter()
            .filter(|one| one.packets == 0)
            .map(|one| one.name)
            .collect(),
        signatures_since: facts.signatures_since,
        rules,
    }
}

fn by_name(name: &str) -> Option<Rule> {
    Rule::ALL.iter().copied().find(|rule| rule.name() == name)
}

/// `None` for a rule of another version.
fn rule(total: &RuleTotal, modes: &Modes) -> Option<ReportRule> {
    let rule = by_name(&total.rule)?;
    let drops = rule.verdict() == Verdict::Drop;
    Some(ReportRule {
        rule: rule.name().to_owned(),
        verdict: rule.verdict().name().to_owned(),
        mode: drops.then(|| modes.of(rule).name().to_owned()),
        packets: total.packets,
        bytes: total.bytes,
        would_packets: total.would,
    })
}

/// Rules that could have dropped something and did not.
fn silent(seen: &[ReportRule], modes: &Modes) -> Vec<String> {
    let spoke: BTreeSet<&str> = seen
        .iter()
        .filter(|one| one.packets + one.would_packets > 0)
        .map(|one| one.rule.as_str())
        .collect();
    Rule::ALL
        .iter()
        .filter(|rule| rule.verdict() == Verdict::Drop && !rule.is_egress())
        .filter(|rule| modes.of(**rule) != RuleMode::Off && !spoke.contains(rule.name()))
        .map(|rule| rule.name().to_owned())
        .collect()
}

fn steps(counted: &[(Timestamp, RuleTotal)], step: SignedDuration) -> Vec<ReportStep> {
    let mut steps: BTreeMap<Timestamp, ReportStep> = BTreeMap::new();
    for (time, total) in counted {
        let Some(rule) = by_name(&total.rule) else { continue };
        let one = steps.entry(*time).or_insert_with(|| ReportStep {
            time: *time,
            seconds: step.as_secs().unsigned_abs(),
            passed: 0,
            dropped: 0,
            would_drop: 0,
            rules: Vec::new(),
        });
        one.would_drop = one.would_drop.saturating_add(total.would);
        if rule.verdict() == Verdict::Pass {
            one.passed = one.passed.saturating_add(total.packets);
        } else if total.packets > 0 {
            one.dropped = one.dropped.saturating_add(total.packets);
            one.rules.push(ReportDrops { rule: total.rule.clone(), packets: total.packets });
        }
    }
    steps.into_values().collect()
}

fn networks(totals: &Totals) -> Vec<ReportNetwork> {
    let mut networks: BTreeMap<IpNet, (usize, u64)> = BTreeMap::new();
    for one in &totals.sources {
        let Ok(source) = parse_net(&one.source) else { continue };
        let sum = networks.entry(network(source)).or_default();
        sum.0 += 1;
        sum.1 = sum.1.saturating_add(one.dropped);
    }
    let mut all: Vec<_> = networks.into_iter().collect();
    all.sort_by_key(|(_, (_, dropped))| Reverse(*dropped));
    all.truncate(NETWORKS);
    all.into_iter()
        .map(|(net, (sources, dropped))| ReportNetwork { network: net_text(net), sources, dropped })
        .collect()
}

/// The network that a source belongs to.
fn network(source: IpNet) -> IpNet {
    match source {
        IpNet::V4(net) => Ipv4Net::new(net.addr(), V4_BITS.min(net.prefix_len()))
            .map_or(source, |net| IpNet::V4(net.trunc())),
        IpNet::V6(net) => Ipv6Net::new(net.addr(), V6_BITS.min(net.prefix_len()))
            .map_or(source, |net| IpNet::V6(net.trunc())),
    }
}

/// The rule that a line of a ban names.
fn reason(line: &Line) -> &str {
    line.by.strip_prefix("rule:").unwrap_or(&line.by)
}

fn by_rule(bans: &[Line]) -> Vec<ReportBans> {
    let mut rules: BTreeMap<&str, u64> = BTreeMap::new();
    for line in bans {
        *rules.entry(reason(line)).or_default() += u64::from(line.times);
    }
    let mut all: Vec<_> = rules.into_iter().collect();
    all.sort_by_key(|(_, bans)| Reverse(*bans));
    all.into_iter().map(|(rule, bans)| ReportBans { rule: rule.to_owned(), bans }).collect()
}

fn banned(bans: &[Line]) -> Vec<ReportBanned> {
    let mut targets: BTreeMap<&str, ReportBanned> = BTreeMap::new();
    for line in bans {
        let Some(target) = &line.target else { continue };
        let one = targets.entry(target).or_insert_with(|| ReportBanned {
            target: target.clone(),
            rule: String::new(),
            bans: 0,
            last: line.at,
            until: None,
        });
        one.bans += u64::from(line.times);
        (one.last, one.until) = (line.at, line.until);
        reason(line).clone_into(&mut one.rule);
    }
    let mut all: Vec<ReportBanned> = targets.into_values().collect();
    all.sort_by_key(|one| (Reverse(one.bans), Reverse(one.last)));
    all.truncate(NETWORKS);
    all
}
