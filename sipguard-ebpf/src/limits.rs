//! Spending tokens of a stranger's buckets, exactly, on several CPUs.

use sipguard_common::{
    abi::{Address, Policy, Source},
    bucket::{Limit, Step, step},
    decide::Admission,
    method::{BUCKETS, Class},
    opaque,
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

const TOTAL: u32 = Class::Total as u32;

/// Lies in read-only data: on the stack LLVM would clear it byte by byte.
static NEW_SOURCE: Source = Source::NEW;

/// The buckets of a source; a new source gets new ones.
#[inline(always)]
fn buckets(source: &Address) -> Option<*mut Source> {
    if let Some(state) = maps::STRANGERS.get_ptr_mut(source) {
        return Some(state);
    }
    // Fails where another CPU was first: then its entry is there.
    let fresh: &Source = &NEW_SOURCE;
    let _ = maps::STRANGERS.insert(source, fresh, BPF_NOEXIST);
    maps::STRANGERS.get_ptr_mut(source)
}

/// Counts the packet in the scratch memory against its class and, where
/// `total` is not 0, against all requests of its source together. Gives an
/// [`Admission`] by number. A subprogram: the verifier walks it once and not
/// once for each way to it.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn admit(policy: *const Policy, class: u32, total: u32) -> u32 {
    let within = Admission::Within as u32;
    let Some(scratch) = maps::SCRATCH.get(0) else {
        return within;
    };
    if policy.is_null() {
        return within;
    }
    let class = opaque(u64::from(class)) as usize;
    if class >= BUCKETS {
        return within;
    }
    // SAFETY: the policy comes from a map lookup and is not null; the class
    // was compared. The buckets stay mapped while the program runs: if the LRU
    // gives them to another source meanwhile, one token is spent from a wrong
    // bucket, which is cheaper than any lock.
    unsafe {
        let limits = (&raw const (*policy).limits).cast::<Limit>();
        let of_class = *limits.add(class);
        let of_total = if total == 0 { Limit::UNLIMITED } else { *limits.add(TOTAL as usize) };
        if of_class.interval_ns == 0 && of_total.interval_ns == 0 {
            return within;
        }
        let source = scratch.packet.source.source((*policy).source_mask);
        let Some(state) = buckets(&source) else {
            // What cannot be counted passes.
            return within;
        };
        let now = clock::now();
        let tats = (&raw mut (*state).tat_ns).cast::<u64>();
        if !spend(tats.add(class), now, of_class) {
            return Admission::OverMethod as u32;
        }
        if !spend(tats.add(TOTAL as usize), now, of_total) {
            return Admission::OverSource as u32;
        }
    }
    within
}

/// As the subprogram says.
#[inline(always)]
pub(crate) fn spend_for(policy: &Policy, class: Class, total: bool) -> Admission {
    match admit(policy, class as u32, u32::from(total)) {
        1 => Admission::OverMethod,
        2 => Admission::OverSource,
        _ => Admission::Within,
    }
}
