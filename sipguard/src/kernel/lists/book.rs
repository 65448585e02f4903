//! What one list shall hold: the plan's entries and the operator's.

use std::{collections::BTreeMap, ops::RangeInclusive};

use sipguard_common::abi::{ListEntry, Origin};

use super::{
    key::{Epoch, entry, expiry, key},
    peers::Peers,
    planned::{Planned, Terms},
    tally::Tally,
};
use crate::policy::{Shared, Target};

/// The entries of one list, whoever made them. Between [`Self::begin`] and
/// [`Self::finish`] those of two plans.
#[derive(Default)]
pub(super) struct Book<P> {
    now: Shared<P>,
    coming: Option<Shared<P>>,
    /// When the operator's entries end, on the monotonic clock; 0 is never.
    operator: BTreeMap<Target, u64>,
    peers: Peers,
    tally: Tally,
    epoch: Option<Epoch>,
}

/// An entry, as far as the index of the lists has to know it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sketch {
    pub(super) target: Target,
    /// It may end.
    pub(super) ends: bool,
    /// Its packets are counted.
    pub(super) classed: bool,
}

impl Sketch {
    fn of_plan((target, terms): (Target, Terms<'_>)) -> Self {
        Self { target, ends: terms.until.is_some(), classed: terms.class.is_some() }
    }

    fn of_operator((target, expires_ns): (&Target, &u64)) -> Self {
        Self { target: *target, ends: *expires_ns != 0, classed: false }
    }
}

impl<P: Planned> Book<P> {
    /// How many entries there are.
    pub(super) fn tally(&self) -> &Tally {
        &self.tally
    }

    fn has(&self, target: Target) -> bool {
        self.now.get(target).is_some()
            || self.coming.as_ref().is_some_and(|coming| coming.get(target).is_some())
            || self.operator.contains_key(&target)
    }

    /// Entries within a range of targets; what has two makers comes twice.
    pub(super) fn range(
        &self,
        targets: RangeInclusive<Target>,
    ) -> impl Iterator<Item = Sketch> + '_ {
        let coming = self.coming.iter().flat_map({
            let targets = targets.clone();
            move |coming| coming.range(targets.clone())
        });
        let planned = self.now.range(targets.clone()).chain(coming).map(Sketch::of_plan);
        planned.chain(self.operator.range(targets).map(Sketch::of_operator))
    }

    /// What the kernel shall hold for a target. Of two plans the later counts,
    /// of plan and operator the later end.
    pub(super) fn wanted(&self, target: Target) -> Option<ListEntry> {
        let coming = self.coming.as_ref().and_then(|coming| coming.get(target));
        let planned = coming.or_else(|| self.now.get(target));
        let operator = self.operator.get(&target).copied();
        let ends = |terms: Terms<'_>| terms.until.map_or(0, |until| expiry(until, self.epoch));
        let longer = |a: u64, b: u64| if a == 0 || b == 0 { 0 } else { a.max(b) };
        let (expires_ns, origin) = match (planned, operator) {
            (None, None) => return None,
            (Some(terms), None) => (ends(terms), Origin::File),
            (None, Some(expires_ns)) => (expires_ns, Origin::Operator),
            (Some(terms), Some(expires_ns)) => (longer(ends(terms), expires_ns), Origin::Operator),
        };
        let (_, bits) = key(target);
        let mut entry = entry(expires_ns, bits, origin);
        if let Some((class, name)) = planned.and_then(|terms| terms.class)
            && let Some(number) = self.peers.number(name)
        {
            (entry.class, entry.peer) = (class.abi(), number);
        }
        Some(entry)
    }

    /// Takes the entries of a plan in, beside those of the plan in force. Gives
    /// the targets for which something new is wanted.
    pub(super) fn begin(&mut self, coming: &Shared<P>) -> Vec<Target> {
        let mut changed = Vec::new();
        for (target, terms) in coming.all() {
            if self.now.get(target) == Some(terms) {
                continue;
            }
            if let Some((_, name)) = terms.class {
                self.peers.admit(name);
            }
            if !self.has(target) {
                self.tally.add(target);
            }
            changed.push(target);
        }
        self.coming = Some(coming.clone());
        changed
    }

    /// Makes the coming plan the one in force. Gives the targets that it no
    /// longer has.
    pub(super) fn finish(&mut self) -> Vec<Target> {
        let Some(coming) = self.coming.take() else { return Vec::new() };
        let before = std::mem::replace(&mut self.now, coming);
        let gone: Vec<Target> = before
            .all()
            .map(|(target, _)| target)
            .filter(|target| self.now.get(*target).is_none())
            .collect();
        self.forget(&gone);
        gone
    }

    /// Gives the coming plan up, of which these targets were new or changed.
    pub(super) fn give_up(&mut self, changed: &[Target]) {
        self.coming = None;
        let gone: Vec<Target> =
            changed.iter().copied().filter(|target| self.now.get(*target).is_none()).collect();
        self.forget(&gone);
    }

    /// These targets have just left the plan.
    fn forget(&mut self, gone: &[Target]) {
        for target in gone.iter().filter(|target| !self.operator.contains_key(target)) {
            self.tally.remove(*target);
        }
        if !self.peers.is_empty() {
            let names: std::collections::HashSet<&str> =
                self.now.all().filter_map(|(_, terms)| Some(terms.class?.1)).collect();
            self.peers.retain(|name| names.contains(name));
        }
    }

    /// From now on, ends of the plan's entries are told by this clock.
    pub(super) fn set_epoch(&mut self, epoch: Epoch) {
        self.epoch = Some(epoch);
    }

    /// Sets or, with `None`, removes an entry of the operator, by its end on the
    /// monotonic clock (0 is never). Gives what was there.
    pub(super) fn set_operator(&mut self, target: Target, expires_ns: Option<u64>) -> Option<u64> {
        let had = self.has(target);
        let before = match expires_ns {
            Some(expires_ns) => self.operator.insert(target, expires_ns),
            None => self.operator.remove(&target),
        };
        match (had, self.has(target)) {
            (false, true) => self.tally.add(target),
            (true, false) => self.tally.remove(target),
            _ => {}
        }
        before
    }
}
