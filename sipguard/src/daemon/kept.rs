//! What outlives the daemon: whether there is a place for it, and what it finds
//! there when it starts.

use std::path::Path;

use tracing::{info, warn};

use crate::{
    kernel::{Earlier, Kernel, KernelError, LogLevel, Pins, ProgramLog},
    policy::FailMode,
    sanitise::sanitise,
};

/// Loads the programs so that they do what the fail mode says, in the place of
/// those that an earlier run has left.
pub(super) fn load(
    level: LogLevel,
    fail_mode: FailMode,
    path: &Path,
) -> Result<(Kernel, Option<ProgramLog>), KernelError> {
    let Some(pins) = pins(fail_mode, path)? else { return Kernel::load_with_log(level) };
    let (kernel, log, earlier) = Kernel::load_pinned(level, pins, fail_mode == FailMode::Keep)?;
    match earlier {
        Earlier::Nothing => {}
        Earlier::Same => info!("goes on with what an earlier run has learned and counted"),
        Earlier::Other(why) => warn!(
            "starts anew, for what an earlier run has left in the kernel is no use to this version: {why}. Its filter stays in force until this one takes its place. Customers are strangers until the server accepts them again; bans and entries of operators come from the history"
        ),
    }
    Ok((kernel, log))
}

/// Where to pin, or what was pinned by a run that has kept its filter.
fn pins(fail_mode: FailMode, path: &Path) -> Result<Option<Pins>, KernelError> {
    let found = match fail_mode {
        FailMode::Keep => Pins::make(path).map(Some),
        FailMode::Open => Pins::find(path),
    };
    match (found, fail_mode) {
        // Who cannot keep protects all the same.
        (Err(error), FailMode::Keep) if !matches!(error, KernelError::PinsInUse(_)) => {
            warn!(
                "the filter will leave with sipguard, though fail_mode says keep: {}",
                sanitise(&error.to_string(), 400)
            );
            Ok(None)
        }
        // Nothing of ours is where we may not look.
        (Err(error), FailMode::Open) if error.is_permission() => Ok(None),
        (found, _) => found,
    }
}
