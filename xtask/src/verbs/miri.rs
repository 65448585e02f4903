//! `miri`: the decision code in an interpreter that finds undefined behaviour.
//!
//! Miri is a component of nightly toolchains, with the sources of the standard
//! library. Where rustup has neither, [`sanitized`] is what can run: the same tests
//! under AddressSanitizer, which every toolchain brings.

use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, bail};

use crate::{cargo, process, workspace::Workspace};

/// What both run.
const PACKAGE: [&str; 2] = ["--package", "sipguard-common"];

const TRIPLE: &str = "x86_64-unknown-linux-gnu";

/// Seconds per test in an interpreter are minutes: property tests take few cases.
const CASES: (&str, &str) = ("PROPTEST_CASES", "4");

pub(crate) fn run(workspace: &Workspace) -> Result<ExitCode> {
    let nightly = |arguments: &[&str]| {
        let mut command = Command::new("rustup");
        cargo::detach(&mut command);
        command.args(["run", "nightly", "cargo", "miri"]).args(arguments);
        command.current_dir(workspace.root());
        command
    };
    if process::answer(&mut nightly(&["--version"])).is_none() {
        bail!(
            "there is no miri here: install it by `rustup toolchain install nightly --component \
             miri --component rust-src`, and run `cargo xtask miri` again; `cargo xtask ci` runs \
             the same tests under AddressSanitizer"
        );
    }
    process::run(
        nightly(&["test", "--locked"])
            .args(PACKAGE)
            .arg("--target-dir")
            .arg(workspace.target().join("miri"))
            // Files of property tests that failed lie beside the sources.
            .env("MIRIFLAGS", "-Zmiri-disable-isolation")
            .env(CASES.0, CASES.1),
    )
    .context("miri has found something")?;
    Ok(ExitCode::SUCCESS)
}

/// The tests of the decision code under AddressSanitizer.
pub(crate) fn sanitized(workspace: &Workspace) -> Result<()> {
    process::run(
        cargo::host(workspace)
            .args(["test", "--locked", "--quiet", "--lib", "--target", TRIPLE])
            .args(PACKAGE)
            .arg("--target-dir")
            .arg(workspace.target().join("sanitized"))
            .env("RUSTC_BOOTSTRAP", "1")
            .env("RUSTFLAGS", "-Zsanitizer=address"),
    )
    .context("AddressSanitizer has found something")
}
