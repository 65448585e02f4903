//! The scanner suite sipvicious from PyPI, in a Python environment of its own.

use std::{fs, path::PathBuf, process::Command};

use anyhow::{Context as _, Result};

use super::stamp::Stamp;
use crate::{process, workspace::Workspace};

const VERSION: &str = "0.3.8";
/// The Python that the package python3-venv belongs to, not another one on PATH.
const PYTHON: &str = "/usr/bin/python3";

/// Installs sipvicious unless the right one is there.
pub(crate) fn ensure(workspace: &Workspace) -> Result<()> {
    let folder = folder(workspace);
    let stamp = Stamp::new(workspace, "sipvicious", format!("sipvicious {VERSION}\n"));
    if stamp.is_current() && folder.join("bin/sipvicious_svmap").exists() {
        return Ok(());
    }
    eprintln!(
        "setup: will install sipvicious {VERSION} (svmap, a scanner for the tests) into {}",
        workspace.display(&folder)
    );
    fs::create_dir_all(workspace.tools()).context("cannot make the folder of the tools")?;
    process::run(Command::new(PYTHON).args(["-m", "venv", "--clear"]).arg(&folder))?;
    process::run(
        Command::new(folder.join("bin/pip"))
            .args(["install", "--quiet", "--disable-pip-version-check"])
            .arg(format!("sipvicious=={VERSION}")),
    )?;
    stamp.write()
}

fn folder(workspace: &Workspace) -> PathBuf {
    workspace.tools().join("sipvicious")
}
