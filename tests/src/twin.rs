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
    abi::{
        Address, Ban, CHALLENGES, Endpoint, Failures, GREYLIST, Policy, Ports, Site, Source,
        TRANSACTION_NS, TRANSACTIONS, Verified,
    },
    admission::{self, Buckets},
    bucket::{Limit, Step, step},
    decide::{self, Basis, Judgement, Listed, Message, World, decide, standing},
    frame::{self, Packet, TCP, Transport},
    method::{BUDGETS, Budget, Class, Method},
    rule::Rule,
    scan::{
        self, Scratch, host,
        identity::{self, mix},
        kind,
    },
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
    bans: HashMap<Endpoint, Ban>,
    endpoints: HashMap<Endpoint, Verified>,
    unproven: HashMap<Endpoint, Verified>,
    sites: HashMap<Address, Site>,
    /// Key of the hashes of the next three, which are found by slot.
    key: u64,
    kept_back: HashMap<u32, u64>,
    transactions: HashMap<u32, Noted>,
    challenges: HashMap<u32, u64>,
    reserve: u64,
    failures: HashMap<Endpoint, Failures>,
}

/// A request with credentials that waits for its answer.
#[derive(Clone, Copy, Debug)]
struct Noted {
    tag: u64,
    at_ns: u64,
    from: Endpoint,
    is_proven: bool,
    is_answered: bool,
}

impl<'a> Twin<'a> {
    /// A filter with this plan that has seen nothing yet.
    #[must_use]
    pub fn new(plan: &'a Plan) -> Self {
        Self { plan, now_ns: 0, state: State::default(), scratch: Box::new(Scratch::ZERO) }
    }

    /// Sets the key of the hashes.
    pub fn set_key(&mut self, key: u64) {
        self.state.key = key;
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
        let source = address.source(self.plan.policy.source_mask);
        self.state.bans.insert(Endpoint::whole(source), ban);
    }

    /// Verifies an endpoint, on evidence that cannot be forged.
    pub fn set_verified(&mut self, endpoint: Endpoint, verified: Verified) {
        self.state.endpoints.insert(endpoint, verified);
    }

    /// Makes the source of an address a site.
    pub fn set_site(&mut self, address: Address, site: Site) {
        self.state.sites.insert(address.source(self.plan.policy.source_mask), site);
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

    fn is_banned(&self, endpoint: &Endpoint) -> bool {
        self.state.bans.get(endpoint).is_some_and(|ban| self.now_ns < ban.expires_ns)
    }

    /// Finds how the server stands to an endpoint, or without a port to a
    /// source, and leaves it in the scratch memory.
    fn look_up(&mut self, address: Address, endpoint: Option<Endpoint>) -> u32 {
        let now_ns = self.now_ns;
        let holds = |map: &HashMap<Endpoint, Verified>| {
            let verified = endpoint.and_then(|endpoint| map.get(&endpoint));
            verified.is_some_and(|verified| now_ns < verified.expires_ns)
        };
        let source = address.source(self.plan.policy.source_mask);
        let site = self.state.sites.get(&source).filter(|site| site.is_remembered(now_ns));
        let (standing, shift) = match site {
            _ if holds(&self.state.endpoints) => (standing::VERIFIED, 0),
            _ if holds(&self.state.unproven) => (standing::UNPROVEN, 0),
            Some(site) => (standing::SITE, site.shift),
            None => (standing::STRANGER, 0),
        };
        let scratch = &mut self.scratch;
        (scratch.source, scratch.standing, scratch.shift) = (source, standing, shift);
        standing
    }

    /// A hash of the Call-ID and an address.
    fn hash_call_id(&mut self, address: Address) -> Option<u64> {
        let scratch: *mut Scratch = &mut *self.scratch;
        let seed = self.seed(address);
        // SAFETY: the scratch memory is ours and sealed, its lines are scanned.
        unsafe { identity::hash_call_id(scratch, seed).then(|| (*scratch).hash) }
    }

    /// Which transaction the message belongs to.
    fn tag(&mut self, client: Address) -> Option<u64> {
        let scratch: *mut Scratch = &mut *self.scratch;
        // SAFETY: as above.
        let cseq = unsafe { identity::cseq(scratch).then(|| (*scratch).cseq) }?;
        Some(mix(self.hash_call_id(client)?, u64::from(cseq)) | 1)
    }

    /// The parameters of the first header of a kind; `None` where there is none.
    fn parameters(&mut self, kind: u32) -> Option<()> {
        let scratch: *mut Scratch = &mut *self.scratch;
        // SAFETY: as above.
        unsafe {
            identity::parameters_begin(scratch, kind).then(|| {
                let _ = (0..scan::SCAN_CALLS).any(|_| identity::parameters_call(scratch));
            })
        }
    }

    /// A hash of the nonce that was found, and of an address.
    fn nonce(&mut self, client: Address) -> Option<u64> {
        let scratch: *mut Scratch = &mut *self.scratch;
        let seed = self.seed(client);
        // SAFETY: as above.
        unsafe { identity::hash_nonce(scratch, seed).then(|| (*scratch).hash | 1) }
    }

    /// Of a request with credentials, a hash of the nonce in them, if any.
    fn credentials(&mut self, client: Address) -> Option<Option<u64>> {
        self.parameters(kind::CREDENTIALS)?;
        Some(self.nonce(client))
    }

    fn seed(&self, address: Address) -> u64 {
        let Address([head, tail]) = address;
        mix(mix(self.state.key, head), tail)
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
        host::payload(self.frame, &self.packet)
    }
}

impl Basis for Judging<'_, '_> {
    fn policy(&self) -> &Policy {
        &self.twin.plan.policy
    }

