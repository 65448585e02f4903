//! From seconds to periods of some minutes.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use jiff::Timestamp;
use tokio::sync::broadcast::error::RecvError;

use crate::{
    api::wire::{Pulse, RuleCount, SourceRate},
    daemon::Shared,
    history::{Period, RuleTotal, SourceTotal},
};

/// The length of a period.
const PERIOD: Duration = Duration::from_secs(300);

/// Sources that are written down of each period: those with most packets dropped.
const SOURCES: usize = 20;

/// Sources that are remembered during a period. A flood of made-up ones makes
/// those go first that sent least.
const REMEMBERED: usize = 4096;

/// The period that is under way.
#[derive(Clone, Debug, Default)]
pub(in crate::daemon) struct Recorder(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// Counts since the start when the last period ended: packets, bytes, and
    /// what would have been dropped.
    before: BTreeMap<String, [u64; 3]>,
    now: BTreeMap<String, [u64; 3]>,
    sources: HashMap<String, Sent>,
}

#[derive(Debug, Default)]
struct Sent {
    packets: f64,
    dropped: f64,
    rule: String,
    method: Option<String>,
}

impl Recorder {
    /// Takes a second in.
    pub(in crate::daemon) fn add(&self, pulse: &Pulse) {
        let state = &mut *self.state();
        for one in &pulse.rules {
            let counts = [one.packets, one.bytes, one.would_packets];
            state.now.insert(one.rule.clone(), counts);
        }
        for one in &pulse.sources {
            state.add(one, pulse.seconds);
        }
        if state.sources.len() > REMEMBERED {
            state.forget();
        }
    }

    /// So much was counted by an earlier run, whose counters this one goes on
    /// with: none of it is this run's.
    fn begin(&self, counted: &[RuleCount]) {
        let counts = counted
            .iter()
            .map(|one| (one.rule.clone(), [one.packets, one.bytes, one.would_packets]));
        self.state().before = counts.collect();
    }

    /// What was counted so far. `None` where nothing was.
    pub(super) fn peek(&self, now: Timestamp) -> Option<Period> {
        self.state().period(now)
    }

    /// The same, and the next period begins.
    pub(in crate::daemon) fn end(&self, now: Timestamp) -> Option<Period> {
        let state = &mut *self.state();
        let period = state.period(now);
        state.before.clone_from(&state.now);
        state.sources.clear();
        period
    }

