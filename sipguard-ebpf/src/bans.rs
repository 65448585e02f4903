//! Bans that sipguard makes by itself, always with an end.

use sipguard_common::{
    abi::{Ban, Policy},
    frame::Packet,
};

use crate::{clock, maps};

/// Bans the source of a packet, for a signature by slot plus one. A ban that still holds starts anew.
#[inline(always)]
pub(crate) fn ban(policy: &Policy, packet: *const Packet, rule: u32, slot: u32) {
    if policy.ban_ns == 0 {
        return;
    }
    // SAFETY: the packet lies in the scratch memory.
    let source = unsafe { (*packet).source.source(policy.source_mask) };
    let since_ns = clock::now();
    let ban = Ban { expires_ns: since_ns + policy.ban_ns, since_ns, rule, signature: slot };
    if maps::BANNED.insert(source, ban, 0).is_ok() {
        // From now on the map is looked at. A word of one value only.
        let _ = maps::BANS_MADE.set(0, 1, 0);
    }
}
