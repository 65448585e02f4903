//! Bans that sipguard makes by itself, always with an end.

use sipguard_common::abi::{Address, Ban, BanMade, Endpoint, Policy, bans_made, outcome};

use crate::{clock, limits, maps};

/// Why somebody is banned.
pub(crate) struct Reason {
    /// [`sipguard_common::rule::Rule`] number.
    pub(crate) rule: u32,
    /// Slot of the signature plus one, or 0.
    pub(crate) signature: u32,
    /// How many wrong passwords, or challenges and unknown users.
    pub(crate) failures: u32,
    /// Whether the evidence cannot be forged.
    pub(crate) proven: bool,
}

/// Bans an endpoint or a whole source, and tells the daemon. A ban that still
/// holds starts anew, and never ends earlier than it would have.
#[inline(always)]
pub(crate) fn ban(
    policy: &Policy,
    endpoint: &Endpoint,
    reason: &Reason,
    ifindex: u32,
    server: Address,
) {
    let mut ban = begin(policy, reason);
    if ban.expires_ns == ban.since_ns {
        return;
    }
    // SAFETY: where the LRU gives the ban to somebody else meanwhile, this one
    // ends with that one's.
    if let Some(before) = unsafe { maps::BANNED.get(endpoint) }
        && before.expires_ns > ban.expires_ns
    {
        ban.expires_ns = before.expires_ns;
    }
    if maps::BANNED.insert(endpoint, ban, 0).is_err() {
        return;
    }
    let made = if endpoint.is_whole() { bans_made::SOURCES } else { bans_made::ENDPOINTS };
    if let Some(word) = maps::BANS_MADE.get_ptr_mut(0) {
        // From now on the map is looked at.
        // SAFETY: a map value.
        unsafe { limits::or(word, made) };
    }
    tell(endpoint, &ban, ifindex, server, outcome::DROPPED);
}

/// Tells the daemon of a ban that would have been made.
#[inline(always)]
pub(crate) fn would_ban(
    policy: &Policy,
    endpoint: &Endpoint,
    reason: &Reason,
    ifindex: u32,
    server: Address,
) {
    tell(endpoint, &begin(policy, reason), ifindex, server, outcome::WOULD_DROP);
}

/// A ban from now on.
#[inline(always)]
fn begin(policy: &Policy, reason: &Reason) -> Ban {
    let span_ns = if reason.proven { policy.ban_ns } else { policy.auth.unproven_ban_ns };
    let since_ns = clock::tick();
    let Reason { rule, signature, failures, proven } = *reason;
    Ban {
        expires_ns: since_ns + span_ns,
        since_ns,
        rule,
        signature,
        failures,
        proven: u32::from(proven),
    }
}

/// Tells the daemon of a ban that was made, or would have been.
#[inline(always)]
fn tell(endpoint: &Endpoint, ban: &Ban, ifindex: u32, server: Address, outcome: u8) {
    let Some(mut entry) = maps::BANS_TOLD.reserve(0) else {
        return;
    };
    entry.write(BanMade {
        time_ns: ban.since_ns,
        expires_ns: ban.expires_ns,
        endpoint: *endpoint,
        server,
        ifindex,
        rule: ban.rule,
        signature: ban.signature,
        failures: ban.failures,
        proven: ban.proven,
        outcome: u32::from(outcome),
    });
    entry.submit(0);
}
