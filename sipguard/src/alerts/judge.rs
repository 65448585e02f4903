//! What each rule says of what is seen.

use std::{collections::BTreeMap, time::Duration};

use super::{
    Moment, Observation,
    observation::{AccountBan, SourceSeen},
    window::Window,
};
use crate::{
    policy::{AlertRule, AlertRuleSettings, AlertSettings},
    ttl::Ttl,
};

/// Sources whose OPTIONS are counted at once.
const MAX_SOURCES: usize = 4096;

/// Banned customers that are remembered.
const MAX_BANNED: usize = 1024;

/// Seconds with estimates that count as much as one second that was measured.
const ESTIMATES: usize = 3;

/// A baseline below this counts as so many: of three phones, two more or fewer
/// say nothing.
const LEAST_VERIFIED: f64 = 10.0;

/// How long the first registrations after a start may take: until then, fewer
/// verified endpoints than usual are usual.
const LEARNING: Duration = Duration::from_secs(3600);

/// How near a value is to its threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    /// Reached.
    Over,
    /// Not far enough below for an all-clear.
    Near,
}

/// What a rule says of a subject. Nothing is said of what is all right.
#[derive(Clone, Debug)]
pub(super) struct Reading {
    pub(super) subject: Option<String>,
    pub(super) level: Level,
    pub(super) value: f64,
    pub(super) summary: String,
    /// Since when it is so, where that is longer than this second.
    pub(super) since: Option<Duration>,
}

/// What must be remembered from one second to the next.
#[derive(Debug, Default)]
pub(super) struct Judge {
    started: Option<Duration>,
    options: BTreeMap<String, Options>,
    /// Consecutive estimated seconds over the threshold, and when they began.
    estimated: BTreeMap<String, (usize, Duration)>,
    hurt: BTreeMap<String, Hurt>,
    banned: BTreeMap<String, Banned>,
    lost: Lost,
    /// When the last packet of SIP came.
    spoke: Option<Duration>,
    /// Whether nearly as many were verified as usual, since the start.
    was_usual: bool,
}

/// OPTIONS of one source.
#[derive(Debug, Default)]
struct Options {
    sum: Window,
    measured: Window,
}

#[derive(Debug, Default)]
struct Hurt {
    sum: Window,
    example: String,
}

#[derive(Debug)]
struct Banned {
    times: u32,
    is_customer: bool,
    at: Duration,
}

#[derive(Debug, Default)]
struct Lost {
    before: Option<u64>,
    sum: Window,
}

impl Judge {
    /// What every enabled rule says.
    pub(super) fn judge(
        &mut self,
        now: Moment,
        seen: &Observation,
        settings: &AlertSettings,
    ) -> Vec<(AlertRule, Reading)> {
        self.started.get_or_insert(now.at);
        let mut found = Vec::new();
        for rule in AlertRule::ALL {
            let one = settings.rule(*rule);
            // Also of a rule that is off: it may be switched on.
            let readings = self.read(*rule, now, seen, &one);
            if one.enabled {
                found.extend(readings.into_iter().map(|reading| (*rule, reading)));
            }
        }
        found
    }

    fn read(
        &mut self,
        rule: AlertRule,
        now: Moment,
        seen: &Observation,
        settings: &AlertRuleSettings,
    ) -> Vec<Reading> {
        match rule {
            AlertRule::OptionsFromSource => self.options(now, seen, settings),
            AlertRule::PacketsFromSource => self.packets(now, seen, settings),
            AlertRule::Drops => drops(seen, settings).into_iter().collect(),
            AlertRule::VerifiedRise => rise(seen, settings).into_iter().collect(),
            AlertRule::VerifiedFall => self.fall(now, seen, settings).into_iter().collect(),
            AlertRule::MapFull => maps(seen, settings),
            AlertRule::Silence => self.silence(now, seen).into_iter().collect(),
            AlertRule::FeedStale => feeds(seen),
            AlertRule::CrowdsecDown => crowdsec(seen).into_iter().collect(),
            AlertRule::ObserveWouldHurt => self.hurt(now, seen, settings),
            AlertRule::RepeatedBan => self.bans(now, seen, settings),
            AlertRule::EventsLost => self.lost(now, seen, settings).into_iter().collect(),
            AlertRule::GenericMode => generic(seen),
            AlertRule::Unprotected => unprotected(seen),
            AlertRule::ReloadFailed => reload(seen).into_iter().collect(),
        }
    }

