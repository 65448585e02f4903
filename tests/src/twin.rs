//! The host twin of the kernel programs: the same decision and learning code
//! over slices and ordinary maps, with list look-ups of its own. The
//! differential test holds the kernel programs against it.

mod buckets;
mod judging;
mod leaving;
mod lesson;
mod reading;
mod state;

use std::{
    cmp::Reverse,
    net::{IpAddr, Ipv6Addr},
};

use sipguard::{
    kernel::Verdict,
    policy::{Peer, Plan},
};
use sipguard_common::{
    abi::{Address, Ban, Endpoint, Failures, Ports, Site, Source, Verified},
    decide::{Judgement, decide},
    frame::{self, TCP, Transport},
    method::Budget,
    rule::Rule,
    scan::{self, Scratch},
};

use self::{judging::Judging, reading::Reader, state::State};

pub use self::leaving::{Banned, Out};

/// What became of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    pub rule: Rule,
    /// A [`sipguard_common::method::Method`] by number.
    pub method: u32,
    /// Index of the signature plus one, or 0.
    pub signature: u32,
    /// Bits of the rules that would have dropped it.
    pub would: u64,
}

impl From<&Verdict> for Outcome {
    fn from(verdict: &Verdict) -> Self {
        Self {
            rule: verdict.rule,
            method: verdict.method as u32,
            signature: verdict.signature.map_or(0, |index| index as u32 + 1),
            would: verdict.would,
        }
    }
}

/// A filter without a kernel.
pub struct Twin<'a> {
    plan: &'a Plan,
    now_ns: u64,
    state: State,
    /// Working memory of the way in, and of the way out.
    ingress: Box<Scratch>,
    egress: Box<Scratch>,
}

impl<'a> Twin<'a> {
    /// A filter with this plan that has seen nothing yet.
    #[must_use]
    pub fn new(plan: &'a Plan) -> Self {
        let scratch = || Box::new(Scratch::ZERO);
        Self { plan, now_ns: 0, state: State::default(), ingress: scratch(), egress: scratch() }
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
        self.state.strangers.insert(self.source(address), state);
    }

    /// Sets the bucket of a stranger's network.
    pub fn set_subnet(&mut self, address: Address, tat_ns: u64) {
        let policy = &self.plan.policy;
        let subnet = address.subnet(policy.subnet_mask, policy.subnet_mask_v4);
        self.state.subnets.insert(subnet, tat_ns);
    }

    /// Sets the ports that a stranger has sent from.
    pub fn set_ports(&mut self, address: Address, ports: Ports) {
        self.state.ports.insert(self.source(address), ports);
    }

    /// Sets the bucket of a trusted peer.
    pub fn set_peer(&mut self, peer: u32, tat_ns: u64) {
        self.state.peers.insert(peer, tat_ns);
    }

    /// Bans a source.
    pub fn ban(&mut self, address: Address, ban: Ban) {
        self.ban_endpoint(Endpoint::whole(self.source(address)), ban);
    }

    /// Bans an endpoint, or a whole source.
    pub fn ban_endpoint(&mut self, who: Endpoint, ban: Ban) {
        self.state.bans.insert(who, ban);
    }

    /// The ban of an endpoint, or of a whole source, whether it still holds or
    /// not.
    #[must_use]
    pub fn ban_of(&self, who: &Endpoint) -> Option<Ban> {
        self.state.bans.get(who).copied()
    }

    /// Verifies an endpoint, on evidence that cannot be forged.
    pub fn set_verified(&mut self, endpoint: Endpoint, verified: Verified) {
        self.set_endpoint(endpoint, verified, true);
    }

    /// Verifies an endpoint, on evidence that can be forged or cannot.
    pub fn set_endpoint(&mut self, endpoint: Endpoint, verified: Verified, is_proven: bool) {
        let State { endpoints, unproven, .. } = &mut self.state;
        let map = if is_proven { endpoints } else { unproven };
        map.insert(endpoint, verified);
    }

