//! Between those who tell and the one who writes.

use std::{
    mem,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::oneshot;

use super::{
    Line, Report, Span, Totals, Wanted,
    state::{Change, State},
};

/// Changes that wait to be written at most. A disk that stands still for so long
/// costs lines; the state is written anew once it moves again.
const MAX_CHANGES: usize = 16_384;

/// Questions that wait at most.
const MAX_QUESTIONS: usize = 64;

/// Who asks, and for what.
#[derive(Debug)]
pub(super) enum Question {
    Lines(Wanted, oneshot::Sender<Vec<Line>>),
    Totals(Span, oneshot::Sender<Totals>),
}

/// What the writer has to do.
#[derive(Debug, Default)]
pub(super) struct Work {
    pub(super) changes: Vec<Change>,
    pub(super) questions: Vec<Question>,
    /// Changes of the state were lost: write all of it.
    pub(super) rewrite: bool,
    pub(super) closing: bool,
}

/// What all handles and the writer share.
#[derive(Debug, Default)]
pub(super) struct Shared {
    /// As the file is going to be.
    state: Mutex<State>,
    work: Mutex<Work>,
    awake: Condvar,
    report: Mutex<Report>,
    ended: Mutex<bool>,
    end: Condvar,
}

/// Each change of what is behind these locks is complete: a panic elsewhere
/// leaves it good.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Changes the state, here and in the file.
    pub(super) fn set(&self, change: Change) {
        // Both under one lock, so that the file sees changes in this order.
        let mut state = self.state();
        state.apply(&change);
        self.push(change);
    }

    pub(super) fn push(&self, change: Change) {
        let mut work = lock(&self.work);
        if work.changes.len() >= MAX_CHANGES {
            match change {
                Change::Line(_) | Change::Period(_) => lock(&self.report).lost += 1,
                Change::Entry(..) | Change::Ban(..) | Change::Hour(..) => work.rewrite = true,
            }
            return;
        }
        work.changes.push(change);
        self.awake.notify_one();
    }

    pub(super) fn ask<T>(
        &self,
        question: impl FnOnce(oneshot::Sender<T>) -> Question,
    ) -> oneshot::Receiver<T> {
        let (sender, receiver) = oneshot::channel();
        let mut work = lock(&self.work);
        // Who is not let in hears so, for the sender is dropped.
        if work.questions.len() < MAX_QUESTIONS && !work.closing {
            work.questions.push(question(sender));
            self.awake.notify_one();
        }
        receiver
    }

    /// Waits for something to do, for so long at most.
    pub(super) fn wait(&self, patience: Duration) -> Work {
        let deadline = Instant::now() + patience;
        let mut work = lock(&self.work);
        while work.changes.is_empty() && work.questions.is_empty() && !work.rewrite && !work.closing
        {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            work = self.awake.wait_timeout(work, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        let closing = work.closing;
        mem::replace(&mut *work, Work { closing, ..Work::default() })
    }

    pub(super) fn report(&self) -> Report {
        lock(&self.report).clone()
    }

    pub(super) fn set_report(&self, change: impl FnOnce(&mut Report)) {
        change(&mut lock(&self.report));
    }

    pub(super) fn close(&self) {
        lock(&self.work).closing = true;
        self.awake.notify_one();
    }

    pub(super) fn has_ended(&self) {
        *lock(&self.ended) = true;
        self.end.notify_all();
    }

    pub(super) fn wait_for_end(&self, patience: Duration) -> bool {
        let ended = lock(&self.ended);
        let waited = self.end.wait_timeout_while(ended, patience, |ended| !*ended);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Kind;

    fn line() -> Change {
        Change::Line(Line::new(Kind::Ban, "rule:auth"))
    }

    /// A disk that stands still: nobody waits, and memory has an end.
    #[test]
    fn nobody_waits_for_the_disk() {
        let shared = Shared::default();
        (0..MAX_CHANGES + 7).for_each(|_| shared.push(line()));
        assert_eq!(shared.report().lost, 7);
        let who = crate::offender::Offender { source: "192.0.2.7/32".parse().unwrap(), port: None };
        shared.set(Change::Ban(who, None));
        let work = shared.wait(Duration::ZERO);
        assert_eq!((work.changes.len(), work.rewrite), (MAX_CHANGES, true));
        let work = shared.wait(Duration::ZERO);
        assert!(work.changes.is_empty() && !work.rewrite);
    }

    #[test]
    fn questions_are_answered_or_refused() {
        let shared = Shared::default();
        let ask = || shared.ask(|sender| Question::Lines(Wanted::default(), sender));
        let mut asked: Vec<_> = (0..=MAX_QUESTIONS).map(|_| ask()).collect();
        let last = asked.pop().unwrap();
        assert!(last.blocking_recv().is_err());
        let work = shared.wait(Duration::ZERO);
        for question in work.questions {
            let Question::Lines(_, sender) = question else { unreachable!("nobody asked that") };
            sender.send(Vec::new()).unwrap();
        }
        assert!(asked.into_iter().all(|one| one.blocking_recv().is_ok()));
        shared.close();
        assert!(ask().blocking_recv().is_err());
        assert!(shared.wait(Duration::from_secs(60)).closing);
    }
}
