//! Which request a reply answers: requests with credentials are noted on their
//! way in, and nonces on their way out.
//!
//! Both tables have fixed slots that a hash chooses, so that a flood costs no
//! memory; the hash is keyed, so that nobody can choose a slot. Whoever comes
//! second takes the slot.

use sipguard_common::{
    abi::{Address, CHALLENGES, TRANSACTION_NS, TRANSACTIONS, Transaction, place, transaction},
    frame::UDP,
    scan::{
        Scratch,
        identity::{self, mix},
        kind,
    },
};

use crate::{clock, forge, limits, maps, payload};

/// A hash to begin with, for what belongs to this address.
#[inline(always)]
pub(crate) fn seed(address: Address) -> u64 {
    let Address([head, tail]) = address;
    let key = maps::SEED.get(0).copied().unwrap_or(0);
    mix(mix(key, head), tail)
}

/// The byte of [`Transaction::place`] that holds the flags.
const FLAGS_SHIFT: u32 = if cfg!(target_endian = "little") { 56 } else { 0 };

#[inline(always)]
const fn flag(flag: u8) -> u64 {
    (flag as u64) << FLAGS_SHIFT
}

/// The tag of the message in the scratch memory, whose CSeq was read and whose
/// client has this address; 0 where it has no Call-ID.
///
/// # Safety
/// The scratch memory is sealed and its lines are scanned.
#[inline(always)]
unsafe fn tag(scratch: *mut Scratch, client: Address) -> u64 {
    // SAFETY: as the caller promises.
    unsafe {
        if !identity::hash_call_id(scratch, seed(client)) {
            return 0;
        }
        mix((*scratch).hash, u64::from((*scratch).cseq)) | 1
    }
}

/// The hash of the nonce in the scratch memory, likewise.
///
/// # Safety
/// As above, and the parameters are read.
#[inline(always)]
unsafe fn nonce(scratch: *mut Scratch, client: Address) -> u64 {
    // SAFETY: as the caller promises.
    unsafe {
        if !identity::hash_nonce(scratch, seed(client)) {
            return 0;
        }
        (*scratch).hash | 1
    }
}

/// Notes the request with credentials in the scratch memory of the way in. A
/// subprogram: the verifier walks it once and not once for each way to it.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn note_request() -> u32 {
    let Some(scratch) = maps::SCRATCH.get_ptr_mut(0) else {
        return 0;
    };
    // SAFETY: this CPU's own memory.
    unsafe {
        let packet = &raw const (*scratch).packet;
        let client = (*packet).source;
        let mut flags = 0;
        if payload::parameters(scratch, kind::CREDENTIALS) {
            let nonce = nonce(scratch, client);
            let sent = maps::CHALLENGES.get((nonce >> 32) as u32 & (CHALLENGES - 1));
            if nonce != 0 && sent.is_some_and(|sent| *sent == nonce) {
                flags = flag(transaction::PROVEN);
            }
        }
        if !identity::cseq(scratch) {
            return 0;
        }
        let tag = tag(scratch, client);
        if tag == 0 {
            return 0;
        }
        let Some(slot) = maps::TRANSACTIONS.get_ptr_mut((tag >> 32) as u32 & (TRANSACTIONS - 1))
        else {
            return 0;
        };
        let now = clock::tick();
        // The same request again: it may be answered already.
        if (*slot).tag == tag && now.wrapping_sub((*slot).at_ns) < TRANSACTION_NS {
            return 0;
        }
        let place = place((*packet).source_port, (*packet).protocol as u8) | flags;
        slot.write(Transaction { tag, at_ns: now, place });
    }
    0
}

/// As the subprogram says.
#[inline(always)]
pub(crate) fn note() {
    note_request();
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
        let tag = tag(scratch, (*scratch).packet.destination);
        (*scratch).hash = tag;
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

/// Whether whoever sent it has seen a challenge.
#[inline(always)]
pub(crate) const fn is_proven(answered: u64) -> bool {
    answered & flag(transaction::PROVEN) != 0
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
        let nonce = nonce(scratch, (*scratch).packet.destination);
        (*scratch).position = end;
        if nonce != 0
            && let Some(slot) =
                maps::CHALLENGES.get_ptr_mut((nonce >> 32) as u32 & (CHALLENGES - 1))
        {
            slot.write(nonce);
        }
        let stale = (*scratch).stale;
        if (*scratch).packet.protocol == u32::from(UDP) {
            forge::keep(scratch);
        }
        u32::from(stale != 0)
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
    // SAFETY: as the caller promises, and a map value.
    unsafe {
        let nonce = nonce(forged, (*scratch).packet.destination);
        if nonce != 0
            && let Some(slot) =
                maps::CHALLENGES.get_ptr_mut((nonce >> 32) as u32 & (CHALLENGES - 1))
        {
            slot.write(nonce);
        }
    }
}

/// As the subprogram says.
#[inline(always)]
pub(crate) fn remember() -> bool {
    remember_nonce() != 0
}
