//! Which request a reply answers: requests with credentials are noted on their
//! way in, and nonces on their way out.
//!
//! Both tables have fixed slots that a hash chooses, so that a flood costs no
//! memory; the hash is keyed, so that nobody can choose a slot. Whoever comes
//! second takes the slot.

use sipguard_common::{
    abi::{
        Address, CHALLENGES, NONCES, Nonce, Policy, TRANSACTION_NS, TRANSACTIONS, Transaction,
        place, transaction,
    },
    decide::standing::STRANGER,
    frame::{TCP, UDP},
    learn::Noted,
    method::Method,
    rule::Rule,
    scan::{
        Scratch,
        identity::{self, mix},
        kind,
    },
};

use crate::{clock, forge, learn, limits, maps, payload};

/// The key of the hashes.
#[inline(always)]
fn key() -> u64 {
    maps::SEED.get(0).copied().unwrap_or(0)
}

/// A hash to begin with, for what belongs to this address.
#[inline(always)]
pub(crate) fn seed(address: Address) -> u64 {
    let Address([head, tail]) = address;
    mix(mix(key(), head), tail)
}

const REGISTER: u32 = Method::Register as u32;

/// The byte of [`Transaction::place`] that holds the flags.
const FLAGS_SHIFT: u32 = if cfg!(target_endian = "little") { 56 } else { 0 };

#[inline(always)]
const fn flag(flag: u8) -> u64 {
    (flag as u64) << FLAGS_SHIFT
}

/// The tag of the message in the scratch memory, of which CSeq was read and the
/// Call-ID was hashed.
///
/// # Safety
/// The scratch memory is this CPU's own.
#[inline(always)]
unsafe fn tag(scratch: *const Scratch) -> u64 {
    // SAFETY: as the caller promises. With the method: CANCEL has the number of
    // what it cancels.
    unsafe {
        let hash = (&raw const (*scratch).hash).read_volatile();
        mix(hash, identity::cseq_word(scratch)) | 1
    }
}

/// The hashes of the nonce in the scratch memory: with its client's address, and
/// of itself; 0 where there is none.
///
/// # Safety
/// As above, and the parameters are read.
#[inline(always)]
unsafe fn nonce(scratch: *mut Scratch, client: Address) -> (u64, u64) {
    // SAFETY: as the caller promises.
    unsafe {
        if !identity::hash_nonce(scratch, key()) {
            return (0, 0);
        }
        let itself = (*scratch).hash;
        let Address([head, tail]) = client;
        (mix(mix(itself, head), tail) | 1, itself | 1)
    }
}

/// How well the nonce in the credentials of the scratch memory shows who has
/// sent them: flags of [`transaction`]. A subprogram: the verifier walks it once
/// and not once for each way to it.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn credentials() -> u64 {
    let Some(scratch) = maps::SCRATCH.get_ptr_mut(0) else {
        return 0;
    };
    // SAFETY: this CPU's own memory.
    unsafe {
        if !payload::parameters(scratch, kind::CREDENTIALS) {
            return 0;
        }
        let (owned, itself) = nonce(scratch, (*scratch).packet.source);
        let sent = maps::CHALLENGES.get((owned >> 32) as u32 & (CHALLENGES - 1));
        if owned == 0 || sent.is_none_or(|sent| *sent != owned) {
            return 0;
        }
        let known = flag(transaction::KNOWN);
        let Some(nonce) = maps::NONCES.get((itself >> 32) as u32 & (NONCES - 1)) else {
            return known;
        };
        if nonce.tag != itself || nonce.owner != owned {
            return known;
        }
        let forged = if nonce.forged != 0 { flag(transaction::FORGED) } else { 0 };
        known | flag(transaction::PROVEN) | forged
    }
}

/// A hash of the response in the credentials of the scratch memory, whose
/// parameters are read. A subprogram, as above.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn response() -> u64 {
    let Some(scratch) = maps::SCRATCH.get_ptr_mut(0) else {
        return 0;
    };
    // SAFETY: this CPU's own memory.
    unsafe { if identity::hash_response(scratch, key()) { (*scratch).hash } else { 0 } }
}

/// Notes the request with credentials in the scratch memory of the way in; 1
/// where it was one try too many. A subprogram, as above.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn note_request(policy: *const Policy) -> u32 {
    // SAFETY: a value of a map, for as long as the program runs, or null.
    let (Some(scratch), Some(policy)) = (maps::SCRATCH.get_ptr_mut(0), unsafe { policy.as_ref() })
    else {
        return 0;
    };
    let flags = credentials();
    let response = response();
    // SAFETY: this CPU's own memory, and a map value.
    unsafe {
        let packet = &raw const (*scratch).packet;
        let seed = seed((*packet).source);
        if !identity::cseq(scratch) || !identity::hash_call_id(scratch, seed) {
            return 0;
        }
        let tag = tag(scratch);
        let Some(slot) = maps::TRANSACTIONS.get_ptr_mut((tag >> 32) as u32 & (TRANSACTIONS - 1))
        else {
            return 0;
        };
        let now = clock::tick();
        // The same request again: it may be answered already.
        if (*slot).tag == tag
            && (*slot).response == response
            && now.wrapping_sub((*slot).at_ns) < TRANSACTION_NS
        {
            return 0;
        }
        let is_try = (*scratch).cseq_method == REGISTER && (*scratch).standing == STRANGER;
        // What comes over TCP has come from where it says.
        let is_proven =
            flags & flag(transaction::PROVEN) != 0 || (*packet).protocol == u32::from(TCP);
        let is_over = is_try && !limits::try_password(policy, is_proven);
        if is_over && policy.enforced & Rule::RateAuth.bit() != 0 {
            return 1;
        }
        let place = place((*packet).source_port, (*packet).protocol as u8) | flags;
        slot.write(Transaction { tag, at_ns: now, place, response });
        u32::from(is_over)
    }
}

