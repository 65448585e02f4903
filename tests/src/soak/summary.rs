//! What a soak has done and seen.

use std::{collections::BTreeMap, fmt, time::Duration};

use super::{checks::Seen, deeds::Deed};
use crate::rig::streams::Outcome;

/// Last deeds that a failure tells of.
const LAST: usize = 12;

/// The least and the most of a number, and what it was last.
#[derive(Clone, Copy, Debug, Default)]
struct Range {
    least: f64,
    most: f64,
    last: f64,
    seen: bool,
}

impl Range {
    fn note(&mut self, value: f64) {
        let least = if self.seen { self.least.min(value) } else { value };
        *self = Self { least, most: self.most.max(value), last: value, seen: true };
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1} to {:.1}, at last {:.1}", self.least, self.most, self.last)
    }
}

/// What a soak has done and seen so far.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    deeds: BTreeMap<Deed, usize>,
    last: Vec<(Duration, Deed)>,
    resident: Range,
    maps: Range,
    files: Range,
    logged: Range,
    kept: Range,
    entries: BTreeMap<String, Range>,
    looks: usize,
    ended: String,
}

impl Summary {
    /// How often something was done.
    #[must_use]
    pub fn count(&self, deed: Deed) -> usize {
        self.deeds.get(&deed).copied().unwrap_or_default()
    }

    pub(super) fn note(&mut self, deed: Deed, at: Duration) {
        *self.deeds.entry(deed).or_default() += 1;
        self.last.push((at, deed));
        let gone = self.last.len().saturating_sub(LAST);
        self.last.drain(..gone);
    }

    pub(super) fn saw(&mut self, seen: Seen) {
        self.looks += 1;
        self.resident.note(seen.footprint.resident_bytes as f64 / 1e6);
        self.maps.note(seen.footprint.map_bytes as f64 / 1e6);
        self.files.note(seen.footprint.files as f64);
        self.logged.note(seen.logged as f64 / 1e3);
        self.kept.note(seen.kept as f64 / 1e3);
        for (map, entries) in seen.entries {
            self.entries.entry(map).or_default().note(entries);
        }
    }

    pub(super) fn end(&mut self, outcome: &Outcome, took: Duration) {
        self.ended = format!("{outcome}; {} s in all", took.as_secs());
    }

    /// What fails, for whoever looks for the reason.
    pub(super) fn story(&self, deed: Deed, at: Duration) -> String {
        format!("{deed:?} has failed; {}", self.told(at))
    }

    pub(super) fn told(&self, at: Duration) -> String {
        let last: Vec<String> = self
            .last
            .iter()
            .map(|(at, deed)| format!("{:.1} {deed:?}", at.as_secs_f64()))
            .collect();
        format!("after {:.1} s; the last deeds: {}", at.as_secs_f64(), last.join(", "))
    }

    /// In one line.
    pub(super) fn line(&self, at: Duration) -> String {
        format!(
            "{:>5} s: {} deeds, {:.1} MB resident, {:.0} files, {:.0} kB logged, {:.0} kB kept",
            at.as_secs(),
            self.deeds.values().sum::<usize>(),
            self.resident.last,
            self.files.last,
            self.logged.last,
            self.kept.last
        )
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "traffic: {}", self.ended)?;
        let deeds: Vec<String> =
            self.deeds.iter().map(|(deed, count)| format!("{count} {deed:?}")).collect();
        writeln!(f, "deeds: {}", deeds.join(", "))?;
        writeln!(f, "looks: {}", self.looks)?;
        writeln!(f, "memory of the daemon, MB: {}", self.resident)?;
        writeln!(f, "memory of the maps, MB: {}", self.maps)?;
        writeln!(f, "open files: {}", self.files)?;
        writeln!(f, "logged, kB: {}", self.logged)?;
        writeln!(f, "state directory, kB: {}", self.kept)?;
        for (map, range) in &self.entries {
            writeln!(f, "entries of {map}: {range}")?;
        }
        Ok(())
    }
}
