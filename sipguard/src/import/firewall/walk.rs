//! The way of a SIP packet through the rules.

use std::collections::HashSet;

use ipnet::IpNet;
use sipguard_common::method::Method;

use super::{
    Action, Limit, Path, Rule, Ruleset, Sources, Tests, Transport,
    limits::{self, Counted},
};
use crate::{
    import::{
        address::Nets,
        draft::{Draft, Origin, Part, Setting},
        signatures,
    },
    policy::Target,
};

/// Chains within chains.
const DEPTH: usize = 32;

/// Rules that are looked at; chains that jump to each other can multiply them.
const MAX_STEPS: usize = 500_000;

/// What a rule does with the members of a set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::import) enum Use {
    Trust,
    Block,
    /// Something else, in words.
    Unclear(String),
}

/// A port of SIP, and how packets come there.
type Slot = (Transport, u16);

struct Walk<'r, 'd> {
    rules: &'r Ruleset,
    draft: &'d mut Draft,
    slots: Vec<Slot>,
    /// Slots about which no rule has decided for everybody, with the line that
    /// has.
    decided: Vec<Option<usize>>,
    trusted: Nets,
    dropped: Nets,
    /// Who is let through by rules that are no trust.
    spared: Nets,
    /// A rule that lets everybody through under conditions such as an
    /// interface.
    spared_all: Option<usize>,
    is_last: bool,
    visited: HashSet<usize>,
    told: HashSet<(usize, String)>,
    uses: Vec<(String, Use, usize)>,
    /// The chains that lead here, from the hook on.
    path: Vec<&'r str>,
    steps: usize,
}

/// Follows packets to the SIP ports through all chains, and writes down what
/// becomes of them. Returns what is done with sets.
pub(in crate::import) fn walk(
    rules: &Ruleset,
    ports: &[u16],
    draft: &mut Draft,
) -> Vec<(String, Use, usize)> {
    let both = [Transport::Udp, Transport::Tcp];
    let slots: Vec<Slot> =
        ports.iter().flat_map(|port| both.map(|transport| (transport, *port))).collect();
    let mut walk = Walk {
        decided: vec![None; slots.len()],
        rules,
        draft,
        slots,
        trusted: Nets::default(),
        dropped: Nets::default(),
        spared: Nets::default(),
        spared_all: None,
        is_last: true,
        visited: HashSet::new(),
        told: HashSet::new(),
        uses: Vec::new(),
        path: Vec::new(),
        steps: 0,
    };
    for hook in &rules.hooks {
        walk.is_last = hook.is_last;
        let before = walk.decided.clone();
        walk.enter(&hook.chain, &Tests::default());
        if !hook.is_last {
            // What was accepted here goes on to the next table.
            walk.decided = before;
        }
    }
    walk.unvisited();
    walk.uses
}

