//! Spending tokens of a stranger's buckets, exactly, on several CPUs.

use sipguard_common::{
    abi::{Address, Source},
    bucket::{Limit, Step, step},
    decide::Admission,
    method::{BUCKETS, Class},
};

use crate::{clock, maps};

/// Tries to win the compare-and-swap. Each lost one means that another CPU
/// spent a token of this very bucket in that instant.
const TRIES: u32 = 16;

const BPF_NOEXIST: u64 = 1;

/// Stores `new` at `word` if it holds `old`; gives what it held. Linux 5.12.
#[inline(always)]
unsafe fn compare_and_swap(word: *mut u64, old: u64, new: u64) -> u64 {
    #[cfg(target_arch = "bpf")]
    // SAFETY: one 8-byte aligned word of a map value; r0 is declared.
    unsafe {
        let seen: u64;
        core::arch::asm!(
            "r0 = cmpxchg_64({p} + 0, r0, {n})",
            p = in(reg) word,
            n = in(reg) new,
            inout("r0") old => seen,
        );
        seen
    }
    #[cfg(not(target_arch = "bpf"))]
    // SAFETY: compiled for the host only to be checked, never run.
    unsafe {
        let seen = *word;
        if seen == old {
            *word = new;
        }
        seen
    }
}

/// One packet at `now` meets one bucket. True while within the limit.
#[inline(always)]
unsafe fn spend(word: *mut u64, now: u64, limit: Limit) -> bool {
    if limit.interval_ns == 0 {
        return true;
    }
    // SAFETY: the caller's word lies in a map value.
    unsafe {
        let mut seen = word.read_volatile();
        for _ in 0..TRIES {
            let (next, within) = match step(seen, now, limit) {
                Step::Take(next) => (next, true),
                Step::Reset(next) => (next, false),
                Step::Over => return false,
            };
            let held = compare_and_swap(word, seen, next);
            if held == seen {
                return within;
            }
            seen = held;
        }
    }
    false
}

/// The limits one packet has to meet.
#[derive(Clone, Copy)]
pub(crate) struct Spend {
    pub(crate) class: usize,
    pub(crate) of_class: Limit,
    /// Unlimited for packets that count against their class only.
    pub(crate) of_total: Limit,
}

const TOTAL: usize = Class::Total as usize;

/// Counts a packet of `source` against its buckets.
#[inline(always)]
pub(crate) fn admit(source: &Address, spend_of: Spend) -> Admission {
    let Spend { class, of_class, of_total } = spend_of;
    if class >= BUCKETS || (of_class.interval_ns == 0 && of_total.interval_ns == 0) {
        return Admission::Within;
    }
    let now = clock::now();
    let state = match maps::STRANGERS.get_ptr_mut(source) {
        Some(state) => state,
        None => {
            if maps::STRANGERS.insert(source, Source::NEW, BPF_NOEXIST) != Ok(()) {
                // Another CPU was first, or there is no memory: look again.
            }
            match maps::STRANGERS.get_ptr_mut(source) {
                Some(state) => state,
                // What cannot be counted passes.
                None => return Admission::Within,
            }
        }
    };
    // SAFETY: the class was compared; the value stays mapped while the program
    // runs. If the LRU gives it to another source meanwhile, one token is
    // spent from the wrong bucket, which is cheaper than any lock.
    unsafe {
        let tats = (&raw mut (*state).tat_ns).cast::<u64>();
        if !spend(tats.add(class), now, of_class) {
            return Admission::OverMethod;
        }
        if !spend(tats.add(TOTAL), now, of_total) {
            return Admission::OverSource;
        }
    }
    Admission::Within
}
