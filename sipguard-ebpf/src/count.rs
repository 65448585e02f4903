//! Counting: every packet under exactly one rule.

use aya_ebpf::helpers::generated::bpf_jiffies64;
use sipguard_common::{
    abi::{Count, Counters, INTERFACE_SLOTS, Judged, Policy},
    automaton::MAX_SIGNATURES,
    decide::Judgement,
    method::METHOD_SLOTS,
    opaque,
    rule::{RULE_SLOTS, Rule},
    scan,
};

use crate::maps;

/// The slot of an interface. They are taken in turn: a host with one interface
/// pays for one comparison, and the first unused one ends the search.
#[inline(always)]
pub(crate) fn slot(ifindex: u32) -> u32 {
    let Some(interfaces) = maps::INTERFACES.get(0) else {
        return 0;
    };
    let mut slot = 1;
    while slot < INTERFACE_SLOTS {
        // SAFETY: below the number of slots.
        let taken = unsafe { *interfaces.ifindex.get_unchecked(slot) };
        if taken == ifindex {
            return slot as u32;
        }
        if taken == 0 {
            return 0;
        }
        slot += 1;
    }
    0
}

/// Counts one frame of `bytes` bytes, and gives what [`sample`] does. A
/// subprogram: each of its ways would otherwise be walked for each way there.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn count_frame(ifindex: u32, bytes: u32, judged: u32) -> u32 {
    let (Some(scratch), Some(counters)) =
        (maps::SCRATCH.get_ptr(0), maps::COUNTERS.get_ptr_mut(slot(ifindex)))
    else {
        return 0;
    };
    let judgement = Judgement::decode(judged);
    let Judgement { rule, method } = judgement;
    // SAFETY: this CPU's own values; what indexes them is compared.
    unsafe {
        let (signature, would) = scan::found(scratch);
        if maps::is_test() {
            let _ = maps::JUDGED.set(0, Judged { rule, method, signature, pad: 0, would }, 0);
        }
        add((&raw mut (*counters).rules).cast(), u64::from(rule), bytes);
        by_method(counters, method, judgement.is_drop());
        if would != 0 {
            would_drop(counters, would, bytes);
        }
        sample(counters)
    }
}

/// Counts one frame of `bytes` bytes under a rule that is not about a request,
/// where none would have dropped it: without the scratch memory, and without a
/// call.
#[inline(always)]
pub(crate) fn count_plain(ifindex: u32, bytes: u32, rule: Rule) -> u32 {
    let Some(counters) = maps::COUNTERS.get_ptr_mut(slot(ifindex)) else { return 0 };
    if maps::is_test() {
        let judged = Judged { rule: rule.number(), ..Judged::default() };
        let _ = maps::JUDGED.set(0, judged, 0);
    }
    // SAFETY: this CPU's own values, and a rule has a slot.
    unsafe {
        bump((&raw mut (*counters).rules).cast::<Count>().add(rule as usize), bytes);
        sample(counters)
    }
}

/// For how many packets this one stands in [`maps::TALLIES`], or 0 where it need
/// not be looked at. Under test each stands for itself.
#[inline(always)]
unsafe fn sample(counters: *mut Counters) -> u32 {
    if maps::is_test() {
        return 1;
    }
    // SAFETY: this CPU's own value; the helper takes and changes nothing
    // (Linux 5.5).
    unsafe { (*counters).sampling.take(bpf_jiffies64()) }
}

/// As the subprogram says.
#[inline(always)]
pub(crate) fn count(ifindex: u32, bytes: u32, judgement: Judgement) -> u32 {
    count_frame(ifindex, bytes, judgement.encode())
}

#[inline(always)]
unsafe fn add(counts: *mut Count, rule: u64, bytes: u32) {
    let rule = opaque(rule) as usize;
    if rule >= RULE_SLOTS {
        return;
    }
    // SAFETY: compared above.
    unsafe { bump(counts.add(rule), bytes) }
}

/// One packet more.
#[inline(always)]
unsafe fn bump(count: *mut Count, bytes: u32) {
    // SAFETY: the caller's count lies in this CPU's own value.
    unsafe {
        (*count).packets += 1;
        (*count).bytes += u64::from(bytes);
    }
}

/// One pass over the rules that can drop, which are known here.
#[inline(always)]
unsafe fn would_drop(counters: *mut Counters, would: u64, bytes: u32) {
    let mut i = 0;
    while i < Rule::ALL.len() {
        let rule = Rule::ALL[i];
        i += 1;
        if Rule::DROPS & rule.bit() != 0 && would & rule.bit() != 0 {
            // SAFETY: as the caller promises.
            unsafe { bump((&raw mut (*counters).would).cast::<Count>().add(rule as usize), bytes) }
        }
    }
}

#[inline(always)]
unsafe fn by_method(counters: *mut Counters, method: u32, drops: bool) {
    let method = opaque(u64::from(method)) as usize;
    if method == 0 || method >= METHOD_SLOTS {
        return;
    }
    // SAFETY: compared above.
    unsafe {
        let slots = if drops { &raw mut (*counters).dropped } else { &raw mut (*counters).passed };
        *slots.cast::<u64>().add(method) += 1;
    }
}

/// The slot of a signature by index plus one, which is not 0.
#[inline(always)]
pub(crate) fn signature_slot(policy: &Policy, signature: u32) -> u32 {
    let index = opaque(u64::from(signature - 1)) as usize;
    if index >= MAX_SIGNATURES {
        return 0;
    }
    // SAFETY: compared above.
    u32::from(unsafe { *policy.signature_slots.get_unchecked(index) })
}

/// Counts a packet that matched a signature.
#[inline(always)]
pub(crate) fn signature_hit(slot: u32) {
    if let Some(hits) = maps::SIGNATURE_HITS.get_ptr_mut(slot) {
        // SAFETY: this CPU's own value.
        unsafe { *hits += 1 };
    }
}
