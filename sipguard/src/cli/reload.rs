//! `sipguard reload`

use super::{
    exit::Failure,
    out::{print_json, print_line, say},
};
use crate::api::client::{Client, ClientError};

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
    let result = client.reload();
    if let (true, Err(ClientError::Failed { failure, .. })) = (args.json, &result) {
        print_json(failure)?;
    }
    let reloaded = result?;
    if args.json {
        return print_json(&reloaded);
    }
    for note in &reloaded.notes {
        say(note);
    }
    print_line(&reloaded.summary)
}
