//! cargo-deb, in the project's own tool folder.

use std::path::PathBuf;

use anyhow::{Context as _, Result};

use super::stamp::Stamp;
use crate::{cargo, process, workspace::Workspace};

const VERSION: &str = "3.8.0";

/// Builds and installs cargo-deb unless the right one is there. Gives the
/// program.
pub(crate) fn ensure(workspace: &Workspace) -> Result<PathBuf> {
    let program = workspace.tools().join("bin/cargo-deb");
    let stamp = Stamp::new(workspace, "cargo-deb", format!("cargo-deb {VERSION}\n"));
    if stamp.is_current() && program.exists() {
        return Ok(program);
    }
    eprintln!(
        "setup: will build cargo-deb {VERSION} into {} (takes a minute or two)",
        workspace.display(&workspace.tools())
    );
    process::run(
        cargo::host(workspace)
            .args(["install", "cargo-deb", "--version", VERSION, "--locked"])
            .arg("--root")
            .arg(workspace.tools())
            .env("CARGO_TARGET_DIR", workspace.target().join("tools-build")),
    )
    .context("cannot build cargo-deb")?;
    stamp.write()?;
    Ok(program)
}
