//! Who is listed: trusted, blocked, and which destinations are protected.

use aya_ebpf::btf_maps::{HashMap, LpmTrie, lpm_trie::Key};
use sipguard_common::{
    abi::{Address, LIST_KEY_HEAD_BITS, ListEntry, ListKey, ListSizes},
    decide::Listed,
};

use crate::{clock, maps};

const FULL: u32 = LIST_KEY_HEAD_BITS + 128;
const ANY_PORT: [u8; 2] = [0, 0];

#[inline(always)]
fn holds(entry: &ListEntry) -> bool {
    entry.expires_ns == 0 || clock::now() < entry.expires_ns
}

#[inline(always)]
fn exact<const N: usize, const F: usize>(
    map: &HashMap<ListKey, ListEntry, N, F>,
    key: &ListKey,
) -> bool {
    // SAFETY: only user space writes these maps, an entry at a time; without
    // preallocation a removed one is freed after the grace period.
    unsafe { map.get(key) }.is_some_and(holds)
}

/// A trie's key, of which the address lies on an 8-byte boundary of the stack.
/// aya's own is packed behind four bytes of length: whether the verifier takes
/// its words ("misaligned stack access") would be the luck of the layout.
#[repr(C, align(8))]
struct TrieKey {
    pad: u32,
    bits: u32,
    key: ListKey,
}

const _: () = {
    assert!(core::mem::offset_of!(TrieKey, key) - core::mem::offset_of!(TrieKey, bits) == 4);
    assert!(size_of::<Key<ListKey>>() == 4 + size_of::<ListKey>());
};

impl TrieKey {
    #[inline(always)]
    fn as_key(&self) -> &Key<ListKey> {
        // SAFETY: from the length on, this lies as the packed key does, as
        // asserted above.
        unsafe { &*(&raw const *self).byte_add(core::mem::offset_of!(Self, bits)).cast() }
    }
}

/// Expired prefixes that are looked behind: user space removes them within a
/// second or so, hence more than a few never pile up over one address.
const MAX_EXPIRED: u32 = 4;

/// Whether a prefix of the key holds. A longer one that has expired does not
/// hide a shorter one.
#[inline(always)]
fn prefix<const N: usize, const F: usize>(
    map: &LpmTrie<ListKey, ListEntry, N, F>,
    key: &ListKey,
) -> bool {
    let mut bits = FULL;
    for _ in 0..MAX_EXPIRED {
        let Some(entry) = map.get(TrieKey { pad: 0, bits, key: *key }.as_key()) else {
            return false;
        };
        if holds(entry) {
            return true;
        }
        bits = entry.bits.saturating_sub(1);
    }
    false
}

#[inline(always)]
fn is_trusted(sizes: &ListSizes, any: &ListKey, with_port: &ListKey) -> bool {
    (sizes.trusted_exact != 0 && exact(&maps::TRUSTED, any))
        || (sizes.trusted_exact_port != 0 && exact(&maps::TRUSTED, with_port))
        || (sizes.trusted_prefix != 0 && prefix(&maps::TRUSTED_PREFIX, any))
        || (sizes.trusted_prefix_port != 0 && prefix(&maps::TRUSTED_PREFIX, with_port))
}

#[inline(always)]
fn is_blocked(sizes: &ListSizes, any: &ListKey) -> bool {
    (sizes.blocked_exact != 0 && exact(&maps::BLOCKED, any))
        || (sizes.blocked_prefix != 0 && prefix(&maps::BLOCKED_PREFIX, any))
}

/// Whether the lists name the source in the scratch memory. A subprogram: the
/// verifier walks it once and not once for each way to it.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn listed() -> u32 {
    let (Some(scratch), Some(sizes)) = (maps::SCRATCH.get(0), maps::LIST_SIZES.get(0)) else {
        return Listed::Nowhere as u32;
    };
    let packet = &scratch.packet;
    let any = ListKey::new(packet.source, ANY_PORT);
    let with_port = ListKey::new(packet.source, packet.source_port);
    if is_trusted(sizes, &any, &with_port) {
        return Listed::Trusted as u32;
    }
    if is_blocked(sizes, &any) {
        return Listed::Blocked as u32;
    }
    Listed::Nowhere as u32
}

/// What the lists say about the source in the scratch memory.
#[inline(always)]
pub(crate) fn look_up() -> Listed {
    match listed() {
        1 => Listed::Trusted,
        2 => Listed::Blocked,
        3 => Listed::Banned,
        _ => Listed::Nowhere,
    }
}

/// Whether packets to this destination are judged at all, under the policy
/// with this mark.
#[inline(always)]
pub(crate) fn is_protected(address: Address, mark: u32) -> bool {
    // These have no end of their own.
    let key = TrieKey { pad: 0, bits: FULL, key: ListKey::protected(address, mark) };
    maps::PROTECTED.get(key.as_key()).is_some()
}
