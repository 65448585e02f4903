//! Reading decisions in their turns, on threads that may wait.

use std::{path::PathBuf, time::Duration};

use jiff::Timestamp;
use tokio::{task::spawn_blocking, time::sleep};
use tracing::{debug, info, warn};

use super::{
    decisions::Place,
    hub::Hub,
    restore::{Late, restore_late},
};
use crate::{
    crowdsec::{CrowdsecError, FOLDER, Kept, Lapi, Schedule, Usage, Writer, read_key, usage},
    daemon::{Daemon, Error, Shared, memory::give_back},
    policy::CrowdsecSettings,
};

/// Decisions for which the daemon is asked at once.
const AT_ONCE: usize = 2000;

/// Decisions that are looked through at once.
const PAGE: usize = 50_000;

/// How often ended ones are looked for, and settings at least.
const GLANCE: Duration = Duration::from_secs(30);

/// How often decisions are written down where they change.
const WRITING: Duration = Duration::from_secs(60);

/// How often the local API is told what was done.
const USAGE: Duration = Duration::from_secs(1800);

/// Answers of this many leave memory behind.
const LARGE: usize = 10_000;

pub(super) async fn read(shared: Shared, state: PathBuf, late: Late) {
    restore_late(&shared, late).await;
    let hub = shared.daemon().await.crowd().clone();
    let mut reader = Reader::new(shared, hub.clone(), state);
    loop {
        let wanted = reader.shared.daemon().await.crowdsec_settings();
        reader = match spawn_blocking(move || reader.turn(wanted)).await {
            Ok(reader) => reader,
            Err(error) => return warn!("crowdsec: decisions are read no more: {error}"),
        };
        let next = reader.schedule.next().saturating_sub(hub.now());
        let wait = if reader.settings.bouncer().is_some() { next.min(GLANCE) } else { GLANCE };
        tokio::select! {
            () = hub.settings_changed() => {}
            () = sleep(wait) => {}
        }
    }
}

struct Reader {
    shared: Shared,
    hub: Hub,
    state: PathBuf,
    settings: CrowdsecSettings,
    lapi: Lapi,
    schedule: Schedule,
    swept: Duration,
    /// When decisions were last written down.
    written: Option<Duration>,
    is_changed: bool,
    /// When the last usage was told, and what had been seen by then; `None` where
    /// nobody wants to know.
    usage: Option<(Duration, u64)>,
}

impl Reader {
    fn new(shared: Shared, hub: Hub, state: PathBuf) -> Self {
        Self {
            settings: CrowdsecSettings::default(),
            lapi: Lapi::new(""),
            schedule: Schedule::new(hub.now()),
            swept: hub.now(),
            written: None,
            is_changed: false,
            usage: None,
            shared,
            hub,
            state,
        }
    }

    /// What is to be done now.
    fn turn(mut self, wanted: CrowdsecSettings) -> Self {
        self.take(wanted);
        if self.settings.bouncer().is_none() {
            return self;
        }
        let now = self.hub.now();
        if self.schedule.next() <= now {
            let all = self.schedule.needs_all(now);
            match self.poll(all) {
                Ok(()) => {
                    if let Some(error) = self.hub.answered(all) {
                        info!("crowdsec: decisions are read again, after: {error}");
                    }
                    self.schedule.answered(self.hub.now(), self.settings.interval.duration());
                    self.tell_usage();
                }
                Err(error) => {
                    let chance = getrandom::u32().unwrap_or(u32::MAX / 2);
                    let interval = self.settings.interval.duration();
                    self.schedule.failed(self.hub.now(), interval, error.reach(), chance);
                    if self.hub.failed(&error.to_string()) {
                        warn!(
                            "crowdsec: decisions cannot be read: {error}; what it has decided holds on"
                        );
                    }
                }
            }
        }
        if self.hub.now().saturating_sub(self.swept) >= GLANCE {
            self.sweep();
        }
        let now = self.hub.now();
        if self.is_changed && self.written.is_none_or(|last| now.saturating_sub(last) >= WRITING) {
            self.write();
        }
        self
    }

    /// Takes over settings.
    fn take(&mut self, wanted: CrowdsecSettings) {
        if wanted == self.settings {
            return;
        }
        let (was, is) = (self.settings.bouncer(), wanted.bouncer());
        if was.is_some() && is.is_none() {
            self.pages(|daemon, _, from| daemon.drop_decisions((from, PAGE)));
            Kept::remove(&self.state);
            self.hub.forget_reader();
            self.is_changed = false;
        }
        if was.map(|(url, _)| url) != is.map(|(url, _)| url) {
            self.lapi = Lapi::new(is.map_or("", |(url, _)| url));
            self.hub.forget_reader();
        }
        self.usage = wanted.usage.then_some((self.hub.now(), 0));
        self.schedule.begin_anew(self.hub.now());
        self.settings = wanted;
    }

