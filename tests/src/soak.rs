//! A soak: traffic of every kind, an operator who does anything, and faults,
//! for as long as one likes. Each second nothing may have grown, and no packet
//! of the trusted peer may be missing.
//!
//! What happens is drawn from a deck (`deeds`), by a seed, so that a run of a
//! minute has all of it and a long one is not the same again and again.

mod checks;
mod deeds;
mod desk;
mod frames;
mod summary;
mod world;

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};

use self::{checks::Checks, deeds::Deck, world::World};
pub use self::{deeds::Deed, summary::Summary};
use crate::{
    random::Random,
    rig::{bpffs::Bpffs, lab::Lab, mount::Mount, sipguard::state},
};

/// Between two looks.
const TICK: Duration = Duration::from_secs(1);

/// Packets a second of the streams: the machine has other things to do.
const RATE: u32 = 20_000;

/// Deeds of one tick.
const DEEDS: usize = 2;

/// What is wished.
#[derive(Clone, Copy, Debug)]
pub struct Wish {
    pub length: Duration,
    pub seed: u64,
    /// Packets a second of the streams together.
    pub rate: u32,
}

impl Default for Wish {
    fn default() -> Self {
        Self { length: Duration::from_secs(30 * 60), seed: 1, rate: RATE }
    }
}

/// Runs one.
///
/// # Errors
/// Names what has grown, gone missing, or failed, and what was done before.
pub fn run(wish: &Wish, mut tell: impl FnMut(&str)) -> Result<Summary> {
    let lab = Lab::new()?;
    let disk = Mount::new("tmpfs", state(&lab), "size=64m")?;
    let mut random = Random::new(wish.seed);
    // It shows what is mounted by now.
    let bpffs = Bpffs::new(lab.folder())?;
    let mut world = World::new(&lab, &disk, &bpffs, wish.rate, Random::new(random.next()))?;
    let (mut deck, mut checks) = (Deck::default(), Checks::new(wish.length));
    let mut summary = Summary::default();
    let (started, mut told) = (Instant::now(), Instant::now());
    while started.elapsed() < wish.length {
        let tick = Instant::now();
        for _ in 0..DEEDS {
            let deed = deck.draw(&mut random);
            world.do_it(deed).with_context(|| summary.story(deed, started.elapsed()))?;
            summary.note(deed, started.elapsed());
        }
        let seen = checks.look(&mut world, started.elapsed());
        summary.saw(seen.with_context(|| summary.told(started.elapsed()))?);
        if told.elapsed() >= Duration::from_secs(60) {
            told = Instant::now();
            tell(&summary.line(started.elapsed()));
        }
        thread::sleep(TICK.saturating_sub(tick.elapsed()));
    }
    let (outcome, unharmed) = world.end()?;
    summary.end(&outcome, started.elapsed());
    tell(&summary.to_string());
    unharmed.with_context(|| summary.told(started.elapsed()))?;
    Ok(summary)
}
