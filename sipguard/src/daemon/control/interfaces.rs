//! Where the filter is, and where it should be.

use tracing::{info, warn};

use super::Daemon;
use crate::{
    api::wire::Interface,
    kernel::{Attached, Tended},
    sanitise::sanitise,
};

/// Characters of a reason that are kept.
const MAX_WHY: usize = 300;

impl Daemon {
    pub(super) fn interfaces(&self) -> Vec<Interface> {
        let interface = |one: &Attached| Interface {
            name: one.name.clone(),
            ifindex: one.ifindex,
            mode: one.mode.name().to_owned(),
            note: one.note.clone(),
            egress: one.egress.name().to_owned(),
            unprotected: one.unprotected.clone(),
        };
        self.attached.iter().map(interface).collect()
    }

    /// Interfaces where nothing is filtered, and why.
    pub(in crate::daemon) fn unprotected(&self) -> Vec<(String, String)> {
        let why = |one: &Attached| Some((one.name.clone(), one.unprotected.clone()?));
        self.attached.iter().filter_map(why).collect()
    }

    /// Follows what has become of the interfaces.
    pub(super) fn tend(&mut self) {
        match self.filter.tend() {
            Ok(tended) => tended.into_iter().for_each(|one| self.tended(one)),
            Err(error) => warn!("cannot look after the interfaces: {error}"),
        }
    }

    fn tended(&mut self, tended: Tended) {
        let (name, new) = match tended {
            Tended::Lost { name, why } => {
                let why = sanitise(&why, MAX_WHY);
                warn!(
                    "{} is not protected: {why}; it will be as soon as it can",
                    sanitise(&name, 64)
                );
                let one = self.attached.iter_mut().find(|one| one.name == name);
                one.into_iter().for_each(|one| one.unprotected = Some(why.clone()));
                return;
            }
            Tended::Back(attached) => (attached.name.clone(), attached),
        };
        info!(
            "{} is protected again ({}, {})",
            sanitise(&name, 64),
            new.mode.name(),
            new.egress.name()
        );
        let one = self.attached.iter_mut().find(|one| one.name == name);
        one.into_iter().for_each(|one| *one = new.clone());
    }
}