/// As the subprogram says: false for one try too many.
#[inline(always)]
pub(crate) fn note(policy: &Policy) -> bool {
    note_request(policy) == 0
}

/// Finds the request that the reply in the scratch memory of the way out
/// answers, if it was noted, and this is its first answer: where it came from,
/// with flags, or 0. Left there, too, are the place and, as the hash, the tag. A subprogram, as above.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn answered_request() -> u64 {
    let Some(scratch) = maps::EGRESS.get_ptr_mut(0) else {
        return 0;
    };
    // SAFETY: this CPU's own memory, and a map value.
    unsafe {
        let hash = &raw mut (*scratch).hash;
        hash.write_volatile(seed((*scratch).packet.destination));
        let tag = if learn::hash_header(kind::CALL_ID) == 0 { 0 } else { tag(scratch) };
        hash.write_volatile(tag);
        let Some(slot) = maps::TRANSACTIONS.get_ptr_mut((tag >> 32) as u32 & (TRANSACTIONS - 1))
        else {
            return 0;
        };
        if tag == 0
            || (*slot).tag != tag
            || clock::tick().wrapping_sub((*slot).at_ns) >= TRANSACTION_NS
        {
            return 0;
        }
        let word = &raw mut (*slot).place;
        let place = word.read_volatile();
        let answered = flag(transaction::ANSWERED);
        if place & answered != 0 || limits::compare_and_swap(word, place, place | answered) != place
        {
            return 0;
        }
        (*scratch).place = place & !flag(0xff);
        place
    }
}

/// As the subprogram says.
#[inline(always)]
pub(crate) fn answered() -> u64 {
    answered_request()
}

/// What is known about who sent it.
#[inline(always)]
pub(crate) const fn noted(answered: u64) -> Noted {
    Noted {
        is_known: answered & flag(transaction::KNOWN) != 0,
        is_proven: answered & flag(transaction::PROVEN) != 0,
        is_forged: answered & flag(transaction::FORGED) != 0,
    }
}

/// Remembers the nonce of the challenge in the scratch memory of the way out; 1
/// where it only says that the old one was stale. A subprogram, as above.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn remember_nonce() -> u32 {
    let Some(scratch) = maps::EGRESS.get_ptr_mut(0) else {
        return 0;
    };
    // SAFETY: this CPU's own memory, and a map value.
    unsafe {
        if !payload::parameters(scratch, kind::CHALLENGE) {
            return 0;
        }
        // Before the hash takes the position away.
        let end = (*scratch).position;
        let (owned, itself) = nonce(scratch, (*scratch).packet.destination);
        (*scratch).position = end;
        sent(owned, itself, 0);
        let stale = (*scratch).stale;
        if stale == 0 && (*scratch).packet.protocol == u32::from(UDP) {
            forge::keep(scratch);
        }
        u32::from(stale != 0)
    }
}

/// Remembers the hashes of a nonce that was sent.
#[inline(always)]
unsafe fn sent(owned: u64, itself: u64, forged: u64) {
    if owned == 0 {
        return;
    }
    if let Some(slot) = maps::CHALLENGES.get_ptr_mut((owned >> 32) as u32 & (CHALLENGES - 1)) {
        // SAFETY: a map value.
        unsafe { slot.write(owned) }
    }
    if let Some(slot) = maps::NONCES.get_ptr_mut((itself >> 32) as u32 & (NONCES - 1)) {
        // SAFETY: a map value.
        unsafe {
            if (*slot).tag != itself {
                slot.write(Nonce { tag: itself, owner: owned, forged });
            } else if (*slot).owner != owned {
                (*slot).owner = 0;
            }
        }
    }
}

/// Remembers the nonce of a challenge that was made out of the reply in the
/// scratch memory of the way out: whoever answers it is treated as one that
/// answers the server's own.
///
/// # Safety
/// The second memory is that challenge.
#[inline(always)]
pub(crate) unsafe fn remember_forged(scratch: *const Scratch, forged: *mut Scratch) {
    // SAFETY: as the caller promises.
    unsafe {
        let (owned, itself) = nonce(forged, (*scratch).packet.destination);
        sent(owned, itself, 1);
    }
}

/// As the subprogram says.
#[inline(always)]
pub(crate) fn remember() -> bool {
    remember_nonce() != 0
}
