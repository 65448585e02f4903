//! Running the real program over frames by BPF_PROG_TEST_RUN, with a clock of
//! our own and no interface: for tests and replay.

use std::time::Duration;

use aya::{
    Ebpf,
    programs::{TestRun as _, TestRunOptions, TestRunResult},
};
use sipguard_common::{abi::Judged, method::Method, rule::Rule};

use super::{ArrayMap, Kernel, KernelError, object, typed};
use crate::policy::Plan;

/// A kernel program with a settable clock that is never attached.
pub struct TestKernel {
    kernel: Kernel,
    clock: ArrayMap<u64>,
    judged: ArrayMap<Judged>,
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
    pub fn run(&mut self, frame: &[u8], repeat: u32) -> Result<Duration, KernelError> {
        Ok(test_run(&mut self.kernel, frame, repeat)?.duration)
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
        Ok(Self { kernel: Kernel::from_object(ebpf)?, clock, judged })
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

    /// Sets the program's clock, in nanoseconds.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn set_clock(&mut self, nanoseconds: u64) -> Result<(), KernelError> {
        self.clock.set(0, nanoseconds, 0).map_err(KernelError::map("setting the test clock"))
    }

    /// Judges one frame of at least 14 bytes (BPF_PROG_TEST_RUN takes no shorter one).
    ///
    /// # Errors
    /// Where the kernel refuses the run.
    pub fn run(&mut self, frame: &[u8]) -> Result<Verdict, KernelError> {
        let returned = test_run(&mut self.kernel, frame, 1)?.return_value;
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

fn test_run(
    kernel: &mut Kernel,
    frame: &[u8],
    repeat: u32,
) -> Result<TestRunResult, KernelError> {
    let program = object::ingress(&mut kernel.ebpf)?;
    let mut options = TestRunOptions::new();
    options.data_in = Some(frame);
    options.repeat = repeat;
    program.test_run(options).map_err(KernelError::program("running the program"))
}
