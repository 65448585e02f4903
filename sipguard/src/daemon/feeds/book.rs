//! What feeds hold, and how they are doing.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use ipnet::IpNet;
use jiff::Timestamp;

use crate::{
    daemon::{Host, nets::covers},
    feeds::{Kept, Ranges, Status},
    policy::{FeedSettings, Target},
};

/// One feed.
#[derive(Clone, Debug)]
pub(in crate::daemon) struct Feed {
    pub(in crate::daemon) settings: FeedSettings,
    /// The last good version.
    pub(in crate::daemon) kept: Option<Arc<Kept>>,
    /// That one was too old.
    pub(in crate::daemon) is_over: bool,
    pub(in crate::daemon) last_error: Option<String>,
    pub(in crate::daemon) reading: bool,
    /// What is in force of it: without what would hit this host.
    held: Arc<[IpNet]>,
}

impl Feed {
    fn new(settings: FeedSettings) -> Self {
        let held = Arc::default();
        Self { settings, kept: None, is_over: false, last_error: None, reading: false, held }
    }

    /// The same by other settings: they hold for what is kept, too.
    fn under(&self, settings: &FeedSettings) -> Self {
        let kept = self.kept.clone().and_then(|kept| kept.under(settings));
        Self { settings: settings.clone(), kept, ..self.clone() }
    }

    /// Whether its last good version is too old.
    pub(in crate::daemon) fn is_too_old(&self, now: Timestamp) -> bool {
        let max_age = self.settings.max_age.duration();
        self.kept.as_ref().is_some_and(|kept| age(kept, now) >= max_age)
    }
}

/// How long ago the source last said that a version holds. Where the clock was
/// set back since, not at all.
fn age(kept: &Kept, now: Timestamp) -> Duration {
    now.duration_since(kept.last_ok).try_into().unwrap_or_default()
}

/// All feeds, by name. A clone is cheap, and shares what they hold.
#[derive(Clone, Debug, Default)]
pub(in crate::daemon) struct Feeds(BTreeMap<String, Feed>);

impl Feeds {
    /// The feeds of a plan. Those that are here already keep what holds by their
    /// settings of now.
    pub(in crate::daemon) fn under(&self, plan: &BTreeMap<String, FeedSettings>) -> Self {
        let of = |(name, settings): (&String, &FeedSettings)| {
            let feed = self.0.get(name).map(|feed| feed.under(settings));
            (name.clone(), feed.unwrap_or_else(|| Feed::new(settings.clone())))
        };
        Self(plan.iter().map(of).collect())
    }

    /// Takes over what an earlier run has kept.
    pub(in crate::daemon) fn keep(&mut self, all: BTreeMap<String, Kept>) {
        for (name, kept) in all {
            if let Some(feed) = self.0.get_mut(&name) {
                feed.kept = Arc::new(kept).under(&feed.settings);
            }
        }
    }

    pub(in crate::daemon) fn get(&self, name: &str) -> Option<&Feed> {
        self.0.get(name)
    }

    pub(in crate::daemon) fn get_mut(&mut self, name: &str) -> Option<&mut Feed> {
        self.0.get_mut(name)
    }

    pub(in crate::daemon) fn iter(&self) -> impl Iterator<Item = (&String, &Feed)> {
        self.0.iter()
    }

    /// Decides what is in force, and gives it: without what is too old, switched
    /// off, or would hit this host or its gateway.
    pub(in crate::daemon) fn settle(&mut self, host: &Host, now: Timestamp) -> BTreeSet<IpNet> {
        let own: Ranges =
            host.addresses.iter().chain(&host.gateways).copied().map(IpNet::from).collect();
        let mut all = Vec::new();
        for feed in self.0.values_mut() {
            feed.is_over = feed.settings.enabled && feed.is_too_old(now);
            let kept = feed.kept.as_ref().filter(|_| feed.settings.enabled && !feed.is_over);
            let nets = kept.map(|kept| kept.nets.as_slice()).unwrap_or_default();
            feed.held = nets.iter().copied().filter(|net| !own.touch(*net)).collect();
            all.extend_from_slice(&feed.held);
        }
        // Built from what is sorted, a set is made at once.
        all.sort_unstable();
        all.into_iter().collect()
    }

