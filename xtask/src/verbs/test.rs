//! `test`: set up, build, then run every test.
//!
//! cargo only builds the test executables; they are run from here, so that
//! nothing but the tests that need root runs as root, each within a time limit,
//! and what was passed, failed and skipped is added up.
//!
//! A test that cannot run on this machine writes a line `SKIPPED: reason` and
//! returns. For a person that is a skip, for CI a failure.

pub(crate) mod executable;
pub(crate) mod libtest;
mod runner;

use std::{env, process::ExitCode};

use anyhow::Result;

use self::{executable::Executable, libtest::Totals, runner::Runner};
use crate::{
    cargo,
    root::Root,
    verbs::{build, setup},
    workspace::Workspace,
};

/// What a test that cannot run here counts as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Skips {
    Count,
    Fail,
}

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Names of test executables, or parts of names of tests
    filters: Vec<String>,
}

pub(crate) fn run(workspace: &Workspace, args: &Args) -> Result<ExitCode> {
    let in_ci = env::var_os("CI").is_some_and(|value| value == "true");
    let skips = if in_ci { Skips::Fail } else { Skips::Count };
    Ok(finish(run_all(workspace, &args.filters, skips)?))
}

/// Prints the line of totals, the last one of whatever runs tests.
pub(crate) fn finish(totals: Totals) -> ExitCode {
    if totals.count() == 0 {
        eprintln!("error: there is no such test");
    }
    println!("{totals}");
    if totals.failed == 0 && totals.count() > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs every test that the filters choose.
pub(crate) fn run_all(workspace: &Workspace, filters: &[String], skips: Skips) -> Result<Totals> {
    match setup::test_tools(workspace) {
        // The tests that miss something will say so and count as skipped.
        Err(error) if skips == Skips::Count => eprintln!("warning: {error:#}"),
        outcome => outcome?,
    }
    build::build(workspace)?;
    build::bench_programs(workspace)?;
    let mut executables = executable::build_all(workspace)?;
    executables.push(doc_tests(workspace));
    let (chosen, filters) = executable::choose(executables, filters);

    let (with_root, without_root): (Vec<_>, Vec<_>) =
        chosen.into_iter().partition(|executable| executable.needs_root);
    let mut totals = Totals::default();
    let user = Runner::as_user(workspace, skips)?;
    for executable in &without_root {
        totals += user.run(executable, &filters)?;
    }
    if !with_root.is_empty() {
        totals += run_with_root(workspace, &with_root, &filters, skips)?;
    }
    Ok(totals)
}

fn run_with_root(
    workspace: &Workspace,
    executables: &[Executable],
    filters: &[String],
    skips: Skips,
) -> Result<Totals> {
    let root = Root::obtain("testing the kernel program", "run `cargo xtask test` again");
    let mut totals = Totals::default();
    match root {
        Ok(root) => {
            let runner = Runner::as_root(workspace, &root, skips)?;
            for executable in executables {
                totals += runner.run(executable, filters)?;
            }
        }
        Err(reason) => {
            let runner = Runner::as_user(workspace, skips)?;
            for executable in executables {
                totals += runner.skip(executable, filters, &reason)?;
            }
        }
    }
    Ok(totals)
}

/// The tests in the documentation, which cargo compiles as it runs them.
fn doc_tests(workspace: &Workspace) -> Executable {
    let cargo = cargo::host(workspace);
    let arguments = [
        &["test", "--doc", "--workspace"][..],
        build::WITHOUT_KERNEL_PROGRAMS,
        &["--locked", "--"],
    ]
    .concat();
    Executable {
        name: "documentation".to_owned(),
        program: cargo.get_program().into(),
        arguments: arguments.into_iter().map(Into::into).collect(),
        folder: workspace.root().to_owned(),
        needs_root: false,
    }
}
