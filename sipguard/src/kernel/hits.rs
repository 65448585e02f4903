//! Packets by signature.
//!
//! A signature is counted in a slot that it keeps as long as a signature of
//! its name is enabled, whatever its place in the list: its count goes on over
//! reloads.

use std::collections::{BTreeMap, BTreeSet};

use aya::maps::{IterableMap as _, MapData, PerCpuArray, PerCpuValues};
use sipguard_common::{
    abi::{SignatureName, padded, unpadded},
    automaton::{MAX_SIGNATURES, SIGNATURE_SLOTS},
};

use super::{
    KernelError, batch,
    maps::{ArrayMap, Maps, typed},
    walk::failed,
};
use crate::policy::Signature;

/// The slot of each name.
pub(super) type Slots = BTreeMap<String, u16>;

pub(super) struct SignatureHits {
    map: PerCpuArray<MapData, u64>,
    /// The name of each slot, for the next one who opens these maps.
    names: ArrayMap<SignatureName>,
    cpus: usize,
    slots: Slots,
}

impl SignatureHits {
    pub(super) fn take(maps: &mut impl Maps) -> Result<Self, KernelError> {
        let cpus =
            aya::util::nr_cpus().map_err(|(what, source)| KernelError::Io { what, source })?;
        let names = typed(maps, "SIGNATURE_NAMES")?;
        Ok(Self { map: typed(maps, "SIGNATURE_HITS")?, names, cpus, slots: Slots::new() })
    }

    /// Goes on with the slots of an earlier run.
    pub(super) fn read_back(&mut self) -> Result<(), KernelError> {
        let names = batch::values::<SignatureName>(self.names.map(), SIGNATURE_SLOTS)
            .map_err(failed)
            .map_err(KernelError::map("reading the signatures' names"))?;
        let named = (0..).zip(&names).filter_map(|(slot, name)| {
            let name = std::str::from_utf8(unpadded(name)).ok()?;
            (!name.is_empty()).then(|| (name.to_owned(), slot))
        });
        self.slots = named.collect();
        Ok(())
    }

    /// Slots for the signatures of a coming policy; those of the present one
    /// are left alone.
    pub(super) fn plan(&mut self, signatures: &[Signature]) -> Result<Slots, KernelError> {
        let names: Vec<&str> = signatures.iter().map(|signature| &*signature.name).collect();
        let slots = assign(&self.slots, &names);
        for (name, slot) in &slots {
            if !self.slots.contains_key(name) {
                self.clear(*slot)?;
                self.set_name(*slot, name)?;
            }
        }
        Ok(slots)
    }

    fn clear(&mut self, slot: u16) -> Result<(), KernelError> {
        let context = KernelError::map("clearing a signature's count");
        let zero = PerCpuValues::try_from(vec![0u64; self.cpus])
            .map_err(|source| KernelError::Io { what: "counting CPUs", source })?;
        self.map.set(u32::from(slot), zero, 0).map_err(context)
    }

    fn set_name(&mut self, slot: u16, name: &str) -> Result<(), KernelError> {
        // Who has too long a name is counted from zero by the next run.
        let name: SignatureName = padded(name.as_bytes()).unwrap_or([0; 256]);
        let context = KernelError::map("naming a signature's count");
        self.names.set(u32::from(slot), name, 0).map_err(context)
    }

    /// The coming policy is in force.
    pub(super) fn keep(&mut self, slots: Slots) {
        let before = std::mem::replace(&mut self.slots, slots);
        // Who stays keeps the slot, and no newcomer gets one that was held.
        for (name, slot) in before {
            if !self.slots.contains_key(&name)
                && let Err(error) = self.set_name(slot, "")
            {
                tracing::warn!("a signature that is gone keeps its name: {error}");
            }
        }
    }

    /// The name of the signature in a slot.
    pub(super) fn name(&self, slot: u16) -> Option<&str> {
        self.slots.iter().find(|(_, held)| **held == slot).map(|(name, _)| name.as_str())
    }

    /// The signatures that have a slot, without their conditions.
    pub(super) fn signatures(&self) -> Vec<Signature> {
        let named = |name: &String| Signature { name: name.clone(), conditions: Vec::new() };
        self.slots.keys().map(named).collect()
    }

    /// The slot of a signature, by its name.
    pub(super) fn slot(&self, name: &str) -> Option<u16> {
        self.slots.get(name).copied()
    }

    /// Packets by name.
    pub(super) fn read(&self) -> Result<BTreeMap<String, u64>, KernelError> {
        let first = self.slots.values().max().map_or(0, |last| usize::from(*last) + 1);
        let sums = batch::sums(self.map.map(), first, self.cpus)
            .map_err(failed)
            .map_err(KernelError::map("reading the signatures' counts"))?;
        let read = |(name, slot): (&String, &u16)| {
            (name.clone(), sums.get(usize::from(*slot)).copied().unwrap_or_default())
        };
        Ok(self.slots.iter().map(read).collect())
    }
}

/// Names that have a slot keep it; the others get one that is free now.
fn assign(present: &Slots, names: &[&str]) -> Slots {
    let taken: BTreeSet<u16> = present.values().copied().collect();
    let last = u16::try_from(SIGNATURE_SLOTS).unwrap_or(u16::MAX);
    let mut free = (0..last).filter(|slot| !taken.contains(slot));
    let slot = |name: &&str| {
        let slot = present.get(*name).copied().or_else(|| free.next());
        slot.map(|slot| ((*name).to_owned(), slot))
    };
    names.iter().filter_map(slot).collect()
}

const _: () = assert!(SIGNATURE_SLOTS >= 2 * MAX_SIGNATURES && SIGNATURE_SLOTS <= 1 << 16);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_their_slot_and_never_share_one() {
        let first = assign(&Slots::new(), &["a", "b", "c"]);
        let second = assign(&first, &["d", "c", "a"]);
        assert_eq!((second["a"], second["c"]), (first["a"], first["c"]));
        // That of `b` is still counted in until the swap.
        assert!(!first.values().any(|slot| *slot == second["d"]));
        let third = assign(&second, &["e", "d"]);
        assert_eq!(third["e"], first["b"]);
    }
}
