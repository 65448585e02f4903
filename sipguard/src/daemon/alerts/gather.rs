//! What happens between two looks, and what is asked at each.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use sipguard_common::rule::Rule;

use crate::{
    alerts::{AccountBan, Fill, Hourly, Moment, Observation, SourceSeen, WouldHurt, baseline},
    api::wire::Pulse,
    daemon::{Daemon, Told},
    history::History,
    offender::Offender,
    policy::net_text,
};

/// What is remembered of one second at most; the kernel program tells of less.
const MAX_TOLD: usize = 256;

/// Banned customers that are looked after.
const MAX_BANNED: usize = 1024;

/// How often it is asked what is usual.
const MINUTE: Duration = Duration::from_secs(60);

/// An address, with port and protocol number of IP where there are any.
type Place = (IpAddr, Option<(u16, u8)>);

/// What events say until the next look, and what must be known from one look to
/// the next.
#[derive(Debug, Default)]
pub(super) struct Gather {
    would: BTreeSet<(Rule, Place)>,
    bans: BTreeSet<Offender>,
    /// Who was banned for wrong passwords though customers are there, by source.
    customers: BTreeMap<String, Offender>,
    hourly: Hourly,
    baseline: Option<f64>,
    asked: Option<Duration>,
}

impl Gather {
    /// Hears of a packet.
    pub(super) fn note(&mut self, told: &Told) {
        if told.would() && self.would.len() < MAX_TOLD {
            self.would.insert((told.rule, told.place()));
        }
    }

    /// Hears of a ban.
    pub(super) fn note_ban(&mut self, who: Offender, told: &Told) {
        let is_of_passwords = told.rule == Rule::Auth && !told.would();
        if is_of_passwords && self.bans.len() < MAX_TOLD {
            self.bans.insert(who);
        }
    }

    /// What there is to judge now.
    pub(super) fn observation(
        &mut self,
        now: Moment,
        pulse: &Pulse,
        daemon: &Daemon,
    ) -> Observation {
        let history = daemon.history();
        self.learn(now, pulse.verified as u64, history);
        let would_hurt = std::mem::take(&mut self.would)
            .into_iter()
            .filter(|(_, (address, port))| daemon.is_known(*address, *port))
            .map(|(rule, place)| WouldHurt { rule: rule.name().to_owned(), source: shown(place) })
            .collect();
        let recovered = self.recovered(daemon);
        let bans: Vec<Offender> = std::mem::take(&mut self.bans).into_iter().collect();
        let bans = bans.into_iter().map(|who| self.ban(who, daemon, history)).collect();
        Observation {
            seconds: pulse.seconds,
            sip: pulse.passed + pulse.dropped,
            dropped: pulse.dropped,
            sources: pulse.sources.iter().map(source).collect(),
            verified: pulse.verified as u64,
            baseline: self.baseline,
            maps: pulse.maps.iter().map(fill).collect(),
            events_lost: pulse.events_lost,
            would_hurt,
            bans,
            recovered,
            feeds: daemon.feed_ages(),
            crowdsec: daemon.crowdsec_trouble(),
            generic: daemon.generic(),
            unprotected: daemon.unprotected(),
            reload_failed: daemon.failed_reload(),
        }
    }

    /// What is usual at this hour, and what this hour will have been.
    fn learn(&mut self, now: Moment, verified: u64, history: &History) {
        if let Some((hour, median)) = self.hourly.sample(now, verified) {
            history.set_hour(hour, median);
        }
        if self.asked.is_none_or(|asked| now.at.saturating_sub(asked) >= MINUTE) {
            self.asked = Some(now.at);
            self.baseline = baseline(&history.hours(), now.wall);
        }
    }

    fn ban(&mut self, who: Offender, daemon: &Daemon, history: &History) -> AccountBan {
        let source = net_text(who.source);
        let is_customer = daemon.is_customer(who);
        if is_customer && self.customers.len() < MAX_BANNED {
            self.customers.insert(source.clone(), who);
        }
        let times = history.ban(&who).map_or(1, |ban| ban.repeated.saturating_add(1));
        AccountBan { source, is_customer, times }
    }

    /// Those whom the server has accepted since their ban.
    fn recovered(&mut self, daemon: &Daemon) -> Vec<String> {
        let recovered: Vec<String> = self
            .customers
            .iter()
            .filter(|(_, who)| daemon.has_recovered(**who))
            .map(|(source, _)| source.clone())
            .collect();
        for source in &recovered {
            self.customers.remove(source);
        }
        recovered
    }
}

fn shown((address, port): Place) -> String {
    match port {
        Some((port, _)) => SocketAddr::new(address, port).to_string(),
        None => address.to_string(),
    }
}

fn source(one: &crate::api::wire::SourceRate) -> SourceSeen {
    SourceSeen {
        source: one.source.clone(),
        rate: one.rate,
        options: one.options,
        is_trusted: one.standing == "trusted",
        is_known: matches!(one.standing.as_str(), "verified" | "site"),
        estimated: one.estimated,
    }
}

fn fill(one: &crate::api::wire::MapFill) -> Fill {
    Fill { name: one.name.clone(), entries: one.entries, capacity: one.capacity }
}
