//! `demo`: set up, build, then show a server without and with sipguard.

use std::{os::unix::process::CommandExt as _, process::ExitCode};

use anyhow::{Context as _, Result};

use crate::{
    cargo, process,
    root::Root,
    verbs::{build, setup},
    workspace::Workspace,
};

pub(crate) fn run(workspace: &Workspace) -> Result<ExitCode> {
    setup::test_tools(workspace)?;
    build::build(workspace)?;
    process::run(cargo::host(workspace).args([
        "build",
        "--release",
        "--locked",
        "--package",
        "tests",
        "--bin",
        "demo",
    ]))
    .context("cannot build the demo")?;

    let root = Root::obtain("making network namespaces", "run `cargo xtask demo` again")?;
    let mut command = root.command("/usr/bin/env");
    cargo::forget_outer_cargo(&mut command);
    let demo = workspace.target().join("release/demo");
    // In our place, so that the demo itself gets the signals.
    let error = command.args(workspace.environment()).arg(&demo).exec();
    Err(error).with_context(|| format!("cannot start {}", demo.display()))
}
