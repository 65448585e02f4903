//! Many sipguards at one local API of CrowdSec: what a node pays, measured with
//! the code that runs there, and what all of them are together, by a model.
//!
//! ```sh
//! cargo run --release -p tests --example fleet
//! sudo target/release/examples/fleet --kernel   # the kernel's lists
//! ```
//!
//! docs/scale.md says what came of it.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
    env, fs,
    io::Read,
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use sipguard::{
    crowdsec::{Book, Reach, Schedule, Words, read},
    kernel::Kernel,
    policy::CrowdsecSettings,
};
use tests::random::Random;

/// Decisions that hold everywhere.
const DECISIONS: u32 = 1_000_000;

/// Of these, what a batch of the daemon takes.
const BATCH: usize = 2000;

/// Decisions between two answers, at 10,000 a minute and ten seconds.
const DELTA: u32 = 1_667;

fn main() -> Result<()> {
    // By itself, for memory is measured.
    if env::args().any(|argument| argument == "--kernel") {
        return kernel();
    }
    node()?;
    println!();
    for fleet in [
        Fleet::default(),
        Fleet { interval: 60.0, ..Fleet::default() },
        Fleet { relays: 20, ..Fleet::default() },
        Fleet { nodes: 100, ..Fleet::default() },
        Fleet { nodes: 100, fixed: 0.0173, ..Fleet::default() },
        Fleet { fixed: 0.0173, ..Fleet::default() },
    ] {
        fleet.run();
    }
    println!();
    for keeps_place in [true, false] {
        outage(keeps_place);
    }
    Ok(())
}

/// One decision as a local API writes it.
fn decision(number: u32) -> String {
    // Spread over the address space, as attackers are.
    let address = Ipv4Addr::from(0x0b00_0000_u32.wrapping_add(number.wrapping_mul(2_654_435)));
    format!(
        r#"{{"duration":"23h59m59.123456789s","id":{number},"origin":"crowdsec","scenario":"sipguard/auth","scope":"Ip","type":"ban","value":"{address}"}}"#
    )
}

/// An answer that nobody has to hold in memory.
struct Answer {
    numbers: std::ops::Range<u32>,
    last: u32,
    line: VecDeque<u8>,
    bytes: u64,
}

impl Answer {
    fn of(numbers: std::ops::Range<u32>) -> Self {
        let line = br#"{"deleted":null,"new":["#.iter().copied().collect();
        Self { last: numbers.end, numbers, line, bytes: 0 }
    }
}

impl Read for Answer {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        while self.line.len() < buffer.len() {
            let Some(number) = self.numbers.next() else { break };
            self.line.extend(decision(number).bytes());
            let is_last = number + 1 == self.last;
            self.line.extend(if is_last { &b"]}"[..] } else { b"," });
        }
        let count = self.line.read(buffer)?;
        self.bytes += count as u64;
        Ok(count)
    }
}

/// Bytes of this process in memory.
fn resident() -> u64 {
    let text = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = text.split_whitespace().nth(1).and_then(|pages| pages.parse::<u64>().ok());
    pages.unwrap_or_default() * 4096
}

fn mebibytes(bytes: u64) -> u64 {
    bytes >> 20
}

/// What a node pays: reading an answer, and keeping what it says.
fn node() -> Result<()> {
    let (settings, mut words, mut book) =
        (CrowdsecSettings::default(), Words::default(), Book::default());
    let before = resident();
    let mut all = Answer::of(0..DECISIONS);
    let started = Instant::now();
    let answer = read(&mut all, &settings, &mut words)?;
    let (parsed, bytes) = (started.elapsed(), all.bytes);
    ensure!(answer.new.len() == DECISIONS as usize, "{}", answer.new.len());
    let during = resident();
    let started = Instant::now();
    let now = Duration::from_secs(1);
    for one in &answer.new {
        let _ = book.put(one, now, settings.max_decisions);
    }
    let put = started.elapsed();
    drop(answer);
    let after = resident();
    println!(
        "everything: {} decisions, {} MiB of JSON: read within {parsed:.1?}, in the book within {put:.1?}; \
         {} MiB while it is read, {} MiB with the book, of which {} bytes a decision",
        book.len(),
        mebibytes(bytes),
        mebibytes(during.saturating_sub(before)),
        mebibytes(after.saturating_sub(before)),
        after.saturating_sub(before) / u64::from(DECISIONS),
    );
    let started = Instant::now();
    let ended = book.ended(now, None, usize::MAX).found.len();
    println!(
        "looking through all of them for ended ones: {:.1?} ({ended} found)",
        started.elapsed()
    );

    let settings = CrowdsecSettings { max_decisions: 2_000_000, ..settings };
    let mut delta = Answer::of(DECISIONS..DECISIONS + DELTA);
    let started = Instant::now();
    let answer = read(&mut delta, &settings, &mut words)?;
    for one in &answer.new {
        let _ = book.put(one, now, settings.max_decisions);
    }
    let spent = started.elapsed();
    println!(
        "changes: {DELTA} decisions, {} KiB: read and in the book within {spent:.1?}",
        delta.bytes >> 10
    );
    Ok(())
}

