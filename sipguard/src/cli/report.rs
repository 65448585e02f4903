//! `sipguard report`

use super::{
    exit::Failure,
    out::{print, print_json},
};
use crate::{api::client::Client, ttl::Ttl};

mod html;
mod plot;
mod text;

/// Report what happened: drops, sources, bans, and rules that never matched
///
/// Counts are kept for 90 days in steps of five minutes, with the busiest
/// sources of each. What a flood's sources have sent is estimated.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// From so long ago up to now, such as 24h, 7d or 90d
    #[arg(long, value_name = "DURATION", default_value = "24h")]
    since: Ttl,
    /// Print a page of HTML, with plots, that needs nothing else
    #[arg(long, conflicts_with = "json")]
    html: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args, client: &Client) -> Result<(), Failure> {
    let report = client.report(args.since)?;
    if args.json {
        return print_json(&report);
    }
    print(&if args.html { html::html(&report) } else { text::text(&report) })
}
