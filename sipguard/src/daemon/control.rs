//! What the daemon knows and what can be done to it: one method per request of
//! the control socket.
//!
//! What holds is the union of the files' entries and the operator's. The two
//! are kept apart: a reload replaces the first and leaves the second.

mod alerts;
mod bans;
mod crowdsec;
mod feeds;
mod figures;
mod interfaces;
mod made;
mod measure;
mod posture;
mod record;
mod standing;
mod taps;

use std::{collections::BTreeMap, fmt, process, time::Instant};

use ipnet::IpNet;
use jiff::{RoundMode, Timestamp, TimestampRound, Unit};
use sipguard_common::{abi::Event, rule::Rule};
use tokio::sync::watch;
use tracing::{info, warn};

pub use self::figures::{Deeds, Figures};
use self::{bans::Lifted, made::Floods, posture::Postures};
use super::{
    Error,
    audit::{By, MAX_NOTE, log_note},
    crowdsec::Decisions,
    entries::{Entries, Entry},
    error::{freed, undecided},
    events::{Drops, Told},
    feeds::Feeds,
    filter::Filter,
    nets::{covers, overlap, shown},
    place::Place,
    restore::{Entered, restore},
    run::protecting,
    safety,
    stats::{drops, signatures, stats},
    taps::{Taps, Wanted},
    web::WebState,
};
use crate::{
    api::wire::{
        self, Added, Events, Holder, Kind, LastReload, Listed, Lists, Origin, Reloaded, Removed,
        RuleCount, Signatures, Stats, Status, Tally,
    },
    history::{History, Kind as Happened, List, Report, State},
    kernel::Attached,
    policy::{BLACKLIST, FailMode, Plan, Setting, TRUSTED, Target},
    sanitise::sanitise,
    ttl::Ttl,
};

/// Characters of a reason that are kept.
pub(super) const MAX_REASON: usize = 200;

/// The state of the daemon. One owner, one request at a time.
pub struct Daemon {
    filter: Box<dyn Filter>,
    place: Place,
    since: Timestamp,
    /// The counters are those of an earlier run, too.
    goes_on: bool,
    attached: Vec<Attached>,
    /// In force: with the operator's posture, where there is one.
    plan: Plan,
    postures: Postures,
    /// When the first block of blacklist.toml ends.
    next_end: Option<Timestamp>,
    blocks: Entries<IpNet>,
    allows: Entries<Target>,
    feeds: Feeds,
    /// What CrowdSec has decided.
    decided: Decisions,
    /// The last reload, successful or not.
    reload: Option<LastReload>,
    history: History,
    web: WebState,
    floods: Floods,
    deeds: Deeds,
    taps: Taps,
    /// What the mirror has to do.
    mirror: watch::Sender<Wanted>,
}

impl fmt::Debug for Daemon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, since, attached, postures, blocks, allows, reload, .. } = self;
        f.debug_struct("Daemon")
            .field("place", place)
            .field("since", since)
            .field("attached", attached)
            .field("postures", postures)
            .field("blocks", blocks)
            .field("allows", allows)
            .field("reload", reload)
            .finish_non_exhaustive()
    }
}

impl Daemon {
    /// Takes over a filter that holds `plan` and protects `attached`.
    #[must_use]
    pub fn new(filter: Box<dyn Filter>, place: Place, plan: Plan, attached: Vec<Attached>) -> Self {
        let since = now_to_the_second();
        Self {
            filter,
            place,
            since,
            goes_on: false,
            attached,
            next_end: next_end(&plan),
            postures: Postures::of(&plan),
            mirror: watch::Sender::new(taps::wanted(&plan)),
            feeds: Feeds::default().under(&plan.feeds),
            plan,
            blocks: Entries::default(),
            allows: Entries::default(),
            decided: Decisions::default(),
            reload: None,
            history: History::in_memory(),
            web: WebState::default(),
            floods: Floods::default(),
            deeds: Deeds::since(since),
            taps: Taps::default(),
        }
    }

    /// Its counters began then, be it under an earlier run.
    #[must_use]
    pub fn counting_since(mut self, since: Option<Timestamp>) -> Self {
        self.goes_on = since.is_some();
        self.since = since.unwrap_or(self.since);
        self
    }