impl<'r> Walk<'r, '_> {
    fn enter(&mut self, name: &'r str, context: &Tests) {
        let Some(rules) = self.rules.chains.get(name) else { return };
        self.path.push(name);
        self.chain(rules, context);
        self.path.pop();
    }

    fn chain(&mut self, rules: &'r [Rule], context: &Tests) {
        let entered = self.decided.clone();
        let mut returned = vec![false; self.slots.len()];
        for (i, rule) in rules.iter().enumerate() {
            self.steps += 1;
            if self.steps > MAX_STEPS {
                if self.steps == MAX_STEPS + 1 {
                    let why = "the chains lead to each other too often: the rest was not read";
                    self.draft.left(Part::Sipguard, &rule.origin, why);
                }
                return;
            }
            self.visited.insert(std::ptr::from_ref(rule) as usize);
            let next = rules.get(i + 1);
            let tests = context.and(&rule.tests);
            let ends = self.rule(rule, next, context, &tests);
            if ends {
                for (i, slot) in self.slots.iter().enumerate() {
                    if tests.reaches(slot.0, slot.1)
                        && let Some(decided) = self.decided.get_mut(i)
                        && decided.is_none()
                    {
                        *decided = Some(rule.origin.line);
                        if let Some(flag) = returned.get_mut(i) {
                            *flag = rule.action == Action::Return;
                        }
                    }
                }
            }
        }
        // Who came here under conditions, or came back, is not decided about.
        for (i, before) in entered.iter().enumerate() {
            let came_back = returned.get(i).copied().unwrap_or(false);
            if (came_back || !context.is_plain())
                && let Some(decided) = self.decided.get_mut(i)
            {
                *decided = *before;
            }
        }
    }

    /// Whether this ends the way of all packets to the ports that it is about.
    fn rule(
        &mut self,
        rule: &'r Rule,
        next: Option<&Rule>,
        context: &Tests,
        tests: &Tests,
    ) -> bool {
        if tests.loopback {
            self.left(rule, Part::Sipguard, "sipguard does not look at the loopback interface");
            return false;
        }
        let reached: Vec<usize> = (0..self.slots.len())
            .filter(|i| self.slots.get(*i).is_some_and(|slot| tests.reaches(slot.0, slot.1)))
            .collect();
        if reached.is_empty() {
            self.left(rule, part_of(&rule.action), "it is not about the SIP ports: keep it there");
            return false;
        }
        let earlier: Vec<Option<usize>> =
            reached.iter().map(|i| self.decided.get(*i).copied().flatten()).collect();
        if let Some(Some(line)) = earlier.iter().find(|line| line.is_some())
            && earlier.iter().all(Option::is_some)
        {
            let why = format!("SIP never gets here: line {line} decides about all of it before");
            self.left(rule, part_of(&rule.action), &why);
            return false;
        }
        match &rule.action {
            Action::Jump(chain, comes_back) => self.jump(rule, chain, *comes_back, tests),
            Action::Other(_) if tests.limit == Some(Limit::Remember) => {
                let why = "it only remembers sources for another rule; sipguard counts by itself";
                self.left(rule, Part::Sipguard, why);
                false
            }
            Action::Other(what) => {
                let why = format!("`{what}` decides nothing about a packet");
                self.left(rule, Part::Sipguard, &why);
                false
            }
            Action::Accept => self.accept(rule, next, context, tests),
            Action::Drop => self.drop(rule, tests),
            Action::Return => self.spare(rule, tests, "it ends the chain for these sources only"),
        }
    }

    fn jump(&mut self, rule: &Rule, chain: &'r str, comes_back: bool, tests: &Tests) -> bool {
        if !self.rules.chains.contains_key(chain) {
            let why = "the chain that it leads to is not in this file";
            self.left(rule, Part::Sipguard, why);
            return false;
        }
        // No kernel takes a circle: it can only stand in what somebody has written.
        if self.path.contains(&chain) || self.path.len() > DEPTH {
            let why = "chains lead too deep, or in a circle";
            self.left(rule, Part::Sipguard, why);
            return false;
        }
        self.enter(chain, tests);
        !comes_back && tests.is_plain()
    }

    fn accept(&mut self, rule: &Rule, next: Option<&Rule>, context: &Tests, tests: &Tests) -> bool {
        if tests.established || tests.limit.is_some() || !tests.texts.is_empty() {
            for sources in &tests.sources {
                if let Sources::Nets(nets) = sources {
                    nets.iter().for_each(|net| self.spared.add(*net, rule.origin.line));
                }
            }
        }
        if tests.established {
            self.left(
                rule,
                Part::Trusted,
                "it lets through whoever was answered once, scanners, too: no trust. sipguard \
                 remembers whom the server has accepted",
            );
            return false;
        }
        if let Some(limit) = &tests.limit {
            let rest_is_dropped = next.is_some_and(|next| {
                next.action == Action::Drop && {
                    let next = context.and(&next.tests);
                    Tests { limit: None, ..tests.clone() } == next || next.is_plain()
                }
            });
            let over = limit.clone().turned();
            match over.filter(|_| rest_is_dropped) {
                Some(over) if tests.sources.is_empty() && tests.others.is_empty() => {
                    self.limit(rule, tests, &over, &Action::Drop);
                }
                _ => self.limit(rule, tests, limit, &Action::Accept),
            }
            return false;
        }
        if !tests.texts.is_empty() {
            let why = "sipguard trusts nobody for what he writes";
            self.left(rule, Part::Trusted, why);
            return false;
        }
        if tests.sources.is_empty() {
            if tests.others.is_empty() && tests.source_port.is_none() {
                let why = "it accepts everybody: that is no trust. sipguard lets strangers pass, \
                           within its limits";
                self.left(rule, Part::Trusted, why);
                return true;
            }
            self.spared_all.get_or_insert(rule.origin.line);
            let why = format!("it accepts by {}: no trust", tests.conditions());
            self.left(rule, Part::Trusted, &why);
            return false;
        }
        if !self.is_last {
            let why = "accepted in this table, and judged by the next one";
            return self.spare(rule, tests, why);
        }
        if !tests.others.is_empty() {
            let why = format!("it depends on {} as well, trust does not", tests.others.join(", "));
            return self.spare(rule, tests, &why);
        }
        let names_port = tests.paths.iter().any(|path| matches!(path, Path::Port { .. }));
        let by_udp = self.slots.iter().any(|(transport, port)| {
            *transport == Transport::Udp && tests.reaches(*transport, *port)
        });
        if !names_port && !by_udp {
            let why = "it accepts all of TCP and no UDP: hardly for SIP";
            return self.spare(rule, tests, why);
        }
        match self.sources(rule, tests, Part::Trusted) {
            Found::Nets(nets) => nets.into_iter().for_each(|net| self.trust(rule, tests, net)),
            Found::Set(name) => self.used(rule, name, Use::Trust),
            Found::None => {}
        }
        false
    }

    fn trust(&mut self, rule: &Rule, tests: &Tests, net: IpNet) {
        let target = Target { net, port: tests.source_port };
        let origin = &rule.origin;
        if let Some((by, line)) = self.dropped.round(net) {
            let why = format!("line {line} drops {by} before it comes here");
            self.draft.left(Part::Trusted, origin, &why);
        } else if let Some((part, line)) = self.dropped.within(net) {
            let why = format!("line {line} drops {part} of it before: trust would win over that");
            self.spared.add(net, origin.line);
            self.draft.doubt_trust(origin, &rule.label, target, &why);
        } else {
            if target.port.is_none() {
                self.trusted.add(net, origin.line);
            } else {
                self.spared.add(net, origin.line);
            }
            self.draft.trust(origin, &rule.label, target);
        }
    }

    /// Sources that go on somewhere else, which is neither trust nor nothing.
    fn spare(&mut self, rule: &Rule, tests: &Tests, why: &str) -> bool {
        if tests.sources.is_empty() {
            let is_plain = tests.is_plain();
            if is_plain {
                self.left(rule, Part::Sipguard, "it ends the chain: nothing to carry over");
            } else {
                self.spared_all.get_or_insert(rule.origin.line);
                let why = format!("it ends the chain by {}", tests.conditions());
                self.left(rule, Part::Sipguard, &why);
            }
            return is_plain;
        }
        match self.sources(rule, tests, Part::Trusted) {
            Found::Nets(nets) => {
                for net in nets {
                    self.spared.add(net, rule.origin.line);
                    let target = Target { net, port: tests.source_port };
                    self.draft.doubt_trust(&rule.origin, &rule.label, target, why);
                }
            }
            Found::Set(name) => self.used(rule, name, Use::Unclear(why.to_owned())),
            Found::None => {}
        }
        false
    }

    fn drop(&mut self, rule: &Rule, tests: &Tests) -> bool {
        if tests.established {
            let why = "it is about the state of connections, which sipguard does not ask for";
            self.left(rule, Part::Blacklist, why);
            return false;
        }
        if tests.limit.is_some() || !tests.texts.is_empty() {
            self.drop_by_content(rule, tests);
            return false;
        }
        if tests.sources.is_empty() {
            if !tests.is_plain() {
                let why = format!("it drops by {}", tests.conditions());
                self.left(rule, Part::Blacklist, &why);
                return false;
            }
            // The first slot is UDP to the first port: what SIP means to most.
            let first = self.slots.first().is_some_and(|slot| tests.reaches(slot.0, slot.1))
                && self.decided.first().is_some_and(Option::is_none);
            if !first {
                let why = "it drops what is left: keep it for other ports. SIP over TCP sipguard \
                           judges as over UDP";
                self.left(rule, Part::Blacklist, why);
            } else {
                self.draft.set(Setting {
                    origin: rule.origin.clone(),
                    section: "policy",
                    key: "posture",
                    value: "\"closed\"".to_owned(),
                    remark: "it drops everybody who was not accepted before. Where that is meant \
                             for SIP: this admits trusted and verified sources only"
                        .to_owned(),
                    doubt: true,
                });
            }
            return true;
        }
        if tests.source_port.is_some() {
            self.left(rule, Part::Blacklist, "sipguard blocks sources, not source ports");
            return false;
        }
        let others = tests.others.join(", ");
        match self.sources(rule, tests, Part::Blacklist) {
            Found::Nets(nets) => {
                for net in nets {
                    let (origin, label) = (&rule.origin, &rule.label);
                    if !others.is_empty() {
                        let why = format!("it depends on {others} as well, a block does not");
                        self.draft.doubt_block(origin, label, net, &why);
                    } else if let Some((by, line)) = self.trusted.round(net) {
                        let why = format!("line {line} accepts {by} before it comes here");
                        self.draft.left(Part::Blacklist, origin, &why);
                    } else if let Some((part, line)) = self.spared.touching(net) {
                        let why = format!("line {line} spares {part} under some conditions");
                        self.draft.doubt_block(origin, label, net, &why);
                    } else if let Some(line) = self.spared_all.filter(|_| is_private(net)) {
                        let why = format!(
                            "line {line} lets it through under some conditions: it may be in use \
                             behind another interface"
                        );
                        self.draft.doubt_block(origin, label, net, &why);
                    } else {
                        self.dropped.add(net, origin.line);
                        self.draft.block(origin, label, net, None);
                    }
                }
            }
            Found::Set(name) if others.is_empty() => self.used(rule, name, Use::Block),
            Found::Set(name) => self.used(rule, name, Use::Unclear(format!("with {others}"))),
            Found::None => {}
        }
        false
    }

    fn drop_by_content(&mut self, rule: &Rule, tests: &Tests) {
        let mut conditions = tests.others.clone();
        if !tests.sources.is_empty() {
            conditions.push("the source".to_owned());
        }
        if tests.source_port.is_some() {
            conditions.push("the source port".to_owned());
        }
        if tests.texts.iter().any(|(_, missing)| *missing) {
            conditions.push("a text that must be missing".to_owned());
        }
        if !conditions.is_empty() {
            let why = format!(
                "it depends on {}: signatures and limits of sipguard hold for all strangers",
                conditions.join(", ")
            );
            let part = if tests.texts.is_empty() { Part::Sipguard } else { Part::Signatures };
            self.left(rule, part, &why);
            return;
        }
        if let Some(limit) = &tests.limit {
            self.limit(rule, tests, limit, &Action::Drop);
            return;
        }
        let [(text, _)] = tests.texts.as_slice() else {
            let why = "several texts anywhere in a packet: write it by hand, with `all`";
            self.left(rule, Part::Signatures, why);
            return;
        };
        if !self.first_time(rule) {
            return;
        }
        match limits::method(text) {
            Some(Method::Options) => self.draft.set(Setting {
                origin: rule.origin.clone(),
                section: "policy",
                key: "options",
                value: "\"drop\"".to_owned(),
                remark: "Any URI scheme, at the start of the message only; verified phones may \
                         send OPTIONS."
                    .to_owned(),
                doubt: false,
            }),
            Some(method) => {
                let why = format!(
                    "it drops every {} from strangers, new phones, too. What it was meant for, \
                     limits and bans do; to admit trusted sources only, use posture = \"closed\"",
                    method.name()
                );
                self.draft.left(Part::Sipguard, &rule.origin, &why);
            }
            None => signatures::want(self.draft, &rule.origin, text),
        }
    }

    fn limit(&mut self, rule: &Rule, tests: &Tests, limit: &Limit, action: &Action) {
        let counted = match tests.texts.as_slice() {
            [] if tests.syn => Counted::Syn,
            [] => Counted::Everything,
            [(text, false)] => match limits::method(text) {
                Some(method) => Counted::Class(method.class()),
                None => {
                    let why = "sipguard limits kinds of requests, not texts; what it knows as a \
                               scanner it drops at once";
                    self.left(rule, Part::Sipguard, why);
                    return;
                }
            },
            _ => {
                self.left(rule, Part::Sipguard, "a limit of several texts at once");
                return;
            }
        };
        if !tests.sources.is_empty() || !tests.others.is_empty() || tests.source_port.is_some() {
            let why = "a limit for some sources or places only; sipguard's hold for all strangers";
            self.left(rule, Part::Sipguard, why);
            return;
        }
        if self.first_time(rule) {
            limits::carry(self.draft, &rule.origin, limit, counted, action);
        }
    }

    /// Whom the tests leave, if that can be said.
    fn sources(&mut self, rule: &Rule, tests: &Tests, part: Part) -> Found {
        let mut found: Option<Vec<IpNet>> = None;
        let mut set = None;
        for sources in &tests.sources {
            match sources {
                Sources::Nets(nets) => {
                    found = Some(match found {
                        None => nets.clone(),
                        Some(earlier) => both(&earlier, nets),
                    });
                }
                Sources::Not(_) => {
                    let why = "it is about everybody but some: that is neither trust nor a block. \
                               To admit only these, trust them and use posture = \"closed\"";
                    self.left(rule, part, why);
                    return Found::None;
                }
                Sources::Set { name, not: false } => set = Some(name.clone()),
                Sources::Set { not: true, .. } => {
                    self.left(rule, part, "it is about everybody who is not in a set");
                    return Found::None;
                }
                Sources::Unreadable(why) => {
                    self.left(rule, part, why);
                    return Found::None;
                }
            }
        }
        match (found, set) {
            (Some(nets), None) if nets.is_empty() => {
                self.left(rule, part, "no source can match: the chain is for others");
                Found::None
            }
            (Some(nets), None) => Found::Nets(nets),
            (None, Some(name)) => Found::Set(name),
            _ => {
                self.left(rule, part, "it is about a part of a set");
                Found::None
            }
        }
    }

    fn used(&mut self, rule: &Rule, name: String, what: Use) {
        self.uses.push((name, what, rule.origin.line));
    }

    /// Says once why a rule is left, however many ways lead to it.
    fn left(&mut self, rule: &Rule, part: Part, why: &str) {
        if self.told.insert((std::ptr::from_ref(rule) as usize, why.to_owned())) {
            self.draft.left(part, &rule.origin, why);
        }
    }

    fn first_time(&mut self, rule: &Rule) -> bool {
        self.told.insert((std::ptr::from_ref(rule) as usize, String::new()))
    }

    fn unvisited(&mut self) {
        if self.steps > MAX_STEPS {
            return;
        }
        let mut lost: Vec<&Origin> = self
            .rules
            .chains
            .values()
            .flatten()
            .filter(|rule| !self.visited.contains(&(std::ptr::from_ref(*rule) as usize)))
            .map(|rule| &rule.origin)
            .collect();
        lost.sort_by_key(|origin| origin.line);
        for origin in lost {
            let why = "packets that come in to this host do not get here";
            self.draft.left(Part::Sipguard, origin, why);
        }
    }
}

