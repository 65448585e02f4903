//! The policy's map, and the protected destinations that belong to it.
//!
//! One outer slot and two inner maps that take turns: one is read by packets,
//! the other is written. The destinations stand in a
//! trie of their own, under a mark that is new with each policy and that the
//! policy names: they change with it, in the same instant.

use aya::maps::{ArrayOfMaps, IterableMap as _, LpmTrie, MapData, lpm_trie::Key};
use ipnet::IpNet;
use sipguard_common::abi::{ListEntry, ListKey, Origin, Policy};

use super::{
    KernelError, batch,
    error::is_missing,
    hits::Slots,
    lists::{entry, key},
    maps::{ArrayMap, Maps, typed},
    walk::failed,
};
use crate::policy::{Plan, Target};

type Bytes = [u8; size_of::<Policy>()];

/// A policy in kernel memory that no packet sees yet: in the inner map whose
/// turn it is.
pub(super) struct Prepared {
    protected: Vec<Key<ListKey>>,
}

pub(super) struct PolicyMap {
    outer: ArrayOfMaps<MapData, ArrayMap<Bytes>>,
    /// The first is the one that packets do not read.
    inner: [ArrayMap<Bytes>; 2],
    protected: LpmTrie<MapData, ListKey, ListEntry>,
    /// Destinations of the policy in force.
    protected_now: Vec<Key<ListKey>>,
    /// The mark that was given last.
    mark: u32,
}

impl PolicyMap {
    pub(super) fn take(maps: &mut impl Maps) -> Result<Self, KernelError> {
        Ok(Self {
            outer: typed(maps, "POLICY")?,
            inner: [typed(maps, "POLICY_A")?, typed(maps, "POLICY_B")?],
            protected: typed(maps, "PROTECTED")?,
            protected_now: Vec::new(),
            mark: 0,
        })
    }

    /// The policy in force, as far as its settings can be told from what the
    /// kernel program reads.
    pub(super) fn read_back(&self) -> Result<Plan, KernelError> {
        let reading = || KernelError::map("reading the policy");
        let current = self.outer.get(&0, 0).map_err(reading())?;
        let bytes =
            batch::value(current.map(), size_of::<Policy>()).map_err(failed).map_err(reading())?;
        let mut plan = Plan::default();
        plan.read_policy(&bytes);
        Ok(plan)
    }

    /// Copies a policy and its destinations into the kernel, out of sight.
    /// Signatures are counted in `slots`.
    pub(super) fn prepare(&mut self, plan: &Plan, slots: &Slots) -> Result<Prepared, KernelError> {
        // 0 stands for every destination.
        self.mark = self.mark.checked_add(1).unwrap_or(1);
        let mark = if plan.protected.is_empty() { 0 } else { self.mark };
        self.write(plan, slots, mark)?;
        let protected: Vec<_> =
            plan.protected.iter().map(|net| protected_key(*net, mark)).collect();
        for key in &protected {
            if let Err(error) = self.protected.insert(key, entry(0, 0, Origin::File), 0) {
                self.forget(&protected);
                return Err(KernelError::map("adding a protected destination")(error));
            }
        }
        Ok(Prepared { protected })
    }

    /// From the next packet on, this policy holds. The kernel answers when no
    /// packet is judged by the old one any more (it waits for a grace period
    /// after a change of a map of maps, since Linux 4.20): only then may the
    /// old one's memory be written again.
    pub(super) fn swap(&mut self, prepared: Prepared) -> Result<(), KernelError> {
        let Prepared { protected } = prepared;
        let [next, _] = &self.inner;
        if let Err(error) = self.outer.set(0, next, 0) {
            self.forget(&protected);
            return Err(KernelError::map("swapping the policy")(error));
        }
        self.inner.swap(0, 1);
        let gone = std::mem::replace(&mut self.protected_now, protected);
        self.forget(&gone);
        Ok(())
    }

    /// Gives up a policy that is not to come.
    pub(super) fn discard(&mut self, prepared: Prepared) {
        self.forget(&prepared.protected);
    }

    /// Under a mark that no policy in force names, an entry that stays does no
    /// harm but take room.
    fn forget(&mut self, keys: &[Key<ListKey>]) {
        for key in keys {
            match self.protected.remove(key) {
                Ok(()) => {}
                Err(error) if is_missing(&error) => {}
                Err(error) => {
                    tracing::warn!("a protected destination could not be removed: {error}")
                }
            }
        }
    }

    /// Writes the plan's [`Policy`], with this mark and these slots in it,
    /// where no packet reads.
    fn write(&mut self, plan: &Plan, slots: &Slots, mark: u32) -> Result<(), KernelError> {
        let mut bytes = plan.policy_bytes().to_vec();
        let place = std::mem::offset_of!(Policy, protected);
        bytes[place..place + size_of::<u32>()].copy_from_slice(&mark.to_ne_bytes());
        let place = std::mem::offset_of!(Policy, signature_slots);
        let places = bytes[place..].chunks_exact_mut(size_of::<u16>());
        for (place, signature) in places.zip(&plan.signatures) {
            let slot = slots.get(&signature.name).copied().unwrap_or_default();
            place.copy_from_slice(&slot.to_ne_bytes());
        }
        let bytes: &Bytes = bytes.as_slice().try_into().map_err(|_| KernelError::Missing {
            what: "policy of the size that the program expects in",
            name: "POLICY",
        })?;
        let [next, _] = &mut self.inner;
        next.set(0, bytes, 0).map_err(KernelError::map("writing the policy"))
    }
}

fn protected_key(net: IpNet, mark: u32) -> Key<ListKey> {
    let (ListKey { address, .. }, bits) = key(Target { net, port: None });
    Key::new(u32::from(bits), ListKey::protected(address, mark))
}
