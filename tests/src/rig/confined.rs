//! The daemon as a user with the rights of the shipped unit, and what it may.

use std::{
    collections::BTreeMap,
    env::consts::ARCH,
    fs::{self, Permissions},
    io,
    os::unix::{
        fs::{PermissionsExt as _, chown},
        process::CommandExt as _,
    },
    path::PathBuf,
    process::Command,
};

use anyhow::{Context as _, Result, ensure};
use nix::libc;
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, apply_filter};

use super::{
    bpffs::Bpffs,
    lab::{Lab, WAN},
    policy::{Folder, Policy},
    process::Process,
    sipguard::client,
    tool::{Tool, root},
};

/// A user that owns nothing (nobody, nogroup).
pub const NOBODY: u32 = 65_534;

/// Of the unit: what the daemon has.
const RIGHTS: &str = "AmbientCapabilities=";

/// The capabilities that the shipped unit gives, as `setpriv` calls them.
///
/// # Errors
/// Where the unit does not say.
pub fn rights() -> Result<Vec<String>> {
    let unit = fs::read_to_string(root().join("packaging/sipguard.service"))?;
    let line = unit.lines().find_map(|line| line.strip_prefix(RIGHTS));
    let bound = format!("CapabilityBoundingSet={}", line.context("no rights in the unit")?);
    ensure!(unit.lines().any(|line| line == bound), "the unit's bounds are others");
    let names = line.unwrap_or_default().split(' ');
    Ok(names.map(|name| name.trim_start_matches("CAP_").to_lowercase()).collect())
}

/// What the unit's filter of system calls refuses of what programs like ours
/// might ask for: of @privileged, @resources, @keyring, and of what is not in
/// @system-service. Those by which `setpriv` makes a user of root are left out.
const REFUSED: &[(&str, libc::c_long)] = &[
    ("acct", libc::SYS_acct),
    ("add_key", libc::SYS_add_key),
    ("adjtimex", libc::SYS_adjtimex),
    ("bpf", libc::SYS_bpf),
    ("capset", libc::SYS_capset),
    ("chroot", libc::SYS_chroot),
    ("clock_settime", libc::SYS_clock_settime),
    ("fanotify_init", libc::SYS_fanotify_init),
    ("fchown", libc::SYS_fchown),
    ("fchownat", libc::SYS_fchownat),
    ("init_module", libc::SYS_init_module),
    ("io_uring_setup", libc::SYS_io_uring_setup),
    ("ioprio_set", libc::SYS_ioprio_set),
    ("keyctl", libc::SYS_keyctl),
    ("landlock_create_ruleset", libc::SYS_landlock_create_ruleset),
    ("mbind", libc::SYS_mbind),
    ("mount", libc::SYS_mount),
    ("perf_event_open", libc::SYS_perf_event_open),
    ("pivot_root", libc::SYS_pivot_root),
    ("ptrace", libc::SYS_ptrace),
    ("reboot", libc::SYS_reboot),
    ("sched_setaffinity", libc::SYS_sched_setaffinity),
    ("sched_setscheduler", libc::SYS_sched_setscheduler),
    ("setdomainname", libc::SYS_setdomainname),
    ("sethostname", libc::SYS_sethostname),
    ("setpriority", libc::SYS_setpriority),
    ("setrlimit", libc::SYS_setrlimit),
    ("swapon", libc::SYS_swapon),
    ("umount2", libc::SYS_umount2),
    ("userfaultfd", libc::SYS_userfaultfd),
];

/// The unit's filter of system calls, as far as [`REFUSED`] goes.
///
/// # Errors
/// Where the unit has none.
pub fn filter() -> Result<BpfProgram> {
    let unit = fs::read_to_string(root().join("packaging/sipguard.service"))?;
    let lines = unit.lines().filter_map(|line| line.strip_prefix("SystemCallFilter="));
    let lines: Vec<&str> = lines.collect();
    ensure!(lines.first() == Some(&"@system-service"), "another filter: {lines:?}");
    let added = lines.iter().skip(1).filter(|line| !line.starts_with('~'));
    let added: Vec<&str> = added.flat_map(|line| line.split(' ')).collect();
    ensure!(added.contains(&"bpf"), "the unit adds {added:?}");
    let refused = REFUSED.iter().filter(|(name, _)| !added.contains(name));
    let rules: BTreeMap<i64, Vec<_>> = refused.map(|(_, call)| (*call, Vec::new())).collect();
    let error = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, error, ARCH.try_into()?)?;
    Ok(filter.try_into()?)
}

