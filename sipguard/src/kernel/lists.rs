//! The trusted and blocked lists.
//!
//! An entry may stand in the plan, be the operator's, or both; the kernel holds
//! the union, for as long as the longer of the two holds.

use std::{collections::BTreeMap, time::Duration};

use aya::{
    Ebpf,
    maps::{HashMap, LpmTrie, MapData, MapError, lpm_trie::Key},
};
use ipnet::IpNet;
use jiff::Timestamp;
use nix::time::{ClockId, clock_gettime};
use sipguard_common::abi::{
    Address, LIST_KEY_HEAD_BITS, ListEntry, ListKey, ListSizes, Origin, V4_PREFIX_BITS,
};

use super::{ArrayMap, KernelError, error::map_io, typed};
use crate::policy::{Plan, Target};

/// Which list an entry is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListKind {
    Trusted,
    Blocked,
}

const ENOSPC: i32 = 28;
const E2BIG: i32 = 7;

/// The two maps of one list, and what they hold.
struct List {
    name: &'static str,
    exact: HashMap<MapData, ListKey, ListEntry>,
    prefix: LpmTrie<MapData, ListKey, ListEntry>,
    /// Entries of the plan, and when they end.
    plan: BTreeMap<Target, Option<Timestamp>>,
    /// Entries of the operator, and when they end on the monotonic clock; 0 is
    /// never.
    operator: BTreeMap<Target, u64>,
    capacity: u32,
    epoch: Option<Epoch>,
}

/// What the program's clock shows at a wall-clock time, where it is not
/// CLOCK_MONOTONIC.
#[derive(Clone, Copy, Debug)]
pub(super) struct Epoch {
    pub(super) wall: Timestamp,
    pub(super) clock_ns: u64,
}

/// Entries of a list by how they are looked up.
#[derive(Clone, Copy, Default)]
struct Tally {
    exact: u32,
    prefix: u32,
    exact_port: u32,
    prefix_port: u32,
}

impl Tally {
    fn of<'a>(targets: impl Iterator<Item = &'a Target>) -> Self {
        let mut tally = Self::default();
        for target in targets {
            let (all, with_port) = if target.is_address() {
                (&mut tally.exact, &mut tally.exact_port)
            } else {
                (&mut tally.prefix, &mut tally.prefix_port)
            };
            *all += 1;
            *with_port += u32::from(target.port.is_some());
        }
        tally
    }
}

