//! Feeds: what they hold joins the plan, and leaves it with them.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use ipnet::IpNet;
use jiff::Timestamp;
use tracing::{info, warn};

use super::Daemon;
use crate::{
    alerts::FeedAge,
    api::wire::{self, Holder, Listed, Origin},
    daemon::{
        Error,
        feeds::{AllKept, Feed, Feeds, difference, put, restore},
        nets::{overlap, shown},
    },
    feeds::{FeedError, Fetched, Kept, Status, Version},
    history::{Kind, Line},
    policy::FeedSettings,
    sanitise::sanitise,
};

/// Characters of an error that are kept.
const MAX_ERROR: usize = 300;

/// Smaller lists lose half of their entries in no time.
const SMALL: usize = 20;

impl Daemon {
    /// How each feed is doing.
    #[must_use]
    pub fn feeds(&self) -> Vec<Status> {
        self.feeds.statuses(Timestamp::now())
    }

    /// How long ago each feed in use was last right: one that never was, since the
    /// protection began.
    #[must_use]
    pub fn feed_ages(&self) -> Vec<FeedAge> {
        let running = Timestamp::now().duration_since(self.since);
        let running = Duration::try_from(running).unwrap_or_default();
        let used = self.feeds().into_iter().filter(|feed| feed.settings.enabled);
        let age = |feed: Status| FeedAge {
            name: feed.name,
            age: feed.age.unwrap_or(running),
            max_age: feed.max_age,
        };
        used.map(age).collect()
    }

    /// The same for the control socket.
    #[must_use]
    pub fn feeds_wire(&self) -> wire::Feeds {
        let touching = self.touching_trust();
        let wire = |status: &Status| {
            let trusted = touching.get(status.name.as_str()).copied().unwrap_or_default();
            feed_wire(status, trusted)
        };
        wire::Feeds { feeds: self.feeds().iter().map(wire).collect() }
    }

    fn touching_trust(&self) -> BTreeMap<&str, usize> {
        self.feeds.touching(self.plan.trusted.keys().chain(self.allows.keys()))
    }

    /// The settings of all feeds, each with when its source last said that what
    /// it holds is right; not where it was read by other settings.
    pub(in crate::daemon) fn feed_turns(
        &self,
    ) -> BTreeMap<String, (FeedSettings, Option<Timestamp>)> {
        let turn = |(name, feed): (&String, &Feed)| {
            let kept = feed.kept.as_ref().filter(|kept| kept.version.is_of(&feed.settings));
            (name.clone(), (feed.settings.clone(), kept.map(|kept| kept.last_ok)))
        };
        self.feeds.iter().map(turn).collect()
    }

    /// A feed is being read from now on. Gives the version that is known.
    pub(in crate::daemon) fn begin_feed(&mut self, name: &str) -> Option<Version> {
        let feed = self.feeds.get_mut(name)?;
        feed.reading = true;
        feed.kept.as_ref().map(|kept| kept.version.clone())
    }

    /// Takes over feeds with what an earlier run has kept of them, which the
    /// filter and the plan hold already.
    #[must_use]
    pub(in crate::daemon) fn with_feeds(mut self, feeds: Feeds) -> Self {
        self.feeds = feeds;
        self.tell_old_feeds();
        self
    }

    /// Brings back what an earlier run has kept.
    pub(in crate::daemon) fn restore_feeds(&mut self, all: AllKept) {
        // A reload may have come between.
        self.feeds = restore(all, &mut *self.filter, (&self.place, &mut self.plan));
        self.tell_old_feeds();
    }

