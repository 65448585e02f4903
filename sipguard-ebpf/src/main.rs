//! The kernel program of sipguard. The decision order stands in
//! `sipguard_common::decide`; here it gets its bytes and its state.
//!
//! On any other target than BPF this compiles to nothing that runs: so that
//! `cargo check` and clippy need no BPF toolchain.
#![cfg_attr(target_arch = "bpf", no_std, no_main, feature(asm_experimental_arch))]

mod bans;
mod clock;
mod count;
mod egress;
mod events;
mod evidence;
mod forge;
mod learn;
mod limits;
mod lists;
mod maps;
mod packet;
mod payload;
mod standing;
mod tally;
mod tap;
mod transactions;
mod world;

use aya_ebpf::{
    bindings::{TC_ACT_UNSPEC, xdp_action, xdp_md},
    macros::{classifier, xdp},
    programs::{TcContext, XdpContext},
};
use aya_log_ebpf::debug;
use sipguard_common::{
    abi::{Endpoint, Policy, outcome},
    decide::{Judgement, decide},
    frame::{Frame as _, Packet, TCP, Transport, parse},
    rule::Rule,
    scan::{self, Scratch},
};

use crate::{bans::Reason, events::Told, packet::Ingress, world::Kernel};

/// Judges each frame that comes in.
#[xdp(frags)]
pub(crate) fn sipguard_ingress(context: XdpContext) -> u32 {
    let frame = Ingress::new(&context);
    let ifindex = context.ingress_ifindex() as u32;
    judge(&frame, ifindex).unwrap_or_else(|| {
        count::count_plain(ifindex, frame.len(), Rule::NotSip);
        xdp_action::XDP_PASS
    })
}

/// Reads each frame that goes out. Linux 6.6, where the program stands among
/// others (tcx); before, in a queueing discipline of its own (clsact).
#[classifier]
pub(crate) fn sipguard_egress(context: TcContext) -> i32 {
    egress::teach(&context).unwrap_or(TC_ACT_UNSPEC)
}

/// `None` where the packet is none of our business, or there is no policy yet.
#[inline(always)]
fn judge(frame: &Ingress<'_>, ifindex: u32) -> Option<u32> {
    let scratch = maps::SCRATCH.get_ptr_mut(0)?;
    // SAFETY: this CPU's own memory, and nothing else points into it here.
    let packet = unsafe { &mut (*scratch).packet };
    let transport = parse(frame, packet)?;
    let Some(policy) = maps::POLICY.get_value(0, &0) else {
        debug!(frame.context(), "no policy yet: a packet passes unread");
        return None;
    };
    // A later fragment has no port of its own.
    if transport != Transport::LaterFragment && !is_protected_port(policy, packet) {
        return None;
    }
    if policy.protected != 0 && !lists::is_protected(packet.destination, policy.protected) {
        return None;
    }
    // SAFETY: this CPU's own memory.
    unsafe { scan::new_packet(scratch) };
    let judgement = decide(&mut Kernel { frame, policy, scratch }, transport);
    Some(conclude(frame, ifindex, policy, scratch, judgement))
}

#[inline(always)]
fn is_protected_port(policy: &Policy, packet: &Packet) -> bool {
    let port = u16::from_be_bytes(packet.destination_port);
    is_in(&policy.ports, port)
        || (packet.protocol == u32::from(TCP) && is_in(&policy.tls_ports, port))
}

/// Whether a port's bit is set.
#[inline(always)]
fn is_in(ports: &[u64; 1024], port: u16) -> bool {
    // SAFETY: 1,024 words of 64 bits hold every port.
    let word = unsafe { *ports.get_unchecked(usize::from(port >> 6)) };
    word >> (port & 63) & 1 == 1
}

