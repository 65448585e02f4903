//! Without a terminal: lines, tables, JSON.

use super::{
    data::clean_pulse,
    numbers::{count, percent, rate},
};
use crate::{
    api::wire::{Pulse, RuleRate, SourceRate},
    cli::table::{self, table},
};

/// Rules and sources in a line.
const NAMED: usize = 3;

/// Sources in a table.
const LISTED: usize = 20;

/// A second on one line.
pub(super) fn line(pulse: Pulse) -> String {
    let pulse = clean_pulse(pulse);
    let mut parts = vec![
        table::time(Some(pulse.time)),
        pulse.posture.clone(),
        format!("passed {}/s", rate(pulse.passed)),
        format!("dropped {}/s", rate(pulse.dropped)),
    ];
    if pulse.would_drop > 0.0 {
        parts.push(format!("would drop {}/s", rate(pulse.would_drop)));
    }
    let rules: Vec<String> = busiest(&pulse)
        .into_iter()
        .filter(|rule| rule.rate > 0.0 && rule.verdict == "drop")
        .take(NAMED)
        .map(|rule| format!("{} {}/s", rule.rule, rate(rule.rate)))
        .collect();
    let sources: Vec<String> = pulse.sources.iter().take(NAMED).map(source).collect();
    let named = [("by", rules), ("from", sources)];
    for (word, names) in named.into_iter().filter(|(_, names)| !names.is_empty()) {
        parts.push(format!("{word} {}", names.join(", ")));
    }
    parts.join("  ")
}

fn source(one: &SourceRate) -> String {
    let about = if one.estimated { "~" } else { "" };
    let method = one.method.as_deref().unwrap_or("-");
    let SourceRate { source, rule, standing, .. } = one;
    format!("{source} {about}{}/s ({standing}: {method} {rule})", rate(one.rate))
}

fn busiest(pulse: &Pulse) -> Vec<&RuleRate> {
    let mut rules: Vec<&RuleRate> = pulse.rules.iter().collect();
    rules.sort_by(|a, b| {
        let rate = |rule: &RuleRate| rule.rate + rule.would_rate;
        rate(b).total_cmp(&rate(a)).then(b.packets.cmp(&a.packets))
    });
    rules
}

/// One second as tables.
pub(super) fn tables(pulse: Pulse) -> String {
    let pulse = clean_pulse(pulse);
    let fullest = pulse.maps.iter().map(|map| (percent(map.entries, map.capacity), &map.name));
    let fullest = fullest.max_by(|(a, _), (b, _)| a.total_cmp(b));
    let fullest = fullest.map(|(percent, name)| format!(", {name} {percent:.0} % full"));
    let mut parts = vec![format!(
        "{}  {}\npassed {}/s, dropped {}/s, would drop {}/s\n\
         verified {}, banned {}, blocked {}, trusted {}{}",
        table::time(Some(pulse.time)),
        pulse.posture,
        rate(pulse.passed),
        rate(pulse.dropped),
        rate(pulse.would_drop),
        pulse.verified,
        pulse.banned,
        pulse.blocked,
        pulse.trusted,
        fullest.unwrap_or_default(),
    )];
    let rules = busiest(&pulse).into_iter();
    let rules = rules.filter(|rule| rule.packets > 0 || rule.would_packets > 0).map(|rule| {
        vec![
            rule.rule.clone(),
            rule.verdict.clone(),
            rate(rule.rate),
            rate(rule.would_rate),
            count(rule.packets),
        ]
    });
    let rules: Vec<_> = rules.collect();
    if !rules.is_empty() {
        parts.push(table(&["RULE", "VERDICT", "NOW/S", "WOULD DROP/S", "PACKETS"], rules, 3));
    }
    let sources = pulse.sources.iter().take(LISTED).map(|one| {
        let about = if one.estimated { "~" } else { "" };
        vec![
            one.source.clone(),
            one.method.clone().unwrap_or_else(table::none),
            one.rule.clone(),
            one.standing.clone(),
            format!("{about}{}", rate(one.rate)),
            rate(one.dropped),
            count(one.packets),
        ]
    });
    let sources: Vec<_> = sources.collect();
    if !sources.is_empty() {
        let header = ["SOURCE", "METHOD", "RULE", "STATE", "NOW/S", "DROPPED/S", "PACKETS"];
        parts.push(table(&header, sources, 3));
    }
    parts.join("\n\n")
}

#[cfg(test)]
mod tests {
    use super::{super::samples::pulse, *};

    #[test]
    fn f35_a_second_is_a_line() {
        let mut second = pulse(5, &[("198.51.100.7", 1500.0), ("2001:db8:2::/64", 2.0)]);
        second.sources[0].estimated = true;
        assert_eq!(
            line(second.clone()),
            "2026-01-02T12:00:05Z  guarded  passed 1,234/s  dropped 1,502/s  by signature 1,502/s  \
             from 198.51.100.7 ~1,500/s (stranger: OPTIONS signature), \
             2001:db8:2::/64 2.0/s (stranger: OPTIONS signature)"
        );
        second.would_drop = 3.0;
        second.sources.clear();
        second.rules.clear();
        assert!(line(second).ends_with("dropped 1,502/s  would drop 3.0/s"));
    }

    #[test]
    fn f35_a_second_is_two_tables() {
        let shown = tables(pulse(5, &[("198.51.100.7", 1500.0)]));
        let words: Vec<Vec<&str>> =
            shown.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(
            words[2].join(" "),
            "verified 12, banned 3, blocked 120, trusted 4, endpoints 12 % full"
        );
        assert_eq!(words[5], ["signature", "drop", "1,500", "0", "123,456"]);
        let source =
            ["198.51.100.7", "OPTIONS", "signature", "stranger", "1,500", "1,500", "4,000"];
        assert_eq!(words.last().unwrap(), &source);
        assert!(!shown.contains("closed"), "{shown}");
    }

    #[test]
    fn f35_no_line_acts_on_a_terminal() {
        let mut evil = pulse(5, &[("\u{1b}[2J\n\u{202e}", 1.0)]);
        evil.sources[0].standing = "\u{9b}".to_owned();
        evil.rules[0].rule = "\r".to_owned();
        let is_safe = |c: char| !c.is_control() && c != '\u{202e}';
        assert!(line(evil.clone()).chars().all(is_safe));
        assert!(tables(evil).chars().all(|c| c == '\n' || is_safe(c)));
    }
}
