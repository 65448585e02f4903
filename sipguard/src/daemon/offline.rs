//! What can be asked and done while no daemon runs, but its filter does: by the
//! maps that it has left in the kernel, and its history.

use std::{path::Path, time::Duration};

use jiff::Timestamp;
use tracing::warn;

use super::{Daemon, Entered, Entry, Error, Place};
use crate::{
    history::{History, Kept, List, State},
    kernel::{Earlier, Kernel, KernelError, ListKind, Pins},
};

/// How long the history is waited for, when it is read and when it is written.
const PATIENCE: Duration = Duration::from_secs(3);

/// What the lists hold is read only where somebody wants to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    Counters,
    Lists,
}

/// Does something with a filter that has no daemon; `None` where there is none.
/// Nobody else can use it meanwhile.
///
/// # Errors
/// Its maps are of another version, or the kernel refuses.
pub fn without_daemon<T>(
    pins: &Path,
    depth: Depth,
    work: impl FnOnce(&mut Daemon) -> Result<T, Error>,
) -> Result<Option<Result<T, Error>>, KernelError> {
    let Some(pins) = Pins::find(pins)? else { return Ok(None) };
    if pins.earlier()? == Earlier::Nothing {
        return Ok(None);
    }
    let (mut kernel, mut plan, attached) = Kernel::open(pins)?;
    if attached.is_empty() {
        return Ok(None);
    }
    let since = kernel.since();
    let history = match kernel.state() {
        Some(state) => open_history(&state),
        None => None,
    };
    let (history, state) = history.unwrap_or_else(|| (History::in_memory(), State::default()));
    let mut entered = Entered::default();
    if depth == Depth::Lists {
        kernel.read_lists(&mut plan)?;
        entered = entries(&kernel, &state);
    }
    // Files have no part in this: what holds is what the kernel holds.
    let place = Place::new("the configuration".into());
    let mut daemon = Daemon::new(Box::new(kernel), place, plan, attached)
        .with_history(history.clone())
        .with_entries(entered)
        .counting_since(since);
    let done = work(&mut daemon);
    drop(daemon);
    if !history.close(PATIENCE) {
        warn!("this is not written down: the history does not answer");
    }
    Ok(Some(done))
}

/// The history of the daemon that is gone, and what it has left.
fn open_history(directory: &Path) -> Option<(History, State)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().ok()?;
    let (history, mut earlier) = History::start(directory);
    let loaded = runtime.block_on(async { tokio::time::timeout(PATIENCE, earlier.recv()).await });
    match loaded {
        Ok(Some(Some(state))) => Some((history, state)),
        _ => {
            warn!("the history cannot be read: who made which entry is not known");
            Some((history, State::default()))
        }
    }
}

/// What the kernel holds of operators, with what the history says of it.
fn entries(kernel: &Kernel, state: &State) -> Entered {
    let mut entered = Entered::default();
    let entry = |list, target, left: Option<Duration>| {
        let known = state.entries.get(&(list, target)).cloned();
        let added = Timestamp::now();
        let kept = known.unwrap_or(Kept { added, until: None, reason: None, uid: 0 });
        let deadline = left.map(|left| std::time::Instant::now() + left);
        Entry { added: kept.added, deadline, reason: kept.reason, uid: kept.uid }
    };
    for (target, left) in kernel.operators(ListKind::Blocked) {
        entered.blocks.set(target.net, entry(List::Blocked, target, left));
    }
    for (target, left) in kernel.operators(ListKind::Trusted) {
        entered.allows.set(target, entry(List::Trusted, target, left));
    }
    entered
}
