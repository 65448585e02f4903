//! The task that reads feeds in their turns.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    time::{Duration, Instant},
};

use tokio::{
    sync::oneshot,
    task::{JoinHandle, JoinSet, spawn_blocking},
    time::sleep,
};
use tracing::{debug, warn};

use super::{
    desk::Ask,
    restore::{AllKept, restore_late},
    turns::Turns,
};
use crate::{
    daemon::{Shared, memory::give_back},
    feeds::{FOLDER, FeedError, Kept, fetch},
    policy::FeedSettings,
};

/// How often the wall clock is looked at, at least: it may be set.
const GLANCE: Duration = Duration::from_secs(30);

/// An end that could not be brought about is tried again after this.
const SOON: Duration = Duration::from_millis(200);

/// Somebody who waits, and how many times each feed must end until then.
struct Waiting {
    ends: BTreeMap<String, u32>,
    done: oneshot::Sender<()>,
}

impl Waiting {
    fn ended(&mut self, name: &str) {
        if let Some(ends) = self.ends.get_mut(name) {
            *ends = ends.saturating_sub(1);
        }
        self.ends.retain(|_, ends| *ends > 0);
    }
}

/// Reads feeds for as long as it is let, and keeps what is good of them below
/// the state directory. First comes what an earlier run has kept there, where it
/// is `late`.
pub(in crate::daemon) async fn run(
    shared: Shared,
    state: PathBuf,
    late: Option<JoinHandle<AllKept>>,
) {
    let folder = state.join(FOLDER);
    if let Some(kept) = late {
        restore_late(&shared, kept).await;
    }
    let mut turns = Turns::default();
    let mut jobs: JoinSet<(String, bool)> = JoinSet::new();
    let mut waiting: Vec<Waiting> = Vec::new();
    loop {
        let feeds = shared.daemon().await.feed_turns();
        for gone in turns.set(&feeds, Instant::now()) {
            Kept::forget(&folder, &gone);
        }
        for Ask { names, done } in shared.feeds().take() {
            let ends = |name: String| {
                let ends = turns.hurry(&name, Instant::now())?;
                Some((name, ends))
            };
            waiting.push(Waiting { ends: names.into_iter().filter_map(ends).collect(), done });
        }
        waiting = answered(waiting);
        for (name, settings) in turns.begin(Instant::now()) {
            let (shared, folder) = (shared.clone(), folder.clone());
            jobs.spawn(async move {
                let good = read(shared, folder, name.clone(), settings).await;
                (name, good)
            });
        }
        let wait = turns.next().map(|next| next.saturating_duration_since(Instant::now()));
        let end = shared.daemon().await.next_feed_end().map(|end| end.max(SOON));
        let wait = [wait, end].into_iter().flatten().min().unwrap_or(GLANCE).min(GLANCE);
        tokio::select! {
            () = shared.feeds().rung() => {}
            () = sleep(wait) => end_old(&shared).await,
            Some(Ok((name, good))) = jobs.join_next() => {
                turns.end(&name, good, Instant::now(), getrandom::u32().unwrap_or(u32::MAX / 2));
                waiting.iter_mut().for_each(|one| one.ended(&name));
            }
        }
    }
}

/// Tells those who wait for nothing any more, and gives the others.
fn answered(waiting: Vec<Waiting>) -> Vec<Waiting> {
    let (done, others): (Vec<_>, Vec<_>) = waiting.into_iter().partition(|one| one.ends.is_empty());
    for one in done {
        // Who does not wait any more needs no answer.
        let _ = one.done.send(());
    }
    others
}

/// Reads one feed, on a thread of its own; gives whether that went well.
async fn read(shared: Shared, folder: PathBuf, name: String, settings: FeedSettings) -> bool {
    let job = {
        let (shared, name, settings) = (shared.clone(), name.clone(), settings.clone());
        move || {
            let known = shared.blocking_daemon().begin_feed(&name);
            let started = Instant::now();
            let fetched = fetch(&settings, known.as_ref());
            let (fetching, started) = (started.elapsed(), Instant::now());
            let good = fetched.is_ok();
            let kept = shared.blocking_daemon().feed_read(&name, &settings, fetched);
            debug!(
                "feed {name}: fetched within {fetching:?}, in force within {:?}",
                started.elapsed()
            );
            if let Some(kept) = &kept
                && let Err(error) = kept.write(&folder, &name)
            {
                warn!("feed {name}: cannot be kept over a restart: {error}");
            }
            give_back();
            good && kept.is_some()
        }
    };
    match spawn_blocking(job).await {
        Ok(good) => good,
        Err(error) => {
            let error = FeedError::Http(format!("reading it broke off: {error}"));
            shared.daemon().await.feed_read(&name, &settings, Err(error));
            false
        }
    }
}

/// Ends what has become too old.
async fn end_old(shared: &Shared) {
    if !shared.daemon().await.has_old_feeds() {
        return;
    }
    let shared = shared.clone();
    let work = move || shared.blocking_daemon().end_old_feeds();
    if let Err(error) = spawn_blocking(work).await {
        warn!("entries of old feeds are not removed: {error}");
    }
}
