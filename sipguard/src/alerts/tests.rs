//! Each rule by itself, with a clock that is made.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;

use super::*;
use crate::policy::{AlertRule, AlertSettings, AlertSeverity};

/// An engine with a clock, and all that was told with the second.
struct Watch {
    engine: Engine,
    second: u64,
    told: Vec<(u64, Transition)>,
}

impl Watch {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut AlertSettings)) -> Self {
        let mut settings = AlertSettings::default();
        change(&mut settings);
        Self { engine: Engine::new(Arc::new(settings)), second: 0, told: Vec::new() }
    }

    fn set(&mut self, change: impl FnOnce(&mut AlertSettings)) {
        let mut settings = AlertSettings::clone(self.engine.settings());
        change(&mut settings);
        self.engine.set(Arc::new(settings));
    }

    /// A second goes by.
    fn see(&mut self, seen: &Observation) {
        self.second += 1;
        let wall = Timestamp::from_second(1_000_000_000 + self.second as i64).unwrap();
        let now = Moment { at: Duration::from_secs(self.second), wall };
        let told = self.engine.observe(now, seen);
        self.told.extend(told.into_iter().map(|one| (self.second, one)));
    }

    fn seconds(&mut self, count: u64, seen: &Observation) {
        (0..count).for_each(|_| self.see(seen));
    }

    /// What was told since the last call: second, what, about whom.
    fn told(&mut self) -> Vec<(u64, &'static str, String)> {
        let told = self.told.drain(..).map(|(second, Transition { change, alert })| {
            let subject = alert.subject.map(|subject| format!(" {subject}")).unwrap_or_default();
            (second, change.name(), format!("{}{subject}", alert.rule.name()))
        });
        told.collect()
    }

    fn open(&self) -> Vec<String> {
        self.engine.open().map(|alert| alert.rule.name().to_owned()).collect()
    }
}

fn raised(second: u64, what: &str) -> (u64, &'static str, String) {
    (second, "raised", what.to_owned())
}

fn cleared(second: u64, what: &str) -> (u64, &'static str, String) {
    (second, "cleared", what.to_owned())
}

/// A second of ordinary traffic.
fn calm() -> Observation {
    Observation { seconds: 1.0, sip: 10.0, ..Observation::default() }
}

fn source(source: &str, rate: f64, options: f64) -> SourceSeen {
    SourceSeen {
        source: source.to_owned(),
        rate,
        options,
        is_trusted: false,
        is_known: false,
        estimated: false,
    }
}

fn sends(sources: Vec<SourceSeen>) -> Observation {
    Observation { sources, ..calm() }
}

const SCANNER: &str = "198.51.100.7";

/// N12: at the end of the second in which the fiftieth came.
#[test]
fn n12_fifty_options_within_a_minute() {
    let mut watch = Watch::new();
    watch.seconds(49, &sends(vec![source(SCANNER, 1.0, 1.0)]));
    assert_eq!(watch.told(), []);
    watch.see(&sends(vec![source(SCANNER, 1.0, 1.0)]));
    assert_eq!(watch.told(), [raised(50, "options_from_source 198.51.100.7")]);
    let alert = watch.engine.open().next().unwrap().clone();
    assert_eq!((alert.severity, alert.threshold), (AlertSeverity::Info, Some(50)));
    assert_eq!(alert.summary, "50 OPTIONS from 198.51.100.7 within 1m");
}

#[test]
fn slower_options_are_none_and_one_burst_is_enough() {
    let mut watch = Watch::new();
    for second in 0..300 {
        let options = if second % 5 == 0 { 3.0 } else { 0.0 };
        watch.see(&sends(vec![source(SCANNER, options, options)]));
    }
    assert_eq!(watch.told(), []);
    watch.see(&sends(vec![source("198.51.100.8", 60.0, 50.0)]));
    assert_eq!(watch.told(), [raised(301, "options_from_source 198.51.100.8")]);
}

#[test]
fn options_of_those_who_are_known_are_no_scan() {
    let mut watch = Watch::new();
    let trusted = SourceSeen { is_trusted: true, ..source("192.0.2.10", 90.0, 90.0) };
    let office = SourceSeen { is_known: true, ..source("198.51.100.10", 90.0, 90.0) };
    watch.seconds(100, &sends(vec![trusted, office]));
    assert_eq!(watch.told(), []);
}

