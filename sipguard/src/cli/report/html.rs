//! The report as one page: no script, nothing to load, fit for a mail.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::plot::{self, Bar, COLOURS};
use crate::{
    api::wire::{Report, ReportStep},
    cli::table,
    sanitise::sanitise,
};

const STYLE: &str = include_str!("style.css");

/// The page.
#[must_use]
pub(super) fn html(report: &Report) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta http-equiv="Content-Security-Policy"
                    content="default-src 'none'; style-src 'unsafe-inline'";
                title { "sipguard, " (time(report.from)) " to " (time(report.until)) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                (head(report))
                (over_time(report))
                (tables(report))
            }
        }
    };
    page.into_string()
}

fn head(report: &Report) -> Markup {
    html! {
        header {
            h1 { "sipguard" }
            p {
                (time(report.from)) " to " (time(report.until)) ", posture " (clean(&report.posture))
                @for one in &report.interfaces { ", " (clean(&one.name)) " (" (one.mode) ")" }
            }
            @if report.counted_from.is_none() { p { "Nothing was counted in this time." } }
        }
        section.tiles {
            (tile("passed", report.passed, ""))
            (tile("dropped", report.dropped, "bad"))
            (tile("would have been dropped", report.would_drop, ""))
            (tile("bans", report.bans.iter().map(|one| one.bans).sum(), "bad"))
            (tile("sources", report.all_sources as u64, ""))
        }
    }
}

fn tile(name: &str, number: u64, class: &str) -> Markup {
    html! { div { b class=(class) { (grouped(number)) } span { (name) } } }
}

fn over_time(report: &Report) -> Markup {
    let seconds = report.steps.first().map_or(300, |one| one.seconds);
    // The rules that drop most have colours of their own.
    let mut rules: Vec<&str> = report
        .rules
        .iter()
        .filter(|one| one.verdict == "drop" && one.packets > 0)
        .map(|one| one.rule.as_str())
        .collect();
    let others = rules.split_off(rules.len().min(COLOURS - 1));
    let dropped = |step: &ReportStep| {
        let of = |rule: &str| {
            step.rules.iter().filter(|one| one.rule == rule).map(|one| one.packets).sum()
        };
        let mut parts: Vec<u64> = rules.iter().map(|rule| of(rule)).collect();
        parts.push(others.iter().map(|rule| of(rule)).sum());
        let told = step.rules.iter().map(|one| format!("{} {}", clean(&one.rule), one.packets));
        let told: Vec<String> = told.collect();
        Bar { time: step.time, parts, title: format!("{}: {}", time(step.time), told.join(", ")) }
    };
    let passed = |step: &ReportStep| Bar {
        time: step.time,
        parts: vec![step.passed],
        title: format!("{}: {}", time(step.time), step.passed),
    };
    let (from, until) = (report.from, report.until);
    let bars: Vec<Bar> = report.steps.iter().map(dropped).collect();
    let calm: Vec<Bar> = report.steps.iter().map(passed).collect();
    html! {
        section {
            h2 { "Dropped in each " (seconds / 60) " minutes" }
            (plot::bars(from, until, seconds, &bars))
            p.legend {
                @for (number, rule) in rules.iter().enumerate() {
                    span { i class=(format!("c{number}")) {} (clean(rule)) }
                }
                @if !others.is_empty() { span { i class=(format!("c{}", COLOURS - 1)) {} "others" } }
            }
        }
        section.calm { h2 { "Passed" } (plot::bars(from, until, seconds, &calm)) }
    }
}

