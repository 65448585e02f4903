//! Counters of the kernel as people and programs read them.

use std::{cmp::Reverse, collections::BTreeMap};

use jiff::Timestamp;
use sipguard_common::{
    abi::{self, Count, Counters, Learned},
    method::Method,
    rule::{Rule, Verdict},
};

use super::events::Drops;
use crate::{
    api::wire::{
        Events, InterfaceCount, InterfaceMode, LearnedCount, MethodCount, Replies, ReplyCount,
        RuleCount, SignatureCount, Stats,
    },
    kernel::{Attached, InterfaceCounters, InterfaceReplies},
    policy::{Modes, Signature},
};

/// Every rule for what comes in, whether it counted anything or not; and what
/// went out.
#[must_use]
pub(super) fn stats(
    since: Timestamp,
    attached: &[Attached],
    (counters, replies): (&[InterfaceCounters], &[InterfaceReplies]),
    modes: &Modes,
    events: Events,
) -> Stats {
    let interfaces = attached
        .iter()
        .map(|one| InterfaceMode { name: one.name.clone(), mode: one.mode.name().to_owned() })
        .collect();
    let rules = Rule::ALL.iter().filter(|rule| !rule.is_egress());
    Stats {
        since,
        interfaces,
        rules: rules.map(|rule| rule_count(*rule, counters, modes)).collect(),
        methods: Method::ALL.iter().map(|method| method_count(*method, counters)).collect(),
        replies: Replies {
            methods: Method::ALL.iter().map(|method| reply_count(*method, replies)).collect(),
            other: sum_of(replies, |replies| replies.other),
        },
        learned: Learned::ALL.iter().map(|learned| learned_count(*learned, replies)).collect(),
        events,
    }
}

/// Of all interfaces.
fn sum_of(replies: &[InterfaceReplies], of: impl Fn(&abi::Replies) -> u64) -> u64 {
    replies.iter().map(|one| of(&one.replies)).fold(0, u64::saturating_add)
}

fn reply_count(method: Method, replies: &[InterfaceReplies]) -> ReplyCount {
    let slot = method as usize;
    let [unread, provisional, success, redirection, refused, server_failure, global_failure] =
        std::array::from_fn(|class: usize| sum_of(replies, |replies| replies.by[class][slot]));
    ReplyCount {
        method: method.name().to_owned(),
        provisional,
        success,
        redirection,
        refused,
        server_failure,
        global_failure,
        unread,
        requests: sum_of(replies, |replies| replies.requests[slot]),
    }
}

fn learned_count(learned: Learned, replies: &[InterfaceReplies]) -> LearnedCount {
    let count = sum_of(replies, |replies| replies.learned[learned as usize]);
    LearnedCount { name: learned.name().to_owned(), count }
}

fn rule_count(rule: Rule, counters: &[InterfaceCounters], modes: &Modes) -> RuleCount {
    let per_interface = counters.iter().map(|one| {
        let (seen, would) = (seen(&one.counters, rule), would(&one.counters, rule));
        InterfaceCount {
            name: one.name.clone(),
            packets: seen.packets,
            bytes: seen.bytes,
            would_packets: would.packets,
            would_bytes: would.bytes,
        }
    });
    let (seen, would) = (sum(counters, rule, seen), sum(counters, rule, would));
    let drops = rule.verdict() == Verdict::Drop;
    RuleCount {
        rule: rule.name().to_owned(),
        verdict: rule.verdict().name().to_owned(),
        mode: drops.then(|| modes.of(rule).name().to_owned()),
        packets: seen.packets,
        bytes: seen.bytes,
        would_packets: would.packets,
        would_bytes: would.bytes,
        per_interface: per_interface.collect(),
    }
}

fn seen(counters: &Counters, rule: Rule) -> Count {
    counters.rules.get(rule as usize).copied().unwrap_or_default()
}

fn would(counters: &Counters, rule: Rule) -> Count {
    counters.would.get(rule as usize).copied().unwrap_or_default()
}

/// Of all interfaces.
fn sum(counters: &[InterfaceCounters], rule: Rule, of: fn(&Counters, Rule) -> Count) -> Count {
    counters.iter().map(|one| of(&one.counters, rule)).fold(Count::default(), |sum, one| Count {
        packets: sum.packets.saturating_add(one.packets),
        bytes: sum.bytes.saturating_add(one.bytes),
    })
}

/// What each rule that can drop has dropped, or would have.
#[must_use]
pub(super) fn drops(counters: &[InterfaceCounters]) -> BTreeMap<Rule, Drops> {
    let dropping = Rule::ALL.iter().copied().filter(|rule| rule.verdict() == Verdict::Drop);
    dropping
        .map(|rule| {
            let dropped = sum(counters, rule, seen).packets;
            (rule, Drops { dropped, would: sum(counters, rule, would).packets })
        })
        .collect()
}

/// Every enabled signature, who matched most first, else in the files' order.
#[must_use]
pub(super) fn signatures(
    enabled: &[Signature],
    hits: &BTreeMap<String, u64>,
) -> Vec<SignatureCount> {
    let count = |signature: &Signature| SignatureCount {
        name: signature.name.clone(),
        packets: hits.get(&signature.name).copied().unwrap_or_default(),
    };
    let mut counts: Vec<SignatureCount> = enabled.iter().map(count).collect();
    counts.sort_by_key(|count| Reverse(count.packets));
    counts
}