impl List {
    fn take(
        ebpf: &mut Ebpf,
        name: &'static str,
        [exact, prefix]: [&'static str; 2],
        capacity: u32,
    ) -> Result<Self, KernelError> {
        Ok(Self {
            name,
            exact: typed(ebpf, exact)?,
            prefix: typed(ebpf, prefix)?,
            plan: BTreeMap::new(),
            operator: BTreeMap::new(),
            capacity,
            epoch: None,
        })
    }

    /// How many entries there are with those that are about to come. Counts an
    /// entry that is in both twice, which costs a lookup and nothing else.
    fn tally(&self, coming: &[Target]) -> Tally {
        Tally::of(self.plan.keys().chain(self.operator.keys()).chain(coming))
    }

    /// Writes what the two sources together say about a target.
    fn sync(&mut self, target: Target) -> Result<(), KernelError> {
        let planned =
            self.plan.get(&target).map(|until| until.map_or(0, |until| expiry(until, self.epoch)));
        let operator = self.operator.get(&target).copied();
        let longer = |a: u64, b: u64| if a == 0 || b == 0 { 0 } else { a.max(b) };
        let (expires_ns, origin) = match (planned, operator) {
            (None, None) => return self.remove(target),
            (Some(expires_ns), None) => (expires_ns, Origin::File),
            (None, Some(expires_ns)) => (expires_ns, Origin::Operator),
            (Some(a), Some(b)) => (longer(a, b), Origin::Operator),
        };
        let (key, bits) = key(target);
        let entry = entry(expires_ns, bits, origin);
        let done = if target.is_address() {
            self.exact.insert(key, entry, 0)
        } else {
            self.prefix.insert(&Key::new(bits, key), entry, 0)
        };
        done.map_err(|error| self.insert_error(target, error))
    }

    fn insert_error(&self, target: Target, error: MapError) -> KernelError {
        match map_io(&error).and_then(std::io::Error::raw_os_error) {
            Some(ENOSPC | E2BIG) => KernelError::ListFull {
                list: self.name,
                kind: if target.is_address() { "addresses" } else { "networks" },
                capacity: self.capacity,
            },
            _ => KernelError::map("adding to a list")(error),
        }
    }

    fn remove(&mut self, target: Target) -> Result<(), KernelError> {
        let (key, bits) = key(target);
        let done = if target.is_address() {
            self.exact.remove(&key)
        } else {
            self.prefix.remove(&Key::new(bits, key))
        };
        match done {
            Err(MapError::KeyNotFound) => Ok(()),
            other => other.map_err(KernelError::map("removing from a list")),
        }
    }

    /// Adds the wanted entries. Gives what a roll-back needs, and on an error
    /// has already rolled back.
    fn add_planned(&mut self, wanted: Vec<Wanted>) -> Result<Vec<Undo>, KernelError> {
        let mut undo = Vec::new();
        for (target, until) in wanted {
            let before = self.plan.insert(target, until);
            undo.push(Undo { target, before });
            if let Err(error) = self.sync(target) {
                self.take_back(undo);
                return Err(error);
            }
        }
        Ok(undo)
    }

    fn take_back(&mut self, undo: Vec<Undo>) {
        for Undo { target, before } in undo.into_iter().rev() {
            match before {
                Some(until) => self.plan.insert(target, until),
                None => self.plan.remove(&target),
            };
            // Removing never needs memory; what fails now fails at every try.
            let _ = self.sync(target);
        }
    }

    fn remove_planned(&mut self, gone: Vec<Target>) -> Result<(), KernelError> {
        gone.into_iter().try_for_each(|target| {
            self.plan.remove(&target);
            self.sync(target)
        })
    }

    /// Entries that this plan adds or changes.
    fn missing(&self, wanted: impl Iterator<Item = Wanted>) -> Vec<Wanted> {
        wanted.filter(|(target, until)| self.plan.get(target) != Some(until)).collect()
    }

    /// Entries that this plan no longer has.
    fn surplus(&self, wanted: impl Fn(&Target) -> bool) -> Vec<Target> {
        self.plan.keys().filter(|target| !wanted(target)).copied().collect()
    }
}

/// An entry of a plan, and when it ends.
type Wanted = (Target, Option<Timestamp>);

/// How to take one addition back.
struct Undo {
    target: Target,
    before: Option<Option<Timestamp>>,
}

/// What is left to do, or to undo, after the additions of a plan.
pub(super) struct Pending {
    trusted_gone: Vec<Target>,
    blocked_gone: Vec<Target>,
    trusted_added: Vec<Undo>,
    blocked_added: Vec<Undo>,
    sizes_before: ListSizes,
}

pub(super) struct Lists {
    trusted: List,
    blocked: List,
    sizes: ArrayMap<ListSizes>,
    sizes_now: ListSizes,
}

impl Lists {
    pub(super) fn take(ebpf: &mut Ebpf) -> Result<Self, KernelError> {
        Ok(Self {
            trusted: List::take(ebpf, "trusted", ["TRUSTED", "TRUSTED_PREFIX"], 65_536)?,
            blocked: List::take(ebpf, "blocked", ["BLOCKED", "BLOCKED_PREFIX"], 1_000_000)?,
            sizes: typed(ebpf, "LIST_SIZES")?,
            sizes_now: ListSizes::default(),
        })
    }

    /// From now on, ends of the plan's entries are told by this clock.
    pub(super) fn set_epoch(&mut self, epoch: Epoch) {
        self.trusted.epoch = Some(epoch);
        self.blocked.epoch = Some(epoch);
    }

