//! What an earlier run has kept of decisions: it holds before the first packet is
//! judged, unless the disk takes long, and without a local API.

use std::{io, path::Path, time::Instant};

use jiff::Timestamp;
use tokio::{
    task::{JoinHandle, spawn_blocking},
    time::timeout_at,
};
use tracing::{info, warn};

use super::decisions::Decisions;
use crate::{
    crowdsec::Kept,
    daemon::{Filter, Place, Shared},
    policy::Plan,
};

/// What is being read; none where it was, or nothing was kept.
pub(in crate::daemon) type Late = Option<JoinHandle<io::Result<Kept>>>;

/// Begins to read what was kept below the state directory of a plan's local API.
pub(in crate::daemon) fn read_kept(state: &Path, plan: &Plan) -> Late {
    let settings = &plan.crowdsec;
    let (url, _) = settings.bouncer()?;
    let (state, url, most) = (state.to_owned(), url.to_owned(), settings.max_decisions);
    Some(spawn_blocking(move || Kept::read(&state, &url, Timestamp::now(), most)))
}

/// Lets it hold, where it is read by the deadline; gives what is late.
pub(in crate::daemon) async fn restore(
    late: Late,
    deadline: Instant,
    filter: &mut dyn Filter,
    (place, plan): (&Place, &Plan),
) -> (Decisions, Late) {
    let mut decisions = Decisions::default();
    let Some(mut reading) = late else { return (decisions, None) };
    match timeout_at(deadline.into(), &mut reading).await {
        Err(_) => {
            warn!("decisions take long to read: they come back later");
            return (decisions, Some(reading));
        }
        Ok(Ok(kept)) => hold(kept, &mut decisions, filter, (place, plan)),
        Ok(Err(error)) => warn!("what was kept of decisions is not in force: {error}"),
    }
    (decisions, None)
}

/// The same of what comes late.
pub(super) async fn restore_late(shared: &Shared, late: Late) {
    let Some(reading) = late else { return };
    let Ok(kept) = reading.await else { return };
    let shared = shared.clone();
    let work = move || shared.blocking_daemon().restore_decisions(kept);
    // What went wrong was said.
    let _ = spawn_blocking(work).await;
}

/// Lets it hold.
pub(in crate::daemon) fn hold(
    kept: io::Result<Kept>,
    decisions: &mut Decisions,
    filter: &mut dyn Filter,
    (place, plan): (&Place, &Plan),
) {
    let kept = match kept {
        Ok(Kept(all)) if all.is_empty() => return,
        Ok(kept) => kept,
        Err(error) => {
            return warn!("crowdsec: what was kept of decisions cannot be read: {error}");
        }
    };
    let host = place.host().map_err(crate::daemon::Error::Host);
    let most = plan.crowdsec.max_decisions;
    match host.and_then(|host| decisions.restore(&kept, most, (filter, &host))) {
        Ok(()) => info!("crowdsec: {} decisions of an earlier run hold again", decisions.len()),
        Err(error) => warn!("crowdsec: decisions of an earlier run do not hold: {error}"),
    }
}
