//! Attaching to interfaces and leaving them: the ingress program by XDP, the
//! egress program by what the kernel has for it.

mod clsact;
mod error;
mod tc;
mod tend;
mod xdp;

use aya::Ebpf;
use serde::Serialize;

use self::tend::Missing;
pub use self::{tc::EgressMode, tend::Tended, xdp::AttachedMode};
use super::{
    KernelError,
    netlink::link,
    object,
    pins::{Pins, Way},
};
use crate::policy::Mode;

/// A protected interface.
#[derive(Clone, Debug, Serialize)]
pub struct Attached {
    pub name: String,
    pub ifindex: u32,
    pub mode: AttachedMode,
    /// Why the mode is generic though native was tried.
    pub note: Option<String>,
    /// How what leaves is seen.
    pub egress: EgressMode,
    /// The programs stand in the place of those that an earlier run has left:
    /// there was no moment without.
    pub taken_over: bool,
    /// Why nothing is filtered there at the moment, though it should be.
    pub unprotected: Option<String>,
}

/// What holds the programs at one interface.
struct Place {
    name: String,
    ifindex: u32,
    /// As it was wanted.
    mode: Mode,
    egress_mode: EgressMode,
    ingress: xdp::Link,
    egress: tc::Link,
    taken_over: bool,
}

/// How programs are held at their interfaces.
#[derive(Clone, Copy)]
pub(super) struct Hold<'a> {
    /// Where those of an earlier run are.
    pins: Option<&'a Pins>,
    /// Ours shall outlive us.
    keep: bool,
}

impl<'a> Hold<'a> {
    /// Where to pin, if at all.
    fn keeping(self) -> Option<&'a Pins> {
        self.pins.filter(|_| self.keep)
    }

    /// Removes a pin of ours.
    fn forget(self, way: Way, ifindex: u32) {
        if let Some(Err(error)) = self.pins.map(|pins| pins.forget_link(way, ifindex)) {
            tracing::warn!("a program stays attached: {error}");
        }
    }
}

/// Detaches what an earlier run has kept, and removes its pins. Gives the
/// interfaces where it was.
pub(super) fn remove_kept(pins: &Pins) -> Result<Vec<u32>, KernelError> {
    let mut protected = Vec::new();
    for (way, ifindex) in pins.links()? {
        if way == Way::Out {
            continue;
        }
        if xdp::kept(pins, ifindex)?.is_some() {
            protected.push(ifindex);
        }
        // Below Linux 6.6 no link holds what sees packets leave.
        if pins.pinned_link(Way::Out, ifindex)?.is_none() {
            clsact::remove_ours(ifindex)?;
        }
    }
    pins.clear()?;
    Ok(protected)
}

#[derive(Default)]
pub(super) struct Attachments {
    places: Vec<Place>,
    missing: Vec<Missing>,
    pins: Option<Pins>,
    keep: bool,
}

impl Attachments {
    /// Those that take over what is pinned there, and if they shall be kept are
    /// pinned themselves.
    pub(super) const fn pinned(pins: Pins, keep: bool) -> Self {
        Self { places: Vec::new(), missing: Vec::new(), pins: Some(pins), keep }
    }

    pub(super) const fn pins(&self) -> Option<&Pins> {
        self.pins.as_ref()
    }

    /// Whether the programs outlive the process.
    pub(super) const fn keeps(&self) -> bool {
        self.keep
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Attaches both programs, or none; `name_slot` gives the interface its
    /// counters before its first packet.
    pub(super) fn attach(
        &mut self,
        ebpf: &mut Ebpf,
        interface: &str,
        mode: Mode,
        egress_mode: EgressMode,
        name_slot: impl FnOnce(u32) -> Result<(), KernelError>,
    ) -> Result<Attached, KernelError> {
        let ifindex = link::ifindex(interface)?;
        name_slot(ifindex)?;
        let hold = Hold { pins: self.pins.as_ref(), keep: self.keep };
        // XDP first: an interface has room for one such program, so while ours
        // is there no other sipguard minds what leaves.
        let done = xdp::attach(object::ingress(ebpf)?, interface, ifindex, mode, hold)?;
        let wanted = mode;
        let xdp::Done { link, mode, note, taken_over } = done;
        let name = interface.to_owned();
        match tc::attach(object::egress(ebpf)?, interface, ifindex, egress_mode, hold) {
            Ok(egress) => self.places.push(Place {
                name: name.clone(),
                ifindex,
                mode: wanted,
                egress_mode,
                ingress: link,
                egress,
                taken_over,
            }),
            Err(error) => {
                // What an earlier run protects stays protected.
                if !taken_over {
                    xdp::detach(object::ingress(ebpf)?, link, ifindex, hold);
                }
                return Err(error);
            }
        }
        let (egress, unprotected) = (egress_mode, None);
        Ok(Attached { name, ifindex, mode, note, egress, taken_over, unprotected })
    }

    /// Detaches everything, where it is still there: an interface may be gone.
    pub(super) fn detach(&mut self, ebpf: &mut Ebpf) {
        self.detach_if(ebpf, |_| true);
    }

    /// Detaches what no earlier run has protected.
    pub(super) fn detach_new(&mut self, ebpf: &mut Ebpf) {
        self.detach_if(ebpf, |place| !place.taken_over);
    }

    fn detach_if(&mut self, ebpf: &mut Ebpf, goes: impl Fn(&Place) -> bool) {
        let hold = Hold { pins: self.pins.as_ref(), keep: self.keep };
        for place in self.places.extract_if(.., |place| goes(place)) {
            let Place { ifindex, ingress, egress, .. } = place;
            if let Ok(program) = object::egress(ebpf) {
                tc::detach(program, egress, ifindex, hold);
            }
            if let Ok(program) = object::ingress(ebpf) {
                xdp::detach(program, ingress, ifindex, hold);
            }
        }
    }

    /// Where an earlier run protects, of these interfaces; none of it where its
    /// programs judge by other maps than those that are pinned.
    pub(super) fn found<'a>(
        &self,
        interfaces: impl Iterator<Item = (u32, &'a str)>,
    ) -> Result<Vec<Attached>, KernelError> {
        let Some(pins) = &self.pins else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        for (ifindex, name) in interfaces {
            let Some((mode, program)) = xdp::kept(pins, ifindex)? else { continue };
            if !xdp::reads(program, pins.map_id("LIST_SIZES")?) {
                return Err(KernelError::OtherPins(
                    "a start was cut off, and its programs have other maps".to_owned(),
                ));
            }
            let egress = match pins.pinned_link(Way::Out, ifindex)? {
                Some(_) => EgressMode::Tcx,
                None => EgressMode::Clsact,
            };
            found.push(Attached {
                name: name.to_owned(),
                ifindex,
                mode,
                note: None,
                egress,
                taken_over: true,
                unprotected: None,
            });
        }
        Ok(found)
    }

    /// Takes earlier programs off interfaces that are no longer to be protected;
    /// gives which these were.
    pub(super) fn leave_others(&self) -> Result<Vec<u32>, KernelError> {
        let Some(pins) = &self.pins else { return Ok(Vec::new()) };
        let mut left = Vec::new();
        for (way, ifindex) in pins.links()? {
            if self.places.iter().any(|place| place.ifindex == ifindex) {
                continue;
            }
            pins.forget_link(way, ifindex)?;
            if !left.contains(&ifindex) {
                left.push(ifindex);
            }
        }
        Ok(left)
    }
}
