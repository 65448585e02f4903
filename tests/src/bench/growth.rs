//! What a packet costs as the policy grows.

use anyhow::Result;

use super::{
    capacity::flood,
    filter::Active,
    numbers::{median, median_ratio},
    plan::Effort,
    policy,
    stand::Stand,
    traffic::Mix,
};
use crate::rig::footprint::map_bytes;

/// How a policy of one size did, round by round.
#[derive(Clone, Debug)]
pub struct Size {
    /// Signatures or networks.
    pub count: u32,
    /// Nanoseconds for each packet.
    pub rounds: Vec<f64>,
    /// Shares of its CPU that the receiving thread has had.
    pub busy: Vec<f64>,
    /// Bytes of the maps.
    pub map_bytes: u64,
}

impl Size {
    /// The median cost.
    #[must_use]
    pub fn cost(&self) -> Option<f64> {
        median(&self.rounds)
    }
}

/// How many times as much the last size costs as the first.
#[must_use]
pub fn growth(sizes: &[Size]) -> Option<f64> {
    median_ratio(&sizes.last()?.rounds, &sizes.first()?.rounds)
}

/// REGISTER with a scanner's User-Agent, among so many signatures.
///
/// # Errors
/// Where something cannot be measured.
pub fn signatures(counts: &[u32], effort: &Effort) -> Result<Vec<Size>> {
    sizes(counts, effort, |count| (policy::with(count as usize, policy::NETWORKS), Mix::Scanner))
}

/// REGISTER of blocked sources, one of each network.
///
/// # Errors
/// Where something cannot be measured.
pub fn networks(counts: &[u32], effort: &Effort) -> Result<Vec<Size>> {
    sizes(counts, effort, |count| (policy::with(policy::SIGNATURES, count), Mix::Blocked(count)))
}

fn sizes(
    counts: &[u32],
    effort: &Effort,
    of: impl Fn(u32) -> (crate::rig::policy::Policy, Mix),
) -> Result<Vec<Size>> {
    let stands = counts.iter().map(|_| Stand::new()).collect::<Result<Vec<_>>>()?;
    let mut filters = Vec::with_capacity(counts.len());
    let mut sizes = Vec::with_capacity(counts.len());
    for (stand, &count) in stands.iter().zip(counts) {
        let active = Active::sipguard_with(stand, &of(count).0)?;
        let map_bytes = map_bytes(active.sipguard()?.pid())?;
        sizes.push(Size { count, rounds: Vec::new(), busy: Vec::new(), map_bytes });
        filters.push(active);
    }
    for _ in 0..effort.rounds {
        for (active, size) in filters.iter().zip(&mut sizes) {
            let span = flood(active, of(size.count).1, effort.window)?;
            size.rounds.push(span.cost()?);
            size.busy.push(span.busy());
        }
    }
    Ok(sizes)
}
