//! The last minutes, and those who follow.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::broadcast;

use crate::api::wire::Pulse;

/// Seconds that are kept: five minutes.
pub const KEPT: usize = 300;

/// Seconds that a follower may lie behind.
const BEHIND: usize = 16;

/// Shared by the one who measures and all who watch.
#[derive(Clone, Default)]
pub struct Pulses(Arc<Mutex<State>>);

struct State {
    kept: VecDeque<Arc<Pulse>>,
    live: Option<broadcast::Sender<Arc<Pulse>>>,
}

impl Default for State {
    fn default() -> Self {
        Self { kept: VecDeque::new(), live: Some(broadcast::Sender::new(BEHIND)) }
    }
}

impl fmt::Debug for Pulses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pulses").field("kept", &self.state().kept.len()).finish_non_exhaustive()
    }
}

impl Pulses {
    /// Keeps a second and passes it on.
    pub(in crate::daemon) fn add(&self, pulse: Pulse) {
        let (pulse, state) = (Arc::new(pulse), &mut *self.state());
        if state.kept.len() == KEPT {
            state.kept.pop_front();
        }
        state.kept.push_back(Arc::clone(&pulse));
        if let Some(live) = &state.live {
            // An error says that nobody follows.
            let _ = live.send(pulse);
        }
    }

    /// The newest.
    #[must_use]
    pub fn last(&self) -> Option<Arc<Pulse>> {
        self.state().kept.back().cloned()
    }

    /// The last `count`, oldest first, and those that come from now on: none is
    /// in both. Nothing comes when the daemon stops.
    #[must_use]
    pub fn recent(
        &self,
        count: usize,
    ) -> (Vec<Arc<Pulse>>, Option<broadcast::Receiver<Arc<Pulse>>>) {
        let state = self.state();
        let kept = state.kept.iter().skip(state.kept.len().saturating_sub(count));
        (kept.cloned().collect(), state.live.as_ref().map(broadcast::Sender::subscribe))
    }

    /// All that are kept, oldest first.
    #[must_use]
    pub fn history(&self) -> Vec<Arc<Pulse>> {
        self.recent(KEPT).0
    }

    /// Those that come from now on.
    #[must_use]
    pub fn follow(&self) -> Option<broadcast::Receiver<Arc<Pulse>>> {
        self.recent(0).1
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
