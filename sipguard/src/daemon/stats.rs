//! Counters of the kernel as people and programs read them.

use jiff::Timestamp;
use sipguard_common::{abi::Count, method::Method, rule::Rule};

use crate::{
    api::wire::{InterfaceCount, InterfaceMode, MethodCount, RuleCount, Stats},
    kernel::{Attached, InterfaceCounters},
};

/// Every rule of the table, whether it counted anything or not.
#[must_use]
pub(super) fn stats(
    since: Timestamp,
    attached: &[Attached],
    counters: &[InterfaceCounters],
) -> Stats {
    let interfaces = attached
        .iter()
        .map(|one| InterfaceMode { name: one.name.clone(), mode: one.mode.name().to_owned() })
        .collect();
    let rules = Rule::ALL.iter().map(|rule| rule_count(*rule, counters)).collect();
    let methods = Method::ALL.iter().map(|method| method_count(*method, counters)).collect();
    Stats { since, interfaces, rules, methods }
}

fn rule_count(rule: Rule, counters: &[InterfaceCounters]) -> RuleCount {
    let of = |one: &InterfaceCounters| -> Count {
        one.counters.rules.get(rule as usize).copied().unwrap_or_default()
    };
    let per_interface = counters.iter().map(|one| {
        let Count { packets, bytes } = of(one);
        InterfaceCount { name: one.name.clone(), packets, bytes }
    });
    RuleCount {
        rule: rule.name().to_owned(),
        verdict: rule.verdict().name().to_owned(),
        packets: counters.iter().map(|one| of(one).packets).fold(0, u64::saturating_add),
        bytes: counters.iter().map(|one| of(one).bytes).fold(0, u64::saturating_add),
        per_interface: per_interface.collect(),
    }
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
    use crate::kernel::AttachedMode;

    fn counters(name: &str, rule: Rule, packets: u64) -> InterfaceCounters {
        let mut counters = Counters::ZERO;
        counters.rules[rule as usize] = Count { packets, bytes: packets * 100 };
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
        }];
        let both = [counters("eth0", Rule::Options, 3), counters("eth1", Rule::Options, 4)];
        let value = serde_json::to_value(stats(since, &attached, &both)).unwrap();
        assert_eq!(value["since"], "2026-01-02T03:04:05Z");
        assert_eq!(value["interfaces"], json!([{"name": "eth0", "mode": "native"}]));
        let rules = value["rules"].as_array().unwrap();
        assert_eq!(rules.len(), Rule::ALL.len());
        let options = rules.iter().find(|rule| rule["rule"] == "options").unwrap();
        assert_eq!(
            *options,
            json!({
                "rule": "options", "verdict": "drop", "packets": 7, "bytes": 700,
                "per_interface": [
                    {"name": "eth0", "packets": 3, "bytes": 300},
                    {"name": "eth1", "packets": 4, "bytes": 400},
                ],
            })
        );
        let sum: u64 = rules.iter().filter_map(|rule| rule["packets"].as_u64()).sum();
        assert_eq!(sum, 7);
        let options = &value["methods"][Method::Options as usize];
        assert_eq!(*options, json!({"method": "OPTIONS", "passed": 0, "dropped": 7}));
    }
}
