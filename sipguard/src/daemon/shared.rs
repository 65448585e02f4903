//! The daemon as its tasks share it.

use std::sync::Arc;

use tokio::sync::{Mutex, MutexGuard, OwnedMutexGuard};

use super::{Board, Daemon, Journal, Place, Pulses, Taps, report::Recorder};

/// A handle to the one daemon. Each request has it to itself from beginning to
/// end, so that none sees another half done.
#[derive(Clone, Debug)]
pub struct Shared(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    daemon: Mutex<Daemon>,
    /// Held by the one reload that is under way: two must not overtake each
    /// other between reading the files and applying them.
    reload: Arc<Mutex<()>>,
    place: Place,
    events: Journal,
    pulse: Pulses,
    alerts: Board,
    recorder: Recorder,
    taps: Taps,
}

impl Shared {
    #[must_use]
    pub fn new(daemon: Daemon) -> Self {
        let (place, taps) = (daemon.place().clone(), daemon.taps().clone());
        Self(Arc::new(Inner {
            daemon: Mutex::new(daemon),
            reload: Arc::default(),
            place,
            events: Journal::default(),
            pulse: Pulses::default(),
            alerts: Board::default(),
            recorder: Recorder::default(),
            taps,
        }))
    }

    /// Waits for the daemon.
    pub async fn daemon(&self) -> MutexGuard<'_, Daemon> {
        self.0.daemon.lock().await
    }

    /// Waits for the daemon on a thread of its own.
    pub fn blocking_daemon(&self) -> MutexGuard<'_, Daemon> {
        self.0.daemon.blocking_lock()
    }

    /// Waits until no other reload is under way.
    pub(super) async fn reload_turn(&self) -> OwnedMutexGuard<()> {
        self.0.reload.clone().lock_owned().await
    }

    /// Where the policy comes from.
    #[must_use]
    pub fn place(&self) -> &Place {
        &self.0.place
    }

    /// What happens, second by second.
    #[must_use]
    pub fn pulse(&self) -> &Pulses {
        &self.0.pulse
    }

    /// What operators are told of.
    #[must_use]
    pub fn alerts(&self) -> &Board {
        &self.0.alerts
    }

    /// What the history will hold of the last minutes.
    pub(super) fn recorder(&self) -> &Recorder {
        &self.0.recorder
    }

    /// What the kernel program told of single packets.
    #[must_use]
    pub fn events(&self) -> &Journal {
        &self.0.events
    }

    /// Who gets whole packets.
    #[must_use]
    pub fn taps(&self) -> &Taps {
        &self.0.taps
    }
}
