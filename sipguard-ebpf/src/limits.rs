//! Spending tokens of buckets, exactly, on several CPUs.

use aya_ebpf::btf_maps::LruHashMap;
use sipguard_common::{
    abi::{Address, CPS_CLASSES, GREYLIST, PORT_WORDS, Policy, Ports, Source},
    admission::{self, Buckets},
    bucket::{Limit, Step, step},
    method::{BUCKETS, Class},
    opaque,
    rule::Rule,
    scan::{self, Scratch, identity},
};

use crate::{clock, maps, standing, transactions};

/// Tries to win the compare-and-swap. Each lost one means that another CPU
/// spent a token of this very bucket in that instant.
const TRIES: u32 = 16;

const BPF_NOEXIST: u64 = 1;

/// Stores `new` at `word` if it holds `old`; gives what it held. Linux 5.12.
#[inline(always)]
pub(crate) unsafe fn compare_and_swap(word: *mut u64, old: u64, new: u64) -> u64 {
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

/// Sets bits of a word, whatever other CPUs do to it meanwhile. Linux 5.12.
///
/// # Safety
/// The word is a map value.
#[inline(always)]
pub(crate) unsafe fn or(word: *mut u64, bits: u64) {
    #[cfg(target_arch = "bpf")]
    // SAFETY: one 8-byte aligned word of a map value.
    unsafe {
        core::arch::asm!("lock *(u64 *)({p} + 0) |= {v}", p = in(reg) word, v = in(reg) bits);
    }
    #[cfg(not(target_arch = "bpf"))]
    // SAFETY: compiled for the host only to be checked, never run.
    unsafe {
        *word |= bits;
    }
}

/// One packet at `now` meets one bucket. True while within the limit.
#[inline(always)]
pub(crate) unsafe fn spend(word: *mut u64, now: u64, limit: Limit) -> bool {
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

/// Spends a token of a bucket; true while within the limit, and where there is
/// no bucket, for what cannot be counted passes.
#[inline(always)]
unsafe fn spend_of(word: Option<*mut u64>, now: u64, limit: Limit) -> bool {
    // SAFETY: the caller's word is a map value.
    word.is_none_or(|word| unsafe { spend(word, now, limit) })
}

/// Whether a bucket has a token left; spends none.
///
/// # Safety
/// The word is a map value, which other CPUs write whole.
#[inline(always)]
pub(crate) unsafe fn has_token(word: *const u64, now: u64, limit: Limit) -> bool {
    // SAFETY: as the caller promises.
    !matches!(step(unsafe { word.read_volatile() }, now, limit), Step::Over)
}

/// Lie in read-only data: on the stack LLVM would clear them byte by byte.
static NEW_SOURCE: Source = Source::NEW;
static NEW_PORTS: Ports = Ports::NEW;
static NEW_SUBNET: u64 = 0;

/// The value of a key; a new key gets a new one.
#[inline(always)]
pub(crate) fn value<K, V, const N: usize, const F: usize>(
    map: &LruHashMap<K, V, N, F>,
    key: &K,
    fresh: &V,
) -> Option<*mut V> {
    if let Some(value) = map.get_ptr_mut(key) {
        return Some(value);
    }
    // Fails where another CPU was first: then its entry is there.
    let _ = map.insert(key, fresh, BPF_NOEXIST);
    map.get_ptr_mut(key)
}

/// The maps behind the limits, for one packet. What cannot be counted passes.
/// Values stay mapped while the program runs: if an LRU map gives one to
/// another key meanwhile, one token is spent from a wrong bucket, which is
/// cheaper than any lock.
struct Maps {
    policy: *const Policy,
    scratch: *mut Scratch,
    now: u64,
}

impl Maps {
    /// The source of the packet as the buckets know it.
    #[inline(always)]
    fn source(&self) -> Address {
        // SAFETY: this CPU's own memory.
        unsafe { (*self.scratch).source }
    }
}

/// Spends a token of a class of the source in the scratch memory, or where
/// `verified` is not 0 of the endpoint; 1 while within the limit. A subprogram:
/// the verifier walks it once and not once for each way to it.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn spend_bucket(
    verified: u64,
    class: u64,
    interval_ns: u64,
    tolerance_ns: u64,
    now: u64,
) -> u32 {
    let Some(scratch) = maps::SCRATCH.get_ptr_mut(0) else {
        return 1;
    };
    let class = opaque(class) as usize;
    if class >= BUCKETS {
        return 1;
    }
    // SAFETY: this CPU's own memory, and a map value; the class was compared.
    unsafe {
        let tat_ns: Option<*mut u64> = if verified != 0 {
            standing::verified(&(*scratch).packet.sender())
                .map(|state| (&raw mut (*state).tat_ns).cast())
        } else {
            let source = (*scratch).source;
            value(&maps::STRANGERS, &source, &NEW_SOURCE)
                .map(|state| (&raw mut (*state).tat_ns).cast())
        };
        let limit = Limit { interval_ns, tolerance_ns };
        u32::from(spend_of(tat_ns.map(|tat_ns| tat_ns.add(class)), now, limit))
    }
}

impl Buckets for Maps {
    #[inline(always)]
    fn standing(&self) -> u32 {
        // SAFETY: this CPU's own memory.
        unsafe { (&raw const (*self.scratch).standing).read_volatile() }
    }

    #[inline(always)]
    fn shift(&self) -> u32 {
        // SAFETY: this CPU's own memory.
        unsafe { (&raw const (*self.scratch).shift).read_volatile() }
    }

    #[inline(always)]
    fn endpoint(&mut self, class: u32, limit: Limit) -> bool {
        let Limit { interval_ns, tolerance_ns } = limit;
        interval_ns == 0
            || spend_bucket(1, u64::from(class), interval_ns, tolerance_ns, self.now) != 0
    }

    #[inline(always)]
    fn is_repeated(&mut self) -> bool {
        greylisted() != 0
    }

    #[inline(always)]
    fn reserve(&mut self, limit: Limit) -> bool {
        // SAFETY: a map value.
        unsafe { spend_of(maps::RESERVE.get_ptr_mut(0), self.now, limit) }
    }

    #[inline(always)]
    fn has_budget(&mut self, budget: u32, limit: Limit) -> bool {
        if limit.interval_ns == 0 {
            return true;
        }
        // SAFETY: a map value.
        maps::BUDGETS
            .get_ptr(budget)
            .is_none_or(|tat_ns| unsafe { has_token(tat_ns, self.now, limit) })
    }

    #[inline(always)]
    fn budget(&mut self, budget: u32, limit: Limit) -> bool {
        // SAFETY: a map value.
        unsafe { spend_of(maps::BUDGETS.get_ptr_mut(budget), self.now, limit) }
    }

    #[inline(always)]
    fn source(&mut self, class: u32, limit: Limit) -> bool {
        let Limit { interval_ns, tolerance_ns } = limit;
        interval_ns == 0
            || spend_bucket(0, u64::from(class), interval_ns, tolerance_ns, self.now) != 0
    }

    #[inline(always)]
    fn subnet(&mut self, limit: Limit) -> bool {
        if limit.interval_ns == 0 {
            return true;
        }
        // SAFETY: both pointers come from map lookups.
        let subnet = unsafe {
            let policy = self.policy;
            let source = (*self.scratch).packet.source;
            source.subnet((*policy).subnet_mask, (*policy).subnet_mask_v4)
        };
        // SAFETY: a map value.
        unsafe { spend_of(value(&maps::SUBNETS, &subnet, &NEW_SUBNET), self.now, limit) }
    }

    /// Two CPUs may both set a bit and count it twice, or both renew the
    /// window: a port more or less, until the window ends.
    #[inline(always)]
    fn port(&mut self, max: u32, window_ns: u64) -> bool {
        let Some(ports) = value(&maps::PORTS, &Maps::source(self), &NEW_PORTS) else {
            return true;
        };
        // SAFETY: a map value; the index is masked.
        unsafe {
            if self.now.wrapping_sub((*ports).since_ns) >= window_ns {
                *ports = NEW_PORTS;
                (*ports).since_ns = self.now;
            }
            let bit = Ports::bit((*self.scratch).packet.source_port);
            let word = (opaque(u64::from(bit >> 6)) & (PORT_WORDS as u64 - 1)) as usize;
            let word = (&raw mut (*ports).bits).cast::<u64>().add(word);
            if *word >> (bit & 63) & 1 == 1 {
                return true;
            }
            if (*ports).count >= u64::from(max) {
                return false;
            }
            *word |= 1 << (bit & 63);
            (*ports).count += 1;
        }
        true
    }

    #[inline(always)]
    fn would(&mut self, rule: Rule) {
        // SAFETY: this CPU's own memory.
        unsafe { scan::would(self.scratch, rule) }
    }
}

/// Spends a try of the source in the scratch memory; true while it has some.
#[inline(always)]
pub(crate) unsafe fn try_password(policy: &Policy, is_proven: bool) -> bool {
    // SAFETY: this CPU's own memory, and a map value.
    unsafe {
        let Some(scratch) = maps::SCRATCH.get_ptr_mut(0) else {
            return true;
        };
        let [unproven, proven] = policy.auth.tries;
        let limit = if is_proven { proven } else { unproven };
        if limit.interval_ns == 0 {
            return true;
        }
        let source = (*scratch).source;
        let tries = value(&maps::STRANGERS, &source, &NEW_SOURCE)
            .map(|state| (&raw mut (*state).tries_ns).cast::<u64>());
        spend_of(tries.map(|tries| tries.add(usize::from(is_proven))), clock::now(), limit)
    }
}

/// Whether the request in the scratch memory was kept back before, and long
/// enough ago to be sent again; if not, it is kept back now. A subprogram, like
/// the next one.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn greylisted() -> u32 {
    let Some(scratch) = maps::SCRATCH.get_ptr_mut(0) else {
        return 0;
    };
    // SAFETY: this CPU's own memory, and a map value.
    unsafe {
        if !identity::hash_call_id(scratch, transactions::seed((*scratch).packet.source)) {
            return 0;
        }
        let hash = (*scratch).hash;
        let Some(slot) = maps::GREYLIST.get_ptr_mut(hash as u32 & (GREYLIST - 1)) else {
            return 0;
        };
        let now = clock::now();
        match admission::was_kept_back(slot.read_volatile(), hash, now) {
            Some(is_repeated) => u32::from(is_repeated),
            None => {
                slot.write_volatile(admission::kept_back(hash, now));
                0
            }
        }
    }
}