fn method_count(method: Method, counters: &[InterfaceCounters]) -> MethodCount {
    let sum = |slot: fn(&InterfaceCounters, usize) -> u64| {
        counters.iter().map(|one| slot(one, method as usize)).fold(0, u64::saturating_add)
    };
    MethodCount {
        method: method.name().to_owned(),
        passed: sum(|one, slot| one.counters.passed.get(slot).copied().unwrap_or_default()),
        dropped: sum(|one, slot| one.counters.dropped.get(slot).copied().unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use sipguard_common::abi::Counters;

    use super::*;
    use crate::{
        kernel::{AttachedMode, EgressMode},
        policy::RuleMode,
    };

    fn counters(name: &str, rule: Rule, packets: u64) -> InterfaceCounters {
        let mut counters = Counters::ZERO;
        counters.rules[rule as usize] = Count { packets, bytes: packets * 100 };
        counters.would[rule as usize] = Count { packets: 2, bytes: 20 };
        counters.dropped[Method::Options as usize] = packets;
        InterfaceCounters { name: name.to_owned(), counters }
    }

    #[test]
    fn every_rule_is_there_and_interfaces_add_up() {
        let since: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
        let attached = [Attached {
            name: "eth0".to_owned(),
            ifindex: 2,
            mode: AttachedMode::Native,
            note: None,
            egress: EgressMode::Tcx,
            taken_over: false,
            unprotected: None,
        }];
        let both = [counters("eth0", Rule::Options, 3), counters("eth1", Rule::Options, 4)];
        let modes = Modes { all: RuleMode::Observe, ..Modes::default() };
        let all = stats(since, &attached, (&both, &both_replies()), &modes, Events::default());
        let value = serde_json::to_value(all).unwrap();
        assert_eq!(value["since"], "2026-01-02T03:04:05Z");
        assert_eq!(value["interfaces"], json!([{"name": "eth0", "mode": "native"}]));
        let rules = value["rules"].as_array().unwrap();
        assert_eq!(rules.len(), Rule::ALL.iter().filter(|rule| !rule.is_egress()).count());
        let options = rules.iter().find(|rule| rule["rule"] == "options").unwrap();
        assert_eq!(
            *options,
            json!({
                "rule": "options", "verdict": "drop", "mode": "observe",
                "packets": 7, "bytes": 700, "would_packets": 4, "would_bytes": 40,
                "per_interface": [
                    {"name": "eth0", "packets": 3, "bytes": 300,
                     "would_packets": 2, "would_bytes": 20},
                    {"name": "eth1", "packets": 4, "bytes": 400,
                     "would_packets": 2, "would_bytes": 20},
                ],
            })
        );
        let stranger = rules.iter().find(|rule| rule["rule"] == "stranger").unwrap();
        assert_eq!(stranger["mode"], json!(null));
        let sum: u64 = rules.iter().filter_map(|rule| rule["packets"].as_u64()).sum();
        assert_eq!(sum, 7);
        let options = &value["methods"][Method::Options as usize];
        assert_eq!(*options, json!({"method": "OPTIONS", "passed": 0, "dropped": 7}));
    }

    fn both_replies() -> [InterfaceReplies; 2] {
        let mut replies = abi::Replies::ZERO;
        for class in 0..7 {
            replies.by[class as usize][Method::Invite as usize] = class + 1;
        }
        replies.requests[Method::Options as usize] = 5;
        replies.learned[Learned::Verified as usize] = 2;
        replies.other = 1;
        ["other", "eth0"].map(|name| InterfaceReplies { name: name.to_owned(), replies })
    }

    /// F25: replies per status class and per method.
    #[test]
    fn f25_replies_are_counted_by_class_and_method() {
        let since: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
        let (modes, events) = (Modes::default(), Events::default());
        let stats = stats(since, &[], (&[], &both_replies()), &modes, events);
        let value = serde_json::to_value(stats).unwrap();
        let methods = value["replies"]["methods"].as_array().unwrap();
        assert_eq!(methods.len(), Method::ALL.len());
        let invite = methods.iter().find(|one| one["method"] == "INVITE").unwrap();
        assert_eq!(
            *invite,
            json!({"method": "INVITE", "1xx": 4, "2xx": 6, "3xx": 8, "4xx": 10, "5xx": 12,
                   "6xx": 14, "unread": 2, "requests": 0})
        );
        let options = methods.iter().find(|one| one["method"] == "OPTIONS").unwrap();
        assert_eq!(options["requests"], 10);
        assert_eq!(value["replies"]["other"], 2);
        let learned = value["learned"].as_array().unwrap();
        assert_eq!(learned.len(), Learned::ALL.len());
        assert_eq!(learned[0], json!({"name": "verified", "count": 4}));
    }

    #[test]
    fn drops_are_those_of_rules_that_can_drop() {
        let both = [counters("eth0", Rule::Options, 3), counters("eth1", Rule::Stranger, 4)];
        let drops = drops(&both);
        assert_eq!(drops[&Rule::Options], Drops { dropped: 3, would: 2 });
        assert_eq!(drops[&Rule::Signature], Drops::default());
        assert!(!drops.contains_key(&Rule::Stranger));
    }

    /// D17: who never matched is there, too, at the end.
    #[test]
    fn d17_every_enabled_signature_is_counted() {
        let named = |name: &str| Signature { name: name.to_owned(), conditions: Vec::new() };
        let enabled = ["typo", "some", "other typo", "most"].map(named);
        let hits = BTreeMap::from([("some", 2), ("most", 9), ("typo", 0), ("disabled", 5)]);
        let hits = hits.into_iter().map(|(name, hits)| (name.to_owned(), hits)).collect();
        let shown: Vec<(String, u64)> =
            signatures(&enabled, &hits).into_iter().map(|one| (one.name, one.packets)).collect();
        let expected = [("most", 9), ("some", 2), ("typo", 0), ("other typo", 0)];
        assert_eq!(shown, expected.map(|(name, hits)| (name.to_owned(), hits)));
    }
}
