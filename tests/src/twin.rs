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
    abi::{Address, Ban, Policy, Ports, Source},
    admission::{self, Buckets},
    bucket::{Limit, Step, step},
    decide::{self, Basis, Judgement, Listed, Message, World, decide},
    frame::{self, Packet, TCP, Transport},
    message::{self, MIN_MESSAGE},
    method::{BUDGETS, Budget, Class, Method},
    rule::Rule,
    scan::{self, PAYLOAD_MAX, Scratch},
};

/// What became of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    pub rule: Rule,
    /// A [`Method`] by number.
    pub method: u32,
    /// Index of the signature plus one, or 0.
    pub signature: u32,
    /// Bits of the rules that would have dropped it.
    pub would: u64,
}

/// A filter without a kernel.
pub struct Twin<'a> {
    plan: &'a Plan,
    now_ns: u64,
    state: State,
    scratch: Box<Scratch>,
}

/// What is remembered of strangers.
#[derive(Default)]
struct State {
    strangers: HashMap<Address, Source>,
    subnets: HashMap<Address, u64>,
    ports: HashMap<Address, Ports>,
    budgets: [u64; BUDGETS],
    peers: HashMap<u32, u64>,
    bans: HashMap<Address, Ban>,
}

impl<'a> Twin<'a> {
    /// A filter with this plan that has seen nothing yet.
    #[must_use]
    pub fn new(plan: &'a Plan) -> Self {
        Self { plan, now_ns: 0, state: State::default(), scratch: Box::new(Scratch::ZERO) }
    }

    /// Sets the clock, in nanoseconds.
    pub fn set_clock(&mut self, now_ns: u64) {
        self.now_ns = now_ns;
    }

    /// Sets the buckets of a stranger.
    pub fn set_source(&mut self, address: Address, state: Source) {
        self.state.strangers.insert(address.source(self.plan.policy.source_mask), state);
    }

    /// Sets the bucket of a stranger's network.
    pub fn set_subnet(&mut self, address: Address, tat_ns: u64) {
        let policy = &self.plan.policy;
        let subnet = address.subnet(policy.subnet_mask, policy.subnet_mask_v4);
        self.state.subnets.insert(subnet, tat_ns);
    }

    /// Sets the ports that a stranger has sent from.
    pub fn set_ports(&mut self, address: Address, ports: Ports) {
        self.state.ports.insert(address.source(self.plan.policy.source_mask), ports);
    }

    /// Sets the bucket of a trusted peer.
    pub fn set_peer(&mut self, peer: u32, tat_ns: u64) {
        self.state.peers.insert(peer, tat_ns);
    }

    /// Bans a source.
    pub fn ban(&mut self, address: Address, ban: Ban) {
        self.state.bans.insert(address.source(self.plan.policy.source_mask), ban);
    }

    /// Sets the bucket that all strangers share.
    pub fn set_budget(&mut self, budget: Budget, tat_ns: u64) {
        self.state.budgets[budget as usize] = tat_ns;
    }

    /// Judges one frame.
    ///
    /// # Panics
    /// Where the decision names a rule that is none: a defect.
    pub fn run(&mut self, frame: &[u8]) -> Outcome {
        // SAFETY: the scratch memory is ours.
        unsafe { scan::new_packet(&mut *self.scratch) };
        let Judgement { rule, method } = self.judge(frame).unwrap_or(Judgement::of(Rule::NotSip));
        let rule = Rule::from_number(rule).expect("a rule");
        // SAFETY: the scratch memory is ours.
        let (signature, would) = unsafe { scan::found(&*self.scratch) };
        Outcome { rule, method, signature, would }
    }

    fn judge(&mut self, frame: &[u8]) -> Option<Judgement> {
        let transport = frame::parse(frame, &mut self.scratch.packet)?;
        let packet = self.scratch.packet;
        let port = u16::from_be_bytes(packet.destination_port);
        let is_tcp = packet.protocol == u32::from(TCP);
        let is_protected = self.plan.ports.iter().any(|one| one == port)
            || (is_tcp && self.plan.tls_ports.iter().any(|one| one == port));
        if transport != Transport::LaterFragment && !is_protected {
            return None;
        }
        let destination = ip(packet.destination);
        let protected = &self.plan.protected;
        if !protected.is_empty() && !protected.iter().any(|net| net.contains(&destination)) {
            return None;
        }
        Some(decide(&mut Judging { twin: self, frame, packet }, transport))
    }
}

/// One packet on its way through [`Twin`].
struct Judging<'t, 'a> {
    twin: &'t mut Twin<'a>,
    frame: &'t [u8],
    packet: Packet,
}

impl Judging<'_, '_> {
    /// The payload, as much of it as is in the frame.
    fn payload(&self) -> &[u8] {
        let Packet { payload, len, .. } = self.packet;
        self.frame.get(payload as usize..(payload + len) as usize).unwrap_or(&[])
    }
}

impl Basis for Judging<'_, '_> {
    fn policy(&self) -> &Policy {
        &self.twin.plan.policy
    }

    fn admit(&mut self, class: Class) -> u32 {
        let policy = &raw const *self.twin.plan.policy;
        // SAFETY: the plan's policy.
        unsafe { admission::admit(self, policy, class as u32) }
    }

