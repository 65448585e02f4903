//! A packet on its way through the decision, which notes what it is asked.

use std::mem;

use sipguard_common::{
    abi::{Policy, fragments, options, posture},
    admission::{self, Buckets},
    bucket::{self, Limit},
    decide::{self, Basis, Content, Judgement, Listed, Message, World, decide, standing},
    frame::{TCP, Transport},
    method::{BUCKETS, BUDGETS, Budget, Class, Method},
    rule::{Rule, Verdict},
};

use super::{
    Decision, Explanation,
    known::Known,
    reading::Reading,
    settings::rule_of,
    step::{Effect, Step},
};
use crate::{
    endpoint::Endpoint,
    kernel::Action,
    policy::{CpsClass, Place, field_name},
};

/// The time of the packet, in nanoseconds: a filter that has been up for a day.
const NOW_NS: u64 = 86_400_000_000_000;

/// Why a frame passes or is dropped that is the first of its source.
#[must_use]
pub fn packet(known: Known<'_>, frame: &[u8]) -> Explanation {
    let mut judging = Judging::new(known, frame);
    let judged = judging.judge();
    let rule = judged.and_then(|judged| Rule::from_number(judged.rule)).unwrap_or(Rule::NotSip);
    let Judging { mut explanation, reading, .. } = judging;
    let action = match rule.verdict() {
        Verdict::Pass => Action::Pass,
        Verdict::Drop
            if reading.packet().protocol == u32::from(TCP) && rule.bit() & Rule::CLOSES != 0 =>
        {
            Action::Reset
        }
        Verdict::Drop => Action::Drop,
    };
    let method = judged.and_then(|judged| Method::ALL.get(judged.method as usize));
    explanation.method = method.copied().filter(|method| *method != Method::Unknown);
    explanation.decision = Some(Decision { rule, action });
    explanation
}

struct Judging<'a> {
    known: Known<'a>,
    reading: Reading<'a>,
    explanation: Explanation,
    spent: Spent,
    /// The trusted entry's class, and its place.
    class: Option<(CpsClass, Option<Place>)>,
    /// What the next rule that holds is to say.
    holding: Option<Step>,
    /// The sender's standing was asked for.
    is_looked_up: bool,
}

/// What this packet has spent: one with several messages asks again.
struct Spent {
    source: [u64; BUCKETS],
    budgets: [u64; BUDGETS],
    subnet: u64,
    peer: u64,
}

impl<'a> Judging<'a> {
    fn new(known: Known<'a>, frame: &'a [u8]) -> Self {
        let spent = Spent { source: [0; BUCKETS], budgets: [0; BUDGETS], subnet: 0, peer: 0 };
        let reading = Reading::new(frame, &known.plan.policy);
        let explanation = Explanation::default();
        Self { known, reading, explanation, spent, class: None, holding: None, is_looked_up: false }
    }

    fn step(&mut self, step: Step) {
        self.explanation.steps.push(step);
    }

    /// `None` where the packet is none of the filter's business.
    fn judge(&mut self) -> Option<Judgement> {
        let not_sip = Rule::NotSip.name();
        let Some(transport) = self.reading.headers() else {
            let found = "neither UDP nor TCP over IP, or its headers cannot be read";
            self.step(Step::new(not_sip, found));
            return None;
        };
        let packet = *self.reading.packet();
        let (source, destination) =
            (Endpoint::source(&packet, transport), Endpoint::destination(&packet, transport));
        self.explanation.source = Some(source);
        self.explanation.destination = Some(destination);
        let (what, len) = (name(transport), packet.len);
        self.step(Step::new("packet", format!("{what}, {len} bytes of payload")));
        let plan = self.known.plan;
        if let Some(port) = destination.port {
            let is_tls =
                packet.protocol == u32::from(TCP) && plan.tls_ports.iter().any(|one| one == port);
            if !is_tls && plan.ports.iter().all(|one| one != port) {
                let found = format!("port {port} is not protected: sip.ports = {}", plan.ports);
                self.step(Step::new(not_sip, found).at(self.known.places.key("sip.ports")));
                return None;
            }
        }
        let is_protected = plan.protected.iter().any(|net| net.contains(&destination.address));
        if !is_protected && !plan.protected.is_empty() {
            let found = format!("{} is none of sip.addresses", destination.address);
            self.step(Step::new(not_sip, found).at(self.known.places.key("sip.addresses")));
            return None;
        }
        Some(decide(self, transport))
    }

