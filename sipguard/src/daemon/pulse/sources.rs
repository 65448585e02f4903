//! Who sends most in a second.

use std::{cmp::Reverse, collections::HashMap};

use ipnet::IpNet;
use sipguard_common::rule::Rule;

use crate::{api::wire::SourceRate, kernel::SourceTally};

/// Sources that are told.
const BUSIEST: usize = 50;

/// Of the others, those with most OPTIONS: a slow scan stays to be seen where
/// many customers send more.
const PROBING: usize = 20;

/// After how long a source that is quiet is forgotten, in nanoseconds: the next
/// packet shows it again.
const QUIET_NS: u64 = 300 * 1_000_000_000;

/// How each source stood a second ago.
#[derive(Debug, Default)]
pub(super) struct Sources(HashMap<IpNet, Before>);

#[derive(Debug)]
struct Before {
    tally: SourceTally,
    standing: Option<&'static str>,
}

impl Sources {
    /// These have sent so much to an earlier run, and nothing to this one.
    pub(super) fn begin(&mut self, now_ns: u64, tallies: Vec<SourceTally>) {
        self.turn(now_ns, 1.0, tallies);
    }

    /// The busiest of the second that ends at `now_ns`.
    pub(super) fn turn(
        &mut self,
        now_ns: u64,
        seconds: f64,
        tallies: Vec<SourceTally>,
    ) -> Vec<SourceRate> {
        let mut busy = Vec::new();
        for tally in tallies {
            if now_ns.saturating_sub(tally.last_ns) > QUIET_NS {
                self.0.remove(&tally.source);
                continue;
            }
            let source = tally.source;
            let before = self.0.remove(&source);
            let standing = standing(tally.rule).or(before.as_ref().and_then(|one| one.standing));
            // One that lost its place in the table and came back counts anew.
            let since = before
                .map(|one| one.tally)
                .filter(|old| old.packets <= tally.packets && old.samples <= tally.samples)
                .unwrap_or_else(|| nothing(&tally));
            if tally.samples > since.samples {
                busy.push(rate(&tally, &since, seconds, standing));
            }
            self.0.insert(source, Before { tally, standing });
        }
        self.0.retain(|_, one| now_ns.saturating_sub(one.tally.last_ns) <= QUIET_NS);
        busy.sort_by_key(|(packets, rate)| (Reverse(*packets), rate.source.clone()));
        let mut rest = busy.split_off(BUSIEST.min(busy.len()));
        rest.retain(|(_, rate)| rate.options > 0.0);
        rest.sort_by(|(_, a), (_, b)| b.options.total_cmp(&a.options));
        rest.truncate(PROBING);
        busy.extend(rest);
        busy.into_iter().map(|(_, rate)| rate).collect()
    }
}

/// The same source before it sent anything.
fn nothing(tally: &SourceTally) -> SourceTally {
    let zero = SourceTally { packets: 0, bytes: 0, dropped: 0, options: 0, ..tally.clone() };
    SourceTally { register: 0, invite: 0, samples: 0, ..zero }
}

/// The packets of the second, and the source with its rates.
fn rate(
    tally: &SourceTally,
    since: &SourceTally,
    seconds: f64,
    standing: Option<&'static str>,
) -> (u64, SourceRate) {
    let of = |field: fn(&SourceTally) -> u64| {
        super::rates::per_second(field(tally).saturating_sub(field(since)), seconds)
    };
    let packets = tally.packets - since.packets;
    let rate = SourceRate {
        source: name(tally.source),
        rate: of(|tally| tally.packets),
        dropped: of(|tally| tally.dropped),
        options: of(|tally| tally.options),
        register: of(|tally| tally.register),
        invite: of(|tally| tally.invite),
        packets: tally.packets,
        method: tally.method.map(|method| method.name().to_owned()),
        rule: tally.rule.name().to_owned(),
        standing: standing.unwrap_or("stranger").to_owned(),
        estimated: packets > tally.samples - since.samples,
    };
    (packets, rate)
}

/// A single address without its length.
fn name(source: IpNet) -> String {
    if source.prefix_len() == source.max_prefix_len() {
        return source.addr().to_string();
    }
    source.to_string()
}

