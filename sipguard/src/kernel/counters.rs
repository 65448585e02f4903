//! Reading the counters.

use aya::maps::{MapData, PerCpuArray};
use sipguard_common::abi::{Counters, INTERFACE_SLOTS, Interfaces, padded, unpadded};

use super::{
    KernelError,
    maps::{ArrayMap, Maps, typed},
};

/// What one interface counted, summed over CPUs.
#[derive(Clone, Debug)]
pub struct InterfaceCounters {
    pub name: String,
    pub counters: Counters,
}

impl InterfaceCounters {
    /// Of all interfaces.
    #[must_use]
    pub fn sum(all: &[Self]) -> Counters {
        let mut sum = Counters::ZERO;
        all.iter().for_each(|one| add(&mut sum, &one.counters));
        sum
    }
}

pub(super) struct CounterMaps {
    counters: PerCpuArray<MapData, Counters>,
    interfaces: ArrayMap<Interfaces>,
    slots: Interfaces,
    names: Vec<String>,
    /// Slots of interfaces that this run protects.
    live: [bool; INTERFACE_SLOTS],
}

impl CounterMaps {
    pub(super) fn take(maps: &mut impl Maps) -> Result<Self, KernelError> {
        let interfaces: ArrayMap<Interfaces> = typed(maps, "INTERFACES")?;
        let slots =
            interfaces.get(&0, 0).map_err(KernelError::map("reading the list of interfaces"))?;
        Ok(Self {
            counters: typed(maps, "COUNTERS")?,
            interfaces,
            names: names(&slots),
            slots,
            live: [false; INTERFACE_SLOTS],
        })
    }

    /// From now on, packets of this interface are counted in a slot of its own:
    /// that which one of its name had before, be it in an earlier run.
    pub(super) fn name_slot(&mut self, name: &str, ifindex: u32) -> Result<(), KernelError> {
        let known = self.names.iter().position(|known| known == name);
        let slot = known.filter(|slot| *slot > 0).unwrap_or(self.names.len());
        let full = KernelError::TooManyInterfaces(INTERFACE_SLOTS - 1);
        // Where all are taken, one that is no longer protected makes room: its
        // packets go on being counted, under another name.
        let slot = match slot < INTERFACE_SLOTS {
            true => slot,
            false => (1..INTERFACE_SLOTS).find(|slot| !self.live[*slot]).ok_or(full)?,
        };
        self.slots.ifindex[slot] = ifindex;
        self.slots.names[slot] = padded(name.as_bytes()).unwrap_or_default();
        self.live[slot] = true;
        self.names = names(&self.slots);
        self.interfaces
            .set(0, self.slots, 0)
            .map_err(KernelError::map("writing the list of interfaces"))
    }

    /// The interfaces, by index and name.
    pub(super) fn interfaces(&self) -> impl Iterator<Item = (u32, &str)> {
        let named = self.slots.ifindex.iter().copied().zip(self.names.iter().map(String::as_str));
        named.filter(|(ifindex, _)| *ifindex != 0)
    }

    /// The names of the slots, by number.
    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    pub(super) fn read(&self) -> Result<Vec<InterfaceCounters>, KernelError> {
        let read = |(slot, name): (u32, &String)| {
            let per_cpu =
                self.counters.get(&slot, 0).map_err(KernelError::map("reading counters"))?;
            let mut sum = Counters::ZERO;
            per_cpu.iter().for_each(|cpu| add(&mut sum, cpu));
            Ok(InterfaceCounters { name: name.clone(), counters: sum })
        };
        (0..).zip(&self.names).map(read).collect()
    }
}

/// The names of the slots in use; the first is for all other interfaces.
fn names(slots: &Interfaces) -> Vec<String> {
    let named = slots.ifindex.iter().zip(&slots.names).skip(1);
    let named = named.take_while(|(ifindex, _)| **ifindex != 0);
    let name = |name: &[u8]| String::from_utf8_lossy(unpadded(name)).into_owned();
    std::iter::once("other".to_owned()).chain(named.map(|(_, bytes)| name(bytes))).collect()
}

fn add(sum: &mut Counters, cpu: &Counters) {
    let counts = sum.rules.iter_mut().chain(&mut sum.would);
    for (sum, cpu) in counts.zip(cpu.rules.iter().chain(&cpu.would)) {
        sum.packets += cpu.packets;
        sum.bytes += cpu.bytes;
    }
    for (sum, cpu) in sum.passed.iter_mut().zip(&cpu.passed) {
        *sum += cpu;
    }
    for (sum, cpu) in sum.dropped.iter_mut().zip(&cpu.dropped) {
        *sum += cpu;
    }
}
