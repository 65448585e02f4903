//! `sipguard feeds`

use super::{
    exit::{Exit, Failure},
    out::{print, print_json},
    table::{self, table},
};
use crate::{
    api::{
        client::Client,
        wire::{Feed, Feeds, FeedsWish},
    },
    feeds::Skipped,
    sanitise::sanitise,
    ttl::Ttl,
};

/// Characters of an error that are shown.
const MAX_ERROR: usize = 400;

/// Show the block lists of others, how old they are and what is left out
///
/// They stand under [feeds] in sipguard.toml.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Read one now, or all; fails where that fails
    #[arg(long, value_name = "NAME", num_args = 0..=1)]
    refresh: Option<Option<String>>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args, client: &Client) -> Result<(), Failure> {
    let Feeds { feeds } = match &args.refresh {
        None => client.feeds()?,
        Some(name) => client.refresh_feeds(&FeedsWish { name: name.clone() })?,
    };
    match args.json {
        true => print_json(&Feeds { feeds: feeds.clone() })?,
        false => print(&view(&feeds))?,
    }
    match &args.refresh {
        None => Ok(()),
        Some(name) => check(&feeds, name.as_deref()),
    }
}

/// Whoever has feeds read wants to know whether they were.
fn check(feeds: &[Feed], name: Option<&str>) -> Result<(), Failure> {
    let asked = feeds.iter().filter(|feed| name.is_none_or(|name| feed.name == name));
    for feed in asked {
        let failure = |message| Err(Failure::new(Exit::Failure, message, None));
        if let Some(error) = &feed.last_error {
            return failure(format!("the feed {} cannot be read: {error}", feed.name));
        }
        if feed.state == "reading" {
            return failure(format!("the feed {} is still being read", feed.name));
        }
    }
    Ok(())
}

fn view(feeds: &[Feed]) -> String {
    if feeds.is_empty() {
        return "no feeds: sipguard.toml has no [[feeds.feed]]".to_owned();
    }
    let header = ["FEED", "STATE", "LAST READ", "CHANGED", "LEFT OUT", "ENTRIES"];
    let rows = feeds.iter().map(row).collect();
    let failed = feeds.iter().filter_map(|feed| Some((&feed.name, feed.last_error.as_ref()?)));
    let errors = failed.map(|(name, error)| sanitise(&format!("{name}: {error}"), MAX_ERROR));
    [table(&header, rows, 1)].into_iter().chain(errors).collect::<Vec<_>>().join("\n")
}

fn row(feed: &Feed) -> Vec<String> {
    let age = match (feed.age.map(Ttl::from_seconds), feed.last_ok) {
        (None, _) | (_, None) => table::none(),
        (Some(age), Some(at)) => {
            let age = age.map_or_else(|| "now".to_owned(), |age| format!("{age} ago"));
            format!("{} ({age})", table::time(Some(at)))
        }
    };
    vec![
        feed.name.clone(),
        feed.state.clone(),
        age,
        table::time(feed.changed),
        left_out(feed),
        feed.entries.to_string(),
    ]
}

fn left_out(feed: &Feed) -> String {
    let Skipped { unreadable, wide, special } = feed.skipped;
    let all = [
        (&unreadable, "unreadable"),
        (&wide, "too wide"),
        (&special, "private or special"),
        (&feed.own, "this host's"),
        (&feed.trusted, "trusted"),
    ];
    table::counted(&all)
}