fn tables(report: &Report) -> Markup {
    let or_none = |text: &Option<String>| text.clone().unwrap_or_else(table::none);
    let rules = report.rules.iter().map(|one| {
        [
            one.rule.clone(),
            one.verdict.clone(),
            or_none(&one.mode),
            grouped(one.packets),
            grouped(one.bytes),
            grouped(one.would_packets),
        ]
    });
    let sources = report.sources.iter().map(|one| {
        [
            one.source.clone(),
            one.rule.clone(),
            or_none(&one.method),
            grouped(one.dropped),
            grouped(one.packets),
        ]
    });
    let networks = report
        .networks
        .iter()
        .map(|one| [one.network.clone(), grouped(one.sources as u64), grouped(one.dropped)]);
    let bans = report.bans.iter().map(|one| [one.rule.clone(), grouped(one.bans)]);
    let banned = report.banned.iter().map(|one| {
        [
            one.target.clone(),
            one.rule.clone(),
            table::time(Some(one.last)),
            table::time(one.until),
            grouped(one.bans),
        ]
    });
    html! {
        (section("Rules", &["rule", "verdict", "mode", "packets", "bytes", "would drop"], 3, rules))
        (section("Top sources", &["source", "rule", "method", "dropped", "packets"], 2, sources))
        (section("Top networks", &["network", "sources", "dropped"], 2, networks))
        (section("Bans", &["rule", "bans"], 1, bans))
        (section("Most banned", &["target", "rule", "last", "until", "bans"], 1, banned))
        (words("Rules that dropped nothing", &report.silent_rules))
        (words(
            &format!("Signatures without a match since {}", time(report.signatures_since)),
            &report.silent_signatures,
        ))
    }
}

/// A table of which the last `numbers` columns are numbers.
fn section<const N: usize>(
    title: &str,
    header: &[&str; N],
    numbers: usize,
    rows: impl Iterator<Item = [String; N]>,
) -> Markup {
    let class = |column: usize| if column + numbers >= N { "number" } else { "" };
    let rows: Vec<[String; N]> = rows.collect();
    html! {
        section {
            h2 { (title) }
            @if rows.is_empty() { p { "none" } } @else {
                div.wide { table {
                    thead { tr {
                        @for (column, name) in header.iter().enumerate() { th class=(class(column)) { (name) } }
                    } }
                    tbody { @for row in &rows { tr {
                        @for (column, cell) in row.iter().enumerate() { td class=(class(column)) { (clean(cell)) } }
                    } } }
                } }
            }
        }
    }
}

fn words(title: &str, words: &[String]) -> Markup {
    html! {
        section {
            h2 { (title) }
            @if words.is_empty() { p { "none" } } @else {
                p.words { @for word in words { code { (clean(word)) } " " } }
            }
        }
    }
}

/// Markup is escaped by the page's maker; this is for what no reader should see.
fn clean(text: &str) -> String {
    sanitise(text, 200)
}

/// 1234567 as 1 234 567, by narrow spaces.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() * 2);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push('\u{202f}');
        }
        grouped.push(digit);
    }
    grouped
}

fn time(time: jiff::Timestamp) -> String {
    table::time(Some(time))
}

#[cfg(test)]
mod tests {
    use super::{super::text::text, *};

    /// A report in which all that others have named is hostile.
    fn hostile(name: &str) -> Report {
        let time = "2026-01-02T03:04:05Z";
        let rule = serde_json::json!({
            "rule": name, "verdict": "drop", "mode": "enforce",
            "packets": 1, "bytes": 1, "would_packets": 1,
        });
        let report = serde_json::json!({
            "from": time, "until": time, "counted_from": time, "posture": name,
            "interfaces": [{ "name": name, "mode": "native", "egress": "tcx" }],
            "passed": 1, "dropped": 1, "would_drop": 1, "rules": [rule], "steps": [],
            "sources": [{ "source": name, "packets": 1, "dropped": 1, "rule": name, "method": name }],
            "all_sources": 1, "networks": [{ "network": name, "sources": 1, "dropped": 1 }],
            "bans": [{ "rule": name, "bans": 1 }],
            "banned": [{ "target": name, "rule": name, "bans": 1, "last": time, "until": null }],
            "silent_rules": [name], "silent_signatures": [name], "signatures_since": time,
        });
        serde_json::from_value(report).unwrap()
    }

    #[test]
    fn f39_hostile_names_are_text_in_every_form() {
        let report = hostile("<script>x</script>\" onload=\"x\u{1b}[2J\u{202e}\n");
        let page = html(&report);
        assert!(!page.contains("<script") && !page.contains("\" onload"), "{page}");
        assert!(page.contains("&lt;script&gt;"), "{page}");
        for shown in [page, text(&report)] {
            let acts = |c: char| c != '\n' && (c.is_control() || c == '\u{202e}');
            assert!(!shown.chars().any(acts), "{shown:?}");
        }
    }
}
