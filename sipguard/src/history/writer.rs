//! The thread that writes.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use tokio::sync::mpsc::UnboundedSender;
use tracing::{info, warn};

use super::{
    Line, Wanted, file,
    queue::{Question, Shared, Work},
    state::{Change, State},
    store::{Store, StoreError},
};
use crate::rights::of_worker;

/// How often a file that could not be used is tried again.
const RETRY: Duration =
    if cfg!(test) { Duration::from_millis(200) } else { Duration::from_secs(60) };

/// How often what is too old or too much is removed, and after how many changes
/// at the latest.
const PRUNE: Duration = Duration::from_secs(3600);
const PRUNE_CHANGES: usize = 10_000;

/// Lines that are taken along when history has to go on in memory or in another file.
const TAKEN_ALONG: usize = 1000;

/// Begins to write into a file of so many pages, or into memory without one.
pub(super) fn spawn(
    shared: Arc<Shared>,
    path: Option<PathBuf>,
    pages: u32,
    loaded: UnboundedSender<Option<State>>,
) {
    let kept = Arc::clone(&shared);
    let begun = thread::Builder::new().name("history".to_owned()).spawn(move || {
        of_worker();
        Writer::new(&shared, path, pages, loaded).run();
        shared.has_ended();
    });
    if let Err(error) = begun {
        warn!("history is not kept: {error}");
        kept.set_report(|report| report.problem = Some(error.to_string()));
        kept.has_ended();
    }
}

struct Writer<'a> {
    shared: &'a Shared,
    path: Option<PathBuf>,
    pages: u32,
    loaded: UnboundedSender<Option<State>>,
    /// Whether what an earlier run has left was read.
    is_loaded: bool,
    store: Option<Store>,
    /// Of a store in memory, where there should be a file: the last line that
    /// the file has, too, and when it is tried again.
    away: Option<(i64, Instant)>,
    pruned: Instant,
    /// Since then.
    changes: usize,
}

impl<'a> Writer<'a> {
    fn new(
        shared: &'a Shared,
        path: Option<PathBuf>,
        pages: u32,
        loaded: UnboundedSender<Option<State>>,
    ) -> Self {
        Self {
            shared,
            path,
            pages,
            loaded,
            is_loaded: false,
            store: None,
            away: None,
            pruned: Instant::now(),
            changes: 0,
        }
    }

    fn run(mut self) {
        match self.path.clone() {
            Some(path) => self.open(&path),
            None => self.store = in_memory(),
        }
        self.prune();
        loop {
            let Work { changes, questions, rewrite, closing } = self.shared.wait(RETRY);
            self.write(&changes, rewrite);
            for question in questions {
                // Who has gone needs no answer.
                match question {
                    Question::Lines(wanted, sender) => {
                        let _ = sender.send(self.lines(&wanted));
                    }
                    Question::Totals(span, sender) => {
                        let _ = sender.send(self.read(|store| store.totals(&span)));
                    }
                }
            }
            if closing {
                return;
            }
            self.changes += changes.len();
            if self.changes >= PRUNE_CHANGES || self.pruned.elapsed() >= PRUNE {
                self.prune();
            }
            if let (Some((_, again)), Some(path)) = (self.away, self.path.clone())
                && Instant::now() >= again
            {
                self.open(&path);
            }
        }
    }

    /// Takes up the file, with all that was told meanwhile.
    fn open(&mut self, path: &Path) {
        let opened = file::open(path, self.pages, |aside, why| {
            warn!("history: {}: {why}: set aside as {}", path.display(), aside.display());
        });
        let taken = match opened {
            Err(error) => Err(error.to_string()),
            Ok(store) => self.take_up(store).map_err(|error| error.to_string()),
        };
        match taken {
            Ok(()) => {
                if self.away.take().is_some() {
                    info!("history is written to {} again", path.display());
                }
                self.shared.set_report(|report| {
                    report.file = Some(path.to_owned());
                    report.problem = None;
                });
            }
            Err(problem) => self.go_away(problem),
        }
    }

    fn take_up(&mut self, mut store: Store) -> Result<(), StoreError> {
        let earlier = store.state()?;
        let now = {
            let mut state = self.shared.state();
            if !self.is_loaded {
                state.merge(&earlier);
            }
            state.clone()
        };
        if now != earlier {
            store.set_state(&now)?;
        }
        if let (Some(memory), Some((last, _))) = (&self.store, self.away) {
            store.add(&memory.lines_after(last)?)?;
        }
        if !self.is_loaded {
            self.is_loaded = true;
            // Nobody waits for it in tests, or where the daemon ends.
            let _ = self.loaded.send(Some(earlier));
        }
        self.store = Some(store);
        Ok(())
    }

