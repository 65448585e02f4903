//! What can go wrong between user space and the kernel, and what to do.

use std::{io, path::PathBuf};

use aya::{EbpfError, maps::MapError, pin::PinError, programs::ProgramError};
use caps::{CapSet, Capability};
use thiserror::Error;

/// An error of this room. The text says what to do about it.
#[derive(Debug, Error)]
pub enum KernelError {
    #[error("this binary was built without the kernel program: build it with `cargo xtask build`")]
    NoObject,
    #[error(
        "not permitted: loading a filter needs root, or the capabilities CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON"
    )]
    NotPermitted,
    #[error("Linux {found} is too old: it lacks {missing}; sipguard needs Linux 6.1 or newer")]
    TooOld { found: String, missing: &'static str },
    #[error("the kernel refused the program: {0}")]
    Refused(String),
    #[error(
        "the kernel program in this binary has no {what} `{name}`: rebuild with `cargo xtask build`"
    )]
    Missing { what: &'static str, name: &'static str },
    #[error("there is no interface `{0}`: `ip link` lists those that exist")]
    NoInterface(String),
    #[error(
        "`{interface}` already runs the XDP program {program}: sipguard never displaces another program; detach it first (`ip link set dev {interface} xdp off`) or run sipguard elsewhere"
    )]
    Occupied { interface: String, program: String },
    #[error("`{interface}` cannot run XDP in {mode} mode: {reason}")]
    CannotAttach { interface: String, mode: &'static str, reason: String },
    #[error("`{interface}` cannot be watched for what leaves it, by {mode}: {reason}")]
    CannotAttachEgress { interface: String, mode: &'static str, reason: String },
    #[error(
        "`{interface}` has the queueing discipline `{kind}` of somebody else, where sipguard needs `clsact`, which can do the same: replace it (`tc qdisc del dev {interface} {kind}`, then `tc qdisc add dev {interface} clsact`), or run Linux 6.6 or newer"
    )]
    NoRoomForClsact { interface: String, kind: String },
    #[error(
        "{} is not on a bpffs, where alone a filter can outlive its daemon: mount one (`mount -t bpf bpf /sys/fs/bpf`), or run with `--fail-mode open`", .0.display()
    )]
    NoBpffs(PathBuf),
    #[error(
        "another sipguard uses {}: it is starting, or listens on another socket (`--socket`)", .0.display()
    )]
    PinsInUse(PathBuf),
    #[error("cannot use {}: {source}", path.display())]
    Pins { path: PathBuf, source: io::Error },
    #[error("{what} failed: {source}")]
    Pin { what: &'static str, source: PinError },
    #[error(
        "what sipguard has left in the kernel is no use to this version: {0}; start sipguard, which takes its place, or remove it by `sipguard detach`"
    )]
    OtherPins(String),
    #[error("nothing can be done by this while sipguard is not running")]
    NotRunning,
    #[error("at most {0} interfaces can be protected at once")]
    TooManyInterfaces(usize),
    #[error("the {list} list is full: it holds at most {capacity} {kind}")]
    ListFull { list: &'static str, kind: &'static str, capacity: usize },
    #[error("{what} failed: {source}")]
    Map { what: &'static str, source: MapError },
    #[error("{what} failed: {source}")]
    Program { what: &'static str, source: ProgramError },
    #[error("{what} failed: {source}")]
    Io { what: &'static str, source: io::Error },
}

impl KernelError {
    /// Whether more rights would help: exit code 4.
    #[must_use]
    pub fn is_permission(&self) -> bool {
        match self {
            Self::NotPermitted => true,
            Self::Io { source, .. } => is_eperm(source),
            Self::Pins { source, .. } => source.kind() == io::ErrorKind::PermissionDenied,
            _ => false,
        }
    }

    pub(super) fn map(what: &'static str) -> impl FnOnce(MapError) -> Self {
        move |source| match map_io(&source) {
            Some(error) if is_eperm(error) => Self::NotPermitted,
            _ => Self::Map { what, source },
        }
    }

    pub(super) fn program(what: &'static str) -> impl FnOnce(ProgramError) -> Self {
        move |source| match source {
            ProgramError::LoadError { io_error, .. } if is_eperm(&io_error) => Self::NotPermitted,
            ProgramError::LoadError { io_error, .. } if is_eacces(&io_error) && lacks_perfmon() => {
                Self::NotPermitted
            }
            ProgramError::LoadError { io_error, verifier_log } => {
                Self::Refused(format!("{io_error}\n{verifier_log}"))
            }
            ProgramError::SyscallError(error) if is_eperm(&error.io_error) => Self::NotPermitted,
            source => Self::Program { what, source },
        }
    }

    pub(super) fn load(source: EbpfError) -> Self {
        match &source {
            EbpfError::MapError(error) if map_io(error).is_some_and(is_eperm) => Self::NotPermitted,
            _ => Self::Refused(source.to_string()),
        }
    }

    pub(super) fn pin(what: &'static str) -> impl FnOnce(PinError) -> Self {
        move |source| match &source {
            PinError::SyscallError(error) if is_eperm(&error.io_error) => Self::NotPermitted,
            _ => Self::Pin { what, source },
        }
    }

    pub(super) fn io(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { what, source }
    }
}

/// Not `ErrorKind::PermissionDenied`, which is EACCES, too: so the verifier
/// says that it does not accept a program.
fn is_eperm(error: &io::Error) -> bool {
    const EPERM: i32 = 1;
    error.raw_os_error() == Some(EPERM)
}

/// So the verifier says that it does not accept a program.
fn is_eacces(error: &io::Error) -> bool {
    const EACCES: i32 = 13;
    error.raw_os_error() == Some(EACCES)
}

/// Without this right the verifier accepts less than our programs are: then its
/// reasons are no help.
fn lacks_perfmon() -> bool {
    let has = |right| caps::has_cap(None, CapSet::Effective, right).unwrap_or(true);
    !has(Capability::CAP_PERFMON) && !has(Capability::CAP_SYS_ADMIN)
}

/// Whether there was no such key: aya says so of look-ups only, and gives the
/// errno of removals.
pub(super) fn is_missing(error: &MapError) -> bool {
    const ENOENT: i32 = 2;
    matches!(error, MapError::KeyNotFound)
        || map_io(error).and_then(io::Error::raw_os_error) == Some(ENOENT)
}

/// What was looked up, or `None` where there is no such key.
pub(super) fn found<T>(looked_up: Result<T, MapError>) -> Result<Option<T>, KernelError> {
    match looked_up {
        Ok(value) => Ok(Some(value)),
        Err(error) if is_missing(&error) => Ok(None),
        Err(error) => Err(KernelError::map("reading a map")(error)),
    }
}

/// The errno behind a map error.
pub(super) fn map_io(error: &MapError) -> Option<&io::Error> {
    match error {
        MapError::CreateError { io_error, .. } => Some(io_error),
        MapError::SyscallError(error) => Some(&error.io_error),
        _ => None,
    }
}
