//! A network namespace without a name.

use std::{
    ffi::OsStr,
    fs::File,
    io,
    os::{
        fd::{AsFd as _, AsRawFd as _},
        unix::process::CommandExt as _,
    },
    process::{self, Command, Stdio},
    thread::{self, JoinHandle},
};

use anyhow::{Context as _, Result, anyhow};
use nix::{
    sched::{CloneFlags, setns, unshare},
    sys::{prctl, signal::Signal},
    unistd::{Pid, getpid, getppid},
};

/// A network namespace that is gone when this and all processes in it are.
#[derive(Debug)]
pub struct Namespace {
    file: File,
}

impl Namespace {
    /// Makes an empty namespace whose loopback is down.
    ///
    /// # Errors
    /// Where the kernel refuses, such as without CAP_SYS_ADMIN.
    pub fn new() -> Result<Self> {
        let file = on_a_thread(|| {
            unshare(CloneFlags::CLONE_NEWNET)?;
            File::open("/proc/thread-self/ns/net")
        })
        .context("cannot make a network namespace")?;
        Ok(Self { file })
    }

    /// Where iproute2 finds this namespace, while this process lives.
    #[must_use]
    pub fn path(&self) -> String {
        format!("/proc/{}/fd/{}", process::id(), self.file.as_raw_fd())
    }

    /// A command that will run in this namespace, in a process group of its
    /// own, without stdin. The kernel kills it when the calling thread ends.
    ///
    /// # Errors
    /// Where the namespace's handle cannot be doubled.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Result<Command> {
        let file = self.file.try_clone().context("cannot double the namespace's handle")?;
        let parent = getpid();
        let mut command = Command::new(program);
        command.stdin(Stdio::null()).process_group(0);
        // SAFETY: between fork and exec; these are bare system calls.
        unsafe { command.pre_exec(move || enter_for_good(&file, parent)) };
        Ok(command)
    }

    /// Runs `work` on a thread in this namespace. A socket that it makes stays
    /// in this namespace, wherever it is used.
    ///
    /// # Errors
    /// Where the namespace cannot be entered, or those of `work`.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> io::Result<T> + Send) -> Result<T> {
        on_a_thread(|| {
            setns(self.file.as_fd(), CloneFlags::CLONE_NEWNET)?;
            work()
        })
    }

    /// Runs `work` on a thread in this namespace that goes on by itself.
    ///
    /// # Errors
    /// Where the namespace's handle cannot be doubled.
    pub fn spawn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<JoinHandle<Result<T>>> {
        let file = self.file.try_clone().context("cannot double the namespace's handle")?;
        Ok(thread::spawn(move || {
            setns(file.as_fd(), CloneFlags::CLONE_NEWNET)?;
            work()
        }))
    }
}

/// On a thread of its own, for a namespace once entered is not left again.
fn on_a_thread<T: Send>(work: impl FnOnce() -> io::Result<T> + Send) -> Result<T> {
    let result = thread::scope(|scope| scope.spawn(work).join());
    Ok(result.map_err(|_| anyhow!("a thread in a namespace has panicked"))??)
}

fn enter_for_good(namespace: &File, parent: Pid) -> io::Result<()> {
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    // The parent may have ended before it could be watched.
    if getppid() != parent {
        return Err(io::Error::from_raw_os_error(nix::libc::ESRCH));
    }
    setns(namespace.as_fd(), CloneFlags::CLONE_NEWNET)?;
    Ok(())
}
