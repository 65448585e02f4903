//! All measurements, one after the other, and what is held against targets.

use anyhow::{Context as _, Result};
use serde_json::{Map, Value, json};

use super::{
    alone::{self, Alone},
    calls::{self, Calls},
    capacity::{self, Comparison},
    daemon,
    delivery::{self, Delivery},
    filter::{Active, Filter},
    growth::{self, Size},
    machine::Machine,
    numbers::median,
    plan::{Effort, Wanted},
    report::{Finding, Report, Section, Shown, Target, now},
    stand::Stand,
    traffic::{MANY, Mix},
};

/// The targets.
pub const IDS: [&str; 14] = [
    "P01", "P02", "P03", "P04", "P05", "P06", "P07", "P08", "P09", "P10", "P11", "P12", "P13",
    "P14",
];

/// The share of its CPU that the receiving thread has at saturation, at least;
/// the application behind no filter takes some, too.
const SATURATED: f64 = 0.4;

/// In the order of the tables.
const FILTERS: [Filter; 8] = [
    Filter::Nothing,
    Filter::Iptables,
    Filter::NftSet,
    Filter::XdpTools,
    Filter::SourceHash,
    Filter::Sipguard,
    Filter::Pass,
    Filter::Drop,
];

/// The mixes whose costs are compared; what leaves state behind comes last.
const MIXES: [Mix; 6] = [
    Mix::Options(1),
    Mix::Options(MANY),
    Mix::Scanner,
    Mix::Blocked(1),
    Mix::Blocked(MANY),
    Mix::Register(MANY),
];

/// Rates of the flood in which a trusted peer is hidden.
const RATES: [u32; 2] = [300_000, 950_000];
/// The filters that let a trusted peer of it pass.
const DELIVERING: [Filter; 5] =
    [Filter::Nothing, Filter::Iptables, Filter::NftSet, Filter::SourceHash, Filter::Sipguard];

const SIZES_OF_SIGNATURES: [u32; 3] = [5, 500, 2_000];
const SIZES_OF_NETWORKS: [u32; 3] = [100, 100_000, 1_000_000];

/// Measures what is wanted.
///
/// # Errors
/// Where something cannot be measured.
pub fn run(effort: &Effort, wanted: &Wanted, command: String) -> Result<Report> {
    let mut work = Work {
        report: Report {
            machine: Machine::this()?,
            at: now(),
            command,
            rounds: effort.rounds,
            findings: Vec::new(),
            sections: Vec::new(),
            notes: Vec::new(),
            raw: Value::Null,
        },
        raw: Map::new(),
    };
    let Work { report, .. } = &work;
    eprintln!(
        "{}, {} cores, Linux {}",
        report.machine.cpu, report.machine.cores, report.machine.kernel
    );
    if wanted.any(&["P06", "P07"]) {
        eprintln!("the program alone ...");
        work.alone(&alone::measure(effort.runs)?);
    }
    let costs = ["P01", "P02", "P03", "P04", "P05"];
    if wanted.any(&costs) || wanted.any(&["P10"]) {
        work.filters(effort, wanted.any(&costs), wanted.any(&["P10"]))?;
    }
    if wanted.any(&["P08"]) {
        eprintln!("more and more signatures ...");
        work.signatures(&growth::signatures(&SIZES_OF_SIGNATURES, effort)?)?;
    }
    if wanted.any(&["P09"]) {
        eprintln!("more and more blocked networks ...");
        work.networks(&growth::networks(&SIZES_OF_NETWORKS, effort)?)?;
    }
    if wanted.any(&["P11"]) {
        eprintln!("calls ...");
        let (idle, flooded) = calls::idle_and_flooded(effort.calls)?;
        work.calls(&idle, &flooded)?;
    }
    if wanted.any(&["P12"]) {
        eprintln!("reloads ...");
        work.reloads(&daemon::reloads()?);
    }
    if wanted.any(&["P13", "P14"]) {
        eprintln!("the daemon ...");
        work.daemon(effort)?;
    }
    let Work { mut report, raw } = work;
    report.findings.sort_by_key(|finding| finding.id);
    report.raw = Value::Object(raw);
    Ok(report)
}

struct Work {
    report: Report,
    raw: Map<String, Value>,
}

