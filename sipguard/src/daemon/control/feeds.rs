//! Feeds: what they hold joins the plan, and leaves it with them.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use ipnet::IpNet;
use jiff::Timestamp;
use tracing::{info, warn};

use super::Daemon;
use crate::{
    api::wire::{self, Holder, Listed, Origin},
    daemon::{
        Error,
        feeds::{Feed, Feeds, difference},
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
        let trusted = self.plan.trusted.keys().chain(self.allows.keys());
        self.feeds.statuses(trusted, Timestamp::now())
    }

    /// The same for the control socket.
    #[must_use]
    pub fn feeds_wire(&self) -> wire::Feeds {
        wire::Feeds { feeds: self.feeds().iter().map(feed_wire).collect() }
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

    /// What an earlier run has kept.
    pub(in crate::daemon) fn restore_feeds(&mut self, all: BTreeMap<String, Kept>) {
        let mut feeds = self.feeds.clone();
        for (name, kept) in all {
            if let Some(feed) = feeds.get_mut(&name) {
                feed.kept = Some(Arc::new(kept));
            }
        }
        match self.put_feeds(feeds) {
            Ok(()) => info!("feeds: {} entries of an earlier run hold again", self.plan.fed.len()),
            Err(error) => warn!("feeds: what an earlier run has kept does not hold: {error}"),
        }
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
        let fed = feeds.settle(&self.place.host()?, Timestamp::now());
        if fed != *self.plan.fed {
            let before = std::mem::replace(&mut self.plan.fed, fed.into());
            if let Err(error) = self.filter.apply(&self.plan) {
                self.plan.fed = before;
                return Err(Error::Filter(error));
            }
        }
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
        if let Some(status) = self.feeds().into_iter().find(|status| status.name == name) {
            if status.own > 0 {
                warn!(
                    "feed {name}: {} entries would hit this host or its gateway, and are left out",
                    status.own
                );
            }
            if status.trusted > 0 {
                warn!(
                    "feed {name}: {} entries touch trusted peers, for whom they do not hold",
                    status.trusted
                );
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
        let alive = feeds.filter(|feed| feed.settings.enabled && !feed.is_over());
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

fn feed_wire(status: &Status) -> wire::Feed {
    let Status { name, settings, entries, trusted, own, skipped, age, .. } = status;
    let state = if !settings.enabled {
        "off"
    } else if status.reading {
        "reading"
    } else if status.is_over() {
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
        trusted: *trusted,
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