/// The lists of the kernel, loaded and attached to nothing.
fn kernel() -> Result<()> {
    let mut kernel = Kernel::load().context("the kernel's lists need root")?;
    let hour = Duration::from_secs(3600);
    let (settings, mut words) = (CrowdsecSettings::default(), Words::default());
    let answer = read(Answer::of(0..DECISIONS), &settings, &mut words)?;
    let mut changes: Vec<_> = answer.new.iter().map(|one| (one.net, Some(hour))).collect();
    drop(answer);
    // The daemon does the same: neighbours share parts of the index.
    changes.sort_unstable();
    let before = resident();
    let (started, mut longest) = (Instant::now(), Duration::ZERO);
    for some in changes.chunks(BATCH) {
        let one = Instant::now();
        ensure!(kernel.decide(some)?.is_empty(), "no room");
        longest = longest.max(one.elapsed());
    }
    println!(
        "kernel: everything within {:.1?}, {BATCH} at a time within {longest:.1?} at most; {} MiB beside the book",
        started.elapsed(),
        mebibytes(resident().saturating_sub(before)),
    );
    // From everywhere.
    let step = changes.len() / DELTA as usize;
    let back: Vec<_> = changes.iter().copied().step_by(step).take(DELTA as usize).collect();
    let some: Vec<_> = back.iter().map(|(net, _)| (*net, None)).collect();
    let started = Instant::now();
    kernel.decide(&some)?;
    let gone = started.elapsed();
    let started = Instant::now();
    kernel.decide(&back)?;
    println!(
        "kernel: {DELTA} taken back within {gone:.1?}, put in within {:.1?}",
        started.elapsed()
    );
    Ok(())
}

/// A fleet and its local API. Times are seconds.
#[derive(Clone, Copy, Debug)]
struct Fleet {
    nodes: usize,
    interval: f64,
    /// Bans a second, each at some node.
    bans: f64,
    /// Copies of the local API that nodes ask instead, each polling the first one
    /// as a node would; 0 is none.
    relays: usize,
    /// What a request costs the local API, and what each decision in it does, with
    /// so many workers.
    fixed: f64,
    each: f64,
    workers: usize,
}

impl Default for Fleet {
    fn default() -> Self {
        Self {
            nodes: 1000,
            interval: 10.0,
            bans: 10_000.0 / 60.0,
            relays: 0,
            // An index on the time of creation, as a real database can have.
            fixed: 0.001,
            each: 15e-6,
            workers: 4,
        }
    }
}

/// Bytes of a decision, and of an answer without any.
const BYTES: f64 = 138.0;
const EMPTY: f64 = 27.0;

/// How long the model runs, and the part at its beginning that does not count.
const SPAN: f64 = 300.0;
const WARM_UP: f64 = 60.0;

/// Up to so many seconds a report waits for others, and is written.
const TOLD: f64 = 0.2;

