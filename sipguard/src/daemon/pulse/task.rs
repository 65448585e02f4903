//! Looks once a second.

use std::time::{Duration, Instant};

use tokio::time::{MissedTickBehavior, interval};
use tracing::warn;

use super::{Held, rates::Rates};
use crate::daemon::Shared;

const SECOND: Duration = Duration::from_secs(1);

/// Counting what takes long has this part of the time.
const SHARE: u32 = 100;

/// What takes long, on a thread of its own: signals and callers who ask for no
/// more than the last second are served meanwhile.
async fn count(shared: &Shared) -> Option<Held> {
    let shared = shared.clone();
    let work = move || shared.blocking_daemon().held().ok();
    tokio::task::spawn_blocking(work).await.ok()?
}

/// Measures for as long as the daemon runs.
pub(in crate::daemon) async fn beat(shared: Shared) {
    let mut tick = interval(SECOND);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut rates, mut held) = (Rates::default(), Held::default());
    let mut next_count = Instant::now();
    let mut fails = false;
    let mut goes_on = shared.daemon().await.counted_before().is_some();
    loop {
        tick.tick().await;
        if Instant::now() >= next_count {
            let begun = Instant::now();
            if let Some(counted) = count(&shared).await {
                held = counted;
            }
            next_count = Instant::now() + begun.elapsed() * SHARE;
        }
        // In a statement of its own, for the daemon is held as long as that.
        let readings = shared.daemon().await.readings();
        match readings {
            Ok(readings) => {
                fails = false;
                if std::mem::take(&mut goes_on) {
                    rates.begin(&readings);
                }
                if let Some(pulse) = rates.turn(readings, &held) {
                    shared.pulse().add(pulse);
                }
            }
            // Said once, and not each second.
            Err(error) if !fails => {
                fails = true;
                warn!("cannot read the counters: {error}");
            }
            Err(_) => {}
        }
    }
}