    /// A feed has been read by these settings, well or not. Gives what to keep
    /// of it, now that it is in force.
    pub(in crate::daemon) fn feed_read(
        &mut self,
        name: &str,
        settings: &FeedSettings,
        fetched: Result<Fetched, FeedError>,
    ) -> Option<Arc<Kept>> {
        let feed = self.feeds.get_mut(name)?;
        feed.reading = false;
        if feed.settings != *settings {
            // A reload came between; it is read again.
            return None;
        }
        let (old, now) = (feed.kept.clone(), Timestamp::now());
        let kept = match (fetched, &old) {
            (Ok(Fetched::New(read, version)), _) => {
                let mut kept = Kept::new(version, read.skipped, read.nets, now);
                if let Some(old) = old.as_ref().filter(|old| old.nets == kept.nets) {
                    kept.changed = old.changed;
                }
                kept
            }
            (Ok(Fetched::Unchanged), Some(old)) => old.confirmed(now),
            (Ok(Fetched::Unchanged), None) => return None,
            (Err(error), _) => {
                self.feed_failed(name, &error.to_string());
                return None;
            }
        };
        let kept = Arc::new(kept);
        let mut feeds = self.feeds.clone();
        if let Some(feed) = feeds.get_mut(name) {
            (feed.kept, feed.last_error) = (Some(kept.clone()), None);
        }
        let was_failing = self.feeds.get(name).is_some_and(|feed| feed.last_error.is_some());
        if let Err(error) = self.put_feeds(feeds) {
            self.feed_failed(name, &error.to_string());
            return None;
        }
        let before = old.as_ref().map(|old| old.nets.as_slice()).unwrap_or_default();
        self.tell_update(name, before, &kept, was_failing || old.is_none());
        Some(kept)
    }

    /// Lets this hold instead of what feeds hold now: all of it, or nothing.
    fn put_feeds(&mut self, mut feeds: Feeds) -> Result<(), Error> {
        put(&mut feeds, &mut *self.filter, (&self.place, &mut self.plan))?;
        self.feeds = feeds;
        Ok(())
    }

    /// What failed is told once, not each time.
    fn feed_failed(&mut self, name: &str, error: &str) {
        let Some(feed) = self.feeds.get_mut(name) else { return };
        let error = sanitise(error, MAX_ERROR);
        if feed.last_error.as_ref() == Some(&error) {
            return;
        }
        feed.last_error = Some(error.clone());
        let holds = match &feed.kept {
            Some(kept) if !feed.is_over => format!("its version of {} holds on", kept.last_ok),
            _ => "it holds nothing".to_owned(),
        };
        warn!("feed {name}: {error}; {holds}");
        self.record_feed(name, None, format!("failed: {error}; {holds}"));
    }

    fn tell_update(&self, name: &str, before: &[IpNet], kept: &Kept, must_tell: bool) {
        let (added, removed) = difference(before, &kept.nets);
        let (old, new) = (before.len(), kept.nets.len());
        if added + removed == 0 && !must_tell {
            return;
        }
        let words = format!("added {added}, removed {removed}: {new} entries");
        let skipped = kept.skipped;
        info!(target: "sipguard::audit", action = "feed", feed = name, added, removed, entries = new, unreadable = skipped.unreadable, wide = skipped.wide, special = skipped.special);
        let own = self.feeds().into_iter().find(|status| status.name == name);
        if let Some(Status { own: own @ 1.., .. }) = own {
            warn!(
                "feed {name}: {own} entries would hit this host or its gateway, and are left out"
            );
        }
        match self.touching_trust().get(name) {
            None | Some(0) => {}
            Some(count) => {
                warn!("feed {name}: {count} entries touch trusted peers, for whom they do not hold")
            }
        }
        // Who is let in again is still held to every other rule; who stays
        // blocked for a list that nobody keeps any more has no way out.
        if old >= SMALL && new < old / 2 {
            warn!("feed {name}: it has shrunk from {old} entries to {new}");
        }
        self.record_feed(name, Some(format!("{old} entries")), words);
    }

    fn record_feed(&self, name: &str, old: Option<String>, new: String) {
        self.history.add(Line {
            old,
            new: Some(new),
            ..Line::new(Kind::Feed, format!("feed:{name}"))
        });
    }

    /// How long until a feed is too old, on the wall clock.
    pub(in crate::daemon) fn next_feed_end(&self) -> Option<Duration> {
        let feeds = self.feeds().into_iter();
        let alive = feeds.filter(|feed| feed.settings.enabled && !feed.is_over);
        alive.filter_map(|feed| Some(feed.max_age.saturating_sub(feed.age?))).min()
    }

    /// Whether one is too old and holds all the same.
    pub(in crate::daemon) fn has_old_feeds(&self) -> bool {
        let now = Timestamp::now();
        self.feeds
            .iter()
            .any(|(_, feed)| feed.settings.enabled && !feed.is_over && feed.is_too_old(now))
    }

    /// Ends what is too old.
    pub(in crate::daemon) fn end_old_feeds(&mut self) {
        let before: Vec<String> = self.names_of_old_feeds();
        if let Err(error) = self.put_feeds(self.feeds.clone()) {
            warn!("feeds: what is too old holds on: {error}");
            return;
        }
        for name in self.names_of_old_feeds() {
            if !before.contains(&name) {
                self.tell_old_feed(&name);
            }
        }
    }