    fn standing(&self) -> u32 {
        self.twin.scratch.standing
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
        if self.twin.is_banned(&self.packet.sender()) {
            return Listed::EndpointBanned;
        }
        if self.twin.is_banned(&Endpoint::whole(source)) {
            return Listed::Banned;
        }
        Listed::Nowhere
    }

    fn look_up(&mut self, transport: Transport) -> u32 {
        let endpoint = (transport != Transport::LaterFragment).then(|| self.packet.sender());
        self.twin.look_up(self.packet.source, endpoint)
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
        host::starts_with_options(self.payload())
    }

    fn read(&mut self) {
        let payload = host::payload(self.frame, &self.packet);
        host::read(&mut self.twin.scratch, payload);
    }

    fn message(&mut self, is_tcp: bool) -> Judgement {
        decide::message(self, is_tcp)
    }

    fn advance(&mut self) -> bool {
        host::advance(&mut self.twin.scratch)
    }
}

impl Message for Judging<'_, '_> {
    fn content(&mut self) -> u32 {
        host::content(&mut self.twin.scratch, &self.twin.plan.policy)
    }

    fn signature(&mut self) -> u32 {
        host::signature(&mut self.twin.scratch, &self.twin.plan.policy.automaton)
    }

    fn is_oversize(&mut self) -> bool {
        host::is_oversize(&self.twin.scratch, &self.twin.plan.policy)
    }

    fn note(&mut self) {
        let client = self.packet.source;
        let Some(nonce) = self.twin.credentials(client) else { return };
        let Some(tag) = self.twin.tag(client) else { return };
        let is_proven = nonce.is_some_and(|nonce| {
            self.twin.state.challenges.get(&slot(nonce, CHALLENGES)) == Some(&nonce)
        });
        let now_ns = self.twin.now_ns;
        let from = self.packet.sender();
        let slot = slot(tag, TRANSACTIONS);
        let known = self.twin.state.transactions.get(&slot);
        // The same request again: it may be answered already.
        if known.is_none_or(|known| known.tag != tag || now_ns - known.at_ns >= TRANSACTION_NS) {
            let noted = Noted { tag, at_ns: now_ns, from, is_proven, is_answered: false };
            self.twin.state.transactions.insert(slot, noted);
        }
    }
}

impl Buckets for Judging<'_, '_> {
    fn standing(&self) -> u32 {
        self.twin.scratch.standing
    }

    fn shift(&self) -> u32 {
        self.twin.scratch.shift
    }

    fn endpoint(&mut self, class: u32, limit: Limit) -> bool {
        let endpoint = self.packet.sender();
        let State { endpoints, unproven, .. } = &mut self.twin.state;
        let state = endpoints.get_mut(&endpoint).or_else(|| unproven.get_mut(&endpoint));
        state.is_none_or(|state| spend(&mut state.tat_ns[class as usize], self.twin.now_ns, limit))
    }

    fn is_repeated(&mut self) -> bool {
        let Some(hash) = self.twin.hash_call_id(self.packet.source) else { return false };
        let now_ns = self.twin.now_ns;
        let slot = hash as u32 & (GREYLIST - 1);
        let word = self.twin.state.kept_back.entry(slot).or_default();
        let was = admission::was_kept_back(*word, hash, now_ns);
        if was.is_none() {
            *word = admission::kept_back(hash, now_ns);
        }
        was.unwrap_or(false)
    }

    fn reserve(&mut self, limit: Limit) -> bool {
        spend(&mut self.twin.state.reserve, self.twin.now_ns, limit)
    }

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

/// Where a table of so many slots holds a hash.
const fn slot(hash: u64, slots: u32) -> u32 {
    (hash >> 32) as u32 & (slots - 1)
}

fn ip(address: Address) -> IpAddr {
    IpAddr::V6(Ipv6Addr::from(address.octets())).to_canonical()
}
