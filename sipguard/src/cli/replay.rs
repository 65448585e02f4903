//! `sipguard replay`

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, BufWriter, Write},
    net::IpAddr,
    path::PathBuf,
};

use clap::ValueEnum;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};
use sipguard_common::rule::Rule;

use super::{
    exit::{Exit, Failure},
    out::{print, print_json_line, say},
    table::{none, table},
};
use crate::{
    daemon::{Host, RunError, config_dir},
    endpoint::Endpoint,
    policy::{self, Plan},
    replay::{
        Capture, CaptureError, Notes, Outcome, Replay, RuleCount, Seen, SourceCount, Summary,
    },
    sanitise::{sanitise, sanitise_json},
};

/// Say what would be dropped of the traffic in a capture
///
/// Every packet goes through the real kernel program, under the capture's own
/// clock. No interface and no running sipguard is touched.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The capture: pcap or pcapng
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The configuration directory [default: /etc/sipguard if it exists, else
    /// ./config]
    #[arg(long, value_name = "DIR")]
    config: Option<PathBuf>,
    /// What to list: what came in to protected ports, or everything
    #[arg(long, value_enum, default_value_t = Listed::In)]
    direction: Listed,
    /// Print JSON: a line for each packet, then one with the summary
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Listed {
    In,
    Both,
}

/// Sources in the table for people, of those that would lose packets; JSON has
/// all.
const TOP: usize = 20;

/// Characters of a signature's name.
const MAX_NAME: usize = 100;

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let dir = config_dir(args.config.as_deref())?;
    let file = File::open(&args.file).map_err(|error| {
        Failure::new(Exit::Failure, format!("{}: {error}", args.file.display()), None)
    })?;
    let mut capture = Capture::new(file).map_err(|error| unreadable(args, &error))?;
    let mut next = capture.next();
    let first = match &next {
        Some(Ok(packet)) => packet.time,
        _ => None,
    };
    // Blocks that have ended since then were in force.
    let loaded = policy::load_at(&dir, first.unwrap_or_else(Timestamp::now));
    let (plan, _) = loaded.map_err(|diagnostics| Failure::configuration(&diagnostics))?;
    // Where they cannot be read, what the capture teaches must do.
    let own = Host::read().unwrap_or_default().addresses;
    let mut replay = Replay::new(plan, first, own).map_err(RunError::Kernel)?;

    let mut lines = Lines::new(args);
    let damage = loop {
        match next {
            None => break None,
            Some(Err(error)) => break Some(error),
            Some(Ok(packet)) => {
                let seen = replay.judge(&packet).map_err(RunError::Kernel)?;
                lines.packet(&seen)?;
            }
        }
        next = capture.next();
    };
    lines.end()?;

    let (plan, summary) = (replay.plan(), replay.summary());
    if args.json {
        print_json_line(&json!({ "summary": summary_json(plan, summary, damage.is_none()) }))?;
    } else {
        print(&summary_text(plan, summary))?;
    }
    tell(summary);
    match damage {
        None => Ok(()),
        Some(error) => Err(broken(args, &error, summary.packets)),
    }
}

/// Where not even the head can be read.
fn unreadable(args: &Args, error: &CaptureError) -> Failure {
    let message = format!("{}, {error}", args.file.display());
    Failure::new(Exit::Failure, message, error.hint().map(str::to_owned))
}

/// Where reading ended before the end.
fn broken(args: &Args, error: &CaptureError, packets: u64) -> Failure {
    let message = format!(
        "{}, {error}; only the {packets} packets before it are judged",
        args.file.display()
    );
    Failure::new(Exit::Failure, message, error.hint().map(str::to_owned))
}

/// One packet as JSON.
#[derive(Serialize)]
struct Line<'a> {
    n: u64,
    time: Option<Timestamp>,
    source: Option<String>,
    destination: Option<String>,
    method: Option<&'static str>,
    rule: Option<&'static str>,
    verdict: Option<&'static str>,
    signature: Option<&'a str>,
    would: Vec<&'static str>,
    mode: Option<&'static str>,
    taught: Vec<&'static str>,
}

impl<'a> Line<'a> {
    fn of(seen: &Seen<'a>) -> Self {
        let text = |endpoint: Option<Endpoint>| endpoint.map(|endpoint| endpoint.to_string());
        let outcome = seen.outcome.as_ref();
        Self {
            n: seen.n,
            time: seen.time,
            source: text(seen.source),
            destination: text(seen.destination),
            method: seen.method.map(sipguard_common::method::Method::name),
            rule: outcome.map(|outcome| outcome.rule.name()),
            verdict: outcome.map(|outcome| outcome.action.name()),
            signature: outcome.and_then(|outcome| Some(outcome.signature?.name.as_str())),
            would: outcome.map_or_else(Vec::new, would),
            mode: outcome.map(|outcome| outcome.mode.name()),
            taught: seen.taught.counts().map(|(what, _)| what.name()).collect(),
        }
    }
}