/// What a rule says of who sends; none where it looks at the packet only.
fn standing(rule: Rule) -> Option<&'static str> {
    match rule {
        Rule::Trusted | Rule::TrustedCps => Some("trusted"),
        Rule::Blocked => Some("blocked"),
        Rule::Banned => Some("banned"),
        Rule::Verified | Rule::RateVerified => Some("verified"),
        Rule::Keepalive | Rule::Response | Rule::Fragment | Rule::Signature => None,
        _ => Some("stranger"),
    }
}

#[cfg(test)]
mod tests {
    use sipguard_common::method::Method;

    use super::*;

    const S: u64 = 1_000_000_000;

    fn tally(source: &str, packets: u64, samples: u64, rule: Rule) -> SourceTally {
        SourceTally {
            source: source.parse().unwrap(),
            packets,
            bytes: 400 * packets,
            dropped: packets / 2,
            options: packets,
            register: 0,
            invite: 0,
            samples,
            last_ns: 1_000 * S,
            rule,
            method: Some(Method::Options),
        }
    }

    #[test]
    fn the_busiest_come_first_with_what_they_sent_in_the_second() {
        let (one, other) = ("192.0.2.1/32", "2001:db8:7::/64");
        let mut sources = Sources::default();
        let first = vec![tally(one, 10, 10, Rule::Options)];
        assert_eq!(sources.turn(1_000 * S, 1.0, first)[0].rate, 10.0);
        let next = vec![tally(one, 14, 14, Rule::Options), tally(other, 80, 20, Rule::Verified)];
        let busy = sources.turn(1_000 * S, 2.0, next);
        let told: Vec<_> = busy
            .iter()
            .map(|one| (&*one.source, one.rate, one.packets, &*one.standing, one.estimated))
            .collect();
        assert_eq!(
            told,
            [
                ("2001:db8:7::/64", 40.0, 80, "verified", true),
                ("192.0.2.1", 2.0, 14, "stranger", false)
            ]
        );
        assert_eq!((busy[1].dropped, busy[1].options, busy[1].register), (1.0, 2.0, 0.0));
        // Who is silent is not told.
        let next = vec![tally(one, 14, 14, Rule::Options)];
        assert_eq!(sources.turn(1_001 * S, 1.0, next), []);
    }

    #[test]
    fn a_slow_scan_is_seen_behind_busy_customers() {
        let customer = |host: usize| {
            let source = format!("192.0.2.{host}/32");
            SourceTally { options: 0, ..tally(&source, 90, 90, Rule::Verified) }
        };
        let mut all: Vec<SourceTally> = (0..2 * BUSIEST).map(customer).collect();
        all.push(tally("198.51.100.7/32", 2, 2, Rule::Options));
        let mut sources = Sources::default();
        sources.turn(1_000 * S, 1.0, Vec::new());
        let busy = sources.turn(1_000 * S, 1.0, all);
        assert_eq!(busy.len(), BUSIEST + 1);
        assert_eq!(busy.last().map(|one| one.source.as_str()), Some("198.51.100.7"));
    }

    #[test]
    fn a_keepalive_does_not_make_a_customer_a_stranger() {
        let mut sources = Sources::default();
        let verified = vec![tally("192.0.2.1/32", 1, 1, Rule::Verified)];
        sources.turn(1_000 * S, 1.0, verified);
        let keepalive = vec![tally("192.0.2.1/32", 2, 2, Rule::Keepalive)];
        let busy = sources.turn(1_001 * S, 1.0, keepalive);
        assert_eq!((&*busy[0].standing, &*busy[0].rule), ("verified", "keepalive"));
    }

    #[test]
    fn who_lost_its_place_counts_anew_and_who_is_quiet_is_forgotten() {
        let mut sources = Sources::default();
        sources.turn(1_000 * S, 1.0, vec![tally("192.0.2.1/32", 90, 90, Rule::Stranger)]);
        let again = vec![tally("192.0.2.1/32", 5, 5, Rule::Stranger)];
        let busy = sources.turn(1_001 * S, 1.0, again.clone());
        assert_eq!(busy[0].rate, 5.0);
        assert_eq!(sources.turn(1_301 * S, 1.0, again), []);
        assert!(sources.0.is_empty());
    }
}
