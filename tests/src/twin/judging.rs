//! The twin on the way in: what the decision asks for.

use std::collections::BTreeSet;

use sipguard_common::{
    abi::{Endpoint, Policy, Source, TRANSACTION_NS, TRANSACTIONS},
    admission,
    bucket::Limit,
    decide::{self, Basis, Judgement, Listed, Message, World, standing},
    frame::{Packet, TCP, Transport},
    method::{Class, Method},
    rule::Rule,
    scan::{self, host},
};

use super::{
    Twin, ip,
    state::{Waiting, slot, spend},
};

/// One packet on its way through [`Twin`].
pub(super) struct Judging<'t, 'a> {
    pub(super) twin: &'t mut Twin<'a>,
    pub(super) frame: &'t [u8],
    pub(super) packet: Packet,
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
        self.twin.ingress.standing
    }

    fn admit(&mut self, class: Class) -> u32 {
        let policy = &raw const *self.twin.plan.policy;
        // SAFETY: the plan's policy.
        unsafe { admission::admit(self, policy, class as u32) }
    }

    fn would(&mut self, rule: Rule) {
        // SAFETY: the scratch memory is ours.
        unsafe { scan::would(&mut *self.twin.ingress, rule) }
    }
}

impl World for Judging<'_, '_> {
    fn listed(&mut self) -> Listed {
        let (source, plan) = (self.packet.source, self.twin.plan);
        if let Some(peer) = self.twin.trusted(source, self.packet.source_port) {
            let classed = plan.trusted.values().filter(|peer| peer.class.is_some());
            let names: BTreeSet<&str> = classed.map(|peer| &*peer.name).collect();
            let number = names.iter().position(|name| *name == peer.name).unwrap_or(0);
            let scratch = &mut self.twin.ingress;
            scratch.class = peer.class.map_or(0, |class| u32::from(class.abi()));
            scratch.peer = number as u32;
            return Listed::Trusted;
        }
        if plan.blocked.keys().any(|net| net.contains(&ip(source))) {
            return Listed::Blocked;
        }
        let (state, now_ns) = (&self.twin.state, self.twin.now_ns);
        if state.is_banned(&self.packet.sender(), now_ns) {
            return Listed::EndpointBanned;
        }
        if state.is_banned(&Endpoint::whole(self.twin.source(source)), now_ns) {
            return Listed::Banned;
        }
        Listed::Nowhere
    }

    fn look_up(&mut self, transport: Transport) -> u32 {
        let endpoint = (transport != Transport::LaterFragment).then(|| self.packet.sender());
        let twin = &mut *self.twin;
        let source = twin.source(self.packet.source);
        let (standing, shift) = twin.state.standing(endpoint, source, twin.now_ns);
        let scratch = &mut twin.ingress;
        (scratch.source, scratch.standing, scratch.shift) = (source, standing, shift);
        standing
    }

    fn over_cps(&mut self) -> bool {
        let (class, peer) = (self.twin.ingress.class, self.twin.ingress.peer);
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
        host::read(&mut self.twin.ingress, payload);
    }

    fn message(&mut self, is_tcp: bool) -> Judgement {
        decide::message(self, is_tcp)
    }

    fn advance(&mut self) -> bool {
        host::advance(&mut self.twin.ingress)
    }
}

impl Message for Judging<'_, '_> {
    fn content(&mut self) -> u32 {
        host::content(&mut self.twin.ingress, &self.twin.plan.policy)
    }

    fn signature(&mut self) -> u32 {
        host::signature(&mut self.twin.ingress, &self.twin.plan.policy.automaton)
    }

    fn is_oversize(&mut self) -> bool {
        host::is_oversize(&self.twin.ingress, &self.twin.plan.policy)
    }

    fn note(&mut self) -> bool {
        let client = self.packet.source;
        let mut reading = self.twin.reading_in();
        let Some(nonce) = reading.credentials(client) else { return true };
        let response = reading.response();
        let Some(tag) = reading.tag(client) else { return true };
        let method = reading.cseq().unwrap_or(0);
        let (place, at_ns) = (self.packet.sender().place, self.twin.now_ns);
        let noted = self.twin.state.shown(nonce);
        let slot = slot(tag, TRANSACTIONS);
        // The same request again: it may be answered already.
        let is_known = |known: &Waiting| {
            (known.tag, known.response) == (tag, response) && at_ns - known.at_ns < TRANSACTION_NS
        };
        if self.twin.state.transactions.get(&slot).is_some_and(is_known) {
            return true;
        }
        let is_try =
            method == Method::Register as u32 && Basis::standing(self) == standing::STRANGER;
        let is_over =
            is_try && !self.tries(noted.is_proven || self.packet.protocol == u32::from(TCP));
        if is_over && self.policy().enforced & Rule::RateAuth.bit() != 0 {
            return false;
        }
        let waiting = Waiting { tag, at_ns, place, response, noted, is_answered: false };
        self.twin.state.transactions.insert(slot, waiting);
        !is_over
    }
}

impl Judging<'_, '_> {
    /// Spends a try of the source.
    fn tries(&mut self, is_proven: bool) -> bool {
        let limit = self.policy().auth.tries[usize::from(is_proven)];
        if limit == Limit::UNLIMITED {
            return true;
        }
        let source = self.twin.source(self.packet.source);
        let now_ns = self.twin.now_ns;
        let state = self.twin.state.strangers.entry(source).or_insert(Source::NEW);
        spend(&mut state.tries_ns[usize::from(is_proven)], now_ns, limit)
    }
}