    /// Asks once, and lets the answer hold.
    fn poll(&mut self, all: bool) -> Result<(), CrowdsecError> {
        let Some((_, file)) = self.settings.bouncer() else { return Ok(()) };
        let key = read_key(file)?;
        let mut words = self.shared.blocking_daemon().decision_words();
        // What is left is told as of the answer's beginning: nothing holds longer.
        let asked = self.hub.now();
        let mut answer = self.lapi.stream(&key, all, &self.settings, &mut words)?;
        // Neighbours share parts of the kernel's index: together they are written once.
        answer.new.sort_unstable_by_key(|one| (one.net, one.id));
        let (new, deleted) = (&answer.new, &answer.deleted);
        debug!("crowdsec: {} new decisions, {} deleted", new.len(), deleted.len());
        let room = {
            let mut daemon = self.shared.blocking_daemon();
            daemon.begin_decisions(all, words, answer.left_out);
            self.settings.max_decisions.saturating_sub(daemon.decisions())
        };
        let mut ended = deleted.as_slice();
        // What comes is there before what goes is gone, where there is room.
        if new.len() > room && !all {
            self.delete(std::mem::take(&mut ended))?;
        }
        for some in new.chunks(AT_ONCE) {
            self.shared.blocking_daemon().decide(some, asked, self.hub.now()).map_err(refused)?;
        }
        match all {
            true => self.pages(|daemon, now, from| daemon.drop_stale_decisions((from, PAGE), now)),
            false => self.delete(ended)?,
        }
        self.is_changed |= all || !new.is_empty() || !deleted.is_empty();
        if new.len() >= LARGE {
            drop(answer);
            give_back();
        }
        Ok(())
    }

    fn delete(&self, ended: &[(ipnet::IpNet, u64)]) -> Result<(), CrowdsecError> {
        ended.chunks(AT_ONCE).try_for_each(|some| {
            self.shared.blocking_daemon().undecide(some, self.hub.now()).map_err(refused)
        })
    }

    /// Goes through all decisions, page by page.
    fn pages(&self, mut work: impl FnMut(&mut Daemon, Duration, Place) -> NextPage) {
        let mut from = None;
        loop {
            let done = work(&mut self.shared.blocking_daemon(), self.hub.now(), from);
            match done {
                Ok(None) => return,
                Ok(next) => from = next,
                Err(error) => return warn!("crowdsec: ended decisions stay: {error}"),
            }
        }
    }

    fn sweep(&mut self) {
        self.swept = self.hub.now();
        self.pages(|daemon, now, from| daemon.drop_ended_decisions((from, PAGE), now));
    }

    /// Writes decisions down for the next start.
    fn write(&mut self) {
        (self.written, self.is_changed) = (Some(self.hub.now()), false);
        if let Err(error) = self.try_write() {
            warn!("crowdsec: decisions cannot be kept in {FOLDER} over a restart: {error}");
        }
    }

    fn try_write(&self) -> std::io::Result<()> {
        let Some((url, _)) = self.settings.bouncer() else { return Ok(()) };
        let mut writer = Writer::new(&self.state, url, Timestamp::now())?;
        let began = self.hub.now();
        let mut from = None;
        loop {
            let (page, words) = self.shared.blocking_daemon().some_decisions(from, AT_ONCE * 5);
            for (key, terms) in page.found {
                let pair = words.get(terms.words);
                let left = terms.until().saturating_sub(began);
                writer.add(key, left, (&pair.origin, &pair.scenario))?;
            }
            from = page.next;
            if from.is_none() {
                return writer.finish();
            }
        }
    }

    fn tell_usage(&mut self) {
        let Some((last, before)) = self.usage else { return };
        let (now, Some((_, file))) = (self.hub.now(), self.settings.bouncer()) else { return };
        if now.saturating_sub(last) < USAGE {
            return;
        }
        let (seen, active, started) = self.shared.blocking_daemon().decision_usage();
        let counts = Usage { processed: seen.saturating_sub(before), active };
        let body = usage(&counts, started, Timestamp::now(), now.saturating_sub(last));
        let told = read_key(file).and_then(|key| self.lapi.tell_usage(&key, &body));
        self.usage = match told {
            Ok(true) => Some((now, seen)),
            // An older one, which wants to know nothing.
            Ok(false) => None,
            Err(error) => {
                debug!("crowdsec: usage cannot be told: {error}");
                Some((last + USAGE / 2, before))
            }
        };
    }
}

/// Where to go on.
type NextPage = Result<Place, Error>;

/// What an answer says is lost where the kernel does not take it.
fn refused(error: Error) -> CrowdsecError {
    CrowdsecError::NotHeld(error.to_string())
}