/// One sample of a flood of forged senders stands for hundreds of packets.
#[test]
fn single_samples_of_a_flood_accuse_nobody() {
    let mut watch = Watch::new();
    for host in 0..200 {
        let one = source(&format!("203.0.113.{host}"), 500.0, 500.0);
        watch.see(&sends(vec![SourceSeen { estimated: true, ..one }]));
    }
    assert_eq!(watch.told(), []);
    let steady = SourceSeen { estimated: true, ..source(SCANNER, 500.0, 500.0) };
    watch.seconds(3, &sends(vec![steady]));
    let both = ["options_from_source", "packets_from_source"];
    assert_eq!(watch.told(), both.map(|rule| raised(203, &format!("{rule} {SCANNER}"))));
}

#[test]
fn a_hundred_packets_a_second_for_three_seconds() {
    let mut watch = Watch::new();
    let fast = sends(vec![source(SCANNER, 100.0, 0.0)]);
    watch.seconds(2, &fast);
    watch.see(&sends(vec![source(SCANNER, 99.0, 0.0)]));
    watch.seconds(2, &fast);
    assert_eq!(watch.told(), []);
    watch.see(&fast);
    assert_eq!(watch.told(), [raised(6, "packets_from_source 198.51.100.7")]);
}

#[test]
fn trusted_sources_may_send_what_they_like() {
    let mut watch = Watch::new();
    let trunk = SourceSeen { is_trusted: true, ..source("192.0.2.10", 5000.0, 0.0) };
    watch.seconds(60, &sends(vec![trunk]));
    assert_eq!(watch.told(), []);
}

#[test]
fn estimated_packets_need_several_seconds_of_samples() {
    let mut watch = Watch::with(|settings| {
        let rule = settings.rules.get_mut(&AlertRule::PacketsFromSource).unwrap();
        rule.span = Duration::from_secs(1);
    });
    let once = SourceSeen { estimated: true, ..source(SCANNER, 500.0, 0.0) };
    watch.seconds(2, &sends(vec![once.clone()]));
    assert_eq!(watch.told(), []);
    watch.see(&sends(vec![once]));
    assert_eq!(watch.told(), [raised(3, "packets_from_source 198.51.100.7")]);
}

/// N12: also in a flood, of which only samples are seen.
#[test]
fn n12_one_source_floods() {
    let mut watch = Watch::new();
    let flood = SourceSeen { estimated: true, ..source(SCANNER, 900_000.0, 0.0) };
    watch.seconds(2, &sends(vec![flood.clone()]));
    assert_eq!(watch.told(), []);
    watch.see(&sends(vec![flood]));
    assert_eq!(watch.told(), [raised(3, "packets_from_source 198.51.100.7")]);
}

#[test]
fn drops_above_a_rate() {
    let mut watch = Watch::new();
    let drops = |dropped| Observation { dropped, ..calm() };
    watch.seconds(60, &drops(999.0));
    watch.seconds(9, &drops(1000.0));
    assert_eq!(watch.told(), []);
    watch.see(&drops(5000.0));
    assert_eq!(watch.told(), [raised(70, "drops")]);
    // Between half and all of the threshold nothing changes.
    watch.seconds(600, &drops(500.0));
    assert_eq!(watch.told(), []);
    watch.seconds(60, &drops(499.0));
    assert_eq!(watch.told(), []);
    watch.see(&drops(499.0));
    assert_eq!(watch.told(), [cleared(731, "drops")]);
}

/// An all-clear must last; what comes back within it is the same alert.
#[test]
fn an_open_alert_is_not_told_twice() {
    let mut watch = Watch::new();
    let (storm, calm) = (Observation { dropped: 2000.0, ..calm() }, calm());
    watch.seconds(10, &storm);
    for _ in 0..20 {
        watch.seconds(50, &calm);
        watch.seconds(10, &storm);
    }
    assert_eq!(watch.told(), [raised(10, "drops")]);
    watch.seconds(61, &calm);
    let told = watch.told.clone();
    let [(_, Transition { change: Change::Cleared, alert })] = told.as_slice() else {
        panic!("{told:?}");
    };
    assert!((alert.peak - 2000.0).abs() < 1e-9);
    assert_eq!(alert.until, Timestamp::from_second(1_000_000_000 + 1271).ok());
    assert_eq!(watch.engine.open().count(), 0);
}