    /// What is kept of an endpoint, whether it still holds or not, and whether
    /// the evidence was such that cannot be forged.
    #[must_use]
    pub fn endpoint(&self, endpoint: &Endpoint) -> Option<(Verified, bool)> {
        let proven = self.state.endpoints.get(endpoint).map(|one| (*one, true));
        proven.or_else(|| self.state.unproven.get(endpoint).map(|one| (*one, false)))
    }

    /// Makes the source of an address a site.
    pub fn set_site(&mut self, address: Address, site: Site) {
        self.state.sites.insert(self.source(address), site);
    }

    /// What is kept of the source of an address.
    #[must_use]
    pub fn site(&self, address: Address) -> Option<Site> {
        self.state.sites.get(&self.source(address)).copied()
    }

    /// What was refused to an endpoint, or to a whole source.
    #[must_use]
    pub fn failures(&self, who: &Endpoint) -> Option<Failures> {
        self.state.failures.get(who).copied()
    }

    /// Sets the bucket that all strangers share.
    pub fn set_budget(&mut self, budget: Budget, tat_ns: u64) {
        self.state.budgets[budget as usize] = tat_ns;
    }

    /// Judges one frame that comes in.
    ///
    /// # Panics
    /// Where the decision names a rule that is none: a defect.
    pub fn run(&mut self, frame: &[u8]) -> Outcome {
        // SAFETY: the scratch memory is ours.
        unsafe { scan::new_packet(&mut *self.ingress) };
        let Judgement { rule, method } = self.judge(frame).unwrap_or(Judgement::of(Rule::NotSip));
        let rule = Rule::from_number(rule).expect("a rule");
        // SAFETY: the scratch memory is ours.
        let (signature, would) = unsafe { scan::found(&*self.ingress) };
        Outcome { rule, method, signature, would }
    }

    fn judge(&mut self, frame: &[u8]) -> Option<Judgement> {
        let transport = frame::parse(frame, &mut self.ingress.packet)?;
        let packet = self.ingress.packet;
        let port = u16::from_be_bytes(packet.destination_port);
        let is_tcp = packet.protocol == u32::from(TCP);
        let is_protected = self.plan.ports.iter().any(|one| one == port)
            || (is_tcp && self.plan.tls_ports.iter().any(|one| one == port));
        if transport != Transport::LaterFragment && !is_protected {
            return None;
        }
        if !self.is_protected(packet.destination) {
            return None;
        }
        Some(decide(&mut Judging { twin: self, frame, packet }, transport))
    }

    fn is_protected(&self, address: Address) -> bool {
        let (address, protected) = (ip(address), &self.plan.protected);
        protected.is_empty() || protected.iter().any(|net| net.contains(&address))
    }

    /// The trusted entry of an address with its port. Of several the first
    /// counts: addresses before networks, of networks the longest; then what
    /// holds for every port.
    fn trusted(&self, address: Address, port: [u8; 2]) -> Option<&'a Peer> {
        let (address, port) = (ip(address), u16::from_be_bytes(port));
        let trusted = self.plan.trusted.iter().filter(|(target, _)| {
            target.net.contains(&address) && target.port.is_none_or(|wanted| wanted == port)
        });
        let first = trusted.min_by_key(|(target, _)| {
            let bits = target.net.prefix_len();
            (!target.is_address(), target.port.is_some(), Reverse(bits))
        });
        first.map(|(_, peer)| peer)
    }

    /// The source that an address belongs to.
    fn source(&self, address: Address) -> Address {
        address.source(self.plan.policy.source_mask)
    }

    fn reading_in(&mut self) -> Reader<'_> {
        Reader { scratch: &mut self.ingress, key: self.state.key }
    }

    fn reading_out(&mut self) -> Reader<'_> {
        Reader { scratch: &mut self.egress, key: self.state.key }
    }
}

fn ip(address: Address) -> IpAddr {
    IpAddr::V6(Ipv6Addr::from(address.octets())).to_canonical()
}
