//! Counting: every packet under exactly one rule.

use sipguard_common::{
    abi::{Count, Counters, INTERFACE_SLOTS, Judged},
    decide::Judgement,
    method::METHOD_SLOTS,
    rule::Verdict,
};

use crate::maps;

/// The slot of an interface. The first ones are found first, so that a host
/// with one interface pays for one comparison.
#[inline(always)]
fn slot(ifindex: u32) -> u32 {
    let Some(interfaces) = maps::INTERFACES.get(0) else {
        return 0;
    };
    let mut slot = 1;
    while slot < INTERFACE_SLOTS {
        // SAFETY: below the number of slots.
        if unsafe { *interfaces.ifindex.get_unchecked(slot) } == ifindex {
            return slot as u32;
        }
        slot += 1;
    }
    0
}

/// Counts one frame of `bytes` bytes.
#[inline(always)]
pub(crate) fn count(ifindex: u32, bytes: u32, judgement: &Judgement) {
    if maps::is_test() {
        let Judgement { rule, method, signature } = *judgement;
        let _ = maps::JUDGED.set(0, Judged { rule: rule.number(), method, signature, pad: 0 }, 0);
    }
    let Some(counters) = maps::COUNTERS.get_ptr_mut(slot(ifindex)) else {
        return;
    };
    // SAFETY: this CPU's own value; rules are numbered below their slots and
    // the method is compared.
    unsafe {
        let count = (&raw mut (*counters).rules).cast::<Count>().add(judgement.rule as usize);
        (*count).packets += 1;
        (*count).bytes += u64::from(bytes);
        by_method(counters, judgement);
    }
}

#[inline(always)]
unsafe fn by_method(counters: *mut Counters, judgement: &Judgement) {
    let method = sipguard_common::opaque(u64::from(judgement.method)) as usize;
    if method == 0 || method >= METHOD_SLOTS {
        return;
    }
    // SAFETY: compared above.
    unsafe {
        let slots = match judgement.rule.verdict() {
            Verdict::Pass => &raw mut (*counters).passed,
            Verdict::Drop => &raw mut (*counters).dropped,
        };
        *slots.cast::<u64>().add(method) += 1;
    }
}
