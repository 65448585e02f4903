//! What the tasks that talk to CrowdSec have in common with the daemon.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use jiff::Timestamp;
use tokio::sync::Notify;

use crate::{
    crowdsec::{Outbox, Report},
    sanitise::sanitise,
};

/// Characters of an error that are kept.
const MAX_ERROR: usize = 300;

/// How reading decisions goes, or telling of bans.
#[derive(Clone, Debug, Default)]
pub(in crate::daemon) struct Talk {
    /// When it last went well.
    pub(in crate::daemon) last_ok: Option<Timestamp>,
    /// Why it did not, since then.
    pub(in crate::daemon) last_error: Option<String>,
    /// Answers that were taken, or alerts that were told.
    pub(in crate::daemon) done: u64,
    /// Of the answers, those that named everything.
    pub(in crate::daemon) whole: u64,
    pub(in crate::daemon) failures: u64,
}

impl Talk {
    /// It went well. Gives what had been wrong.
    fn went_well(&mut self, done: u64, whole: bool) -> Option<String> {
        self.last_ok = Some(Timestamp::now());
        self.done += done;
        self.whole += u64::from(whole);
        self.last_error.take()
    }

    /// It did not. Gives whether that is news.
    fn failed(&mut self, error: &str) -> bool {
        let error = sanitise(error, MAX_ERROR);
        self.failures += 1;
        let was = self.last_error.replace(error.clone());
        was.is_none_or(|was| was != error)
    }
}

#[derive(Debug)]
struct Inner {
    started: Instant,
    outbox: Mutex<Outbox>,
    reader: Mutex<Talk>,
    reporter: Mutex<Talk>,
    settings: Notify,
    machine: Notify,
    bans: Notify,
}

/// A handle. None of its locks is held for longer than it takes to look.
#[derive(Clone, Debug)]
pub(in crate::daemon) struct Hub(Arc<Inner>);

impl Default for Hub {
    fn default() -> Self {
        Self(Arc::new(Inner {
            started: Instant::now(),
            outbox: Mutex::default(),
            reader: Mutex::default(),
            reporter: Mutex::default(),
            settings: Notify::new(),
            machine: Notify::new(),
            bans: Notify::new(),
        }))
    }
}

/// Each change is complete: a panic elsewhere leaves it good.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Hub {
    /// The clock of everything here, which never jumps.
    pub(in crate::daemon) fn now(&self) -> Duration {
        self.0.started.elapsed()
    }

    pub(in crate::daemon) fn reader(&self) -> Talk {
        lock(&self.0.reader).clone()
    }

    pub(in crate::daemon) fn reporter(&self) -> Talk {
        lock(&self.0.reporter).clone()
    }

    /// How many reports wait, and how many were lost.
    pub(in crate::daemon) fn waiting(&self) -> (usize, u64) {
        self.outbox().counts()
    }

    pub(super) fn outbox(&self) -> MutexGuard<'_, Outbox> {
        lock(&self.0.outbox)
    }

    /// A ban is to be told of.
    pub(in crate::daemon) fn ban(&self, report: Report) {
        self.outbox().ban(report);
        self.0.bans.notify_one();
    }

    /// Settings may have changed.
    pub(in crate::daemon) fn ring(&self) {
        self.0.settings.notify_one();
        self.0.machine.notify_one();
    }

    pub(super) async fn settings_changed(&self) {
        self.0.settings.notified().await;
    }

    pub(super) async fn machine_changed(&self) {
        self.0.machine.notified().await;
    }

    pub(super) async fn bans(&self) {
        self.0.bans.notified().await;
    }

    /// An answer was taken. Gives what had been wrong.
    pub(super) fn answered(&self, all: bool) -> Option<String> {
        lock(&self.0.reader).went_well(1, all)
    }

    /// There was none. Gives whether that is news.
    pub(super) fn failed(&self, error: &str) -> bool {
        lock(&self.0.reader).failed(error)
    }

    /// Alerts were told. Gives what had been wrong.
    pub(super) fn told(&self, count: usize) -> Option<String> {
        lock(&self.0.reporter).went_well(count as u64, false)
    }

    /// They were not. Gives whether that is news.
    pub(super) fn not_told(&self, error: &str) -> bool {
        lock(&self.0.reporter).failed(error)
    }

    /// Nothing is known any more: another local API, or none.
    pub(super) fn forget_reader(&self) {
        *lock(&self.0.reader) = Talk::default();
    }

    pub(super) fn forget_reporter(&self) {
        self.outbox().clear();
        *lock(&self.0.reporter) = Talk::default();
    }
}