    fn list(&mut self, kind: ListKind) -> &mut List {
        match kind {
            ListKind::Trusted => &mut self.trusted,
            ListKind::Blocked => &mut self.blocked,
        }
    }

    /// Tells the program which lists it has to look into: those that hold
    /// something, or are about to.
    fn write_sizes(&mut self, trusted: &[Target], blocked: &[Target]) -> Result<(), KernelError> {
        let (trusted, blocked) = (self.trusted.tally(trusted), self.blocked.tally(blocked));
        let sizes = ListSizes {
            trusted_exact: trusted.exact,
            trusted_prefix: trusted.prefix,
            trusted_exact_port: trusted.exact_port,
            trusted_prefix_port: trusted.prefix_port,
            blocked_exact: blocked.exact,
            blocked_prefix: blocked.prefix,
            pad: [0; 2],
        };
        self.set_sizes(sizes)
    }

    fn set_sizes(&mut self, sizes: ListSizes) -> Result<(), KernelError> {
        self.sizes.set(0, sizes, 0).map_err(KernelError::map("writing the sizes of the lists"))?;
        self.sizes_now = sizes;
        Ok(())
    }

    /// Adds what the plan has and the lists have not, trust before blocks.
    pub(super) fn add(&mut self, plan: &Plan) -> Result<Pending, KernelError> {
        let sizes_before = self.sizes_now;
        let blocked_target = |net: &IpNet| Target { net: *net, port: None };
        let trusted = self.trusted.missing(plan.trusted.keys().map(|target| (*target, None)));
        let blocked = self
            .blocked
            .missing(plan.blocked.iter().map(|(net, block)| (blocked_target(net), block.until)));
        let mut pending = Pending {
            trusted_gone: self.trusted.surplus(|target| plan.trusted.contains_key(target)),
            blocked_gone: self.blocked.surplus(|target| plan.blocked.contains_key(&target.net)),
            trusted_added: Vec::new(),
            blocked_added: Vec::new(),
            sizes_before,
        };
        match self.add_all(trusted, blocked, &mut pending) {
            Ok(()) => Ok(pending),
            Err(error) => {
                self.take_back(pending);
                Err(error)
            }
        }
    }

    fn add_all(
        &mut self,
        trusted: Vec<Wanted>,
        blocked: Vec<Wanted>,
        pending: &mut Pending,
    ) -> Result<(), KernelError> {
        let targets = |list: &[Wanted]| list.iter().map(|(target, _)| *target).collect::<Vec<_>>();
        self.write_sizes(&targets(&trusted), &targets(&blocked))?;
        pending.trusted_added = self.trusted.add_planned(trusted)?;
        pending.blocked_added = self.blocked.add_planned(blocked)?;
        Ok(())
    }

    /// Undoes [`Self::add`].
    pub(super) fn take_back(&mut self, pending: Pending) {
        self.blocked.take_back(pending.blocked_added);
        self.trusted.take_back(pending.trusted_added);
        let _ = self.set_sizes(pending.sizes_before);
    }

    /// Removes what the plan no longer has: blocks before trust, so that a
    /// source that was both is never left with the block alone.
    pub(super) fn remove(&mut self, pending: Pending) -> Result<(), KernelError> {
        self.blocked.remove_planned(pending.blocked_gone)?;
        self.trusted.remove_planned(pending.trusted_gone)?;
        self.write_sizes(&[], &[])
    }

    /// Adds or updates one entry of the operator.
    pub(super) fn insert(
        &mut self,
        kind: ListKind,
        target: Target,
        expires: Option<Duration>,
    ) -> Result<(), KernelError> {
        let expires_ns = expires.map_or(0, |expires| {
            now().saturating_add(u64::try_from(expires.as_nanos()).unwrap_or(u64::MAX)).max(1)
        });
        match kind {
            ListKind::Trusted => self.write_sizes(&[target], &[])?,
            ListKind::Blocked => self.write_sizes(&[], &[target])?,
        }
        let list = self.list(kind);
        let before = list.operator.insert(target, expires_ns);
        let done = list.sync(target);
        if done.is_err() {
            match before {
                Some(before) => list.operator.insert(target, before),
                None => list.operator.remove(&target),
            };
        }
        done
    }