/// Counts and tells what was judged, and gives what becomes of the frame.
#[inline(always)]
fn conclude(
    frame: &Ingress<'_>,
    ifindex: u32,
    policy: &Policy,
    scratch: *mut Scratch,
    judgement: Judgement,
) -> u32 {
    // SAFETY: this CPU's own memory.
    let (_, would) = unsafe { scan::found(scratch) };
    let stands_for = if judgement == Judgement::of(Rule::Blocked) && would == 0 {
        count::count_plain(ifindex, frame.len(), Rule::Blocked)
    } else {
        count::count(ifindex, frame.len(), judgement)
    };
    if stands_for != 0 {
        tally::tally(policy, judgement.encode(), frame.len(), stands_for);
    }
    if tap::is_open() {
        tap::tap(frame.raw().cast(), policy, ifindex, judgement.encode());
    }
    if !judgement.is_drop() && would == 0 {
        return xdp_action::XDP_PASS;
    }
    end(frame.raw().cast(), policy, ifindex, judgement.encode())
}

/// Closes, bans and tells where a packet ends, or would have; gives what becomes
/// of the frame. A subprogram: the verifier of Linux 6.1 would walk it for each
/// of a thousand ways there.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn end(context: *mut xdp_md, policy: *const Policy, ifindex: u32, judged: u32) -> u32 {
    // SAFETY: a value of a map, for as long as the program runs, or null.
    let (Some(scratch), Some(policy)) = (maps::SCRATCH.get_ptr_mut(0), unsafe { policy.as_ref() })
    else {
        return xdp_action::XDP_PASS;
    };
    let context = XdpContext::new(context);
    let frame = &Ingress::new(&context);
    let judgement = Judgement::decode(judged);
    // SAFETY: this CPU's own memory.
    let (signature, would) = unsafe { scan::found(scratch) };
    // The signature's slot plus one, or 0.
    let mut slot = 0;
    if signature != 0 && (1 << (judgement.rule & 63) | would) & Rule::Signature.bit() != 0 {
        slot = count::signature_slot(policy, signature) + 1;
        count::signature_hit(slot - 1);
    }
    let (rule, outcome, action) = if !judgement.is_drop() {
        (lowest(would), outcome::WOULD_DROP, xdp_action::XDP_PASS)
    } else if Rule::CLOSES >> (judgement.rule & 63) & 1 == 1
        && close(frame, policy, scratch, ifindex, judgement.rule, slot)
    {
        (judgement.rule, outcome::RESET, xdp_action::XDP_PASS)
    } else {
        (judgement.rule, outcome::DROPPED, xdp_action::XDP_DROP)
    };
    let told = Told { rule, method: judgement.method, outcome, slot };
    events::tell(frame, ifindex, policy, scratch, &told);
    action
}

/// Closes the server's half of the connection of a TCP segment, and bans the
/// source of a signature that provably is its source. False for datagrams.
#[inline(always)]
fn close(
    frame: &Ingress<'_>,
    policy: &Policy,
    scratch: *mut Scratch,
    ifindex: u32,
    rule: u32,
    slot: u32,
) -> bool {
    // SAFETY: this CPU's own memory.
    let packet = unsafe { &raw const (*scratch).packet };
    // SAFETY: as above.
    let (protocol, header) = unsafe { ((*packet).protocol, (*packet).transport()) };
    if protocol != u32::from(TCP) {
        return false;
    }
    if rule == Rule::Signature.number() && evidence::is_two_way(frame, packet) {
        // SAFETY: this CPU's own memory.
        let (whole, endpoint, server) = unsafe {
            let Packet { source, destination, source_port, .. } = *packet;
            let whole = Endpoint::whole((*scratch).source);
            (whole, Endpoint::new(source, source_port, TCP), destination)
        };
        // Of a site only this connection: its next one says the same again, and
        // its neighbours are customers.
        let is_site = standing::is_site(whole.address, clock::tick());
        let banned = if is_site { &endpoint } else { &whole };
        let reason = Reason { rule, signature: slot, failures: 0, proven: true };
        bans::ban(policy, banned, &reason, ifindex, server);
    }
    frame.reset(header).is_some()
}

/// The number of the lowest bit that is set.
#[inline(always)]
const fn lowest(bits: u64) -> u32 {
    let mut i = 0;
    while i < Rule::ALL.len() {
        if bits & Rule::ALL[i].bit() != 0 {
            return Rule::ALL[i].number();
        }
        i += 1;
    }
    0
}

/// What the kernel asks of programs that call its GPL-only helpers.
#[cfg(target_arch = "bpf")]
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

#[cfg(target_arch = "bpf")]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

#[cfg(not(target_arch = "bpf"))]
fn main() {}