fn verified(verified: u64, baseline: Option<f64>) -> Observation {
    Observation { verified, baseline, ..calm() }
}

#[test]
fn verified_endpoints_ten_times_as_many() {
    let mut watch = Watch::new();
    watch.seconds(100, &verified(1_000_000, None));
    watch.seconds(100, &verified(999, Some(100.0)));
    assert_eq!(watch.told(), []);
    watch.seconds(10, &verified(1000, Some(100.0)));
    assert_eq!(watch.told(), [raised(210, "verified_rise")]);
    // Of a handful, ten times as many are still few.
    let mut small = Watch::new();
    small.seconds(100, &verified(99, Some(1.0)));
    assert_eq!(small.told(), []);
    small.seconds(10, &verified(100, Some(1.0)));
    assert_eq!(small.told(), [raised(110, "verified_rise")]);
}

#[test]
fn verified_endpoints_half_as_many() {
    let mut watch = Watch::new();
    watch.seconds(100, &verified(0, None));
    watch.seconds(100, &verified(90, Some(100.0)));
    watch.seconds(100, &verified(51, Some(100.0)));
    assert_eq!(watch.told(), []);
    watch.seconds(10, &verified(50, Some(100.0)));
    assert_eq!(watch.told(), [raised(310, "verified_fall")]);
    assert_eq!(watch.engine.open().next().unwrap().severity, AlertSeverity::Critical);
    watch.seconds(100, &verified(59, Some(100.0)));
    assert_eq!(watch.told(), []);
    watch.seconds(61, &verified(61, Some(100.0)));
    assert_eq!(watch.told(), [cleared(471, "verified_fall")]);
    let mut small = Watch::new();
    small.seconds(4000, &verified(0, Some(9.0)));
    assert_eq!(small.told(), []);
}

/// What is learned anew after a start is no outage, unless it stays away.
#[test]
fn few_are_verified_right_after_a_start() {
    let mut watch = Watch::new();
    for count in 0..60 {
        watch.seconds(50, &verified(count, Some(100.0)));
    }
    assert_eq!(watch.told(), []);
    let mut watch = Watch::new();
    watch.seconds(3600, &verified(40, Some(100.0)));
    assert_eq!(watch.told(), []);
    watch.seconds(30, &verified(40, Some(100.0)));
    assert_eq!(watch.told(), [raised(3610, "verified_fall")]);
}

#[test]
fn a_map_that_is_nearly_full() {
    let mut watch = Watch::new();
    let map = |name: &str, entries| Fill { name: name.to_owned(), entries, capacity: 1000 };
    let maps = |entries| Observation {
        maps: vec![
            map("blocked", entries),
            map("trusted", 1),
            Fill { capacity: 0, ..map("none", 0) },
        ],
        ..calm()
    };
    watch.seconds(10, &maps(799));
    assert_eq!(watch.told(), []);
    watch.see(&maps(800));
    assert_eq!(watch.told(), [raised(11, "map_full blocked")]);
    assert_eq!(
        watch.engine.open().next().unwrap().summary,
        "blocked is 80 % full: 800 of 1000 entries"
    );
    watch.seconds(100, &maps(760));
    assert_eq!(watch.told(), []);
    watch.seconds(61, &maps(759));
    assert_eq!(watch.told(), [cleared(172, "map_full blocked")]);
}

#[test]
fn silence_after_there_was_traffic() {
    let mut watch = Watch::new();
    let silence = Observation { sip: 0.0, ..calm() };
    watch.seconds(10_000, &silence);
    assert_eq!(watch.told(), []);
    watch.see(&calm());
    watch.seconds(1799, &silence);
    assert_eq!(watch.told(), []);
    watch.see(&silence);
    assert_eq!(watch.told(), [raised(11_801, "silence")]);
    watch.see(&calm());
    assert_eq!(watch.told(), [cleared(11_802, "silence")]);
}

