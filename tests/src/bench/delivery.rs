//! How many packets of a trusted peer, hidden in a flood, the application reads.
//!
//! They come in the same stream and through the same ring as the flood: a
//! client of its own on the generator's CPU would hide what is lost.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::Result;

use super::{
    filter::{Active, Filter},
    generator::{Generator, Pace},
    numbers::median,
    reader::Reader,
    traffic::{Mix, hidden_among},
};

/// How long the last packets are waited for.
const UNDER_WAY: Duration = Duration::from_millis(50);

/// What became of the hidden packets of one filter at one rate.
#[derive(Clone, Debug)]
pub struct Delivery {
    pub filter: Filter,
    /// Packets a second that were asked for.
    pub rate: u32,
    /// Thousands of packets a second that were sent.
    pub kpps: Vec<f64>,
    /// Shares that were read, round by round.
    pub shares: Vec<f64>,
}

impl Delivery {
    /// The median share.
    #[must_use]
    pub fn share(&self) -> Option<f64> {
        median(&self.shares)
    }
}

/// Lets the filters take turns at one rate.
///
/// # Errors
/// Where something cannot be measured.
pub fn compare(
    filters: &[&Active<'_>],
    rate: u32,
    rounds: u32,
    window: Duration,
) -> Result<Vec<Delivery>> {
    let mut found: Vec<Delivery> = filters
        .iter()
        .map(|active| Delivery {
            filter: active.filter,
            rate,
            kpps: Vec::new(),
            shares: Vec::new(),
        })
        .collect();
    for _ in 0..rounds {
        for (active, delivery) in filters.iter().zip(&mut found) {
            let reader = Reader::start(active.stand)?;
            let generator = Generator::start(active.stand, Mix::Hidden, Pace::Steady(rate))?;
            let started = Instant::now();
            thread::sleep(window);
            let sent = generator.stop()?;
            let seconds = started.elapsed().as_secs_f64();
            thread::sleep(UNDER_WAY);
            let read = reader.stop()?;
            delivery.kpps.push(sent as f64 / seconds / 1e3);
            delivery.shares.push(read.trusted as f64 / hidden_among(sent).max(1) as f64);
        }
    }
    Ok(found)
}
