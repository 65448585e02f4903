//! `sipguard log`

use ipnet::IpNet;

use super::{
    exit::Failure,
    out::{print, print_json},
    table::{self, table},
    target,
};
use crate::{
    api::{
        client::{Client, LogQuery},
        wire::LogLine,
    },
    history::{Kind, MAX_LINES},
    ttl::Ttl,
};

/// Show what happened: bans, and what operators did
///
/// The newest lines of the last 90 days, oldest first, with who did it, what was
/// before and what is since.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only what is about this address or network
    #[arg(long, value_name = "ADDR|CIDR", value_parser = target::net)]
    ip: Option<IpNet>,
    /// No older than this, such as 90m, 24h or 7d
    #[arg(long, value_name = "DURATION")]
    since: Option<Ttl>,
    /// Only lines of this type
    #[arg(long = "type", value_name = "TYPE", value_parser = kind)]
    kind: Option<&'static str>,
    /// How many lines at most, the newest ones; 10000 at most
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

fn kind(text: &str) -> Result<&'static str, String> {
    Kind::from_name(text).map(Kind::name).ok_or_else(|| {
        let names: Vec<&str> = Kind::ALL.iter().map(|kind| kind.name()).collect();
        format!("the types are {}", names.join(", "))
    })
}

pub(super) fn run(args: &Args, client: &Client) -> Result<(), Failure> {
    let Args { ip, since, kind, limit, json } = args;
    let log = client.log(&LogQuery { ip: *ip, since: *since, kind: *kind, limit: *limit })?;
    match json {
        true => print_json(&log),
        false => print(&view(&log.lines)),
    }
}

/// The lines as a table.
pub(super) fn view(lines: &[LogLine]) -> String {
    let header = ["TIME", "TYPE", "BY", "TARGET", "UNTIL", "OLD", "NEW"];
    table(&header, lines.iter().map(row).collect(), 0)
}

fn row(line: &LogLine) -> Vec<String> {
    let or_none = |text: &Option<String>| text.clone().unwrap_or_else(table::none);
    let kind = match line.times {
        0 | 1 => line.kind.clone(),
        times => format!("{} x {times}", line.kind),
    };
    vec![
        table::time(Some(line.time)),
        kind,
        line.by.clone(),
        or_none(&line.target),
        table::time(line.until),
        or_none(&line.old),
        or_none(&line.new),
    ]
}

const _: () = assert!(MAX_LINES == 10_000, "the help of --limit says 10000");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_no_room_for_forgery() {
        let line = LogLine {
            time: "2026-01-02T03:04:05.678Z".parse().unwrap(),
            kind: "ban".to_owned(),
            by: "rule:signature".to_owned(),
            target: Some("198.51.100.7".to_owned()),
            until: None,
            old: None,
            new: Some("signature a\u{1b}[2J\nb".to_owned()),
            times: 3,
        };
        let shown = view(&[line]);
        let last = shown.lines().last().unwrap();
        let words: Vec<&str> = last.split_whitespace().collect();
        assert_eq!(
            words,
            [
                "2026-01-02T03:04:05Z",
                "ban",
                "x",
                "3",
                "rule:signature",
                "198.51.100.7",
                "-",
                "-",
                "signature",
                "a\\u{1b}[2J\\u{a}b"
            ]
        );
        assert_eq!(shown.lines().count(), 2);
    }

    #[test]
    fn types_are_known_by_name() {
        assert_eq!(kind("ban"), Ok("ban"));
        assert!(kind("crime").unwrap_err().contains("unblock"));
    }
}
