//! The trusted and blocked lists.
//!
//! An entry may stand in the plan, by a file or a feed, be the operator's, be
//! decided by somebody else, or several of these; the kernel holds the union, for
//! as long as the longest of them holds.

mod bits;
mod book;
mod decided;
mod index;
mod key;
mod maps;
mod peers;
mod planned;
mod span;
mod tally;

use std::{collections::BTreeMap, time::Duration};

use ipnet::IpNet;
use sipguard_common::abi::{Address, ListEntry, ListSizes, MAX_BLOCKED, MAX_TRUSTED, Origin};

pub(super) use self::key::{Epoch, after, entry, key, now};
use self::{
    book::{Book, Maker},
    index::Index,
    maps::ListMaps,
    planned::{Blocks, Planned},
    span::{Dirty, Span, spans},
};
use super::{
    KernelError,
    maps::{ArrayMap, Maps, typed},
};
use crate::{
    kernel::clock::Clock,
    policy::{Block, CpsClass, Peer, Plan, Target},
};

/// Which list an entry is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListKind {
    Trusted,
    Blocked,
}

/// What a list shall hold, and the maps that hold it.
struct List<P> {
    book: Book<P>,
    maps: ListMaps,
}

impl<P: Planned> List<P> {
    /// Writes what the book says about a target.
    fn sync(&mut self, target: Target) -> Result<(), KernelError> {
        self.maps.set(target, self.book.wanted(target))
    }

    fn sync_all(&mut self, targets: &[Target]) -> Result<(), KernelError> {
        targets.iter().try_for_each(|target| self.sync(*target))
    }
}

/// The targets that a coming plan adds or changes.
#[derive(Default)]
pub(super) struct Pending {
    trusted: Vec<Target>,
    blocked: Vec<Target>,
}

pub(super) struct Lists {
    trusted: List<BTreeMap<Target, Peer>>,
    blocked: List<Blocks>,
    index: Index,
    sizes: ArrayMap<ListSizes>,
}

impl Lists {
    pub(super) fn take(maps: &mut impl Maps) -> Result<Self, KernelError> {
        let trusted = ListMaps::take(maps, "trusted", ["TRUSTED", "TRUSTED_PREFIX"], MAX_TRUSTED)?;
        let blocked = ListMaps::take(maps, "blocked", ["BLOCKED", "BLOCKED_PREFIX"], MAX_BLOCKED)?;
        Ok(Self {
            trusted: List { book: Book::default(), maps: trusted },
            blocked: List { book: Book::default(), maps: blocked },
            index: Index::take(maps)?,
            sizes: typed(maps, "LIST_SIZES")?,
        })
    }

    /// Takes over what the maps hold, and writes into the plan what of it came
    /// from files and feeds. Their names and reasons stand nowhere in the kernel.
    pub(super) fn read_back(&mut self, plan: &mut Plan) -> Result<(), KernelError> {
        let is_operators = |entry: &ListEntry| entry.origin == Origin::Operator as u8;
        let (mut trusted, mut blocked) = (BTreeMap::new(), BTreeMap::new());
        let mut operators: [BTreeMap<Target, u64>; 2] = Default::default();
        for (target, entry) in self.trusted.maps.all()? {
            if is_operators(&entry) {
                operators[0].insert(target, entry.expires_ns);
            } else {
                let class = CpsClass::ALL.into_iter().find(|class| class.abi() == entry.class);
                trusted.insert(target, Peer { name: String::new(), class });
            }
        }
        let clock = Clock::read();
        for (target, entry) in self.blocked.maps.all()? {
            if is_operators(&entry) {
                operators[1].insert(target, entry.expires_ns);
            } else {
                let until = (entry.expires_ns != 0).then(|| clock.at(entry.expires_ns));
                blocked.insert(target.net, Block { reason: None, until });
            }
        }
        let [allows, blocks] = operators;
        (plan.trusted, plan.blocked) = (trusted.into(), blocked.into());
        self.trusted.book.adopt(plan.trusted.clone(), allows);
        self.blocked.book.adopt(Blocks::of(plan), blocks);
        self.index.read_back()
    }

    /// The operator's entries, with their ends on the monotonic clock; 0 is never.
    pub(super) fn operators(&self, kind: ListKind) -> &BTreeMap<Target, u64> {
        match kind {
            ListKind::Trusted => self.trusted.book.operators(),
            ListKind::Blocked => self.blocked.book.operators(),
        }
    }

    /// From now on, ends of the plan's entries are told by this clock.
    pub(super) fn set_epoch(&mut self, epoch: Epoch) {
        self.trusted.book.set_epoch(epoch);
        self.blocked.book.set_epoch(epoch);
    }

    /// Tells the program which lists it has to look into: those that hold
    /// something, or are about to.
    fn write_sizes(&mut self) -> Result<(), KernelError> {
        let (trusted, blocked) = (self.trusted.book.tally(), self.blocked.book.tally());
        let sizes = ListSizes {
            trusted_exact: trusted.exact,
            trusted_prefix: trusted.prefix,
            trusted_exact_port: trusted.exact_port,
            trusted_prefix_port: trusted.prefix_port,
            blocked_exact: blocked.exact,
            blocked_prefix: blocked.prefix,
            entries: trusted.entries().saturating_add(blocked.entries()),
            pad: 0,
        };
        self.sizes.set(0, sizes, 0).map_err(KernelError::map("writing the sizes of the lists"))
    }

