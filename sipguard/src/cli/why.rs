//! `sipguard why`

use std::net::IpAddr;

use ipnet::IpNet;

use super::{
    events,
    exit::Failure,
    list, log,
    out::{print, print_json},
    table::{self, table},
    target,
};
use crate::api::{
    client::Client,
    wire::{Failures, Level, Listed, Site, VerifiedLevels, Why},
};

/// Say all that holds for an address, since when, why, and how to undo it
///
/// Lists, bans, verified endpoints, what the server has refused to it, what is
/// left in its buckets, its last events and what happened to it.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Such as 198.51.100.7 or 2001:db8::1
    #[arg(value_name = "ADDR", value_parser = address)]
    address: IpAddr,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

fn address(text: &str) -> Result<IpAddr, String> {
    let net = target::net(text)?;
    match net == IpNet::from(net.addr()) {
        true => Ok(net.addr()),
        false => Err("ask for one address, not for a network".to_owned()),
    }
}

pub(super) fn run(args: &Args, client: &Client) -> Result<(), Failure> {
    let why = client.why(args.address)?;
    match args.json {
        true => print_json(&why),
        false => print(&view(&why)),
    }
}

/// All of it as text.
pub(super) fn view(why: &Why) -> String {
    let parts = [
        headline(why),
        entries("TRUSTED", &why.trusted),
        entries("BLOCKED", &why.blocked),
        bans(why),
        verified(&why.verified),
        why.site.as_ref().map(site).unwrap_or_default(),
        refused(&why.failures),
        buckets(why),
        some("EVENTS", why.events.iter().map(events::view).collect::<Vec<_>>().join("\n")),
        some(
            "HISTORY",
            if why.history.is_empty() { String::new() } else { log::view(&why.history) },
        ),
        undo(why),
    ];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n\n")
}

/// Under a heading, where there is anything.
fn some(heading: &str, text: String) -> String {
    if text.is_empty() { text } else { format!("{heading}\n{text}") }
}

fn headline(why: &Why) -> String {
    let Why { address, standing, verified, .. } = why;
    let what = match standing.as_str() {
        "trusted" => "is trusted: what it sends passes",
        "blocked" => "is blocked: what it sends is dropped",
        "banned" if verified.is_empty() => "is banned: what it sends is dropped",
        "banned" => "is banned: what it sends is dropped, but for its verified endpoints",
        "verified" => "has verified endpoints, which have limits of their own",
        "site" => "is a site: the server has accepted somebody there within a day or two",
        _ => "is a stranger: it is held to the limits of strangers",
    };
    format!("{address} {what}")
}

fn entries(heading: &str, listed: &[Listed]) -> String {
    if listed.is_empty() {
        return String::new();
    }
    let row = |one: &Listed| {
        let why = one.name.as_ref().or(one.reason.as_ref());
        vec![
            one.target.clone(),
            list::by(one),
            table::time(one.until),
            table::time(one.added),
            why.cloned().unwrap_or_else(table::none),
        ]
    };
    let header = [heading, "BY", "UNTIL", "ADDED", "NAME OR REASON"];
    table(&header, listed.iter().map(row).collect(), 0)
}

fn bans(why: &Why) -> String {
    if why.banned.is_empty() {
        return String::new();
    }
    table(&list::BANNED, why.banned.iter().map(list::ban).collect(), 0)
}

fn verified(endpoints: &[VerifiedLevels]) -> String {
    if endpoints.is_empty() {
        return String::new();
    }
    let rows = endpoints.iter().map(|one| list::endpoint(&one.endpoint)).collect();
    table(&list::VERIFIED, rows, 0)
}

fn site(Site { accounts, times, until }: &Site) -> String {
    let plural = if *accounts == 1 { "" } else { "s" };
    format!(
        "site of about {accounts} account{plural}: its strangers have {times} times the limits of \
         one; the last endpoint is verified until {}",
        table::time(Some(*until))
    )
}

fn refused(failures: &[Failures]) -> String {
    if failures.is_empty() {
        return String::new();
    }
    let row = |one: &Failures| {
        let who = match (one.port, &one.transport) {
            (Some(port), Some(transport)) => format!("port {port}/{transport}"),
            _ => "the source".to_owned(),
        };
        vec![
            who,
            list::reply(one.status, one.replied),
            table::time(Some(one.since)),
            one.passwords.to_string(),
            one.harvest.to_string(),
            one.hour.to_string(),
        ]
    };
    let header = [
        "REFUSED TO",
        "LAST REPLY",
        "SINCE",
        "WRONG PASSWORDS",
        "CHALLENGES",
        "PASSWORDS IN AN HOUR",
    ];
    table(&header, failures.iter().map(row).collect(), 3)
}

/// What was taken from; the others are full.
fn buckets(why: &Why) -> String {
    let of = |whose: String, levels: &[Level]| -> Vec<Vec<String>> {
        let taken = levels.iter().filter(|level| level.left < level.burst);
        let row = |level: &Level| {
            vec![whose.clone(), level.name.clone(), level.left.to_string(), level.burst.to_string()]
        };
        taken.map(row).collect()
    };
    let mut rows = Vec::new();
    for one in &why.verified {
        let endpoint = &one.endpoint;
        let place = list::place(endpoint.address, endpoint.port, &endpoint.transport);
        rows.extend(of(place, &one.levels));
    }
    let levels = &why.levels;
    rows.extend(of("its source".to_owned(), &levels.source));
    rows.extend(of("its network".to_owned(), levels.subnet.as_slice()));
    rows.extend(of("all strangers".to_owned(), &levels.strangers));
    if rows.is_empty() {
        return "buckets: all full".to_owned();
    }
    table(&["BUCKETS OF", "LIMIT", "LEFT", "OF"], rows, 2)
}