#[test]
fn f48_a_crowdsec_that_does_not_answer() {
    let mut watch = Watch::new();
    let down = Observation { crowdsec: Some("connection refused".to_owned()), ..calm() };
    watch.seconds(299, &down);
    assert_eq!(watch.told(), []);
    watch.seconds(10, &down);
    assert_eq!(watch.told().len(), 1);
    watch.see(&calm());
    assert_eq!(watch.told().len(), 1, "the all-clear");
}

#[test]
fn a_feed_that_is_too_old() {
    let mut watch = Watch::new();
    let feed = |minutes: u64| {
        let (age, max_age) = (Duration::from_secs(60 * minutes), Duration::from_secs(7200));
        let feeds = vec![FeedAge { name: "apiban".to_owned(), age, max_age }];
        Observation { feeds, ..calm() }
    };
    watch.see(&feed(120));
    assert_eq!(watch.told(), []);
    watch.see(&feed(121));
    assert_eq!(watch.told(), [raised(2, "feed_stale apiban")]);
    watch.see(&feed(0));
    assert_eq!(watch.told(), [cleared(3, "feed_stale apiban")]);
}

#[test]
fn a_rule_that_observes_would_hurt_a_customer() {
    let mut watch = Watch::new();
    let hurt =
        |source: &str| WouldHurt { rule: "rate_verified".to_owned(), source: source.to_owned() };
    watch.see(&Observation { would_hurt: vec![hurt("198.51.100.10:5062")], ..calm() });
    assert_eq!(watch.told(), [raised(1, "observe_would_hurt rate_verified")]);
    let more = Observation { would_hurt: vec![hurt("198.51.100.11:5062"); 3], ..calm() };
    watch.see(&more);
    let alert = watch.engine.open().next().unwrap().clone();
    assert!(alert.summary.ends_with("the last of 198.51.100.11:5062"), "{}", alert.summary);
    assert!((alert.value - 4.0).abs() < 1e-9);
    // A window of ten minutes is exact to ten seconds.
    watch.seconds(598 + 60, &calm());
    assert_eq!(watch.told(), []);
    watch.see(&calm());
    assert_eq!(watch.told(), [cleared(661, "observe_would_hurt rate_verified")]);
}

fn ban(times: u32, is_customer: bool) -> Observation {
    let ban = AccountBan { source: "198.51.100.10".to_owned(), is_customer, times };
    Observation { bans: vec![ban], ..calm() }
}

/// L19: a trunk with a wrong password is told of, and is clean after the fix.
#[test]
fn l19_a_customer_that_is_banned_again_and_again() {
    let mut watch = Watch::new();
    for times in 1..3 {
        watch.see(&ban(times, true));
        watch.seconds(1200, &calm());
    }
    assert_eq!(watch.told(), []);
    watch.see(&ban(3, true));
    let raise = watch.second;
    assert_eq!(watch.told(), [raised(raise, "repeated_ban 198.51.100.10")]);
    // The site is forgotten after a day or two, the ban goes on.
    for times in 4..10 {
        watch.seconds(80_000, &calm());
        watch.see(&ban(times, false));
    }
    assert_eq!(watch.told(), []);
    watch.see(&Observation { recovered: vec!["198.51.100.10".to_owned()], ..calm() });
    watch.seconds(60, &calm());
    let clear = watch.second;
    assert_eq!(watch.told(), [cleared(clear, "repeated_ban 198.51.100.10")]);
}

#[test]
fn guessers_without_an_account_are_no_customers() {
    let mut watch = Watch::new();
    (1..50).for_each(|times| watch.see(&ban(times, false)));
    assert_eq!(watch.told(), []);
}

#[test]
fn events_that_were_lost_since() {
    let mut watch = Watch::new();
    let lost = |events_lost| Observation { events_lost, ..calm() };
    watch.seconds(10, &lost(500));
    assert_eq!(watch.told(), []);
    watch.see(&lost(501));
    assert_eq!(watch.told(), [raised(11, "events_lost")]);
    watch.seconds(120, &lost(501));
    assert_eq!(watch.told(), [cleared(131, "events_lost")]);
}

