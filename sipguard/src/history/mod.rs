//! What happened, and what must not be forgotten: the audit log, the entries of
//! operators and the bans, in a file of SQLite under the state directory.
//!
//! Nothing here may stop the protection. All writing is done by a thread of its
//! own, in batches; whoever has something to tell puts it into a queue and goes
//! on. A file that cannot be used makes a warning, and history goes on in
//! memory.

mod file;
mod line;
mod queue;
mod state;
mod store;
mod totals;
mod writer;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, MutexGuard},
    time::Duration,
};

use tokio::sync::{mpsc, oneshot};

pub use self::{
    file::FILE,
    line::{Kind, Line, Wanted},
    state::{Ban, Kept, List, OFFENCE_MEMORY, State},
    totals::{Period, RuleTotal, SourceTotal, Span, Totals},
};
use self::{
    queue::{Question, Shared},
    state::Change,
};
use crate::{offender::Offender, policy::Target};

/// How long lines are kept.
pub const KEPT_DAYS: i64 = 90;

/// Lines that are kept of bans, and of everything else: a flood of the first
/// does not push out who did what.
pub const KEPT_BANS: u32 = 200_000;
pub const KEPT_ACTIONS: u32 = 50_000;

/// Lines of one answer at most.
pub const MAX_LINES: usize = 10_000;

/// Where history is written, and what is wrong with that.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The file, unless history is in memory only.
    pub file: Option<PathBuf>,
    /// Why it is.
    pub problem: Option<String>,
    /// Lines for which there was no room on the way to the file.
    pub lost: u64,
}

/// A handle to the history. It ends when the last of them is dropped.
#[derive(Clone, Debug)]
pub struct History {
    shared: Arc<Shared>,
    _end: Arc<End>,
}

/// Tells the thread that nobody is left.
#[derive(Debug)]
struct End(Arc<Shared>);

impl Drop for End {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl History {
    /// Begins to write into a directory, which is made where it is missing.
    /// What an earlier run has left there comes through the channel: at once, or
    /// first `None`, where it cannot be read now.
    #[must_use]
    pub fn start(directory: &Path) -> (Self, mpsc::UnboundedReceiver<Option<State>>) {
        Self::begin(Some(directory.join(FILE)), store::MAX_PAGES)
    }

    /// Keeps everything in memory, for those who have no directory.
    #[must_use]
    pub fn in_memory() -> Self {
        Self::begin(None, store::MAX_PAGES).0
    }

    fn begin(path: Option<PathBuf>, pages: u32) -> (Self, mpsc::UnboundedReceiver<Option<State>>) {
        let shared = Arc::new(Shared::default());
        let (loaded, receiver) = mpsc::unbounded_channel();
        writer::spawn(Arc::clone(&shared), path, pages, loaded);
        let end = Arc::new(End(Arc::clone(&shared)));
        (Self { shared, _end: end }, receiver)
    }

    /// Adds a line.
    pub fn add(&self, line: Line) {
        self.shared.push(Change::Line(line));
    }

    /// An operator's entry as it is now; `None` where it is gone.
    pub fn set_entry(&self, list: List, target: Target, entry: Option<Kept>) {
        self.shared.set(Change::Entry(list, target, entry));
    }

    /// The last ban of somebody; `None` forgets him.
    pub fn set_ban(&self, who: Offender, ban: Option<Ban>) {
        self.shared.set(Change::Ban(who, ban));
    }

    /// How many endpoints were verified in an hour since 1970, the median of its minutes.
    pub fn set_hour(&self, hour: i64, verified: u64) {
        self.shared.set(Change::Hour(hour, verified));
    }

    /// The same of the last week.
    #[must_use]
    pub fn hours(&self) -> BTreeMap<i64, u64> {
        self.state().hours.clone()
    }

    /// The last ban of somebody, be it over.
    #[must_use]
    pub fn ban(&self, who: &Offender) -> Option<Ban> {
        self.state().bans.get(who).cloned()
    }

    /// Whoever is remembered for a ban that this chooses.
    #[must_use]
    pub fn banned(&self, mut chosen: impl FnMut(&Offender) -> bool) -> Vec<Offender> {
        self.state().bans.keys().copied().filter(|who| chosen(who)).collect()
    }

    /// Asks for lines, which come oldest first. They hold everything that was
    /// added before.
    #[must_use]
    pub fn lines(&self, wanted: Wanted) -> oneshot::Receiver<Vec<Line>> {
        self.shared.ask(|sender| Question::Lines(wanted, sender))
    }

    /// Adds what was counted in a period.
    pub fn add_period(&self, period: Period) {
        self.shared.push(Change::Period(period));
    }

    /// Asks what was counted in a span of time, with all periods that were added
    /// before.
    #[must_use]
    pub fn totals(&self, span: Span) -> oneshot::Receiver<Totals> {
        self.shared.ask(|sender| Question::Totals(span, sender))
    }

    /// Where it is written, and what is wrong with that.
    #[must_use]
    pub fn report(&self) -> Report {
        self.shared.report()
    }

    /// Writes what there is, and ends. Gives false where that took longer.
    #[must_use]
    pub fn close(&self, patience: Duration) -> bool {
        self.shared.close();
        self.shared.wait_for_end(patience)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state()
    }
}

#[cfg(test)]
mod tests;
