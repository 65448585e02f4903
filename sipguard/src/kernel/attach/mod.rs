//! Attaching to interfaces and leaving them: the ingress program by XDP, the
//! egress program by what the kernel has for it.

mod clsact;
mod error;
mod tc;
mod xdp;

use aya::Ebpf;
use serde::Serialize;
use sipguard_common::abi::INTERFACE_SLOTS;

pub use self::{tc::EgressMode, xdp::AttachedMode};
use super::{KernelError, netlink::link, object};
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
}

/// What holds the programs at one interface.
struct Place {
    ingress: xdp::Link,
    egress: tc::Link,
}

#[derive(Default)]
pub(super) struct Attachments {
    places: Vec<Place>,
}

impl Attachments {
    /// Attaches both programs, or none; `name_slot` gives the interface its
    /// counters before its first packet.
    pub(super) fn attach(
        &mut self,
        ebpf: &mut Ebpf,
        interface: &str,
        mode: Mode,
        egress_mode: EgressMode,
        name_slot: impl FnOnce(usize, u32) -> Result<(), KernelError>,
    ) -> Result<Attached, KernelError> {
        let slot = self.places.len() + 1;
        if slot >= INTERFACE_SLOTS {
            return Err(KernelError::TooManyInterfaces(INTERFACE_SLOTS - 1));
        }
        let ifindex = link::ifindex(interface)?;
        xdp::refuse_occupied(interface, ifindex)?;
        name_slot(slot, ifindex)?;
        // XDP first: an interface has room for one such program, so while ours
        // is there no other sipguard minds what leaves.
        let ingress = xdp::attach(object::ingress(ebpf)?, interface, ifindex, mode)?;
        match tc::attach(object::egress(ebpf)?, interface, ifindex, egress_mode) {
            Ok(egress) => self.places.push(Place { ingress: ingress.link, egress }),
            Err(error) => {
                xdp::detach(object::ingress(ebpf)?, ingress.link);
                return Err(error);
            }
        }
        let xdp::Done { mode, note, .. } = ingress;
        Ok(Attached { name: interface.to_owned(), ifindex, mode, note, egress: egress_mode })
    }

    /// Detaches everything, where it is still there: an interface may be gone.
    pub(super) fn detach(&mut self, ebpf: &mut Ebpf) {
        for Place { ingress, egress } in self.places.drain(..).rev() {
            if let Ok(program) = object::egress(ebpf) {
                tc::detach(program, egress);
            }
            if let Ok(program) = object::ingress(ebpf) {
                xdp::detach(program, ingress);
            }
        }
    }
}
