//! What the lists say of a source: the files' entries, and those that an
//! operator has made.

use std::{
    cmp::Reverse,
    net::{IpAddr, SocketAddr},
};

use ipnet::IpNet;
use jiff::Timestamp;
use sipguard_common::rule::Rule;

use super::{
    known::{Banned, Entered, Known, Running},
    step::Step,
};
use crate::policy::{CpsClass, Place, Target, net_text};

/// Ports of one address that are told of.
const MAX_OTHERS: usize = 5;

/// The entry that decides.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) step: Step,
    /// Of a trusted peer.
    pub(super) class: Option<CpsClass>,
}

impl Known<'_> {
    /// The trusted entry for a source. Without a port, those for one port do
    /// not count.
    pub(super) fn trusted(&self, source: IpAddr, port: Option<u16>) -> Option<Found> {
        let covers = |target: &Target| {
            target.net.contains(&source) && (target.port.is_none() || target.port == port)
        };
        let file = self.plan.trusted.iter().filter(|(target, _)| covers(target));
        let file = file.min_by_key(|(target, _)| order(target));
        let entered = self
            .running
            .into_iter()
            .flat_map(|running| &running.trusted)
            .filter(|entry| covers(&entry.target));
        let entered = entered.min_by_key(|entry| order(&entry.target));
        // Of the same target, the file's entry has a name and perhaps a class.
        let is_files = match (file, entered) {
            (Some((target, _)), Some(entry)) => order(target) <= order(&entry.target),
            (file, _) => file.is_some(),
        };
        match (file.filter(|_| is_files), entered) {
            (Some((target, peer)), _) => {
                let found = format!("{target}, \"{}\"", peer.name);
                let step = Step::new(Rule::Trusted.name(), found).at(self.places.peer(*target));
                Some(Found { step, class: peer.class })
            }
            (None, Some(entry)) => {
                Some(Found { step: by_hand(Rule::Trusted, entry, "sipguard allow"), class: None })
            }
            (None, None) => None,
        }
    }

    /// The answer where no trusted entry covers a source.
    pub(super) fn not_trusted(&self, source: IpAddr, port: Option<u16>) -> Vec<Step> {
        let entered = self.running.into_iter().flat_map(|running| &running.trusted);
        let all = self.plan.trusted.keys().chain(entered.map(|entry| &entry.target));
        let others: Vec<_> = all
            .filter(|target| target.port.is_some() && target.net.contains(&source))
            .take(MAX_OTHERS)
            .map(|target| {
                let found = format!("{target} is trusted from that port only");
                Step::new(Rule::Trusted.name(), found).at(self.places.peer(*target))
            })
            .collect();
        let from = match port {
            Some(port) => SocketAddr::new(source, port).to_string(),
            None => source.to_string(),
        };
        let nobody = format!("no entry of trusted.toml covers {from}");
        [Step::new(Rule::Trusted.name(), nobody)].into_iter().chain(others).collect()
    }

    /// The block of a source.
    pub(super) fn blocked(&self, source: IpAddr) -> Option<Step> {
        let host = IpNet::from(source);
        let file = (0..=host.prefix_len()).rev().find_map(|bits| {
            let net = IpNet::new(source, bits).ok()?.trunc();
            Some((net, self.plan.blocked.get(&net)?))
        });
        let mut entered = self.running.into_iter().flat_map(|running| &running.blocked);
        let entered = entered.find(|entry| entry.target.net.contains(&source));
        match (file, entered) {
            (Some((net, block)), _) => {
                let place = self.places.block(net);
                let found =
                    format!("{}{}", net_text(net), why(block.until, block.reason.as_deref()));
                Some(Step::new(Rule::Blocked.name(), found).at(place))
            }
            (None, Some(entry)) => Some(by_hand(Rule::Blocked, entry, "sipguard block")),
            (None, None) => None,
        }
    }

    pub(super) fn not_blocked(source: IpAddr) -> Step {
        Step::new(Rule::Blocked.name(), format!("no entry of blacklist.toml covers {source}"))
    }

    /// The ban of a source.
    pub(super) fn banned(&self, source: IpAddr) -> Option<Step> {
        let Running { banned, .. } = self.running?;
        let Banned { rule, signature, until, .. } =
            banned.iter().find(|ban| ban.net.contains(&source))?;
        let why =
            signature.as_ref().map_or_else(|| rule.clone(), |name| format!("{rule} \"{name}\""));
        Some(Step::new(Rule::Banned.name(), format!("until {until}, for {why}")))
    }

    pub(super) fn not_banned(&self, source: IpAddr) -> Step {
        let found = match self.running {
            Some(_) => format!("no ban covers {source}"),
            None => "not asked: bans are made by a running filter, and stand in no file".to_owned(),
        };
        Step::new(Rule::Banned.name(), found)
    }

    /// The answer to who is verified.
    pub(super) fn not_verified() -> Step {
        let found = "not asked: only a running filter learns it; judged as a stranger";
        Step::new(Rule::Verified.name(), found)
    }

    /// What a trusted peer's calls are held to.
    pub(super) fn calls(class: CpsClass, place: Option<Place>) -> Step {
        let (name, rate) = (class.name(), class.rate());
        let found = format!("class {name}: {rate} INVITEs per second, {} at once", 2 * rate);
        Step::new(Rule::TrustedCps.name(), found).at(place)
    }
}

/// Of several entries the first counts: addresses before networks, of networks
/// the longest; then what holds for every port.
fn order(target: &Target) -> (bool, bool, Reverse<u8>) {
    (!target.is_address(), target.port.is_some(), Reverse(target.net.prefix_len()))
}

fn by_hand(rule: Rule, entry: &Entered, verb: &str) -> Step {
    let Entered { target, reason, feed, until } = entry;
    let by = feed.as_ref().map_or_else(|| format!("`{verb}`"), |feed| format!("the feed {feed}"));
    let found = format!("{target}, by {by}{}", why(*until, reason.as_deref()));
    Step::new(rule.name(), found)
}

fn why(until: Option<Timestamp>, reason: Option<&str>) -> String {
    let until = until.map_or_else(String::new, |until| format!(", until {until}"));
    let reason = reason.map_or_else(String::new, |reason| format!(", reason \"{reason}\""));
    until + &reason
}
