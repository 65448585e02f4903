//! `bench`: set up, build, then measure sipguard against what it competes with.

use std::{env, path::PathBuf, process::ExitCode};

use anyhow::Result;

use crate::{
    program,
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
    let mut command = program::build(workspace, "bench")?;
    if args.quick {
        command.arg("--quick");
    }
    if let Some(file) = &args.json {
        command.arg("--json").arg(env::current_dir()?.join(file));
    }
    for id in &args.only {
        command.args(["--only", id]);
    }
    program::become_it(&mut command)
}
