//! What is open, what was, and who is told.

use std::{
    cmp::Reverse,
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use tokio::sync::broadcast;

use super::{courier, courier::Courier, notice};
use crate::{
    alerts::{Alert, Change, Transition},
    api::wire::{self, AlertNotice, AlertTest},
    history::{History, Kind, Line},
    policy::{Action, AlertSettings, AlertSeverity, parse_net},
};

/// Alerts that are over and still told.
pub const KEPT: usize = 100;

/// Notices that a follower may lie behind.
const BEHIND: usize = 64;

/// Shared by the one who decides and all who ask.
#[derive(Clone)]
pub struct Board(Arc<Mutex<State>>);

struct State {
    host: String,
    open: Vec<Alert>,
    past: VecDeque<Alert>,
    couriers: Vec<Courier>,
    live: Option<broadcast::Sender<Arc<AlertNotice>>>,
}

impl Default for Board {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(State {
            host: notice::host(),
            open: Vec::new(),
            past: VecDeque::new(),
            couriers: Vec::new(),
            live: Some(broadcast::Sender::new(BEHIND)),
        })))
    }
}

impl fmt::Debug for Board {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Board").field("open", &self.state().open).finish_non_exhaustive()
    }
}

impl Board {
    /// What is open and what was, and how the actions do.
    #[must_use]
    pub fn alerts(&self) -> wire::Alerts {
        let state = self.state();
        let mut open: Vec<&Alert> = state.open.iter().collect();
        open.sort_by_key(|alert| (Reverse(alert.severity), alert.since, alert.number));
        wire::Alerts {
            open: open.into_iter().map(notice::wire).collect(),
            past: state.past.iter().rev().map(notice::wire).collect(),
            actions: state.couriers.iter().map(Courier::wire).collect(),
        }
    }

    /// How many are open.
    #[must_use]
    pub fn count(&self) -> usize {
        self.state().open.len()
    }

    /// How many of a severity are open.
    #[must_use]
    pub fn count_of(&self, severity: AlertSeverity) -> usize {
        self.state().open.iter().filter(|alert| alert.severity == severity).count()
    }

    /// Notices that come from now on. `None` when the daemon stops.
    #[must_use]
    pub fn follow(&self) -> Option<broadcast::Receiver<Arc<AlertNotice>>> {
        self.state().live.as_ref().map(broadcast::Sender::subscribe)
    }

    /// Nothing comes any more, and no action goes on.
    pub fn close(&self) {
        let mut state = self.state();
        (state.live, state.couriers) = (None, Vec::new());
    }

    /// From now on these are the actions. What waits for one that stays goes on
    /// waiting.
    pub(super) fn set_actions(&self, actions: &[Action]) {
        let mut state = self.state();
        let mut couriers = Vec::with_capacity(actions.len());
        for action in actions {
            let name = &action.name;
            let kept = state.couriers.iter().position(|one| one.action().name == *name);
            couriers.push(match kept {
                None => Courier::new(action.clone()),
                Some(at) => {
                    let courier = state.couriers.swap_remove(at);
                    courier.set(action.clone());
                    courier
                }
            });
        }
        state.couriers = couriers;
    }

    /// What is open now.
    pub(super) fn set_open(&self, open: Vec<Alert>) {
        self.state().open = open;
    }

    /// Tells history, followers and actions.
    pub(super) fn tell(&self, told: &Transition, settings: &AlertSettings, history: &History) {
        let mut state = self.state();
        let notice = Arc::new(notice::notice(told, &state.host));
        record(told, &notice, history);
        if told.change == Change::Cleared {
            if state.past.len() == KEPT {
                state.past.pop_front();
            }
            state.past.push_back(told.alert.clone());
        }
        if let Some(live) = &state.live {
            // An error says that nobody follows.
            let _ = live.send(Arc::clone(&notice));
        }
        for action in settings.actions_of(told.alert.rule, told.alert.severity) {
            let courier = state.couriers.iter().find(|one| one.action().name == action.name);
            if let Some(courier) = courier {
                courier.send(&notice);
            }
        }
    }

    /// Tries an action, once; `None` where there is none of this name.
    pub async fn test(&self, name: &str) -> Option<AlertTest> {
        let (action, host) = {
            let state = self.state();
            let action = state.couriers.iter().map(Courier::action).find(|one| one.name == name);
            (action?, state.host.clone())
        };
        let started = Instant::now();
        let outcome = courier::once(&action, &notice::test(&host)).await;
        let ok = outcome.is_ok();
        let message = outcome.unwrap_or_else(super::Trouble::message);
        let seconds = started.elapsed().as_secs_f64();
        Some(AlertTest { action: action.name, ok, message, seconds })
    }

    /// The names of all actions.
    #[must_use]
    pub fn actions(&self) -> Vec<String> {
        self.state().couriers.iter().map(|courier| courier.action().name).collect()
    }

    /// Each change of the state is complete: a panic elsewhere leaves it good.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A line of the history; not for reminders, which say nothing new.
fn record(told: &Transition, notice: &AlertNotice, history: &History) {
    let kind = match told.change {
        Change::Raised => Kind::Alert,
        Change::Cleared => Kind::Clear,
        Change::Reminded => return,
    };
    let subject = notice.alert.subject.clone();
    history.add(Line {
        net: subject.as_deref().and_then(|subject| parse_net(subject).ok()),
        target: subject,
        new: Some(notice::words(notice).to_owned()),
        ..Line::new(kind, format!("alert:{}", told.alert.rule.name()))
    });
}
