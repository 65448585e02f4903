//! `run`: set up, build, then become `sipguard run`.

use std::{ffi::OsString, os::unix::process::CommandExt as _, path::Path, process::ExitCode};

use anyhow::{Context as _, Result};

use crate::{cargo, root::Root, verbs::build, workspace::Workspace};

/// Where sipguard looks by itself for its configuration.
const INSTALLED_CONFIG: &str = "/etc/sipguard";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// What `sipguard run` takes: --iface NAME, --mode, --config DIR ...
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    sipguard: Vec<OsString>,
}

pub(crate) fn run(workspace: &Workspace, args: &Args) -> Result<ExitCode> {
    build::build(workspace)?;
    let binary = workspace.sipguard();
    let root = Root::obtain(
        "loading and attaching the kernel program",
        &format!("run {} run --iface NAME", binary.display()),
    )?;
    let mut command = root.command(&binary);
    cargo::forget_outer_cargo(&mut command);
    command.arg("run");
    if !names(&args.sipguard, "--config") && !Path::new(INSTALLED_CONFIG).exists() {
        command.arg("--config").arg(workspace.root().join("config"));
    }
    // Who tries it does not want it to stay behind Ctrl-C.
    if !names(&args.sipguard, "--fail-mode") {
        command.args(["--fail-mode", "open"]);
    }
    // In our place, so that sipguard itself gets the signals.
    let error = command.args(&args.sipguard).exec();
    Err(error).with_context(|| format!("cannot start {}", binary.display()))
}

/// Whether an option is among the arguments, in either spelling.
fn names(args: &[OsString], option: &str) -> bool {
    let begins = format!("{option}=");
    args.iter().any(|arg| arg == option || arg.to_string_lossy().starts_with(&begins))
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::names;

    #[test]
    fn config_is_seen_in_both_spellings() {
        let given =
            |args: &[&str]| names(&args.iter().map(OsString::from).collect::<Vec<_>>(), "--config");
        assert!(given(&["--iface", "lan0", "--config", "dir"]));
        assert!(given(&["--config=dir"]));
        assert!(!given(&["--iface", "lan0"]));
        assert!(!given(&["--iface=--config"]));
    }
}
