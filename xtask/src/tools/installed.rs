//! Programs of cargo, in the project's own tool folder.

use std::path::PathBuf;

use anyhow::{Context as _, Result};

use super::stamp::Stamp;
use crate::{cargo, process, workspace::Workspace};

/// A program that `cargo install` builds.
pub(crate) struct Tool {
    pub(crate) name: &'static str,
    pub(crate) version: &'static str,
    /// Further arguments of `cargo install`.
    pub(crate) options: &'static [&'static str],
    /// How long building it takes, for the person who waits.
    pub(crate) takes: &'static str,
}

/// Makes a package.
pub(crate) const CARGO_DEB: Tool =
    Tool { name: "cargo-deb", version: "3.8.0", options: &[], takes: "a minute or two" };

/// Judges dependencies. Unoptimised, for it runs for seconds.
pub(crate) const CARGO_DENY: Tool =
    Tool { name: "cargo-deny", version: "0.20.2", options: &["--debug"], takes: "a minute or two" };

/// Builds the fuzzers. Unoptimised likewise.
pub(crate) const CARGO_FUZZ: Tool =
    Tool { name: "cargo-fuzz", version: "0.13.2", options: &["--debug"], takes: "a minute" };

impl Tool {
    /// Builds and installs it unless the right one is there. Gives the program.
    pub(crate) fn ensure(&self, workspace: &Workspace) -> Result<PathBuf> {
        let Self { name, version, options, takes } = self;
        let program = workspace.tools().join("bin").join(name);
        let wanted = [&[*name, *version], *options].concat().join(" ");
        let stamp = Stamp::new(workspace, name, format!("{wanted}\n"));
        if stamp.is_current() && program.exists() {
            return Ok(program);
        }
        eprintln!(
            "setup: will build {name} {version} into {} (takes {takes})",
            workspace.display(&workspace.tools())
        );
        process::run(
            cargo::host(workspace)
                .args(["install", name, "--version", version, "--locked"])
                .args(*options)
                .arg("--root")
                .arg(workspace.tools())
                // Kept, so that an interrupted build goes on where it was.
                .env("CARGO_TARGET_DIR", workspace.target().join("tools-build")),
        )
        .with_context(|| format!("cannot build {name}"))?;
        stamp.write()?;
        Ok(program)
    }
}
