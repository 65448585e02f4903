//! `sipguard stats`

use std::{
    io::{self, IsTerminal},
    thread,
    time::{Duration, Instant},
};

use sipguard_common::abi::Learned;

use super::{
    exit::Failure,
    offline::Asked,
    out::{print, print_json, print_json_line},
    table::{self, table},
};
use crate::api::{
    client::Client,
    wire::{LearnedCount, ReplyCount, RuleCount, SignatureCount, Signatures, Stats},
};
use crate::{daemon::Depth, sanitise::sanitise};

/// Clears the screen and goes home.
const CLEAR: &str = "\x1b[H\x1b[2J";

/// Show packets and bytes per rule since the start, and what the server said
///
/// Every packet is counted under exactly one rule. What a rule in mode observe
/// would have dropped is counted there, too, in a column of its own.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Print JSON; with --watch one line at a time
    #[arg(long)]
    json: bool,
    /// Show again and again, with rates, every so many seconds
    #[arg(
        long,
        value_name = "SECONDS",
        num_args = 0..=1,
        default_missing_value = "1",
        value_parser = parse_period
    )]
    watch: Option<Duration>,
    /// Show how often each enabled signature has matched instead
    #[arg(long, conflicts_with = "watch")]
    signatures: bool,
}

pub(super) fn run(args: &Args, asked: &Asked) -> Result<(), Failure> {
    if args.signatures {
        let signatures =
            asked.ask(Client::signatures, Depth::Counters, |daemon| daemon.signatures())?;
        return match args.json {
            true => print_json(&signatures),
            false => print(&signatures_view(&signatures)),
        };
    }
    match args.watch {
        Some(period) => watch(args, period, asked),
        None if args.json => print_json(&stats(asked)?),
        None => print(&view(&stats(asked)?, None)),
    }
}

fn stats(asked: &Asked) -> Result<Stats, Failure> {
    asked.ask(Client::stats, Depth::Counters, |daemon| daemon.stats())
}

/// Reads 0.1 to 3600 seconds.
fn parse_period(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| format!("`{text}` is no number of seconds"))?;
    match (0.1..=3600.0).contains(&seconds) {
        true => Ok(Duration::from_secs_f64(seconds)),
        false => Err("write 0.1 to 3600 seconds".to_owned()),
    }
}

/// Until the daemon is gone, the reader is gone, or the user has seen enough.
fn watch(args: &Args, period: Duration, asked: &Asked) -> Result<(), Failure> {
    let clear = if io::stdout().is_terminal() { CLEAR } else { "" };
    let mut last: Option<(Instant, Stats)> = None;
    loop {
        let (now, stats) = (Instant::now(), stats(asked)?);
        if args.json {
            print_json_line(&stats)?;
        } else {
            let before = last.as_ref().map(|(then, stats)| (now - *then, stats));
            print(&format!("{clear}{}\n", view(&stats, before)))?;
        }
        last = Some((now, stats));
        thread::sleep(period);
    }
}

/// The table, with rates where there are earlier counters.
fn view(stats: &Stats, before: Option<(Duration, &Stats)>) -> String {
    let packets = sum(stats, |rule| rule.packets);
    let mut rows: Vec<Vec<String>> = stats.rules.iter().map(|rule| row(rule, packets)).collect();
    rows.push(vec![
        "total".to_owned(),
        String::new(),
        String::new(),
        packets.to_string(),
        sum(stats, |rule| rule.bytes).to_string(),
        share(packets, packets),
        String::new(),
    ]);
    let mut header = vec!["RULE", "VERDICT", "MODE", "PACKETS", "BYTES", "SHARE", "WOULD DROP"];
    if let Some((elapsed, before)) = before {
        header.push("PACKETS/S");
        let rates = rates(stats, before, elapsed);
        for (row, rate) in rows.iter_mut().zip(rates) {
            row.push(format!("{rate:.0}"));
        }
    }
    let interfaces: Vec<String> =
        stats.interfaces.iter().map(|one| format!("{} ({})", one.name, one.mode)).collect();
    let numbers = header.len() - 3;
    let mut view = format!(
        "{} since {}\n{}",
        sanitise(&interfaces.join(", "), 400),
        table::time(Some(stats.since)),
        table(&header, rows, numbers)
    );
    for part in [replies(stats), learned(stats)].into_iter().flatten() {
        view += "\n\n";
        view += &part;
    }
    view
}

