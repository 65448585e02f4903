//! `sipguard list`

use std::net::{IpAddr, SocketAddr};

use clap::ValueEnum;
use jiff::Timestamp;

use super::{
    exit::Failure,
    offline::Asked,
    out::{print, print_json},
    table::{self, table},
};
use crate::{
    api::wire::{Banned, Kind, Listed, Lists, Origin, Verified},
    daemon::Depth,
};

/// List blocked and trusted targets, and who is banned or verified
///
/// What stands in a file and was also entered by the operator has two lines;
/// what is in feeds, one for each.
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
    Verified,
}

pub(super) fn run(args: &Args, asked: &Asked) -> Result<(), Failure> {
    let kind = args.list.map(|which| match which {
        Which::Blocked => Kind::Blocked,
        Which::Trusted => Kind::Trusted,
        Which::Banned => Kind::Banned,
        Which::Verified => Kind::Verified,
    });
    let depth = match kind {
        Some(Kind::Banned | Kind::Verified) => Depth::Counters,
        _ => Depth::Lists,
    };
    let lists = asked.ask(|client| client.lists(kind), depth, |daemon| daemon.lists(kind))?;
    match args.json {
        true => print_json(&lists),
        false => print(&view(lists)),
    }
}

fn view(Lists { blocked, trusted, banned, verified }: Lists) -> String {
    let blocked = blocked.map(|list| {
        let header = ["BLOCKED", "BY", "UNTIL", "ADDED", "REASON"];
        table(&header, list.iter().map(entry).collect(), 0)
    });
    let trusted = trusted.map(|list| {
        let header = ["TRUSTED", "BY", "UNTIL", "ADDED", "NAME OR REASON", "CLASS"];
        table(&header, list.iter().map(peer).collect(), 0)
    });
    let banned = banned.map(|list| table(&BANNED, list.iter().map(ban).collect(), 0));
    let verified = verified.map(|list| table(&VERIFIED, list.iter().map(endpoint).collect(), 0));
    [blocked, trusted, banned, verified].into_iter().flatten().collect::<Vec<_>>().join("\n\n")
}

/// The columns of bans.
pub(super) const BANNED: [&str; 5] = ["BANNED", "RULE", "UNTIL", "SINCE", "REASON"];

/// The columns of verified endpoints.
pub(super) const VERIFIED: [&str; 5] = ["VERIFIED", "HOW", "UNTIL", "SINCE", "LAST REPLY"];

/// A row of bans.
pub(super) fn ban(ban: &Banned) -> Vec<String> {
    vec![
        who(ban),
        ban.rule.clone(),
        table::time(Some(ban.until)),
        table::time(Some(ban.since)),
        reason(ban),
    ]
}

/// Whom a ban hits: a source, or a port with its transport.
fn who(ban: &Banned) -> String {
    let Banned { source, port, transport, .. } = ban;
    match (port, transport, source.parse()) {
        (Some(port), Some(transport), Ok(address)) => place(address, *port, transport),
        _ => source.clone(),
    }
}

/// An endpoint, such as `198.51.100.7:5061/udp`.
pub(super) fn place(address: IpAddr, port: u16, transport: &str) -> String {
    format!("{}/{transport}", SocketAddr::new(address, port))
}

/// Why somebody is banned.
fn reason(ban: &Banned) -> String {
    let what = match (&ban.signature, ban.failures) {
        (Some(name), _) => name.clone(),
        (None, 0) => return table::none(),
        (None, failures) => failures.to_string(),
    };
    let what = match ban.rule.as_str() {
        "auth" => format!("{what} wrong passwords"),
        "harvest" => format!("{what} challenges and unknown users"),
        _ => what,
    };
    if ban.proven { what } else { format!("{what}, which may be forged") }
}

/// A row of verified endpoints.
pub(super) fn endpoint(one: &Verified) -> Vec<String> {
    vec![
        place(one.address, one.port, &one.transport),
        how(one),
        table::time(Some(one.until)),
        table::time(Some(one.since)),
        reply(one.status, one.replied),
    ]
}

/// How an endpoint was verified.
fn how(one: &Verified) -> String {
    let Verified { how, proven, .. } = one;
    if *proven { how.clone() } else { format!("{how}, which may be forged") }
}

/// The last reply to somebody.
pub(super) fn reply(status: Option<u32>, replied: Option<Timestamp>) -> String {
    status.map_or_else(table::none, |status| format!("{status} at {}", table::time(replied)))
}

fn peer(listed: &Listed) -> Vec<String> {
    let mut cells = entry(listed);
    cells.push(listed.class.clone().unwrap_or_else(table::none));
    cells
}

/// Who made an entry.
pub(super) fn by(listed: &Listed) -> String {
    match (listed.origin, listed.uid) {
        (Origin::File, _) => "file".to_owned(),
        (Origin::Feed, _) => "feed".to_owned(),
        (Origin::Crowdsec, _) => "crowdsec".to_owned(),
        (Origin::Operator, None) => "operator".to_owned(),
        (Origin::Operator, Some(uid)) => format!("operator (uid {uid})"),
    }
}

fn entry(listed: &Listed) -> Vec<String> {
    let why = match (&listed.name, &listed.reason) {
        (Some(name), Some(reason)) => Some(format!("{name}: {reason}")),
        (name, reason) => name.clone().or_else(|| reason.clone()),
    };
    vec![
        listed.target.clone(),
        by(listed),
        table::time(listed.until),
        table::time(listed.added),
        why.unwrap_or_else(table::none),
    ]
}