    fn write_index(&mut self, spans: impl Iterator<Item = Span>) -> Result<(), KernelError> {
        let Self { trusted, blocked, index, .. } = self;
        spans.into_iter().try_for_each(|span| index.write(&span, &trusted.book, &blocked.book))
    }

    /// Adds what the plan has and the lists have not, trust before blocks.
    /// On an error everything is as before.
    pub(super) fn add(&mut self, plan: &Plan) -> Result<Pending, KernelError> {
        let mut pending = Pending::default();
        match self.add_all(plan, &mut pending) {
            Ok(()) => Ok(pending),
            Err(error) => {
                self.take_back(pending);
                Err(error)
            }
        }
    }

    /// Each list's entries first, then the index that leads packets to them:
    /// the trust of a source that is both must be seen before its block is.
    fn add_all(&mut self, plan: &Plan, pending: &mut Pending) -> Result<(), KernelError> {
        pending.trusted = self.trusted.book.begin(&plan.trusted);
        self.write_sizes()?;
        self.trusted.sync_all(&pending.trusted)?;
        self.write_index(Dirty::of(pending.trusted.iter()).spans())?;
        pending.blocked = self.blocked.book.begin(&Blocks::of(plan));
        self.write_sizes()?;
        self.blocked.sync_all(&pending.blocked)?;
        self.write_index(Dirty::of(pending.blocked.iter()).spans())
    }

    /// Undoes [`Self::add`].
    pub(super) fn take_back(&mut self, pending: Pending) {
        let Pending { trusted, blocked } = pending;
        self.trusted.book.give_up(&trusted);
        self.blocked.book.give_up(&blocked);
        let dirty = Dirty::of(trusted.iter().chain(&blocked));
        // Removing never needs memory; what fails now fails at every try.
        for target in blocked {
            let _ = self.blocked.sync(target);
        }
        let _ = self.write_index(dirty.spans());
        for target in trusted {
            let _ = self.trusted.sync(target);
        }
        let _ = self.write_sizes();
    }

    /// Removes what the plan no longer has: blocks before trust, so that a
    /// source that was both is never left with the block alone. The index
    /// changes between the two: what it says of both lists changes at once, and
    /// by then the blocks must be gone from their maps.
    pub(super) fn remove(&mut self, pending: Pending) -> Result<(), KernelError> {
        let (trusted, blocked) = (self.trusted.book.finish(), self.blocked.book.finish());
        self.blocked.sync_all(&blocked)?;
        // Those that changed, too: until now the old plan's part in them counted.
        let changed = pending.trusted.iter().chain(&pending.blocked);
        let dirty = Dirty::of(changed.chain(&trusted).chain(&blocked));
        self.write_index(dirty.spans())?;
        self.trusted.sync_all(&trusted)?;
        self.write_sizes()
    }

    /// Adds or updates one entry of the operator. On an error everything is as
    /// before.
    pub(super) fn insert(
        &mut self,
        kind: ListKind,
        target: Target,
        expires: Option<Duration>,
    ) -> Result<(), KernelError> {
        let before = self.set_operator(kind, target, Some(expires.map_or(0, after)));
        let done = self
            .write_sizes()
            .and_then(|()| self.sync(kind, target))
            .and_then(|()| self.write_index(spans(target)));
        if done.is_err() {
            self.set_operator(kind, target, before);
            let _ = self.write_index(spans(target));
            let _ = self.sync(kind, target);
            let _ = self.write_sizes();
        }
        done
    }

    /// Removes one entry of the operator.
    pub(super) fn delete(&mut self, kind: ListKind, target: Target) -> Result<(), KernelError> {
        self.set_operator(kind, target, None);
        self.write_index(spans(target))?;
        self.sync(kind, target)?;
        self.write_sizes()
    }

    fn set_operator(
        &mut self,
        kind: ListKind,
        target: Target,
        expires_ns: Option<u64>,
    ) -> Option<u64> {
        match kind {
            ListKind::Trusted => self.trusted.book.set_made(Maker::Operator, target, expires_ns),
            ListKind::Blocked => self.blocked.book.set_made(Maker::Operator, target, expires_ns),
        }
    }

    fn sync(&mut self, kind: ListKind, target: Target) -> Result<(), KernelError> {
        match kind {
            ListKind::Trusted => self.trusted.sync(target),
            ListKind::Blocked => self.blocked.sync(target),
        }
    }

    /// What the index says of an address.
    pub(super) fn index_of(&self, address: Address) -> Result<u8, KernelError> {
        self.index.get(address)
    }

    /// When the kernel's entry for a blocked network ends; 0 is never.
    pub(super) fn blocked_until(&self, net: IpNet) -> Result<Option<u64>, KernelError> {
        let entry = self.blocked.maps.get(Target { net, port: None })?;
        Ok(entry.map(|entry| entry.expires_ns))
    }
}
