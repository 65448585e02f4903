//! Entries that the operator made at run time, kept apart from those of the
//! files: a reload does not touch them.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use jiff::{SignedDuration, Timestamp, Unit};

use crate::{history::Kept, ttl::Ttl};

/// One entry of the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// When it was made, or last replaced.
    pub added: Timestamp,
    /// When it ends, on the clock that the kernel program reads too: a step of
    /// the wall clock changes nothing.
    pub deadline: Option<Instant>,
    pub reason: Option<String>,
    /// The user who made it.
    pub uid: u32,
}

impl Entry {
    /// When the entry ends, or ended, on the wall clock as it stands now. To
    /// the second, or else it would differ a little each time.
    #[must_use]
    pub fn until(&self, now: Instant) -> Option<Timestamp> {
        let deadline = self.deadline?;
        let left = SignedDuration::try_from(deadline.saturating_duration_since(now)).ok()?;
        let over = SignedDuration::try_from(now.saturating_duration_since(deadline)).ok()?;
        Timestamp::now().checked_add(left.checked_sub(over)?).ok()?.round(Unit::Second).ok()
    }

    /// The entry as it is kept over a restart.
    #[must_use]
    pub fn kept(&self, now: Instant) -> Kept {
        let until = self.deadline.and_then(|deadline| {
            let left = SignedDuration::try_from(deadline.saturating_duration_since(now)).ok()?;
            Timestamp::now().checked_add(left).ok()?.round(Unit::Millisecond).ok()
        });
        Kept { added: self.added, until, reason: self.reason.clone(), uid: self.uid }
    }

    /// An entry of an earlier run; `None` where it has ended since. The wall
    /// clock may have been set back: it never holds longer than it was made for.
    #[must_use]
    pub fn restored(kept: &Kept, now: Instant) -> Option<Self> {
        let Kept { added, until, reason, uid } = kept;
        let deadline = match until {
            None => None,
            Some(until) => Some(now.checked_add(remaining(*added, *until)?)?),
        };
        Some(Self { added: *added, deadline, reason: reason.clone(), uid: *uid })
    }

    /// How much longer the entry holds, from one second on.
    #[must_use]
    pub fn left(&self, now: Instant) -> Option<Ttl> {
        Ttl::from_seconds(self.deadline?.saturating_duration_since(now).as_secs())
    }
}

/// How much longer something holds that was made then; `None` where it has
/// ended.
#[must_use]
pub(super) fn remaining(made: Timestamp, until: Timestamp) -> Option<Duration> {
    let left = until.duration_since(Timestamp::now()).min(until.duration_since(made));
    Duration::try_from(left).ok().filter(|left| !left.is_zero())
}

/// The operator's entries of one list.
#[derive(Debug)]
pub struct Entries<K>(BTreeMap<K, Entry>);

impl<K> Default for Entries<K> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<K: Ord + Copy> Entries<K> {
    /// Adds an entry, or replaces the one with this key and returns it.
    pub fn set(&mut self, key: K, entry: Entry) -> Option<Entry> {
        self.0.insert(key, entry)
    }

    /// Removes an entry and returns it.
    pub fn remove(&mut self, key: &K) -> Option<Entry> {
        self.0.remove(key)
    }

    #[must_use]
    pub fn get(&self, key: &K) -> Option<&Entry> {
        self.0.get(key)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&K, &Entry)> {
        self.0.iter()
    }

    pub fn keys(&self) -> impl Iterator<Item = &K> {
        self.0.keys()
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Keys of the entries that have ended.
    #[must_use]
    pub fn expired(&self, now: Instant) -> Vec<K> {
        let ended = |entry: &Entry| entry.deadline.is_some_and(|deadline| deadline <= now);
        self.0.iter().filter(|(_, entry)| ended(entry)).map(|(key, _)| *key).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(deadline: Option<Instant>) -> Entry {
        Entry { added: Timestamp::now(), deadline, reason: None, uid: 0 }
    }

    #[test]
    fn a_second_entry_replaces_the_first() {
        let mut entries = Entries::default();
        assert_eq!(entries.set(1, entry(None)), None);
        let now = Instant::now();
        assert!(entries.set(1, entry(Some(now))).is_some());
        assert_eq!(entries.len(), 1);
        assert_eq!(entries.get(&1).and_then(|entry| entry.deadline), Some(now));
    }

    #[test]
    fn entries_end_at_their_deadline_and_never_without_one() {
        let now = Instant::now();
        let second = Duration::from_secs(1);
        let mut entries = Entries::default();
        entries.set(1, entry(Some(now)));
        entries.set(2, entry(Some(now + second)));
        entries.set(3, entry(None));
        assert_eq!(entries.expired(now), [1]);
        assert_eq!(entries.expired(now + second), [1, 2]);
    }

    #[test]
    fn the_end_is_shown_on_the_wall_clock() {
        let now = Instant::now();
        let minute = Duration::from_secs(60);
        let left = |entry: Entry, now| {
            let until = entry.until(now)?;
            Some(until.duration_since(Timestamp::now()).as_secs())
        };
        let later = left(entry(Some(now + minute)), now).unwrap();
        assert!((58..=61).contains(&later), "{later}");
        let before = left(entry(Some(now)), now + minute).unwrap();
        assert!((-62..=-59).contains(&before), "{before}");
        assert_eq!(left(entry(None), now), None);
    }

    /// N11: an entry that comes back ends when it would have.
    #[test]
    fn n11_a_restart_changes_no_end() {
        let now = Instant::now();
        let before = entry(Some(now + Duration::from_secs(90)));
        let kept = before.kept(now);
        let after = Entry::restored(&kept, Instant::now()).unwrap();
        let (before, after) = (before.deadline.unwrap(), after.deadline.unwrap());
        let off = before.max(after) - before.min(after);
        assert!(off < Duration::from_millis(500), "{off:?}");
        assert_eq!(Entry::restored(&entry(None).kept(now), now).unwrap().deadline, None);
    }

    #[test]
    fn what_ended_meanwhile_is_gone_and_no_clock_makes_it_longer() {
        let at = |seconds: i64| Timestamp::now() + SignedDuration::from_secs(seconds);
        assert_eq!(remaining(at(-60), at(-1)), None);
        let left = remaining(at(-60), at(60)).unwrap();
        assert!((59..=60).contains(&left.as_secs()), "{left:?}");
        // Made in what is the future now.
        let left = remaining(at(1_000_000), at(1_000_060)).unwrap();
        assert!((59..=60).contains(&left.as_secs()), "{left:?}");
    }

    #[test]
    fn what_is_left_is_a_time_to_live() {
        let now = Instant::now();
        let left = |millis| entry(Some(now + Duration::from_millis(millis))).left(now);
        assert_eq!(left(90_500), "90s".parse().ok());
        assert_eq!(left(999), None);
        assert_eq!(entry(None).left(now), None);
    }
}
