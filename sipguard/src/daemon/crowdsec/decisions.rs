//! The decisions in force: what the book says, the kernel holds.

use std::{collections::BTreeMap, time::Duration};

use ipnet::IpNet;

use super::hub::Hub;
use crate::{
    crowdsec::{Book, Change, Held, Kept, LeftOut, Named, Page, Tally, Words},
    daemon::{Error, Filter, Host},
    feeds::Ranges,
};

/// A place in the book.
pub(in crate::daemon) type Place = Option<(IpNet, u64)>;

/// Who they came from, what is in force of them, and what was left out.
#[derive(Debug, Default)]
pub(in crate::daemon) struct Decisions {
    pub(in crate::daemon) hub: Hub,
    book: Book,
    words: Words,
    left_out: LeftOut,
}

impl Decisions {
    pub(in crate::daemon) fn len(&self) -> usize {
        self.book.len()
    }

    pub(in crate::daemon) fn words(&self) -> Words {
        self.words.clone()
    }

    pub(in crate::daemon) fn left_out(&self) -> LeftOut {
        self.left_out
    }

    /// An answer comes, of everything or of what has changed.
    pub(in crate::daemon) fn begin(&mut self, all: bool, words: Words, left_out: LeftOut) {
        if all {
            self.book.begin_round();
            self.left_out = LeftOut::default();
        }
        self.left_out.add(left_out);
        self.words = words;
    }

    /// Lets these hold, as far as they leave this host alone.
    pub(in crate::daemon) fn add(
        &mut self,
        new: &[Named],
        (asked, now): (Duration, Duration),
        most: usize,
        (filter, host): (&mut dyn Filter, &Host),
    ) -> Result<(), Error> {
        let own = own(host);
        let mut changes = BTreeMap::new();
        for one in new {
            if own.touch(one.net) {
                self.left_out.own += 1;
                continue;
            }
            match self.book.put(one, asked, most) {
                Ok(change) => changes.extend(change),
                Err(_) => self.left_out.full += 1,
            }
        }
        self.apply(changes, now, filter)
    }

    /// Takes these back.
    pub(in crate::daemon) fn remove(
        &mut self,
        gone: impl IntoIterator<Item = (IpNet, u64)>,
        now: Duration,
        filter: &mut dyn Filter,
    ) -> Result<(), Error> {
        let changes = gone.into_iter().filter_map(|(net, id)| self.book.remove(net, id));
        let changes = changes.collect();
        self.apply(changes, now, filter)
    }

    /// Takes back some that the last whole answer does not name.
    pub(in crate::daemon) fn drop_stale(
        &mut self,
        (from, most): (Place, usize),
        now: Duration,
        filter: &mut dyn Filter,
    ) -> Result<Place, Error> {
        let page = self.book.stale(from, most);
        self.drop_page(page, now, filter)
    }

    /// Takes back some that have ended, or would hit what has become this host's.
    pub(in crate::daemon) fn drop_ended(
        &mut self,
        (from, most): (Place, usize),
        now: Duration,
        (filter, host): (&mut dyn Filter, &Host),
    ) -> Result<Place, Error> {
        if from.is_none() {
            let of = host.addresses.iter().chain(&host.gateways);
            let hit: Vec<_> = of.flat_map(|own| self.book.over(IpNet::from(*own))).collect();
            self.left_out.own += hit.len();
            self.remove(hit.into_iter().map(|(key, _)| key), now, filter)?;
        }
        let page = self.book.ended(now, from, most);
        self.drop_page(page, now, filter)
    }

    /// Takes back some of all.
    pub(in crate::daemon) fn drop_all(
        &mut self,
        (from, most): (Place, usize),
        filter: &mut dyn Filter,
    ) -> Result<Place, Error> {
        self.left_out = LeftOut::default();
        let page = self.book.some(from, most);
        self.drop_page(page, Duration::ZERO, filter)
    }

    fn drop_page(
        &mut self,
        Page { found, next }: Page,
        now: Duration,
        filter: &mut dyn Filter,
    ) -> Result<Place, Error> {
        self.remove(found.into_iter().map(|(key, _)| key), now, filter)?;
        Ok(next)
    }

    fn apply(
        &mut self,
        changes: BTreeMap<IpNet, Option<Duration>>,
        now: Duration,
        filter: &mut dyn Filter,
    ) -> Result<(), Error> {
        if changes.is_empty() {
            return Ok(());
        }
        let left = |(net, until): Change| {
            let left = until.map(|until| until.saturating_sub(now));
            (net, left.filter(|left| !left.is_zero()))
        };
        let changes: Vec<_> = changes.into_iter().map(left).collect();
        for net in filter.decide(&changes).map_err(Error::Filter)? {
            self.left_out.full += self.book.forget(net);
        }
        Ok(())
    }

    /// Lets hold what an earlier run has kept.
    pub(in crate::daemon) fn restore(
        &mut self,
        Kept(all): &Kept,
        most: usize,
        (filter, host): (&mut dyn Filter, &Host),
    ) -> Result<(), Error> {
        let now = self.hub.now();
        let named = |words: &mut Words,
                     (kept, left): &(crate::crowdsec::KeptDecision, Duration)| {
            let words = words.id(&kept.origin, &kept.scenario);
            Named { net: kept.net, id: kept.id, left: *left, words }
        };
        let new: Vec<Named> = all.iter().map(|one| named(&mut self.words, one)).collect();
        self.add(&new, (now, now), most, (filter, host))
    }

    /// Some of all, and whose they are.
    pub(in crate::daemon) fn some(&self, from: Place, most: usize) -> (Page, Words) {
        (self.book.some(from, most), self.words.clone())
    }

    /// Those that hold at a time.
    pub(in crate::daemon) fn held(&self, now: Duration) -> impl Iterator<Item = Held> + '_ {
        self.book.iter().filter(move |(_, terms)| terms.until() > now)
    }

    /// Those that hold all of a network at a time.
    pub(in crate::daemon) fn over(
        &self,
        net: IpNet,
        now: Duration,
    ) -> impl Iterator<Item = Held> + '_ {
        self.book.over(net).filter(move |(_, terms)| terms.until() > now)
    }

    /// Origin and scenario.
    pub(in crate::daemon) fn words_of(&self, held: &Held) -> (&str, &str) {
        let pair = self.words.get(held.1.words);
        (&pair.origin, &pair.scenario)
    }

    /// How many hold, by origin and family.
    pub(in crate::daemon) fn by_origin(&self) -> Tally {
        let mut tally = Tally::new();
        for held in self.book.iter() {
            let is_v4 = matches!(held.0.0, IpNet::V4(_));
            *tally.entry((self.words_of(&held).0.to_owned(), is_v4)).or_default() += 1;
        }
        tally
    }
}

fn own(host: &Host) -> Ranges {
    host.addresses.iter().chain(&host.gateways).copied().map(IpNet::from).collect()
}
