//! iptables: what `iptables-save` prints, and scripts of `iptables` commands.

mod rule;
mod script;
mod words;

use std::collections::HashMap;

use self::rule::Command;
use super::{
    draft::{Draft, Origin, Part},
    firewall::{Action, Hook, Rule, Ruleset, Tests, Use, walk},
};

/// Rules that are kept. Real sets have hundreds.
const MAX_RULES: usize = 200_000;

/// Chains through which packets to this host come, in this order, and whether
/// being accepted there is final.
const HOOKS: [(&str, &str, bool); 4] = [
    ("raw", "PREROUTING", false),
    ("mangle", "PREROUTING", false),
    ("mangle", "INPUT", false),
    ("filter", "INPUT", true),
];

/// Targets that end nothing; other words in capitals are chains.
const PASSING: [&str; 24] = [
    "LOG",
    "NFLOG",
    "ULOG",
    "MARK",
    "CONNMARK",
    "SET",
    "TRACE",
    "NOTRACK",
    "CT",
    "AUDIT",
    "DSCP",
    "TOS",
    "TTL",
    "TCPMSS",
    "CLASSIFY",
    "CHECKSUM",
    "SECMARK",
    "CONNSECMARK",
    "HL",
    "RATEEST",
    "LED",
    "TEE",
    "IDLETIMER",
    "NFQUEUE",
];

/// The rules by table and chain, as they are gathered.
#[derive(Default)]
struct Tables {
    chains: HashMap<String, Vec<Rule>>,
    policies: HashMap<String, (String, Origin)>,
    count: usize,
}

fn key(table: &str, chain: &str) -> String {
    format!("{table} {chain}")
}

/// Whether a text looks like either form.
pub(super) fn is_it(text: &str) -> bool {
    text.lines().take(2000).any(|line| {
        let line = line.trim();
        line == "*filter"
            || line.starts_with("-A ")
            || script::is_command(line)
            || line.contains("iptables -")
    })
}

/// Reads either form.
pub(super) fn read(text: &str, ports: &[u16], draft: &mut Draft) {
    let mut tables = Tables::default();
    let is_saved = text.lines().any(|line| {
        let line = line.trim();
        line.starts_with('*') && line.len() > 1 || line.starts_with("-A ")
    });
    if is_saved {
        saved(text, &mut tables, draft);
    } else {
        script::read(text, &mut tables, draft);
    }
    for (name, what, line) in walk(&tables.finish(), ports, draft) {
        let into = match what {
            Use::Trust => " --into trusted",
            Use::Block => " --into blacklist",
            Use::Unclear(_) => "",
        };
        let why = format!(
            "the members of a set are not in this file: ipset save {name} | sipguard import \
             ipset -{into}"
        );
        let part = if what == Use::Block { Part::Blacklist } else { Part::Trusted };
        draft.left(part, &Origin::new(line, &format!("set {name}")), &why);
    }
}

fn saved(text: &str, tables: &mut Tables, draft: &mut Draft) {
    let mut table = "filter".to_owned();
    for (i, line) in text.lines().enumerate() {
        let line = line.trim();
        let origin = Origin::new(i + 1, line);
        // Counters, as `iptables-save -c` prints them.
        let rest = match line.strip_prefix('[') {
            Some(rest) => rest.split_once(']').map_or(line, |(_, rest)| rest.trim()),
            None => line,
        };
        if rest.is_empty() || rest.starts_with('#') || rest == "COMMIT" {
            continue;
        }
        if let Some(name) = rest.strip_prefix('*') {
            name.trim().clone_into(&mut table);
        } else if let Some(chain) = rest.strip_prefix(':') {
            let mut words = chain.split_whitespace();
            let (name, policy) = (words.next().unwrap_or(""), words.next().unwrap_or("-"));
            tables.chain(&table, name);
            if policy != "-" {
                tables.policy(&table, name, policy, &origin);
            }
        } else {
            match words::plain(rest) {
                Some(words) => tables.apply(&words, &table, &origin, draft),
                None => draft.left(Part::Sipguard, &origin, "a quote is not closed"),
            }
        }
    }
}

impl Tables {
    fn chain(&mut self, table: &str, chain: &str) -> &mut Vec<Rule> {
        self.chains.entry(key(table, chain)).or_default()
    }

    fn policy(&mut self, table: &str, chain: &str, policy: &str, origin: &Origin) {
        self.policies.insert(key(table, chain), (policy.to_owned(), origin.clone()));
    }

    /// One command, its options in words.
    fn apply(&mut self, words: &[String], table: &str, origin: &Origin, draft: &mut Draft) {
        let (named, command) = rule::command(words, origin);
        let table = named.as_deref().unwrap_or(table);
        if matches!(command, Command::Append(..) | Command::Insert(..)) {
            self.count += 1;
            if self.count > MAX_RULES {
                let why = format!("more than {MAX_RULES} rules are not read");
                draft.left(Part::Sipguard, origin, &why);
                return;
            }
        }
        match command {
            Command::Append(chain, rule) => self.chain(table, &chain).push(within(rule, table)),
            Command::Insert(chain, at, rule) => {
                let rules = self.chain(table, &chain);
                let at = at.saturating_sub(1).min(rules.len());
                rules.insert(at, within(rule, table));
            }
            Command::Delete(chain, rule) => {
                let rule = within(rule, table);
                let rules = self.chain(table, &chain);
                let same = |one: &Rule| one.tests == rule.tests && one.action == rule.action;
                if let Some(at) = rules.iter().position(same) {
                    rules.remove(at);
                }
            }
            Command::NewChain(chain) => drop(self.chain(table, &chain)),
            Command::Policy(chain, policy) => self.policy(table, &chain, &policy, origin),
            Command::Flush(Some(chain)) => self.chain(table, &chain).clear(),
            Command::Flush(None) => {
                let head = format!("{table} ");
                self.chains.retain(|name, _| !name.starts_with(&head));
            }
            Command::Nothing => {}
            Command::Unreadable(why) => draft.left(Part::Sipguard, origin, &why),
        }
    }

    fn finish(mut self) -> Ruleset {
        for (name, (policy, origin)) in &self.policies {
            if policy == "DROP"
                && let Some(rules) = self.chains.get_mut(name)
            {
                rules.push(Rule {
                    origin: origin.clone(),
                    label: String::new(),
                    tests: Tests::default(),
                    action: Action::Drop,
                });
            }
        }
        let known: std::collections::HashSet<String> = self.chains.keys().cloned().collect();
        for rule in self.chains.values_mut().flatten() {
            if let Action::Jump(chain, _) = &rule.action {
                let name = chain.split_once(' ').map_or(chain.as_str(), |(_, name)| name);
                if !known.contains(chain) && PASSING.contains(&name) {
                    rule.action = Action::Other(name.to_owned());
                }
            }
        }
        let hooks = HOOKS
            .iter()
            .map(|(table, chain, is_last)| Hook { chain: key(table, chain), is_last: *is_last })
            .collect();
        Ruleset { chains: self.chains, hooks }
    }
}

/// Chains are those of the rule's own table.
fn within(mut rule: Rule, table: &str) -> Rule {
    if let Action::Jump(chain, _) = &mut rule.action {
        *chain = key(table, chain);
    }
    rule
}
