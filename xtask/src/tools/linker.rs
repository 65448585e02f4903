//! bpf-linker, in the project's own tool folder.

use anyhow::{Context as _, Result};

use super::{stamp::Stamp, toolchain::Toolchain};
use crate::{cargo, process, workspace::Workspace};

const VERSION: &str = "0.13.0";

/// Builds and installs bpf-linker unless the right one is there.
pub(crate) fn ensure(workspace: &Workspace, toolchain: &Toolchain) -> Result<()> {
    let (major, prefix) = toolchain.llvm()?;
    let stamp = Stamp::new(
        workspace,
        "bpf-linker",
        format!("bpf-linker {VERSION}, LLVM {major} in {}\n", prefix.display()),
    );
    if stamp.is_current() && workspace.bpf_linker().exists() {
        return Ok(());
    }
    eprintln!(
        "setup: will build bpf-linker {VERSION} with LLVM {major} into {} (takes a minute or two)",
        workspace.display(&workspace.tools())
    );
    process::run(
        cargo::host(workspace)
            .args(["install", "bpf-linker", "--version", VERSION, "--locked"])
            .args(["--no-default-features", "--features", &format!("llvm-{major}")])
            .arg("--root")
            .arg(workspace.tools())
            // Kept, so that an interrupted build goes on where it was.
            .env("CARGO_TARGET_DIR", workspace.target().join("tools-build"))
            .env("LLVM_PREFIX", prefix),
    )
    .context("cannot build bpf-linker")?;
    stamp.write()
}

/// What `build` prints of it.
pub(crate) fn name() -> String {
    format!("bpf-linker {VERSION}")
}
