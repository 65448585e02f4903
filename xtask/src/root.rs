//! Doing single steps as root, through sudo where we are not root.

use std::{ffi::OsStr, path::PathBuf, process::Command};

use anyhow::{Result, bail};
use nix::unistd::geteuid;

use crate::process;

/// The right to start commands as root.
pub(crate) enum Root {
    Already,
    Sudo(PathBuf),
}

impl Root {
    /// `None` where we are not root and there is no sudo.
    pub(crate) fn find() -> Option<Self> {
        if geteuid().is_root() {
            return Some(Self::Already);
        }
        process::find_program("sudo").map(Self::Sudo)
    }

    /// The right to `purpose`, which is printed where sudo may ask for a
    /// password; `remedy` completes the error "…: become root and …".
    pub(crate) fn obtain(purpose: &str, remedy: &str) -> Result<Self> {
        let Some(root) = Self::find() else {
            bail!("{purpose} needs root, and there is no sudo here: become root and {remedy}");
        };
        if let Self::Sudo(_) = root {
            eprintln!("sudo: {purpose} needs root");
        }
        Ok(root)
    }

    /// A command that runs `program` as root. sudo drops the environment: hand
    /// variables on through `env NAME=VALUE program`.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        match self {
            Self::Already => Command::new(program),
            Self::Sudo(sudo) => {
                let mut command = Command::new(sudo);
                command.arg("--").arg(program);
                command
            }
        }
    }
}
