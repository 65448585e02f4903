//! When each feed is read next.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use jiff::Timestamp;

use crate::policy::FeedSettings;

/// After a first failure; doubled with each further one, up to the interval.
const FIRST_RETRY: Duration = Duration::from_secs(30);

/// So much of each wait is left to chance, either way: 1 of so many parts.
/// Servers of lists suffer where all of their readers come at once.
const JITTER: u32 = 10;

#[derive(Debug)]
struct Turn {
    settings: FeedSettings,
    /// `None` while it is being read.
    next: Option<Instant>,
    failures: u32,
    /// It shall be read again at once when it has been read.
    again: bool,
}

/// The turns of all feeds, by name.
#[derive(Debug, Default)]
pub(super) struct Turns(BTreeMap<String, Turn>);

impl Turns {
    /// Brings them to these settings; gives the feeds that are gone. What is
    /// new, or has other settings, is read at once, but for what was read
    /// lately, in an earlier run.
    pub(super) fn set(
        &mut self,
        feeds: &BTreeMap<String, (FeedSettings, Option<Timestamp>)>,
        now: Instant,
    ) -> Vec<String> {
        let on = |name: &str| feeds.get(name).is_some_and(|(settings, _)| settings.enabled);
        let gone: Vec<String> =
            self.0.keys().filter(|name| !feeds.contains_key(*name)).cloned().collect();
        self.0.retain(|name, _| on(name));
        for (name, (settings, last_ok)) in feeds.iter().filter(|(name, _)| on(name)) {
            match self.0.get_mut(name) {
                Some(turn) if turn.settings == *settings => {}
                Some(turn) => {
                    turn.settings = settings.clone();
                    match turn.next {
                        Some(_) => turn.next = Some(now),
                        None => turn.again = true,
                    }
                }
                None => {
                    let interval = settings.interval.duration();
                    let ago = last_ok.and_then(|last| {
                        Duration::try_from(Timestamp::now().duration_since(last)).ok()
                    });
                    let wait = ago.map_or(Duration::ZERO, |ago| interval.saturating_sub(ago));
                    let turn = Turn {
                        settings: settings.clone(),
                        next: now.checked_add(wait),
                        failures: 0,
                        again: false,
                    };
                    self.0.insert(name.clone(), turn);
                }
            }
        }
        gone
    }

    /// Reads a feed at once. Gives how many times it ends until that is done:
    /// what is being read now may be older than the question. `None` where it is
    /// unknown or switched off.
    pub(super) fn hurry(&mut self, name: &str, now: Instant) -> Option<u32> {
        let turn = self.0.get_mut(name)?;
        match &mut turn.next {
            Some(next) => {
                *next = now;
                Some(1)
            }
            None => {
                turn.again = true;
                Some(2)
            }
        }
    }

    /// Feeds whose turn it is; from now on they are being read.
    pub(super) fn begin(&mut self, now: Instant) -> Vec<(String, FeedSettings)> {
        let mut begun = Vec::new();
        for (name, turn) in &mut self.0 {
            if turn.next.is_some_and(|next| next <= now) {
                turn.next = None;
                begun.push((name.clone(), turn.settings.clone()));
            }
        }
        begun
    }

    /// A feed has been read, well or not. `chance` is any number.
    pub(super) fn end(&mut self, name: &str, good: bool, now: Instant, chance: u32) {
        let Some(turn) = self.0.get_mut(name) else { return };
        turn.failures = if good { 0 } else { turn.failures.saturating_add(1) };
        let interval = turn.settings.interval.duration();
        let wait = match turn.failures {
            0 => interval,
            failures => {
                let times = 1 << failures.saturating_sub(1).min(16);
                FIRST_RETRY.saturating_mul(times).min(interval)
            }
        };
        let wait =
            if std::mem::take(&mut turn.again) { Duration::ZERO } else { jittered(wait, chance) };
        turn.next = now.checked_add(wait);
    }