/// What has left, where anything has.
fn replies(stats: &Stats) -> Option<String> {
    let numbers = |one: &ReplyCount| {
        let ReplyCount { provisional, success, redirection, refused, .. } = *one;
        let ReplyCount { server_failure, global_failure, unread, requests, .. } = *one;
        [
            provisional,
            success,
            redirection,
            refused,
            server_failure,
            global_failure,
            unread,
            requests,
        ]
    };
    let row = |one: &ReplyCount| {
        let mut row = vec![one.method.clone()];
        row.extend(numbers(one).map(|number| number.to_string()));
        row
    };
    let said = stats.replies.methods.iter().filter(|one| numbers(one) != [0; 8]);
    let rows: Vec<Vec<String>> = said.map(row).collect();
    let header = ["REPLIES TO", "1XX", "2XX", "3XX", "4XX", "5XX", "6XX", "UNREAD", "OWN REQUESTS"];
    (!rows.is_empty()).then(|| table(&header, rows, 8))
}

/// What was learned from that, likewise.
fn learned(stats: &Stats) -> Option<String> {
    let explained = |one: &LearnedCount| {
        let known = Learned::ALL.iter().find(|learned| learned.name() == one.name);
        known.map_or_else(table::none, |learned| learned.help().to_owned())
    };
    let row = |one: &LearnedCount| vec![one.name.clone(), explained(one), one.count.to_string()];
    let rows: Vec<Vec<String>> =
        stats.learned.iter().filter(|one| one.count > 0).map(row).collect();
    (!rows.is_empty()).then(|| table(&["LEARNED", "WHAT", "TIMES"], rows, 1))
}

fn row(rule: &RuleCount, all: u64) -> Vec<String> {
    vec![
        rule.rule.clone(),
        rule.verdict.clone(),
        rule.mode.clone().unwrap_or_else(table::none),
        rule.packets.to_string(),
        rule.bytes.to_string(),
        share(rule.packets, all),
        match rule.mode {
            Some(_) => rule.would_packets.to_string(),
            None => table::none(),
        },
    ]
}

/// Who never matched is marked: it may be a typing error.
fn signatures_view(Signatures { since, signatures }: &Signatures) -> String {
    let row = |SignatureCount { name, packets }: &SignatureCount| {
        let note = if *packets == 0 { "never matched" } else { "" };
        vec![name.clone(), packets.to_string(), note.to_owned()]
    };
    let never = signatures.iter().filter(|signature| signature.packets == 0).count();
    format!(
        "{} signatures since {}, {never} never matched\n{}",
        signatures.len(),
        table::time(Some(*since)),
        table(&["SIGNATURE", "PACKETS", ""], signatures.iter().map(row).collect(), 0)
    )
}

fn sum(stats: &Stats, part: impl Fn(&RuleCount) -> u64) -> u64 {
    stats.rules.iter().map(part).fold(0, u64::saturating_add)
}

#[expect(clippy::cast_precision_loss, reason = "a share is shown to a tenth of a percent")]
fn share(part: u64, all: u64) -> String {
    match all {
        0 => table::none(),
        _ => format!("{:.1} %", part as f64 * 100.0 / all as f64),
    }
}

