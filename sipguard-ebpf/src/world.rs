//! The state and bytes behind a decision.

use aya_log_ebpf::debug;
use sipguard_common::{
    abi::Policy,
    decide::{self, Basis, Judgement, Listed, Message, World},
    frame::{Frame as _, Transport},
    message::{self, MIN_MESSAGE},
    method::{Class, Method},
    rule::Rule,
    scan::{self, Scratch, kind},
};

use crate::{
    is_in, limits, lists, maps,
    packet::{Ingress, Payload as _},
    payload, standing, transactions,
};

/// One packet under one policy; with its frame, or, of a message, without.
pub(crate) struct Kernel<'a, F> {
    pub(crate) frame: F,
    pub(crate) policy: &'a Policy,
    pub(crate) scratch: *mut Scratch,
}

impl<F> Basis for Kernel<'_, F> {
    #[inline(always)]
    fn policy(&self) -> &Policy {
        self.policy
    }

    #[inline(always)]
    fn standing(&self) -> u32 {
        // SAFETY: this CPU's own memory.
        unsafe { (&raw const (*self.scratch).standing).read_volatile() }
    }

    #[inline(always)]
    fn admit(&mut self, class: Class) -> u32 {
        limits::admitted(self.policy, class)
    }

    #[inline(always)]
    fn would(&mut self, rule: Rule) {
        // SAFETY: this CPU's own memory.
        unsafe { scan::would(self.scratch, rule) }
    }
}

impl World for Kernel<'_, &Ingress<'_>> {
    #[inline(always)]
    fn listed(&mut self) -> Listed {
        lists::look_up(self.policy)
    }

    #[inline(always)]
    fn look_up(&mut self, transport: Transport) -> u32 {
        standing::of_sender(self.policy, transport)
    }

    #[inline(always)]
    fn over_cps(&mut self) -> bool {
        // SAFETY: this CPU's own memory.
        let (class, peer) = unsafe { ((*self.scratch).class, (*self.scratch).peer) };
        if class == 0 {
            return false;
        }
        self.read();
        payload::content(self.policy) == Method::Invite as u32
            && limits::over_cps(self.policy, class, peer)
    }

    #[inline(always)]
    fn is_tls(&mut self) -> bool {
        // SAFETY: this CPU's own memory.
        let port = unsafe { (*self.scratch).packet.destination_port };
        is_in(&self.policy.tls_ports, u16::from_be_bytes(port))
    }

    #[inline(always)]
    fn starts_with_options(&mut self) -> bool {
        // SAFETY: this CPU's own memory.
        let (payload, len) =
            unsafe { ((*self.scratch).packet.payload(), (*self.scratch).packet.len) };
        if len < MIN_MESSAGE {
            return false;
        }
        let Some(first) = self.frame.word(payload) else {
            return false;
        };
        let Some(second) = self.frame.word(payload + 4) else {
            return false;
        };
        let word = u64::from(first) << 32 | u64::from(second);
        message::is_options(word.swap_bytes())
    }

    #[inline(always)]
    fn read(&mut self) {
        if self.frame.copy_payload(self.scratch).is_none() {
            debug!(self.frame.context(), "a payload that could not be copied counts as empty");
        }
    }

    #[inline(always)]
    fn message(&mut self, is_tcp: bool) -> Judgement {
        Judgement::decode(judge_message(self.policy, u32::from(is_tcp)))
    }

    #[inline(always)]
    fn advance(&mut self) -> bool {
        // SAFETY: this CPU's own memory.
        unsafe { scan::advance(self.scratch) }
    }
}

/// Judges the message that starts at the position of the scratch memory, as
/// `decide::message` does. A subprogram: the verifier walks it once and not
/// once for each message of a segment.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn judge_message(policy: *const Policy, is_tcp: u32) -> u32 {
    let Some(scratch) = maps::SCRATCH.get_ptr_mut(0) else {
        return 0;
    };
    // SAFETY: a value of a map, for as long as the program runs, or null.
    let Some(policy) = (unsafe { policy.as_ref() }) else {
        return 0;
    };
    decide::message(&mut Kernel { frame: (), policy, scratch }, is_tcp != 0).encode()
}

impl Message for Kernel<'_, ()> {
    #[inline(always)]
    fn content(&mut self) -> u32 {
        payload::content(self.policy)
    }

    #[inline(always)]
    fn signature(&mut self) -> u32 {
        payload::signature(self.policy)
    }

    #[inline(always)]
    fn note(&mut self) -> bool {
        // SAFETY: this CPU's own memory.
        let has_credentials = unsafe { scan::value_of(self.scratch, kind::CREDENTIALS) }.is_some();
        !has_credentials || transactions::note(self.policy)
    }

    #[inline(always)]
    fn is_oversize(&mut self) -> bool {
        // SAFETY: this CPU's own memory and a policy of a map lookup.
        unsafe { scan::is_oversize(self.scratch, self.policy) }
    }
}