impl Work {
    fn find(
        &mut self,
        id: &'static str,
        what: impl Into<String>,
        shown: Shown,
        measured: f64,
        target: Target,
    ) {
        self.report.findings.push(Finding { id, what: what.into(), measured, target, shown });
    }

    fn section(&mut self, title: &str, note: &str, head: &[&str], rows: Vec<Vec<String>>) {
        self.report.sections.push(Section {
            title: title.to_owned(),
            note: note.to_owned(),
            head: head.iter().map(|&cell| cell.to_owned()).collect(),
            rows,
        });
    }

    fn alone(&mut self, alone: &Alone) {
        let beyond = |name| alone.beyond_pass(name).unwrap_or(f64::NAN);
        let (rtp, trusted) = (beyond(alone::RTP), beyond(alone::TRUSTED));
        let ns = Shown::Nanoseconds;
        self.find("P06", "RTP, beyond an empty program that passes", ns, rtp, Target::AtMost(25.0));
        let what = "trusted INVITE, beyond an empty program that passes";
        self.find("P07", what, ns, trusted, Target::AtMost(120.0));
        let mut rows: Vec<_> = alone
            .rows
            .iter()
            .map(|row| {
                vec![row.name.to_owned(), row.bytes.to_string(), format!("{:.0}", row.nanoseconds)]
            })
            .collect();
        let empty =
            |name: &str, time: f64| vec![name.to_owned(), String::new(), format!("{time:.0}")];
        rows.push(empty("an empty program that passes", alone.pass));
        rows.push(empty("an empty program that drops", alone.drop));
        let info = alone.info;
        let note = format!(
            "Nanoseconds of one run by BPF_PROG_TEST_RUN, full policy, all warm. The program: {} \
             verified instructions, {} bytes of BPF, {} bytes of machine code",
            info.verified_instructions, info.translated_bytes, info.jited_bytes
        );
        self.section("The program alone", &note, &["Packet", "Bytes", "ns"], rows);
        let raw: Map<_, _> =
            alone.rows.iter().map(|row| (row.name.to_owned(), json!(row.nanoseconds))).collect();
        self.raw.insert(
            "alone".to_owned(),
            json!({
                "ns": raw, "pass_ns": alone.pass, "drop_ns": alone.drop,
                "verified_instructions": info.verified_instructions,
                "translated_bytes": info.translated_bytes, "jited_bytes": info.jited_bytes,
            }),
        );
    }

    /// One set-up serves costs and delivery.
    fn filters(&mut self, effort: &Effort, costs: bool, hidden: bool) -> Result<()> {
        eprintln!("setting up the filters ...");
        let there: Vec<Filter> = FILTERS.into_iter().filter(|filter| filter.is_there()).collect();
        let stands = there.iter().map(|_| Stand::new()).collect::<Result<Vec<_>>>()?;
        let mut active = Vec::new();
        for (filter, stand) in there.iter().zip(&stands) {
            match Active::set_up(*filter, stand) {
                Ok(one) => active.push(one),
                // Somebody else's filter that this machine cannot run.
                Err(error) if !matches!(filter, Filter::Sipguard | Filter::Drop) => {
                    self.report.notes.push(format!("left out: {}: {error:#}", filter.name()));
                }
                Err(error) => return Err(error),
            }
        }
        for filter in FILTERS.iter().filter(|filter| !filter.is_there()) {
            self.report
                .notes
                .push(format!("left out: {}: it is not installed here", filter.name()));
        }
        if hidden {
            self.delivery(&active, effort)?;
        }
        if costs {
            let mut comparisons = Vec::new();
            for mix in MIXES {
                eprintln!("{} ...", mix.name());
                let meant: Vec<_> =
                    active.iter().filter(|active| is_meant(active.filter, mix)).collect();
                comparisons.push(capacity::compare(&meant, mix, effort)?);
            }
            self.costs(&comparisons);
        }
        Ok(())
    }

