//! A note beside an installed tool of what was installed.

use std::{fs, path::PathBuf};

use anyhow::{Context as _, Result};

use crate::workspace::Workspace;

/// The stamp of one tool.
pub(super) struct Stamp {
    path: PathBuf,
    wanted: String,
}

impl Stamp {
    /// `wanted` names the tool's version and all else that it was built from.
    pub(super) fn new(workspace: &Workspace, tool: &str, wanted: String) -> Self {
        Self { path: workspace.tools().join(format!("{tool}.stamp")), wanted }
    }

    /// Whether exactly the wanted thing was installed.
    pub(super) fn is_current(&self) -> bool {
        fs::read_to_string(&self.path).is_ok_and(|found| found == self.wanted)
    }

    /// Notes that it is installed now.
    pub(super) fn write(&self) -> Result<()> {
        fs::write(&self.path, &self.wanted)
            .with_context(|| format!("cannot write {}", self.path.display()))
    }
}
