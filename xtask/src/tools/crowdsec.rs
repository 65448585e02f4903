//! CrowdSec of Debian 12, unpacked and not installed: its package would register
//! this machine with a service on the internet, and start another one here.

use std::{fs, path::PathBuf};

use anyhow::{Context as _, Result};

use super::{stamp::Stamp, suites::Apt};
use crate::workspace::Workspace;

/// The package, with its suite.
const PACKAGE: &str = "crowdsec/bookworm";

/// Unpacks it unless it is there.
pub(crate) fn ensure(workspace: &Workspace) -> Result<()> {
    let folder = folder(workspace);
    let stamp = Stamp::new(workspace, "crowdsec", format!("{PACKAGE}\n"));
    if stamp.is_current() && folder.join("usr/bin/cscli").exists() {
        return Ok(());
    }
    eprintln!(
        "setup: will unpack {PACKAGE} (an engine that shares bans, for the tests) into {}",
        workspace.display(&folder)
    );
    // What is left of an earlier try.
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).context("cannot make the folder of the tools")?;
    Apt::open(workspace)?.unpack(&[PACKAGE.to_owned()], &folder)?;
    stamp.write()
}

fn folder(workspace: &Workspace) -> PathBuf {
    workspace.tools().join("crowdsec")
}