    fn would(&mut self, rule: Rule) {
        // SAFETY: the scratch memory is ours.
        unsafe { scan::would(&mut *self.twin.scratch, rule) }
    }
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
        let source = self.packet.source.source(plan.policy.source_mask);
        let ban = self.twin.state.bans.get(&source);
        if ban.is_some_and(|ban| self.twin.now_ns < ban.expires_ns) {
            return Listed::Banned;
        }
        Listed::Nowhere
    }

    fn over_cps(&mut self) -> bool {
        let (class, peer) = (self.twin.scratch.class, self.twin.scratch.peer);
        if class == 0 {
            return false;
        }
        self.read();
        if self.content() != Method::Invite as u32 {
            return false;
        }
        let limit = self.policy().cps[class as usize];
        let now_ns = self.twin.now_ns;
        !spend(self.twin.state.peers.entry(peer).or_default(), now_ns, limit)
    }

    fn is_tls(&mut self) -> bool {
        let port = u16::from_be_bytes(self.packet.destination_port);
        self.twin.plan.tls_ports.iter().any(|one| one == port)
    }

    fn starts_with_options(&mut self) -> bool {
        let Some(first) = self.payload().first_chunk() else { return false };
        self.payload().len() >= MIN_MESSAGE as usize
            && message::is_options(u64::from_le_bytes(*first))
    }

    fn read(&mut self) {
        let bytes = self.payload().to_vec();
        let bytes = &bytes[..bytes.len().min(PAYLOAD_MAX as usize)];
        let scratch: *mut Scratch = &mut *self.twin.scratch;
        // SAFETY: the scratch memory is ours.
        unsafe {
            scan::begin(scratch);
            if !bytes.is_empty() {
                (&mut (*scratch).bytes)[..bytes.len()].copy_from_slice(bytes);
                scan::seal(scratch, bytes.len() as u32);
            }
        }
    }

    fn message(&mut self, is_tcp: bool) -> Judgement {
        decide::message(self, is_tcp)
    }

    fn advance(&mut self) -> bool {
        // SAFETY: the scratch memory is ours.
        unsafe { scan::advance(&mut *self.twin.scratch) }
    }
}

impl Message for Judging<'_, '_> {
    fn content(&mut self) -> u32 {
        let scratch: *mut Scratch = &mut *self.twin.scratch;
        // SAFETY: the scratch memory is ours, the policy the plan's.
        unsafe {
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
            scan::scan_begin(scratch, table);
            let _ = (0..scan::SCAN_CALLS).any(|_| scan::scan_call(scratch));
            scan::scan_end(scratch);
            if scan::body_begin(scratch) {
                let _ = (0..scan::SCAN_CALLS).any(|_| scan::body_call(scratch));
            }
            if scan::match_begin(scratch, table, 0) {
                let _ = (0..scan::MATCH_CALLS).any(|_| scan::match_call(scratch, table));
            }
            scan::match_end(scratch, table)
        }
    }

    fn is_oversize(&mut self) -> bool {
        // SAFETY: the scratch memory is ours, the policy the plan's.
        unsafe { scan::is_oversize(&*self.twin.scratch, &raw const *self.twin.plan.policy) }
    }
}

impl Buckets for Judging<'_, '_> {
    fn has_budget(&mut self, budget: u32, limit: Limit) -> bool {
        let tat_ns = self.twin.state.budgets[budget as usize];
        limit == Limit::UNLIMITED || step(tat_ns, self.twin.now_ns, limit) != Step::Over
    }

    fn budget(&mut self, budget: u32, limit: Limit) -> bool {
        spend(&mut self.twin.state.budgets[budget as usize], self.twin.now_ns, limit)
    }

    fn source(&mut self, class: u32, limit: Limit) -> bool {
        if limit == Limit::UNLIMITED {
            return true;
        }
        let source = self.packet.source.source(self.policy().source_mask);
        let state = self.twin.state.strangers.entry(source).or_insert(Source::NEW);
        spend(&mut state.tat_ns[class as usize], self.twin.now_ns, limit)
    }

    fn subnet(&mut self, limit: Limit) -> bool {
        if limit == Limit::UNLIMITED {
            return true;
        }
        let policy = self.policy();
        let subnet = self.packet.source.subnet(policy.subnet_mask, policy.subnet_mask_v4);
        let now_ns = self.twin.now_ns;
        spend(self.twin.state.subnets.entry(subnet).or_default(), now_ns, limit)
    }

    fn port(&mut self, max: u32, window_ns: u64) -> bool {
        let source = self.packet.source.source(self.policy().source_mask);
        let now_ns = self.twin.now_ns;
        let ports = self.twin.state.ports.entry(source).or_insert(Ports::NEW);
        if now_ns - ports.since_ns >= window_ns {
            *ports = Ports { since_ns: now_ns, ..Ports::NEW };
        }
        let bit = Ports::bit(self.packet.source_port);
        let word = &mut ports.bits[bit as usize / 64];
        if *word >> (bit % 64) & 1 == 1 {
            return true;
        }
        if ports.count >= u64::from(max) {
            return false;
        }
        *word |= 1 << (bit % 64);
        ports.count += 1;
        true
    }

    fn would(&mut self, rule: Rule) {
        Basis::would(self, rule);
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
