//! What an earlier run has kept of feeds: it holds before the first packet is
//! judged, unless the disk takes long.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use tokio::task::{JoinHandle, spawn_blocking};
use tracing::{info, warn};

use super::Feeds;
use crate::{
    daemon::{Error, Filter, Place, Shared, memory::give_back},
    feeds::{FOLDER, Kept},
    policy::Plan,
};

/// By the names of feeds.
pub(in crate::daemon) type AllKept = BTreeMap<String, Kept>;

/// Begins to read what was kept of a plan's feeds below the state directory.
pub(in crate::daemon) fn read_kept(state: &Path, plan: &Plan) -> JoinHandle<AllKept> {
    let (folder, names): (PathBuf, Vec<String>) =
        (state.join(FOLDER), plan.feeds.keys().cloned().collect());
    spawn_blocking(move || {
        let read = |name: String| match Kept::read(&folder, &name) {
            Ok(kept) => Some((name, kept?)),
            Err(error) => {
                warn!("feed {name}: what was kept of it cannot be read: {error}");
                None
            }
        };
        names.into_iter().filter_map(read).collect()
    })
}

/// Lets it hold, as far as it may. Where the kernel refuses, feeds hold nothing
/// until they are read.
pub(in crate::daemon) fn restore(
    kept: AllKept,
    filter: &mut dyn Filter,
    (place, plan): (&Place, &mut Plan),
) -> Feeds {
    let empty = Feeds::default().under(&plan.feeds);
    if kept.is_empty() {
        return empty;
    }
    let mut feeds = empty.clone();
    feeds.keep(kept);
    let done = put(&mut feeds, filter, (place, plan));
    give_back();
    match done {
        Ok(()) => {
            info!("feeds: {} entries of an earlier run hold again", plan.fed.len());
            feeds
        }
        Err(error) => {
            warn!("feeds: what an earlier run has kept does not hold: {error}");
            empty
        }
    }
}

/// The same, of what could not be read before the first packet.
pub(super) async fn restore_late(shared: &Shared, kept: JoinHandle<AllKept>) {
    let kept = match kept.await {
        Ok(kept) => kept,
        Err(error) => return warn!("what was kept of feeds is not in force: {error}"),
    };
    let shared = shared.clone();
    let work = move || shared.blocking_daemon().restore_feeds(kept);
    if let Err(error) = spawn_blocking(work).await {
        warn!("what was kept of feeds is not in force: {error}");
    }
}

/// Lets feeds hold instead of what the plan has of them now: all, or nothing.
pub(in crate::daemon) fn put(
    feeds: &mut Feeds,
    filter: &mut dyn Filter,
    (place, plan): (&Place, &mut Plan),
) -> Result<(), Error> {
    let fed = feeds.settle(&place.host()?, Timestamp::now());
    if fed != *plan.fed {
        let before = std::mem::replace(&mut plan.fed, fed.into());
        if let Err(error) = filter.apply(plan) {
            plan.fed = before;
            return Err(Error::Filter(error));
        }
    }
    Ok(())
}
