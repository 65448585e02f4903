//! Reading the counters of what leaves.

use aya::{
    Ebpf,
    maps::{MapData, PerCpuArray},
};
use sipguard_common::abi::Replies;

use super::{KernelError, typed};

/// What has left one interface, summed over CPUs.
#[derive(Clone, Debug)]
pub struct InterfaceReplies {
    pub name: String,
    pub replies: Replies,
}

pub(super) struct ReplyCounters(PerCpuArray<MapData, Replies>);

impl ReplyCounters {
    pub(super) fn take(ebpf: &mut Ebpf) -> Result<Self, KernelError> {
        Ok(Self(typed(ebpf, "REPLIES")?))
    }

    /// Of the interfaces in these slots, the first of which is for all others.
    pub(super) fn read(&self, names: &[String]) -> Result<Vec<InterfaceReplies>, KernelError> {
        let read = |(slot, name): (u32, &String)| {
            let per_cpu = self.0.get(&slot, 0).map_err(KernelError::map("reading replies"))?;
            let mut sum = Replies::ZERO;
            per_cpu.iter().for_each(|cpu| add(&mut sum, cpu));
            Ok(InterfaceReplies { name: name.clone(), replies: sum })
        };
        (0..).zip(names).map(read).collect()
    }
}

fn add(sum: &mut Replies, cpu: &Replies) {
    let by = sum.by.iter_mut().flatten().zip(cpu.by.iter().flatten());
    let requests = sum.requests.iter_mut().zip(&cpu.requests);
    let learned = sum.learned.iter_mut().zip(&cpu.learned);
    for (sum, cpu) in by.chain(requests).chain(learned) {
        *sum = sum.saturating_add(*cpu);
    }
    sum.other = sum.other.saturating_add(cpu.other);
}

#[cfg(test)]
mod tests {
    use sipguard_common::{abi::Learned, method::Method};

    use super::*;

    #[test]
    fn cpus_add_up() {
        let mut cpu = Replies::ZERO;
        cpu.by[4][Method::Register as usize] = 3;
        cpu.requests[Method::Options as usize] = 2;
        cpu.learned[Learned::Hidden as usize] = 5;
        cpu.other = 7;
        let mut sum = Replies::ZERO;
        (0..2).for_each(|_| add(&mut sum, &cpu));
        assert_eq!(sum.by[4][Method::Register as usize], 6);
        assert_eq!(sum.by[2][Method::Register as usize], 0);
        assert_eq!(sum.requests[Method::Options as usize], 4);
        assert_eq!(sum.learned[Learned::Hidden as usize], 10);
        assert_eq!(sum.other, 14);
    }
}
