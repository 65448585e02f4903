//! Whole packets for captures.

use aya_ebpf::{bindings::xdp_md, programs::XdpContext};
use sipguard_common::{
    abi::{Address, Policy, SNAPLEN_MAX, TAPS, TapBuffer, TapSpec, TappedHead, verdict},
    decide::Judgement,
    frame::Frame as _,
    opaque,
    rule::Rule,
    scan,
};

use crate::{
    clock, count, limits, lowest, maps,
    packet::{Ingress, Parts as _},
};

/// Whether anybody wants packets.
#[inline(always)]
pub(crate) fn is_open() -> bool {
    maps::TAPPING.get(0).is_some_and(|open| *open != 0)
}

/// Gives the frame to the taps that ask for it. A subprogram, for there are a
/// thousand ways here, and the last thing that sees the frame as it came.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn tap(
    context: *mut xdp_md,
    policy: *const Policy,
    ifindex: u32,
    judged: u32,
) -> u32 {
    let (Some(scratch), Some(buffer)) =
        (maps::SCRATCH.get_ptr(0), maps::TAP_BUFFERS.get_ptr_mut(0))
    else {
        return 0;
    };
    // SAFETY: a value of a map, for as long as the program runs, or null.
    let Some(policy) = (unsafe { policy.as_ref() }) else { return 0 };
    let judgement = Judgement::decode(judged);
    // SAFETY: this CPU's own memory.
    let (signature, would) = unsafe { scan::found(scratch) };
    let (rule, outcome) = if judgement.is_drop() {
        (judgement.rule, verdict::DROPPED)
    } else if would != 0 {
        (lowest(would), verdict::WOULD_DROP)
    } else {
        (judgement.rule, verdict::PASSED)
    };
    let matched = signature != 0 && (1 << (rule & 63)) & Rule::Signature.bit() != 0;
    let signature = if matched { count::signature_slot(policy, signature) + 1 } else { 0 };
    let time_ns = clock::now();
    let (mut taps, mut snaplen) = (0, 0);
    let mut i = 0;
    while i < TAPS as u32 {
        // SAFETY: this CPU's own memory.
        let asked = unsafe { asks(i, &(*scratch).packet.source, rule, outcome) };
        if let Some(spec) = asked {
            if within(i, time_ns, spec) {
                taps |= 1 << i;
                if spec.snaplen > snaplen {
                    snaplen = spec.snaplen;
                }
            } else {
                // SAFETY: this CPU's own value, and `i` is the number of a tap.
                unsafe {
                    *(&raw mut (*buffer).counts.held_back).cast::<u64>().add(i as usize) += 1;
                }
            }
        }
        i += 1;
    }
    if taps == 0 {
        return 0;
    }
    let context = XdpContext::new(context);
    let frame = &Ingress::new(&context);
    let length = frame.len();
    let head = TappedHead {
        time_ns,
        ifindex,
        rule,
        verdict: outcome,
        taps,
        length,
        captured: if length < snaplen { length } else { snaplen },
        signature,
        method: judgement.method,
    };
    send(frame, buffer, &head);
    0
}

/// The tap of this number, where it is open and asks for such a packet.
#[inline(always)]
fn asks(tap: u32, source: &Address, rule: u32, outcome: u32) -> Option<&'static TapSpec> {
    if *maps::TAPPING.get(0)? >> tap & 1 == 0 {
        return None;
    }
    let spec = maps::TAPS.get(tap)?;
    let [head, tail] = source.0;
    let asks = spec.verdicts >> (outcome & 31) & 1 == 1
        && spec.rules >> (rule & 63) & 1 == 1
        && head & spec.mask[0] == spec.address.0[0]
        && tail & spec.mask[1] == spec.address.0[1];
    asks.then_some(spec)
}

#[inline(always)]
fn within(tap: u32, now: u64, spec: &TapSpec) -> bool {
    let Some(bucket) = maps::TAP_LIMITS.get_ptr_mut(tap) else { return false };
    // SAFETY: a map value.
    unsafe { limits::spend(bucket, now, spec.limit) }
}

#[inline(always)]
fn send(frame: &Ingress<'_>, buffer: *mut TapBuffer, head: &TappedHead) {
    let max = u64::from(SNAPLEN_MAX);
    // Two checks with a barrier between them, and a signed one, as in
    // `Ingress::copy_start`.
    let captured = opaque(u64::from(head.captured));
    if captured > max {
        return;
    }
    let captured = opaque(captured);
    if (captured as i64) < 1 {
        return;
    }
    // SAFETY: this CPU's own memory, with room for SNAPLEN_MAX bytes.
    unsafe {
        let bytes = (&raw mut (*buffer).bytes).cast::<u8>();
        if frame.gather(0, bytes, captured as u32).is_none() {
            return;
        }
        (&raw mut (*buffer).head).write(*head);
        let size = size_of::<TappedHead>() + captured as usize;
        let record = core::slice::from_raw_parts((&raw const (*buffer).head).cast::<u8>(), size);
        if maps::TAPPED.output_untyped::<[u8]>(record, 0).is_ok() {
            return;
        }
        let mut i = 0;
        while i < TAPS {
            if head.taps >> i & 1 == 1 {
                *(&raw mut (*buffer).counts.lost).cast::<u64>().add(i) += 1;
            }
            i += 1;
        }
    }
}
