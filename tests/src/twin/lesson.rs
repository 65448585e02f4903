//! What the server's own messages teach the twin.

use sipguard_common::{
    abi::{Address, Ban, Endpoint, Failures, Learned, Policy, TRANSACTION_NS, TRANSACTIONS, how},
    decide::standing::{UNPROVEN, VERIFIED},
    frame::TCP,
    learn::{Lessons, Noted, SOURCE_HARVEST},
    rule::Rule,
    scan::{host, identity::mix, kind},
};

use super::{
    Twin,
    leaving::{Banned, Out},
    state::{State, slot},
};

/// One message on its way out.
pub(super) struct Lesson<'t, 'a> {
    pub(super) twin: &'t mut Twin<'a>,
    pub(super) out: &'t mut Out,
    /// Who gets it, and which source that is.
    pub(super) receiver: Endpoint,
    pub(super) source: Address,
    pub(super) standing: u32,
    pub(super) status: u32,
    /// Who has sent the request that is answered, where that was somebody else.
    pub(super) sender: Option<Endpoint>,
    /// The transaction, or 0.
    pub(super) tag: u64,
}

impl Lesson<'_, '_> {
    /// Makes one endpoint verified; true where it was not.
    fn accept(&mut self, endpoint: Endpoint, is_proven: bool, how: u32, span_ns: u64) -> bool {
        let (state, now_ns) = (&mut self.twin.state, self.twin.now_ns);
        let map = if is_proven || state.endpoints.contains_key(&endpoint) {
            &mut state.endpoints
        } else {
            &mut state.unproven
        };
        let verified = map.entry(endpoint).or_default();
        let is_new = verified.expires_ns <= now_ns;
        verified.renew(now_ns, how, span_ns);
        if self.status != 0 {
            (verified.status, verified.status_ns) = (self.status, now_ns);
        }
        is_new
    }

    fn end_one(&mut self, endpoint: &Endpoint) -> bool {
        let now_ns = self.twin.now_ns;
        let State { endpoints, unproven, .. } = &mut self.twin.state;
        let mut held = false;
        // It may be in both.
        for verified in
            [endpoints.get_mut(endpoint), unproven.get_mut(endpoint)].into_iter().flatten()
        {
            held |= now_ns < verified.expires_ns;
            verified.expires_ns = verified.expires_ns.min(now_ns);
        }
        held
    }

    fn failures(&mut self, who: Endpoint) -> &mut Failures {
        let failures = self.twin.state.failures.entry(who).or_default();
        (failures.status, failures.status_ns) = (self.status, self.twin.now_ns);
        failures
    }

    fn harvest_of(&mut self, who: Endpoint, max: u32) {
        let (tag, now_ns) = (self.tag, self.twin.now_ns);
        let known = self.twin.state.failures.entry(who).or_default();
        // The same reply once more.
        if known.tag == tag && now_ns - known.status_ns < TRANSACTION_NS {
            return;
        }
        let auth = self.policy().auth;
        let failures = self.failures(who);
        failures.tag = tag;
        let over = failures.harvest(now_ns, &auth, max);
        if over != 0 {
            let proven = self.is_tcp();
            self.punish(who, Rule::Harvest, over, proven);
        }
    }

    /// Gives the source all its tries back.
    fn new_tries(&mut self) {
        if let Some(state) = self.twin.state.strangers.get_mut(&self.source) {
            state.tries_ns = [0; 2];
        }
    }

    /// Bans, where the rule drops.
    fn punish(&mut self, who: Endpoint, rule: Rule, failures: u32, proven: bool) {
        let (policy, since_ns) = (&*self.twin.plan.policy, self.twin.now_ns);
        let (done, would) = match rule {
            Rule::Auth => (Learned::AuthBan, Learned::AuthWould),
            _ => (Learned::HarvestBan, Learned::HarvestWould),
        };
        let span_ns = if proven { policy.ban_ns } else { policy.auth.unproven_ban_ns };
        let mut ban = Ban {
            expires_ns: since_ns + span_ns,
            since_ns,
            rule: rule.number(),
            signature: 0,
            failures,
            proven: u32::from(proven),
        };
        if policy.enforced & rule.bit() != 0 {
            self.count(done);
            if span_ns == 0 {
                return;
            }
            let bans = &mut self.twin.state.bans;
            ban.expires_ns = ban.expires_ns.max(bans.get(&who).map_or(0, |ban| ban.expires_ns));
            bans.insert(who, ban);
            self.out.bans.push(Banned { who, ban, is_would: false });
        } else if policy.observed & rule.bit() != 0 {
            self.count(would);
            self.out.bans.push(Banned { who, ban, is_would: true });
        }
    }
}

