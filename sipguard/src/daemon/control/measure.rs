//! What is read for the pulse.

use jiff::Timestamp;
use sipguard_common::abi::{BANS, ENDPOINTS, ENDPOINTS_UNPROVEN, MAX_BLOCKED, MAX_TRUSTED};

use super::{Daemon, Error};
use crate::{
    api::wire::{InterfaceMode, MapFill},
    capture::monotonic_ns,
    daemon::pulse::{Held, Readings},
    kernel::{Attached, InterfaceCounters, InterfaceReplies},
    policy::Modes,
};

impl Daemon {
    /// What the next second is measured by. Cheap, however much there is.
    ///
    /// # Errors
    /// The kernel refused to tell.
    pub(in crate::daemon) fn readings(&self) -> Result<Readings, Error> {
        let losses = self.losses()?;
        Ok(Readings {
            time: Timestamp::now(),
            now_ns: monotonic_ns(),
            posture: self.posture().posture,
            counters: InterfaceCounters::sum(&self.filter.counters().map_err(Error::Filter)?),
            replies: InterfaceReplies::sum(&self.filter.replies().map_err(Error::Filter)?),
            tallies: self.filter.tallies(),
            blocked: self.blocked_entries(),
            trusted: self.trusted_entries(),
            events_lost: losses.lost,
            events_suppressed: losses.suppressed,
        })
    }

    /// Of files, operators and feeds.
    fn blocked_entries(&self) -> usize {
        self.plan.blocked.len() + self.blocks.len() + self.plan.fed.len()
    }

    fn trusted_entries(&self) -> usize {
        self.plan.trusted.len() + self.allows.len()
    }

    /// What is protected, and how.
    pub(in crate::daemon) fn interface_modes(&self) -> Vec<InterfaceMode> {
        let one = |one: &Attached| InterfaceMode {
            name: one.name.clone(),
            mode: one.mode.name().to_owned(),
        };
        self.attached.iter().map(one).collect()
    }

    /// How strictly each rule is applied.
    pub(in crate::daemon) fn modes(&self) -> &Modes {
        &self.plan.modes
    }

    /// What takes longer to count. Walks large maps.
    ///
    /// # Errors
    /// The kernel refused to tell.
    pub(in crate::daemon) fn held(&self) -> Result<Held, Error> {
        let verified = self.filter.verified().map_err(Error::Filter)?;
        let banned = self.filter.bans().map_err(Error::Filter)?.len();
        let proven = verified.iter().filter(|one| one.proven).count();
        let fill = |name: &str, entries: usize, capacity: usize| MapFill {
            name: name.to_owned(),
            entries: entries as u64,
            capacity: capacity as u64,
        };
        let maps = vec![
            fill("trusted", self.trusted_entries(), MAX_TRUSTED),
            fill("blocked", self.blocked_entries(), MAX_BLOCKED),
            fill("banned", banned, BANS),
            fill("endpoints", proven, ENDPOINTS),
            fill("endpoints_unproven", verified.len() - proven, ENDPOINTS_UNPROVEN),
        ];
        Ok(Held { verified: verified.len(), banned, maps })
    }
}