    /// What was counted so far by whom; `None` where all of it is this run's, or
    /// the kernel does not tell.
    pub(super) fn counted_before(&self) -> Option<Vec<RuleCount>> {
        self.stats().ok().filter(|_| self.goes_on).map(|stats| stats.rules)
    }

    /// Takes over entries that an earlier run has left, and that the filter
    /// holds already.
    #[must_use]
    pub fn with_entries(mut self, Entered { blocks, allows }: Entered) -> Self {
        (self.blocks, self.allows) = (blocks, allows);
        self
    }

    /// Brings back what an earlier run has left.
    pub fn restore(&mut self, state: &State) {
        let mut entered = Entered {
            blocks: std::mem::take(&mut self.blocks),
            allows: std::mem::take(&mut self.allows),
        };
        let from = (&self.place, &self.plan);
        restore(state, &mut *self.filter, from, &mut entered, &self.history);
        Entered { blocks: self.blocks, allows: self.allows } = entered;
    }

    /// Where the policy comes from.
    #[must_use]
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// What is protected, in one line.
    pub(super) fn protecting(&self) -> String {
        protecting(&self.attached, &self.plan)
    }

    /// What is protected, how, and by how much.
    ///
    /// # Errors
    /// The kernel refused to tell.
    pub fn status(&self) -> Result<Status, Error> {
        Ok(Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: process::id(),
            since: self.since,
            config: self.place.config.clone(),
            posture: self.posture(),
            fail_mode: self.fail_mode().name().to_owned(),
            interfaces: self.interfaces(),
            signatures: self.plan.signatures.len(),
            trusted: self.trusted_tally(),
            blocked: self.blocked_tally(),
            fed: self.plan.fed.len(),
            decided: self.decided.len(),
            banned: self.filter.bans().map_err(Error::Filter)?.len(),
            events: self.losses()?,
            // Whoever asks knows.
            alerts: 0,
            history: self.written(),
            web: self.web.report(),
            reload: self.reload.clone(),
            capture: self.capture()?,
            mirror: self.mirror()?,
        })
    }

    /// What the filter does when the daemon ends, which is not what the files say
    /// where there was no place to keep it.
    fn fail_mode(&self) -> FailMode {
        if self.filter.keeps() { FailMode::Keep } else { FailMode::Open }
    }

    fn trusted_tally(&self) -> Tally {
        Tally { file: self.plan.trusted.len(), operator: self.allows.len() }
    }

    fn blocked_tally(&self) -> Tally {
        Tally { file: self.plan.blocked.len(), operator: self.blocks.len() }
    }

    /// The web listener tells how it stands.
    pub fn set_web(&mut self, web: WebState) {
        self.web = web;
    }

    /// How the web listener stands.
    #[must_use]
    pub fn web(&self) -> &WebState {
        &self.web
    }

    fn written(&self) -> wire::History {
        let Report { file, problem, lost } = self.history.report();
        wire::History { file, problem, lost }
    }

    /// Counters since the start.
    ///
    /// # Errors
    /// The kernel refused to tell.
    pub fn stats(&self) -> Result<Stats, Error> {
        let counters = self.filter.counters().map_err(Error::Filter)?;
        let replies = self.filter.replies().map_err(Error::Filter)?;
        let counted = (counters.as_slice(), replies.as_slice());
        Ok(stats(self.since, &self.attached, counted, &self.plan.modes, self.losses()?))
    }

    /// Packets by signature.
    ///
    /// # Errors
    /// The kernel refused to tell.
    pub fn signatures(&self) -> Result<Signatures, Error> {
        let hits = self.filter.signature_hits().map_err(Error::Filter)?;
        let signatures = signatures(&self.plan.signatures, &hits);
        Ok(Signatures { since: self.since, signatures })
    }

    fn losses(&self) -> Result<Events, Error> {
        let losses = self.filter.event_losses().map_err(Error::Filter)?;
        Ok(Events { suppressed: losses.suppressed, lost: losses.lost })
    }

    /// An event with the names of what it has numbers for; `None` where its
    /// rule is unknown.
    #[must_use]
    pub fn told(&self, event: Event) -> Option<Told> {
        let signature = self.filter.signature_name(event.signature).map(str::to_owned);
        Told::new(event, self.interface(event.ifindex), signature)
    }

    fn interface(&self, ifindex: u32) -> String {
        let interface = self.attached.iter().find(|one| one.ifindex == ifindex);
        interface.map_or("other", |one| &one.name).to_owned()
    }

    /// What each rule that can drop has dropped so far.
    ///
    /// # Errors
    /// The kernel refused to tell.
    pub(super) fn drops(&self) -> Result<BTreeMap<Rule, Drops>, Error> {
        Ok(drops(&self.filter.counters().map_err(Error::Filter)?))
    }

    /// Whether the log shall tell of them.
    pub(super) fn logs_drops(&self) -> bool {
        self.plan.events.log
    }

    /// The list asked for, or all.
    ///
    /// # Errors
    /// The kernel refused to tell.
    pub fn lists(&self, kind: Option<Kind>) -> Result<Lists, Error> {
        let wanted = |one: Kind| kind.is_none_or(|kind| kind == one);
        Ok(Lists {
            blocked: wanted(Kind::Blocked).then(|| self.blocked_if(|_| true)),
            trusted: wanted(Kind::Trusted).then(|| self.trusted_if(|_| true)),
            banned: wanted(Kind::Banned).then(|| self.banned()).transpose()?,
            verified: wanted(Kind::Verified).then(|| self.verified()).transpose()?,
        })
    }

    fn blocked_if(&self, chosen: impl Fn(IpNet) -> bool) -> Vec<Listed> {
        let file = self.plan.blocked.iter().filter(|(net, _)| chosen(**net));
        let file = file.map(|(net, block)| Listed {
            target: shown(*net),
            origin: Origin::File,
            name: None,
            class: None,
            reason: block.reason.as_deref().map(str::to_owned),
            added: None,
            until: block.until,
            uid: None,
        });
        let now = Instant::now();
        let operator = self.blocks.iter().filter(|(net, _)| chosen(**net));
        let operator = operator.map(|(net, entry)| listed(shown(*net), entry, now));
        let others = self.fed_if(&chosen).chain(self.decided_if(&chosen));
        file.chain(operator).chain(others).collect()
    }

    fn trusted_if(&self, chosen: impl Fn(&Target) -> bool) -> Vec<Listed> {
        let file = self.plan.trusted.iter().filter(|(target, _)| chosen(target));
        let file = file.map(|(target, peer)| Listed {
            target: target.to_string(),
            origin: Origin::File,
            name: Some(peer.name.clone()),
            class: peer.class.map(|class| class.name().to_owned()),
            reason: None,
            added: None,
            until: None,
            uid: None,
        });
        let now = Instant::now();
        let operator = self.allows.iter().filter(|(target, _)| chosen(target));
        let operator = operator.map(|(target, entry)| listed(target.to_string(), entry, now));
        file.chain(operator).collect()
    }

    /// Blocks a network, or replaces the operator's block of it.
    ///
    /// # Errors
    /// It hits something that must stay reachable, or the kernel refused.
    pub fn block(
        &mut self,
        net: IpNet,
        ttl: Option<Ttl>,
        reason: Option<String>,
        by: By,
    ) -> Result<Added, Error> {
        check_reason(reason.as_deref())?;
        let trusted_by_file = self.plan.trusted.keys().map(|target| (target, Origin::File));
        let trusted_by_operator = self.allows.keys().map(|target| (target, Origin::Operator));
        safety::check_block(net, &self.place.host()?, trusted_by_file.chain(trusted_by_operator))?;
        self.filter.block(net, ttl.map(Ttl::duration)).map_err(Error::Filter)?;

        let (entry, until) = new_entry(ttl, reason, by.uid());
        let old = self.blocks.set(net, entry.clone());
        let target = shown(net);
        let blocked = Target { net, port: None };
        self.record_entry(by, List::Blocked, blocked, old.as_ref(), Some(&entry));
        let mut notes = Vec::new();
        if self.plan.blocked.contains_key(&net) {
            notes.push(format!("{target} is in blacklist.toml, too"));
        }
        if let Some((feed, _)) = self.feeds.held().find(|(_, fed)| *fed == net) {
            notes.push(format!("{target} is in the feed {feed}, too"));
        }
        if self.decided_over(net).any(|decided| decided.target == target) {
            notes.push(format!("CrowdSec has decided about {target}, too"));
        }
        let undo = format!("sipguard unblock {target}");
        Ok(Added { target, updated: old.is_some(), until, notes, undo })
    }

    /// Takes back the operator's block of a network, and lifts the bans in it.
    ///
    /// # Errors
    /// There is neither, or the kernel refused.
    pub fn unblock(&mut self, net: IpNet, by: By) -> Result<Removed, Error> {
        let target = shown(net);
        let lifted = self.lift_bans(net, by)?;
        let unbanned = lifted.as_ref().map_or(0, |lifted| lifted.count);
        let Some(old) = self.blocks.get(&net).cloned() else {
            let Some(Lifted { undo, .. }) = lifted else { return Err(self.not_blocked(net)) };
            return Ok(Removed {
                target,
                listed: false,
                unbanned,
                still: self.blocks_over(net),
                undo,
            });
        };
        self.filter.unblock(net).map_err(Error::Filter)?;
        self.blocks.remove(&net);
        let blocked = Target { net, port: None };
        self.record_entry(by, List::Blocked, blocked, Some(&old), None);
        let undo = again("block", &target, &old);
        Ok(Removed { target, listed: true, unbanned, still: self.blocks_over(net), undo })
    }

    fn not_blocked(&self, net: IpNet) -> Error {
        let (target, list) = (shown(net), "blocked");
        if self.plan.blocked.contains_key(&net) {
            return Error::OnlyInFile { target, list, file: self.place.config.join(BLACKLIST) };
        }
        if let Some((feed, _)) = self.feeds.held().find(|(_, fed)| *fed == net) {
            return Error::OnlyInFeed { target, feed: feed.to_owned() };
        }
        if let Some(decided) = self.decided_over(net).find(|decided| decided.target == target) {
            return Error::OnlyDecided { target, origin: decided.name.unwrap_or_default() };
        }
        match self.blocks_over(net).into_iter().next() {
            None => Error::NotListed { target, list },
            Some(holder) => {
                let undo = match holder.origin {
                    Origin::Operator => format!("run `sipguard unblock {}`", holder.target),
                    Origin::File => self.remove_from_file(BLACKLIST, &holder.target),
                    Origin::Feed => freed(&target),
                    Origin::Crowdsec => undecided(&target),
                };
                Error::Covered { target, list, holder, undo }
            }
        }
    }

    /// Every block that holds all of a network.
    fn blocks_over(&self, net: IpNet) -> Vec<Holder> {
        let file = self.plan.blocked.keys().map(|outer| (outer, Origin::File));
        let operator = self.blocks.keys().map(|outer| (outer, Origin::Operator));
        file.chain(operator)
            .filter(|(outer, _)| covers(**outer, net))
            .map(|(outer, origin)| Holder { target: shown(*outer), origin, feed: None })
            .chain(self.fed_over(net))
            .chain(self.deciders_over(net))
            .collect()
    }

    /// Trusts a target, or replaces the operator's trust in it.
    ///
    /// # Errors
    /// It would trust everybody, or the kernel refused.
    pub fn allow(
        &mut self,
        target: Target,
        ttl: Option<Ttl>,
        reason: Option<String>,
        by: By,
    ) -> Result<Added, Error> {
        check_reason(reason.as_deref())?;
        safety::check_allow(target)?;
        self.filter.allow(target, ttl.map(Ttl::duration)).map_err(Error::Filter)?;

        let (entry, until) = new_entry(ttl, reason, by.uid());
        let old = self.allows.set(target, entry.clone());
        self.record_entry(by, List::Trusted, target, old.as_ref(), Some(&entry));
        let mut notes = self.outdone_blocks(target);
        if self.plan.trusted.contains_key(&target) {
            notes.push(format!("{target} is in trusted.toml, too"));
        }
        let undo = format!("sipguard allow --remove {target}");
        Ok(Added { target: target.to_string(), updated: old.is_some(), until, notes, undo })
    }

    /// Blocks that no longer hold for all of their addresses, for trust wins.
    fn outdone_blocks(&self, target: Target) -> Vec<String> {
        let file = self.plan.blocked.keys().map(|net| (net, BLACKLIST));
        let operator = self.blocks.keys().map(|net| (net, "sipguard block"));
        file.chain(operator)
            .filter(|(net, _)| overlap(**net, target.net))
            .map(|(net, origin)| {
                format!("trust wins: the block of {} ({origin}) does not hold there", shown(*net))
            })
            .chain(self.outdone_feeds(target.net))
            .collect()
    }

    /// Takes back the operator's trust in a target.
    ///
    /// # Errors
    /// There is none, or the kernel refused.
    pub fn disallow(&mut self, target: Target, by: By) -> Result<Removed, Error> {
        let Some(old) = self.allows.get(&target).cloned() else {
            return Err(self.not_trusted(target));
        };
        self.filter.disallow(&target).map_err(Error::Filter)?;
        self.allows.remove(&target);
        self.record_entry(by, List::Trusted, target, Some(&old), None);
        let undo = again("allow", &target.to_string(), &old);
        let (target, still) = (target.to_string(), self.trust_over(target));
        Ok(Removed { target, listed: true, unbanned: 0, still, undo })
    }

    fn not_trusted(&self, target: Target) -> Error {
        let list = "trusted";
        if self.plan.trusted.contains_key(&target) {
            let file = self.place.config.join(TRUSTED);
            return Error::OnlyInFile { target: target.to_string(), list, file };
        }
        match self.trust_over(target).into_iter().next() {
            None => Error::NotListed { target: target.to_string(), list },
            Some(holder) => {
                let undo = match holder.origin {
                    Origin::Operator => format!("run `sipguard allow --remove {}`", holder.target),
                    Origin::File | Origin::Feed | Origin::Crowdsec => {
                        self.remove_from_file(TRUSTED, &holder.target)
                    }
                };
                Error::Covered { target: target.to_string(), list, holder, undo }
            }
        }
    }

    /// Every trusted target that holds all of this one.
    fn trust_over(&self, inner: Target) -> Vec<Holder> {
        let file = self.plan.trusted.keys().map(|outer| (outer, Origin::File));
        let operator = self.allows.keys().map(|outer| (outer, Origin::Operator));
        file.chain(operator)
            .filter(|(outer, _)| {
                covers(outer.net, inner.net) && (outer.port.is_none() || outer.port == inner.port)
            })
            .map(|(outer, origin)| Holder { target: outer.to_string(), origin, feed: None })
            .collect()
    }

    fn remove_from_file(&self, file: &str, target: &str) -> String {
        let file = self.place.config.join(file);
        format!("remove {target} from {} and run `sipguard reload`", file.display())
    }

    /// Puts a new policy in place of the present one; the operator's entries
    /// and posture stay. `notes` are warnings that were found on the way.
    ///
    /// # Errors
    /// The kernel refused; the former policy still holds.
    pub fn replace(
        &mut self,
        mut plan: Plan,
        mut notes: Vec<String>,
        by: By,
    ) -> Result<Reloaded, Error> {
        let changes = self.plan_of_files(|old| plan.changes(old));
        let postures = self.keep_posture(&mut plan);
        let mut feeds = self.feeds.under(&plan.feeds);
        match self.place.host() {
            Ok(host) => plan.fed = feeds.settle(&host, Timestamp::now()).into(),
            Err(error) => {
                let error = Error::Host(error);
                self.reload_failed(&error, by);
                return Err(error);
            }
        }
        if let Err(error) = self.filter.apply(&plan) {
            let error = Error::Filter(error);
            self.reload_failed(&error, by);
            return Err(error);
        }
        self.next_end = next_end(&plan);
        (self.plan, self.feeds) = (plan, feeds);
        self.postures = postures;
        self.change_mirror();
        self.crowd().ring();
        notes.extend(self.posture_reminder());
        notes.extend(changes.settings.iter().filter(|one| needs_restart(one)).map(|setting| {
            format!("warning: {} changed: takes effect when sipguard is started again", setting.key)
        }));
        notes.extend(self.outdone_operator_blocks());
        let summary = changes.to_string();
        info!(target: "sipguard::audit", %by, action = "reload", changed = sanitise(&summary, MAX_NOTE));
        self.record(by, Happened::Reload, None, summary.clone());
        notes.iter().for_each(|note| log_note(note));
        let at = now_to_the_second();
        self.deeds.reloaded(at, true);
        self.reload = Some(LastReload { at, ok: true, message: summary.clone() });
        let changes = serde_json::to_value(&changes).unwrap_or_default();
        Ok(Reloaded { summary, changes, notes })
    }

    fn outdone_operator_blocks(&self) -> Vec<String> {
        let trusted_over = |net: &IpNet| {
            let hits = |target: &&Target| overlap(target.net, *net);
            self.plan.trusted.keys().find(hits).map(|target| (shown(*net), *target))
        };
        self.blocks
            .keys()
            .filter_map(trusted_over)
            .map(|(net, target)| {
                format!(
                    "warning: trust wins: the operator's block of {net} does not hold for {target}"
                )
            })
            .collect()
    }

    /// Remembers and logs a reload that left everything as it was.
    pub fn reload_failed(&mut self, error: &Error, by: By) {
        warn!(target: "sipguard::audit", %by, action = "reload", failed = sanitise(&error.to_string(), MAX_NOTE));
        self.record(by, Happened::Reload, None, format!("failed: {error}"));
        let at = now_to_the_second();
        self.deeds.reloaded(at, false);
        self.reload = Some(LastReload { at, ok: false, message: error.to_string() });
    }

    /// Removes what has ended. The kernel program ignores such entries from
    /// their last nanosecond on; this makes room, and uncovers a wider entry
    /// that the ended one lay in.
    pub fn expire(&mut self) {
        self.tend();
        let now = Instant::now();
        for net in self.blocks.expired(now) {
            let old = self.blocks.remove(&net);
            let blocked = Target { net, port: None };
            self.record_entry(By::Timer, List::Blocked, blocked, old.as_ref(), None);
            // Not tried again: what stays in the map no longer holds.
            if let Err(error) = self.filter.unblock(net) {
                warn!("cannot remove the ended block of {}: {error}", shown(net));
            }
        }
        for target in self.allows.expired(now) {
            let old = self.allows.remove(&target);
            self.record_entry(By::Timer, List::Trusted, target, old.as_ref(), None);
            if let Err(error) = self.filter.disallow(&target) {
                warn!("cannot remove the ended trust in {target}: {error}");
            }
        }
        if self.next_end.is_some_and(|end| end <= Timestamp::now()) {
            self.expire_file_blocks();
        }
        self.sum_up_bans(now);
    }

    fn expire_file_blocks(&mut self) {
        let ended = safety::drop_ended(&mut self.plan, Timestamp::now());
        self.next_end = next_end(&self.plan);
        if let Err(error) = self.filter.apply(&self.plan) {
            warn!("cannot remove ended blocks of blacklist.toml: {error}");
        }
        for net in ended {
            self.record_ended_block(net, BLACKLIST);
        }
    }

    /// The daemon ends, and the protection with it unless it is to be kept.
    pub fn leave(&mut self) {
        self.filter.leave();
    }
}

