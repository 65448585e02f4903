//! The twin's buckets.

use sipguard_common::{
    abi::{GREYLIST, Ports, Source},
    admission::{self, Buckets},
    bucket::{Limit, Step, step},
    decide::Basis,
    rule::Rule,
};

use super::{judging::Judging, state::spend};

impl Buckets for Judging<'_, '_> {
    fn standing(&self) -> u32 {
        self.twin.ingress.standing
    }

    fn shift(&self) -> u32 {
        self.twin.ingress.shift
    }

    fn endpoint(&mut self, class: u32, limit: Limit) -> bool {
        let endpoint = self.packet.sender();
        let state = self.twin.state.verified(&endpoint);
        state.is_none_or(|state| spend(&mut state.tat_ns[class as usize], self.twin.now_ns, limit))
    }

    fn is_repeated(&mut self) -> bool {
        let Some(hash) = self.twin.reading_in().hash_call_id(self.packet.source) else {
            return false;
        };
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
