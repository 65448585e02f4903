//! Asking the daemon, and where none runs the filter that it has left.

use std::path::{Path, PathBuf};

use super::{
    exit::{Exit, Failure},
    out::say,
};
use crate::{
    api::client::{Client, ClientError},
    daemon::{self, Daemon, Depth, without_daemon},
    kernel::KernelError,
};

/// The daemon, and where its filter would be without it.
pub(super) struct Asked {
    pub(super) client: Client,
    pub(super) pins: PathBuf,
}

impl Asked {
    /// Asks the daemon; where none runs, does the same by what it has left in
    /// the kernel, if that is in force.
    pub(super) fn ask<T>(
        &self,
        online: impl FnOnce(&Client) -> Result<T, ClientError>,
        depth: Depth,
        offline: impl FnOnce(&mut Daemon) -> Result<T, daemon::Error>,
    ) -> Result<T, Failure> {
        let error = match online(&self.client) {
            Ok(answer) => return Ok(answer),
            Err(error @ ClientError::NotRunning(_)) => error,
            Err(error) => return Err(error.into()),
        };
        match without_daemon(&self.pins, depth, offline) {
            Ok(None) => Err(error.into()),
            Ok(Some(done)) => {
                let done = done.map_err(Failure::from)?;
                say("note: sipguard is not running; its filter is, as it was left");
                Ok(done)
            }
            // Who may not look there hears what he would hear without it.
            Err(kernel) if kernel.is_permission() && !is_there(&self.pins) => Err(error.into()),
            Err(kernel) => Err(kernel.into()),
        }
    }
}

fn is_there(path: &Path) -> bool {
    path.try_exists().unwrap_or(false)
}

impl From<KernelError> for Failure {
    fn from(error: KernelError) -> Self {
        let exit = if error.is_permission() { Exit::NotPermitted } else { Exit::Failure };
        let hint = (exit == Exit::NotPermitted).then(|| "run as root".to_owned());
        Self::new(exit, error.to_string(), hint)
    }
}

impl From<daemon::Error> for Failure {
    fn from(error: daemon::Error) -> Self {
        Self::new(Exit::Failure, error.to_string(), error.hint())
    }
}
