//! The kernel programs and their maps: the only room that knows aya.

mod attach;
mod bans;
mod batch;
mod btf;
mod buckets;
mod clock;
mod counters;
mod error;
mod events;
mod features;
mod hits;
mod learned;
mod lists;
mod log;
mod maps;
mod netlink;
mod object;
mod pins;
mod policy;
mod replies;
mod ring;
mod seed;
mod survey;
mod tallies;
mod taps;
mod test_run;
mod verified;
mod walk;

use std::{
    collections::BTreeMap,
    net::IpAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use aya::Ebpf;
use ipnet::IpNet;
use jiff::Timestamp;
use sipguard_common::{
    abi::{Ban, Endpoint, Policy, Record, Tap, TapCounts},
    rule::Rule,
};

use self::{
    attach::Attachments,
    bans::Bans,
    counters::CounterMaps,
    events::EventCounters,
    hits::SignatureHits,
    learned::LearnedMaps,
    lists::Lists,
    maps::{ArrayMap, Maps, typed},
    pins::Next,
    policy::PolicyMap,
    seed::Seed,
    tallies::Tallies,
    taps::Taps,
};
pub use self::{
    attach::{Attached, AttachedMode, EgressMode, Tended},
    bans::BanEntry,
    buckets::{Level, StrangerLevels},
    counters::InterfaceCounters,
    error::KernelError,
    events::EventLosses,
    lists::ListKind,
    log::{LOG_TARGET, LogLevel, ProgramLog},
    object::{ProgramInfo, ProgramInfos, instruction_budget},
    pins::{DEFAULT_PINS, Earlier, Pins, state_of},
    replies::InterfaceReplies,
    ring::{BanReader, EventReader, RingReader},
    survey::{Seen, Survey, XdpFeatures, check_kernel, has_program, survey},
    tallies::SourceTally,
    taps::{TapWish, Tapped, TappedReader},
    test_run::{Action, BenchKernel, Outgoing, TestKernel, Verdict},
    verified::{Acquaintance, FailuresEntry, How, Reply, SiteEntry, Standing, VerifiedEntry},
};
use crate::{
    offender::Offender,
    policy::{Plan, Target},
};

/// The loaded kernel programs. They stay attached as long as this lives, unless
/// they are to be kept.
pub struct Kernel {
    /// None where others have loaded them, and only their maps are open.
    ebpf: Option<Ebpf>,
    lists: Lists,
    bans: Bans,
    policy: PolicyMap,
    counters: CounterMaps,
    hits: SignatureHits,
    learned: LearnedMaps,
    events: EventCounters,
    reader: Option<EventReader>,
    bans_told: Option<BanReader>,
    tallies: Tallies,
    taps: Option<Taps>,
    tapped: Option<TappedReader>,
    seed: Seed,
    pinned: Option<Pinned>,
    /// Behind the programs: what it made for them goes when they are gone.
    attachments: Attachments,
}

impl Kernel {
    /// Loads the programs and makes their maps; nothing is attached, and without
    /// a policy every packet passes.
    ///
    /// # Errors
    /// Where rights or kernel features are missing.
    pub fn load() -> Result<Self, KernelError> {
        Ok(Self::load_with_log(LogLevel::Off)?.0)
    }

    /// As [`Self::load`]; gives the program's own log, too, where it is on.
    ///
    /// # Errors
    /// As there.
    pub fn load_with_log(level: LogLevel) -> Result<(Self, Option<ProgramLog>), KernelError> {
        let (ebpf, log) = load(level, None)?;
        Ok((Self::from_object(ebpf)?, log))
    }

    /// As [`Self::load_with_log`], where an earlier run may have left its maps
    /// and programs: this one goes on with what they have learned and counted.
    /// They are in force until this one attaches. Where `keep` says so, this
    /// one's outlive it, too. [`Self::settle`] belongs behind the last interface.
    ///
    /// # Errors
    /// As there, and where the pins cannot be used.
    pub fn load_pinned(
        level: LogLevel,
        pins: Pins,
        keep: bool,
    ) -> Result<(Self, Option<ProgramLog>, Earlier), KernelError> {
        let earlier = pins.earlier()?;
        let next = pins.prepare(earlier == Earlier::Same)?;
        let (mut ebpf, log) = load(level, Some(&next))?;
        let record = typed(&mut ebpf, "RECORD")?;
        let mut kernel = Self::from_object(ebpf)?;
        if earlier == Earlier::Same {
            kernel.hits.read_back()?;
        }
        kernel.pinned =
            Some(Pinned { next: Some(next), record, goes_on: earlier == Earlier::Same });
        kernel.attachments = Attachments::pinned(pins, keep);
        Ok((kernel, log, earlier))
    }

    /// Opens the maps of programs that are attached, while nobody else uses
    /// them: with what can be told of their policy, but for the lists, and where
    /// they protect. What needs the programs themselves fails.
    ///
    /// # Errors
    /// They are of another version or another load, or the kernel refuses.
    pub fn open(pins: Pins) -> Result<(Self, Plan, Vec<Attached>), KernelError> {
        match pins.earlier()? {
            Earlier::Same => {}
            Earlier::Nothing => return Err(KernelError::OtherPins("nothing is there".to_owned())),
            Earlier::Other(why) => return Err(KernelError::OtherPins(why)),
        }
        let mut maps = pins.maps();
        let mut kernel = Self::from_maps(&mut maps)?;
        let record = typed(&mut maps, "RECORD")?;
        kernel.pinned = Some(Pinned { next: None, record, goes_on: true });
        kernel.hits.read_back()?;
        let mut plan = kernel.policy.read_back()?;
        kernel.bans.set_source_mask(plan.policy.source_mask);
        plan.signatures = kernel.hits.signatures();
        kernel.attachments = Attachments::pinned(pins, true);
        let attached = kernel.attachments.found(kernel.counters.interfaces())?;
        Ok((kernel, plan, attached))
    }

    /// Reads what the lists of an opened kernel hold into its plan.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn read_lists(&mut self, plan: &mut Plan) -> Result<(), KernelError> {
        self.lists.read_back(plan)
    }

    /// The state directory of who keeps these programs.
    #[must_use]
    pub fn state(&self) -> Option<PathBuf> {
        let pinned = self.pinned.as_ref()?;
        state_of(&pinned.record.get(&0, 0).ok()?)
    }

    /// Detaches what an earlier run has kept, and removes all of its pins; gives
    /// the interfaces where it was, by index.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn remove_kept(pins: &Pins) -> Result<Vec<u32>, KernelError> {
        attach::remove_kept(pins)
    }

    fn from_object(mut ebpf: Ebpf) -> Result<Self, KernelError> {
        let mut kernel = Self::from_maps(&mut ebpf)?;
        kernel.reader = Some(EventReader::take(&mut ebpf, "EVENTS")?);
        kernel.bans_told = Some(BanReader::take(&mut ebpf, "BANS_TOLD")?);
        kernel.taps = Some(Taps::take(&mut ebpf)?);
        kernel.tapped = Some(TappedReader::take(&mut ebpf)?);
        kernel.ebpf = Some(ebpf);
        Ok(kernel)
    }

    fn from_maps(maps: &mut impl Maps) -> Result<Self, KernelError> {
        Ok(Self {
            ebpf: None,
            lists: Lists::take(maps)?,
            bans: Bans::take(maps)?,
            policy: PolicyMap::take(maps)?,
            counters: CounterMaps::take(maps)?,
            hits: SignatureHits::take(maps)?,
            learned: LearnedMaps::take(maps)?,
            events: EventCounters::take(maps)?,
            reader: None,
            bans_told: None,
            tallies: Tallies::take(maps)?,
            taps: None,
            tapped: None,
            seed: Seed::take(maps)?,
            pinned: None,
            attachments: Attachments::default(),
        })
    }

    fn loaded(&self) -> Result<&Ebpf, KernelError> {
        self.ebpf.as_ref().ok_or(KernelError::NotRunning)
    }

    /// All interfaces are attached: from now on the pins are this run's, or
    /// gone where its programs leave with it. Interfaces that an earlier run has
    /// protected and this one does not are left; gives which, by index.
    ///
    /// # Errors
    /// The kernel refuses. The programs are attached all the same.
    pub fn settle(&mut self, state: &Path) -> Result<Vec<u32>, KernelError> {
        let Some(pinned) = &mut self.pinned else { return Ok(Vec::new()) };
        let Some(pins) = self.attachments.pins() else { return Ok(Vec::new()) };
        if self.attachments.keeps() {
            pinned.write(state)?;
            pinned.settle(pins)?;
        }
        let left = self.attachments.leave_others()?;
        if !self.attachments.keeps() {
            pins.clear()?;
        }
        Ok(left)
    }

    /// The start has failed: what it has attached goes, what an earlier run has
    /// left stays in force, be it with these programs.
    pub fn give_up(&mut self, state: &Path) {
        let Some(ebpf) = self.ebpf.as_mut() else { return };
        self.attachments.detach_new(ebpf);
        let (Some(pinned), Some(pins)) = (&mut self.pinned, self.attachments.pins()) else {
            return;
        };
        let done = match self.attachments.is_empty() {
            true => pinned.give_up(pins),
            false => pinned.write(state).and_then(|()| pinned.settle(pins)),
        };
        if let Err(error) = done {
            tracing::warn!("{error}");
        }
    }

    /// When counting began, where an earlier run did that.
    #[must_use]
    pub fn since(&self) -> Option<Timestamp> {
        let pinned = self.pinned.as_ref().filter(|pinned| pinned.goes_on)?;
        let record = pinned.record.get(&0, 0).ok()?;
        Timestamp::from_second(i64::try_from(record.since).ok()?).ok()
    }

    /// Whether the programs outlive this.
    #[must_use]
    pub const fn keeps(&self) -> bool {
        self.attachments.keeps()
    }

    /// The operator's entries, with the time that each has left; none without
    /// end, zero where it has ended.
    pub fn operators(
        &self,
        kind: ListKind,
    ) -> impl Iterator<Item = (Target, Option<Duration>)> + '_ {
        let now = lists::now();
        self.lists.operators(kind).iter().map(move |(target, until)| {
            let left = Duration::from_nanos(until.saturating_sub(now));
            (*target, (*until != 0).then_some(left))
        })
    }

    /// The interfaces that were protected last, by index and name.
    pub fn interfaces(&self) -> impl Iterator<Item = (u32, &str)> {
        self.counters.interfaces()
    }

    /// Brings the maps to what the plan says; entries of the operator stay.
    ///
    /// Additions come first, then the whole policy is swapped at once, then
    /// what is no longer wanted goes: blocks before trust. So no packet meets a
    /// mixture that neither the old nor the new plan describes: a source that
    /// stays trusted is trusted throughout, one that stays blocked is blocked
    /// throughout.
    ///
    /// # Errors
    /// On any error the old policy stays in force as a whole.
    pub fn apply(&mut self, plan: &Plan) -> Result<(), KernelError> {
        let slots = self.hits.plan(&plan.signatures)?;
        let policy = self.policy.prepare(plan, &slots)?;
        let pending = match self.lists.add(plan) {
            Ok(pending) => pending,
            Err(error) => {
                self.policy.discard(policy);
                return Err(error);
            }
        };
        if let Err(error) = self.policy.swap(policy) {
            self.lists.take_back(pending);
            return Err(error);
        }
        self.hits.keep(slots);
        self.bans.set_source_mask(plan.policy.source_mask);
        self.lists.remove(pending)
    }

    /// Attaches both programs to an interface, or none. See [`Attached::note`]
    /// for what the operator should hear about it.
    ///
    /// # Errors
    /// Where there is no such interface, another program is there, or the
    /// driver or the kernel cannot.
    pub fn attach(
        &mut self,
        interface: &str,
        mode: crate::policy::Mode,
    ) -> Result<Attached, KernelError> {
        self.attach_by(interface, mode, features::egress()?)
    }

    /// As [`Self::attach`], with the way to see what leaves: not every kernel
    /// has both.
    ///
    /// # Errors
    /// As there.
    pub fn attach_by(
        &mut self,
        interface: &str,
        mode: crate::policy::Mode,
        egress: EgressMode,
    ) -> Result<Attached, KernelError> {
        let Self { ebpf, counters, attachments, .. } = self;
        let ebpf = ebpf.as_mut().ok_or(KernelError::NotRunning)?;
        attachments
            .attach(ebpf, interface, mode, egress, |ifindex| counters.name_slot(interface, ifindex))
    }

    /// Looks whether every interface is still protected, and protects those that
    /// have come back. Cheap: a question for each.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn tend(&mut self) -> Result<Vec<Tended>, KernelError> {
        let Self { ebpf, counters, attachments, .. } = self;
        let Some(ebpf) = ebpf else { return Ok(Vec::new()) };
        attachments.tend(ebpf, |name, ifindex| counters.name_slot(name, ifindex))
    }

    /// Detaches from every interface that [`Self::attach`] attached to.
    pub fn detach(&mut self) {
        if let Some(ebpf) = &mut self.ebpf {
            self.attachments.detach(ebpf);
        }
    }

    /// The daemon ends: detaches, unless the programs are to be kept.
    pub fn leave(&mut self) {
        if !self.keeps() {
            return self.detach();
        }
        // Nobody reads them any more.
        if let Some(Err(error)) = self.taps.as_mut().map(Taps::close) {
            tracing::warn!("captures stay open in the kernel: {error}");
        }
    }

    /// Blocks an address or network for the operator, from now on, until
    /// `expires` from now.
    ///
    /// # Errors
    /// Where the list is full or the kernel refuses.
    pub fn block(&mut self, net: IpNet, expires: Option<Duration>) -> Result<(), KernelError> {
        self.lists.insert(ListKind::Blocked, Target { net, port: None }, expires)
    }

    /// Takes the operator's block away; an entry of the plan stays.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn unblock(&mut self, net: IpNet) -> Result<(), KernelError> {
        self.lists.delete(ListKind::Blocked, Target { net, port: None })
    }

    /// Blocks networks that somebody else has decided about, until their ends from
    /// now on or, with `None`, no longer. Gives those for which there is no room.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn decide(
        &mut self,
        changes: &[(IpNet, Option<Duration>)],
    ) -> Result<Vec<IpNet>, KernelError> {
        self.lists.decide(changes)
    }

    /// Trusts a target for the operator, until `expires` from now.
    ///
    /// # Errors
    /// Where the list is full or the kernel refuses.
    pub fn allow(&mut self, target: Target, expires: Option<Duration>) -> Result<(), KernelError> {
        self.lists.insert(ListKind::Trusted, target, expires)
    }

    /// Takes the operator's trust away; an entry of the plan stays.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn disallow(&mut self, target: &Target) -> Result<(), KernelError> {
        self.lists.delete(ListKind::Trusted, *target)
    }

    /// The bans that hold, in no order. Takes a while with many of them.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn bans(&self) -> Result<Vec<BanEntry>, KernelError> {
        self.bans.all()
    }

    /// Bans the source of an address for `ttl` from now on: an IPv4 address, or
    /// the IPv6 network that the policy in force calls a source. Replaces a ban
    /// of that source. Trust wins over it.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn ban(&mut self, address: IpAddr, ttl: Duration, rule: Rule) -> Result<(), KernelError> {
        self.bans.ban(address, ttl, rule)
    }

    /// Lifts every ban that hits an address of this network; gives how many.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn unban(&mut self, net: IpNet) -> Result<usize, KernelError> {
        self.bans.unban(net)
    }

    /// Lifts one ban; gives whether there was one.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn lift_ban(&mut self, who: Offender) -> Result<bool, KernelError> {
        self.bans.lift(who)
    }

    /// Whether a ban holds.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn holds_ban(&self, who: Offender) -> Result<bool, KernelError> {
        self.bans.holds(who)
    }

    /// Puts off the end of a ban that holds, to a time in nanoseconds of
    /// CLOCK_MONOTONIC. Gives false where there is none, or it ends later
    /// anyway.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn extend_ban(&mut self, who: Offender, until_ns: u64) -> Result<bool, KernelError> {
        self.bans.extend(who, until_ns)
    }

    /// Makes a ban again that an earlier run has made, `left` before its end.
    /// Gives false where it is one of an IPv6 network that the policy in force
    /// does not call a source. Where the maps are those of that run, they know
    /// better.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn restore_ban(&mut self, ban: &PastBan<'_>) -> Result<bool, KernelError> {
        if self.pinned.as_ref().is_some_and(|pinned| pinned.goes_on) {
            return Ok(true);
        }
        let now_ns = lists::now();
        let age_ns = u64::try_from(ban.age.as_nanos()).unwrap_or(u64::MAX);
        let signature = ban.signature.and_then(|name| self.hits.slot(name));
        let value = Ban {
            expires_ns: lists::after(ban.left),
            // The machine may have started since: then it is as old as that.
            since_ns: now_ns.saturating_sub(age_ns).max(1),
            rule: ban.rule.number(),
            signature: signature.map_or(0, |slot| u32::from(slot) + 1),
            failures: ban.failures,
            proven: u32::from(ban.proven),
        };
        self.bans.restore(ban.who, value)
    }

    /// Whom the key of a ban stands for.
    #[must_use]
    pub fn offender(&self, key: Endpoint) -> Offender {
        self.bans.who(key)
    }

    /// Everybody who is verified, by address and port. Takes a while with many
    /// of them.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn verified(&self) -> Result<Vec<VerifiedEntry>, KernelError> {
        verified::all(&self.learned)
    }

    /// What is known of an endpoint (port and protocol number of IP), or without
    /// one of the source alone. Takes no time.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn acquaintance(
        &self,
        address: IpAddr,
        port: Option<(u16, u8)>,
        policy: &Policy,
    ) -> Result<Acquaintance, KernelError> {
        verified::acquaintance(&self.learned, bans::key(address), port, policy)
    }

    /// What is known of an address under the policy in force. Takes as long.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn standing(&self, address: IpAddr, policy: &Policy) -> Result<Standing, KernelError> {
        verified::standing(self.loaded()?, &self.learned, bans::key(address), policy)
    }

    /// What has left so far, by interface, as [`Self::counters`].
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn replies(&self) -> Result<Vec<InterfaceReplies>, KernelError> {
        self.learned.replies_of(self.counters.names())
    }

    /// What was counted so far, by interface, summed over CPUs. The first is
    /// named `other`: packets of interfaces without a slot of their own.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn counters(&self) -> Result<Vec<InterfaceCounters>, KernelError> {
        self.counters.read()
    }

    /// Packets that matched a signature, by its name, since that was enabled.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn signature_hits(&self) -> Result<BTreeMap<String, u64>, KernelError> {
        self.hits.read()
    }

    /// The name of the signature of an event or a ban, which hold its slot plus
    /// one. `None` for 0, and where the signature is gone.
    #[must_use]
    pub fn signature_name(&self, slot: u32) -> Option<&str> {
        self.hits.name(u16::try_from(slot.checked_sub(1)?).ok()?)
    }

    /// The reader of events. There is one: `None` once it was taken.
    pub fn take_events(&mut self) -> Option<EventReader> {
        self.reader.take()
    }

    /// The reader of bans, likewise.
    pub fn take_bans_told(&mut self) -> Option<BanReader> {
        self.bans_told.take()
    }

    /// Events that never came out of the kernel program, so far.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn event_losses(&self) -> Result<EventLosses, KernelError> {
        self.events.losses()
    }

    /// Who has sent what, as far as it is remembered. Cheap: no system call.
    #[must_use]
    pub fn tallies(&self) -> Vec<SourceTally> {
        self.tallies.read(|source| self.bans.who(Endpoint::whole(source)).source)
    }

    /// Opens a tap for the packets that are wished, or closes it.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn set_tap(&mut self, tap: Tap, wish: Option<&TapWish>) -> Result<(), KernelError> {
        self.taps.as_mut().ok_or(KernelError::NotRunning)?.set(tap, wish)
    }

    /// What the taps did not get, since the program was loaded.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn tap_counts(&self) -> Result<TapCounts, KernelError> {
        self.taps.as_ref().map_or_else(|| Ok(TapCounts::default()), Taps::counts)
    }

    /// The reader of the taps. There is one: `None` once it was taken.
    pub fn take_tapped(&mut self) -> Option<TappedReader> {
        self.tapped.take()
    }

    /// Sizes of the loaded programs.
    ///
    /// # Errors
    /// Where the kernel does not tell.
    pub fn program_info(&self) -> Result<ProgramInfos, KernelError> {
        object::infos(self.loaded()?)
    }
}

