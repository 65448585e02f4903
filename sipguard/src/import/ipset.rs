//! What `ipset save` prints.

use std::collections::HashMap;

use ipnet::IpNet;
use jiff::Timestamp;

use super::{
    Options, address,
    draft::{Draft, Origin, Part},
    firewall::Use,
    lists::{Listed, Member, emit},
};

struct Set {
    kind: String,
    timeout: Option<u64>,
    list: Listed,
}

/// Whether a text looks like it.
pub(super) fn is_it(text: &str) -> bool {
    text.lines().take(50).any(|line| {
        let mut words = line.split_whitespace();
        words.next() == Some("create") && words.nth(1).is_some_and(|kind| kind.contains(':'))
    })
}

/// Reads it.
pub(super) fn read(text: &str, options: &Options, now: Timestamp, draft: &mut Draft) {
    let mut sets: Vec<Set> = Vec::new();
    let mut index: HashMap<String, usize> = HashMap::new();
    for (i, line) in text.lines().enumerate() {
        let origin = Origin::new(i + 1, line);
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            [] => {}
            [first, ..] if first.starts_with('#') => {}
            ["create" | "-N", name, kind, rest @ ..] => {
                let list = Listed {
                    origin,
                    name: (*name).to_owned(),
                    label: format!("ipset {name}"),
                    members: Vec::new(),
                };
                let timeout = after(rest, "timeout");
                index.insert((*name).to_owned(), sets.len());
                sets.push(Set { kind: (*kind).to_owned(), timeout, list });
            }
            ["add" | "-A", name, entry, rest @ ..] => {
                let set = index.get(*name).and_then(|index| sets.get_mut(*index));
                let Some(set) = set else {
                    draft.left(Part::Blacklist, &origin, "the set is not in this file");
                    continue;
                };
                let member = member(set, origin, entry, rest, now);
                set.list.members.push(member);
            }
            _ => {
                let why = "this is not what `ipset save` prints";
                draft.left(Part::Sipguard, &origin, why);
            }
        }
    }
    for set in sets {
        if set.list.members.is_empty() {
            continue;
        }
        let why = "the file does not say what the set is for";
        emit(set.list, Use::Unclear(why.to_owned()), options, draft);
    }
}

fn member(set: &Set, origin: Origin, entry: &str, rest: &[&str], now: Timestamp) -> Member {
    let seconds = after(rest, "timeout").or(set.timeout).filter(|seconds| *seconds > 0);
    let until = seconds.and_then(|seconds| {
        let end = now.as_second().checked_add(i64::try_from(seconds).ok()?)?;
        Timestamp::from_second(end).ok()
    });
    let (nets, doubt) = if rest.contains(&"nomatch") {
        (Err("`nomatch` takes it out of a larger network, which sipguard cannot".to_owned()), None)
    } else {
        nets(&set.kind, entry)
    };
    Member { origin, nets, until, port: None, doubt }
}

type Nets = (Result<Vec<IpNet>, String>, Option<String>);

/// The address of an entry, by the type of its set.
fn nets(kind: &str, entry: &str) -> Nets {
    match kind {
        "hash:ip" | "hash:net" | "bitmap:ip" => (address::nets(entry), None),
        "hash:ip,port" | "hash:net,port" => {
            let (address, port) = entry.split_once(',').unwrap_or((entry, ""));
            let number = port.rsplit(':').next().unwrap_or(port);
            let doubt = (!matches!(number, "5060" | "5061")).then(|| {
                format!("it is about the port {port}; an entry of sipguard is about all SIP ports")
            });
            (address::nets(address), doubt)
        }
        other => (Err(format!("a set of type {other} is not a list of sources")), None),
    }
}

fn after(words: &[&str], key: &str) -> Option<u64> {
    let at = words.iter().position(|word| *word == key)?;
    words.get(at + 1)?.parse().ok()
}
