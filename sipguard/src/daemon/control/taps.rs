//! Whole packets for those who ask: the taps of the kernel program.

use jiff::Timestamp;
use sipguard_common::abi::{SNAPLEN_MAX, Tap, TapCounts};
use tokio::sync::watch;
use tracing::warn;

use super::Daemon;
use crate::{
    api::wire,
    capture::Wish,
    daemon::{
        By, Error,
        audit::audit,
        taps::{Losses, Mirroring, Reserved, Taken, Taps, Wanted},
    },
    kernel::TapWish,
    policy::Plan,
};

impl Daemon {
    /// Who gets packets.
    #[must_use]
    pub fn taps(&self) -> &Taps {
        &self.taps
    }

    /// Index and name of the protected interfaces.
    pub(in crate::daemon) fn attached_interfaces(&self) -> Vec<(u32, String)> {
        self.attached.iter().map(|one| (one.ifindex, one.name.clone())).collect()
    }

    /// The name of the signature with this slot, plus one.
    pub(in crate::daemon) fn signature_name(&self, slot: u32) -> Option<String> {
        self.filter.signature_name(slot).map(str::to_owned)
    }

    /// Opens the tap of captures.
    pub(in crate::daemon) fn begin_capture(
        &mut self,
        wish: &Wish,
        uid: u32,
    ) -> Result<Reserved, Error> {
        let base = Losses::of(Tap::Capture, &self.tap_counts()?);
        let reserved = self
            .taps
            .reserve(uid, Timestamp::now(), base)
            .map_err(|Taken { uid, since }| Error::Capturing { uid, since })?;
        if let Err(error) = self.filter.set_tap(Tap::Capture, Some(&wish.tap())) {
            self.taps.release(reserved.number);
            return Err(Error::Filter(error));
        }
        audit(By::Uid(uid), "capture", "packets", "none", "capturing");
        Ok(reserved)
    }

    /// Closes it, unless a later capture has it.
    pub(in crate::daemon) fn end_capture(&mut self, number: u64) {
        let Some(uid) = self.taps.holder(number) else { return };
        if let Err(error) = self.filter.set_tap(Tap::Capture, None) {
            warn!("cannot end the capture of packets: {error}");
        }
        self.taps.release(number);
        audit(By::Uid(uid), "capture", "packets", "capturing", "none");
    }

    /// What the present capture has not got.
    pub(in crate::daemon) fn capture_losses(&self) -> Option<Losses> {
        let capture = self.capture().ok()??;
        Some(Losses { held_back: capture.held_back, lost: capture.lost })
    }

    fn tap_counts(&self) -> Result<TapCounts, Error> {
        self.filter.tap_counts().map_err(Error::Filter)
    }

    /// The capture that is being taken.
    pub(super) fn capture(&self) -> Result<Option<wire::Capture>, Error> {
        let losses = Losses::of(Tap::Capture, &self.tap_counts()?);
        Ok(self.taps.capture(losses))
    }

    /// What the mirror does, where there is one.
    pub(super) fn mirror(&self) -> Result<Option<wire::Mirror>, Error> {
        let Some(collector) = &self.plan.mirror.collector else { return Ok(None) };
        let losses = Losses::of(Tap::Mirror, &self.tap_counts()?);
        let Mirroring { sent, failed, not_sip, lost, problem } = self.taps.mirroring();
        Ok(Some(wire::Mirror {
            collector: collector.to_string(),
            sent,
            failed,
            not_sip,
            held_back: losses.held_back,
            lost: lost + losses.lost,
            problem,
        }))
    }

    /// Opens the tap of the mirror as the policy says; gives what it says from
    /// now on.
    pub(in crate::daemon) fn open_mirror(&mut self) -> watch::Receiver<Wanted> {
        self.set_mirror_tap();
        self.mirror.subscribe()
    }

    /// Does what a new policy says about the mirror.
    pub(super) fn change_mirror(&mut self) {
        let new = wanted(&self.plan);
        if *self.mirror.borrow() != new {
            self.mirror.send_replace(new);
            self.set_mirror_tap();
        }
    }

    fn set_mirror_tap(&mut self) {
        let settings = &self.plan.mirror;
        let wish = settings.collector.as_ref().map(|_| TapWish {
            rules: settings.rules.clone(),
            source: None,
            all: false,
            snaplen: SNAPLEN_MAX,
            per_second: Some(settings.per_second()),
        });
        if let Err(error) = self.filter.set_tap(Tap::Mirror, wish.as_ref()) {
            warn!("cannot set the mirror: {error}");
        }
    }
}

/// What the mirror has to know of a policy.
pub(super) fn wanted(plan: &Plan) -> Wanted {
    Wanted { settings: plan.mirror.clone(), ports: plan.ports.clone() }
}