    /// When the kernel's entry for a blocked network ends; 0 is never.
    pub(super) fn blocked_until(&self, net: IpNet) -> Result<Option<u64>, KernelError> {
        let target = Target { net, port: None };
        let (key, bits) = key(target);
        let entry = if target.is_address() {
            self.blocked.exact.get(&key, 0)
        } else {
            self.blocked.prefix.get(&Key::new(bits, key), 0)
        };
        match entry {
            Ok(entry) => Ok(Some(entry.expires_ns)),
            Err(MapError::KeyNotFound) => Ok(None),
            Err(error) => Err(KernelError::map("reading a list")(error)),
        }
    }

    /// Removes one entry of the operator.
    pub(super) fn delete(&mut self, kind: ListKind, target: Target) -> Result<(), KernelError> {
        let list = self.list(kind);
        list.operator.remove(&target);
        list.sync(target)?;
        self.write_sizes(&[], &[])
    }
}

pub(super) fn entry(expires_ns: u64, bits: u32, origin: Origin) -> ListEntry {
    ListEntry { expires_ns, bits, origin: origin as u8, pad: [0; 3] }
}

/// The key of a target, and its length in bits in a trie.
pub(super) fn key(target: Target) -> (ListKey, u32) {
    let port = target.port.unwrap_or(0).to_be_bytes();
    let (address, bits) = match target.net {
        IpNet::V4(net) => {
            (Address::v4(net.addr().octets()), V4_PREFIX_BITS + u32::from(net.prefix_len()))
        }
        IpNet::V6(net) => (Address::from_octets(net.addr().octets()), u32::from(net.prefix_len())),
    };
    (ListKey::new(address, port), LIST_KEY_HEAD_BITS + bits)
}

/// Nanoseconds of CLOCK_MONOTONIC, the program's clock.
fn now() -> u64 {
    clock_gettime(ClockId::CLOCK_MONOTONIC)
        .map_or(0, |time| u64::try_from(Duration::from(time).as_nanos()).unwrap_or(u64::MAX))
}

/// A wall-clock time on the program's clock; in the past it is 1, not 0.
fn expiry(until: Timestamp, epoch: Option<Epoch>) -> u64 {
    let Epoch { wall, clock_ns } =
        epoch.unwrap_or_else(|| Epoch { wall: Timestamp::now(), clock_ns: now() });
    let left = until.duration_since(wall).as_nanos();
    u64::try_from((i128::from(clock_ns) + left).max(1)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_hold_port_and_mapped_address() {
        let of = |text: &str| key(text.parse().expect("a target"));
        let (v4, bits) = of("198.51.100.0/24:5060");
        assert_eq!(v4.address, Address::v4([198, 51, 100, 0]));
        assert_eq!((v4.port.to_ne_bytes(), bits), ([0x13, 0xc4, 0, 0, 0, 0, 0, 0], 64 + 96 + 24));
        let (v6, bits) = of("2001:db8::/32");
        assert_eq!(
            (v6.address.octets()[..2].to_vec(), v6.port, bits),
            (vec![0x20, 0x01], 0, 64 + 32)
        );
    }

    #[test]
    fn times_in_the_past_are_not_for_ever() {
        assert_eq!(expiry(Timestamp::UNIX_EPOCH, None), 1);
        assert!(expiry(Timestamp::now(), None) > 1);
    }

    #[test]
    fn times_follow_the_epoch() {
        let wall = Timestamp::UNIX_EPOCH;
        let epoch = Some(Epoch { wall, clock_ns: 5_000 });
        let after = |nanoseconds| Timestamp::from_nanosecond(nanoseconds).expect("a time");
        assert_eq!(expiry(after(700), epoch), 5_700);
        assert_eq!(expiry(after(-700), epoch), 4_300);
        assert_eq!(expiry(after(-7_000), epoch), 1);
        assert_eq!(expiry(Timestamp::MAX, epoch), u64::MAX);
    }
}
