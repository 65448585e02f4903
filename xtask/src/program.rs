//! Programs of the package `tests` that run as root.

use std::{
    os::unix::process::CommandExt as _,
    process::{Command, ExitCode},
};

use anyhow::{Context as _, Result};

use crate::{cargo, process, root::Root, workspace::Workspace};

/// Builds the program `name`; gives the command that runs it as root. The verb
/// that runs it has the same name.
pub(crate) fn build(workspace: &Workspace, name: &str) -> Result<Command> {
    process::run(cargo::host(workspace).args([
        "build",
        "--release",
        "--locked",
        "--package",
        "tests",
        "--bin",
        name,
    ]))
    .with_context(|| format!("cannot build {name}"))?;

    let again = format!("run `cargo xtask {name}` again");
    let root = Root::obtain("making network namespaces", &again)?;
    let mut command = root.command("/usr/bin/env");
    cargo::forget_outer_cargo(&mut command);
    command.args(workspace.environment()).arg(workspace.target().join("release").join(name));
    Ok(command)
}

/// Runs it in our place, so that it gets the signals itself.
pub(crate) fn become_it(command: &mut Command) -> Result<ExitCode> {
    let error = command.exec();
    Err(error).with_context(|| format!("cannot start {}", command.get_program().display()))
}
