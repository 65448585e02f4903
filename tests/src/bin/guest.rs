//! The first process of a virtual machine that runs our tests on another
//! kernel: `cargo xtask kernels` boots it.
//!
//! It does what [`PLAN`] says, one command a line, words apart by tabs, first
//! the variables of its environment (`NAME=VALUE`). What each command prints
//! stands between two lines of our own. Then it switches off. Whether all went
//! well can be read from what is printed and from nothing else.

use std::{
    env,
    error::Error,
    fs::{self, File, OpenOptions},
    io::Write as _,
    process::{self, Command, Stdio},
    time::Instant,
};

use nix::{
    kmod::{ModuleInitFlags, finit_module},
    mount::{MsFlags, mount},
    sys::reboot::{RebootMode, reboot},
};

/// The commands.
const PLAN: &str = "/plan";
/// Modules, whose names sort as they load.
const MODULES: &str = "/modules";
/// Where the caller reads. The kernel writes to the first port.
const PORT: &str = "/dev/ttyS1";

/// Kind and place of each file system.
const MOUNTS: [(&str, &str); 6] = [
    ("proc", "/proc"),
    ("sysfs", "/sys"),
    ("devtmpfs", "/dev"),
    ("tmpfs", "/tmp"),
    ("tmpfs", "/run"),
    ("bpf", "/sys/fs/bpf"),
];

fn main() {
    // Started by a person it would load modules and switch the machine off.
    if process::id() != 1 {
        eprintln!("only for the first process of a virtual machine");
        process::exit(2);
    }
    if let Err(error) = run() {
        // To the kernel's console, if there is one.
        eprintln!("guest: {error}");
    }
    // The caller misses what we have not printed, and a kernel without its first
    // process panics: there is nothing else to do about an error.
    let _ = reboot(RebootMode::RB_POWER_OFF);
}

fn run() -> Result<(), Box<dyn Error>> {
    for (kind, place) in MOUNTS {
        fs::create_dir_all(place)?;
        mount(Some(kind), place, Some(kind), MsFlags::empty(), None::<&str>)?;
    }
    let mut port = OpenOptions::new().write(true).open(PORT)?;
    for module in modules()? {
        finit_module(File::open(&module)?, c"", ModuleInitFlags::empty())
            .map_err(|error| format!("{module}: {error}"))?;
    }
    // Linux gives its first process HOME and TERM only.
    // SAFETY: there is one thread.
    unsafe { env::set_var("PATH", "/usr/sbin:/usr/bin:/sbin:/bin") };
    for (number, line) in fs::read_to_string(PLAN)?.lines().enumerate() {
        writeln!(port, "BEGIN {number}")?;
        let started = Instant::now();
        let end = execute(line, &port).unwrap_or_else(|error| error.to_string());
        // The command may have left a line without its end.
        writeln!(port, "\nRESULT {number} {} {end}", started.elapsed().as_millis())?;
    }
    writeln!(port, "DONE")?;
    Ok(())
}

fn modules() -> Result<Vec<String>, Box<dyn Error>> {
    let mut modules = Vec::new();
    for entry in fs::read_dir(MODULES)? {
        modules.push(entry?.path().to_string_lossy().into_owned());
    }
    modules.sort();
    Ok(modules)
}

/// How the command ended: its exit code as a number, or in words.
fn execute(line: &str, port: &File) -> Result<String, Box<dyn Error>> {
    let mut words = line.split('\t').peekable();
    let mut variables = Vec::new();
    while let Some(variable) = words.peek().and_then(|word| word.split_once('=')) {
        variables.push(variable);
        words.next();
    }
    let status = Command::new(words.next().unwrap_or_default())
        .args(words)
        .envs(variables)
        .stdin(Stdio::null())
        .stdout(port.try_clone()?)
        .stderr(port.try_clone()?)
        .status()?;
    Ok(status.code().map_or_else(|| status.to_string(), |code| code.to_string()))
}
