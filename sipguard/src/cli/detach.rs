//! `sipguard detach`

use std::path::Path;

use super::{
    exit::{Exit, Failure},
    out::print,
};
use crate::kernel::{Kernel, Pins};

/// Take away the filter that a stopped sipguard has left in force
///
/// Under fail_mode keep the filter outlives the daemon. This detaches it from
/// every interface and removes what it has learned and counted; bans and entries
/// of operators stay in the history. Nothing of anybody else is touched. While
/// sipguard runs, stop it first.
#[derive(Debug, clap::Args)]
pub(super) struct Args {}

pub(super) fn run(_: &Args, pins: &Path) -> Result<(), Failure> {
    let nothing = || {
        let message = format!("no sipguard has left a filter below {}", pins.display());
        Failure::new(Exit::Failure, message, None)
    };
    let pins = Pins::find(pins)?.ok_or_else(nothing)?;
    let interfaces = Kernel::remove_kept(&pins)?;
    match interfaces.len() {
        0 => print("removed what an earlier run has left; it protected nothing any more")?,
        1 => print("detached from 1 interface")?,
        more => print(&format!("detached from {more} interfaces"))?,
    }
    Ok(())
}
