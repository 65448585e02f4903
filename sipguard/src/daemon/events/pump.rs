//! From the kernel's ring buffer to everybody who wants to know.

use std::{io, sync::Arc, time::Duration};

use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tracing::warn;

use super::{digest::Digest, told::Told};
use crate::{
    daemon::{Shared, ring::Ring},
    kernel::EventReader,
};

/// Events for which the daemon is asked at once.
const BATCH: usize = 64;

/// How often the log says what was dropped.
const MINUTE: Duration = Duration::from_secs(60);

/// Takes events as they come, for as long as the daemon runs.
pub(in crate::daemon) async fn pump(reader: EventReader, shared: Shared) {
    if let Err(error) = run(reader, &shared).await {
        warn!("cannot read events any more: {error}");
    }
}

async fn run(reader: EventReader, shared: &Shared) -> io::Result<()> {
    let mut ring = Ring::watch(reader)?;
    let mut digest = Digest::default();
    begin(shared, &mut digest).await;
    let mut minute = interval_at(Instant::now() + MINUTE, MINUTE);
    minute.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            ready = ring.readable_mut() => {
                let mut ready = ready?;
                take(ready.get_inner_mut().reader(), shared, &mut digest).await;
                ready.clear_ready();
            }
            _ = minute.tick() => turn(shared, &mut digest).await,
        }
    }
}

/// Everything that is there.
async fn take(reader: &mut EventReader, shared: &Shared, digest: &mut Digest) {
    loop {
        let events: Vec<_> = std::iter::from_fn(|| reader.next_event()).take(BATCH).collect();
        if events.is_empty() {
            return;
        }
        let told: Vec<Arc<Told>> = {
            let daemon = shared.daemon().await;
            events.into_iter().filter_map(|event| daemon.told(event)).map(Arc::new).collect()
        };
        for told in told {
            digest.note(&told);
            shared.events().add(&told);
        }
    }
}

/// What an earlier run has dropped, that one has logged.
async fn begin(shared: &Shared, digest: &mut Digest) {
    let daemon = shared.daemon().await;
    if daemon.counted_before().is_some()
        && let Ok(drops) = daemon.drops()
    {
        digest.turn(drops, false);
    }
}

async fn turn(shared: &Shared, digest: &mut Digest) {
    let daemon = shared.daemon().await;
    match daemon.drops() {
        Ok(drops) => digest.turn(drops, daemon.logs_drops()),
        Err(error) => warn!("cannot read the counters: {error}"),
    }
}