    /// None of the lists decides: what comes next asks no world.
    fn behind_lists(&mut self) {
        let policy = &self.known.plan.policy;
        let source = self.explanation.source;
        if source.is_some_and(|source| source.port.is_none()) {
            self.holding = Some(self.known.fragments());
            if policy.fragments == fragments::PASS {
                self.say_held();
            }
            return;
        }
        self.holding = Some(self.known.posture());
        if policy.posture != posture::CLOSED {
            self.say_held();
        }
    }

    /// What was to be said of a rule that does not hold.
    fn say_held(&mut self) {
        if let Some(step) = self.holding.take() {
            self.step(step);
        }
    }

    /// A limit, and how the packet stands to it. True where it is within.
    fn limit(&mut self, limit: Step, rule: Rule, stand: Stand) -> bool {
        let words = match stand {
            Stand::Unlimited => "",
            Stand::First => ": a first packet is within it",
            Stand::Within => ": within it",
            Stand::Over => ": over it",
        };
        let limit = Step { found: format!("{}{words}", limit.found), ..limit };
        let is_over = stand == Stand::Over;
        let limit = if is_over { self.known.holds(rule, limit) } else { limit };
        self.step(limit);
        !is_over
    }
}

/// How a packet stands to a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stand {
    Unlimited,
    /// Nothing was spent before.
    First,
    Within,
    Over,
}

/// Spends a token.
fn spend(tat_ns: &mut u64, limit: Limit) -> Stand {
    if limit == Limit::UNLIMITED {
        return Stand::Unlimited;
    }
    let stand = if *tat_ns == 0 { Stand::First } else { Stand::Within };
    match bucket::step(*tat_ns, NOW_NS, limit) {
        bucket::Step::Take(next) => {
            *tat_ns = next;
            stand
        }
        bucket::Step::Over => Stand::Over,
        bucket::Step::Reset(next) => {
            *tat_ns = next;
            Stand::Over
        }
    }
}

const fn name(transport: Transport) -> &'static str {
    match transport {
        Transport::Udp => "a datagram of UDP",
        Transport::Tcp | Transport::TcpEmpty => "a segment of a TCP connection",
        Transport::Syn => "a new TCP connection (SYN)",
        Transport::LaterFragment => "a later fragment, which has no port",
    }
}

impl Basis for Judging<'_> {
    fn policy(&self) -> &Policy {
        &self.known.plan.policy
    }

    /// What the server has accepted stands in no file.
    fn standing(&self) -> u32 {
        standing::STRANGER
    }

    fn admit(&mut self, class: Class) -> u32 {
        let policy = &raw const *self.known.plan.policy;
        // SAFETY: the plan's policy, which lives as long as this.
        unsafe { admission::admit(self, policy, class as u32) }
    }

    fn would(&mut self, rule: Rule) {
        self.explanation.would |= rule.bit();
    }

    fn hit(&mut self, rule: Rule) -> bool {
        let step = self.holding.take().unwrap_or_else(|| Step::new(rule.name(), rule.help()));
        let step = self.known.holds(rule, step);
        let effect = step.effect;
        self.step(step);
        if effect == Some(Effect::WouldDrop) {
            Basis::would(self, rule);
        }
        effect == Some(Effect::Drop)
    }
}

