//! `demo`: set up, build, then show servers without and with sipguard.

use std::process::ExitCode;

use anyhow::Result;

use crate::{
    program,
    verbs::{build, setup},
    workspace::Workspace,
};

pub(crate) fn run(workspace: &Workspace) -> Result<ExitCode> {
    setup::test_tools(workspace)?;
    build::build(workspace)?;
    program::become_it(&mut program::build(workspace, "demo")?)
}
