//! What becomes of a ban that the kernel program tells of.

use std::time::Instant;

use jiff::{SignedDuration, Timestamp};
use sipguard_common::{
    abi::{BanMade, outcome},
    rule::Rule,
};
use tracing::{info, warn};

use super::Daemon;
use crate::{
    api::wire::Origin,
    daemon::{
        By,
        audit::audit,
        bans::{Minute, Terms, reason, repeated, times},
        events::{Told, wall_time},
        safety::{Refusal, check_ban},
    },
    history::{Ban, Kind, Line},
    offender::Offender,
    ttl::Ttl,
};

/// Lines of the log about bans, in a minute.
const MOST_LOGGED: u32 = 10;

/// Lines of the history about bans whose evidence may be forged, in a minute.
const MOST_FORGED: u32 = 20;

/// What a flood of bans is held to.
#[derive(Debug)]
pub(super) struct Floods {
    log: Minute,
    forged: Minute,
}

impl Default for Floods {
    fn default() -> Self {
        Self { log: Minute::of(MOST_LOGGED), forged: Minute::of(MOST_FORGED) }
    }
}

impl Daemon {
    /// Hears of a ban: doubles it for those who do it again, lifts it where it
    /// must not be, and tells of it. `None` where its rule is unknown.
    pub fn ban_made(&mut self, made: &BanMade) -> Option<Told> {
        let rule = Rule::from_number(made.rule)?;
        let who = self.filter.offender(made.endpoint);
        let signature = self.filter.signature_name(made.signature).map(str::to_owned);
        let told = Told::of_ban(made, self.interface(made.ifindex), signature.clone())?;
        let proven = made.proven != 0;
        let why = reason(rule, signature.as_deref(), made.failures, proven);
        if made.outcome == u32::from(outcome::WOULD_DROP) {
            self.deeds.of(rule).would += 1;
            if self.floods.log.admits() {
                info!(target: "sipguard::bans", "would ban {who}: {why}");
            }
            return Some(told);
        }
        if let Err(refusal) = self.check_ban(who) {
            self.deeds.of(rule).lifted += 1;
            self.lift_at_once(who, rule, &refusal);
            return Some(told);
        }
        self.deeds.of(rule).made += 1;
        let now = wall_time(made.time_ns);
        let ban = self.lengthen(
            who,
            made,
            Ban {
                since: now,
                until: later(now, made.expires_ns.saturating_sub(made.time_ns)),
                rule,
                signature,
                failures: made.failures,
                proven,
                repeated: 0,
                offended: None,
            },
        );
        self.tell_ban(who, &ban, &why);
        self.report_ban(who, &ban, &why);
        // An operator may have lifted it before we heard of it.
        if self.filter.holds_ban(who).unwrap_or(true) {
            self.history.set_ban(who, Some(ban));
        }
        Some(told)
    }

    /// Nobody whom operators trust, and not the host itself.
    pub(in crate::daemon) fn check_ban(&self, who: Offender) -> Result<(), Refusal> {
        let host = self.place.host().unwrap_or_else(|error| {
            warn!("cannot read this host's addresses: {error}");
            crate::daemon::Host::default()
        });
        let file = self.plan.trusted.keys().map(|target| (target, Origin::File));
        let operator = self.allows.keys().map(|target| (target, Origin::Operator));
        check_ban(who, &host, file.chain(operator))
    }

    fn lift_at_once(&mut self, who: Offender, rule: Rule, refusal: &Refusal) {
        let lifted = self.filter.lift_ban(who);
        if self.floods.log.admits() {
            warn!(target: "sipguard::bans", "the ban of {who} by rule {} is lifted: {refusal}", rule.name());
            if let Err(error) = &lifted {
                warn!(target: "sipguard::bans", "cannot lift the ban of {who}: {error}");
            }
            let old = format!("rule {}", rule.name());
            audit(By::Safety, Kind::Unban.name(), &who.to_string(), &old, "none");
            self.history.add(Line {
                target: Some(who.to_string()),
                net: Some(who.source),
                old: Some(old),
                new: Some(format!("none: {refusal}")),
                ..Line::new(Kind::Unban, By::Safety.to_string())
            });
        }
    }

    /// With proof, the next ban of the same one within a day is twice as long.
    fn lengthen(&mut self, who: Offender, made: &BanMade, ban: Ban) -> Ban {
        let last = self.history.ban(&who);
        if !ban.proven {
            // What is remembered of earlier ones stays so.
            let (repeated, offended) =
                last.map_or((0, None), |last| (last.repeated, last.offended));
            return Ban { repeated, offended, ..ban };
        }
        let repeated = repeated(last.as_ref(), ban.since);
        let ttl = Terms::of(&self.plan).ttl(repeated);
        let ttl_ns = u64::try_from(ttl.as_nanos()).unwrap_or(u64::MAX);
        let until_ns = made.time_ns.saturating_add(ttl_ns);
        let mut until = ban.until;
        if until_ns > made.expires_ns {
            match self.filter.extend_ban(who, until_ns) {
                Ok(true) => until = later(ban.since, ttl_ns),
                // It ends later by itself, or was lifted or pushed out meanwhile.
                Ok(false) => {}
                Err(error) => warn!("cannot lengthen the ban of {who}: {error}"),
            }
        }
        Ban { until, repeated, offended: Some(until), ..ban }
    }

    fn tell_ban(&mut self, who: Offender, ban: &Ban, why: &str) {
        let again = times(ban.repeated);
        if self.floods.log.admits() {
            let span = shown_span(ban.until.duration_since(ban.since));
            info!(target: "sipguard::bans", "banned {who} for {span}{again}: {why}");
        }
        if !ban.proven && !self.floods.forged.admits() {
            return;
        }
        self.history.add(Line {
            at: ban.since,
            target: Some(who.to_string()),
            net: Some(who.source),
            until: Some(ban.until),
            new: Some(format!("{why}{again}")),
            ..Line::new(Kind::Ban, format!("rule:{}", ban.rule.name()))
        });
    }

    /// Sums up what the limits held back, once a minute.
    pub(super) fn sum_up_bans(&mut self, now: Instant) {
        if let Some(more) = self.floods.log.turn(now) {
            info!(target: "sipguard::bans", "{more} more bans in the last minute");
        }
        if let Some(more) = self.floods.forged.turn(now) {
            self.history.add(Line {
                new: Some("more bans in a minute, of which the evidence may be forged".to_owned()),
                times: more,
                ..Line::new(Kind::Ban, "sipguard")
            });
        }
    }
}

#[cfg(test)]
impl Daemon {
    /// A minute goes by.
    pub(super) fn floods_turn(&mut self) {
        self.sum_up_bans(Instant::now() + std::time::Duration::from_secs(60));
    }

    /// Lines that the log has of this minute.
    pub(super) fn logs_bans(&self) -> u32 {
        self.floods.log.let_through()
    }
}

fn later(from: Timestamp, nanoseconds: u64) -> Timestamp {
    let span = SignedDuration::from_nanos(i64::try_from(nanoseconds).unwrap_or(i64::MAX));
    from.checked_add(span).unwrap_or(Timestamp::MAX)
}

/// In whole seconds.
fn shown_span(span: SignedDuration) -> String {
    let seconds = (span.as_millis() + 500) / 1000;
    let ttl = u64::try_from(seconds).ok().and_then(Ttl::from_seconds);
    ttl.map_or_else(|| "a moment".to_owned(), |ttl| ttl.to_string())
}