impl World for Judging<'_> {
    fn listed(&mut self) -> Listed {
        // A later fragment has no port, and so meets no trust in a port.
        let Some(Endpoint { address: source, port }) = self.explanation.source else {
            return Listed::Nowhere;
        };
        if let Some(found) = self.known.trusted(source, port) {
            self.class = found.class.map(|class| (class, found.step.place));
            self.step(found.step);
            return Listed::Trusted;
        }
        self.explanation.steps.extend(self.known.not_trusted(source, port));
        if let Some(block) = self.known.blocked(source) {
            self.holding = Some(block);
            return Listed::Blocked;
        }
        self.step(Known::not_blocked(source));
        if let Some(ban) = self.known.banned(source) {
            self.holding = Some(ban);
            return Listed::Banned;
        }
        self.step(self.known.not_banned(source));
        Listed::Nowhere
    }

    fn look_up(&mut self, _: Transport) -> u32 {
        if !mem::replace(&mut self.is_looked_up, true) {
            self.step(Known::not_verified());
        }
        // A ban asks first, and then what comes behind the lists.
        if self.holding.is_none() {
            self.behind_lists();
        }
        Basis::standing(self)
    }

    fn over_cps(&mut self) -> bool {
        let Some((class, place)) = self.class else { return false };
        let limit = Known::calls(class, place);
        self.reading.read();
        if self.reading.content() != Method::Invite as u32 {
            let found = format!("{}; this is no INVITE", limit.found);
            self.step(Step { found, ..limit });
            return false;
        }
        match spend(&mut self.spent.peer, class.limit()) {
            Stand::Over => {
                self.holding = Some(limit);
                true
            }
            stand => !self.limit(limit, Rule::TrustedCps, stand),
        }
    }

    fn is_tls(&mut self) -> bool {
        let port = self.explanation.destination.and_then(|destination| destination.port);
        let is_tls = self.known.plan.tls_ports.iter().any(|one| Some(one) == port);
        if is_tls {
            let place = self.known.places.key("sip.tls_ports");
            self.step(Step::new("message", "not read: the port is one of TLS").at(place));
        }
        is_tls
    }

    fn starts_with_options(&mut self) -> bool {
        let is_options = self.reading.starts_with_options();
        if is_options {
            self.step(Step::new("message", "a request: OPTIONS"));
            self.step(self.known.holds(Rule::Options, self.known.options()));
        }
        is_options
    }

    fn read(&mut self) {
        self.reading.read();
    }

    fn message(&mut self, is_tcp: bool) -> Judgement {
        decide::message(self, is_tcp)
    }

    fn advance(&mut self) -> bool {
        let more = self.reading.advance();
        if more {
            self.step(Step::new("message", "another one in the same segment"));
        }
        more
    }
}

