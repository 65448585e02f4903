//! Running the real program over frames by BPF_PROG_TEST_RUN, with a clock of
//! our own and no interface: for tests and replay.

mod leaving;

use std::{mem::offset_of, net::IpAddr, time::Duration};

use aya::{
    Ebpf,
    maps::{HashMap, MapData, MapError, PerCpuArray},
    programs::{TestRun as _, TestRunOptions, TestRunResult},
};
use ipnet::IpNet;
use jiff::Timestamp;
use sipguard_common::{
    abi::{Address, Ban, Judged, Policy, Ports, Source},
    method::{Budget, Method},
    rule::{Rule, Verdict as RuleVerdict},
    scan::Scratch,
};

pub use self::leaving::Outgoing;
use super::{
    Kernel, KernelError,
    learned::forget,
    lists::Epoch,
    maps::{ArrayMap, typed},
    object,
};
use crate::policy::Plan;

/// A kernel program with a settable clock that is never attached: for tests
/// and replay.
pub struct TestKernel {
    kernel: Kernel,
    clock: ArrayMap<u64>,
    judged: ArrayMap<Judged>,
    strangers: HashMap<MapData, Address, Source>,
    subnets: HashMap<MapData, Address, u64>,
    ports: HashMap<MapData, Address, Ports>,
    budgets: ArrayMap<u64>,
    reserve: ArrayMap<u64>,
    peers: ArrayMap<u64>,
    scratch: PerCpuArray<MapData, [u8; size_of::<Scratch>()]>,
}

/// What the program did with one frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    pub rule: Rule,
    /// Method of a stranger's request, where it was read.
    pub method: Method,
    /// Index of the matching signature in the plan.
    pub signature: Option<usize>,
    /// Rules in mode observe that would have dropped it: their
    /// [`Rule::bit`]s.
    pub would: u64,
    pub action: Action,
}

/// What became of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It goes on as it came.
    Pass,
    Drop,
    /// A TCP segment: it goes on as a reset, which closes the server's half of
    /// the connection.
    Reset,
}

impl Action {
    /// As shown to users.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Drop => "drop",
            Self::Reset => "reset",
        }
    }
}

/// The program as it protects, clock and all, run over single frames.
pub struct BenchKernel {
    kernel: Kernel,
}

impl BenchKernel {
    /// Loads program and maps as for protection.
    ///
    /// # Errors
    /// Where rights or kernel features are missing.
    pub fn load() -> Result<Self, KernelError> {
        Ok(Self { kernel: Kernel::load()? })
    }

    /// The lists, policy and counters of this load.
    pub fn kernel(&mut self) -> &mut Kernel {
        &mut self.kernel
    }

    /// Runs the program `repeat` times over one frame, on the CPU of the
    /// calling thread; gives the mean time of one run, in whole nanoseconds.
    ///
    /// # Errors
    /// Where the kernel refuses the run.
    pub fn run(&self, frame: &[u8], repeat: u32) -> Result<Duration, KernelError> {
        Ok(test_run(&self.kernel, frame, repeat)?.duration)
    }

    /// Packets counted under a rule so far, on all interfaces and CPUs.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn counted(&self, rule: Rule) -> Result<u64, KernelError> {
        let interfaces = self.kernel.counters()?;
        Ok(interfaces.iter().map(|each| each.counters.rules[rule as usize].packets).sum())
    }
}

const XDP_DROP: u32 = 1;
const XDP_PASS: u32 = 2;

impl TestKernel {
    /// Loads program and maps for tests.
    ///
    /// # Errors
    /// Where rights or kernel features are missing.
    pub fn load() -> Result<Self, KernelError> {
        let mut ebpf: Ebpf = object::load(object::Purpose::Test)?;
        let clock = typed(&mut ebpf, "CLOCK")?;
        let judged = typed(&mut ebpf, "JUDGED")?;
        Ok(Self {
            clock,
            judged,
            strangers: typed(&mut ebpf, "STRANGERS")?,
            subnets: typed(&mut ebpf, "SUBNETS")?,
            ports: typed(&mut ebpf, "PORTS")?,
            budgets: typed(&mut ebpf, "BUDGETS")?,
            reserve: typed(&mut ebpf, "RESERVE")?,
            peers: typed(&mut ebpf, "PEERS")?,
            scratch: typed(&mut ebpf, "SCRATCH")?,
            kernel: Kernel::from_object(ebpf)?,
        })
    }

    /// The lists, policy and counters of this load.
    pub fn kernel(&mut self) -> &mut Kernel {
        &mut self.kernel
    }

    /// As [`Kernel::apply`].
    ///
    /// # Errors
    /// As there.
    pub fn apply(&mut self, plan: &Plan) -> Result<(), KernelError> {
        self.kernel.apply(plan)
    }

    /// Says what the program's clock shows, in nanoseconds, at a wall-clock
    /// time: by that, entries of the plans to come end. Unless told, it is the
    /// machine's.
    pub fn set_epoch(&mut self, wall: Timestamp, clock_ns: u64) {
        self.kernel.lists.set_epoch(Epoch { wall, clock_ns });
    }