/// What has to be done with the pins once everything is attached.
struct Pinned {
    /// The maps of this load, until they are those of what is attached.
    next: Option<Next>,
    record: ArrayMap<Record>,
    /// With the maps of an earlier run.
    goes_on: bool,
}

impl Pinned {
    fn settle(&mut self, pins: &Pins) -> Result<(), KernelError> {
        self.next.take().map_or(Ok(()), |next| pins.settle(&next))
    }

    fn give_up(&mut self, pins: &Pins) -> Result<(), KernelError> {
        self.next.take().map_or(Ok(()), |next| pins.give_up(&next))
    }

    /// Writes whose maps these are now.
    fn write(&mut self, state: &Path) -> Result<(), KernelError> {
        let context = || KernelError::map("writing whose maps these are");
        let before = self.record.get(&0, 0).map_err(context())?;
        let now = u64::try_from(Timestamp::now().as_second()).unwrap_or_default();
        self.record.set(0, pins::record(&before, state, now), 0).map_err(context())
    }
}

/// Loads the programs, and takes their log where it is on.
fn load(level: LogLevel, pins: Option<&Next>) -> Result<(Ebpf, Option<ProgramLog>), KernelError> {
    let mut ebpf = object::load_with(object::Purpose::Protect(level), pins)?;
    let log = match level {
        LogLevel::Off => None,
        LogLevel::Debug => Some(ProgramLog::take(&mut ebpf)?),
    };
    Ok((ebpf, log))
}

/// A ban of an earlier run, which holds for a while yet.
#[derive(Clone, Copy, Debug)]
pub struct PastBan<'a> {
    pub who: Offender,
    pub left: Duration,
    /// How long ago it was made.
    pub age: Duration,
    pub rule: Rule,
    /// The name of the signature that was the reason.
    pub signature: Option<&'a str>,
    pub failures: u32,
    pub proven: bool,
}