/// Names of the rules in mode observe that would have dropped a packet.
fn would(outcome: &Outcome<'_>) -> Vec<&'static str> {
    Rule::in_bits(outcome.would).map(Rule::name).collect()
}

/// The lines of packets, as they come.
struct Lines {
    out: BufWriter<io::StdoutLock<'static>>,
    json: bool,
    listed: Listed,
    head_is_due: bool,
}

impl Lines {
    fn new(args: &Args) -> Self {
        let out = BufWriter::with_capacity(1 << 16, io::stdout().lock());
        Self { out, json: args.json, listed: args.direction, head_is_due: !args.json }
    }

    fn packet(&mut self, seen: &Seen<'_>) -> Result<(), Failure> {
        if self.listed == Listed::In && !seen.is_judged() {
            return Ok(());
        }
        let line = Line::of(seen);
        if self.json {
            let line = serde_json::to_string(&line)?;
            return Ok(writeln!(self.out, "{}", sanitise_json(line))?);
        }
        if std::mem::take(&mut self.head_is_due) {
            self.row(
                "N",
                [
                    "TIME",
                    "SOURCE",
                    "DESTINATION",
                    "METHOD",
                    "VERDICT",
                    "RULE",
                    "WOULD DROP BY",
                    "SIGNATURE",
                    "TAUGHT",
                ],
            )?;
        }
        let time = line.time.map(|time| time.strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string());
        let or_none = |text: Option<&str>| text.map_or_else(none, str::to_owned);
        self.row(
            &line.n.to_string(),
            [
                time.as_deref(),
                line.source.as_deref(),
                line.destination.as_deref(),
                line.method,
                line.verdict,
                line.rule,
                (!line.would.is_empty()).then(|| line.would.join(",")).as_deref(),
                line.signature.map(|name| sanitise(name, MAX_NAME)).as_deref(),
                (!line.taught.is_empty()).then(|| line.taught.join(",")).as_deref(),
            ]
            .map(or_none)
            .each_ref()
            .map(String::as_str),
        )
    }

    /// Columns as wide as what they mostly hold: nobody knows yet what comes.
    fn row(&mut self, n: &str, cells: [&str; 9]) -> Result<(), Failure> {
        let [time, source, destination, method, verdict, rule, would, signature, taught] = cells;
        let row = format!(
            "{n:>7}  {time:<27}  {source:<21}  {destination:<21}  {method:<9}  {verdict:<7}  {rule:<14}  {would:<13}  {signature:<20}  {taught}"
        );
        Ok(writeln!(self.out, "{}", row.trim_end())?)
    }

    fn end(mut self) -> Result<(), Failure> {
        if !self.json && !self.head_is_due {
            writeln!(self.out)?;
        }
        Ok(self.out.flush()?)
    }
}

/// Packets that went on: those that came in and were not dropped.
fn passed(summary: &Summary) -> u64 {
    let came_in: u64 = summary.rules.values().map(|count| count.packets).sum();
    came_in - summary.dropped - not_sip(summary)
}

fn not_sip(summary: &Summary) -> u64 {
    summary.rules.get(&Rule::NotSip).map_or(0, |count| count.packets)
}

fn summary_json(plan: &Plan, summary: &Summary, complete: bool) -> Value {
    let rule = |(rule, count): (&Rule, &RuleCount)| {
        json!({
            "rule": rule.name(),
            "verdict": rule.verdict().name(),
            "mode": plan.modes.of(*rule).name(),
            "packets": count.packets,
            "bytes": count.bytes,
            "would_drop": count.would,
        })
    };
    let source = |(source, count): (IpAddr, &SourceCount)| {
        json!({
            "source": source,
            "passed": count.passed,
            "would_drop": count.spared,
            "dropped": count.drops(),
            "by": by_rule(&count.dropped),
            "would_drop_by": by_rule(&count.would),
            "known": count.known,
            "hurt": count.is_hurt(),
            "would_be_hurt": count.would_be_hurt(),
        })
    };
    let Notes { short, long, incomplete, untimed, backwards } = summary.notes;
    json!({
        "complete": complete,
        "packets": summary.packets,
        "dropped": summary.dropped,
        "passed": passed(summary),
        "would_drop": summary.spared,
        "not_sip": not_sip(summary),
        "outgoing": summary.outgoing,
        "learned": learned(summary).collect::<serde_json::Map<_, _>>(),
        "rules": summary.rules.iter().map(rule).collect::<Vec<_>>(),
        "sources": summary.ranking().into_iter().map(source).collect::<Vec<_>>(),
        "of_other_sources": summary.of_other_sources,
        "notes": {
            "short": short,
            "long": long,
            "incomplete": incomplete,
            "untimed": untimed,
            "backwards": backwards,
        },
    })
}

fn by_rule(counts: &BTreeMap<Rule, u64>) -> serde_json::Map<String, Value> {
    counts.iter().map(|(rule, n)| (rule.name().to_owned(), json!(n))).collect()
}

/// What was learned by name, where there is anything.
fn learned(summary: &Summary) -> impl Iterator<Item = (String, Value)> {
    summary.learned.iter().map(|(what, count)| (what.name().to_owned(), json!(count)))
}

fn summary_text(plan: &Plan, summary: &Summary) -> String {
    let mut parts = vec![format!(
        "{} packets: {} dropped, {} passed, {} not for a protected port, {} sent by the server",
        summary.packets,
        summary.dropped,
        passed(summary),
        not_sip(summary),
        summary.outgoing,
    )];
    if summary.spared > 0 {
        parts.push(format!(
            "{} of those that passed would be dropped, were it not for mode observe",
            summary.spared
        ));
    }
    let learned = learned(summary).map(|(what, count)| format!("{what} {count}"));
    if let Some(learned) = learned.reduce(|all, one| format!("{all}, {one}")) {
        parts.push(format!("learned from what the server sent: {learned}"));
    }
    let rules: Vec<_> = summary
        .rules
        .iter()
        .map(|(rule, count)| {
            let mode = plan.modes.of(*rule).name();
            let words = [rule.name(), rule.verdict().name(), mode].map(str::to_owned);
            let numbers =
                [count.packets, count.bytes, count.would].map(|number| number.to_string());
            words.into_iter().chain(numbers).collect()
        })
        .collect();
    if !rules.is_empty() {
        parts.push(table(&["RULE", "VERDICT", "MODE", "PACKETS", "BYTES", "WOULD DROP"], rules, 3));
    }
    let mut ranking = summary.ranking();
    let all = ranking.len();
    ranking.retain(|(_, count)| count.drops() > 0 || count.spared > 0);
    if !ranking.is_empty() {
        parts.push(sources_text(&ranking));
    }
    if all > ranking.len() {
        parts.push(format!("{} sources would lose nothing", all - ranking.len()));
    }
    let hurt = ranking.iter().filter(|(_, count)| count.is_hurt()).count();
    if hurt > 0 {
        parts.push(format!(
            "hurt: {hurt} of the sources that the server knows would lose packets; name them in trusted.toml, or raise the limit that they meet"
        ));
    }
    let would_be = ranking.iter().filter(|(_, count)| count.would_be_hurt()).count();
    if would_be > 0 {
        parts.push(format!(
            "would be hurt: {would_be} of the sources that the server knows would lose packets to rules that now observe"
        ));
    }
    parts.join("\n\n")
}

fn sources_text(ranking: &[(IpAddr, &SourceCount)]) -> String {
    let row = |(source, count): &(IpAddr, &SourceCount)| {
        let by = |counts: &BTreeMap<Rule, u64>| {
            let each = counts.iter().map(|(rule, number)| format!("{} {number}", rule.name()));
            each.reduce(|all, one| format!("{all}, {one}")).unwrap_or_else(none)
        };
        let server = match (count.is_hurt(), count.would_be_hurt()) {
            (true, _) => "known: hurt",
            (false, true) => "known: would be hurt",
            (false, false) => "-",
        };
        let words = [by(&count.dropped), by(&count.would), server.to_owned()];
        let numbers = [count.drops(), count.spared, count.passed].map(|number| number.to_string());
        [source.to_string()].into_iter().chain(words).chain(numbers).collect()
    };
    let rows = ranking.iter().take(TOP).map(row).collect();
    let head = [
        "SOURCE",
        "DROPPED BY",
        "WOULD DROP BY",
        "TO THE SERVER",
        "DROPPED",
        "WOULD DROP",
        "PASSED",
    ];
    let table = table(&head, rows, 3);
    match ranking.len().saturating_sub(TOP) {
        0 => table,
        more => format!("{table}\nand {more} more that would lose packets: --json has them all"),
    }
}

/// What the reader must know to read the numbers right.
fn tell(summary: &Summary) {
    let Notes { short, long, incomplete, untimed, backwards } = summary.notes;
    let notes = [
        (
            incomplete,
            "packets are not in the capture as a whole: they are judged by what there is; capture with `tcpdump -s 0`",
        ),
        (
            long,
            "packets are longer than IP allows, joined by the network card: they are judged by their beginning",
        ),
        (short, "packets are shorter than a link header: they pass, and count as not_sip"),
        (untimed, "packets have no time: they are judged at that of the packet before"),
        (
            backwards,
            "times the capture's clock goes back by more than a second: limits go on from where they were",
        ),
        (
            summary.of_other_sources,
            "packets are of sources beyond those that are counted one by one",
        ),
    ];
    for (count, words) in notes.into_iter().filter(|(count, _)| *count > 0) {
        say(&format!("note: {count} {words}"));
    }
    if summary.outgoing == 0 && summary.dropped > 0 {
        say(
            "note: nothing in the capture was sent by the server: who would be hurt cannot be told",
        );
    }
}
