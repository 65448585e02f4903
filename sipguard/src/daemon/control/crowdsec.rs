//! Decisions of CrowdSec, and what it is told of.

use std::{io, time::Duration};

use ipnet::IpNet;
use jiff::{SignedDuration, Timestamp, Unit};
use sipguard_common::rule::Rule;

use super::Daemon;
use crate::{
    api::wire::{self, Holder, Listed, Origin},
    crowdsec::{Held, Kept, LeftOut, Named, Page, Report, SCENARIOS, Subject, Tally, Words},
    daemon::{
        Error,
        crowdsec::{DecisionPlace, Decisions, Hub, hold},
        nets::shown,
    },
    history::Ban,
    offender::Offender,
    policy::CrowdsecSettings,
};

impl Daemon {
    /// Takes over decisions that the filter holds already.
    #[must_use]
    pub(in crate::daemon) fn with_decisions(mut self, decisions: Decisions) -> Self {
        self.decided = decisions;
        self
    }

    pub(in crate::daemon) fn crowd(&self) -> &Hub {
        &self.decided.hub
    }

    pub(in crate::daemon) fn crowdsec_settings(&self) -> CrowdsecSettings {
        self.plan.crowdsec.clone()
    }

    /// Brings back what an earlier run has kept.
    pub(in crate::daemon) fn restore_decisions(&mut self, kept: io::Result<Kept>) {
        hold(kept, &mut self.decided, &mut *self.filter, (&self.place, &self.plan));
    }

    /// How many there are.
    pub(in crate::daemon) fn decisions(&self) -> usize {
        self.decided.len()
    }

    pub(in crate::daemon) fn decision_words(&self) -> Words {
        self.decided.words()
    }

    pub(in crate::daemon) fn begin_decisions(&mut self, all: bool, words: Words, out: LeftOut) {
        self.decided.begin(all, words, out);
    }

    /// Lets decisions hold, whose ends were told as of `asked`.
    pub(in crate::daemon) fn decide(
        &mut self,
        new: &[Named],
        asked: Duration,
        now: Duration,
    ) -> Result<(), Error> {
        let (host, most) = (self.place.host()?, self.plan.crowdsec.max_decisions);
        self.decided.add(new, (asked, now), most, (&mut *self.filter, &host))
    }

    /// Takes decisions back.
    pub(in crate::daemon) fn undecide(
        &mut self,
        gone: &[(IpNet, u64)],
        now: Duration,
    ) -> Result<(), Error> {
        self.decided.remove(gone.iter().copied(), now, &mut *self.filter)
    }

    /// Takes back some that the last whole answer does not name. Gives where to go
    /// on.
    pub(in crate::daemon) fn drop_stale_decisions(
        &mut self,
        page: (DecisionPlace, usize),
        now: Duration,
    ) -> Result<DecisionPlace, Error> {
        self.decided.drop_stale(page, now, &mut *self.filter)
    }

    /// Some that have ended, likewise.
    pub(in crate::daemon) fn drop_ended_decisions(
        &mut self,
        page: (DecisionPlace, usize),
        now: Duration,
    ) -> Result<DecisionPlace, Error> {
        let host = self.place.host()?;
        self.decided.drop_ended(page, now, (&mut *self.filter, &host))
    }

    /// Some of all, likewise.
    pub(in crate::daemon) fn drop_decisions(
        &mut self,
        page: (DecisionPlace, usize),
    ) -> Result<DecisionPlace, Error> {
        self.decided.drop_all(page, &mut *self.filter)
    }

    /// Some of all, and whose they are.
    pub(in crate::daemon) fn some_decisions(
        &self,
        from: DecisionPlace,
        most: usize,
    ) -> (Page, Words) {
        self.decided.some(from, most)
    }

    /// What a local API wants to know: packets seen since the start, decisions by
    /// origin and family, and when the protection began.
    pub(in crate::daemon) fn decision_usage(&self) -> (u64, Tally, Timestamp) {
        let counters = self.filter.counters().unwrap_or_default();
        let rules = counters.iter().flat_map(|one| one.counters.rules.iter());
        (rules.map(|count| count.packets).sum(), self.decided.by_origin(), self.since)
    }

    /// Decisions about networks that this chooses.
    pub(super) fn decided_if(
        &self,
        chosen: impl Fn(IpNet) -> bool,
    ) -> impl Iterator<Item = Listed> {
        let now = self.crowd().now();
        let held = self.decided.held(now).filter(move |((net, _), _)| chosen(*net));
        held.map(move |held| self.listed_decision(&held, now))
    }