/// The limit that drops the packet in the scratch memory: the number of a rule,
/// or 0. A subprogram: the verifier walks it once and not once for each way to
/// it.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn admit(policy: *const Policy, class: u32) -> u32 {
    let Some(scratch) = maps::SCRATCH.get_ptr_mut(0) else {
        return 0;
    };
    let class = opaque(u64::from(class)) as u32;
    if policy.is_null() || class as usize >= BUCKETS {
        return 0;
    }
    let mut maps = Maps { policy, scratch, now: clock::now() };
    // SAFETY: the policy comes from a map lookup and is not null; the class
    // was compared.
    unsafe { admission::admit(&mut maps, policy, class) }
}

/// As the subprogram says.
#[inline(always)]
pub(crate) fn admitted(policy: &Policy, class: Class) -> u32 {
    admit(policy, class as u32)
}

/// Spends a token of the calls per second of the trusted peer in the scratch
/// memory; true where there was none.
#[inline(always)]
pub(crate) fn over_cps(policy: &Policy, class: u32, peer: u32) -> bool {
    let class = opaque(u64::from(class)) as usize;
    if class >= CPS_CLASSES {
        return false;
    }
    // SAFETY: the class was compared, the word is a map value.
    unsafe {
        let limit = *policy.cps.get_unchecked(class);
        !spend_of(maps::PEERS.get_ptr_mut(peer), clock::now(), limit)
    }
}
