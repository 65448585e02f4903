//! Telling of single packets that were dropped, or would have been: a few of
//! each rule and of each source, whatever a flood brings.

use aya_ebpf::helpers::generated::bpf_jiffies64;
use sipguard_common::{
    abi::{Address, EVENT_SOURCES, EventLimits, Policy},
    opaque,
    rule::RULE_SLOTS,
    scan::Scratch,
};

use crate::{clock, limits, maps, packet::Ingress};

/// What is told of a packet.
pub(crate) struct Told {
    pub(crate) rule: u32,
    pub(crate) method: u32,
    /// [`sipguard_common::abi::outcome`].
    pub(crate) outcome: u8,
    /// Slot of the signature plus one, or 0.
    pub(crate) slot: u32,
}

/// Tells of the packet in the scratch memory, where the limits allow it.
#[inline(always)]
pub(crate) fn tell(
    frame: &Ingress<'_>,
    ifindex: u32,
    policy: &Policy,
    scratch: *const Scratch,
    told: &Told,
) {
    let rule = opaque(u64::from(told.rule)) as usize;
    let Some(limits) = maps::EVENT_LIMITS.get_ptr_mut(0) else {
        return;
    };
    if rule >= RULE_SLOTS || policy.events_rule.interval_ns == 0 {
        return;
    }
    // SAFETY: this CPU's own values; the rule was compared.
    unsafe {
        if !is_in_tick(limits, rule) || !is_within(policy, scratch, told.rule) {
            (*limits).suppressed += 1;
            return;
        }
        if send(frame, ifindex, scratch, told).is_none() {
            (*limits).lost += 1;
        }
    }
}

/// Events of one rule on one CPU that are thought of in one tick of the kernel's
/// clock, less one: a power of two, less one.
const EACH_TICK: u64 = 7;

/// Whether few events of this rule were thought of since the kernel's clock
/// has ticked: in a flood this is the only check, and costs a nanosecond or
/// two. Under test every packet has a tick of its own.
#[inline(always)]
unsafe fn is_in_tick(limits: *mut EventLimits, rule: usize) -> bool {
    if maps::is_test() {
        return true;
    }
    // SAFETY: the caller has compared the rule; the helper takes and changes
    // nothing (Linux 5.5).
    unsafe {
        let now = bpf_jiffies64() * (EACH_TICK + 1);
        let tick = (&raw mut (*limits).tick).cast::<u64>().add(rule);
        let seen = *tick;
        if seen & !EACH_TICK != now {
            *tick = now;
            return true;
        }
        if seen & EACH_TICK == EACH_TICK {
            return false;
        }
        *tick = seen + 1;
        true
    }
}

/// Spends a token of the source and of the rule; the source's first, so that
/// one source does not take all that its rule has.
#[inline(always)]
unsafe fn is_within(policy: &Policy, scratch: *const Scratch, rule: u32) -> bool {
    let (Some(of_rule), Some(of_source)) = (
        maps::EVENT_RULES.get_ptr_mut(rule),
        // SAFETY: this CPU's own memory.
        maps::EVENT_SOURCES.get_ptr_mut(unsafe { slot(&(*scratch).packet.source) }),
    ) else {
        return false;
    };
    let now = clock::now();
    // SAFETY: map values.
    unsafe {
        limits::has_token(of_rule, now, policy.events_rule)
            && limits::spend(of_source, now, policy.events_source)
            && limits::spend(of_rule, now, policy.events_rule)
    }
}

/// A slot by the address, mixed by the multiplier of the golden ratio.
#[inline(always)]
fn slot(source: &Address) -> u32 {
    let Address([head, tail]) = *source;
    let hash = (head ^ tail.rotate_left(29)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (hash >> 40) as u32 % EVENT_SOURCES
}

#[inline(always)]
unsafe fn send(
    frame: &Ingress<'_>,
    ifindex: u32,
    scratch: *const Scratch,
    told: &Told,
) -> Option<()> {
    let mut entry = maps::EVENTS.reserve(0)?;
    let event = entry.as_mut_ptr();
    // SAFETY: the reserved memory has room for an event and is written through
    // the raw pointer only; the scratch memory is this CPU's own.
    unsafe {
        let packet = &raw const (*scratch).packet;
        (&raw mut (*event).time_ns).write(clock::now());
        (&raw mut (*event).source).write((*packet).source);
        (&raw mut (*event).destination).write((*packet).destination);
        (&raw mut (*event).ifindex).write(ifindex);
        (&raw mut (*event).source_port).write((*packet).source_port);
        (&raw mut (*event).destination_port).write((*packet).destination_port);
        (&raw mut (*event).rule).write(told.rule as u8);
        (&raw mut (*event).method).write(told.method as u8);
        (&raw mut (*event).outcome).write(told.outcome);
        (&raw mut (*event).protocol).write((*packet).protocol as u8);
        (&raw mut (*event).signature).write(told.slot);
        (&raw mut (*event).len).write((*packet).len);
        let bytes = (&raw mut (*event).bytes).cast::<u8>();
        let captured = frame.copy_start((*packet).payload, (*packet).len, bytes);
        (&raw mut (*event).captured).write(captured);
    }
    entry.submit(0);
    Some(())
}
