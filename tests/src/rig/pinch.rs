//! Too little memory for one process: a control group that the kernel kills in.

use std::{
    fs,
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU32, Ordering},
};

use anyhow::{Context as _, Result, ensure};
use nix::unistd::Pid;

use super::wait;

/// Where control groups are: of version 2, and the one for memory of version 1.
const GROUPS: &str = "/sys/fs/cgroup";
const MEMORY: &str = "/sys/fs/cgroup/memory";

/// A control group that is gone when this and all processes in it are.
#[derive(Debug)]
pub struct Pinch {
    group: PathBuf,
    is_v1: bool,
}

impl Pinch {
    /// Makes one in which there are so many bytes.
    ///
    /// # Errors
    /// Where this machine has no control groups for memory.
    pub fn new(bytes: u64) -> Result<Self> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let is_v1 = Path::new(MEMORY).join("memory.limit_in_bytes").is_file();
        let root = Path::new(if is_v1 { MEMORY } else { GROUPS });
        if !is_v1 {
            let offered = fs::read_to_string(root.join("cgroup.controllers"));
            let offered = offered.context("no control groups")?;
            ensure!(offered.contains("memory"), "no control groups for memory: {offered}");
            fs::write(root.join("cgroup.subtree_control"), "+memory")?;
        }
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let group = root.join(format!("sipguard-test-{}-{number}", process::id()));
        fs::create_dir(&group).context("cannot make a control group")?;
        let pinch = Self { group, is_v1 };
        let limit = if is_v1 { "memory.limit_in_bytes" } else { "memory.max" };
        fs::write(pinch.group.join(limit), bytes.to_string())?;
        Ok(pinch)
    }

    /// What a process takes from now on counts here.
    ///
    /// # Errors
    /// Where it has ended.
    pub fn hold(&self, process: Pid) -> Result<()> {
        let file = self.group.join("cgroup.procs");
        fs::write(file, process.to_string()).context("cannot move a process")
    }

    /// How often the kernel has killed here.
    ///
    /// # Errors
    /// Where it does not tell.
    pub fn kills(&self) -> Result<u64> {
        let file = if self.is_v1 { "memory.oom_control" } else { "memory.events" };
        let text = fs::read_to_string(self.group.join(file))?;
        let line = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
        line.and_then(|count| count.parse().ok()).with_context(|| format!("no count in {text}"))
    }
}

impl Drop for Pinch {
    fn drop(&mut self) {
        // What has been killed leaves the group a moment later.
        let gone = || Ok(fs::remove_dir(&self.group).is_ok().then_some(()));
        let _ = wait::until("an empty control group", std::time::Duration::from_secs(5), gone);
    }
}