/// Packets per second of each rule, and of all. A restarted daemon counts from
/// zero again, which is no negative rate.
#[expect(clippy::cast_precision_loss, reason = "a rate is shown without a fraction")]
fn rates(stats: &Stats, before: &Stats, elapsed: Duration) -> Vec<f64> {
    let old = |name: &str| {
        let found = before.rules.iter().find(|rule| rule.rule == name);
        found.map_or(0, |rule| rule.packets)
    };
    let grown = stats.rules.iter().map(|rule| rule.packets.saturating_sub(old(&rule.rule)));
    let mut rates: Vec<f64> = grown.map(|packets| packets as f64 / elapsed.as_secs_f64()).collect();
    rates.push(rates.iter().sum());
    rates
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::wire::{InterfaceMode, Replies};

    fn stats(options: u64, stranger: u64) -> Stats {
        let rule = |rule: &str, verdict: &str, packets: u64| RuleCount {
            rule: rule.to_owned(),
            verdict: verdict.to_owned(),
            mode: (verdict == "drop").then(|| "observe".to_owned()),
            packets,
            bytes: packets * 10,
            would_packets: packets * 2,
            would_bytes: packets * 20,
            per_interface: Vec::new(),
        };
        Stats {
            since: "2026-01-02T03:04:05Z".parse().unwrap(),
            interfaces: vec![InterfaceMode { name: "eth0".into(), mode: "native".into() }],
            rules: vec![rule("options", "drop", options), rule("stranger", "pass", stranger)],
            methods: Vec::new(),
            replies: Replies::default(),
            learned: Vec::new(),
            events: crate::api::wire::Events::default(),
        }
    }

    #[test]
    fn the_table_has_every_rule_and_their_sum() {
        let shown = view(&stats(3, 1), None);
        let words: Vec<Vec<&str>> =
            shown.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(words[0], ["eth0", "(native)", "since", "2026-01-02T03:04:05Z"]);
        let header = ["RULE", "VERDICT", "MODE", "PACKETS", "BYTES", "SHARE", "WOULD", "DROP"];
        assert_eq!(words[1], header);
        assert_eq!(words[2], ["options", "drop", "observe", "3", "30", "75.0", "%", "6"]);
        assert_eq!(words[3], ["stranger", "pass", "-", "1", "10", "25.0", "%", "-"]);
        assert_eq!(words[4], ["total", "4", "40", "100.0", "%"]);
    }

    #[test]
    fn f25_what_the_server_said_is_shown_where_it_said_anything() {
        let mut stats = stats(3, 1);
        assert!(!view(&stats, None).contains("REPLIES"));
        let register = ReplyCount {
            method: "REGISTER".to_owned(),
            success: 2,
            refused: 30,
            ..ReplyCount::default()
        };
        let invite = ReplyCount { method: "INVITE".to_owned(), ..ReplyCount::default() };
        stats.replies.methods = vec![invite, register];
        let count = |name: &str, count| LearnedCount { name: name.to_owned(), count };
        stats.learned = vec![count("failure", 7), count("hidden", 0)];
        let shown = view(&stats, None);
        let words: Vec<Vec<&str>> =
            shown.lines().map(|line| line.split_whitespace().collect()).collect();
        assert!(
            words.contains(&vec!["REGISTER", "0", "2", "0", "30", "0", "0", "0", "0"]),
            "{shown}"
        );
        assert!(!shown.contains("INVITE") && !shown.contains("hidden"), "{shown}");
        let last = words.last().unwrap();
        assert_eq!((last[0], last[last.len() - 1]), ("failure", "7"));
    }

    #[test]
    fn nothing_seen_has_no_share() {
        assert!(view(&stats(0, 0), None).contains('-'));
    }

    #[test]
    fn rates_are_per_second_and_never_negative() {
        let second = Duration::from_secs(2);
        assert_eq!(rates(&stats(30, 10), &stats(10, 10), second), [10.0, 0.0, 10.0]);
        assert_eq!(rates(&stats(5, 5), &stats(10, 5), second), [0.0, 0.0, 0.0]);
    }

    #[test]
    fn periods() {
        assert_eq!(parse_period("2"), Ok(Duration::from_secs(2)));
        assert_eq!(parse_period("0.5"), Ok(Duration::from_millis(500)));
        for text in ["0", "-1", "nan", "inf", "4000", "x", ""] {
            assert!(parse_period(text).is_err(), "{text}");
        }
    }

    #[test]
    fn d17_signatures_that_never_matched_are_marked() {
        let one = |name: &str, packets| SignatureCount { name: name.to_owned(), packets };
        let since = "2026-01-02T03:04:05Z".parse().unwrap();
        let signatures = vec![one("friendly-scanner", 7), one("sundayaddr", 0)];
        let shown = signatures_view(&Signatures { since, signatures });
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines[0], "2 signatures since 2026-01-02T03:04:05Z, 1 never matched");
        assert!(lines[2].starts_with("friendly-scanner") && lines[2].ends_with('7'), "{shown}");
        assert!(lines[3].ends_with("never matched"), "{shown}");
    }
}
