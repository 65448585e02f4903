//! The kernel program of sipguard. The decision order stands in
//! `sipguard_common::decide`; here it gets its bytes and its state.
//!
//! On any other target than BPF this compiles to nothing that runs: so that
//! `cargo check` and clippy need no BPF toolchain.
#![cfg_attr(target_arch = "bpf", no_std, no_main, feature(asm_experimental_arch))]

mod clock;
mod count;
mod limits;
mod lists;
mod maps;
mod packet;
mod payload;

use aya_ebpf::{bindings::xdp_action, macros::xdp, programs::XdpContext};
use aya_log_ebpf::debug;
use sipguard_common::{
    abi::Policy,
    decide::{Admission, Judgement, Listed, World, decide},
    frame::{Frame as _, Transport, parse},
    method::Class,
    rule::{Rule, Verdict},
    scan::Scratch,
};

use crate::packet::Ingress;

/// Judges each frame that comes in.
#[xdp(frags)]
pub(crate) fn sipguard_ingress(context: XdpContext) -> u32 {
    let frame = Ingress::new(&context);
    let judgement = judge(&frame).unwrap_or(Judgement::of(Rule::NotSip));
    count::count(context.ingress_ifindex() as u32, frame.len(), &judgement);
    match judgement.rule.verdict() {
        Verdict::Pass => xdp_action::XDP_PASS,
        Verdict::Drop => xdp_action::XDP_DROP,
    }
}

/// `None` where the packet is none of our business, or there is no policy yet.
#[inline(always)]
fn judge(frame: &Ingress<'_>) -> Option<Judgement> {
    let scratch = maps::SCRATCH.get_ptr_mut(0)?;
    // SAFETY: this CPU's own memory, and nothing else points into it here.
    let packet = unsafe { &mut (*scratch).packet };
    let transport = parse(frame, packet)?;
    let Some(policy) = maps::POLICY.get_value(0, &0) else {
        debug!(frame.context(), "no policy yet: a packet passes unread");
        return None;
    };
    // A later fragment has no port of its own.
    if transport != Transport::LaterFragment && !is_protected_port(policy, packet.destination_port)
    {
        return None;
    }
    if policy.protected != 0 && !lists::is_protected(packet.destination, policy.protected) {
        return None;
    }
    let mut kernel = Kernel { frame, policy, scratch };
    Some(decide(&mut kernel, transport, policy.posture, policy.options))
}

#[inline(always)]
fn is_protected_port(policy: &Policy, port: [u8; 2]) -> bool {
    let port = u16::from_be_bytes(port);
    // SAFETY: 1,024 words of 64 bits hold every port.
    let word = unsafe { *policy.ports.get_unchecked(usize::from(port >> 6)) };
    word >> (port & 63) & 1 == 1
}

/// The state and bytes behind a decision.
struct Kernel<'a> {
    frame: &'a Ingress<'a>,
    policy: &'a Policy,
    scratch: *mut Scratch,
}

impl World for Kernel<'_> {
    #[inline(always)]
    fn listed(&mut self) -> Listed {
        lists::look_up(self.policy)
    }

    #[inline(always)]
    fn content(&mut self) -> u32 {
        if self.frame.copy_payload(self.scratch).is_none() {
            debug!(self.frame.context(), "a payload that could not be copied counts as empty");
        }
        payload::content(self.policy)
    }

    #[inline(always)]
    fn signature(&mut self) -> u32 {
        payload::signature(self.policy)
    }

    #[inline(always)]
    fn admit(&mut self, class: Class, total: bool) -> Admission {
        limits::spend_for(self.policy, class, total)
    }
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
