//! `bench`: set up, build, then measure sipguard against what it competes with.

use std::{env, os::unix::process::CommandExt as _, path::PathBuf, process::ExitCode};

use anyhow::{Context as _, Result};

use crate::{
    cargo, process,
    root::Root,
    verbs::{build, setup},
    workspace::Workspace,
};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// One short round: numbers for development, not for docs/benchmarks.md
    #[arg(long)]
    quick: bool,
    /// Write every number that was measured to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Only what belongs to these targets, such as P03
    #[arg(long, value_name = "ID")]
    only: Vec<String>,
}

pub(crate) fn run(workspace: &Workspace, args: &Args) -> Result<ExitCode> {
    setup::test_tools(workspace)?;
    setup::bench_tools()?;
    build::build(workspace)?;
    build::bench_programs(workspace)?;
    process::run(cargo::host(workspace).args([
        "build",
        "--release",
        "--locked",
        "--package",
        "tests",
        "--bin",
        "bench",
    ]))
    .context("cannot build the benchmarks")?;

    let root = Root::obtain("making network namespaces", "run `cargo xtask bench` again")?;
    let mut command = root.command("/usr/bin/env");
    cargo::forget_outer_cargo(&mut command);
    let bench = workspace.target().join("release/bench");
    command.args(workspace.environment()).arg(&bench);
    if args.quick {
        command.arg("--quick");
    }
    if let Some(file) = &args.json {
        command.arg("--json").arg(env::current_dir()?.join(file));
    }
    for id in &args.only {
        command.args(["--only", id]);
    }
    // In our place, so that it gets the signals itself.
    let error = command.exec();
    Err(error).with_context(|| format!("cannot start {}", bench.display()))
}