impl Message for Judging<'_> {
    fn content(&mut self) -> u32 {
        let content = self.reading.content();
        let is = |what: Content| what.encode() == content;
        let found = match Method::ALL.into_iter().find(|method| is(Content::Request(*method))) {
            Some(method) => format!("a request: {}", method.name()),
            None if is(Content::Response) => "a response".to_owned(),
            None if is(Content::Keepalive) => "a keepalive".to_owned(),
            None if is(Content::Letter) => "perhaps a request, of an unknown method".to_owned(),
            None => "nothing that can be read as SIP".to_owned(),
        };
        self.step(Step::new("message", found));
        if is(Content::Request(Method::Options)) {
            self.holding = Some(self.known.options());
            if self.policy().options != options::DROP {
                self.say_held();
            }
        }
        content
    }

    fn signature(&mut self) -> u32 {
        let subject = Rule::Signature.name();
        let Some(index) = self.reading.signature() else {
            let count = self.known.plan.signatures.len();
            self.step(Step::new(subject, format!("none of {count} matches")));
            return 0;
        };
        self.explanation.signature = Some(index);
        if let Some(signature) = self.known.plan.signatures.get(index) {
            let name = &signature.name;
            let found = match signature.only() {
                Some(only) => {
                    let (field, value) = (field_name(only.field), self.reading.value());
                    format!("\"{name}\" matches the {field} \"{value}\"")
                }
                None => format!("\"{name}\" matches: all its conditions hold"),
            };
            self.holding = Some(Step::new(subject, found).at(self.known.places.signature(name)));
        }
        u32::try_from(index + 1).unwrap_or(u32::MAX)
    }

    fn is_oversize(&mut self) -> bool {
        let is_oversize = self.reading.is_oversize();
        let [bytes, line, lines] = self.reading.sizes();
        let limits = self.known.of_message();
        if !is_oversize {
            self.explanation.steps.extend(limits);
            return false;
        }
        let places = limits.first().and_then(|step| step.place);
        let words: Vec<_> = limits.into_iter().map(|step| step.found).collect();
        let found = format!(
            "{bytes} bytes, {lines} header lines, the longest of {line} bytes: {}",
            words.join(", ")
        );
        self.holding = Some(Step::new(Rule::Oversize.name(), found).at(places));
        true
    }

    /// There is no reply to come.
    /// It is the first.
    fn note(&mut self) -> bool {
        true
    }
}

impl Buckets for Judging<'_> {
    fn standing(&self) -> u32 {
        Basis::standing(self)
    }

    fn shift(&self) -> u32 {
        0
    }

    /// Of a stranger nobody asks.
    fn endpoint(&mut self, _class: u32, _limit: Limit) -> bool {
        true
    }

    fn has_budget(&mut self, budget: u32, limit: Limit) -> bool {
        let mut tat_ns = self.spent.budgets.get(budget as usize).copied().unwrap_or(0);
        let is_spent = spend(&mut tat_ns, limit) == Stand::Over;
        let Some(budget) = Budget::ALL.get(budget as usize).filter(|_| is_spent) else {
            return true;
        };
        let step = self.known.of_budget(*budget);
        // Of requests the greylist decides, which is asked next.
        if *budget == Budget::Total && self.known.effect(Rule::Greylist).0 != Effect::Off {
            let found = format!("{}: spent", step.found);
            self.step(Step { found, ..step });
            return false;
        }
        self.limit(step, Rule::RateStrangers, Stand::Over)
    }

    fn is_repeated(&mut self) -> bool {
        let step = Step::new(Rule::Greylist.name(), "not sent again after a while");
        self.step(self.known.holds(Rule::Greylist, step));
        false
    }

    /// Of what is not repeated nobody asks.
    fn reserve(&mut self, _limit: Limit) -> bool {
        true
    }

    fn budget(&mut self, budget: u32, limit: Limit) -> bool {
        let Some(tat_ns) = self.spent.budgets.get_mut(budget as usize) else { return true };
        let stand = spend(tat_ns, limit);
        Budget::ALL.get(budget as usize).is_none_or(|budget| {
            self.limit(self.known.of_budget(*budget), Rule::RateStrangers, stand)
        })
    }

    fn source(&mut self, class: u32, limit: Limit) -> bool {
        let Some(tat_ns) = self.spent.source.get_mut(class as usize) else { return true };
        let stand = spend(tat_ns, limit);
        Class::ALL
            .get(class as usize)
            .is_none_or(|class| self.limit(self.known.of_class(*class), rule_of(*class), stand))
    }

    fn subnet(&mut self, limit: Limit) -> bool {
        let stand = spend(&mut self.spent.subnet, limit);
        self.limit(self.known.of_subnet(), Rule::RateSubnet, stand)
    }

    fn port(&mut self, _max: u32, _window_ns: u64) -> bool {
        // One packet has one port.
        self.limit(self.known.of_ports(), Rule::Fanout, Stand::First)
    }

    fn would(&mut self, rule: Rule) {
        Basis::would(self, rule);
    }
}
