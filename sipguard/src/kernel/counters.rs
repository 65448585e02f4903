//! Reading the counters.

use aya::{
    Ebpf,
    maps::{MapData, PerCpuArray},
};
use sipguard_common::abi::{Counters, Interfaces};

use super::{ArrayMap, KernelError, typed};

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
}

impl CounterMaps {
    pub(super) fn take(ebpf: &mut Ebpf) -> Result<Self, KernelError> {
        Ok(Self {
            counters: typed(ebpf, "COUNTERS")?,
            interfaces: typed(ebpf, "INTERFACES")?,
            slots: Interfaces::default(),
            names: vec!["other".to_owned()],
        })
    }

    /// From now on, packets of this interface are counted in this slot.
    pub(super) fn name_slot(
        &mut self,
        slot: usize,
        name: &str,
        ifindex: u32,
    ) -> Result<(), KernelError> {
        let Some(place) = self.slots.ifindex.get_mut(slot) else {
            return Err(KernelError::TooManyInterfaces(self.slots.ifindex.len() - 1));
        };
        *place = ifindex;
        self.names.truncate(slot);
        self.names.push(name.to_owned());
        self.interfaces
            .set(0, self.slots, 0)
            .map_err(KernelError::map("writing the list of interfaces"))
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
