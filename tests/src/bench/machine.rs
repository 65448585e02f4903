//! This machine, and its CPUs: who runs on which, and for how long.

use std::{fs, io, path::Path};

use anyhow::{Context as _, Result, ensure};
use nix::{
    libc,
    sched::{CpuSet, sched_setaffinity},
    sys::utsname::uname,
    unistd::Pid,
};

/// The CPU of whoever sends.
pub const SENDER: usize = 0;
/// The CPU of the NAPI thread and of the server.
pub const RECEIVER: usize = 1;

/// What a reader of the numbers must know of the machine.
#[derive(Clone, Debug)]
pub struct Machine {
    pub cpu: String,
    pub cores: usize,
    pub kernel: String,
}

impl Machine {
    /// This one.
    ///
    /// # Errors
    /// Where /proc does not tell, or there are less than two CPUs.
    pub fn this() -> Result<Self> {
        let info = fs::read_to_string("/proc/cpuinfo").context("/proc/cpuinfo")?;
        let cores = info.lines().filter(|line| line.starts_with("processor")).count();
        ensure!(cores > RECEIVER, "sender and receiver need a CPU each, and here is one");
        let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        let release = uname()?.release().to_string_lossy().into_owned();
        Ok(Self {
            cpu: model.map_or("unknown CPU", |(_, model)| model).to_owned(),
            cores,
            // Without what a builder of kernels appends.
            kernel: release.split('-').next().unwrap_or_default().to_owned(),
        })
    }
}

/// Binds a thread to a CPU; 0 is the calling thread. Children inherit it.
///
/// # Errors
/// Where the kernel refuses.
pub fn pin(thread: Pid, cpu: usize) -> io::Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu)?;
    Ok(sched_setaffinity(thread, &set)?)
}

/// Lets a thread run on every CPU again.
///
/// # Errors
/// Where the kernel refuses.
pub fn unpin(thread: Pid) -> io::Result<()> {
    let mut set = CpuSet::new();
    for cpu in 0..CpuSet::count() {
        set.set(cpu)?;
    }
    Ok(sched_setaffinity(thread, &set)?)
}

/// `struct sched_attr` of linux/sched/types.h.
#[repr(C)]
#[derive(Default)]
struct Attributes {
    size: u32,
    policy: u32,
    flags: u64,
    nice: i32,
    priority: u32,
    runtime: u64,
    deadline: u64,
    period: u64,
    utilisation: [u32; 2],
}

/// Nanoseconds that a thread runs at a stretch where another one waits.
const SLICE: u64 = 100_000;

/// Lets a thread run before others and in short slices, as softirqs would:
/// else other programs of the machine decide how soon a packet is fetched.
///
/// # Errors
/// Where the kernel refuses.
pub fn prefer(thread: Pid) -> io::Result<()> {
    schedule(thread, -15)
}

/// Lets a thread run where others leave time.
///
/// # Errors
/// Where the kernel refuses.
pub fn put_off(thread: Pid) -> io::Result<()> {
    schedule(thread, 19)
}

fn schedule(thread: Pid, nice: i32) -> io::Result<()> {
    let attributes = Attributes {
        size: size_of::<Attributes>() as u32,
        nice,
        runtime: SLICE,
        ..Attributes::default()
    };
    // SAFETY: the attributes are of the size that they say, and live as long.
    let result = unsafe {
        libc::syscall(libc::SYS_sched_setattr, thread.as_raw(), &raw const attributes, 0)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Nanoseconds that all threads of a process have run so far.
///
/// # Errors
/// Where there is no such process.
pub fn run_time(process: Pid) -> Result<u64> {
    let tasks = format!("/proc/{process}/task");
    let mut sum = 0;
    for task in fs::read_dir(&tasks).with_context(|| format!("cannot read {tasks}"))? {
        sum += thread_run_time(&task?.path())?;
    }
    Ok(sum)
}

fn thread_run_time(folder: &Path) -> Result<u64> {
    let file = folder.join("schedstat");
    let text = fs::read_to_string(&file).with_context(|| format!("no {}", file.display()))?;
    let first = text.split_whitespace().next().and_then(|word| word.parse().ok());
    first.with_context(|| format!("no run time in {text:?}"))
}