impl Fleet {
    /// Plays it, poll by poll, and prints what came of it.
    fn run(self) {
        let mut random = Random::new(48);
        let mut chance = move || (random.next() >> 11) as f64 / (1_u64 << 53) as f64;
        let pollers = if self.relays > 0 { self.relays } else { self.nodes };
        // Decisions come evenly: the time of each is its number over the rate.
        let known = |time: f64| ((time - TOLD).max(0.0) * self.bans) as u64;
        let mut due: BinaryHeap<Reverse<(u64, usize)>> =
            (0..pollers).map(|node| Reverse((micro(chance() * self.interval), node))).collect();
        let mut free: BinaryHeap<Reverse<u64>> = (0..self.workers).map(|_| Reverse(0)).collect();
        let mut told = vec![0_u64; pollers];
        let (mut waits, mut busy, mut polls, mut decisions) = (Vec::new(), 0.0, 0_u64, 0_u64);
        let (mut delays, mut middles) = (Vec::new(), Vec::new());
        while let Some(Reverse((at, node))) = due.pop() {
            let asked = second(at);
            if asked > SPAN {
                break;
            }
            let Some(Reverse(worker)) = free.pop() else { break };
            let begun = asked.max(second(worker));
            let new = known(begun).saturating_sub(told[node]);
            let cost = self.fixed + new as f64 * self.each;
            let done = begun + cost;
            free.push(Reverse(micro(done)));
            if asked > WARM_UP {
                waits.push(done - asked);
                busy += cost;
                polls += 1;
                decisions += new;
                // Of the oldest of them, and of the one in the middle.
                let age = |number: u64| done - number as f64 / self.bans;
                delays.push(age(told[node]));
                middles.push(age(u64::midpoint(told[node], known(begun))));
            }
            told[node] = known(begun);
            due.push(Reverse((micro(done + self.interval), node)));
        }
        let counted = SPAN - WARM_UP;
        // Behind a relay another interval goes by.
        let behind = if self.relays > 0 { self.interval } else { 0.0 };
        let bytes = decisions as f64 * BYTES + polls as f64 * EMPTY;
        println!(
            "{} nodes, every {} s, {} relays, {:.1} ms a request: {:.1} polls/s, {:.1} alerts/s, \
             {:.0} decisions ({:.0} KiB) a poll, {:.1} Mbit/s; {:.0} % of {} workers, answers within {:.2} s (p99); \
             a ban is at every node within {:.1} s, at half of them within {:.1} s",
            self.nodes,
            self.interval,
            self.relays,
            self.fixed * 1000.0,
            polls as f64 / counted,
            self.bans,
            decisions as f64 / polls as f64,
            bytes / polls as f64 / 1024.0,
            bytes * 8.0 / counted / 1e6,
            100.0 * busy / counted / self.workers as f64,
            self.workers,
            part(&mut waits, 0.99),
            part(&mut delays, 1.0) + behind,
            part(&mut middles, 0.5) + behind / 2.0,
        );
    }
}

fn micro(seconds: f64) -> u64 {
    (seconds * 1e6) as u64
}

fn second(micro: u64) -> f64 {
    micro as f64 / 1e6
}

fn part(all: &mut [f64], share: f64) -> f64 {
    all.sort_by(f64::total_cmp);
    let last = all.len().saturating_sub(1);
    all.get((last as f64 * share) as usize).copied().unwrap_or_default()
}

/// A local API that is away for a minute, by the schedule that nodes have: what
/// they ask of it when it is back.
fn outage(keeps_place: bool) {
    let interval = Duration::from_secs(10);
    let away = Duration::from_secs(100)..Duration::from_secs(160);
    let mut random = Random::new(49);
    let mut asked = Vec::new();
    let mut whole = 0_u32;
    for _ in 0..1000 {
        let start = Duration::from_millis(random.below(10_000) as u64);
        let mut schedule = Schedule::new(start);
        schedule.answered(start, interval);
        loop {
            let now = schedule.next();
            if away.contains(&now) {
                let reach = if keeps_place { Reach::Nobody } else { Reach::Perhaps };
                schedule.failed(now, interval, reach, random.next() as u32);
                continue;
            }
            if now >= away.end {
                whole += u32::from(schedule.needs_all(now));
                asked.push((now - away.end).as_secs_f64());
                break;
            }
            schedule.answered(now, interval);
        }
    }
    let busiest = (0..120).map(|second| asked.iter().filter(|at| **at as u32 == second).count());
    let (busiest, last) = (busiest.max().unwrap_or_default(), part(&mut asked, 1.0));
    let size = f64::from(whole) * f64::from(DECISIONS) * BYTES / 1e9;
    println!(
        "away for a minute, {}: {whole} of 1000 nodes ask for everything ({size:.0} GB), \
         {busiest} nodes in the busiest second, the last after {last:.0} s",
        if keeps_place { "nobody listened" } else { "answers broke off" },
    );
}
