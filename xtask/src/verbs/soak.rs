//! `soak`: set up, build, then let everything happen to sipguard for a while.

use std::process::ExitCode;

use anyhow::Result;

use crate::{
    program,
    verbs::{build, setup},
    workspace::Workspace,
};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// How long
    #[arg(long, value_name = "N", default_value_t = 30)]
    minutes: u32,
    /// What chooses the deeds and their order
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u32,
}

pub(crate) fn run(workspace: &Workspace, args: &Args) -> Result<ExitCode> {
    setup::test_tools(workspace)?;
    build::build(workspace)?;
    let mut command = program::build(workspace, "soak")?;
    command.args(["--minutes", &args.minutes.to_string(), "--seed", &args.seed.to_string()]);
    program::become_it(&mut command)
}