    /// Goes on in memory for a while.
    fn go_away(&mut self, problem: String) {
        let again = Instant::now() + RETRY;
        if self.shared.report().problem.as_ref() != Some(&problem) {
            warn!(
                "history: {problem}: it goes on in memory, and what is banned, blocked and allowed \
                 by hand now would not survive a restart"
            );
        }
        self.shared.set_report(|report| {
            report.file = None;
            report.problem = Some(problem);
        });
        if let Some((_, due)) = &mut self.away {
            *due = again;
            return;
        }
        if !self.is_loaded {
            let _ = self.loaded.send(None);
        }
        let along = self.last_lines();
        let mut last = 0;
        self.store = in_memory().and_then(|mut memory| {
            memory.add(&along).ok()?;
            last = memory.newest().ok()?;
            Some(memory)
        });
        self.away = Some((last, again));
    }

    /// The newest lines, as far as they can still be read, of a store that ends.
    fn last_lines(&mut self) -> Vec<Line> {
        let wanted = Wanted { limit: TAKEN_ALONG, ..Wanted::default() };
        self.store.take().and_then(|store| store.lines(&wanted).ok()).unwrap_or_default()
    }

    fn write(&mut self, changes: &[Change], rewrite: bool) {
        if changes.is_empty() && !rewrite {
            return;
        }
        let Err(error) = self.try_write(changes, rewrite) else { return };
        self.failed(&error);
        // Of the state, all is written by now that there is.
        let lines: Vec<Line> = changes
            .iter()
            .filter_map(|change| match change {
                Change::Line(line) => Some(line.clone()),
                Change::Entry(..) | Change::Ban(..) | Change::Hour(..) | Change::Period(..) => None,
            })
            .collect();
        let added = self.store.as_mut().map(|store| store.add(&lines));
        if !matches!(added, Some(Ok(()))) {
            self.shared.set_report(|report| report.lost += lines.len() as u64);
        }
    }

    fn try_write(&mut self, changes: &[Change], rewrite: bool) -> Result<(), StoreError> {
        let Some(store) = &mut self.store else { return Ok(()) };
        store.apply(changes)?;
        if rewrite {
            let state = self.shared.state().clone();
            store.set_state(&state)?;
        }
        Ok(())
    }

    /// The file, or memory, has failed.
    fn failed(&mut self, error: &StoreError) {
        let (Some(path), None) = (self.path.clone(), self.away) else {
            warn!("history: {error}: begins anew in memory");
            self.store = in_memory();
            return;
        };
        if error.is_of_content() {
            // Closed first, so that nothing is written to it any more.
            let along = self.last_lines();
            match file::put_aside(&path, error) {
                Ok(aside) => {
                    warn!("history: {}: {error}: set aside as {}", path.display(), aside.display());
                    self.open(&path);
                }
                Err(error) => self.go_away(error.to_string()),
            }
            if let Some(Err(error)) = self.store.as_mut().map(|store| store.add(&along)) {
                warn!("history: lines of the file that was set aside stay there: {error}");
            }
            return;
        }
        self.go_away(format!("cannot write {}: {error}", path.display()));
    }

    fn lines(&mut self, wanted: &Wanted) -> Vec<Line> {
        self.read(|store| store.lines(wanted))
    }

    fn read<T: Default>(&mut self, what: impl Fn(&Store) -> Result<T, StoreError>) -> T {
        let Some(store) = &self.store else { return T::default() };
        match what(store) {
            Ok(found) => found,
            Err(error) => {
                self.failed(&error);
                let store = self.store.as_ref();
                store.and_then(|store| what(store).ok()).unwrap_or_default()
            }
        }
    }

    fn prune(&mut self) {
        (self.pruned, self.changes) = (Instant::now(), 0);
        let now = Timestamp::now();
        self.shared.state().tidy(now);
        let pruned = self.store.as_mut().map(|store| store.prune(now));
        if let Some(Err(error)) = pruned {
            self.failed(&error);
        }
    }
}

fn in_memory() -> Option<Store> {
    Store::in_memory().inspect_err(|error| warn!("history is not kept: {error}")).ok()
}

/// A writer that does something, and then meets an error of its file.
#[cfg(test)]
pub(super) fn fail_once(
    shared: &Shared,
    path: &Path,
    loaded: UnboundedSender<Option<State>>,
    error: &StoreError,
    between: impl FnOnce(),
) {
    let mut writer = Writer::new(shared, Some(path.to_owned()), super::store::MAX_PAGES, loaded);
    writer.open(path);
    between();
    writer.write(&shared.wait(Duration::ZERO).changes, false);
    writer.failed(error);
}
