//! `sipguard events`

use ipnet::IpNet;
use sipguard_common::rule::{Rule, Verdict};

use super::{
    exit::{Exit, Failure},
    out::{print, print_json_line, say},
    table, target,
};
use crate::{
    api::{
        client::{Client, EventsQuery},
        wire::{Event, EventLine},
    },
    daemon::KEPT_PER_RULE,
    sanitise::sanitise,
};

/// Characters of a signature's name that are shown.
const MAX_NAME: usize = 60;

/// Show packets that were dropped, or would have been, and bans, one by one
///
/// First the last ones, then those to come. In a flood the kernel tells of a
/// few only; `sipguard stats` counts all.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Print JSON, one line for each, with the first 256 bytes
    #[arg(long)]
    json: bool,
    /// Only those of this rule
    #[arg(long, value_name = "RULE", value_parser = rule)]
    rule: Option<&'static str>,
    /// Only those that came from this address or network
    #[arg(long, value_name = "ADDR|CIDR", value_parser = target::net)]
    source: Option<IpNet>,
    /// How many of the past ones at most; 200 of each rule are kept
    #[arg(short = 'n', long, value_name = "N", default_value_t = 20)]
    last: usize,
    /// Do not wait for those to come
    #[arg(long)]
    no_follow: bool,
}

/// The name of a rule that can drop.
fn rule(text: &str) -> Result<&'static str, String> {
    let dropping = || Rule::ALL.iter().filter(|rule| rule.verdict() == Verdict::Drop);
    let found = dropping().map(|rule| rule.name()).find(|name| *name == text);
    found.ok_or_else(|| {
        let names: Vec<&str> = dropping().map(|rule| rule.name()).collect();
        format!("no rule that drops: {} are", names.join(", "))
    })
}

pub(super) fn run(args: &Args, client: &Client) -> Result<(), Failure> {
    let query = EventsQuery {
        rule: args.rule.map(str::to_owned),
        source: args.source,
        last: Some(args.last),
        follow: !args.no_follow,
    };
    client.events(&query, |line| match line {
        _ if args.json => print_json_line(&line),
        EventLine::Event(event) => print(&view(&event)),
        EventLine::Missed { missed } => {
            say(&format!("{missed} events were missed: they came faster than they were read"));
            Ok(())
        }
    })?;
    match args.no_follow {
        true => Ok(()),
        false => Err(Failure::new(Exit::NotRunning, "sipguard has stopped", None)),
    }
}

/// One line: columns, for the lines before are gone already.
pub(super) fn view(event: &Event) -> String {
    let place = |ip, port: Option<u16>| match port {
        Some(port) => std::net::SocketAddr::new(ip, port).to_string(),
        None => ip.to_string(),
    };
    let Event { rule, outcome, .. } = event;
    let time = event.time.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string();
    let method = event.method.clone().unwrap_or_else(table::none);
    let source = place(event.source, event.source_port);
    let destination = place(event.destination, event.destination_port);
    let whole = match outcome.as_str() {
        "banned" | "would ban" => "source",
        _ => "fragment",
    };
    let transport = event.transport.as_deref().unwrap_or(whole);
    let signature = event.signature.as_deref().unwrap_or_default();
    let line = format!(
        "{time}  {rule:<17}  {outcome:<10}  {method:<9}  {source:<21}  {destination} {transport} \
         {}  {signature}",
        event.interface,
        signature = sanitise(signature, MAX_NAME),
    );
    sanitise(line.trim_end(), 400)
}

const _: () = assert!(KEPT_PER_RULE == 200, "the help of --last says 200");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_no_room_for_forgery() {
        let event = Event {
            time: "2026-01-02T03:04:05.678Z".parse().unwrap(),
            interface: "eth0".to_owned(),
            source: "198.51.100.7".parse().unwrap(),
            source_port: Some(5061),
            destination: "203.0.113.1".parse().unwrap(),
            destination_port: Some(5060),
            transport: Some("udp".to_owned()),
            method: Some("OPTIONS".to_owned()),
            rule: "signature".to_owned(),
            signature: Some("a\u{1b}[2J\nb".to_owned()),
            outcome: "dropped".to_owned(),
            length: 3,
            text: "x".to_owned(),
            hex: "78".to_owned(),
        };
        assert_eq!(
            view(&event),
            "2026-01-02T03:04:05.678Z  signature          dropped     OPTIONS    198.51.100.7:5061      \
             203.0.113.1:5060 udp eth0  a\\u{1b}[2J\\u{a}b"
        );
        let fragment = Event {
            source_port: None,
            destination_port: None,
            transport: None,
            method: None,
            signature: None,
            ..event
        };
        assert!(
            view(&fragment)
                .ends_with("-          198.51.100.7           203.0.113.1 fragment eth0")
        );
        let ban = Event { outcome: "banned".to_owned(), ..fragment };
        assert!(view(&ban).ends_with("203.0.113.1 source eth0"), "{}", view(&ban));
    }
}
