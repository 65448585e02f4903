//! Running the real program over frames by BPF_PROG_TEST_RUN, with a clock of
//! our own and no interface: for tests and replay.

use std::time::Duration;

use aya::{
    Ebpf,
    maps::{HashMap, MapData},
    programs::{TestRun as _, TestRunOptions, TestRunResult},
};
use ipnet::IpNet;
use jiff::Timestamp;
use sipguard_common::{
    abi::{Address, Judged, Source},
    method::Method,
    rule::Rule,
};

use super::{ArrayMap, Kernel, KernelError, lists::Epoch, object, typed};
use crate::policy::Plan;

/// A kernel program with a settable clock that is never attached: for tests
/// and replay.
pub struct TestKernel {
    kernel: Kernel,
    clock: ArrayMap<u64>,
    judged: ArrayMap<Judged>,
    strangers: HashMap<MapData, Address, Source>,
}

/// What the program did with one frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    pub rule: Rule,
    /// Method of a stranger's request, where it was read.
    pub method: Method,
    /// Index of the matching signature in the plan.
    pub signature: Option<usize>,
    /// Whether the frame went on: what the program returned to the driver.
    pub passed: bool,
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
        let strangers = typed(&mut ebpf, "STRANGERS")?;
        Ok(Self { kernel: Kernel::from_object(ebpf)?, clock, judged, strangers })
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

    /// Sets the buckets of a stranger. `mask` is the policy's.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn set_source(
        &mut self,
        address: Address,
        mask: [u64; 2],
        state: Source,
    ) -> Result<(), KernelError> {
        self.strangers
            .insert(address.source(mask), state, 0)
            .map_err(KernelError::map("setting a source's buckets"))
    }

    /// Forgets every stranger.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn forget_sources(&mut self) -> Result<(), KernelError> {
        let sources: Result<Vec<_>, _> = self.strangers.keys().collect();
        sources
            .and_then(|sources| sources.iter().try_for_each(|source| self.strangers.remove(source)))
            .map_err(KernelError::map("forgetting sources"))
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
        Ok(Verdict {
            rule: Rule::from_number(judged.rule).ok_or(KernelError::Missing {
                what: "known rule for an outcome in",
                name: "JUDGED",
            })?,
            method: Method::ALL.get(judged.method as usize).copied().unwrap_or(Method::Unknown),
            signature: (judged.signature as usize).checked_sub(1),
            passed: match returned {
                XDP_PASS => true,
                XDP_DROP => false,
                other => return Err(KernelError::Refused(format!("XDP action {other}"))),
            },
        })
    }
}

fn test_run(kernel: &Kernel, frame: &[u8], repeat: u32) -> Result<TestRunResult, KernelError> {
    let program = object::ingress_ref(&kernel.ebpf)?;
    let mut options = TestRunOptions::new();
    options.data_in = Some(frame);
    options.repeat = repeat;
    program.test_run(options).map_err(KernelError::program("running the program"))
}
