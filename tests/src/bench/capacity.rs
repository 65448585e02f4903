//! What a packet costs at saturation.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use aya::{
    programs::loaded_programs,
    sys::{Stats, enable_stats},
};

use super::{
    filter::{Active, Filter},
    generator::{Generator, Pace},
    numbers::{median, median_ratio},
    plan::Effort,
    reader::Reader,
    stand::Span,
    traffic::Mix,
};
use crate::rig::lab::WAN;

/// How long a flood goes on before it is measured.
const SETTLE: Duration = Duration::from_millis(150);

/// How a filter did with one mix, round by round.
#[derive(Clone, Debug)]
pub struct Costs {
    pub filter: Filter,
    /// Nanoseconds of the NAPI thread for each packet.
    pub rounds: Vec<f64>,
    /// Millions of packets a second that were received.
    pub mpps: Vec<f64>,
    /// Shares of its CPU that the receiving thread has had.
    pub busy: Vec<f64>,
    /// Nanoseconds of the XDP program alone for each packet, under this flood.
    pub program: Option<f64>,
}

/// The costs of all filters with one mix.
#[derive(Clone, Debug)]
pub struct Comparison {
    pub mix: Mix,
    pub costs: Vec<Costs>,
}

impl Comparison {
    fn of(&self, filter: Filter) -> Option<&Costs> {
        self.costs.iter().find(|costs| costs.filter == filter)
    }

    /// Median nanoseconds for each packet.
    #[must_use]
    pub fn cost(&self, filter: Filter) -> Option<f64> {
        median(&self.of(filter)?.rounds)
    }

    /// How many times as much one filter costs as the other.
    #[must_use]
    pub fn ratio(&self, filter: Filter, base: Filter) -> Option<f64> {
        median_ratio(&self.of(filter)?.rounds, &self.of(base)?.rounds)
    }
}

/// Lets the filters take turns with one mix.
///
/// # Errors
/// Where something cannot be measured.
pub fn compare(filters: &[&Active<'_>], mix: Mix, effort: &Effort) -> Result<Comparison> {
    let mut costs: Vec<Costs> = filters
        .iter()
        .map(|active| Costs {
            filter: active.filter,
            rounds: Vec::new(),
            mpps: Vec::new(),
            busy: Vec::new(),
            program: None,
        })
        .collect();
    for _ in 0..effort.rounds {
        for (active, costs) in filters.iter().zip(&mut costs) {
            let span = flood(active, mix, effort.window)
                .with_context(|| format!("{} with {}", mix.name(), active.filter.name()))?;
            costs.rounds.push(span.cost()?);
            costs.mpps.push(span.mpps());
            costs.busy.push(span.busy());
        }
    }
    for (active, costs) in filters.iter().zip(&mut costs) {
        costs.program = program_cost(active, mix, effort.window)?;
    }
    Ok(Comparison { mix, costs })
}

/// Floods a filter for a while, with an application behind it.
///
/// # Errors
/// Where something cannot be measured.
pub fn flood(active: &Active<'_>, mix: Mix, window: Duration) -> Result<Span> {
    let reader = Reader::start(active.stand)?;
    let generator = Generator::start(active.stand, mix, Pace::Fastest)?;
    thread::sleep(SETTLE);
    let before = active.stand.snapshot()?;
    thread::sleep(window);
    let after = active.stand.snapshot()?;
    generator.stop()?;
    reader.stop()?;
    Ok(Span::between(&before, &after))
}

/// What the kernel says of the attached program's own run time under the flood:
/// what a warm test run hides, such as cache misses, is in it. A measurement of
/// its own, for keeping the time costs time.
fn program_cost(active: &Active<'_>, mix: Mix, window: Duration) -> Result<Option<f64>> {
    let Some(id) = active.stand.lab().xdp_program(WAN)? else { return Ok(None) };
    let usage = || -> Result<(u64, u64)> {
        let info = loaded_programs()
            .filter_map(Result::ok)
            .find(|info| u64::from(info.id()) == id)
            .context("the program is gone")?;
        Ok((info.run_time().as_nanos().try_into()?, info.run_count()))
    };
    // For as long as this is held, and as long as anybody else holds one.
    let _statistics = enable_stats(Stats::RunTime).context("run time statistics")?;
    let started = Instant::now();
    let before = usage()?;
    flood(active, mix, window.min(Duration::from_millis(300)))?;
    let after = usage()?;
    let runs = after.1 - before.1;
    anyhow::ensure!(runs > 0, "the program has not run for {:?}", started.elapsed());
    Ok(Some((after.0 - before.0) as f64 / runs as f64))
}
