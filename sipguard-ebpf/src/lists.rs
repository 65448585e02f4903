//! Who is listed: trusted, blocked, and which destinations are protected.

use aya_ebpf::{
    btf_maps::{HashMap, LpmTrie, lpm_trie::Key},
};
use sipguard_common::abi::{Address, LIST_KEY_HEAD_BITS, ListEntry, ListKey};

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

#[inline(always)]
fn prefix<const N: usize, const F: usize>(
    map: &LpmTrie<ListKey, ListEntry, N, F>,
    key: &ListKey,
) -> bool {
    map.get(&Key::new(FULL, *key)).is_some_and(holds)
}

/// Whether the operator trusts this source, with any port or this one.
#[inline(always)]
pub(crate) fn is_trusted(address: Address, port: [u8; 2]) -> bool {
    let Some(sizes) = maps::LIST_SIZES.get(0) else {
        return false;
    };
    let any = ListKey::new(address, ANY_PORT);
    if sizes.trusted_exact != 0 && exact(&maps::TRUSTED, &any) {
        return true;
    }
    if sizes.trusted_prefix != 0 && prefix(&maps::TRUSTED_PREFIX, &any) {
        return true;
    }
    let with_port = ListKey::new(address, port);
    if sizes.trusted_exact_port != 0 && exact(&maps::TRUSTED, &with_port) {
        return true;
    }
    sizes.trusted_prefix_port != 0 && prefix(&maps::TRUSTED_PREFIX, &with_port)
}

/// Whether the operator blocks this source.
#[inline(always)]
pub(crate) fn is_blocked(address: Address) -> bool {
    let Some(sizes) = maps::LIST_SIZES.get(0) else {
        return false;
    };
    let key = ListKey::new(address, ANY_PORT);
    if sizes.blocked_exact != 0 && exact(&maps::BLOCKED, &key) {
        return true;
    }
    sizes.blocked_prefix != 0 && prefix(&maps::BLOCKED_PREFIX, &key)
}

/// Whether packets to this destination are judged at all.
#[inline(always)]
pub(crate) fn is_protected(address: Address) -> bool {
    match maps::LIST_SIZES.get(0) {
        Some(sizes) if sizes.protected != 0 => {
            prefix(&maps::PROTECTED, &ListKey::new(address, ANY_PORT))
        }
        _ => true,
    }
}
