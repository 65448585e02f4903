//! The report for a terminal, or a mail.

use jiff::Timestamp;

use crate::{api::wire::Report, cli::table, sanitise::sanitise};

/// Sources that are shown; JSON has all.
const SOURCES: usize = 20;

/// Eighths of a character, low to high.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// All of it, section by section; sections without lines say so.
#[must_use]
pub(super) fn text(report: &Report) -> String {
    let mut text = head(report);
    let mut section = |title: &str, body: String| {
        text += &format!("\n{title}\n{}\n", if body.is_empty() { "none" } else { &body });
    };
    section("RULES", rules(report));
    section("TOP SOURCES", sources(report));
    section("TOP NETWORKS", networks(report));
    section("BANS", bans(report));
    section("MOST BANNED", banned(report));
    section("WOULD HAVE BEEN DROPPED (mode observe)", observed(report));
    section("RULES THAT DROPPED NOTHING", names(&report.silent_rules));
    let title = format!("SIGNATURES WITHOUT A MATCH SINCE {}", time(report.signatures_since));
    section(&title, names(&report.silent_signatures));
    text.trim_end().to_owned()
}

fn names(names: &[String]) -> String {
    names.iter().map(|name| sanitise(name, 64)).collect::<Vec<_>>().join(" ")
}

fn head(report: &Report) -> String {
    let interfaces: Vec<String> = report
        .interfaces
        .iter()
        .map(|one| format!("{} ({})", sanitise(&one.name, 64), one.mode))
        .collect();
    let mut head = format!(
        "sipguard from {} to {}\nprotecting {}, posture {}\n",
        time(report.from),
        time(report.until),
        interfaces.join(", "),
        sanitise(&report.posture, 64)
    );
    match report.counted_from {
        None => head += "nothing was counted in this time\n",
        // A period ends up to five minutes after it begins.
        Some(first) if first.duration_since(report.from).as_mins() > 10 => {
            head += &format!("counted only from about {} on\n", time(first));
        }
        Some(_) => {}
    }
    head += &format!(
        "{} passed, {} dropped, {} would have been dropped\n",
        report.passed, report.dropped, report.would_drop
    );
    let most = report.steps.iter().map(|one| one.dropped).max().unwrap_or(0);
    if most > 0 {
        head += &format!("dropped over time, at most {most}:\n{}\n", bars(report, most));
    }
    head
}

/// A line of bars; steps without packets are blank.
fn bars(report: &Report, most: u64) -> String {
    let (Some(first), Some(last)) = (report.steps.first(), report.steps.last()) else {
        return String::new();
    };
    let seconds = i64::try_from(first.seconds.max(1)).unwrap_or(i64::MAX);
    let place = |time: Timestamp| {
        usize::try_from(time.duration_since(first.time).as_secs() / seconds).unwrap_or(0)
    };
    let mut line = vec![' '; place(last.time) + 1];
    for one in &report.steps {
        let eighth = (one.dropped.saturating_mul(8).div_ceil(most)).clamp(0, 8);
        let bar = usize::try_from(eighth).ok().and_then(|eighth| BARS.get(eighth.checked_sub(1)?));
        if let (Some(bar), Some(cell)) = (bar, line.get_mut(place(one.time))) {
            *cell = *bar;
        }
    }
    line.into_iter().collect()
}

fn rules(report: &Report) -> String {
    let rows = report.rules.iter().map(|one| {
        let mode = one.mode.clone().unwrap_or_else(table::none);
        vec![
            one.rule.clone(),
            one.verdict.clone(),
            mode,
            one.packets.to_string(),
            one.bytes.to_string(),
        ]
    });
    lines(&["RULE", "VERDICT", "MODE", "PACKETS", "BYTES"], rows.collect(), 2)
}

fn sources(report: &Report) -> String {
    let rows = report.sources.iter().take(SOURCES).map(|one| {
        let method = one.method.clone().unwrap_or_else(table::none);
        vec![
            one.source.clone(),
            one.rule.clone(),
            method,
            one.dropped.to_string(),
            one.packets.to_string(),
        ]
    });
    lines(&["SOURCE", "RULE", "METHOD", "DROPPED", "PACKETS"], rows.collect(), 2)
}

fn networks(report: &Report) -> String {
    let rows = report
        .networks
        .iter()
        .map(|one| vec![one.network.clone(), one.sources.to_string(), one.dropped.to_string()]);
    lines(&["NETWORK", "SOURCES", "DROPPED"], rows.collect(), 2)
}

fn bans(report: &Report) -> String {
    let rows = report.bans.iter().map(|one| vec![one.rule.clone(), one.bans.to_string()]);
    lines(&["RULE", "BANS"], rows.collect(), 1)
}

fn banned(report: &Report) -> String {
    let rows = report.banned.iter().map(|one| {
        vec![
            one.target.clone(),
            one.rule.clone(),
            table::time(Some(one.last)),
            table::time(one.until),
            one.bans.to_string(),
        ]
    });
    lines(&["TARGET", "RULE", "LAST", "UNTIL", "BANS"], rows.collect(), 1)
}

fn observed(report: &Report) -> String {
    let observed = report.rules.iter().filter(|one| one.would_packets > 0);
    let rows = observed.map(|one| vec![one.rule.clone(), one.would_packets.to_string()]);
    lines(&["RULE", "PACKETS"], rows.collect(), 1)
}

fn lines(header: &[&str], rows: Vec<Vec<String>>, numbers: usize) -> String {
    if rows.is_empty() { String::new() } else { table::table(header, rows, numbers) }
}

fn time(time: Timestamp) -> String {
    table::time(Some(time))
}
