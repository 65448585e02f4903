//! What came of a capture, by rule and by source.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap, hash_map::Entry},
    net::IpAddr,
};

use sipguard_common::{abi::Learned, method::Method, rule::Rule};

use super::{Outcome, Taught, run::Read};

/// Sources that are counted one by one; a flood of faked ones has more.
pub const MAX_SOURCES: usize = 65_536;

/// Packets and bytes of a rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RuleCount {
    pub packets: u64,
    /// Whole packets, as they were on the wire.
    pub bytes: u64,
    /// Packets that the rule, in mode observe, would have dropped. They went on
    /// and stand under another rule, too.
    pub would: u64,
}

/// What became of one source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceCount {
    pub passed: u64,
    /// Of those, packets that rules in mode observe would have dropped.
    pub spared: u64,
    /// Packets by the rule that dropped them.
    pub dropped: BTreeMap<Rule, u64>,
    /// Packets by the rules in mode observe that would have dropped them.
    pub would: BTreeMap<Rule, u64>,
    /// Whether the server has dealings with it: it has accepted a request of
    /// its other than OPTIONS, which scanners get answered, too, or sent it a
    /// request. Known from answers in the capture.
    pub known: bool,
}

impl SourceCount {
    /// Packets that would have been dropped.
    #[must_use]
    pub fn drops(&self) -> u64 {
        self.dropped.values().sum()
    }

    /// Whether somebody whom the server knows would have lost packets.
    #[must_use]
    pub fn is_hurt(&self) -> bool {
        self.known && !self.dropped.is_empty()
    }

    /// Whether it would, once the rules that observe drop.
    #[must_use]
    pub fn would_be_hurt(&self) -> bool {
        self.known && self.spared > 0
    }

    fn add(&mut self, outcome: &Outcome<'_>) {
        if outcome.passed() {
            self.passed += 1;
        } else {
            *self.dropped.entry(outcome.rule).or_default() += 1;
        }
        self.spared += u64::from(outcome.is_spared());
        for rule in Rule::in_bits(outcome.would) {
            *self.would.entry(rule).or_default() += 1;
        }
    }
}

/// What should be said about a capture, by the number of its packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Notes {
    /// Shorter than a link header.
    pub short: u64,
    /// Longer than any packet of IP: judged by their beginning.
    pub long: u64,
    /// Stored in part only.
    pub incomplete: u64,
    /// Without a time.
    pub untimed: u64,
    /// Before which the capture's clock was set back.
    pub backwards: u64,
}

/// The whole, as far as the capture was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Packets of the capture.
    pub packets: u64,
    /// Those that the server has sent.
    pub outgoing: u64,
    /// Those that would have been dropped.
    pub dropped: u64,
    /// Those that passed though a rule in mode observe would have dropped them.
    pub spared: u64,
    pub rules: BTreeMap<Rule, RuleCount>,
    pub sources: HashMap<IpAddr, SourceCount>,
    /// What the server's packets have taught, and how often.
    pub learned: BTreeMap<Learned, u64>,
    /// Judged packets of sources beyond [`MAX_SOURCES`].
    pub of_other_sources: u64,
    pub notes: Notes,
}

impl Summary {
    pub(super) fn add(&mut self, source: Option<IpAddr>, outcome: Outcome<'_>, len: u32) {
        let count = self.rules.entry(outcome.rule).or_default();
        count.packets += 1;
        count.bytes += u64::from(len);
        for rule in Rule::in_bits(outcome.would) {
            self.rules.entry(rule).or_default().would += 1;
        }
        self.dropped += u64::from(!outcome.passed());
        self.spared += u64::from(outcome.is_spared());
        let Some(source) = source.filter(|_| outcome.rule != Rule::NotSip) else { return };
        match self.source(source) {
            Some(count) => count.add(&outcome),
            None => self.of_other_sources += 1,
        }
    }

    /// A packet of the server, which tells whom it knows.
    pub(super) fn add_outgoing(&mut self, read: Option<&Read<'_>>) {
        self.outgoing += 1;
        let Some(read) = read else { return };
        if (read.method.is_some() || accepts(read.payload))
            && let Some(count) = self.source(read.destination.address)
        {
            count.known = true;
        }
    }

    pub(super) fn add_taught(&mut self, taught: &Taught) {
        for (what, count) in taught.counts() {
            *self.learned.entry(what).or_default() += count;
        }
    }

    fn source(&mut self, source: IpAddr) -> Option<&mut SourceCount> {
        let is_full = self.sources.len() >= MAX_SOURCES;
        match self.sources.entry(source) {
            Entry::Occupied(entry) => Some(entry.into_mut()),
            Entry::Vacant(_) if is_full => None,
            Entry::Vacant(entry) => Some(entry.insert(SourceCount::default())),
        }
    }