    fn names_of_old_feeds(&self) -> Vec<String> {
        let old = self.feeds.iter().filter(|(_, feed)| feed.is_over);
        old.map(|(name, _)| name.clone()).collect()
    }

    fn tell_old_feeds(&self) {
        for name in self.names_of_old_feeds() {
            self.tell_old_feed(&name);
        }
    }

    fn tell_old_feed(&self, name: &str) {
        let Some(feed) = self.feeds.get(name) else { return };
        let entries = feed.kept.as_ref().map_or(0, |kept| kept.nets.len());
        let why = feed.last_error.as_deref().unwrap_or("it has not been read since");
        let max_age = feed.settings.max_age;
        warn!(
            "feed {name}: older than {max_age}: none of its {entries} entries holds any more ({why})"
        );
        let new = format!("older than {max_age}: removed {entries}");
        self.record_feed(name, Some(format!("{entries} entries")), new);
    }

    /// Entries of feeds that this chooses.
    pub(super) fn fed_if(&self, chosen: impl Fn(IpNet) -> bool) -> impl Iterator<Item = Listed> {
        let held = self.feeds.held().filter(move |(_, net)| chosen(*net));
        held.map(|(name, net)| Listed {
            target: shown(net),
            origin: Origin::Feed,
            name: Some(name.to_owned()),
            class: None,
            reason: None,
            added: None,
            until: None,
            uid: None,
        })
    }

    /// Of each feed, how many entries touch what is trusted now.
    pub(super) fn outdone_feeds(&self, trusted: IpNet) -> Vec<String> {
        let mut touching = BTreeMap::<&str, usize>::new();
        for (name, _) in self.feeds.held().filter(|(_, net)| overlap(*net, trusted)) {
            *touching.entry(name).or_default() += 1;
        }
        let note = |(name, count)| match count {
            1 => format!("trust wins: an entry of the feed {name} does not hold there"),
            count => format!("trust wins: {count} entries of the feed {name} do not hold there"),
        };
        touching.into_iter().map(note).collect()
    }

    /// Entries of feeds that hold all of a network.
    pub(super) fn fed_over(&self, net: IpNet) -> impl Iterator<Item = Holder> {
        self.feeds.over(net).map(|(name, outer)| Holder {
            target: shown(outer),
            origin: Origin::Feed,
            feed: Some(name.to_owned()),
        })
    }
}