    /// When the next turn comes.
    pub(super) fn next(&self) -> Option<Instant> {
        self.0.values().filter_map(|turn| turn.next).min()
    }
}

/// From nine to eleven tenths of it.
fn jittered(wait: Duration, chance: u32) -> Duration {
    let share = f64::from(chance) / f64::from(u32::MAX);
    wait.mul_f64(1.0 + (2.0 * share - 1.0) / f64::from(JITTER))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::FeedSource;

    fn settings() -> FeedSettings {
        FeedSettings::of(FeedSource::Url("https://lists.example/x".to_owned()))
    }

    fn feeds(of: &[&str]) -> BTreeMap<String, (FeedSettings, Option<Timestamp>)> {
        of.iter().map(|name| ((*name).to_owned(), (settings(), None))).collect()
    }

    /// In the middle of the jitter.
    const HALF: u32 = u32::MAX / 2;

    #[test]
    fn each_waits_for_its_interval_and_failures_are_tried_sooner() {
        let mut turns = Turns::default();
        let now = Instant::now();
        assert!(turns.set(&feeds(&["a"]), now).is_empty());
        assert_eq!(turns.begin(now).len(), 1);
        assert_eq!((turns.begin(now).len(), turns.next()), (0, None));
        let mut wait = |good| {
            turns.end("a", good, now, HALF);
            let wait = turns.next().unwrap() - now;
            assert_eq!(turns.begin(now + wait).len(), 1);
            wait.as_secs_f64().round()
        };
        assert_eq!(wait(true), 3600.0);
        for expected in [30.0, 60.0, 120.0, 240.0, 480.0, 960.0, 1920.0, 3600.0, 3600.0] {
            assert_eq!(wait(false), expected);
        }
        assert_eq!(wait(true), 3600.0);
    }

    #[test]
    fn jitter_is_a_tenth_either_way() {
        let hour = Duration::from_secs(3600);
        assert_eq!(jittered(hour, 0).as_secs_f64().round(), 3240.0);
        assert_eq!(jittered(hour, u32::MAX).as_secs_f64().round(), 3960.0);
    }

    #[test]
    fn new_and_changed_feeds_are_read_at_once_and_those_of_before_in_their_time() {
        let mut turns = Turns::default();
        let now = Instant::now();
        let half_an_hour = Duration::from_secs(1800);
        let mut all = feeds(&["a", "b"]);
        all.get_mut("a").unwrap().1 = Some(Timestamp::now() - half_an_hour);
        turns.set(&all, now);
        let begun = |turns: &mut Turns, now| -> Vec<String> {
            turns.begin(now).into_iter().map(|(name, _)| name).collect()
        };
        assert_eq!(begun(&mut turns, now), ["b"]);
        assert_eq!(begun(&mut turns, now + half_an_hour), ["a"]);
        // While both are read, one gets other settings: once more then.
        all.get_mut("a").unwrap().0.max_entries = 5;
        turns.set(&all, now);
        assert!(turns.begin(now).is_empty());
        turns.end("a", true, now, HALF);
        turns.end("b", true, now, HALF);
        assert_eq!(begun(&mut turns, now), ["a"]);
        assert_eq!((turns.hurry("b", now), turns.hurry("c", now)), (Some(1), None));
        assert_eq!(begun(&mut turns, now), ["b"]);
        // What is asked for while it is read, is read once more.
        assert_eq!(turns.hurry("b", now), Some(2));
        turns.end("b", true, now, HALF);
        assert_eq!(begun(&mut turns, now), ["b"]);
        // Switched off is not gone.
        all.get_mut("a").unwrap().0.enabled = false;
        assert!(turns.set(&all, now).is_empty());
        assert_eq!(turns.hurry("a", now), None);
        assert_eq!(turns.set(&feeds(&["a"]), now), ["b"]);
    }
}
