//! From what the rules say each second to alerts that begin and end.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jiff::Timestamp;

use super::{
    Moment, Observation,
    judge::{Judge, Level, Reading, count},
};
use crate::policy::{AlertRule, AlertSettings, AlertSeverity, Span};

/// Open alerts of one rule at most; the other subjects are summed up in one
/// alert more. Whoever attacks from many sources sends no flood of alerts.
pub const MAX_SUBJECTS: usize = 10;

/// The subject of that one.
pub const OTHERS: &str = "others";

/// How much earlier than its time a second may come.
const JITTER: Duration = Duration::from_millis(100);

/// Something that operators should know.
#[derive(Clone, Debug, PartialEq)]
pub struct Alert {
    /// Counted from 1.
    pub number: u64,
    pub rule: AlertRule,
    /// A source, a map, a rule or a feed; none where the rule has only one.
    pub subject: Option<String>,
    pub severity: AlertSeverity,
    pub since: Timestamp,
    /// None as long as it is open.
    pub until: Option<Timestamp>,
    /// As last seen.
    pub value: f64,
    /// The highest one.
    pub peak: f64,
    /// None where the rule has none.
    pub threshold: Option<u64>,
    /// One line, as last seen.
    pub summary: String,
}

/// What has become of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    Raised,
    /// Still open.
    Reminded,
    Cleared,
}

impl Change {
    /// As told.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Raised => "raised",
            Self::Reminded => "reminded",
            Self::Cleared => "cleared",
        }
    }
}

/// What is to be told.
#[derive(Clone, Debug, PartialEq)]
pub struct Transition {
    pub change: Change,
    pub alert: Alert,
}

type Key = (AlertRule, Option<String>);

#[derive(Debug)]
struct Open {
    alert: Alert,
    /// Since when it is all right again.
    calm: Option<Duration>,
    told: Duration,
}

/// Decides when operators are told. Open alerts stay open when the settings
/// change, unless their rule is switched off.
#[derive(Debug)]
pub struct Engine {
    settings: Arc<AlertSettings>,
    judge: Judge,
    /// Since when a threshold is reached of which nobody was told yet.
    waiting: BTreeMap<Key, Duration>,
    open: BTreeMap<Key, Open>,
    number: u64,
}

impl Engine {
    #[must_use]
    pub fn new(settings: Arc<AlertSettings>) -> Self {
        Self {
            settings,
            judge: Judge::default(),
            waiting: BTreeMap::new(),
            open: BTreeMap::new(),
            number: 0,
        }
    }

    /// Goes on by other settings.
    pub fn set(&mut self, settings: Arc<AlertSettings>) {
        self.settings = settings;
    }

    /// The settings that hold.
    #[must_use]
    pub fn settings(&self) -> &Arc<AlertSettings> {
        &self.settings
    }

    /// What is open now.
    pub fn open(&self) -> impl Iterator<Item = &Alert> {
        self.open.values().map(|open| &open.alert)
    }

    /// Hears what is seen now, and gives what is to be told: all-clears first.
    pub fn observe(&mut self, now: Moment, seen: &Observation) -> Vec<Transition> {
        let settings = Arc::clone(&self.settings);
        let readings: BTreeMap<Key, Reading> = self
            .judge
            .judge(now, seen, &settings)
            .into_iter()
            .map(|(rule, reading)| ((rule, reading.subject.clone()), reading))
            .collect();
        let mut told = self.go_on(now, &readings);
        let since =
            now.at.saturating_sub(Duration::try_from_secs_f64(seen.seconds).unwrap_or_default());
        let mut left_out: BTreeMap<AlertRule, u64> = BTreeMap::new();
        let mut waiting = BTreeMap::new();
        for (key, reading) in &readings {
            if reading.level != Level::Over || self.open.contains_key(key) {
                continue;
            }
            let since = self.waiting.get(key).copied().or(reading.since).unwrap_or(since);
            let span = match key.0.span() {
                Span::For(_) => settings.rule(key.0).span,
                _ => Duration::ZERO,
            };
            if now.at.saturating_sub(since) + JITTER < span {
                waiting.insert(key.clone(), since);
            } else if self.has_room(key.0) {
                told.push(self.raise(now, key, reading));
            } else {
                *left_out.entry(key.0).or_default() += 1;
                waiting.insert(key.clone(), since);
            }
        }
        self.waiting = waiting;
        told.extend(self.sum_up(now, &left_out));
        told.extend(self.remind(now));
        told
    }