fn feed_wire(status: &Status, trusted: usize) -> wire::Feed {
    let Status { name, settings, entries, own, skipped, age, .. } = status;
    let state = if !settings.enabled {
        "off"
    } else if status.reading {
        "reading"
    } else if status.is_over {
        "over"
    } else if age.is_none() {
        "empty"
    } else if status.last_error.is_some() {
        "failing"
    } else {
        "ok"
    };
    wire::Feed {
        name: name.clone(),
        source: settings.source.to_string(),
        format: settings.format.name().to_owned(),
        enabled: settings.enabled,
        state: state.to_owned(),
        entries: *entries,
        trusted,
        own: *own,
        skipped: *skipped,
        age: age.map(|age| age.as_secs()),
        interval: settings.interval,
        max_age: settings.max_age,
        last_ok: status.last_ok,
        changed: status.changed,
        last_error: status.last_error.clone(),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::{
        daemon::{By, fake::Fake},
        feeds::{Read, Skipped},
        policy::{self, FILES, parse_net},
    };

    const ONE: &str = "[[feeds.feed]]\nname = \"a\"\nurl = \"https://lists.example/a\"\n";

    fn config(main: &str) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for name in FILES {
            fs::write(dir.path().join(name), if name == policy::SETTINGS { main } else { "" })
                .unwrap();
        }
        dir
    }

    fn new(daemon: &Daemon, nets: &[&str]) -> Fetched {
        let (settings, _) = daemon.feed_turns()["a"].clone();
        let mut nets: Vec<IpNet> = nets.iter().map(|net| parse_net(net).unwrap()).collect();
        nets.sort_unstable();
        let read = Read { nets, skipped: Skipped::default(), has_text: true };
        Fetched::New(read, Version::of(&settings))
    }

    fn read(daemon: &mut Daemon, fetched: Result<Fetched, FeedError>) -> bool {
        let (settings, _) = daemon.feed_turns()["a"].clone();
        daemon.feed_read("a", &settings, fetched).is_some()
    }

    #[test]
    fn f47_a_version_holds_as_a_whole_or_the_last_one_does() {
        let (fake, dir) = (Fake::default(), config(ONE));
        let mut daemon = fake.daemon(dir.path());
        let first = new(&daemon, &["192.0.2.1", "192.0.2.2", "10.0.0.2"]);
        assert!(read(&mut daemon, Ok(first)));
        assert_eq!(fake.take(), ["apply 192.0.2.1/32 192.0.2.2/32"], "but for this host");
        // The same once more needs no kernel.
        let same = new(&daemon, &["192.0.2.1", "192.0.2.2", "10.0.0.2"]);
        assert!(read(&mut daemon, Ok(same)) && read(&mut daemon, Ok(Fetched::Unchanged)));
        assert_eq!(fake.take(), [] as [String; 0]);

        fake.asked().refuses = true;
        let second = new(&daemon, &["192.0.2.3"]);
        assert!(!read(&mut daemon, Ok(second)));
        fake.asked().refuses = false;
        fake.take();
        let [status] = daemon.feeds().try_into().unwrap();
        assert_eq!(status.entries, 2);
        assert_eq!(status.last_error.as_deref(), Some("the kernel refused: the list is full"));
        assert!(!read(&mut daemon, Err(FeedError::Status(503))));
        assert_eq!(daemon.feeds()[0].entries, 2);

        let second = new(&daemon, &["192.0.2.3"]);
        assert!(read(&mut daemon, Ok(second)));
        assert_eq!(fake.take(), ["apply 192.0.2.3/32"]);
        assert_eq!(daemon.feeds()[0].last_error, None);
    }

    #[test]
    fn f47_reloads_keep_feeds_and_drop_those_that_are_gone() {
        let (fake, dir) = (Fake::default(), config(ONE));
        let mut daemon = fake.daemon(dir.path());
        let first = new(&daemon, &["192.0.2.1"]);
        assert!(read(&mut daemon, Ok(first)));
        fake.take();
        let (plan, notes) = daemon.place().load().unwrap();
        daemon.replace(plan, notes, By::Signal).unwrap();
        assert_eq!(fake.take(), ["apply 192.0.2.1/32"]);
        // What was read by settings of before is not taken.
        let (before, _) = daemon.feed_turns()["a"].clone();
        fs::write(dir.path().join(policy::SETTINGS), format!("{ONE}max_entries = 7\n")).unwrap();
        let (plan, notes) = daemon.place().load().unwrap();
        assert_eq!(daemon.replace(plan, notes, By::Signal).unwrap().summary, "~1 feeds");
        fake.take();
        let late = new(&daemon, &["192.0.2.9"]);
        assert!(daemon.feed_read("a", &before, Ok(late)).is_none());
        assert_eq!(daemon.feeds()[0].entries, 1);
        assert_eq!(daemon.feed_turns()["a"].1, None, "it is read anew");

        fs::write(dir.path().join(policy::SETTINGS), "").unwrap();
        let (plan, notes) = daemon.place().load().unwrap();
        assert_eq!(daemon.replace(plan, notes, By::Signal).unwrap().summary, "-1 feeds");
        assert_eq!(fake.take(), ["apply "]);
        assert!(daemon.feeds().is_empty());
    }

    #[test]
    fn f47_what_is_too_old_goes_and_comes_back_when_confirmed() {
        let (fake, dir) = (Fake::default(), config(ONE));
        let mut daemon = fake.daemon(dir.path());
        let first = new(&daemon, &["192.0.2.1"]);
        let Fetched::New(read_now, version) = first else { panic!() };
        let long_ago = Timestamp::now() - Duration::from_secs(3 * 86_400 + 1);
        let kept = Kept::new(version, read_now.skipped, read_now.nets, long_ago);
        daemon.restore_feeds(BTreeMap::from([("a".to_owned(), kept)]));
        assert_eq!(fake.take(), [] as [String; 0], "it is too old from the start");
        assert!(daemon.feeds()[0].is_over && !daemon.has_old_feeds());
        assert_eq!(daemon.feeds_wire().feeds[0].state, "over");
        assert!(read(&mut daemon, Ok(Fetched::Unchanged)));
        assert_eq!(fake.take(), ["apply 192.0.2.1/32"]);
        assert_eq!(daemon.feeds_wire().feeds[0].state, "ok");
    }
}
