//! The host twin of the kernel program: the same decision code over slices and
//! ordinary maps, with list look-ups of its own. The differential test holds
//! the kernel program against it.

use std::{
    cmp::Reverse,
    collections::{BTreeSet, HashMap},
    net::{IpAddr, Ipv6Addr},
};

use sipguard::policy::Plan;
use sipguard_common::{
    abi::{Address, Source},
    bucket::{Limit, Step, step},
    decide::{Admission, Judgement, Listed, World, decide},
    frame::{self, Packet, Transport},
    method::Class,
    rule::Rule,
    scan::{self, PAYLOAD_MAX, Scratch},
};

/// A filter without a kernel.
pub struct Twin<'a> {
    plan: &'a Plan,
    now_ns: u64,
    strangers: HashMap<Address, Source>,
    scratch: Box<Scratch>,
}

impl<'a> Twin<'a> {
    /// A filter with this plan that has seen nothing yet.
    #[must_use]
    pub fn new(plan: &'a Plan) -> Self {
        Self { plan, now_ns: 0, strangers: HashMap::new(), scratch: Box::new(Scratch::ZERO) }
    }

    /// Sets the clock, in nanoseconds.
    pub fn set_clock(&mut self, now_ns: u64) {
        self.now_ns = now_ns;
    }

    /// Sets the buckets of a stranger.
    pub fn set_source(&mut self, address: Address, state: Source) {
        self.strangers.insert(address.source(self.plan.policy.source_mask), state);
    }

    /// Judges one frame.
    pub fn run(&mut self, frame: &[u8]) -> Judgement {
        self.judge(frame).unwrap_or(Judgement::of(Rule::NotSip))
    }

    fn judge(&mut self, frame: &[u8]) -> Option<Judgement> {
        let transport = frame::parse(frame, &mut self.scratch.packet)?;
        let packet = self.scratch.packet;
        let port = u16::from_be_bytes(packet.destination_port);
        if transport != Transport::LaterFragment && !self.plan.ports.iter().any(|p| p == port) {
            return None;
        }
        let destination = ip(packet.destination);
        let protected = &self.plan.protected;
        if !protected.is_empty() && !protected.iter().any(|net| net.contains(&destination)) {
            return None;
        }
        let policy = &self.plan.policy;
        let (posture, options) = (policy.posture, policy.options);
        Some(decide(&mut Judging { twin: self, frame, packet }, transport, posture, options))
    }
}

/// One packet on its way through [`Twin`].
struct Judging<'t, 'a> {
    twin: &'t mut Twin<'a>,
    frame: &'t [u8],
    packet: Packet,
}

impl World for Judging<'_, '_> {
    fn listed(&mut self) -> Listed {
        let source = ip(self.packet.source);
        let port = u16::from_be_bytes(self.packet.source_port);
        let plan = self.twin.plan;
        // Of several the first counts: addresses before networks, of networks
        // the longest; then what holds for every port.
        let trusted = plan
            .trusted
            .iter()
            .filter(|(target, _)| {
                target.net.contains(&source) && target.port.is_none_or(|wanted| wanted == port)
            })
            .min_by_key(|(target, _)| {
                let bits = target.net.prefix_len();
                (!target.is_address(), target.port.is_some(), Reverse(bits))
            });
        if let Some((_, peer)) = trusted {
            let classed = plan.trusted.values().filter(|peer| peer.class.is_some());
            let names: BTreeSet<&str> = classed.map(|peer| &*peer.name).collect();
            let number = names.iter().position(|name| *name == peer.name).unwrap_or(0);
            let scratch = &mut self.twin.scratch;
            scratch.class = peer.class.map_or(0, |class| u32::from(class.abi()));
            scratch.peer = number as u32;
            return Listed::Trusted;
        }
        if plan.blocked.keys().any(|net| net.contains(&source)) {
            return Listed::Blocked;
        }
        Listed::Nowhere
    }

    fn content(&mut self) -> u32 {
        let scratch: *mut Scratch = &mut *self.twin.scratch;
        let Packet { payload, len, .. } = self.packet;
        let bytes = self.frame.get(payload as usize..(payload + len) as usize).unwrap_or(&[]);
        let bytes = &bytes[..bytes.len().min(PAYLOAD_MAX as usize)];
        // SAFETY: the scratch memory is ours, the policy the plan's.
        unsafe {
            scan::begin(scratch);
            if !bytes.is_empty() {
                (&mut (*scratch).bytes)[..bytes.len()].copy_from_slice(bytes);
                scan::seal(scratch, bytes.len() as u32);
            }
            if scan::needs_skip(scratch) {
                let _ = (0..scan::SKIP_CALLS).any(|_| scan::skip_call(scratch));
            }
            scan::content(scratch, &raw const *self.twin.plan.policy).encode()
        }
    }

    fn signature(&mut self) -> u32 {
        let scratch: *mut Scratch = &mut *self.twin.scratch;
        let table = &raw const self.twin.plan.policy.automaton;
        // SAFETY: the scratch memory is ours and sealed, the table the plan's.
        unsafe {
            let _ = (0..scan::SCAN_CALLS).any(|_| scan::scan_call(scratch));
            if scan::match_begin(scratch, table, 0) {
                let _ = (0..scan::MATCH_CALLS).any(|_| scan::match_call(scratch, table));
            }
            (*scratch).signature
        }
    }

    fn admit(&mut self, class: Class, total: bool) -> Admission {
        let policy = &self.twin.plan.policy;
        let limit = |class: Class| policy.limits[class as usize];
        let of_total = if total { limit(Class::Total) } else { Limit::UNLIMITED };
        let now = self.twin.now_ns;
        let source = self.packet.source.source(policy.source_mask);
        let state = self.twin.strangers.entry(source).or_insert(Source::NEW);
        if !spend(&mut state.tat_ns[class as usize], now, limit(class)) {
            return Admission::OverMethod;
        }
        if !spend(&mut state.tat_ns[Class::Total as usize], now, of_total) {
            return Admission::OverSource;
        }
        Admission::Within
    }
}

fn spend(tat_ns: &mut u64, now_ns: u64, limit: Limit) -> bool {
    if limit == Limit::UNLIMITED {
        return true;
    }
    match step(*tat_ns, now_ns, limit) {
        Step::Take(next) => {
            *tat_ns = next;
            true
        }
        Step::Over => false,
        Step::Reset(next) => {
            *tat_ns = next;
            false
        }
    }
}

fn ip(address: Address) -> IpAddr {
    IpAddr::V6(Ipv6Addr::from(address.octets())).to_canonical()
}