    fn options(
        &mut self,
        now: Moment,
        seen: &Observation,
        settings: &AlertRuleSettings,
    ) -> Vec<Reading> {
        let window = settings.span;
        for source in &seen.sources {
            if source.is_trusted || source.is_known || source.options <= 0.0 {
                continue;
            }
            if self.options.len() >= MAX_SOURCES && !self.options.contains_key(&source.source) {
                forget_oldest(&mut self.options, |options| options.sum.last());
            }
            let options = self.options.entry(source.source.clone()).or_default();
            options.sum.add(now.at, source.options * seen.seconds, window);
            if !source.estimated {
                options.measured.add(now.at, 1.0, window);
            }
        }
        let mut found = Vec::new();
        self.options.retain(|source, options| {
            let sum = options.sum.sum(now.at, window);
            let measured = options.measured.sum(now.at, window) > 0.0;
            let is_sure = measured || options.sum.len() >= ESTIMATES;
            if let Some(level) = level(sum, settings.threshold, 0.5).filter(|_| is_sure) {
                let span = shown(window);
                let summary = format!("{sum:.0} OPTIONS from {source} within {span}");
                found.push(of(source, level, sum, summary));
            }
            !options.sum.is_empty()
        });
        found
    }

    fn packets(
        &mut self,
        now: Moment,
        seen: &Observation,
        settings: &AlertRuleSettings,
    ) -> Vec<Reading> {
        let second = Duration::try_from_secs_f64(seen.seconds).unwrap_or_default();
        let mut estimated = BTreeMap::new();
        let mut found = Vec::new();
        for source in seen.sources.iter().filter(|source| !source.is_trusted) {
            let SourceSeen { source, rate, estimated: is_estimated, .. } = source;
            let Some(mut level) = level(*rate, settings.threshold, 0.5) else { continue };
            let mut since = None;
            if level == Level::Over && *is_estimated {
                let before = self.estimated.get(source).copied();
                let (seconds, first) = before.unwrap_or((0, now.at.saturating_sub(second)));
                estimated.insert(source.clone(), (seconds + 1, first));
                match seconds + 1 < ESTIMATES {
                    true => level = Level::Near,
                    false => since = Some(first),
                }
            }
            let summary = format!("{rate:.0} packets a second from {source}");
            found.push(Reading { since, ..of(source, level, *rate, summary) });
        }
        self.estimated = estimated;
        found
    }

    fn fall(
        &mut self,
        now: Moment,
        seen: &Observation,
        settings: &AlertRuleSettings,
    ) -> Option<Reading> {
        let usual = seen.baseline.filter(|usual| *usual >= LEAST_VERIFIED)?;
        let verified = count(seen.verified);
        let fallen = (1.0 - verified / usual) * 100.0;
        let level = level(fallen, settings.threshold, 0.8);
        self.was_usual |= level.is_none();
        let started = self.started.unwrap_or(now.at);
        if !self.was_usual && now.at.saturating_sub(started) < LEARNING {
            return None;
        }
        let summary = compared(seen.verified, usual);
        Some(Reading { subject: None, level: level?, value: fallen, summary, since: None })
    }

    fn silence(&mut self, now: Moment, seen: &Observation) -> Option<Reading> {
        if seen.sip > 0.0 {
            self.spoke = Some(now.at);
            return None;
        }
        let silent = now.at.saturating_sub(self.spoke?);
        let summary = format!("no SIP packet for {}", shown(silent));
        Some(Reading {
            subject: None,
            level: Level::Over,
            value: silent.as_secs_f64(),
            summary,
            since: None,
        })
    }

    fn hurt(
        &mut self,
        now: Moment,
        seen: &Observation,
        settings: &AlertRuleSettings,
    ) -> Vec<Reading> {
        let window = settings.span;
        for one in &seen.would_hurt {
            let hurt = self.hurt.entry(one.rule.clone()).or_default();
            hurt.sum.add(now.at, 1.0, window);
            hurt.example.clone_from(&one.source);
        }
        let mut found = Vec::new();
        self.hurt.retain(|rule, hurt| {
            let sum = hurt.sum.sum(now.at, window);
            if let Some(level) = level(sum, settings.threshold, 0.5) {
                let (span, example) = (shown(window), &hurt.example);
                let summary = format!(
                    "rule {rule} would have dropped packets of verified or trusted sources: \
                     {sum:.0} were told of within {span}, the last of {example}"
                );
                found.push(of(rule, level, sum, summary));
            }
            !hurt.sum.is_empty()
        });
        found
    }

    fn bans(
        &mut self,
        now: Moment,
        seen: &Observation,
        settings: &AlertRuleSettings,
    ) -> Vec<Reading> {
        for AccountBan { source, is_customer, times } in &seen.bans {
            if self.banned.len() >= MAX_BANNED && !self.banned.contains_key(source) {
                forget_oldest(&mut self.banned, |banned| Some(banned.at));
            }
            let known = self.banned.entry(source.clone()).or_insert(Banned {
                times: 0,
                is_customer: false,
                at: now.at,
            });
            known.times = *times;
            // Once its bans go on for long enough, nobody remembers but we.
            known.is_customer |= is_customer;
            known.at = now.at;
        }
        for source in &seen.recovered {
            self.banned.remove(source);
        }
        self.banned.retain(|_, banned| now.at < banned.at + settings.span);
        let customers = self.banned.iter().filter(|(_, banned)| banned.is_customer);
        customers
            .filter_map(|(source, banned)| {
                let times = f64::from(banned.times);
                let level = level(times, settings.threshold, 1.0)?;
                let summary = format!(
                    "{source}, where the server has accepted somebody before, is banned for wrong \
                     passwords, {times} times in a row: a customer with a wrong password?"
                );
                Some(of(source, level, times, summary))
            })
            .collect()
    }