    fn costs(&mut self, all: &[Comparison]) {
        for comparison in all {
            let sipguard = |base| comparison.ratio(Filter::Sipguard, base).unwrap_or(f64::NAN);
            let name = comparison.mix.name();
            let (id, limit, cheaper) = match comparison.mix {
                Mix::Blocked(1) => ("P01", Some(1.5), None),
                Mix::Blocked(_) => ("P01", Some(2.5), None),
                Mix::Options(1) => ("P02", Some(1.5), Some(6.0)),
                Mix::Options(_) => ("P03", Some(2.0), Some(4.0)),
                Mix::Scanner => ("P04", Some(4.0), Some(3.0)),
                _ => ("P05", None, Some(6.0)),
            };
            if let Some(limit) = limit {
                let what = format!("{name}: cost of XDP_DROP alone");
                self.find(id, what, Shown::Times, sipguard(Filter::Drop), Target::AtMost(limit));
            }
            if let Some(cheaper) = cheaper {
                let what = format!("{name}: cheaper than the iptables script");
                let ratio = 1.0 / sipguard(Filter::Iptables);
                self.find(id, what, Shown::Times, ratio, Target::AtLeast(cheaper));
            }
        }
        let head: Vec<String> = std::iter::once("Filter".to_owned())
            .chain(all.iter().map(|comparison| comparison.mix.name()))
            .collect();
        let head: Vec<&str> = head.iter().map(String::as_str).collect();
        let rows = |cell: &dyn Fn(&Comparison, Filter) -> String| -> Vec<Vec<String>> {
            FILTERS
                .iter()
                .map(|filter| {
                    std::iter::once(filter.name().to_owned())
                        .chain(all.iter().map(|comparison| cell(comparison, *filter)))
                        .collect()
                })
                .collect()
        };
        let costs = rows(&|comparison, filter| {
            let Some(cost) = comparison.cost(filter) else { return String::new() };
            match comparison.ratio(filter, Filter::Drop) {
                Some(ratio) => format!("{cost:.0} ({ratio:.1}x)"),
                None => format!("{cost:.0}"),
            }
        });
        let note = "Nanoseconds of the receiving thread for each packet, at saturation, and the \
                    ratio to XDP_DROP alone. Filters by source know all sources";
        self.section("Costs of a packet", note, &head, costs);
        let busy: Vec<f64> = all
            .iter()
            .flat_map(|comparison| &comparison.costs)
            .filter(|costs| !matches!(costs.filter, Filter::Drop | Filter::XdpTools))
            .filter_map(|costs| median(&costs.busy))
            .collect();
        let least = busy.into_iter().fold(1.0, f64::min);
        if least < SATURATED {
            self.report.notes.push(format!(
                "NOT at saturation: the receiving thread had as little as {:.0} % of its CPU. \
                 Something else is running on this machine; costs of packets are too high, and \
                 ratios not to be trusted",
                least * 100.0
            ));
        }
        let own = |comparison: &Comparison, filter| {
            let costs = comparison.costs.iter().find(|costs| costs.filter == filter);
            costs.and_then(|costs| costs.program)
        };
        let programs = rows(&|comparison, filter| {
            own(comparison, filter).map_or(String::new(), |cost| format!("{cost:.0}"))
        });
        let programs =
            programs.into_iter().filter(|row| row.iter().skip(1).any(|cell| !cell.is_empty()));
        let note = "Nanoseconds of the XDP program for each packet under the same floods, as the \
                    kernel counts them: with the cache misses that a warm run hides";
        self.section("The program under flood", note, &head, programs.collect());
        let raw: Vec<Value> = all
            .iter()
            .flat_map(|comparison| &comparison.costs)
            .zip(all.iter().flat_map(|comparison| comparison.costs.iter().map(|_| comparison.mix)))
            .map(|(costs, mix)| {
                json!({
                    "mix": mix.name(), "filter": costs.filter.name(), "ns": costs.rounds,
                    "mpps": costs.mpps, "busy": costs.busy, "program_ns": costs.program,
                })
            })
            .collect();
        self.raw.insert("costs".to_owned(), json!(raw));
    }

