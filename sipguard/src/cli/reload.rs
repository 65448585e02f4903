//! `sipguard reload`

use super::{
    exit::Failure,
    out::{print, print_json, say},
};
use crate::api::client::Client;

/// Read the configuration again, all or nothing, and say what changed
///
/// Errors are shown with file and line; the policy in force then stays.
/// Entries made by `sipguard block` and `sipguard allow` stay in any case.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args, client: &Client) -> Result<(), Failure> {
    let reloaded = client.reload()?;
    for note in &reloaded.notes {
        say(note);
    }
    match args.json {
        true => print_json(&reloaded),
        false => print(&reloaded.summary),
    }
}
