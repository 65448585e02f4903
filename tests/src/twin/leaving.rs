//! The twin on the way out: what the server's own messages teach.

use sipguard_common::{
    abi::{
        Address, Ban, Endpoint, Failures, Learned, Policy, Replies, TRANSACTION_NS, TRANSACTIONS,
        how,
    },
    decide::{
        Content,
        standing::{UNPROVEN, VERIFIED},
    },
    frame::{self, TCP, Transport},
    learn::{Fate, Lessons, Noted, SOURCE_HARVEST, Said, learn},
    message::MIN_MESSAGE,
    method::{METHOD_SLOTS, Method},
    rule::Rule,
    scan::{
        self, SCAN_CALLS, Scratch, host,
        identity::{self, mix},
        kind,
    },
};

use super::{Twin, state::slot};

/// What became of a packet that leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Out {
    pub fate: Fate,
    /// What was counted of it; not whether it was dropped or became a challenge,
    /// for that is seen only when it is tried.
    pub counted: Replies,
    /// Bans that were made, or would have been.
    pub bans: Vec<Banned>,
}

/// A ban that a reply has led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Banned {
    pub who: Endpoint,
    pub ban: Ban,
    /// Whether the rule is in mode observe: then there is no ban.
    pub is_would: bool,
}

/// Messages of one TCP segment that are read.
const MESSAGES: u32 = 4;

impl Twin<'_> {
    /// Reads one frame that leaves.
    pub fn run_out(&mut self, frame: &[u8]) -> Out {
        let mut out = Out { fate: Fate::Leaves, counted: Replies::ZERO, bans: Vec::new() };
        let Some(transport) = frame::parse(frame, &mut self.egress.packet) else { return out };
        let packet = self.egress.packet;
        let port = u16::from_be_bytes(packet.source_port);
        if !matches!(transport, Transport::Udp | Transport::Tcp)
            || !self.plan.ports.iter().any(|one| one == port)
            || !self.is_protected(packet.source)
        {
            return out;
        }
        if packet.len < MIN_MESSAGE {
            out.counted.other += 1;
            return out;
        }
        // SAFETY: the scratch memory is ours.
        unsafe { scan::new_packet(&mut *self.egress) };
        host::read(&mut self.egress, host::payload(frame, &packet));
        if transport == Transport::Udp {
            out.fate = self.message(&mut out);
            return out;
        }
        for _ in 0..MESSAGES {
            self.message(&mut out);
            if !host::advance(&mut self.egress) {
                break;
            }
        }
        out
    }

    /// Remembers the challenge in a frame that was made out of a reply: the
    /// server never sent it.
    pub fn forged(&mut self, frame: &[u8]) {
        let Some(Transport::Udp) = frame::parse(frame, &mut self.egress.packet) else { return };
        let packet = self.egress.packet;
        host::read(&mut self.egress, host::payload(frame, &packet));
        // SAFETY: the scratch memory is ours, and sealed.
        unsafe {
            let scratch = &raw mut *self.egress;
            scan::content(scratch, &raw const *self.plan.policy);
            read_reply(scratch);
        }
        if let Some((Some(nonce), _)) = self.reading_out().challenge(packet.destination) {
            self.state.sent(nonce, true);
        }
    }

    /// Reads the message that starts at the position of the scratch memory.
    fn message(&mut self, out: &mut Out) -> Fate {
        let policy = &*self.plan.policy;
        let scratch = &raw mut *self.egress;
        // SAFETY: the scratch memory is ours, and sealed.
        let content = unsafe { scan::content(scratch, policy) };
        let said = match content {
            Content::Request(method) => {
                out.counted.requests[method as usize] += 1;
                Said { status: 0, method: method as u32 }
            }
            Content::Response => {
                // SAFETY: as above.
                let said = unsafe { read_reply(scratch) };
                let class = said.status as usize / 100;
                out.counted.by[class][said.method as usize % METHOD_SLOTS] += 1;
                said
            }
            _ => {
                out.counted.other += 1;
                return Fate::Leaves;
            }
        };
        let packet = self.egress.packet;
        let is_trusted = self.trusted(packet.destination, packet.destination_port).is_some();
        if said.status == UNREADABLE || is_trusted {
            return Fate::Leaves;
        }
        let source = self.source(packet.destination);
        let receiver = packet.receiver();
        let (standing, _) = self.state.standing(Some(receiver), source, self.now_ns);
        let mut lesson = Lesson {
            twin: self,
            out,
            receiver,
            source,
            standing,
            status: said.status,
            sender: None,
            tag: 0,
        };
        learn(&mut lesson, said)
    }
}

/// Stands for a status code that cannot be read.
const UNREADABLE: u32 = 1;

/// What of the header is needed for a status code; 0 for all of it.
const fn needed(status: u32) -> u32 {
    const CALL_ID: u32 = 1 << kind::CALL_ID;
    const CSEQ: u32 = 1 << kind::CSEQ;
    match status {
        401 | 407 => 0,
        200..=299 | 400..=499 | 604 => CSEQ | CALL_ID,
        _ => CSEQ,
    }
}

/// # Safety
/// The scratch memory is valid and sealed, and there is a response.
unsafe fn read_reply(scratch: *mut Scratch) -> Said {
    // SAFETY: as the caller promises.
    unsafe {
        let lines = || {
            scan::scan_all(scratch);
            let _ = (0..SCAN_CALLS).any(|_| scan::scan_call(scratch));
        };
        let status = identity::status(scratch).unwrap_or(UNREADABLE);
        let is_tcp = (*scratch).packet.protocol == u32::from(TCP);
        match needed(status) {
            need if need != 0 && !is_tcp => {
                scan::find::begin(scratch, need);
                let _ = (0..scan::find::CALLS).any(|_| scan::find::call(scratch));
            }
            _ => lines(),
        }
        if !identity::cseq(scratch) {
            return Said { status: UNREADABLE, method: Method::Unknown as u32 };
        }
        let method = (*scratch).cseq_method;
        if is_tcp {
            scan::scan_end(scratch);
        } else if method == Method::Register as u32 && status / 100 == 2 {
            lines();
        }
        Said { status, method }
    }
}

/// One message on its way out.
struct Lesson<'t, 'a> {
    twin: &'t mut Twin<'a>,
    out: &'t mut Out,
    /// Who gets it, and which source that is.
    receiver: Endpoint,
    source: Address,
    standing: u32,
    status: u32,
    /// Who has sent the request that is answered, where that was somebody else.
    sender: Option<Endpoint>,
    /// The transaction, or 0.
    tag: u64,
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
        let Some(verified) = self.twin.state.verified(endpoint) else { return false };
        let held = now_ns < verified.expires_ns;
        verified.expires_ns = verified.expires_ns.min(now_ns);
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
            // SAFETY: the scratch memory is ours, and sealed.
            unsafe {
                let scratch = &raw mut *self.twin.egress;
                scan::scan_all(scratch);
                let _ = (0..SCAN_CALLS).any(|_| scan::scan_call(scratch));
            }
        }
        let tag = self.tag;
        self.tag = self.twin.reading_out().account(tag).unwrap_or(tag);
        let max = self.policy().auth.harvest;
        self.harvest_of(self.receiver, max);
        self.harvest_of(Endpoint::whole(self.source), max * SOURCE_HARVEST);
    }
}
