//! `ci`: format and lints, then the same tests as `test`, then all of `kernels`, a
//! minute of each fuzzer, and the package; a skip is a failure.

use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result};

use crate::{
    cargo, process,
    verbs::{
        build, deny, dist, fuzz, kernels, miri,
        test::{self, Skips},
    },
    workspace::Workspace,
};

pub(crate) fn run(workspace: &Workspace) -> Result<ExitCode> {
    components(workspace)?;
    process::run(cargo::host(workspace).args(["fmt", "--all", "--check"]))
        .context("run `cargo fmt --all`")?;
    clippy(workspace)?;
    deny::check(workspace)?;
    miri::sanitized(workspace)?;
    let mut totals = test::run_all(workspace, &[], Skips::Fail)?;
    totals += kernels::run_all(workspace, &[])?;
    totals += fuzz::smoke(workspace)?;
    // Behind all that runs the binary: it links another one.
    totals += dist::run_all(workspace)?;
    Ok(test::finish(totals))
}

/// Where kernel programs are looked at for the host, their profile must not
/// unwind: they have panic handlers of their own.
fn clippy(workspace: &Workspace) -> Result<()> {
    let deny = ["--locked", "--", "-D", "warnings"];
    process::run(
        cargo::host(workspace)
            .args(["clippy", "--workspace", "--all-targets"])
            .args(build::WITHOUT_KERNEL_PROGRAMS)
            .args(deny),
    )
    .context("clippy has found something")?;
    process::run(
        cargo::host(workspace)
            .arg("clippy")
            .args(build::KERNEL_PROGRAMS.iter().flat_map(|name| ["--package", name]))
            .args(deny)
            .env("CARGO_PROFILE_DEV_PANIC", "abort"),
    )
    .context("clippy has found something in the kernel programs")
}

/// Adds rustfmt and clippy to a toolchain that rustup has installed without.
fn components(workspace: &Workspace) -> Result<()> {
    let is_there =
        |tool| process::answer(cargo::host(workspace).args([tool, "--version"])).is_some();
    if is_there("fmt") && is_there("clippy") {
        return Ok(());
    }
    eprintln!("setup: will add rustfmt and clippy by rustup");
    let mut rustup = Command::new("rustup");
    cargo::forget_outer_cargo(&mut rustup);
    process::run(rustup.args(["component", "add", "rustfmt", "clippy"]))
        .context("install cargo fmt and cargo clippy")
}
