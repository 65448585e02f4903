//! The twin on the way in: what the decision asks for.

use std::collections::BTreeSet;

use sipguard_common::{
    abi::{Endpoint, Policy, TRANSACTION_NS, TRANSACTIONS},
    admission,
    decide::{self, Basis, Judgement, Listed, Message, World},
    frame::{Packet, Transport},
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

    fn note(&mut self) {
        let client = self.packet.source;
        let mut reading = self.twin.reading_in();
        let Some(nonce) = reading.credentials(client) else { return };
        let Some(tag) = reading.tag(client) else { return };
        let (place, at_ns) = (self.packet.sender().place, self.twin.now_ns);
        let state = &mut self.twin.state;
        let is_proven = nonce.is_some_and(|nonce| state.has_sent(nonce));
        let waiting = Waiting { tag, at_ns, place, is_proven, is_answered: false };
        let slot = slot(tag, TRANSACTIONS);
        // The same request again: it may be answered already.
        let is_new = |known: &Waiting| known.tag != tag || at_ns - known.at_ns >= TRANSACTION_NS;
        if state.transactions.get(&slot).is_none_or(is_new) {
            state.transactions.insert(slot, waiting);
        }
    }
}
