//! Whole packets that somebody has asked for: from the kernel's ring buffer to
//! the one capture that is being taken, and to the mirror.

mod capturing;
mod losses;
mod mirror;
mod mirroring;
mod pump;

pub use self::capturing::Capturing;
pub(super) use self::{
    losses::Losses,
    mirror::{Wanted, mirror},
    mirroring::Mirroring,
    pump::pump,
};

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use sipguard_common::abi::Tap;
use tokio::sync::mpsc::{self, error::TrySendError};

use crate::{
    api::wire,
    capture::{Frame, monotonic_ns},
};

/// Packets that may wait for the one who reads a capture.
const WAITING: usize = 4096;

/// Packets that may wait for the mirror.
const MIRROR_WAITING: usize = 512;

/// Who gets which packets: a handle, shared by all.
#[derive(Clone, Debug, Default)]
pub struct Taps(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    capture: Option<Held>,
    /// Of the last capture.
    number: u64,
    mirror: Option<mpsc::Sender<Arc<Frame>>>,
    mirroring: Mirroring,
    /// The daemon stops.
    closed: bool,
}

/// The capture that is being taken.
#[derive(Debug)]
struct Held {
    number: u64,
    uid: u32,
    since: Timestamp,
    /// The same by CLOCK_MONOTONIC: what is older was for the capture before.
    since_ns: u64,
    /// What the kernel program had not given before.
    base: Losses,
    /// `None` when nothing comes any more.
    packets: Option<mpsc::Sender<Arc<Frame>>>,
    passed_on: u64,
    /// Packets that its reader was too slow for.
    missed: u64,
}

/// A place in [`Taps`] for one capture.
#[derive(Debug)]
pub(super) struct Reserved {
    pub(super) number: u64,
    pub(super) packets: mpsc::Receiver<Arc<Frame>>,
}

/// Somebody else takes a capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Taken {
    pub(super) uid: u32,
    pub(super) since: Timestamp,
}

impl Taps {
    /// Begins a capture.
    pub(super) fn reserve(
        &self,
        uid: u32,
        since: Timestamp,
        base: Losses,
    ) -> Result<Reserved, Taken> {
        let state = &mut *self.state();
        if let Some(Held { uid, since, .. }) = state.capture {
            return Err(Taken { uid, since });
        }
        let (sender, packets) = mpsc::channel(WAITING);
        state.number += 1;
        let number = state.number;
        let sender = Some(sender).filter(|_| !state.closed);
        state.capture = Some(Held {
            number,
            uid,
            since,
            since_ns: monotonic_ns(),
            base,
            packets: sender,
            passed_on: 0,
            missed: 0,
        });
        Ok(Reserved { number, packets })
    }

    /// Whose capture this is, if it has not ended.
    pub(super) fn holder(&self, number: u64) -> Option<u32> {
        let state = self.state();
        state.capture.as_ref().filter(|held| held.number == number).map(|held| held.uid)
    }

    /// Ends it.
    pub(super) fn release(&self, number: u64) {
        self.state().capture.take_if(|held| held.number == number);
    }

    /// The capture that is being taken; `losses` are what the kernel program
    /// has not given up to now.
    pub(super) fn capture(&self, losses: Losses) -> Option<wire::Capture> {
        let state = self.state();
        let Held { uid, since, base, passed_on, missed, .. } = state.capture.as_ref()?;
        let Losses { held_back, lost } = losses.since(*base);
        Some(wire::Capture {
            uid: *uid,
            since: *since,
            packets: *passed_on,
            held_back,
            lost: lost + missed,
        })
    }

    /// Passes a packet on to those with a [`Tap::bit`] in `taps`.
    pub(crate) fn give(&self, frame: &Arc<Frame>, taps: u32) {
        let state = &mut *self.state();
        if taps & Tap::Capture.bit() != 0
            && let Some(held) = &mut state.capture
            && let Some(packets) = &held.packets
            && frame.time_ns >= held.since_ns
        {
            match packets.try_send(Arc::clone(frame)) {
                Ok(()) => held.passed_on += 1,
                Err(TrySendError::Full(_)) => held.missed += 1,
                // Its reader is gone.
                Err(TrySendError::Closed(_)) => {}
            }
        }
        if taps & Tap::Mirror.bit() != 0
            && let Some(mirror) = &state.mirror
            && mirror.try_send(Arc::clone(frame)).is_err()
        {
            state.mirroring.lost += 1;
        }
    }

    /// What comes for the mirror from now on. There is one.
    fn mirrored(&self) -> mpsc::Receiver<Arc<Frame>> {
        let (sender, packets) = mpsc::channel(MIRROR_WAITING);
        self.state().mirror = Some(sender);
        packets
    }

    /// Changes what is known of the mirror.
    fn note(&self, change: impl FnOnce(&mut Mirroring)) {
        change(&mut self.state().mirroring);
    }

    /// What is known of the mirror.
    pub(super) fn mirroring(&self) -> Mirroring {
        self.state().mirroring.clone()
    }

    /// Whether nobody takes a capture.
    #[cfg(test)]
    pub(crate) fn is_idle(&self) -> bool {
        self.state().capture.is_none()
    }

    /// Nothing comes any more: those who read have reached the end.
    pub(super) fn close(&self) {
        let state = &mut *self.state();
        state.closed = true;
        if let Some(held) = &mut state.capture {
            held.packets = None;
        }
    }

    /// Each change of the state is complete: a panic elsewhere leaves it good.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
