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
    /// When entries that were made at run time end, on the monotonic clock, by
    /// their makers; 0 is never.
    made: [BTreeMap<Target, u64>; 2],
    peers: Peers,
    tally: Tally,
    epoch: Option<Epoch>,
}

/// Who makes entries at run time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Maker {
    Operator,
    /// Somebody else's decisions.
    Decision,
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

    fn of_made((target, expires_ns): (&Target, &u64)) -> Self {
        Self { target: *target, ends: *expires_ns != 0, classed: false }
    }
}

impl<P: Planned> Book<P> {
    /// Takes in what the maps hold already: of a plan, and of the operator.
    pub(super) fn adopt(&mut self, planned: Shared<P>, operator: BTreeMap<Target, u64>) {
        let planned_only = planned.all().map(|(target, _)| target);
        for target in planned_only.filter(|target| !operator.contains_key(target)) {
            self.tally.add(target);
        }
        operator.keys().for_each(|target| self.tally.add(*target));
        self.now = planned;
        self.made[Maker::Operator as usize] = operator;
    }

    /// How many entries there are.
    pub(super) fn tally(&self) -> &Tally {
        &self.tally
    }

    fn has(&self, target: Target) -> bool {
        self.now.get(target).is_some()
            || self.coming.as_ref().is_some_and(|coming| coming.get(target).is_some())
            || self.is_made(target)
    }

    fn is_made(&self, target: Target) -> bool {
        self.made.iter().any(|made| made.contains_key(&target))
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
        let made = self.made.iter().flat_map(move |made| made.range(targets.clone()));
        planned.chain(made.map(Sketch::of_made))
    }

    /// What the kernel shall hold for a target. Of two plans the later counts,
    /// of plan and those made at run time the latest end.
    pub(super) fn wanted(&self, target: Target) -> Option<ListEntry> {
        let coming = self.coming.as_ref().and_then(|coming| coming.get(target));
        let planned = coming.or_else(|| self.now.get(target));
        let longer = |a: u64, b: u64| if a == 0 || b == 0 { 0 } else { a.max(b) };
        let made = self.made.iter().filter_map(|made| made.get(&target).copied()).reduce(longer);
        let ends = |terms: Terms<'_>| terms.until.map_or(0, |until| expiry(until, self.epoch));
        let expires_ns = planned.map(ends).into_iter().chain(made).reduce(longer)?;
        let origin = match self.made[Maker::Operator as usize].contains_key(&target) {
            true => Origin::Operator,
            false => Origin::File,
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
        for target in gone {
            if !self.is_made(*target) {
                self.tally.remove(*target);
            }
        }
        if !self.peers.is_empty() {
            let names: std::collections::HashSet<&str> =
                self.now.all().filter_map(|(_, terms)| Some(terms.class?.1)).collect();
            self.peers.retain(|name| names.contains(name));
        }
    }

    /// The operator's entries, with their ends.
    pub(super) const fn operators(&self) -> &BTreeMap<Target, u64> {
        &self.made[Maker::Operator as usize]
    }

    /// From now on, ends of the plan's entries are told by this clock.
    pub(super) fn set_epoch(&mut self, epoch: Epoch) {
        self.epoch = Some(epoch);
    }

    /// Sets or, with `None`, removes an entry made at run time, by its end on the
    /// monotonic clock (0 is never). Gives what was there.
    pub(super) fn set_made(
        &mut self,
        maker: Maker,
        target: Target,
        expires_ns: Option<u64>,
    ) -> Option<u64> {
        let had = self.has(target);
        let made = &mut self.made[maker as usize];
        let before = match expires_ns {
            Some(expires_ns) => made.insert(target, expires_ns),
            None => made.remove(&target),
        };
        match (had, self.has(target)) {
            (false, true) => self.tally.add(target),
            (true, false) => self.tally.remove(target),
            _ => {}
        }
        before
    }
}
