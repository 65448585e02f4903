//! Figures as the library takes it.

use std::{array, fmt::Result, sync::Arc};

use jiff::Timestamp;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet},
};

use super::table::{self, Family, Metric, Type};
use crate::{
    api::wire::{
        Crowdsec, History, Interface, InterfaceCount, Pulse, ReplyCount, RuleCount, Tally,
    },
    daemon::Figures,
    policy::Posture,
};

/// The figures of one moment, to be told once, and the last second: what takes
/// long to count is counted there, now and then.
#[derive(Debug)]
pub(super) struct Snapshot {
    pub(super) figures: Figures,
    pub(super) pulse: Option<Arc<Pulse>>,
}

impl Collector for Snapshot {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result {
        let (to, figures, pulse) = (&mut encoder, &self.figures, self.pulse.as_deref());
        packets(to, figures, pulse)?;
        server(to, figures)?;
        bans(to, figures, pulse)?;
        policy(to, figures, pulse)?;
        daemon(to, figures)
    }
}

/// A number in the text.
#[derive(Clone, Copy)]
enum Number {
    Whole(u64),
    Seconds(f64),
}

impl From<u64> for Number {
    fn from(number: u64) -> Self {
        Self::Whole(number)
    }
}

impl From<usize> for Number {
    fn from(number: usize) -> Self {
        Self::Whole(number as u64)
    }
}

impl From<bool> for Number {
    fn from(holds: bool) -> Self {
        Self::Whole(u64::from(holds))
    }
}

impl From<Timestamp> for Number {
    fn from(time: Timestamp) -> Self {
        Self::Seconds(time.as_duration().as_secs_f64())
    }
}

/// Writes a family: its head, and a sample for each set of values of its
/// labels.
fn family<'a, const LABELS: usize, N: Into<Number>>(
    to: &mut DescriptorEncoder<'_>,
    family: &'static Family<LABELS>,
    samples: impl IntoIterator<Item = ([&'a str; LABELS], N)>,
) -> Result {
    let Metric { family: name, kind, help, .. } = family.metric();
    let mut head = to.encode_descriptor(name, help, None, kind.encoded())?;
    for (values, number) in samples {
        let labels: [_; LABELS] = array::from_fn(|label| (family.labels[label], values[label]));
        let number = number.into();
        match kind {
            Type::Info => head.encode_info(&labels)?,
            // With its labels there would be empty braces.
            _ if LABELS == 0 => sample(&mut head, kind, number)?,
            _ => sample(&mut head.encode_family(&labels)?, kind, number)?,
        }
    }
    Ok(())
}

fn sample(to: &mut MetricEncoder<'_>, kind: Type, number: Number) -> Result {
    match (kind, number) {
        (Type::Counter, Number::Whole(number)) => {
            to.encode_counter::<NoLabelSet, _, f64>(&number, None)
        }
        (_, Number::Whole(number)) => to.encode_gauge(&number),
        (_, Number::Seconds(seconds)) => to.encode_gauge(&seconds),
    }
}

/// Writes a family without labels.
fn single<N: Into<Number>>(
    to: &mut DescriptorEncoder<'_>,
    of: &'static Family<0>,
    number: N,
) -> Result {
    family(to, of, [([], number)])
}

fn packets(
    to: &mut DescriptorEncoder<'_>,
    Figures { stats, signatures, .. }: &Figures,
    pulse: Option<&Pulse>,
) -> Result {
    fn each(
        rules: &[RuleCount],
        chosen: fn(&RuleCount) -> bool,
    ) -> impl Iterator<Item = (&RuleCount, &InterfaceCount)> {
        let rules = rules.iter().filter(move |rule| chosen(rule));
        rules.flat_map(|rule| rule.per_interface.iter().map(move |count| (rule, count)))
    }
    fn judged<'a>(rule: &'a RuleCount, count: &'a InterfaceCount) -> [&'a str; 3] {
        [&count.name, &rule.rule, &rule.verdict]
    }
    fn would<'a>(rule: &'a RuleCount, count: &'a InterfaceCount) -> [&'a str; 2] {
        [&count.name, &rule.rule]
    }
    let all = || each(&stats.rules, |_| true);
    let dropping = || each(&stats.rules, |rule| rule.mode.is_some());
    family(to, &table::PACKETS, all().map(|(rule, count)| (judged(rule, count), count.packets)))?;
    family(to, &table::BYTES, all().map(|(rule, count)| (judged(rule, count), count.bytes)))?;
    let would_packets = dropping().map(|(rule, count)| (would(rule, count), count.would_packets));
    family(to, &table::WOULD_PACKETS, would_packets)?;
    let would_bytes = dropping().map(|(rule, count)| (would(rule, count), count.would_bytes));
    family(to, &table::WOULD_BYTES, would_bytes)?;
    let rules = pulse.into_iter().flat_map(|pulse| &pulse.rules);
    let hits = rules.filter_map(|rate| Some(([&*rate.rule], rate.last?)));
    family(to, &table::RULE_LAST_HIT, hits)?;
    let requests = stats.methods.iter().flat_map(|count| {
        [("pass", count.passed), ("drop", count.dropped)]
            .map(|(verdict, packets)| ([&*count.method, verdict], packets))
    });
    family(to, &table::STRANGER_REQUESTS, requests)?;
    let matches = signatures.iter().map(|one| ([&*one.name], one.packets));
    family(to, &table::SIGNATURE_MATCHES, matches)
}