fn undo(why: &Why) -> String {
    let address = why.address;
    if why.undo.is_empty() {
        return format!(
            "nothing to undo: `sipguard block {address}` drops what it sends, `sipguard allow \
             {address}` lets it pass"
        );
    }
    let undo = format!("undo: {}", why.undo.join("; "));
    crate::sanitise::sanitise(&undo, 1000)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn why(change: impl FnOnce(&mut Value)) -> String {
        let mut why = json!({
            "address": "198.51.100.7", "standing": "stranger", "trusted": [], "blocked": [],
            "banned": [], "verified": [], "site": null, "failures": [],
            "levels": {"source": [{"name": "register", "left": 200, "burst": 200}],
                       "subnet": null, "strangers": []},
            "events": [], "history": [], "undo": []
        });
        change(&mut why);
        view(&serde_json::from_value(why).unwrap())
    }

    fn words(line: &str) -> Vec<&str> {
        line.split_whitespace().collect()
    }

    #[test]
    fn a_stranger_has_nothing_to_undo() {
        let shown = why(|_| {});
        let lines: Vec<&str> = shown.lines().filter(|line| !line.is_empty()).collect();
        assert_eq!(lines[0], "198.51.100.7 is a stranger: it is held to the limits of strangers");
        assert_eq!(lines[1], "buckets: all full");
        assert!(lines[2].starts_with("nothing to undo: `sipguard block 198.51.100.7`"), "{shown}");
        assert_eq!(lines.len(), 3);
    }

    #[test]
    fn a_guesser_is_told_all_of() {
        let shown = why(|why| {
            why["standing"] = json!("banned");
            why["banned"] = json!([{
                "source": "198.51.100.7", "port": null, "transport": null, "rule": "auth",
                "signature": null, "failures": 5, "proven": true,
                "since": "2026-01-02T03:12:00Z", "until": "2026-01-02T03:22:00Z"
            }, {
                "source": "198.51.100.7", "port": 5061, "transport": "udp", "rule": "harvest",
                "signature": null, "failures": 30, "proven": false,
                "since": "2026-01-02T03:12:00Z", "until": "2026-01-02T03:13:00Z"
            }]);
            why["failures"] = json!([{
                "port": null, "transport": null, "passwords": 5, "harvest": 7,
                "since": "2026-01-02T03:11:00Z", "hour": 6, "hour_since": "2026-01-02T03:01:00Z",
                "status": 401, "replied": "2026-01-02T03:12:00Z"
            }]);
            why["levels"]["source"] = json!([{"name": "register", "left": 3, "burst": 200}]);
            why["undo"] = json!(["`sipguard unblock 198.51.100.7`"]);
        });
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines[0], "198.51.100.7 is banned: what it sends is dropped");
        let has = |expected: &str| {
            let expected = words(expected);
            assert!(lines.iter().any(|line| words(line) == expected), "{expected:?} in\n{shown}");
        };
        has("198.51.100.7 auth 2026-01-02T03:22:00Z 2026-01-02T03:12:00Z 5 wrong passwords");
        has("198.51.100.7:5061/udp harvest 2026-01-02T03:13:00Z 2026-01-02T03:12:00Z \
             30 challenges and unknown users, which may be forged");
        has("the source 401 at 2026-01-02T03:12:00Z 2026-01-02T03:11:00Z 5 7 6");
        has("its source register 3 200");
        assert_eq!(lines.last(), Some(&"undo: `sipguard unblock 198.51.100.7`"));
    }

    #[test]
    fn a_customer_is_told_of_his_phones() {
        let shown = why(|why| {
            why["standing"] = json!("verified");
            why["verified"] = json!([{
                "address": "198.51.100.7", "port": 5061, "transport": "udp", "how": "register",
                "proven": true, "since": "2026-01-02T03:12:00Z", "until": "2026-01-02T04:12:00Z",
                "status": 200, "replied": "2026-01-02T03:12:01Z",
                "levels": [{"name": "invite", "left": 1, "burst": 9}]
            }]);
            why["site"] = json!({"accounts": 12, "times": 16, "until": "2026-01-02T04:12:00Z"});
        });
        let lines: Vec<Vec<&str>> = shown.lines().map(words).collect();
        let has = |expected: &str| {
            assert!(lines.contains(&words(expected)), "{expected} in\n{shown}");
        };
        has("198.51.100.7:5061/udp register 2026-01-02T04:12:00Z 2026-01-02T03:12:00Z \
             200 at 2026-01-02T03:12:01Z");
        has("198.51.100.7:5061/udp invite 1 9");
        assert!(
            shown.contains("site of about 12 accounts: its strangers have 16 times"),
            "{shown}"
        );
    }

    #[test]
    fn nothing_acts_on_the_terminal() {
        let shown = why(|why| {
            let entry = json!({
                "target": "198.51.100.7", "origin": "operator", "name": null, "class": null,
                "reason": "\u{1b}[2J\nx", "added": null, "until": null, "uid": 0
            });
            why["blocked"] = json!([entry]);
            why["undo"] = json!(["\u{1b}[2J"]);
        });
        assert!(shown.chars().all(|c| c == '\n' || !c.is_control()), "{shown:?}");
    }

    #[test]
    fn one_address_is_asked_for() {
        assert_eq!(address("198.51.100.7"), Ok(IpAddr::from([198, 51, 100, 7])));
        assert!(address("198.51.100.0/24").is_err());
        assert!(address("2001:db8::1").is_ok());
    }
}
