//! What the service manager is told (sd_notify): when the protection is on,
//! what the daemon does, and that it still works. Where nobody has asked
//! (`NOTIFY_SOCKET`), nobody is told.

use std::time::{Duration, Instant};

use sd_notify::NotifyState;
use tracing::warn;

use crate::sanitise::sanitise;

/// Characters of a status, one line.
const MAX_STATUS: usize = 300;

/// The protection is on, or a reload has ended, well or not.
pub(super) fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(&sanitise(status, MAX_STATUS))]);
}

/// The files are read again; [`ready`] follows.
pub(super) fn reloading() {
    // The manager tells by the time which of several reloads has ended.
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => warn!("cannot read the clock: {error}"),
    }
}

/// The protection ends.
pub(super) fn stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("detaching")]);
}

/// A watchdog of the service manager, if it has one for us. Whoever has it says
/// from time to time that it works.
#[derive(Debug)]
pub(super) struct Watchdog {
    /// Half of the time after which the manager takes us for dead.
    every: Option<Duration>,
    last: Option<Instant>,
}

impl Watchdog {
    pub(super) fn new() -> Self {
        Self { every: sd_notify::watchdog_enabled().map(|limit| limit / 2), last: None }
    }

    /// Says that the work is done, unless that was said a short time ago.
    pub(super) fn alive(&mut self, now: Instant) {
        if self.is_due(now) {
            self.last = Some(now);
            tell(&[NotifyState::Watchdog]);
        }
    }

    fn is_due(&self, now: Instant) -> bool {
        let Some(every) = self.every else { return false };
        self.last.is_none_or(|last| now.saturating_duration_since(last) >= every)
    }
}

/// A manager that does not listen is no reason to stop protecting.
fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        warn!("cannot tell the service manager: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watchdog_hears_of_us_twice_within_its_time() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut watchdog = Watchdog { every: Some(Duration::from_secs(15)), last: None };
        assert!(watchdog.is_due(start));
        watchdog.last = Some(start);
        assert!(!watchdog.is_due(at(14)));
        assert!(watchdog.is_due(at(15)));
        assert!(!Watchdog { every: None, last: None }.is_due(at(100)));
    }
}
