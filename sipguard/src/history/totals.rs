//! Counts of the past: so much of each rule, and of each of the busiest sources,
//! in each period of some minutes.

use std::cmp::Reverse;

use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, Transaction, params};

use super::store::Result;

/// Came after the first version of the file, which may be without them. Times
/// are milliseconds since 1970 in UTC: the end of the period.
pub(super) const TABLES: &str = "
CREATE TABLE IF NOT EXISTS rule_counts (
    at INTEGER NOT NULL,
    rule TEXT NOT NULL,
    packets INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    would INTEGER NOT NULL,
    PRIMARY KEY (at, rule)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS source_counts (
    at INTEGER NOT NULL,
    source TEXT NOT NULL,
    packets INTEGER NOT NULL,
    dropped INTEGER NOT NULL,
    rule TEXT NOT NULL,
    method TEXT,
    PRIMARY KEY (at, source)
) WITHOUT ROWID;
";

/// What was counted in one period.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Period {
    /// Its end, to the millisecond.
    pub at: Timestamp,
    pub rules: Vec<RuleTotal>,
    pub sources: Vec<SourceTotal>,
}

/// So much under one rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuleTotal {
    pub rule: String,
    pub packets: u64,
    pub bytes: u64,
    /// What it would have dropped while its mode was `observe`.
    pub would: u64,
}

/// So much of one source. In a flood these are estimates.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceTotal {
    /// An address, or an IPv6 network that counts as one source.
    pub source: String,
    pub packets: u64,
    pub dropped: u64,
    /// What its last packet was judged by.
    pub rule: String,
    /// Of the last request whose method was read.
    pub method: Option<String>,
}

/// Which periods somebody wants, added up.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    pub since: Timestamp,
    /// The width of a step of [`Totals::steps`].
    pub step: SignedDuration,
    /// Sources at most.
    pub sources: usize,
}

/// The sum of some periods.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// The end of the first period that was found.
    pub first: Option<Timestamp>,
    pub rules: Vec<RuleTotal>,
    /// By when the step begins, and rule.
    pub steps: Vec<(Timestamp, RuleTotal)>,
    /// Who had most dropped first.
    pub sources: Vec<SourceTotal>,
    /// How many there were.
    pub all_sources: usize,
}

impl Totals {
    /// Takes in a period that ended behind all others.
    pub fn add(&mut self, period: &Period, span: &Span) {
        self.first = self.first.or(Some(period.at));
        let width = span.step.as_millis().max(1);
        let since = i128::from(span.since.as_millisecond());
        let begun = (i128::from(period.at.as_millisecond()) - since) / width * width + since;
        let begun = i64::try_from(begun).ok().and_then(time).unwrap_or(period.at);
        for rule in &period.rules {
            add_up(&mut self.rules, rule);
            let step =
                self.steps.iter_mut().find(|(at, one)| *at == begun && one.rule == rule.rule);
            match step {
                Some((_, sum)) => sum.add(rule),
                None => self.steps.push((begun, rule.clone())),
            }
        }
        for source in &period.sources {
            match self.sources.iter_mut().find(|one| one.source == source.source) {
                Some(sum) => {
                    sum.packets = sum.packets.saturating_add(source.packets);
                    sum.dropped = sum.dropped.saturating_add(source.dropped);
                    sum.rule.clone_from(&source.rule);
                    sum.method = source.method.clone().or(sum.method.take());
                }
                None => {
                    self.all_sources += 1;
                    self.sources.push(source.clone());
                }
            }
        }
        self.sources.sort_by_key(|one| (Reverse(one.dropped), Reverse(one.packets)));
    }
}

impl RuleTotal {
    fn add(&mut self, more: &Self) {
        self.packets = self.packets.saturating_add(more.packets);
        self.bytes = self.bytes.saturating_add(more.bytes);
        self.would = self.would.saturating_add(more.would);
    }
}

