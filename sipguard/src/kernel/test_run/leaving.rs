//! The egress program over single frames, and what was learned by it.

use std::time::Duration;

use aya::programs::{TestRun as _, TestRunOptions, TestRunResult};
use sipguard_common::abi::{Address, Ban, Endpoint, Failures, Learned, Replies, Site, Verified};

use super::{BenchKernel, TestKernel};
use crate::kernel::{Kernel, KernelError, object};

/// What became of a frame that leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// Whether it was dropped.
    pub hidden: bool,
    /// The frame as it left, which may not be as it came; of a dropped one, as
    /// it was dropped.
    pub frame: Vec<u8>,
}

/// TC_ACT_UNSPEC: whatever comes behind the program decides.
const LEAVE: u32 = u32::MAX;
/// TC_ACT_SHOT.
const DROP: u32 = 2;

/// The counters' slot of interfaces without one of their own: a program that
/// is never attached has no other.
const OTHER: u32 = 0;

/// Bytes that the program adds to a frame at most.
const GROWTH: usize = 2048;

impl TestKernel {
    /// Runs the egress program over one frame of at least 15 bytes, and of 3,500
    /// at most: BPF_PROG_TEST_RUN takes no others for such programs, but on the
    /// newest kernels.
    ///
    /// # Errors
    /// Where the kernel refuses the run.
    pub fn run_egress(&mut self, frame: &[u8]) -> Result<Outgoing, KernelError> {
        let mut out = vec![0; frame.len() + GROWTH];
        let result = test_run(&self.kernel, frame, Some(&mut out), 1)?;
        out.truncate(result.data_size_out as usize);
        let hidden = match result.return_value {
            LEAVE => false,
            DROP => true,
            other => return Err(KernelError::Refused(format!("TC action {}", other as i32))),
        };
        Ok(Outgoing { hidden, frame: out })
    }

    /// What is kept of an endpoint, whether it still holds or not, and whether
    /// the evidence was such that cannot be forged.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn endpoint(&self, endpoint: &Endpoint) -> Result<Option<(Verified, bool)>, KernelError> {
        self.kernel.learned.endpoint(endpoint)
    }

    /// Verifies an endpoint, on evidence that can be forged or cannot. Its
    /// source becomes no site by that: [`Self::set_site`].
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn set_endpoint(
        &mut self,
        endpoint: Endpoint,
        verified: Verified,
        is_proven: bool,
    ) -> Result<(), KernelError> {
        self.kernel.learned.set_endpoint(endpoint, verified, is_proven)
    }

    /// What is kept of a source, as the policy in force masks it.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn site(&self, source: &Address) -> Result<Option<Site>, KernelError> {
        self.kernel.learned.site(source)
    }

    /// Makes a source, as the policy in force masks it, a site.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn set_site(&mut self, source: Address, site: Site) -> Result<(), KernelError> {
        self.kernel.learned.set_site(source, site)
    }

    /// What was refused to an endpoint, or to a whole source.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn failures(&self, who: &Endpoint) -> Result<Option<Failures>, KernelError> {
        self.kernel.learned.failures(who)
    }

    /// Sets what was refused to an endpoint, or to a whole source.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn set_failures(&mut self, who: Endpoint, failures: Failures) -> Result<(), KernelError> {
        self.kernel.learned.set_failures(who, failures)
    }

    /// The ban of an endpoint, or of a whole source, whether it still holds or
    /// not.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn ban_of(&self, who: &Endpoint) -> Result<Option<Ban>, KernelError> {
        self.kernel.bans.get(who)
    }

    /// Bans an endpoint, or a whole source, with times on the program's own
    /// clock.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn ban_endpoint(&mut self, who: Endpoint, ban: Ban) -> Result<(), KernelError> {
        self.kernel.bans.set_endpoint(who, ban)
    }

    /// What has left so far.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn replies(&self) -> Result<Replies, KernelError> {
        self.kernel.learned.replies(OTHER)
    }

    /// How often something was learned so far.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn learned(&self, what: Learned) -> Result<u64, KernelError> {
        Ok(self.replies()?.learned[what as usize])
    }

    /// Forgets verified endpoints, sites, what was refused, and bans. Not what
    /// has left, nor what [`Self::forget_sources`] forgets.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn forget_learned(&mut self) -> Result<(), KernelError> {
        self.kernel.learned.forget()?;
        self.kernel.bans.forget()
    }
}

impl BenchKernel {
    /// As [`Self::run`], of the egress program. A frame that the program changes
    /// it meets changed the next time.
    ///
    /// # Errors
    /// Where the kernel refuses the run.
    pub fn run_egress(&self, frame: &[u8], repeat: u32) -> Result<Duration, KernelError> {
        Ok(test_run(&self.kernel, frame, None, repeat)?.duration)
    }
}

fn test_run(
    kernel: &Kernel,
    frame: &[u8],
    out: Option<&mut [u8]>,
    repeat: u32,
) -> Result<TestRunResult, KernelError> {
    let program = object::egress_ref(kernel.loaded()?)?;
    let mut options = TestRunOptions::new();
    options.data_in = Some(frame);
    options.data_out = out;
    options.repeat = repeat;
    program.test_run(options).map_err(KernelError::program("running the egress program"))
}
