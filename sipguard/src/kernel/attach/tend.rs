//! Interfaces come and go: protection follows them.

use aya::Ebpf;

use super::{Attached, Attachments, EgressMode, Hold, Place, tc, xdp};
use crate::{
    kernel::{KernelError, netlink::link, object},
    policy::Mode,
};

/// What has happened to an interface that is to be protected.
#[derive(Clone, Debug)]
pub enum Tended {
    /// It is not protected any more.
    Lost { name: String, why: String },
    /// It is again.
    Back(Attached),
}

/// An interface that cannot be protected at the moment.
pub(super) struct Missing {
    name: String,
    mode: Mode,
    egress: EgressMode,
    /// As it was told last.
    why: String,
}

impl Attachments {
    /// Lets go of what is attached nowhere any more, and attaches where it can
    /// be again. One question for each interface.
    pub(in crate::kernel) fn tend(
        &mut self,
        ebpf: &mut Ebpf,
        mut name_slot: impl FnMut(&str, u32) -> Result<(), KernelError>,
    ) -> Result<Vec<Tended>, KernelError> {
        let ours = object::ingress_ref(ebpf)?;
        let ours = ours.info().map_err(KernelError::program("asking for our program"))?.id();
        let mut tended = Vec::new();
        for at in (0..self.places.len()).rev() {
            let Some(why) = lost(&self.places[at], ours) else { continue };
            let Place { name, ifindex, mode, egress_mode, ingress, egress, .. } =
                self.places.remove(at);
            let hold = Hold { pins: self.pins.as_ref(), keep: self.keep };
            tc::detach(object::egress(ebpf)?, egress, ifindex, hold);
            xdp::detach(object::ingress(ebpf)?, ingress, ifindex, hold);
            tended.push(Tended::Lost { name: name.clone(), why: why.clone() });
            self.missing.push(Missing { name, mode, egress: egress_mode, why });
        }
        for mut missing in std::mem::take(&mut self.missing) {
            let Missing { name, mode, egress, .. } = &missing;
            match self.attach(ebpf, name, *mode, *egress, |ifindex| name_slot(name, ifindex)) {
                Ok(attached) => tended.push(Tended::Back(attached)),
                Err(error) => {
                    let why = error.to_string();
                    if why != missing.why && !matches!(error, KernelError::NoInterface(_)) {
                        missing.why = why.clone();
                        tended.push(Tended::Lost { name: missing.name.clone(), why });
                    }
                    self.missing.push(missing);
                }
            }
        }
        Ok(tended)
    }
}

/// Why a place is not protected any more, if so. What cannot be asked is taken
/// to be as it was.
fn lost(place: &Place, ours: u32) -> Option<String> {
    match link::ifindex(&place.name) {
        Err(KernelError::NoInterface(_)) => return Some("the interface is gone".to_owned()),
        Err(_) => return None,
        Ok(ifindex) if ifindex != place.ifindex => {
            return Some("the interface was made anew".to_owned());
        }
        Ok(_) => {}
    }
    let there = link::xdp_program(place.ifindex).ok()?;
    let is_ours = there.is_some_and(|there| there.id == ours);
    (!is_ours).then(|| "somebody has taken the program away".to_owned())
}
