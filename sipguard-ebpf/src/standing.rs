//! How the server stands to an endpoint: it has verified it, others of its
//! source, or nobody there.

use sipguard_common::{
    abi::{Address, Endpoint, Policy, Verified},
    decide::standing::{SITE, STRANGER, UNPROVEN, VERIFIED},
    frame::Transport,
    known,
    scan::Scratch,
};

use crate::{clock, limits, maps};

/// The standing, and by how many bits the limits of its site are raised.
#[inline(always)]
fn find(endpoint: &Endpoint, source: Address) -> (u32, u32) {
    // They differ only where a source is more than an IPv6 network of 64 bits.
    let (known, of_source) = (known::bit(endpoint.address), known::bit(source));
    if !is_known(known) && (known == of_source || !is_known(of_source)) {
        return (STRANGER, 0);
    }
    let now = clock::tick();
    if !endpoint.is_whole() {
        let holds = |one: &Verified| now < one.expires_ns;
        // SAFETY: map values, which other CPUs write whole.
        if unsafe { maps::ENDPOINTS.get(endpoint) }.is_some_and(holds) {
            return (VERIFIED, 0);
        }
        // SAFETY: as above.
        if unsafe { maps::ENDPOINTS_UNPROVEN.get(endpoint) }.is_some_and(holds) {
            return (UNPROVEN, 0);
        }
    }
    // SAFETY: where the LRU gives the value to another source meanwhile, one
    // packet meets that one's limits.
    match unsafe { maps::SITES.get(source) } {
        Some(site) if site.is_remembered(now) => (SITE, site.shift),
        _ => (STRANGER, 0),
    }
}

/// Whether a bit of the filter is set.
#[inline(always)]
fn is_known((word, bit): (u32, u64)) -> bool {
    maps::KNOWN.get(word).is_some_and(|bits| *bits & bit != 0)
}

/// The entry of a verified endpoint, whether it still holds or not.
#[inline(always)]
pub(crate) fn verified(endpoint: &Endpoint) -> Option<*mut Verified> {
    if let Some(verified) = maps::ENDPOINTS.get_ptr_mut(endpoint) {
        return Some(verified);
    }
    maps::ENDPOINTS_UNPROVEN.get_ptr_mut(endpoint)
}

/// Whether endpoints of the source were verified lately, on evidence that cannot
/// be forged.
#[inline(always)]
pub(crate) fn is_site(source: Address, now: u64) -> bool {
    // SAFETY: as above.
    unsafe { maps::SITES.get(source) }.is_some_and(|site| site.is_remembered(now))
}

/// From now on the address is looked for.
#[inline(always)]
pub(crate) fn make_known(address: Address) {
    let (word, bit) = known::bit(address);
    if let Some(word) = maps::KNOWN.get_ptr_mut(word) {
        // SAFETY: a map value.
        unsafe {
            if word.read_volatile() & bit == 0 {
                limits::or(word, bit);
            }
        }
    }
}

/// Leaves an endpoint's source and standing in the scratch memory.
#[inline(always)]
unsafe fn leave(scratch: *mut Scratch, endpoint: &Endpoint, source_mask: [u64; 2]) -> u32 {
    let source = endpoint.address.source(source_mask);
    let (standing, shift) = find(endpoint, source);
    // SAFETY: this CPU's own memory.
    unsafe {
        (&raw mut (*scratch).source).write(source);
        (&raw mut (*scratch).standing).write_volatile(standing);
        (&raw mut (*scratch).shift).write_volatile(shift);
    }
    standing
}

/// The standing of who sent the packet in the scratch memory. A subprogram: the
/// verifier walks it once and not once for each way to it.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn sender(policy: *const Policy, has_port: u32) -> u32 {
    let Some(scratch) = maps::SCRATCH.get_ptr_mut(0) else {
        return STRANGER;
    };
    if policy.is_null() {
        return STRANGER;
    }
    // SAFETY: both come from map lookups.
    unsafe {
        let packet = &raw const (*scratch).packet;
        let endpoint =
            if has_port == 0 { Endpoint::whole((*packet).source) } else { (*packet).sender() };
        leave(scratch, &endpoint, (*policy).source_mask)
    }
}

/// As the subprogram says.
#[inline(always)]
pub(crate) fn of_sender(policy: &Policy, transport: Transport) -> u32 {
    sender(policy, u32::from(transport != Transport::LaterFragment))
}

/// The same of who gets the packet in the scratch memory of the way out.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn receiver(policy: *const Policy) -> u32 {
    let Some(scratch) = maps::EGRESS.get_ptr_mut(0) else {
        return STRANGER;
    };
    if policy.is_null() {
        return STRANGER;
    }
    // SAFETY: both come from map lookups.
    unsafe { leave(scratch, &(*scratch).packet.receiver(), (*policy).source_mask) }
}

/// As the subprogram says.
#[inline(always)]
pub(crate) fn of_receiver(policy: &Policy) {
    receiver(policy);
}
