//! From readings to rates.

use std::collections::BTreeMap;

use jiff::Timestamp;
use sipguard_common::{
    abi::{Counters, Replies},
    rule::{Rule, Verdict},
};

use super::{Held, Readings, sources::Sources};
use crate::api::wire::{Pulse, ReplyRate, RuleRate};

/// Names of the classes of replies, by number.
const CLASSES: [(usize, &str); 6] =
    [(1, "1xx"), (2, "2xx"), (3, "3xx"), (4, "4xx"), (5, "5xx"), (6, "6xx")];

/// What was read a second ago.
#[derive(Debug, Default)]
pub(super) struct Rates {
    before: Option<Before>,
    sources: Sources,
    /// When each rule last counted something.
    last: BTreeMap<Rule, Timestamp>,
}

#[derive(Debug)]
struct Before {
    now_ns: u64,
    counters: Counters,
    replies: Replies,
}

impl Rates {
    /// Goes on from what an earlier run has counted.
    pub(super) fn begin(&mut self, now: &Readings) {
        self.sources.begin(now.now_ns, now.tallies.clone());
    }

    /// The second that ends with these readings; the first ones only begin it.
    pub(super) fn turn(&mut self, now: Readings, held: &Held) -> Option<Pulse> {
        let before = self.before.replace(Before {
            now_ns: now.now_ns,
            counters: now.counters,
            replies: now.replies,
        });
        // Sources count from the start of the program, which was just before.
        let before = before?;
        let seconds = seconds(now.now_ns.saturating_sub(before.now_ns));
        let rules: Vec<RuleRate> = Rule::ALL
            .iter()
            .filter(|rule| !rule.is_egress() && **rule != Rule::NotSip)
            .filter_map(|rule| self.rule(*rule, &now, &before.counters, seconds))
            .collect();
        let sum = |of: Verdict| {
            rules.iter().filter(|one| one.verdict == of.name()).map(|one| one.rate).sum()
        };
        Some(Pulse {
            time: now.time,
            seconds,
            posture: now.posture,
            passed: sum(Verdict::Pass),
            dropped: sum(Verdict::Drop),
            would_drop: rules.iter().map(|one| one.would_rate).sum(),
            rules,
            replies: replies(&now.replies, &before.replies, seconds),
            sources: self.sources.turn(now.now_ns, seconds, now.tallies),
            verified: held.verified,
            banned: held.banned,
            blocked: now.blocked,
            trusted: now.trusted,
            maps: held.maps.clone(),
            events_lost: now.events_lost,
            events_suppressed: now.events_suppressed,
        })
    }

    /// `None` for a rule that has never counted anything.
    fn rule(
        &mut self,
        rule: Rule,
        now: &Readings,
        before: &Counters,
        seconds: f64,
    ) -> Option<RuleRate> {
        let slot = rule as usize;
        let (seen, would) = (now.counters.rules[slot], now.counters.would[slot]);
        if seen.packets == 0 && would.packets == 0 {
            return None;
        }
        let packets = seen.packets.saturating_sub(before.rules[slot].packets);
        let bytes = seen.bytes.saturating_sub(before.rules[slot].bytes);
        let would_now = would.packets.saturating_sub(before.would[slot].packets);
        if packets + would_now > 0 {
            self.last.insert(rule, now.time);
        }
        Some(RuleRate {
            rule: rule.name().to_owned(),
            verdict: rule.verdict().name().to_owned(),
            packets: seen.packets,
            bytes: seen.bytes,
            would_packets: would.packets,
            rate: per_second(packets, seconds),
            bytes_rate: per_second(bytes, seconds),
            would_rate: per_second(would_now, seconds),
            last: self.last.get(&rule).copied(),
        })
    }
}

fn replies(now: &Replies, before: &Replies, seconds: f64) -> Vec<ReplyRate> {
    let one = |class: &str, total: u64, before: u64| ReplyRate {
        class: class.to_owned(),
        rate: per_second(total.saturating_sub(before), seconds),
        total,
    };
    let sum = |counts: &[u64]| counts.iter().copied().fold(0, u64::saturating_add);
    let mut all: Vec<ReplyRate> = CLASSES
        .iter()
        .map(|(class, name)| one(name, sum(&now.by[*class]), sum(&before.by[*class])))
        .collect();
    all.push(one("requests", sum(&now.requests), sum(&before.requests)));
    all
}

/// Rates of so many in so long.
#[expect(clippy::cast_precision_loss, reason = "no second has 2^52 packets")]
pub(super) fn per_second(count: u64, seconds: f64) -> f64 {
    count as f64 / seconds
}

#[expect(clippy::cast_precision_loss, reason = "nanoseconds of a second or so")]
fn seconds(nanoseconds: u64) -> f64 {
    // Never nothing, for rates are divided by it.
    nanoseconds.max(1_000_000) as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;

    fn readings(second: u64, change: impl FnOnce(&mut Readings)) -> Readings {
        let mut readings = Readings {
            time: Timestamp::from_second(i64::try_from(second).unwrap()).unwrap(),
            now_ns: second * 1_000_000_000,
            posture: "guarded".to_owned(),
            counters: Counters::ZERO,
            replies: Replies::ZERO,
            tallies: vec![],
            blocked: 1,
            trusted: 2,
            events_lost: 3,
            events_suppressed: 4,
        };
        change(&mut readings);
        readings
    }

    #[test]
    fn rates_are_those_of_the_second() {
        let mut rates = Rates::default();
        let held = Held { verified: 7, ..Held::default() };
        let options = Rule::Options as usize;
        let before = readings(100, |now| {
            now.counters.rules[options].packets = 50;
            now.counters.rules[Rule::NotSip as usize].packets = 1_000;
        });
        assert!(rates.turn(before, &held).is_none());
        let now = readings(102, |now| {
            now.counters.rules[options].packets = 70;
            now.counters.rules[Rule::Trusted as usize].packets = 4;
            now.counters.would[Rule::Signature as usize].packets = 6;
            now.counters.rules[Rule::NotSip as usize].packets = 9_000;
            now.replies.by[4][0] = 8;
        });
        let pulse = rates.turn(now.clone(), &held).unwrap();
        assert_eq!((pulse.seconds, pulse.dropped, pulse.passed), (2.0, 10.0, 2.0));
        assert_eq!((pulse.would_drop, pulse.verified), (3.0, 7));
        let names: Vec<&str> = pulse.rules.iter().map(|one| &*one.rule).collect();
        assert_eq!(names, ["trusted", "signature", "options"]);
        assert_eq!(pulse.rules[2].last, Some(now.time));
        let refused = pulse.replies.iter().find(|one| one.class == "4xx").unwrap();
        assert_eq!((refused.rate, refused.total), (4.0, 8));
        // A quiet second: the rule keeps the time when it last hit.
        let later =
            Readings { now_ns: now.now_ns + 1_000_000_000, time: Timestamp::MAX, ..now.clone() };
        let pulse = rates.turn(later, &held).unwrap();
        assert_eq!((pulse.dropped, pulse.rules[2].last), (0.0, Some(now.time)));
    }
}