    /// What is in force, entry by entry, with the feed's name.
    pub(in crate::daemon) fn held(&self) -> impl Iterator<Item = (&str, IpNet)> {
        self.0.iter().flat_map(|(name, feed)| feed.held.iter().map(|net| (name.as_str(), *net)))
    }

    /// The entries that hold all of a network.
    pub(in crate::daemon) fn over(&self, net: IpNet) -> impl Iterator<Item = (&str, IpNet)> {
        self.held().filter(move |(_, outer)| covers(*outer, net))
    }

    /// How they are doing.
    pub(in crate::daemon) fn statuses(&self, now: Timestamp) -> Vec<Status> {
        self.0.iter().map(|(name, feed)| status(name, feed, now)).collect()
    }

    /// Of each feed, how many entries do not hold for some of the trusted.
    pub(in crate::daemon) fn touching<'a>(
        &self,
        trusted: impl Iterator<Item = &'a Target>,
    ) -> BTreeMap<&str, usize> {
        let trusted: Ranges = trusted.map(|target| target.net).collect();
        let touching = |feed: &Feed| feed.held.iter().filter(|net| trusted.touch(**net)).count();
        self.0.iter().map(|(name, feed)| (name.as_str(), touching(feed))).collect()
    }
}

fn status(name: &str, feed: &Feed, now: Timestamp) -> Status {
    let Feed { settings, kept, held, last_error, reading, is_over } = feed;
    let kept = kept.as_deref();
    let is_in_force = settings.enabled && !is_over;
    let all = kept.filter(|_| is_in_force).map_or(0, |kept| kept.nets.len());
    Status {
        name: name.to_owned(),
        entries: held.len(),
        own: all.saturating_sub(held.len()),
        skipped: kept.map(|kept| kept.skipped).unwrap_or_default(),
        age: kept.map(|kept| age(kept, now)),
        max_age: settings.max_age.duration(),
        last_ok: kept.map(|kept| kept.last_ok),
        changed: kept.map(|kept| kept.changed),
        last_error: last_error.clone(),
        reading: *reading,
        is_over: *is_over,
        settings: settings.clone(),
    }
}

