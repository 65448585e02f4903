//! `dist`: a Debian package of sipguard, and what has to be true of it.

mod binary;
mod package;
mod stage;
mod trial;

use std::{fs, process::ExitCode};

use anyhow::{Context as _, Result, ensure};

use crate::{
    verbs::{
        setup,
        test::{self, libtest::Totals},
    },
    workspace::Workspace,
};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Install, upgrade and purge it in fresh Debian systems below target/
    #[arg(long)]
    test: bool,
    /// Pack the binary of the last time, as it is
    #[arg(long)]
    no_build: bool,
}

pub(crate) fn run(workspace: &Workspace, args: &Args) -> Result<ExitCode> {
    if args.test {
        setup::package_trials()?;
    }
    let package = build(workspace, args.no_build)?;
    if args.test {
        return Ok(test::finish(trial::run(workspace, &package)?));
    }
    Ok(ExitCode::SUCCESS)
}

/// Builds the package and tries it, and prints what became of each check.
pub(crate) fn run_all(workspace: &Workspace) -> Result<Totals> {
    setup::package_trials()?;
    trial::run(workspace, &build(workspace, false)?)
}

/// Builds the package, and prints where it is.
fn build(workspace: &Workspace, no_build: bool) -> Result<package::Package> {
    ensure!(cfg!(target_arch = "x86_64"), "packages are for x86-64 only");
    let cargo_deb = setup::cargo_deb(workspace)?;
    if !no_build {
        binary::build(workspace)?;
    }
    let binary = binary::check(workspace)?;
    stage::lay_out(workspace)?;
    let package = package::build(workspace, &cargo_deb)?;
    let size = |path| Ok::<_, anyhow::Error>(fs::metadata(path).context("the package")?.len());
    println!(
        "package: {} ({:.1} MB, installed {:.1} MB), for {} and later",
        workspace.display(&package.path),
        megabytes(size(&package.path)?),
        megabytes(package.installed),
        binary.needs,
    );
    Ok(package)
}

#[expect(clippy::cast_precision_loss, reason = "shown with one digit")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
