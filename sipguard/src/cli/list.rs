//! `sipguard list`

use clap::ValueEnum;

use super::{
    exit::Failure,
    out::{print, print_json},
    table::{self, table},
};
use crate::api::{
    client::Client,
    wire::{Kind, Listed, Lists, Origin},
};

/// List blocked and trusted targets
///
/// What stands in a file and was also entered by the operator has two lines.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Which list [default: both]
    list: Option<Which>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Which {
    Blocked,
    Trusted,
}

pub(super) fn run(args: &Args, client: &Client) -> Result<(), Failure> {
    let kind = args.list.map(|which| match which {
        Which::Blocked => Kind::Blocked,
        Which::Trusted => Kind::Trusted,
    });
    let lists = client.lists(kind)?;
    match args.json {
        true => print_json(&lists),
        false => print(&view(lists)),
    }
}

fn view(Lists { blocked, trusted }: Lists) -> String {
    let blocked = blocked.map(|list| entries("BLOCKED", &list));
    let trusted = trusted.map(|list| entries("TRUSTED", &list));
    [blocked, trusted].into_iter().flatten().collect::<Vec<_>>().join("\n\n")
}

fn entries(title: &str, list: &[Listed]) -> String {
    let header = [title, "BY", "UNTIL", "ADDED", "NAME OR REASON"];
    table(&header, list.iter().map(entry).collect(), 0)
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