    fn lost(
        &mut self,
        now: Moment,
        seen: &Observation,
        settings: &AlertRuleSettings,
    ) -> Option<Reading> {
        let before = self.lost.before.replace(seen.events_lost).unwrap_or(seen.events_lost);
        let more = seen.events_lost.saturating_sub(before);
        if more > 0 {
            self.lost.sum.add(now.at, count(more), settings.span);
        }
        let sum = self.lost.sum.sum(now.at, settings.span);
        let level = level(sum, settings.threshold, 0.5)?;
        let summary = format!("{sum:.0} events were lost within {}", shown(settings.span));
        Some(Reading { subject: None, level, value: sum, summary, since: None })
    }
}

fn drops(seen: &Observation, settings: &AlertRuleSettings) -> Option<Reading> {
    let level = level(seen.dropped, settings.threshold, 0.5)?;
    let summary = format!("{:.0} packets a second are dropped", seen.dropped);
    Some(Reading { subject: None, level, value: seen.dropped, summary, since: None })
}

fn rise(seen: &Observation, settings: &AlertRuleSettings) -> Option<Reading> {
    let usual = seen.baseline?;
    let times = count(seen.verified) / usual.max(LEAST_VERIFIED);
    let level = level(times, settings.threshold, 0.8)?;
    let summary = compared(seen.verified, usual);
    Some(Reading { subject: None, level, value: times, summary, since: None })
}

fn compared(verified: u64, usual: f64) -> String {
    format!("{verified} endpoints are verified, usual at this hour are {usual:.0}")
}

fn maps(seen: &Observation, settings: &AlertRuleSettings) -> Vec<Reading> {
    let readings = seen.maps.iter().filter(|map| map.capacity > 0).filter_map(|map| {
        let percent = count(map.entries) / count(map.capacity) * 100.0;
        let level = level(percent, settings.threshold, 0.95)?;
        let (name, entries, capacity) = (&map.name, map.entries, map.capacity);
        let summary = format!("{name} is {percent:.0} % full: {entries} of {capacity} entries");
        Some(of(name, level, percent, summary))
    });
    readings.collect()
}

fn feeds(seen: &Observation) -> Vec<Reading> {
    let stale = seen.feeds.iter().filter(|feed| feed.age > feed.max_age);
    stale
        .map(|feed| {
            let (age, most) = (shown(feed.age), shown(feed.max_age));
            let summary =
                format!("feed {} was last fetched {age} ago, allowed are {most}", feed.name);
            of(&feed.name, Level::Over, feed.age.as_secs_f64(), summary)
        })
        .collect()
}

fn crowdsec(seen: &Observation) -> Option<Reading> {
    let why = seen.crowdsec.as_ref()?;
    let summary = format!("CrowdSec is of no use, what it has decided holds on: {why}");
    Some(Reading { subject: None, level: Level::Over, value: 1.0, summary, since: None })
}

fn generic(seen: &Observation) -> Vec<Reading> {
    let readings = seen.generic.iter().map(|(name, note)| {
        let summary = format!("{name} is protected in generic mode, which is slower: {note}");
        of(name, Level::Over, 1.0, summary)
    });
    readings.collect()
}

fn unprotected(seen: &Observation) -> Vec<Reading> {
    let readings = seen.unprotected.iter().map(|(name, why)| {
        of(name, Level::Over, 1.0, format!("nothing is filtered at {name}: {why}"))
    });
    readings.collect()
}

fn reload(seen: &Observation) -> Option<Reading> {
    let why = seen.reload_failed.as_ref()?;
    let summary = format!("the last reload has failed, the policy before it holds: {why}");
    Some(Reading { subject: None, level: Level::Over, value: 1.0, summary, since: None })
}

fn of(subject: &str, level: Level, value: f64, summary: String) -> Reading {
    Reading { subject: Some(subject.to_owned()), level, value, summary, since: None }
}

/// `None` from so many parts of the threshold down.
fn level(value: f64, threshold: u64, near: f64) -> Option<Level> {
    let threshold = count(threshold);
    if value >= threshold {
        Some(Level::Over)
    } else if value >= near * threshold {
        Some(Level::Near)
    } else {
        None
    }
}

/// Makes room for one more.
fn forget_oldest<T>(map: &mut BTreeMap<String, T>, last: impl Fn(&T) -> Option<Duration>) {
    let oldest = map.iter().min_by_key(|(_, one)| last(one)).map(|(key, _)| key.clone());
    if let Some(oldest) = oldest {
        map.remove(&oldest);
    }
}

/// In whole seconds.
pub(super) fn shown(time: Duration) -> String {
    Ttl::from_seconds(time.as_secs()).map_or_else(|| "0s".to_owned(), |ttl| ttl.to_string())
}

#[expect(clippy::cast_precision_loss, reason = "counts of packets and entries, to be compared")]
pub(super) fn count(number: u64) -> f64 {
    number as f64
}
