//! `sipguard list`

use clap::ValueEnum;

use super::{
    exit::Failure,
    out::{print, print_json},
    table::{self, table},
};
use crate::api::{
    client::Client,
    wire::{Banned, Kind, Listed, Lists, Origin},
};

/// List blocked and trusted targets, and banned sources
///
/// What stands in a file and was also entered by the operator has two lines.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Which list [default: all]
    list: Option<Which>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Which {
    Blocked,
    Trusted,
    Banned,
}

pub(super) fn run(args: &Args, client: &Client) -> Result<(), Failure> {
    let kind = args.list.map(|which| match which {
        Which::Blocked => Kind::Blocked,
        Which::Trusted => Kind::Trusted,
        Which::Banned => Kind::Banned,
    });
    let lists = client.lists(kind)?;
    match args.json {
        true => print_json(&lists),
        false => print(&view(lists)),
    }
}

fn view(Lists { blocked, trusted, banned }: Lists) -> String {
    let blocked = blocked.map(|list| {
        let header = ["BLOCKED", "BY", "UNTIL", "ADDED", "REASON"];
        table(&header, list.iter().map(entry).collect(), 0)
    });
    let trusted = trusted.map(|list| {
        let header = ["TRUSTED", "BY", "UNTIL", "ADDED", "NAME OR REASON", "CLASS"];
        table(&header, list.iter().map(peer).collect(), 0)
    });
    let banned = banned.map(|list| {
        let header = ["BANNED", "RULE", "UNTIL", "SINCE", "SIGNATURE"];
        table(&header, list.into_iter().map(ban).collect(), 0)
    });
    [blocked, trusted, banned].into_iter().flatten().collect::<Vec<_>>().join("\n\n")
}

fn ban(Banned { source, rule, signature, since, until }: Banned) -> Vec<String> {
    let signature = signature.unwrap_or_else(table::none);
    vec![source, rule, table::time(Some(until)), table::time(Some(since)), signature]
}

fn peer(listed: &Listed) -> Vec<String> {
    let mut cells = entry(listed);
    cells.push(listed.class.clone().unwrap_or_else(table::none));
    cells
}

fn entry(listed: &Listed) -> Vec<String> {
    let by = match (listed.origin, listed.uid) {
        (Origin::File, _) => "file".to_owned(),
        (Origin::Operator, None) => "operator".to_owned(),
        (Origin::Operator, Some(uid)) => format!("operator (uid {uid})"),
    };
    let why = listed.name.as_ref().or(listed.reason.as_ref());
    vec![
        listed.target.clone(),
        by,
        table::time(listed.until),
        table::time(listed.added),
        why.cloned().unwrap_or_else(table::none),
    ]
}
