//! From the kernel's ring buffer to the one who decides.

use std::{io, sync::Arc};

use sipguard_common::abi::BanMade;
use tracing::warn;

use crate::{
    daemon::{Shared, ring::Ring},
    kernel::BanReader,
};

/// Bans for which the daemon is asked at once.
const BATCH: usize = 64;

/// Takes bans as they are made, for as long as the daemon runs.
pub(in crate::daemon) async fn pump(reader: BanReader, shared: Shared) {
    if let Err(error) = run(reader, &shared).await {
        warn!("cannot hear of bans any more: {error}");
    }
}

async fn run(reader: BanReader, shared: &Shared) -> io::Result<()> {
    let mut ring = Ring::watch(reader)?;
    loop {
        let mut ready = ring.readable_mut().await?;
        take(ready.get_inner_mut().reader(), shared).await;
        ready.clear_ready();
    }
}

/// Everything that is there.
async fn take(reader: &mut BanReader, shared: &Shared) {
    loop {
        let made: Vec<BanMade> = std::iter::from_fn(|| reader.next_event()).take(BATCH).collect();
        if made.is_empty() {
            return;
        }
        let mut daemon = shared.daemon().await;
        let told: Vec<_> = made.iter().filter_map(|made| daemon.ban_made(made)).collect();
        drop(daemon);
        for told in told {
            shared.events().add(&Arc::new(told));
        }
    }
}