/// How many entries are new, and how many gone. Both are sorted.
pub(in crate::daemon) fn difference(old: &[IpNet], new: &[IpNet]) -> (usize, usize) {
    let missing = |one: &[IpNet], other: &[IpNet]| {
        one.iter().filter(|net| other.binary_search(net).is_err()).count()
    };
    (missing(new, old), missing(old, new))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        feeds::{Skipped, Version},
        policy::{FeedSource, parse_net},
        ttl::Ttl,
    };

    fn nets(nets: &[&str]) -> Vec<IpNet> {
        let mut nets: Vec<IpNet> = nets.iter().map(|net| parse_net(net).unwrap()).collect();
        nets.sort_unstable();
        nets
    }

    fn settings() -> FeedSettings {
        FeedSettings::of(FeedSource::Url("https://lists.example/x".to_owned()))
    }

    fn now() -> Timestamp {
        "2026-01-02T03:04:05Z".parse().unwrap()
    }

    fn host() -> Host {
        Host {
            addresses: vec!["203.0.113.1".parse().unwrap()],
            gateways: vec!["203.0.113.126".parse().unwrap()],
        }
    }

    fn feeds(of: &[(&str, &[&str])]) -> Feeds {
        let plan = of.iter().map(|(name, _)| ((*name).to_owned(), settings())).collect();
        let mut feeds = Feeds::default().under(&plan);
        for (name, list) in of {
            let version = Version::of(&settings());
            let kept = Kept::new(version, Skipped::default(), nets(list), now());
            feeds.get_mut(name).unwrap().kept = Some(kept.into());
        }
        feeds
    }

    #[test]
    fn what_is_in_force_is_the_union_without_this_host() {
        let mut feeds = feeds(&[
            ("a", &["192.0.2.1", "203.0.113.0/24", "203.0.113.126"]),
            ("b", &["192.0.2.1", "198.51.100.0/24"]),
        ]);
        let fed = feeds.settle(&host(), now());
        assert_eq!(fed.into_iter().collect::<Vec<_>>(), nets(&["192.0.2.1", "198.51.100.0/24"]));
        let over: Vec<_> =
            feeds.over(parse_net("192.0.2.1").unwrap()).map(|(name, _)| name).collect();
        assert_eq!(over, ["a", "b"]);
        let peer: Target = "198.51.100.7:5060".parse().unwrap();
        let [a, b] = feeds.statuses(now()).try_into().unwrap();
        assert_eq!((a.entries, a.own), (1, 2));
        assert_eq!((b.entries, b.own), (2, 0));
        assert_eq!(feeds.touching([&peer].into_iter()), BTreeMap::from([("a", 0), ("b", 1)]));
    }

    #[test]
    fn too_old_and_switched_off_feeds_hold_nothing() {
        let mut feeds = feeds(&[("a", &["192.0.2.1"]), ("b", &["192.0.2.2"])]);
        feeds.get_mut("b").unwrap().settings.enabled = false;
        let age = Ttl::THREE_DAYS.duration();
        assert_eq!(feeds.settle(&host(), now() + age - Duration::from_secs(1)).len(), 1);
        assert!(feeds.settle(&host(), now() + age).is_empty());
        assert!(feeds.get("a").unwrap().is_over);
        // A clock that was set back ends nothing.
        assert_eq!(feeds.settle(&host(), now() - Duration::from_secs(1_000_000)).len(), 1);
    }

    #[test]
    fn a_reload_keeps_what_stays_and_forgets_what_goes() {
        let feeds = feeds(&[("a", &["192.0.2.1"]), ("b", &["192.0.2.2"])]);
        let other = FeedSettings { max_entries: 1, ..settings() };
        let plan = BTreeMap::from([("b".to_owned(), other.clone()), ("c".to_owned(), settings())]);
        let mut feeds = feeds.under(&plan);
        assert!(feeds.get("a").is_none());
        assert_eq!(feeds.get("b").unwrap().settings, other);
        assert_eq!(
            feeds.settle(&host(), now()).into_iter().collect::<Vec<_>>(),
            nets(&["192.0.2.2"])
        );
    }

    #[test]
    fn f47_tightened_settings_act_at_once() {
        let feeds = feeds(&[("a", &["192.0.2.1", "198.51.100.0/24", "2001:db8::/48"])]);
        let holds = |other: FeedSettings| {
            let mut feeds = feeds.under(&BTreeMap::from([("a".to_owned(), other)]));
            let fed = feeds.settle(&host(), now());
            let [status] = feeds.statuses(now()).try_into().unwrap();
            assert_eq!((status.entries, status.own), (fed.len(), 0));
            (fed.into_iter().collect::<Vec<_>>(), status.skipped.wide)
        };
        let tight = FeedSettings { min_prefix_v4: 25, ..settings() };
        assert_eq!(holds(tight.clone()), (nets(&["192.0.2.1", "2001:db8::/48"]), 1));
        let tight_v6 = FeedSettings { min_prefix_v6: 64, ..settings() };
        assert_eq!(holds(tight_v6), (nets(&["192.0.2.1", "198.51.100.0/24"]), 1));
        let elsewhere = FeedSettings::of(FeedSource::Url("https://lists.example/y".to_owned()));
        assert_eq!(holds(elsewhere.clone()), (Vec::new(), 0));
        // The same of what an earlier run has left.
        for (other, count) in [(tight, 2), (elsewhere, 0)] {
            let kept = Kept::clone(feeds.get("a").unwrap().kept.as_ref().unwrap());
            let mut later = Feeds::default().under(&BTreeMap::from([("a".to_owned(), other)]));
            later.keep(BTreeMap::from([("a".to_owned(), kept)]));
            assert_eq!(later.settle(&host(), now()).len(), count);
        }
    }

    #[test]
    fn differences_are_counted_both_ways() {
        let (old, new) =
            (nets(&["192.0.2.1", "192.0.2.2"]), nets(&["192.0.2.2", "192.0.2.3", "192.0.2.4"]));
        assert_eq!(difference(&old, &new), (2, 1));
        assert_eq!(difference(&old, &old), (0, 0));
    }
}
