//! Where feeds are asked for out of turn.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
};

use tokio::sync::{Notify, oneshot};

/// Somebody who waits until these feeds have been read.
#[derive(Debug)]
pub(super) struct Ask {
    pub(super) names: BTreeSet<String>,
    pub(super) done: oneshot::Sender<()>,
}

/// What was asked, for the task that reads feeds.
#[derive(Debug, Default)]
pub(in crate::daemon) struct Desk {
    asked: Mutex<Vec<Ask>>,
    bell: Notify,
}

impl Desk {
    /// Asks for feeds. What comes back says that they have been read.
    pub(in crate::daemon) fn ask(&self, names: BTreeSet<String>) -> oneshot::Receiver<()> {
        let (done, answer) = oneshot::channel();
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).push(Ask { names, done });
        self.ring();
        answer
    }

    /// Says that something has changed: what was asked, or the settings.
    pub(in crate::daemon) fn ring(&self) {
        self.bell.notify_one();
    }

    pub(super) fn take(&self) -> Vec<Ask> {
        std::mem::take(&mut *self.asked.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits until it rings.
    pub(super) async fn rung(&self) {
        self.bell.notified().await;
    }
}
