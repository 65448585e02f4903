//! `sipguard dashboard`

use super::{
    exit::{Exit, Failure},
    out::{print, print_json},
};
use crate::api::{client::Client, wire::Dashboard};

/// Print the address of the dashboard, with the token that lets it block
///
/// Whoever has this address can do everything that a member of the group
/// sipguard can. The token stands behind the #, which browsers do not send.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args, client: &Client) -> Result<(), Failure> {
    let dashboard = client.dashboard()?;
    if args.json {
        return print_json(&dashboard);
    }
    let Dashboard { url, token, problem } = dashboard;
    if let Some(problem) = problem {
        let hint = "see `web` in `sipguard status`".to_owned();
        return Err(Failure::new(Exit::Failure, problem, Some(hint)));
    }
    print(&format!("{url}#token={token}"))
}
