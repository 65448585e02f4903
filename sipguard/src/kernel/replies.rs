//! Reading the counters of what leaves.

use aya::maps::{MapData, PerCpuArray};
use sipguard_common::abi::Replies;

use super::KernelError;

/// What has left one interface, summed over CPUs.
#[derive(Clone, Debug)]
pub struct InterfaceReplies {
    pub name: String,
    pub replies: Replies,
}

impl InterfaceReplies {
    /// Of all interfaces.
    #[must_use]
    pub fn sum(all: &[Self]) -> Replies {
        let mut sum = Replies::ZERO;
        all.iter().for_each(|one| add(&mut sum, &one.replies));
        sum
    }
}

/// Of one slot, summed over CPUs.
pub(super) fn of_slot(
    map: &PerCpuArray<MapData, Replies>,
    slot: u32,
) -> Result<Replies, KernelError> {
    let per_cpu = map.get(&slot, 0).map_err(KernelError::map("reading counts of replies"))?;
    let mut sum = Replies::ZERO;
    per_cpu.iter().for_each(|cpu| add(&mut sum, cpu));
    Ok(sum)
}

pub(super) fn add(sum: &mut Replies, more: &Replies) {
    let by = sum.by.iter_mut().flatten().zip(more.by.iter().flatten());
    let requests = sum.requests.iter_mut().zip(&more.requests);
    let learned = sum.learned.iter_mut().zip(&more.learned);
    for (sum, more) in by.chain(requests).chain(learned) {
        *sum = sum.saturating_add(*more);
    }
    sum.other = sum.other.saturating_add(more.other);
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
