//! CrowdSec in the running daemon: when its decisions are read, and when it is
//! told of bans. Nothing waits for it.

mod decisions;
mod hub;
mod listen;
mod reader;
mod reporter;
mod restore;

pub(super) use self::{
    decisions::{Decisions, Place as DecisionPlace},
    hub::Hub,
    restore::{Late, hold, read_kept, restore},
};

use std::path::PathBuf;

use super::Shared;

/// Everything about CrowdSec, for as long as the daemon runs. First comes what an
/// earlier run has kept below the state directory, where that is late.
pub(in crate::daemon) async fn run(shared: Shared, state: PathBuf, late: Late) {
    tokio::join!(
        reader::read(shared.clone(), state, late),
        listen::listen(shared.clone()),
        reporter::report(shared),
    );
}
