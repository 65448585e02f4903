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
use sipguard_common::{
    abi::{Policy, source_key},
    bucket::Limit,
    decide::{Admission, Content, Judgement, World, decide},
    frame::{Frame as _, Packet, Transport, parse},
    method::Class,
    rule::{Rule, Verdict},
};

use crate::packet::Ingress;

/// Judges each frame that comes in.
#[xdp(frags)]
pub fn sipguard_ingress(context: XdpContext) -> u32 {
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
    let packet = parse(frame)?;
    let policy = maps::POLICY.get_value(0, &0)?;
    let source_port = match packet.transport {
        Transport::Udp { source, destination, .. } | Transport::Tcp { source, destination } => {
            if !is_protected_port(policy, destination) {
                return None;
            }
            source
        }
        // No port of its own; 0 is never a peer's.
        Transport::LaterFragment => [0, 0],
    };
    if !lists::is_protected(packet.destination) {
        return None;
    }
    let mut kernel = Kernel { frame, packet: &packet, source_port, policy };
    Some(decide(&mut kernel, &packet.transport, policy.posture, policy.options))
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
    packet: &'a Packet,
    source_port: [u8; 2],
    policy: &'a Policy,
}

impl World for Kernel<'_> {
    #[inline(always)]
    fn is_trusted(&mut self) -> bool {
        lists::is_trusted(self.packet.source, self.source_port)
    }

    #[inline(always)]
    fn is_blocked(&mut self) -> bool {
        lists::is_blocked(self.packet.source)
    }

    #[inline(always)]
    fn content(&mut self) -> u32 {
        let Transport::Udp { payload, len, .. } = self.packet.transport else {
            return Content::Garbage.encode();
        };
        let Some(scratch) = maps::SCRATCH.get_ptr_mut(0) else {
            return Content::Garbage.encode();
        };
        self.frame.copy_payload(payload, len, scratch);
        payload::content(self.policy)
    }

    #[inline(always)]
    fn signature(&mut self) -> u32 {
        payload::signature(self.policy)
    }

    #[inline(always)]
    fn admit(&mut self, class: Class, total: bool) -> Admission {
        let class = class as usize;
        let limits = &self.policy.limits;
        // SAFETY: every class has its place.
        let of_class = unsafe { *limits.get_unchecked(class) };
        let of_total =
            if total { limits[Class::Total as usize] } else { Limit::UNLIMITED };
        let source = source_key(self.packet.source, self.policy.source_mask);
        limits::admit(&source, limits::Spend { class, of_class, of_total })
    }
}

#[cfg(target_arch = "bpf")]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

#[cfg(not(target_arch = "bpf"))]
fn main() {}