/// `sipguard run` by nobody with these rights and no way to more.
///
/// # Errors
/// Where it cannot be started.
pub fn start(lab: &Lab, place: &Place, rights: &[&str]) -> Result<Process> {
    start_in(lab, None, place, rights)
}

/// The same with a filter that outlives it, in a directory of pins that is
/// nobody's, as the unit makes one.
///
/// # Errors
/// Where it cannot be started.
pub fn start_kept(lab: &Lab, bpffs: &Bpffs, place: &Place, rights: &[&str]) -> Result<Process> {
    let pins = bpffs.pins();
    bpffs.enter(move || {
        fs::create_dir_all(&pins)?;
        chown(&pins, Some(NOBODY), Some(NOBODY))
    })?;
    start_in(lab, Some(bpffs), place, rights)
}

fn start_in(lab: &Lab, kept: Option<&Bpffs>, place: &Place, rights: &[&str]) -> Result<Process> {
    let all = rights.iter().fold("-all".to_owned(), |all, right| format!("{all},+{right}"));
    let id = NOBODY.to_string();
    let mode = if kept.is_some() { "keep" } else { "open" };
    let run = client(lab, &place.socket, &["run", "--iface", WAN, "--fail-mode", mode])?;
    let mut command = lab.server().command(Tool::Setpriv.path()?)?;
    command.args(["--reuid", &id, "--regid", &id, "--clear-groups", "--no-new-privs"]);
    for kind in ["--inh-caps", "--bounding-set", "--ambient-caps"] {
        command.arg(format!("{kind}={all}"));
    }
    command.arg(&place.program).args(run.get_args());
    command.arg("--config").arg(&place.config).arg("--state").arg(&place.state);
    forget(&mut command);
    if let Some(bpffs) = kept {
        command.arg("--pins").arg(bpffs.pins());
        bpffs.show(&mut command)?;
    }
    let filter = filter()?;
    // SAFETY: between fork and exec; makes system calls, and allocates only
    // where it fails.
    unsafe { command.pre_exec(move || apply_filter(&filter).map_err(io::Error::other)) };
    Process::start(&mut command)
}

fn forget(command: &mut Command) {
    for name in ["SIPGUARD_SOCKET", "RUST_LOG", "NOTIFY_SOCKET", "WATCHDOG_USEC"] {
        command.env_remove(name);
    }
}

/// What nobody can read and write.
#[derive(Clone, Debug)]
pub struct Place {
    pub program: PathBuf,
    pub config: PathBuf,
    pub state: PathBuf,
    pub socket: PathBuf,
}

impl Place {
    /// A program, a configuration and a directory for nobody.
    ///
    /// # Errors
    /// Where the file system refuses.
    pub fn new(lab: &Lab, policy: &Policy) -> Result<Self> {
        let config = Folder::new(lab.folder().join("config"))?;
        policy.write(&config)?;
        let own = lab.folder().join("own");
        fs::create_dir(&own)?;
        chown(&own, Some(NOBODY), Some(NOBODY))?;
        // Work trees may lie where only root looks.
        let program = lab.folder().join("sipguard");
        fs::copy(Tool::Sipguard.path()?, &program)?;
        fs::set_permissions(&program, Permissions::from_mode(0o755))?;
        let config = config.path().to_owned();
        Ok(Self { program, config, state: own.join("state"), socket: own.join("control.sock") })
    }
}

/// A word of `/proc/PID/status`, such as `CapEff:`.
///
/// # Errors
/// Where it is not there.
pub fn word(status: &str, name: &str) -> Result<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    Ok(u64::from_str_radix(line.with_context(|| format!("no {name}"))?.trim(), 16)?)
}
