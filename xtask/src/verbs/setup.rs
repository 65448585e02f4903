//! `setup`: finds what compiling sipguard takes, and installs what is missing.

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context as _, Result};

use crate::{
    tools::{
        apt, crowdsec, installed, linker, packages, qemu::Qemu, sipvicious, toolchain::Toolchain,
    },
    workspace::Workspace,
};

pub(crate) fn run(workspace: &Workspace) -> Result<ExitCode> {
    let toolchain = kernel_program(workspace)?;
    println!("kernel program: {toolchain}, {}", linker::name());
    Ok(ExitCode::SUCCESS)
}

/// The compiler and the linker of the kernel program.
pub(crate) fn kernel_program(workspace: &Workspace) -> Result<Toolchain> {
    let toolchain = Toolchain::ensure()?;
    linker::ensure(workspace, &toolchain)?;
    Ok(toolchain)
}

/// The filters that sipguard is measured against, and what drives them.
pub(crate) fn bench_tools() -> Result<()> {
    apt::ensure(&packages::missing(packages::BENCH), "the benchmarks")
}

/// The programs that the tests use.
pub(crate) fn test_tools(workspace: &Workspace) -> Result<()> {
    apt::ensure(&packages::missing(packages::TESTS), "the tests")?;
    sipvicious::ensure(workspace).context("cannot install sipvicious")?;
    crowdsec::ensure(workspace).context("cannot unpack CrowdSec")
}

/// The programs that other kernels are tried with.
pub(crate) fn virtual_machines(workspace: &Workspace) -> Result<Qemu> {
    apt::ensure(&packages::missing(packages::KERNELS), "virtual machines")?;
    Qemu::ensure(workspace)
}

/// What makes the package.
pub(crate) fn cargo_deb(workspace: &Workspace) -> Result<PathBuf> {
    apt::ensure(&packages::missing(packages::DIST), "the package")?;
    installed::CARGO_DEB.ensure(workspace)
}

/// What makes the fuzzers.
pub(crate) fn cargo_fuzz(workspace: &Workspace) -> Result<PathBuf> {
    apt::ensure(&packages::missing(packages::FUZZ), "the fuzzers")?;
    installed::CARGO_FUZZ.ensure(workspace)
}

/// What the package is tried with.
pub(crate) fn package_trials() -> Result<()> {
    apt::ensure(&packages::missing(packages::TRIALS), "trying the package")
}