#[test]
fn generic_mode_and_a_failed_reload() {
    let mut watch = Watch::new();
    let generic = vec![("eth0".to_owned(), "the driver has no XDP".to_owned())];
    let failed = Some("two errors".to_owned());
    watch.see(&Observation { generic: generic.clone(), reload_failed: failed, ..calm() });
    assert_eq!(watch.told(), [raised(1, "generic_mode eth0"), raised(1, "reload_failed")]);
    watch.see(&Observation { generic, ..calm() });
    assert_eq!(watch.told(), [cleared(2, "reload_failed")]);
}

#[test]
fn an_interface_that_is_not_protected() {
    let mut watch = Watch::new();
    let unprotected = vec![("eth0".to_owned(), "the interface is gone".to_owned())];
    watch.see(&Observation { unprotected, ..calm() });
    assert_eq!(watch.told(), [raised(1, "unprotected eth0")]);
    watch.see(&calm());
    assert_eq!(watch.told(), [cleared(2, "unprotected eth0")]);
}

fn flood(hosts: usize) -> Observation {
    let host = |host: usize| source(&format!("198.51.100.{host:03}"), 500.0, 0.0);
    sends((0..hosts).map(host).collect())
}

/// Attackers with many addresses are no flood of alerts.
#[test]
fn many_subjects_are_summed_up() {
    let mut watch = Watch::new();
    watch.seconds(3, &flood(50));
    let told = watch.told();
    assert_eq!(told.len(), MAX_SUBJECTS + 1);
    assert_eq!(told.last(), Some(&raised(3, "packets_from_source others")));
    let others = watch.engine.open().find(|alert| alert.subject.as_deref() == Some(OTHERS));
    assert!((others.unwrap().value - 40.0).abs() < 1e-9);
    watch.seconds(100, &flood(50));
    assert_eq!(watch.told(), []);
    watch.seconds(61, &calm());
    assert_eq!(watch.told().len(), MAX_SUBJECTS + 1);
    assert_eq!(watch.engine.open().count(), 0);
}

#[test]
fn room_that_becomes_free_is_used() {
    let mut watch = Watch::new();
    watch.seconds(3, &flood(11));
    watch.told();
    let last = sends(vec![source("198.51.100.010", 500.0, 0.0)]);
    watch.seconds(60, &last);
    assert_eq!(watch.told(), []);
    watch.see(&last);
    let told = watch.told();
    assert_eq!(told.iter().filter(|one| one.1 == "cleared").count(), MAX_SUBJECTS);
    assert!(told.contains(&raised(64, "packets_from_source 198.51.100.010")), "{told:?}");
    watch.seconds(60, &last);
    assert_eq!(watch.told(), [cleared(124, "packets_from_source others")]);
}

#[test]
fn open_alerts_survive_other_settings() {
    let mut watch = Watch::new();
    let storm = Observation { dropped: 2000.0, ..calm() };
    watch.seconds(10, &storm);
    watch.told();
    watch.set(|settings| settings.rules.get_mut(&AlertRule::Drops).unwrap().threshold = 1500);
    watch.seconds(100, &storm);
    assert_eq!((watch.told(), watch.open()), (vec![], vec!["drops".to_owned()]));
    watch.set(|settings| settings.rules.get_mut(&AlertRule::Drops).unwrap().enabled = false);
    watch.see(&storm);
    assert_eq!(watch.told(), [cleared(111, "drops")]);
}

#[test]
fn what_is_switched_off_says_nothing() {
    let mut watch = Watch::with(|settings| settings.enabled = false);
    watch.seconds(100, &flood(50));
    assert_eq!(watch.told(), []);
    watch.set(|settings| settings.enabled = true);
    watch.seconds(3, &flood(1));
    assert_eq!(watch.told().len(), 1);
}

#[test]
fn reminders_come_while_it_goes_on() {
    let mut watch = Watch::with(|settings| settings.remind = Some(Duration::from_secs(3600)));
    let storm = Observation { dropped: 2000.0, ..calm() };
    watch.seconds(10 + 7300, &storm);
    let told: Vec<_> = watch.told().into_iter().map(|(second, what, _)| (second, what)).collect();
    assert_eq!(told, [(10, "raised"), (3610, "reminded"), (7210, "reminded")]);
}