    /// Sets the program's clock, in nanoseconds.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn set_clock(&mut self, nanoseconds: u64) -> Result<(), KernelError> {
        self.clock.set(0, nanoseconds, 0).map_err(KernelError::map("setting the test clock"))
    }

    /// Sets the buckets of a stranger under a policy.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn set_source(
        &mut self,
        address: Address,
        policy: &Policy,
        state: Source,
    ) -> Result<(), KernelError> {
        self.strangers
            .insert(address.source(policy.source_mask), state, 0)
            .map_err(KernelError::map("setting a source's buckets"))
    }

    /// Sets the bucket of a stranger's network under a policy.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn set_subnet(
        &mut self,
        address: Address,
        policy: &Policy,
        tat_ns: u64,
    ) -> Result<(), KernelError> {
        let subnet = address.subnet(policy.subnet_mask, policy.subnet_mask_v4);
        self.subnets
            .insert(subnet, tat_ns, 0)
            .map_err(KernelError::map("setting a network's bucket"))
    }

    /// Sets the ports that a stranger has sent from.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn set_ports(
        &mut self,
        address: Address,
        policy: &Policy,
        ports: Ports,
    ) -> Result<(), KernelError> {
        self.ports
            .insert(address.source(policy.source_mask), ports, 0)
            .map_err(KernelError::map("setting a source's ports"))
    }

    /// Sets the bucket of a trusted peer with a class.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn set_peer(&mut self, peer: u32, tat_ns: u64) -> Result<(), KernelError> {
        self.peers.set(peer, tat_ns, 0).map_err(KernelError::map("setting a peer's bucket"))
    }

    /// Sets the bucket that all strangers share.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn set_budget(&mut self, budget: Budget, tat_ns: u64) -> Result<(), KernelError> {
        self.budgets.set(budget as u32, tat_ns, 0).map_err(KernelError::map("setting a budget"))
    }

    /// How many entries are kept of strangers, of their networks and of their
    /// ports.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn remembered(&self) -> Result<[usize; 3], KernelError> {
        let context = KernelError::map("counting sources");
        let count =
            || Ok([entries(&self.strangers)?, entries(&self.subnets)?, entries(&self.ports)?]);
        count().map_err(context)
    }

    /// The key of the program's hashes, which [`Self::forget_sources`] changes.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn key(&self) -> Result<u64, KernelError> {
        self.kernel.seed.get()
    }

    /// Forgets every stranger, and what they all have spent.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn forget_sources(&mut self) -> Result<(), KernelError> {
        let context = KernelError::map("forgetting sources");
        forget(&mut self.strangers)
            .and_then(|()| forget(&mut self.subnets))
            .and_then(|()| forget(&mut self.ports))
            .map_err(context)?;
        self.kernel.seed.draw()?;
        self.reserve.set(0, 0, 0).map_err(KernelError::map("setting the reserve"))?;
        Budget::ALL.into_iter().try_for_each(|budget| self.set_budget(budget, 0))
    }

    /// Bans the source of an address, with times on the program's own clock.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn ban(&mut self, address: IpAddr, ban: Ban) -> Result<(), KernelError> {
        self.kernel.bans.set(address, ban)
    }

    /// What the index of the lists says of an address:
    /// [`sipguard_common::networks`].
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn index_of(&self, address: Address) -> Result<u8, KernelError> {
        self.kernel.lists.index_of(address)
    }

    /// Class and bucket of the trusted entry that the last packet on this CPU
    /// met: `ListEntry::class` and, with a class, `ListEntry::peer`.
    ///
    /// # Errors
    /// Where the kernel refuses, or there is no such CPU.
    pub fn trusted_as(&self, cpu: usize) -> Result<(u32, u32), KernelError> {
        let values =
            self.scratch.get(&0, 0).map_err(KernelError::map("reading the scratch memory"))?;
        let missing = KernelError::Missing { what: "memory of that CPU in", name: "SCRATCH" };
        let bytes = values.get(cpu).ok_or(missing)?;
        let word = |at: usize| {
            bytes[at..].first_chunk().map_or(0, |bytes: &[u8; 4]| u32::from_ne_bytes(*bytes))
        };
        Ok((word(offset_of!(Scratch, class)), word(offset_of!(Scratch, peer))))
    }

    /// When the kernel's entry for a blocked network ends; 0 is never.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn blocked_until(&self, net: IpNet) -> Result<Option<u64>, KernelError> {
        self.kernel.lists.blocked_until(net)
    }

    /// Judges one frame of at least 14 bytes (BPF_PROG_TEST_RUN takes no shorter one).
    ///
    /// # Errors
    /// Where the kernel refuses the run.
    pub fn run(&mut self, frame: &[u8]) -> Result<Verdict, KernelError> {
        let returned = test_run(&self.kernel, frame, 1)?.return_value;
        let judged = self.judged.get(&0, 0).map_err(KernelError::map("reading the outcome"))?;
        let rule = Rule::from_number(judged.rule)
            .ok_or(KernelError::Missing { what: "known rule for an outcome in", name: "JUDGED" })?;
        Ok(Verdict {
            rule,
            method: Method::ALL.get(judged.method as usize).copied().unwrap_or(Method::Unknown),
            signature: (judged.signature as usize).checked_sub(1),
            would: judged.would,
            action: match (returned, rule.verdict()) {
                (XDP_PASS, RuleVerdict::Pass) => Action::Pass,
                (XDP_PASS, RuleVerdict::Drop) => Action::Reset,
                (XDP_DROP, _) => Action::Drop,
                (other, _) => return Err(KernelError::Refused(format!("XDP action {other}"))),
            },
        })
    }
}

fn entries<V: aya::Pod>(map: &HashMap<MapData, Address, V>) -> Result<usize, MapError> {
    map.keys().try_fold(0, |count, key| key.map(|_| count + 1))
}

fn test_run(kernel: &Kernel, frame: &[u8], repeat: u32) -> Result<TestRunResult, KernelError> {
    let program = object::ingress_ref(kernel.loaded()?)?;
    let mut options = TestRunOptions::new();
    options.data_in = Some(frame);
    options.repeat = repeat;
    program.test_run(options).map_err(KernelError::program("running the program"))
}
