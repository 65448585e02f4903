//! nftables: what `nft list ruleset` and `nft list set` print, as text or JSON.

mod json;
mod text;

use std::collections::HashMap;

use ipnet::IpNet;
use jiff::Timestamp;

use super::{
    ImportError, Options,
    draft::{Draft, Origin, Part},
    firewall::{Action, Hook, Rule, Ruleset, Tests, Use, walk},
    lists::{Listed, Member, emit},
};

/// Elements and rules that are kept.
const MAX_ELEMENTS: usize = 2_000_000;

/// A chain.
#[derive(Debug, Default)]
struct Chain {
    rules: Vec<Rule>,
    /// Hook and priority, where it is a base chain.
    hook: Option<(String, i64)>,
    drops: Option<Origin>,
}

/// A set of addresses.
#[derive(Debug)]
struct Set {
    name: String,
    line: usize,
    members: Vec<Member>,
    /// Why it is no list of sources.
    unusable: Option<String>,
}

/// What was read, by table and name.
#[derive(Debug, Default)]
struct Ruled {
    chains: HashMap<String, Chain>,
    order: Vec<String>,
    sets: Vec<Set>,
    elements: usize,
}

impl Ruled {
    fn chain(&mut self, key: &str) -> &mut Chain {
        if !self.chains.contains_key(key) {
            self.order.push(key.to_owned());
        }
        self.chains.entry(key.to_owned()).or_default()
    }
}

/// Reads either form.
pub(super) fn read(
    text: &str,
    options: &Options,
    now: Timestamp,
    draft: &mut Draft,
) -> Result<(), ImportError> {
    let is_json = text.trim_start().starts_with('{');
    let ruled = if is_json { json::read(text, now, draft)? } else { text::read(text, now, draft)? };
    let (rules, sets) = split(ruled);
    let mut uses: HashMap<String, Vec<Use>> = HashMap::new();
    for (name, what, _) in walk(&rules, &options.ports, draft) {
        uses.entry(name).or_default().push(what);
    }
    for set in sets {
        let origin = Origin::new(set.line, &format!("set {}", set.name));
        if let Some(why) = &set.unusable {
            draft.left(Part::Blacklist, &origin, why);
            continue;
        }
        let all = uses.get(&set.name).map_or(&[][..], Vec::as_slice);
        let list = Listed {
            origin,
            name: set.name.clone(),
            label: format!("nft set {}", set.name),
            members: set.members,
        };
        let what = match all {
            [] => Use::Unclear("no rule of this file says what the set is for".to_owned()),
            [first, rest @ ..] if rest.iter().all(|one| one == first) => first.clone(),
            _ => Use::Unclear("several rules use it, each in another way".to_owned()),
        };
        emit(list, what, options, draft);
    }
    Ok(())
}

fn split(ruled: Ruled) -> (Ruleset, Vec<Set>) {
    let mut rules = Ruleset::default();
    let mut hooks = Vec::new();
    let mut chains = ruled.chains;
    for key in ruled.order {
        let Some(mut chain) = chains.remove(&key) else { continue };
        if let Some(origin) = chain.drops {
            let (label, tests) = (String::new(), Tests::default());
            chain.rules.push(Rule { origin, label, tests, action: Action::Drop });
        }
        if let Some((hook, priority)) = chain.hook {
            let place = match hook.as_str() {
                "ingress" => Some(0),
                "prerouting" => Some(1),
                "input" => Some(2),
                _ => None,
            };
            if let Some(place) = place {
                hooks.push((place, priority, key.clone()));
            }
        }
        rules.chains.insert(key, chain.rules);
    }
    hooks.sort_by_key(|(place, priority, _)| (*place, *priority));
    let last = hooks.len();
    rules.hooks = hooks
        .into_iter()
        .enumerate()
        .map(|(i, (_, _, chain))| Hook { chain, is_last: i + 1 == last })
        .collect();
    (rules, ruled.sets)
}

/// The end of an element that has this many seconds left.
fn until(now: Timestamp, seconds: u64) -> Option<Timestamp> {
    let seconds = i64::try_from(seconds).ok()?;
    Timestamp::from_second(now.as_second().checked_add(seconds)?).ok()
}

/// Elements as networks.
fn member(
    line: usize,
    text: &str,
    nets: Result<Vec<IpNet>, String>,
    until: Option<Timestamp>,
) -> Member {
    Member { origin: Origin::new(line, text), nets, until, port: None, doubt: None }
}
