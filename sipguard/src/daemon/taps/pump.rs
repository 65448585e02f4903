//! From the kernel's ring buffer to those who have asked.

use std::{io, sync::Arc};

use tokio::task::yield_now;
use tracing::warn;

use crate::{
    capture::Frame,
    daemon::{Shared, ring::Ring},
    kernel::{Tapped, TappedReader},
};

/// Packets for which the daemon is asked at once.
const BATCH: usize = 128;

/// Takes packets as they come, for as long as the daemon runs.
pub(in crate::daemon) async fn pump(reader: TappedReader, shared: Shared) {
    if let Err(error) = run(reader, &shared).await {
        warn!("cannot read captured packets any more: {error}");
    }
}

async fn run(reader: TappedReader, shared: &Shared) -> io::Result<()> {
    let mut ring = Ring::watch(reader)?;
    loop {
        let mut ready = ring.readable_mut().await?;
        take(ready.get_inner_mut().reader(), shared).await;
        ready.clear_ready();
    }
}

/// Everything that is there.
async fn take(reader: &mut TappedReader, shared: &Shared) {
    loop {
        let tapped: Vec<Tapped> = std::iter::from_fn(|| reader.next_packet()).take(BATCH).collect();
        if tapped.is_empty() {
            return;
        }
        give(&tapped, shared).await;
        // They may come faster than they are taken, and others want to go on.
        yield_now().await;
    }
}

async fn give(tapped: &[Tapped], shared: &Shared) {
    let named = |signature| move |one: &Tapped| (one.head.signature != 0) == signature;
    // A reload may hold the daemon for a while, and most packets have no
    // signature to be named.
    let daemon = match tapped.iter().any(named(true)) {
        true => Some(shared.daemon().await),
        false => None,
    };
    for Tapped { head, frame } in tapped {
        let name = daemon.as_ref().and_then(|daemon| daemon.signature_name(head.signature));
        if let Some(frame) = Frame::new(head, frame, name) {
            shared.taps().give(&Arc::new(frame), head.taps);
        }
    }
}
