//! Who is listed: trusted, blocked, banned, and which destinations are protected.

use aya_ebpf::btf_maps::{HashMap, LpmTrie, lpm_trie::Key};
use sipguard_common::{
    abi::{
        Address, Endpoint, LIST_KEY_HEAD_BITS, ListEntry, ListKey, ListSizes, Policy, bans_made,
        cps,
    },
    decide::Listed,
    frame::Packet,
    networks, opaque,
};

use crate::{clock, maps};

const FULL: u32 = LIST_KEY_HEAD_BITS + 128;
const ANY_PORT: [u8; 2] = [0, 0];

#[inline(always)]
fn holds(entry: &ListEntry) -> bool {
    entry.expires_ns == 0 || clock::tick() < entry.expires_ns
}

/// The entry of this very key, where it holds.
#[inline(always)]
fn exact<const N: usize, const F: usize>(
    map: &'static HashMap<ListKey, ListEntry, N, F>,
    key: &ListKey,
) -> Option<&'static ListEntry> {
    // SAFETY: only user space writes these maps, an entry at a time; without
    // preallocation a removed one is freed after the grace period.
    unsafe { map.get(key) }.filter(|entry| holds(entry))
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

/// The longest prefix of the key that holds. A longer one that has expired does
/// not hide a shorter one.
#[inline(always)]
fn prefix<const N: usize, const F: usize>(
    map: &'static LpmTrie<ListKey, ListEntry, N, F>,
    key: &ListKey,
) -> Option<&'static ListEntry> {
    let mut bits = FULL;
    for _ in 0..MAX_EXPIRED {
        let entry = map.get(TrieKey { pad: 0, bits, key: *key }.as_key())?;
        if holds(entry) {
            return Some(entry);
        }
        bits = u32::from(entry.bits).saturating_sub(1);
    }
    None
}

/// The trusted entry that counts: the first of an address, an address with the
/// port, a network and a network with the port.
#[inline(always)]
fn trusted(sizes: &ListSizes, source: Address, port: [u8; 2]) -> Option<&'static ListEntry> {
    let any = ListKey::new(source, ANY_PORT);
    let with_port = ListKey::new(source, port);
    if sizes.trusted_exact != 0
        && let Some(entry) = exact(&maps::TRUSTED, &any)
    {
        return Some(entry);
    }
    if sizes.trusted_exact_port != 0
        && let Some(entry) = exact(&maps::TRUSTED, &with_port)
    {
        return Some(entry);
    }
    if sizes.trusted_prefix != 0
        && let Some(entry) = prefix(&maps::TRUSTED_PREFIX, &any)
    {
        return Some(entry);
    }
    if sizes.trusted_prefix_port != 0 {
        return prefix(&maps::TRUSTED_PREFIX, &with_port);
    }
    None
}

#[inline(always)]
fn is_blocked(sizes: &ListSizes, source: Address) -> bool {
    let any = ListKey::new(source, ANY_PORT);
    (sizes.blocked_exact != 0 && exact(&maps::BLOCKED, &any).is_some())
        || (sizes.blocked_prefix != 0 && prefix(&maps::BLOCKED_PREFIX, &any).is_some())
}

/// Whether the bits that a word of the index leads to block a source; `None`
/// where they have just become those of another network.
#[inline(always)]
fn is_in_bits(word: u32, source: Address) -> Option<bool> {
    maps::BLOCKED_BITS.get(networks::place(word))?.has(source)
}

/// What the index of the lists says about a source.
#[inline(always)]
fn index(source: Address) -> u32 {
    let slot = networks::slot(source);
    let Some(chunk) = maps::NETWORKS.get_ptr(slot / networks::CHUNK as u32) else {
        // Never so; and if it were, the lists are the truth.
        return networks::word(networks::byte(networks::LOOK, networks::LOOK), 0);
    };
    let at = opaque(u64::from(slot)) as usize & (networks::CHUNK - 1);
    // SAFETY: a masked number lies within the value.
    unsafe { chunk.cast::<u32>().add(at).read_volatile() }
}

/// Whether sipguard itself has banned the packet's source, or its endpoint.
#[inline(always)]
fn banned(policy: *const Policy, packet: &Packet) -> Listed {
    let made = maps::BANS_MADE.get(0).copied().unwrap_or(0);
    if policy.is_null() || made == 0 {
        return Listed::Nowhere;
    }
    if made & bans_made::ENDPOINTS != 0 && holds_ban(&packet.sender()) {
        return Listed::EndpointBanned;
    }
    // SAFETY: the policy comes from a map look-up and is not null.
    let source = packet.source.source(unsafe { (*policy).source_mask });
    if made & bans_made::SOURCES != 0 && holds_ban(&Endpoint::whole(source)) {
        return Listed::Banned;
    }
    Listed::Nowhere
}

#[inline(always)]
fn holds_ban(endpoint: &Endpoint) -> bool {
    // SAFETY: where the LRU gives the ban to somebody else meanwhile, one
    // packet meets the end of that one's.
    unsafe { maps::BANNED.get(endpoint) }.is_some_and(|ban| clock::tick() < ban.expires_ns)
}

/// Whether the list of trusted peers names an address with its port. Its index
/// and list are those of the way in.
#[inline(always)]
pub(crate) fn is_trusted(address: Address, port: [u8; 2]) -> bool {
    let Some(sizes) = maps::LIST_SIZES.get(0) else {
        return false;
    };
    if sizes.entries == 0 {
        return false;
    }
    match networks::trusted(index(address) as u8) {
        networks::NONE => false,
        networks::WHOLE => true,
        _ => trusted(sizes, address, port).is_some(),
    }
}

/// Whether the lists name the source in the scratch memory; of a trusted one,
/// its class and bucket are left there. A subprogram: the verifier walks it
/// once and not once for each way to it.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn listed(policy: *const Policy) -> u32 {
    let (Some(scratch), Some(sizes)) = (maps::SCRATCH.get_ptr_mut(0), maps::LIST_SIZES.get(0))
    else {
        return Listed::Nowhere as u32;
    };
    // SAFETY: this CPU's own memory, of which nothing else is borrowed here.
    let scratch = unsafe { &mut *scratch };
    let source = scratch.packet.source;
    if sizes.entries != 0 {
        let word = index(source);
        let trust = networks::trusted(word as u8);
        if trust == networks::WHOLE {
            scratch.class = u32::from(cps::NONE);
            return Listed::Trusted as u32;
        }
        if trust != networks::NONE
            && let Some(entry) = trusted(sizes, source, scratch.packet.source_port)
        {
            scratch.class = u32::from(entry.class);
            scratch.peer = entry.peer;
            return Listed::Trusted as u32;
        }
        let is_blocked = match networks::blocked(word as u8) {
            networks::NONE => false,
            networks::WHOLE => true,
            networks::BITS if let Some(blocked) = is_in_bits(word, source) => blocked,
            _ => is_blocked(sizes, source),
        };
        if is_blocked {
            return Listed::Blocked as u32;
        }
    }
    banned(policy, &scratch.packet) as u32
}

/// What the lists say about the source in the scratch memory, under the policy
/// that says what a source is.
#[inline(always)]
pub(crate) fn look_up(policy: &Policy) -> Listed {
    match listed(policy) {
        1 => Listed::Trusted,
        2 => Listed::Blocked,
        3 => Listed::Banned,
        4 => Listed::EndpointBanned,
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