/// Adds to what is there of the same period.
pub(super) fn add(transaction: &Transaction<'_>, period: &Period) -> Result<()> {
    let at = period.at.as_millisecond();
    let mut rules = transaction.prepare_cached(
        "INSERT INTO rule_counts VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO UPDATE SET
         packets = packets + excluded.packets, bytes = bytes + excluded.bytes,
         would = would + excluded.would",
    )?;
    for RuleTotal { rule, packets, bytes, would } in &period.rules {
        rules.execute(params![at, rule, whole(*packets), whole(*bytes), whole(*would)])?;
    }
    let mut sources = transaction.prepare_cached(
        "INSERT INTO source_counts VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO UPDATE SET
         packets = packets + excluded.packets, dropped = dropped + excluded.dropped,
         rule = excluded.rule, method = coalesce(excluded.method, method)",
    )?;
    for SourceTotal { source, packets, dropped, rule, method } in &period.sources {
        let (packets, dropped) = (whole(*packets), whole(*dropped));
        sources.execute(params![at, source, packets, dropped, rule, method])?;
    }
    Ok(())
}

pub(super) fn sum(connection: &Connection, span: &Span) -> Result<Totals> {
    let since = span.since.as_millisecond();
    let first = "SELECT min(at) FROM rule_counts WHERE at >= ?1";
    let first: Option<i64> = connection.query_row(first, [since], |row| row.get(0))?;
    let width = i64::try_from(span.step.as_millis()).unwrap_or(i64::MAX).max(1);
    let mut totals = Totals { first: first.and_then(time), ..Totals::default() };
    let mut steps = connection.prepare_cached(
        "SELECT (at - ?1) / ?2, rule, sum(packets), sum(bytes), sum(would) FROM rule_counts
         WHERE at >= ?1 GROUP BY 1, 2 ORDER BY 1, 2",
    )?;
    let mut rows = steps.query([since, width])?;
    while let Some(row) = rows.next()? {
        let step: i64 = row.get(0)?;
        let total = RuleTotal {
            rule: row.get(1)?,
            packets: count(row.get(2)?),
            bytes: count(row.get(3)?),
            would: count(row.get(4)?),
        };
        add_up(&mut totals.rules, &total);
        if let Some(at) = time(since.saturating_add(step.saturating_mul(width))) {
            totals.steps.push((at, total));
        }
    }
    totals.all_sources = connection.query_row(
        "SELECT count(DISTINCT source) FROM source_counts WHERE at >= ?1",
        [since],
        |row| row.get(0).map(|all: i64| usize::try_from(all).unwrap_or(0)),
    )?;
    // With a single max(), SQLite takes the other columns from its row.
    let mut sources = connection.prepare_cached(
        "SELECT source, sum(packets), sum(dropped), rule, method, max(at) FROM source_counts
         WHERE at >= ?1 GROUP BY source ORDER BY 3 DESC, 2 DESC, 1 LIMIT ?2",
    )?;
    let most = i64::try_from(span.sources).unwrap_or(i64::MAX);
    let mut rows = sources.query([since, most])?;
    while let Some(row) = rows.next()? {
        totals.sources.push(SourceTotal {
            source: row.get(0)?,
            packets: count(row.get(1)?),
            dropped: count(row.get(2)?),
            rule: row.get(3)?,
            method: row.get(4)?,
        });
    }
    Ok(totals)
}

/// Removes what ended before a time.
pub(super) fn prune(transaction: &Transaction<'_>, before: i64) -> Result<()> {
    transaction.execute("DELETE FROM rule_counts WHERE at < ?1", [before])?;
    transaction.execute("DELETE FROM source_counts WHERE at < ?1", [before])?;
    Ok(())
}

fn add_up(rules: &mut Vec<RuleTotal>, more: &RuleTotal) {
    if let Some(sum) = rules.iter_mut().find(|sum| sum.rule == more.rule) {
        sum.add(more);
    } else {
        rules.push(more.clone());
    }
}

/// SQLite has signed numbers only.
fn whole(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn count(whole: i64) -> u64 {
    u64::try_from(whole).unwrap_or(0)
}

fn time(millisecond: i64) -> Option<Timestamp> {
    Timestamp::from_millisecond(millisecond).ok()
}