    /// What becomes of those that are open.
    fn go_on(&mut self, now: Moment, readings: &BTreeMap<Key, Reading>) -> Vec<Transition> {
        for (key, open) in &mut self.open {
            if is_of_others(key) {
                continue;
            }
            match readings.get(key) {
                Some(reading) => open.see(reading),
                None => drop(open.calm.get_or_insert(now.at)),
            }
        }
        self.clear(now, |key| !is_of_others(key))
    }

    /// Ends those that have been calm for long enough.
    fn clear(&mut self, now: Moment, chosen: impl Fn(&Key) -> bool) -> Vec<Transition> {
        let mut cleared = Vec::new();
        let settings = &self.settings;
        self.open.retain(|key, open| {
            let patience = if ends_at_once(key.0) { Duration::ZERO } else { settings.clear };
            let is_calm = open.calm.is_some_and(|since| now.at.saturating_sub(since) >= patience);
            let is_over = is_calm || !settings.rule(key.0).enabled;
            if chosen(key) && is_over {
                let alert = Alert { until: Some(now.wall), ..open.alert.clone() };
                cleared.push(Transition { change: Change::Cleared, alert });
                return false;
            }
            true
        });
        cleared
    }

    fn has_room(&self, rule: AlertRule) -> bool {
        let of_rule = self.open.keys().filter(|key| key.0 == rule && !is_of_others(key));
        of_rule.count() < MAX_SUBJECTS
    }

    fn raise(&mut self, now: Moment, key: &Key, reading: &Reading) -> Transition {
        let settings = self.settings.rule(key.0);
        self.number += 1;
        let alert = Alert {
            number: self.number,
            rule: key.0,
            subject: key.1.clone(),
            severity: settings.severity,
            since: now.wall,
            until: None,
            value: reading.value,
            peak: reading.value,
            threshold: key.0.threshold().map(|_| settings.threshold),
            summary: reading.summary.clone(),
        };
        let open = Open { alert: alert.clone(), calm: None, told: now.at };
        self.open.insert(key.clone(), open);
        Transition { change: Change::Raised, alert }
    }

    /// One alert for all subjects of a rule for which there is no room.
    fn sum_up(&mut self, now: Moment, left_out: &BTreeMap<AlertRule, u64>) -> Vec<Transition> {
        for (key, open) in self.open.iter_mut().filter(|(key, _)| is_of_others(key)) {
            if !left_out.contains_key(&key.0) {
                open.calm.get_or_insert(now.at);
            }
        }
        let mut told = self.clear(now, is_of_others);
        for (rule, more) in left_out {
            let key = (*rule, Some(OTHERS.to_owned()));
            let reading = Reading {
                subject: key.1.clone(),
                level: Level::Over,
                value: count(*more),
                summary: format!(
                    "{more} more than the {MAX_SUBJECTS} that have alerts of their own"
                ),
                since: None,
            };
            match self.open.get_mut(&key) {
                Some(open) => open.see(&reading),
                None => told.push(self.raise(now, &key, &reading)),
            }
        }
        told
    }

    fn remind(&mut self, now: Moment) -> Vec<Transition> {
        let Some(after) = self.settings.remind else { return Vec::new() };
        let due = |open: &&mut Open| {
            open.calm.is_none() && now.at.saturating_sub(open.told) + JITTER >= after
        };
        let due = self.open.values_mut().filter(due);
        due.map(|open| {
            open.told = now.at;
            Transition { change: Change::Reminded, alert: open.alert.clone() }
        })
        .collect()
    }
}

impl Open {
    fn see(&mut self, reading: &Reading) {
        self.calm = None;
        self.alert.value = reading.value;
        if reading.level == Level::Over {
            self.alert.peak = self.alert.peak.max(reading.value);
            self.alert.summary.clone_from(&reading.summary);
        }
    }
}

fn is_of_others(key: &Key) -> bool {
    key.1.as_deref() == Some(OTHERS)
}

/// What either holds or not does not flutter.
fn ends_at_once(rule: AlertRule) -> bool {
    matches!(
        rule,
        AlertRule::Silence
            | AlertRule::FeedStale
            | AlertRule::CrowdsecDown
            | AlertRule::GenericMode
            | AlertRule::Unprotected
            | AlertRule::ReloadFailed
    )
}
