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
mod netlink;
mod object;
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

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use aya::{Ebpf, maps::MapData};
use ipnet::IpNet;
use sipguard_common::{
    abi::{Ban, Endpoint, Policy, Tap, TapCounts},
    rule::Rule,
};

use self::{
    attach::Attachments, bans::Bans, counters::CounterMaps, events::EventCounters,
    hits::SignatureHits, learned::LearnedMaps, lists::Lists, policy::PolicyMap, seed::Seed,
    tallies::Tallies, taps::Taps,
};
pub use self::{
    attach::{Attached, AttachedMode, EgressMode},
    bans::BanEntry,
    buckets::{Level, StrangerLevels},
    counters::InterfaceCounters,
    error::KernelError,
    events::EventLosses,
    lists::ListKind,
    log::{LOG_TARGET, LogLevel, ProgramLog},
    object::{ProgramInfo, ProgramInfos, instruction_budget},
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

/// The loaded kernel programs. They stay attached as long as this lives.
pub struct Kernel {
    ebpf: Ebpf,
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
    taps: Taps,
    tapped: Option<TappedReader>,
    seed: Seed,
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
        let mut ebpf = object::load(object::Purpose::Protect(level))?;
        let log = match level {
            LogLevel::Off => None,
            LogLevel::Debug => Some(ProgramLog::take(&mut ebpf)?),
        };
        Ok((Self::from_object(ebpf)?, log))
    }

    fn from_object(mut ebpf: Ebpf) -> Result<Self, KernelError> {
        Ok(Self {
            lists: Lists::take(&mut ebpf)?,
            bans: Bans::take(&mut ebpf)?,
            policy: PolicyMap::take(&mut ebpf)?,
            counters: CounterMaps::take(&mut ebpf)?,
            hits: SignatureHits::take(&mut ebpf)?,
            learned: LearnedMaps::take(&mut ebpf)?,
            events: EventCounters::take(&mut ebpf)?,
            reader: Some(EventReader::take(&mut ebpf, "EVENTS")?),
            bans_told: Some(BanReader::take(&mut ebpf, "BANS_TOLD")?),
            tallies: Tallies::take(&mut ebpf)?,
            taps: Taps::take(&mut ebpf)?,
            tapped: Some(TappedReader::take(&mut ebpf)?),
            seed: Seed::take(&mut ebpf)?,
            attachments: Attachments::default(),
            ebpf,
        })
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
        let counters = &mut self.counters;
        self.attachments.attach(&mut self.ebpf, interface, mode, egress, |slot, ifindex| {
            counters.name_slot(slot, interface, ifindex)
        })
    }

    /// Detaches from every interface that [`Self::attach`] attached to.
    pub fn detach(&mut self) {
        self.attachments.detach(&mut self.ebpf);
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
    /// does not call a source.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn restore_ban(&mut self, ban: &PastBan<'_>) -> Result<bool, KernelError> {
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
        verified::standing(&self.ebpf, &self.learned, bans::key(address), policy)
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
        self.taps.set(tap, wish)
    }

    /// What the taps did not get, since the program was loaded.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn tap_counts(&self) -> Result<TapCounts, KernelError> {
        self.taps.counts()
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
        object::infos(&self.ebpf)
    }
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

/// A map of the object by its name.
fn take_map(ebpf: &mut Ebpf, name: &'static str) -> Result<aya::maps::Map, KernelError> {
    ebpf.take_map(name).ok_or(KernelError::Missing { what: "map", name })
}

/// A typed map of the object by its name.
fn typed<T>(ebpf: &mut Ebpf, name: &'static str) -> Result<T, KernelError>
where
    T: TryFrom<aya::maps::Map, Error = aya::maps::MapError>,
{
    T::try_from(take_map(ebpf, name)?).map_err(KernelError::map("opening a map"))
}

/// A look into a map that stays where it is: for state that only the kernel
/// program writes.
fn view<'a, T>(ebpf: &'a Ebpf, name: &'static str) -> Result<T, KernelError>
where
    T: TryFrom<&'a aya::maps::Map, Error = aya::maps::MapError>,
{
    let map = ebpf.map(name).ok_or(KernelError::Missing { what: "map", name })?;
    T::try_from(map).map_err(KernelError::map("opening a map"))
}

type ArrayMap<V> = aya::maps::Array<MapData, V>;
