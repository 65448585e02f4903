//! What must hold each second.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context as _, Result, ensure};

use super::world::World;
use crate::rig::footprint::Footprint;

/// The bounds. What the daemon takes may grow by so much over what it took in
/// the first quarter, in which every deed was done.
const RESIDENT_GROWTH: u64 = 24 << 20;
const RESIDENT: u64 = 128 << 20;
const MAPS: u64 = 300 << 20;
const FILES: usize = 200;
/// Of what is logged: each deed may have lines of its own.
const LOGGED_PER_SECOND: usize = 8 << 10;
const LOGGED_AT_FIRST: usize = 256 << 10;
/// Of the state directory.
const KEPT: u64 = 24 << 20;
/// Entries of the lists: files', and an operator's.
const ENTRIES: f64 = 2_000.0;

/// What was seen at one moment.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) footprint: Footprint,
    pub(super) logged: usize,
    pub(super) kept: u64,
    /// Entries of maps, by their names.
    pub(super) entries: BTreeMap<String, f64>,
}

#[derive(Debug)]
pub(super) struct Checks {
    warm: Duration,
    resident: u64,
    counted: BTreeMap<String, f64>,
}

impl Checks {
    pub(super) fn new(length: Duration) -> Self {
        Self { warm: length / 4, resident: 0, counted: BTreeMap::new() }
    }

    pub(super) fn look(&mut self, world: &mut World<'_>, elapsed: Duration) -> Result<Seen> {
        world.streams().outcome()?.so_far().check()?;
        let pid = world.daemon()?.pid();
        let page = world.page("/metrics")?;
        self.is_monotonic(&page)?;
        let entries = samples(&page, "sipguard_map_entries{");
        let seen = Seen {
            footprint: Footprint::of(pid)?,
            logged: world.logged(),
            kept: world.kept()?,
            entries,
        };
        self.is_flat(&seen, elapsed)?;
        Ok(seen)
    }

    fn is_flat(&mut self, seen: &Seen, elapsed: Duration) -> Result<()> {
        let now = seen.footprint;
        if elapsed <= self.warm {
            self.resident = self.resident.max(now.resident_bytes);
        } else {
            ensure!(
                now.resident_bytes <= self.resident + RESIDENT_GROWTH,
                "memory has grown from {} to {now}",
                self.resident
            );
        }
        ensure!(now.resident_bytes <= RESIDENT && now.map_bytes <= MAPS, "too large: {now}");
        ensure!(now.files <= FILES, "too many files: {now}");
        let logged = LOGGED_AT_FIRST + LOGGED_PER_SECOND * elapsed.as_secs() as usize;
        ensure!(seen.logged <= logged, "{} bytes logged in {elapsed:?}", seen.logged);
        ensure!(seen.kept <= KEPT, "{} bytes in the state directory", seen.kept);
        for list in ["trusted", "blocked"] {
            let sum: f64 =
                seen.entries.iter().filter(|(key, _)| key.contains(list)).map(|(_, n)| n).sum();
            ensure!(sum <= ENTRIES, "{sum} entries {list}");
        }
        Ok(())
    }

    /// Counters never go back, not even when the daemon is another one.
    fn is_monotonic(&mut self, page: &str) -> Result<()> {
        let now = samples(page, "sipguard_packets_total{");
        ensure!(!now.is_empty(), "no counters in {page}");
        for (key, before) in &self.counted {
            let now = now.get(key).with_context(|| format!("{key} is gone"))?;
            ensure!(now >= before, "{key} went from {before} to {now}");
        }
        self.counted = now;
        Ok(())
    }
}

/// The samples of a metric, by their labels.
fn samples(page: &str, name: &str) -> BTreeMap<String, f64> {
    let lines = page.lines().filter_map(|line| line.strip_prefix(name));
    lines
        .filter_map(|line| {
            let (labels, value) = line.rsplit_once("} ")?;
            Some((labels.to_owned(), value.parse().ok()?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::samples;

    #[test]
    fn samples_of_one_metric() {
        let page = "# HELP a_b x\na_b{c=\"d\"} 7\na_bc{c=\"d\"} 8\na_b{c=\"e\"} 1.5\n";
        let found = samples(page, "a_b{");
        assert_eq!(
            found.into_iter().collect::<Vec<_>>(),
            [("c=\"d\"".to_owned(), 7.0), ("c=\"e\"".to_owned(), 1.5)]
        );
    }
}