impl Lessons for Lesson<'_, '_> {
    fn policy(&self) -> &Policy {
        &self.twin.plan.policy
    }

    fn count(&mut self, what: Learned) {
        self.out.counted.learned[what as usize] += 1;
    }

    fn standing(&self) -> u32 {
        self.standing
    }

    fn is_tcp(&self) -> bool {
        self.receiver.protocol() == TCP
    }

    fn noted(&mut self) -> Option<Noted> {
        let tag = self.twin.reading_out().tag(self.receiver.address);
        self.tag = tag.unwrap_or(0);
        let (tag, now_ns) = (tag?, self.twin.now_ns);
        let waiting = self.twin.state.transactions.get_mut(&slot(tag, TRANSACTIONS))?;
        let is_over = now_ns - waiting.at_ns >= TRANSACTION_NS;
        if waiting.tag != tag || is_over || waiting.is_answered {
            return None;
        }
        waiting.is_answered = true;
        if waiting.place != self.receiver.place {
            self.sender = Some(Endpoint { place: waiting.place, ..self.receiver });
        }
        Some(waiting.noted)
    }

    fn is_stale(&mut self) -> bool {
        let client = self.receiver.address;
        let Some((nonce, is_stale)) = self.twin.reading_out().challenge(client) else {
            return false;
        };
        if let Some(nonce) = nonce {
            self.twin.state.sent(nonce, false);
        }
        is_stale
    }

    fn granted(&mut self) -> u32 {
        self.twin.reading_out().granted()
    }

    fn verify(&mut self, is_proven: bool, how: u32, span_ns: u64) {
        if self.accept(self.receiver, is_proven, how, span_ns) {
            self.count(Learned::Verified);
        }
        if let Some(sender) = self.sender {
            self.accept(sender, is_proven, how, span_ns);
        }
        self.standing = if is_proven { VERIFIED } else { UNPROVEN };
        if !is_proven {
            return;
        }
        let account = (how == how::REGISTER).then(|| self.twin.reading_out().account(1)).flatten();
        let hash = account.unwrap_or_else(|| mix(1, self.receiver.place));
        let now_ns = self.twin.now_ns;
        let site = self.twin.state.sites.entry(self.source).or_default();
        site.accept(now_ns, now_ns + span_ns, hash);
    }

    fn end(&mut self) {
        if self.end_one(&self.receiver.clone()) {
            self.count(Learned::Ended);
        }
        if let Some(sender) = self.sender {
            self.end_one(&sender);
        }
    }

    fn give_back(&mut self, is_proven: bool) {
        let which = usize::from(is_proven);
        let interval_ns = self.policy().auth.tries[which].interval_ns;
        if let Some(state) = self.twin.state.strangers.get_mut(&self.source) {
            state.tries_ns[which] = state.tries_ns[which].saturating_sub(interval_ns);
        }
    }

    fn succeed(&mut self) {
        self.new_tries();
        for who in [Some(Endpoint::whole(self.source)), Some(self.receiver), self.sender] {
            let failures = who.and_then(|who| self.twin.state.failures.get_mut(&who));
            failures.into_iter().for_each(Failures::clear);
        }
    }

    fn fail(&mut self, _status: u32) {
        let (auth, now_ns) = (self.policy().auth, self.twin.now_ns);
        // Of a site only this endpoint: its neighbours know their passwords.
        let who = match self.twin.state.site(self.source, now_ns) {
            Some(_) => self.sender.unwrap_or(self.receiver),
            None => Endpoint::whole(self.source),
        };
        let over = self.failures(who).fail(now_ns, &auth);
        if over != 0 {
            self.new_tries();
            self.punish(who, Rule::Auth, over, true);
        }
    }

    fn harvest(&mut self, _status: u32) {
        if self.twin.egress.named >> kind::TO & 1 == 0 {
            host::lines(&mut self.twin.egress);
        }
        let tag = self.tag;
        self.tag = self.twin.reading_out().account(tag).unwrap_or(tag);
        let max = self.policy().auth.harvest;
        self.harvest_of(self.receiver, max);
        self.harvest_of(Endpoint::whole(self.source), max * SOURCE_HARVEST);
    }
}
