//! Who sends, and how much.

use sipguard_common::{
    abi::{Policy, TALLY_WAYS, Tally, tally_set},
    decide::Judgement,
    method::Method,
};

use crate::{clock, maps};

/// Notes the packet in the scratch memory, which stands for `weight` packets of
/// `bytes` bytes each. A subprogram: there are a thousand ways here.
///
/// CPUs do not wait for each other: this is a picture for people, and nothing is
/// decided by it.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn tally(policy: *const Policy, judged: u32, bytes: u32, weight: u32) -> u32 {
    // SAFETY: a value of a map, for as long as the program runs, or null.
    let (Some(scratch), Some(policy)) = (maps::SCRATCH.get_ptr(0), unsafe { policy.as_ref() })
    else {
        return 0;
    };
    // SAFETY: this CPU's own memory.
    let source = unsafe { (*scratch).packet.source }.source(policy.source_mask);
    let Some(set) = maps::TALLIES.get_ptr_mut(tally_set(&source)) else {
        return 0;
    };
    let set = set.cast::<Tally>();
    let mut way = 0;
    let (mut quiet, mut quiet_ns) = (0, u64::MAX);
    while way < TALLY_WAYS {
        // SAFETY: below the number of slots of a set.
        let one = unsafe { set.add(way as usize) };
        // SAFETY: a map value.
        let (whose, last_ns) = unsafe { ((*one).source, (*one).last_ns) };
        if whose == source && last_ns != 0 {
            return add(one, judged, bytes, weight);
        }
        if last_ns < quiet_ns {
            (quiet, quiet_ns) = (way, last_ns);
        }
        way += 1;
    }
    // SAFETY: as above.
    let one = unsafe { set.add((quiet & (TALLY_WAYS - 1)) as usize) };
    // SAFETY: a map value.
    unsafe { *one = Tally { source, ..Tally::default() } };
    add(one, judged, bytes, weight)
}

#[inline(always)]
fn add(one: *mut Tally, judged: u32, bytes: u32, weight: u32) -> u32 {
    let judgement = Judgement::decode(judged);
    let weight = u64::from(weight);
    // SAFETY: the caller's slot of a map value.
    unsafe {
        (*one).packets += weight;
        (*one).bytes += weight * u64::from(bytes);
        (*one).samples += 1;
        (*one).last_ns = clock::tick();
        (*one).rule = judgement.rule;
        if judgement.is_drop() {
            (*one).dropped += weight;
        }
        if judgement.method != Method::Unknown as u32 {
            (*one).method = judgement.method;
        }
        if judgement.method == Method::Options as u32 {
            (*one).options += weight;
        } else if judgement.method == Method::Register as u32 {
            (*one).register += weight;
        } else if judgement.method == Method::Invite as u32 {
            (*one).invite += weight;
        }
    }
    0
}