    /// Sources that have sent something to judge: those that would be hurt
    /// first, then by what would be dropped, at once or once rules that observe
    /// drop.
    #[must_use]
    pub fn ranking(&self) -> Vec<(IpAddr, &SourceCount)> {
        let sent = |count: &SourceCount| count.passed > 0 || !count.dropped.is_empty();
        let mut ranking: Vec<_> = self
            .sources
            .iter()
            .filter(|(_, count)| sent(count))
            .map(|(source, count)| (*source, count))
            .collect();
        ranking.sort_by_key(|(source, count)| {
            let lost = (Reverse(count.drops()), Reverse(count.spared));
            (!count.is_hurt(), !count.would_be_hurt(), lost, *source)
        });
        ranking
    }
}

/// Whether a payload is a 2xx to another request than OPTIONS.
fn accepts(payload: &[u8]) -> bool {
    if !payload.get(..9).is_some_and(|start| start.eq_ignore_ascii_case(b"SIP/2.0 2")) {
        return false;
    }
    let mut lines = payload.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let method = lines.find_map(|line| {
        let (name, value) = line.split_at_checked(line.iter().position(|byte| *byte == b':')?)?;
        let is_cseq = name.trim_ascii().eq_ignore_ascii_case(b"CSeq");
        is_cseq.then(|| value.rsplit(u8::is_ascii_whitespace).next().unwrap_or_default())
    });
    method.is_some_and(|method| !method.eq_ignore_ascii_case(Method::Options.name().as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{kernel::Action, policy::RuleMode};

    fn response(status: &str, cseq: &str) -> Vec<u8> {
        format!("SIP/2.0 {status}\r\nVia: x\r\n{cseq}\r\nContent-Length: 0\r\n\r\n").into_bytes()
    }

    #[test]
    fn only_what_scanners_do_not_get_tells_of_dealings() {
        assert!(accepts(&response("200 OK", "CSeq: 1 REGISTER")));
        assert!(accepts(&response("202 Accepted", "cseq :  7\t SUBSCRIBE ")));
        assert!(!accepts(&response("200 OK", "CSeq: 1 OPTIONS")));
        assert!(!accepts(&response("200 OK", "CSeq: 1 options")));
        assert!(!accepts(&response("401 Unauthorized", "CSeq: 1 REGISTER")));
        assert!(!accepts(&response("200 OK", "X: 1")));
        assert!(!accepts(b"SIP/2.0 "));
        assert!(!accepts(b"REGISTER sip:x SIP/2.0\r\nCSeq: 1 REGISTER\r\n\r\n"));
    }

    fn dropped(rule: Rule) -> Outcome<'static> {
        let (action, mode) = (Action::Drop, RuleMode::Enforce);
        Outcome { rule, action, signature: None, would: 0, mode }
    }

    fn passed(would: u64) -> Outcome<'static> {
        Outcome { action: Action::Pass, would, ..dropped(Rule::Stranger) }
    }

    #[test]
    fn rules_that_observe_count_what_they_would_drop() {
        let source = IpAddr::from([198, 51, 100, 1]);
        let mut summary = Summary::default();
        let would = Rule::Signature.bit() | Rule::Options.bit();
        summary.add(Some(source), passed(would), 400);
        summary.add(Some(source), Outcome { would, ..dropped(Rule::RateMethod) }, 400);
        summary.add(Some(source), passed(0), 400);
        assert_eq!((summary.dropped, summary.spared), (1, 1));
        let options = summary.rules[&Rule::Options];
        assert_eq!((options.packets, options.bytes, options.would), (0, 0, 2));
        let count = &summary.sources[&source];
        assert_eq!((count.passed, count.spared, count.drops()), (2, 1, 1));
        assert!(count.would.iter().eq([(&Rule::Signature, &2), (&Rule::Options, &2)]));
        assert!(!count.would_be_hurt(), "the server does not know it");
    }

    #[test]
    fn who_is_hurt_comes_first() {
        let [scanner, phone, quiet] = [1, 2, 3].map(|last| IpAddr::from([198, 51, 100, last]));
        let mut summary = Summary::default();
        (0..9).for_each(|_| summary.add(Some(scanner), dropped(Rule::Signature), 400));
        summary.add(Some(phone), dropped(Rule::RateMethod), 500);
        summary.add(Some(quiet), passed(0), 500);
        assert_eq!(summary.ranking().first().map(|(source, _)| *source), Some(scanner));
        if let Some(count) = summary.source(phone) {
            count.known = true;
        }
        let order: Vec<_> = summary.ranking().into_iter().map(|(source, _)| source).collect();
        assert_eq!(order, [phone, scanner, quiet]);
        assert_eq!((summary.dropped, summary.rules[&Rule::Signature].bytes), (10, 3600));
    }

    #[test]
    fn memory_is_bounded_and_nothing_is_lost() {
        let mut summary = Summary::default();
        for number in 0..MAX_SOURCES as u32 + 5 {
            summary.add(Some(IpAddr::from(number.to_be_bytes())), dropped(Rule::Options), 1);
        }
        assert_eq!((summary.sources.len(), summary.of_other_sources), (MAX_SOURCES, 5));
        assert_eq!(summary.dropped, MAX_SOURCES as u64 + 5);
    }
}