enum Found {
    Nets(Vec<IpNet>),
    Set(String),
    /// It was said why not.
    None,
}

impl Limit {
    /// What is over a limit, of a test for what is under it.
    fn turned(self) -> Option<Self> {
        match self {
            Self::PerSource { rate, burst, bits, over: false } => {
                Some(Self::PerSource { rate, burst, bits, over: true })
            }
            Self::Connections { max, bits, over: false } => {
                Some(Self::Connections { max, bits, over: true })
            }
            Self::All { rate, burst, over: false } => Some(Self::All { rate, burst, over: true }),
            _ => None,
        }
    }
}

impl Tests {
    /// What it asks for besides ports, in words.
    fn conditions(&self) -> String {
        let mut all = self.others.clone();
        if self.source_port.is_some() {
            all.push("the source port".to_owned());
        }
        if self.syn {
            all.push("flags of TCP".to_owned());
        }
        if self.limit.is_some() {
            all.push("a limit".to_owned());
        }
        if !self.texts.is_empty() {
            all.push("a text".to_owned());
        }
        all.join(", ")
    }
}

/// Networks that sites use within.
fn is_private(net: IpNet) -> bool {
    let private = [
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "100.64.0.0/10",
        "169.254.0.0/16",
        "fc00::/7",
        "fe80::/10",
    ];
    let mut nets = private.iter().filter_map(|text| text.parse::<IpNet>().ok());
    nets.any(|private| private.contains(&net) || net.contains(&private))
}

/// Where two lists of networks meet. Networks meet only where one holds the
/// other.
fn both(one: &[IpNet], two: &[IpNet]) -> Vec<IpNet> {
    let mut nets = Nets::default();
    two.iter().for_each(|net| nets.add(*net, 0));
    let mut ours = Nets::default();
    one.iter().for_each(|net| ours.add(*net, 0));
    let inner = one.iter().filter(|net| nets.round(**net).is_some());
    let outer = two.iter().filter(|net| ours.round(**net).is_some());
    let mut all: Vec<IpNet> = inner.chain(outer).copied().collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// The file that a rule would have been for.
fn part_of(action: &Action) -> Part {
    match action {
        Action::Accept | Action::Return => Part::Trusted,
        Action::Drop => Part::Blacklist,
        Action::Jump(..) | Action::Other(_) => Part::Sipguard,
    }
}