/// Settings that are read once, at the start.
fn needs_restart(setting: &Setting) -> bool {
    ["interfaces.", "control.", "state.", "web.", "policy.fail_mode"]
        .iter()
        .any(|section| setting.key.starts_with(section))
}

fn next_end(plan: &Plan) -> Option<Timestamp> {
    plan.blocked.values().filter_map(|block| block.until).min()
}

/// Nobody needs the fraction. Never in the future.
fn now_to_the_second() -> Timestamp {
    let now = Timestamp::now();
    now.round(TimestampRound::new().smallest(Unit::Second).mode(RoundMode::Trunc)).unwrap_or(now)
}

/// The command that makes an entry again. Without its reason: who pastes a
/// command must not run somebody else's words.
fn again(command: &str, target: &str, old: &Entry) -> String {
    match old.left(Instant::now()) {
        None => format!("sipguard {command} {target}"),
        Some(ttl) => format!("sipguard {command} {target} --ttl {ttl}"),
    }
}

fn listed(target: String, entry: &Entry, now: Instant) -> Listed {
    Listed {
        target,
        origin: Origin::Operator,
        name: None,
        class: None,
        reason: entry.reason.clone(),
        added: Some(entry.added),
        until: entry.until(now),
        uid: Some(entry.uid),
    }
}

fn check_reason(reason: Option<&str>) -> Result<(), Error> {
    match reason.is_some_and(|reason| reason.chars().count() > MAX_REASON) {
        true => Err(Error::LongReason),
        false => Ok(()),
    }
}

fn new_entry(ttl: Option<Ttl>, reason: Option<String>, uid: u32) -> (Entry, Option<Timestamp>) {
    let now = Instant::now();
    let deadline = ttl.and_then(|ttl| now.checked_add(ttl.duration()));
    let entry = Entry { added: now_to_the_second(), deadline, reason, uid };
    let until = entry.until(now);
    (entry, until)
}

#[cfg(test)]
mod tests;
