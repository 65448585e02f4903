//! Looks once a second.

use std::time::{Duration, Instant};

use tokio::time::{MissedTickBehavior, interval};
use tracing::warn;

use super::{Held, rates::Rates};
use crate::daemon::Shared;

const SECOND: Duration = Duration::from_secs(1);

/// Counting what takes long has this part of the time.
const SHARE: u32 = 100;

/// Measures for as long as the daemon runs.
pub(in crate::daemon) async fn beat(shared: Shared) {
    let mut tick = interval(SECOND);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut rates, mut held) = (Rates::default(), Held::default());
    let mut next_count = Instant::now();
    let mut fails = false;
    loop {
        tick.tick().await;
        let readings = {
            let daemon = shared.daemon().await;
            if Instant::now() >= next_count {
                let begun = Instant::now();
                if let Ok(counted) = daemon.held() {
                    held = counted;
                }
                next_count = Instant::now() + begun.elapsed() * SHARE;
            }
            daemon.readings()
        };
        match readings {
            Ok(readings) => {
                fails = false;
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
