//! What the twin remembers.

use std::collections::HashMap;

use sipguard_common::{
    abi::{
        Address, Ban, CHALLENGES, Endpoint, Failures, NONCES, Nonce, Ports, Site, Source, Verified,
    },
    bucket::{Limit, Step, step},
    decide::standing,
    learn::Noted,
    method::BUDGETS,
};

/// The maps of the kernel programs, but for their limits on entries.
#[derive(Default)]
pub(super) struct State {
    pub(super) strangers: HashMap<Address, Source>,
    pub(super) subnets: HashMap<Address, u64>,
    pub(super) ports: HashMap<Address, Ports>,
    pub(super) budgets: [u64; BUDGETS],
    pub(super) reserve: u64,
    pub(super) peers: HashMap<u32, u64>,
    pub(super) bans: HashMap<Endpoint, Ban>,
    pub(super) endpoints: HashMap<Endpoint, Verified>,
    pub(super) unproven: HashMap<Endpoint, Verified>,
    pub(super) sites: HashMap<Address, Site>,
    pub(super) failures: HashMap<Endpoint, Failures>,
    /// Key of the hashes of the next four, which are found by slot.
    pub(super) key: u64,
    pub(super) kept_back: HashMap<u32, u64>,
    pub(super) transactions: HashMap<u32, Waiting>,
    pub(super) challenges: HashMap<u32, u64>,
    pub(super) nonces: HashMap<u32, Nonce>,
}

/// The hashes of a nonce: with the address that it goes to or comes from, and of
/// itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct NonceHash {
    pub(super) owned: u64,
    pub(super) itself: u64,
}

/// A request with credentials that waits for its answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waiting {
    pub(super) tag: u64,
    pub(super) at_ns: u64,
    /// [`Endpoint::place`] of who sent it.
    pub(super) place: u64,
    pub(super) response: u64,
    pub(super) noted: Noted,
    pub(super) is_answered: bool,
}

impl State {
    pub(super) fn is_banned(&self, endpoint: &Endpoint, now_ns: u64) -> bool {
        self.bans.get(endpoint).is_some_and(|ban| now_ns < ban.expires_ns)
    }

    /// The site of a source, as long as it is remembered.
    pub(super) fn site(&self, source: Address, now_ns: u64) -> Option<&Site> {
        self.sites.get(&source).filter(|site| site.is_remembered(now_ns))
    }

    /// The entry of a verified endpoint, whether it still holds or not.
    pub(super) fn verified(&mut self, endpoint: &Endpoint) -> Option<&mut Verified> {
        self.endpoints.get_mut(endpoint).or_else(|| self.unproven.get_mut(endpoint))
    }

    /// How the server stands to an endpoint, or without a port to a source, and
    /// by how many bits the limits of its site are raised.
    pub(super) fn standing(
        &self,
        endpoint: Option<Endpoint>,
        source: Address,
        now_ns: u64,
    ) -> (u32, u32) {
        let holds = |map: &HashMap<Endpoint, Verified>| {
            let verified = endpoint.and_then(|endpoint| map.get(&endpoint));
            verified.is_some_and(|verified| now_ns < verified.expires_ns)
        };
        match self.site(source, now_ns) {
            _ if holds(&self.endpoints) => (standing::VERIFIED, 0),
            _ if holds(&self.unproven) => (standing::UNPROVEN, 0),
            Some(site) => (standing::SITE, site.shift),
            None => (standing::STRANGER, 0),
        }
    }

    /// Remembers that the server has sent a nonce, or that it seems to have.
    pub(super) fn sent(&mut self, nonce: NonceHash, is_forged: bool) {
        let NonceHash { owned, itself } = nonce;
        self.challenges.insert(slot(owned, CHALLENGES), owned);
        let known = self.nonces.entry(slot(itself, NONCES)).or_default();
        if known.tag != itself {
            *known = Nonce { tag: itself, owner: owned, forged: u64::from(is_forged) };
        } else if known.owner != owned {
            known.owner = 0;
        }
    }

    /// What a nonce shows of who has sent it back.
    pub(super) fn shown(&self, nonce: Option<NonceHash>) -> Noted {
        let is_known = |nonce: &NonceHash| {
            self.challenges.get(&slot(nonce.owned, CHALLENGES)) == Some(&nonce.owned)
        };
        let Some(NonceHash { owned, itself }) = nonce.filter(is_known) else {
            return Noted { is_known: false, is_proven: false, is_forged: false };
        };
        let known = self.nonces.get(&slot(itself, NONCES));
        let known = known.filter(|known| known.tag == itself && known.owner == owned);
        let is_forged = known.is_some_and(|known| known.forged != 0);
        Noted { is_known: true, is_proven: known.is_some(), is_forged }
    }
}

/// One packet meets one bucket; true while within the limit.
pub(super) fn spend(tat_ns: &mut u64, now_ns: u64, limit: Limit) -> bool {
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
pub(super) const fn slot(hash: u64, slots: u32) -> u32 {
    (hash >> 32) as u32 & (slots - 1)
}