fn server(to: &mut DescriptorEncoder<'_>, Figures { stats, .. }: &Figures) -> Result {
    let methods = &stats.replies.methods;
    let replies = methods.iter().flat_map(|count| {
        classes(count).map(|(class, replies)| ([&*count.method, class], replies))
    });
    family(to, &table::REPLIES, replies)?;
    let requests = methods.iter().map(|count| ([&*count.method], count.requests));
    family(to, &table::SERVER_REQUESTS, requests)?;
    single(to, &table::OTHER_SENT, stats.replies.other)?;
    family(to, &table::LEARNED, stats.learned.iter().map(|one| ([&*one.name], one.count)))
}

fn classes(count: &ReplyCount) -> [(&'static str, u64); 7] {
    [
        ("1xx", count.provisional),
        ("2xx", count.success),
        ("3xx", count.redirection),
        ("4xx", count.refused),
        ("5xx", count.server_failure),
        ("6xx", count.global_failure),
        ("unread", count.unread),
    ]
}

fn bans(
    to: &mut DescriptorEncoder<'_>,
    Figures { deeds, .. }: &Figures,
    pulse: Option<&Pulse>,
) -> Result {
    family(to, &table::VERIFIED, pulse.map(|pulse| ([], pulse.verified)))?;
    family(to, &table::ACTIVE_BANS, pulse.map(|pulse| ([], pulse.banned)))?;
    let bans = || deeds.bans.iter().map(|(rule, bans)| ([rule.name()], bans));
    family(to, &table::BANS_MADE, bans().map(|(rule, bans)| (rule, bans.made)))?;
    family(to, &table::WOULD_BAN, bans().map(|(rule, bans)| (rule, bans.would)))?;
    family(to, &table::BANS_LIFTED, bans().map(|(rule, bans)| (rule, bans.lifted)))
}

fn policy(to: &mut DescriptorEncoder<'_>, figures: &Figures, pulse: Option<&Pulse>) -> Result {
    let modes = figures.modes.iter().map(|(rule, mode)| ([rule.name(), mode.name()], true));
    family(to, &table::RULE_MODE, modes)?;
    let postures = Posture::ALL.map(|posture| ([posture.name()], posture == figures.posture));
    family(to, &table::POSTURE, postures)?;
    let lists = [("trusted", &figures.trusted), ("blocked", &figures.blocked)];
    let entries = lists.into_iter().flat_map(|(list, Tally { file, operator })| {
        [([list, "file"], *file), ([list, "operator"], *operator)]
    });
    let fed = (["blocked", "feed"], figures.fed);
    let held = figures.crowdsec.decisions.as_ref().map_or(0, |one| one.held);
    let decided = (["blocked", "crowdsec"], held);
    family(to, &table::LIST_ENTRIES, entries.chain([fed, decided]))?;
    let maps = || pulse.into_iter().flat_map(|pulse| &pulse.maps);
    family(to, &table::MAP_ENTRIES, maps().map(|map| ([&*map.name], map.entries)))?;
    family(to, &table::MAP_CAPACITY, maps().map(|map| ([&*map.name], map.capacity)))?;
    single(to, &table::SIGNATURES, figures.signatures.len())?;
    let reloads = &figures.deeds.reloads;
    let counts = [(["ok"], reloads.well), (["failed"], reloads.failed)];
    family(to, &table::RELOADS, counts)?;
    single(to, &table::RELOAD_SUCCESSFUL, reloads.is_last_well)?;
    single(to, &table::RELOAD_TIME, reloads.last_well)
}

fn daemon(to: &mut DescriptorEncoder<'_>, figures: &Figures) -> Result {
    let interfaces = figures
        .interfaces
        .iter()
        .map(|Interface { name, mode, egress, .. }| ([&**name, &**mode, &**egress], true));
    family(to, &table::INTERFACE, interfaces)?;
    let protected = figures.interfaces.iter();
    let protected = protected.map(|one| ([&*one.name], one.unprotected.is_none()));
    family(to, &table::INTERFACE_PROTECTED, protected)?;
    single(to, &table::EVENTS_SUPPRESSED, figures.stats.events.suppressed)?;
    single(to, &table::EVENTS_LOST, figures.stats.events.lost)?;
    let History { file, lost, .. } = &figures.history;
    single(to, &table::HISTORY_LOST, *lost)?;
    single(to, &table::HISTORY_IN_FILE, file.is_some())?;
    crowdsec(to, &figures.crowdsec)?;
    family(to, &table::BUILD, [([env!("CARGO_PKG_VERSION")], true)])?;
    single(to, &table::START_TIME, figures.stats.since)
}

/// Also where it is not in use: then nothing has failed.
fn crowdsec(
    to: &mut DescriptorEncoder<'_>,
    Crowdsec { decisions, reports, .. }: &Crowdsec,
) -> Result {
    let (read, told) = (decisions.as_ref(), reports.as_ref());
    let up = [
        (["decisions"], read.is_none_or(|one| one.last_error.is_none())),
        (["alerts"], told.is_none_or(|one| one.last_error.is_none())),
    ];
    family(to, &table::CROWDSEC_UP, up)?;
    let (ok, failed) = read.map_or((0, 0), |one| (one.answers, one.failures));
    family(to, &table::CROWDSEC_ANSWERS, [(["ok"], ok), (["failed"], failed)])?;
    let (sent, lost) = told.map_or((0, 0), |one| (one.sent, one.lost));
    family(to, &table::CROWDSEC_ALERTS, [(["ok"], sent), (["lost"], lost)])
}