    fn delivery(&mut self, active: &[Active<'_>], effort: &Effort) -> Result<()> {
        eprintln!("a trusted peer among scanners ...");
        let meant: Vec<_> =
            active.iter().filter(|active| DELIVERING.contains(&active.filter)).collect();
        let mut rows = Vec::new();
        let mut raw = Vec::new();
        for rate in RATES {
            let found = delivery::compare(&meant, rate, effort.rounds, effort.window)?;
            let share = |filter| {
                let of = found.iter().find(|delivery| delivery.filter == filter);
                of.and_then(Delivery::share).unwrap_or(f64::NAN)
            };
            let (sipguard, hash) = (share(Filter::Sipguard), share(Filter::SourceHash));
            let what = format!("trusted packets read among {} kpps of scanners", rate / 1_000);
            let target = if rate == RATES[0] { 0.97 } else { hash };
            self.find("P10", what, Shown::Share, sipguard, Target::AtLeast(target));
            for delivery in &found {
                let kpps = median(&delivery.kpps).unwrap_or(f64::NAN);
                let share = delivery.share().unwrap_or(f64::NAN) * 100.0;
                rows.push(vec![
                    delivery.filter.name().to_owned(),
                    format!("{kpps:.0}"),
                    format!("{share:.1} %"),
                ]);
                raw.push(json!({
                    "filter": delivery.filter.name(), "rate": delivery.rate,
                    "kpps": delivery.kpps, "shares": delivery.shares,
                }));
            }
        }
        let note = "One packet of 256 is a trusted peer's; the share of these that the \
                    application reads";
        self.section("A trusted peer among scanners", note, &["Filter", "kpps", "Read"], rows);
        self.raw.insert("delivery".to_owned(), json!(raw));
        Ok(())
    }

    fn signatures(&mut self, sizes: &[Size]) -> Result<()> {
        let growth = growth::growth(sizes).context("nothing was measured")?;
        let what = "scanner-UA REGISTER: 2,000 signatures instead of 5";
        self.find("P08", what, Shown::Times, growth, Target::AtMost(1.2));
        self.sizes("signatures", "Signatures", "REGISTER with a scanner's User-Agent", sizes);
        Ok(())
    }

    fn networks(&mut self, sizes: &[Size]) -> Result<()> {
        let growth = growth::growth(sizes).context("nothing was measured")?;
        let what = "blocked sources: 1,000,000 networks instead of 100";
        self.find("P09", what, Shown::Times, growth, Target::AtMost(2.0));
        let bytes = sizes.last().map_or(0, |size| size.map_bytes);
        let what = "memory of all maps with 1,000,000 networks";
        self.find("P09", what, Shown::MegaBytes, bytes as f64, Target::None);
        self.sizes("networks", "Blocked networks", "REGISTER of one source of each", sizes);
        Ok(())
    }

    fn sizes(&mut self, key: &str, title: &str, traffic: &str, sizes: &[Size]) {
        let rows = sizes
            .iter()
            .map(|size| {
                vec![
                    size.count.to_string(),
                    format!("{:.0}", size.cost().unwrap_or(f64::NAN)),
                    format!("{:.1}", size.map_bytes as f64 / 1e6),
                ]
            })
            .collect();
        let note = format!(
            "{traffic}, at saturation: nanoseconds of the receiving thread for each packet, and \
             the memory of all maps"
        );
        self.section(title, &note, &[title, "ns", "Maps, MB"], rows);
        let raw: Vec<Value> = sizes
            .iter()
            .map(
                |size| json!({"count": size.count, "ns": size.rounds, "busy": size.busy, "map_bytes": size.map_bytes}),
            )
            .collect();
        self.raw.insert(key.to_owned(), json!(raw));
    }

    fn calls(&mut self, idle: &Calls, flooded: &Calls) -> Result<()> {
        let of = |calls: &Calls| calls.p99().zip(calls.p50()).context("no call was set up");
        let (idle_times, flooded_times) = (of(idle)?, of(flooded)?);
        let what = "call set-up, p99 under 300 kpps of scanners, to idle";
        let ratio = flooded_times.0 / idle_times.0;
        self.find("P11", what, Shown::Times, ratio, Target::AtMost(1.1));
        let what = "N06: datagrams that the server's sockets could not take";
        self.find("P11", what, Shown::Count, flooded.socket_full as f64, Target::AtMost(0.0));
        let what = "N07: connections tracked beyond those of the same calls without the flood";
        let more = flooded.tracked.saturating_sub(idle.tracked);
        self.find("P11", what, Shown::Count, more as f64, Target::AtMost(0.0));
        let row = |name: &str, calls: &Calls, (p99, p50): (f64, f64)| {
            vec![
                name.to_owned(),
                calls.set_up_ms.len().to_string(),
                format!("{p50:.2}"),
                format!("{p99:.2}"),
                calls.socket_full.to_string(),
                calls.tracked.to_string(),
            ]
        };
        let rows = vec![
            row("idle", idle, idle_times),
            row("300 kpps of scanners", flooded, flooded_times),
        ];
        let note = "INVITE to 200 of a trusted trunk through Kamailio to SIPp, behind sipguard, in milliseconds; \
                    datagrams that a socket could not take; entries of connection tracking";
        let head = ["Flood", "Calls", "p50, ms", "p99, ms", "Socket full", "Tracked"];
        self.section("Calls", note, &head, rows);
        let raw = |calls: &Calls| {
            json!({
                "set_up_ms": calls.set_up_ms, "socket_full": calls.socket_full,
                "tracked": calls.tracked, "flood_packets": calls.flood,
                "seconds": calls.seconds,
            })
        };
        self.raw.insert("calls".to_owned(), json!({"idle": raw(idle), "flooded": raw(flooded)}));
        Ok(())
    }

    fn reloads(&mut self, reloads: &[daemon::Reload]) {
        let slowest =
            reloads.iter().map(|reload| reload.took.as_secs_f64()).fold(f64::NAN, f64::max);
        let misjudged: u64 = reloads.iter().map(|reload| reload.misjudged).sum();
        let what = "slowest reload between 1,000 and 100,000 networks, 5 and 500 signatures";
        self.find("P12", what, Shown::Seconds, slowest, Target::AtMost(1.0));
        let packets: u64 = reloads.iter().map(|reload| reload.packets).sum();
        let lost: u64 = reloads.iter().map(|reload| reload.lost).sum();
        let what = format!("packets misjudged meanwhile, of {packets} ({lost} lost on the wire)");
        self.find("P12", what, Shown::Count, misjudged as f64, Target::AtMost(0.0));
        let raw: Vec<Value> = reloads
            .iter()
            .map(|reload| {
                json!({
                    "seconds": reload.took.as_secs_f64(), "packets": reload.packets,
                    "misjudged": reload.misjudged, "lost_on_the_wire": reload.lost,
                })
            })
            .collect();
        self.raw.insert("reloads".to_owned(), json!(raw));
    }

    fn daemon(&mut self, effort: &Effort) -> Result<()> {
        let mut all = Vec::new();
        for _ in 0..effort.rounds {
            all.push(daemon::idle(effort.window.max(std::time::Duration::from_secs(1)))?);
        }
        let of = |number: &dyn Fn(&daemon::Idle) -> f64| {
            median(&all.iter().map(number).collect::<Vec<_>>()).unwrap_or(f64::NAN)
        };
        let start = of(&|idle| idle.started_in.as_secs_f64());
        let resident = of(&|idle| idle.resident_bytes as f64);
        let (cpu, kpps) = (of(&|idle| idle.cpu), of(&|idle| idle.kpps));
        let maps = of(&|idle| idle.map_bytes as f64);
        let what = "from start to protection, full policy";
        self.find("P13", what, Shown::Seconds, start, Target::AtMost(1.0));
        let what = format!("memory besides the maps under {kpps:.0} kpps");
        self.find("P14", what, Shown::MegaBytes, resident, Target::AtMost(64e6));
        let what = format!("CPU of the daemon under {kpps:.0} kpps, of one core");
        self.find("P14", what, Shown::Share, cpu, Target::AtMost(0.02));
        self.find("P14", "memory of all maps", Shown::MegaBytes, maps, Target::None);
        let raw: Vec<Value> = all
            .iter()
            .map(|idle| {
                json!({
                    "start_s": idle.started_in.as_secs_f64(), "cpu": idle.cpu, "kpps": idle.kpps,
                    "resident_bytes": idle.resident_bytes, "map_bytes": idle.map_bytes,
                })
            })
            .collect();
        self.raw.insert("daemon".to_owned(), json!(raw));
        Ok(())
    }
}

/// xdp-filter knows one source only.
fn is_meant(filter: Filter, mix: Mix) -> bool {
    filter != Filter::XdpTools || mix.sources().is_none()
}