    /// Each change of the state is complete: a panic elsewhere leaves it good.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn add(&mut self, one: &SourceRate, seconds: f64) {
        let sent = self.sources.entry(one.source.clone()).or_default();
        sent.packets += one.rate * seconds;
        sent.dropped += one.dropped * seconds;
        sent.rule.clone_from(&one.rule);
        if one.method.is_some() {
            sent.method.clone_from(&one.method);
        }
    }

    /// Keeps the half that sent most.
    fn forget(&mut self) {
        let mut all: Vec<f64> = self.sources.values().map(|sent| sent.packets).collect();
        all.sort_unstable_by(|one, other| other.total_cmp(one));
        let least = all.get(REMEMBERED / 2).copied().unwrap_or_default();
        self.sources.retain(|_, sent| sent.packets > least);
    }

    fn period(&self, now: Timestamp) -> Option<Period> {
        let at = Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now);
        let period = Period { at, rules: self.rules(), sources: self.busiest() };
        (!period.rules.is_empty()).then_some(period)
    }

    /// What was counted in the period.
    fn rules(&self) -> Vec<RuleTotal> {
        let more = |(rule, now): (&String, &[u64; 3])| {
            let before = self.before.get(rule).copied().unwrap_or_default();
            let [packets, bytes, would] =
                std::array::from_fn(|i: usize| now[i].saturating_sub(before[i]));
            let total = RuleTotal { rule: rule.clone(), packets, bytes, would };
            (packets > 0 || would > 0).then_some(total)
        };
        self.now.iter().filter_map(more).collect()
    }

    /// Who had most dropped, and would be worth a look.
    fn busiest(&self) -> Vec<SourceTotal> {
        let mut all: Vec<(&String, &Sent)> =
            self.sources.iter().filter(|(_, sent)| sent.dropped >= 0.5).collect();
        all.sort_unstable_by(|(name, one), (other_name, other)| {
            other.dropped.total_cmp(&one.dropped).then_with(|| name.cmp(other_name))
        });
        all.truncate(SOURCES);
        all.into_iter()
            .map(|(source, sent)| SourceTotal {
                source: source.clone(),
                packets: whole(sent.packets),
                dropped: whole(sent.dropped),
                rule: sent.rule.clone(),
                method: sent.method.clone(),
            })
            .collect()
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates at 0")]
fn whole(packets: f64) -> u64 {
    packets.round() as u64
}

/// Writes periods down for as long as the daemon runs.
pub(in crate::daemon) async fn record(shared: Shared) {
    let Some(mut coming) = shared.pulse().follow() else { return };
    if let Some(counted) = shared.daemon().await.counted_before() {
        shared.recorder().begin(&counted);
    }
    let mut due = Instant::now() + PERIOD;
    loop {
        match coming.recv().await {
            Ok(pulse) => shared.recorder().add(&pulse),
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return,
        }
        if Instant::now() >= due {
            due = Instant::now() + PERIOD;
            write_down(&shared).await;
        }
    }
}

/// Writes the period down, and begins the next one.
pub(in crate::daemon) async fn write_down(shared: &Shared) {
    if let Some(period) = shared.recorder().end(Timestamp::now()) {
        shared.daemon().await.history().add_period(period);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::wire::RuleRate;

    /// What an earlier run has counted stands in its own periods.
    #[test]
    fn counters_of_an_earlier_run_are_not_counted_again() {
        let recorder = Recorder::default();
        recorder.begin(&[RuleCount {
            rule: "options".to_owned(),
            verdict: "drop".to_owned(),
            mode: None,
            packets: 100,
            bytes: 40_000,
            would_packets: 0,
            would_bytes: 0,
            per_interface: Vec::new(),
        }]);
        recorder.add(&pulse(&[("options", 103)], &[]));
        let period = recorder.end(Timestamp::now()).unwrap();
        assert_eq!((period.rules[0].packets, period.rules[0].bytes), (3, 1_200));
    }

    fn pulse(rules: &[(&str, u64)], sources: &[(&str, f64)]) -> Pulse {
        let rule = |(rule, packets): &(&str, u64)| RuleRate {
            rule: (*rule).to_owned(),
            verdict: "drop".to_owned(),
            packets: *packets,
            bytes: 400 * packets,
            would_packets: 0,
            rate: 0.0,
            bytes_rate: 0.0,
            would_rate: 0.0,
            last: None,
        };
        let source = |(source, rate): &(&str, f64)| SourceRate {
            source: (*source).to_owned(),
            rate: *rate,
            dropped: *rate / 2.0,
            options: 0.0,
            register: *rate,
            invite: 0.0,
            packets: 7,
            method: None,
            rule: "options".to_owned(),
            standing: "stranger".to_owned(),
            estimated: false,
        };
        Pulse {
            time: Timestamp::UNIX_EPOCH,
            seconds: 2.0,
            posture: "guarded".to_owned(),
            passed: 0.0,
            dropped: 0.0,
            would_drop: 0.0,
            rules: rules.iter().map(rule).collect(),
            replies: vec![],
            sources: sources.iter().map(source).collect(),
            verified: 0,
            banned: 0,
            blocked: 0,
            trusted: 0,
            maps: vec![],
            events_lost: 0,
            events_suppressed: 0,
        }
    }

    #[test]
    fn a_period_holds_what_came_in_it() {
        let recorder = Recorder::default();
        recorder.add(&pulse(&[("options", 10)], &[("192.0.2.1", 3.0)]));
        recorder.add(&pulse(&[("options", 16), ("blocked", 1)], &[("192.0.2.1", 1.0)]));
        let period = recorder.end(Timestamp::UNIX_EPOCH).unwrap();
        let rules: Vec<_> = period.rules.iter().map(|one| (&*one.rule, one.packets)).collect();
        assert_eq!(rules, [("blocked", 1), ("options", 16)]);
        assert_eq!((period.sources[0].packets, period.sources[0].dropped), (8, 4));
        // The next one counts from there on.
        recorder.add(&pulse(&[("options", 20), ("blocked", 1)], &[]));
        let period = recorder.end(Timestamp::UNIX_EPOCH).unwrap();
        let rules: Vec<_> = period.rules.iter().map(|one| (&*one.rule, one.packets)).collect();
        assert_eq!((rules, period.sources.len()), (vec![("options", 4)], 0));
        recorder.add(&pulse(&[("options", 20), ("blocked", 1)], &[]));
        assert_eq!(recorder.end(Timestamp::UNIX_EPOCH), None);
    }

    #[test]
    fn made_up_sources_have_an_end() {
        let recorder = Recorder::default();
        recorder.add(&pulse(&[("options", 1)], &[("192.0.2.1", 100.0)]));
        for second in 0..200 {
            let names: Vec<String> = (0..50).map(|i| format!("10.0.{second}.{i}")).collect();
            let sources: Vec<_> = names.iter().map(|name| (name.as_str(), 1.0)).collect();
            recorder.add(&pulse(&[("options", 2)], &sources));
        }
        assert!(recorder.state().sources.len() <= REMEMBERED);
        let period = recorder.end(Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!((period.sources.len(), &*period.sources[0].source), (SOURCES, "192.0.2.1"));
    }
}
