//! The last events, and those who follow the coming ones.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use ipnet::IpNet;
use sipguard_common::rule::Rule;
use tokio::sync::broadcast;

use super::told::Told;

/// Events that are kept of each rule: a flood that one rule drops does not push
/// out what another has dropped.
pub const KEPT_PER_RULE: usize = 200;

/// Events that a follower may lie behind; then he loses the oldest.
pub const BEHIND: usize = 1024;

/// Which events somebody wants.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted {
    pub rule: Option<Rule>,
    /// The source's address or network.
    pub source: Option<IpNet>,
}

impl Wanted {
    /// Whether this is one of them.
    #[must_use]
    pub fn is(&self, told: &Told) -> bool {
        self.rule.is_none_or(|rule| rule == told.rule)
            && self.source.is_none_or(|net| net.contains(&told.source()))
    }
}

/// What was kept, oldest first, and what comes from then on.
#[derive(Debug)]
pub struct Recent {
    pub kept: Vec<Arc<Told>>,
    /// `None` when the daemon stops.
    pub coming: Option<broadcast::Receiver<Arc<Told>>>,
}

/// Shared by the one who writes and all who read.
#[derive(Clone, Default)]
pub struct Journal(Arc<Mutex<State>>);

struct State {
    /// How many there were so far.
    count: u64,
    kept: BTreeMap<Rule, VecDeque<(u64, Arc<Told>)>>,
    live: Option<broadcast::Sender<Arc<Told>>>,
}

impl Default for State {
    fn default() -> Self {
        Self { count: 0, kept: BTreeMap::new(), live: Some(broadcast::Sender::new(BEHIND)) }
    }
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Journal").field("count", &self.state().count).finish_non_exhaustive()
    }
}

impl Journal {
    /// Keeps an event and passes it on.
    pub fn add(&self, told: &Arc<Told>) {
        let state = &mut *self.state();
        let kept = state.kept.entry(told.rule).or_default();
        if kept.len() == KEPT_PER_RULE {
            kept.pop_front();
        }
        kept.push_back((state.count, Arc::clone(told)));
        state.count += 1;
        if let Some(live) = &state.live {
            // An error says that nobody follows.
            let _ = live.send(Arc::clone(told));
        }
    }

    /// The last `count` that are wanted, and those that come from now on: none
    /// is in both, and none between them is left out.
    #[must_use]
    pub fn recent(&self, wanted: &Wanted, count: usize) -> Recent {
        let state = self.state();
        let all = state.kept.values().flatten().filter(|(_, told)| wanted.is(told));
        let mut kept: Vec<(u64, Arc<Told>)> = all.cloned().collect();
        kept.sort_unstable_by_key(|(number, _)| *number);
        let kept = kept.split_off(kept.len().saturating_sub(count));
        Recent {
            kept: kept.into_iter().map(|(_, told)| told).collect(),
            coming: state.live.as_ref().map(broadcast::Sender::subscribe),
        }
    }

    /// Nothing comes any more: those who follow have reached the end.
    pub fn close(&self) {
        self.state().live = None;
    }

    /// Each change of the state is complete: a panic elsewhere leaves it good.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::broadcast::error::TryRecvError;

    use super::{super::told::sample, *};

    fn add(journal: &Journal, rule: Rule, host: u8) {
        let event = sample(rule, [198, 51, 100, host], b"");
        journal.add(&Arc::new(Told::new(event, "eth0".to_owned(), None).unwrap()));
    }

    fn hosts(recent: &Recent) -> Vec<String> {
        recent.kept.iter().map(|told| told.source().to_string()).collect()
    }

    #[test]
    fn the_last_ones_come_in_order_and_filtered() {
        let journal = Journal::default();
        add(&journal, Rule::Signature, 1);
        add(&journal, Rule::Options, 2);
        add(&journal, Rule::Signature, 3);
        add(&journal, Rule::Options, 200);
        let all = Wanted::default();
        assert_eq!(
            hosts(&journal.recent(&all, 3)),
            ["198.51.100.2", "198.51.100.3", "198.51.100.200"]
        );
        let signature = Wanted { rule: Some(Rule::Signature), ..all };
        assert_eq!(hosts(&journal.recent(&signature, 9)), ["198.51.100.1", "198.51.100.3"]);
        let source = Some("198.51.100.128/25".parse().unwrap());
        assert_eq!(hosts(&journal.recent(&Wanted { source, ..all }, 9)), ["198.51.100.200"]);
        assert!(journal.recent(&all, 0).kept.is_empty());
    }

    #[test]
    fn a_flood_of_one_rule_leaves_the_others() {
        let journal = Journal::default();
        add(&journal, Rule::RateMethod, 1);
        (0..10 * KEPT_PER_RULE).for_each(|_| add(&journal, Rule::Signature, 2));
        let kept = journal.recent(&Wanted::default(), usize::MAX).kept;
        assert_eq!(kept.len(), KEPT_PER_RULE + 1);
        assert_eq!(kept[0].rule, Rule::RateMethod);
    }

    #[test]
    fn followers_get_what_comes_and_then_the_end() {
        let journal = Journal::default();
        add(&journal, Rule::Signature, 1);
        let mut recent = journal.recent(&Wanted::default(), 9);
        add(&journal, Rule::Signature, 2);
        assert_eq!(hosts(&recent), ["198.51.100.1"]);
        let coming = recent.coming.as_mut().unwrap();
        assert_eq!(coming.try_recv().unwrap().source().to_string(), "198.51.100.2");
        assert_eq!(coming.try_recv().unwrap_err(), TryRecvError::Empty);
        journal.close();
        assert_eq!(coming.try_recv().unwrap_err(), TryRecvError::Closed);
        assert!(journal.recent(&Wanted::default(), 9).coming.is_none());
    }

    #[test]
    fn slow_followers_are_told_how_many_they_missed() {
        let journal = Journal::default();
        let mut coming = journal.recent(&Wanted::default(), 0).coming.unwrap();
        (0..BEHIND + 7).for_each(|_| add(&journal, Rule::Signature, 1));
        assert_eq!(coming.try_recv().unwrap_err(), TryRecvError::Lagged(7));
        assert!(coming.try_recv().is_ok());
    }
}