    /// Decisions that hold all of a network.
    pub(super) fn decided_over(&self, net: IpNet) -> impl Iterator<Item = Listed> {
        let now = self.crowd().now();
        self.decided.over(net, now).map(move |held| self.listed_decision(&held, now))
    }

    fn listed_decision(&self, held: &Held, now: Duration) -> Listed {
        let ((net, _), terms) = held;
        let (origin, scenario) = self.decided.words_of(held);
        let left = SignedDuration::try_from(terms.until().saturating_sub(now)).ok();
        let until = left.and_then(|left| Timestamp::now().checked_add(left).ok());
        Listed {
            target: shown(*net),
            origin: Origin::Crowdsec,
            name: Some(origin.to_owned()),
            class: None,
            reason: Some(scenario.to_owned()),
            added: None,
            until: until.and_then(|until| until.round(Unit::Second).ok()),
            uid: None,
        }
    }

    /// The same as who holds a target in the list.
    pub(super) fn deciders_over(&self, net: IpNet) -> impl Iterator<Item = Holder> {
        self.decided_over(net).map(|listed| Holder {
            target: listed.target,
            origin: Origin::Crowdsec,
            feed: None,
        })
    }

    /// Whether sources whose packets match signatures are told of.
    pub(in crate::daemon) fn reports_signatures(&self) -> bool {
        let settings = &self.plan.crowdsec;
        settings.signatures && settings.machine().is_some()
    }

    /// Tells of a ban.
    pub(super) fn report_ban(&self, who: Offender, ban: &Ban, why: &str) {
        let scenario = match ban.rule {
            Rule::Auth => SCENARIOS[0],
            Rule::Harvest => SCENARIOS[1],
            _ => SCENARIOS[2],
        };
        if self.plan.crowdsec.machine().is_none() {
            return;
        }
        self.crowd().ban(Report {
            subject: Subject { source: who.source, port: who.port.map(|(port, _)| port) },
            scenario,
            message: why.to_owned(),
            signature: ban.signature.clone(),
            count: u64::from(ban.failures.max(1)),
            from: ban.since,
            until: ban.since,
            // What may be forged must not spread, nor what hits one of several
            // behind an address.
            remediation: ban.proven && who.port.is_none(),
        });
    }

    /// Why decisions are not read, or bans not told of.
    #[must_use]
    pub fn crowdsec_trouble(&self) -> Option<String> {
        let settings = &self.plan.crowdsec;
        let reading = self.crowd().reader().last_error.filter(|_| settings.bouncer().is_some());
        let telling = self.crowd().reporter().last_error.filter(|_| settings.machine().is_some());
        let reading = reading.map(|error| format!("decisions cannot be read: {error}"));
        reading.or_else(|| telling.map(|error| format!("bans cannot be told of: {error}")))
    }

    /// How it is doing, for the control socket.
    #[must_use]
    pub fn crowdsec_wire(&self) -> wire::Crowdsec {
        let settings = &self.plan.crowdsec;
        let (reader, reporter) = (self.crowd().reader(), self.crowd().reporter());
        let decisions = settings.bouncer().map(|_| wire::CrowdsecDecisions {
            state: state(reader.last_error.is_some(), reader.last_ok.is_some()),
            held: self.decided.len(),
            left_out: self.decided.left_out(),
            interval: settings.interval,
            answers: reader.done,
            whole: reader.whole,
            failures: reader.failures,
            last_ok: reader.last_ok,
            last_error: reader.last_error,
        });
        let (waiting, lost) = self.crowd().waiting();
        let reports = settings.machine().map(|_| wire::CrowdsecReports {
            state: state(reporter.last_error.is_some(), reporter.last_ok.is_some()),
            sent: reporter.done,
            waiting,
            lost,
            failures: reporter.failures,
            last_ok: reporter.last_ok,
            last_error: reporter.last_error,
        });
        wire::Crowdsec { url: settings.url.clone(), decisions, reports }
    }
}

fn state(is_failing: bool, was_well: bool) -> String {
    match (is_failing, was_well) {
        (true, _) => "failing",
        (false, true) => "ok",
        (false, false) => "waiting",
    }
    .to_owned()
}

#[cfg(test)]
mod tests;
