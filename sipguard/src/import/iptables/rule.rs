//! One command of iptables as a rule.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::import::{
    address,
    draft::Origin,
    firewall::{Action, Limit, Path, Rule, Sources, Tests, Transport},
};

/// What a line does to the rule set.
#[derive(Debug)]
pub(super) enum Command {
    Append(String, Rule),
    /// At this place of the chain, from 1.
    Insert(String, usize, Rule),
    /// Like the rule that it names.
    Delete(String, Rule),
    NewChain(String),
    Policy(String, String),
    /// All rules of a chain, or of all chains.
    Flush(Option<String>),
    /// It changes no rule.
    Nothing,
    /// Why it cannot be read.
    Unreadable(String),
}

/// Reads the options of iptables; returns the table, too.
pub(super) fn command(words: &[String], origin: &Origin) -> (Option<String>, Command) {
    let mut reader = Reader { words, at: 0, not: false, parts: Parts::default() };
    let command = reader.read().unwrap_or_else(Command::Unreadable);
    let parts = reader.parts;
    let table = parts.table.clone();
    let command = match command {
        Command::Append(chain, _) => Command::Append(chain.clone(), parts.rule(&chain, origin)),
        Command::Insert(chain, at, _) => {
            Command::Insert(chain.clone(), at, parts.rule(&chain, origin))
        }
        Command::Delete(chain, _) => Command::Delete(chain.clone(), parts.rule(&chain, origin)),
        other => other,
    };
    (table, command)
}

struct Reader<'w> {
    words: &'w [String],
    at: usize,
    /// A `!` stands before the option.
    not: bool,
    parts: Parts,
}

/// The options of one match or of all.
#[derive(Default)]
struct Parts {
    table: Option<String>,
    tests: Tests,
    action: Option<Action>,
    comment: Option<String>,
    modules: Vec<String>,
    rate: Option<(String, bool)>,
    burst: Option<u64>,
    mode: Option<String>,
    source_bits: Option<u8>,
    recent: Recent,
    connections: Option<(u64, bool)>,
    connection_bits: u8,
    by_destination: bool,
    ignore_case: bool,
}

#[derive(Default)]
struct Recent {
    used: bool,
    asks: bool,
    removes: bool,
    seconds: Option<u64>,
    hits: Option<u64>,
}

impl Reader<'_> {
    fn next(&mut self) -> Option<String> {
        let word = self.words.get(self.at).cloned();
        self.at += 1;
        word
    }

    fn peek(&self) -> Option<&str> {
        self.words.get(self.at).map(String::as_str)
    }

    fn value(&mut self, option: &str) -> Result<String, String> {
        // Older versions wrote the `!` here.
        if self.peek() == Some("!") {
            self.not = !self.not;
            self.at += 1;
        }
        self.next().ok_or_else(|| format!("`{option}` has no value"))
    }

    fn number(&mut self, option: &str) -> Result<u64, String> {
        let value = self.value(option)?;
        value.parse().map_err(|_| format!("`{option}` has no number"))
    }

    fn read(&mut self) -> Result<Command, String> {
        let mut command = Command::Nothing;
        while let Some(word) = self.next() {
            if word == "!" {
                self.not = true;
                continue;
            }
            let blank = || Parts::default().rule("", &Origin::default());
            match word.as_str() {
                "-A" | "--append" => command = Command::Append(self.value(&word)?, blank()),
                "-I" | "--insert" => {
                    let chain = self.value(&word)?;
                    let at = self.peek().and_then(|at| at.parse().ok());
                    self.at += usize::from(at.is_some());
                    command = Command::Insert(chain, at.unwrap_or(1), blank());
                }
                "-D" | "--delete" | "-C" | "--check" => {
                    let chain = self.value(&word)?;
                    if self.peek().is_some_and(|at| at.parse::<usize>().is_ok()) {
                        return Err("it deletes a rule by its number".to_owned());
                    }
                    command = match word.as_str() {
                        "-D" | "--delete" => Command::Delete(chain, blank()),
                        _ => return Ok(Command::Nothing),
                    };
                }
                "-R" | "--replace" => return Err("it replaces a rule by its number".to_owned()),
                "-N" | "--new-chain" => command = Command::NewChain(self.value(&word)?),
                "-P" | "--policy" => {
                    let chain = self.value(&word)?;
                    command = Command::Policy(chain, self.value(&word)?);
                }
                "-F" | "--flush" => command = Command::Flush(self.chain()),
                "-X" | "--delete-chain" | "-Z" | "--zero" | "-L" | "-S" | "--list" => {
                    return Ok(Command::Nothing);
                }
                "-E" | "--rename-chain" => return Err("it renames a chain".to_owned()),
                "-t" | "--table" => self.parts.table = Some(self.value(&word)?),
                _ => self.option(&word)?,
            }
            self.not = false;
        }
        Ok(command)
    }

    fn chain(&mut self) -> Option<String> {
        let chain = self.peek().filter(|word| !word.starts_with('-')).map(str::to_owned);
        self.at += usize::from(chain.is_some());
        chain
    }

    fn option(&mut self, word: &str) -> Result<(), String> {
        match word {
            "-w" | "--wait" => {
                if self.peek().is_some_and(|next| next.parse::<u32>().is_ok()) {
                    self.at += 1;
                }
            }
            "-n" | "-v" | "-4" | "--ipv4" | "-6" | "--ipv6" | "--rsource" | "--rttl" => {}
            "-c" | "--set-counters" => {
                self.value(word)?;
                self.value(word)?;
            }
            "-m" | "--match" => {
                let module = self.value(word)?;
                self.parts.modules.push(module);
            }
            "-j" | "--jump" => {
                let target = self.value(word)?;
                self.parts.action = Some(target_action(&target));
            }
            "-g" | "--goto" => {
                let chain = self.value(word)?;
                self.parts.action = Some(Action::Jump(chain, false));
            }
            "-s" | "--source" | "--src" | "--src-range" => {
                let value = self.value(word)?;
                self.source(&value);
            }
            "-p" | "--protocol" | "--proto" => {
                let value = self.value(word)?;
                self.protocol(&value);
            }
            "--dport" | "--dports" | "--destination-port" | "--destination-ports" => {
                let value = self.value(word)?;
                match ports(&value) {
                    Some(ranges) => {
                        self.parts.tests.paths.push(Path::Port { not: self.not, ranges });
                    }
                    None => self.other(format!("`{word} {value}`")),
                }
            }
            "--sport" | "--sports" | "--source-port" | "--source-ports" => {
                let value = self.value(word)?;
                match ports(&value).as_deref() {
                    Some([(low, high)]) if low == high && *low != 0 && !self.not => {
                        self.parts.tests.source_port = Some(*low);
                    }
                    Some([(0 | 1, u16::MAX)]) if !self.not => {}
                    _ => self.other("a range of source ports".to_owned()),
                }
            }
            "-i" | "--in-interface" => {
                let value = self.value(word)?;
                match (value.as_str(), self.not) {
                    ("lo", false) => self.parts.tests.loopback = true,
                    // Whatever comes over a wire.
                    ("lo", true) => {}
                    _ => self.other(format!("the interface {value}")),
                }
            }
            "-d" | "--destination" | "--dst" | "--dst-range" => {
                let value = self.value(word)?;
                if !is_everybody(&value) || self.not {
                    self.other("the destination address".to_owned());
                }
            }
            "--comment" => {
                let value = self.value(word)?;
                self.parts.comment = Some(value);
            }
            "--state" | "--ctstate" => {
                let value = self.value(word)?;
                self.states(&value);
            }
            "--syn" if !self.not => self.parts.tests.syn = true,
            "--tcp-flags" => {
                let (mask, set) = (self.value(word)?, self.value(word)?);
                if set == "SYN" && mask.contains("SYN") && mask.contains("ACK") && !self.not {
                    self.parts.tests.syn = true;
                } else {
                    self.other("flags of TCP".to_owned());
                }
            }
            "--algo" | "--from" | "--to" | "--reject-with" => {
                self.value(word)?;
            }
            "--icase" => self.parts.ignore_case = true,
            "--string" => {
                let value = self.value(word)?;
                self.parts.tests.texts.push((value.into_bytes(), self.not));
            }
            "--hex-string" => {
                let value = self.value(word)?;
                match hex_string(&value) {
                    Some(bytes) => self.parts.tests.texts.push((bytes, self.not)),
                    None => self.other("a hexadecimal text that is none".to_owned()),
                }
            }
            "--match-set" => {
                let (name, direction) = (self.value(word)?, self.value(word)?);
                if direction == "src" {
                    let not = self.not;
                    self.parts.tests.sources.push(Sources::Set { name, not });
                } else {
                    self.other(format!("the set {name} ({direction})"));
                }
            }
            _ if self.limit(word)? => {}
            _ => self.unknown(word),
        }
        Ok(())
    }

    /// Options of hashlimit, recent, connlimit and limit.
    fn limit(&mut self, word: &str) -> Result<bool, String> {
        match word {
            "--hashlimit" | "--hashlimit-upto" | "--hashlimit-above" => {
                let rate = self.value(word)?;
                let over = (word == "--hashlimit-above") != self.not;
                self.parts.rate = Some((rate, over));
            }
            "--limit" => {
                let rate = self.value(word)?;
                self.parts.rate = Some((rate, self.not));
            }
            "--hashlimit-burst" | "--limit-burst" => self.parts.burst = Some(self.number(word)?),
            "--hashlimit-mode" => self.parts.mode = Some(self.value(word)?),
            "--hashlimit-srcmask" => {
                let bits = self.number(word)?;
                self.parts.source_bits = Some(u8::try_from(bits).unwrap_or(u8::MAX));
            }
            "--hashlimit-name"
            | "--hashlimit-htable-size"
            | "--hashlimit-htable-max"
            | "--hashlimit-htable-expire"
            | "--hashlimit-htable-gcinterval"
            | "--name"
            | "--mask" => {
                self.value(word)?;
            }
            "--set" => self.parts.recent.used = true,
            "--update" | "--rcheck" => {
                self.parts.recent.used = true;
                self.parts.recent.asks = !self.not;
            }
            "--remove" => {
                self.parts.recent.used = true;
                self.parts.recent.removes = true;
            }
            "--reap" => {}
            "--seconds" => self.parts.recent.seconds = Some(self.number(word)?),
            "--hitcount" => self.parts.recent.hits = Some(self.number(word)?),
            "--rdest" | "--connlimit-daddr" => self.parts.by_destination = true,
            "--connlimit-above" | "--connlimit-upto" => {
                let max = self.number(word)?;
                let over = (word == "--connlimit-above") != self.not;
                self.parts.connections = Some((max, over));
            }
            "--connlimit-mask" => {
                let bits = self.number(word)?;
                self.parts.connection_bits = u8::try_from(bits).unwrap_or(u8::MAX);
            }
            "--connlimit-saddr" => {}
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn source(&mut self, value: &str) {
        let mut nets: Vec<IpNet> = Vec::new();
        let mut unreadable = None;
        for one in value.split(',') {
            if is_everybody(one) {
                nets.push(IpNet::default());
                continue;
            }
            match address::nets(one) {
                Ok(more) => nets.extend(more),
                Err(why) => unreadable = Some(format!("`{one}` {why}")),
            }
        }
        let everybody = nets.iter().any(|net| net.prefix_len() == 0);
        let sources = match (unreadable, self.not, everybody) {
            (Some(why), ..) => Sources::Unreadable(why),
            (None, false, true) => return,
            (None, false, false) => Sources::Nets(nets),
            (None, true, _) => Sources::Not(nets),
        };
        self.parts.tests.sources.push(sources);
    }

    fn protocol(&mut self, value: &str) {
        let is = match value.to_ascii_lowercase().as_str() {
            "all" | "0" | "ip" => return,
            "udp" | "17" => vec![Transport::Udp],
            "tcp" | "6" => vec![Transport::Tcp],
            _ => Vec::new(),
        };
        self.parts.tests.paths.push(Path::Protocol { not: self.not, is });
    }

    fn states(&mut self, value: &str) {
        let upper = value.to_ascii_uppercase();
        let new = upper.split(',').any(|state| state == "NEW") != self.not;
        if !new {
            self.parts.tests.established = true;
        }
    }

    /// What it is cannot be known, nor how many values it has.
    fn unknown(&mut self, word: &str) {
        while self.peek().is_some_and(|next| !next.starts_with('-') && next != "!") {
            self.at += 1;
        }
        self.other(format!("`{word}`"));
    }

    fn other(&mut self, what: String) {
        self.parts.tests.others.push(what);
    }
}

impl Parts {
    fn rule(mut self, chain: &str, origin: &Origin) -> Rule {
        self.tests.limit = self.limit();
        let known = [
            "tcp",
            "udp",
            "multiport",
            "state",
            "conntrack",
            "string",
            "comment",
            "hashlimit",
            "recent",
            "connlimit",
            "limit",
            "set",
            "iprange",
        ];
        for module in &self.modules {
            if !known.contains(&module.as_str()) && !self.tests.others.contains(module) {
                self.tests.others.push(format!("the match `{module}`"));
            }
        }
        if self.by_destination {
            self.tests.others.push("the destination address".to_owned());
        }
        let action = self.action.unwrap_or_else(|| Action::Other("no target".to_owned()));
        let label = self.comment.unwrap_or_else(|| format!("iptables {chain}"));
        Rule { origin: origin.clone(), label, tests: self.tests, action }
    }

    fn limit(&self) -> Option<Limit> {
        if let Some((rate, over)) = &self.rate {
            let (rate, burst, over) = (rate.clone(), self.burst.unwrap_or(5), *over);
            if !self.modules.iter().any(|module| module == "hashlimit") {
                return Some(Limit::All { rate, burst, over });
            }
            return Some(match self.mode.as_deref() {
                Some("srcip") => {
                    Limit::PerSource { rate, burst, bits: self.source_bits.unwrap_or(32), over }
                }
                None => Limit::All { rate, burst, over },
                Some(mode) => Limit::Unclear(format!("it counts by {mode}, sipguard by source")),
            });
        }
        if self.recent.used {
            return Some(match (self.recent.asks, self.recent.seconds, self.recent.hits) {
                _ if self.recent.removes => {
                    Limit::Unclear("it forgets a source again: there is no such limit".to_owned())
                }
                (true, Some(seconds), Some(hits)) => Limit::Recent { seconds, hits },
                (true, ..) => Limit::Unclear(
                    "it is about sources that were seen before, once: sipguard bans by itself"
                        .to_owned(),
                ),
                _ => Limit::Remember,
            });
        }
        let bits = if self.modules.iter().any(|module| module == "connlimit")
            && self.connection_bits == 0
        {
            32
        } else {
            self.connection_bits
        };
        self.connections.map(|(max, over)| Limit::Connections { max, bits, over })
    }
}

fn target_action(target: &str) -> Action {
    match target {
        "ACCEPT" => Action::Accept,
        "DROP" | "REJECT" | "TARPIT" | "STEAL" | "DELUDE" | "CHAOS" => Action::Drop,
        "RETURN" => Action::Return,
        // Targets are in capitals; so are most chains, and those are known.
        _ => Action::Jump(target.to_owned(), true),
    }
}

fn is_everybody(text: &str) -> bool {
    matches!(text, "0/0" | "0.0.0.0/0" | "::/0" | "0.0.0.0/0.0.0.0" | "any" | "anywhere")
}

/// `5060`, `5060:5080`, `5060,5080:5090`.
fn ports(text: &str) -> Option<Vec<(u16, u16)>> {
    text.split(',')
        .map(|one| {
            let (low, high) = one.split_once(':').unwrap_or((one, one));
            let low = if low.is_empty() { 0 } else { port(low)? };
            let high = if high.is_empty() { u16::MAX } else { port(high)? };
            (low <= high).then_some((low, high))
        })
        .collect()
}

fn port(text: &str) -> Option<u16> {
    match text {
        "sip" => Some(5060),
        "sip-tls" | "sips" => Some(5061),
        _ => text.parse().ok(),
    }
}

/// Text with bytes in hexadecimal between bars: `|4f50|TIONS`.
fn hex_string(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    for (i, part) in text.split('|').enumerate() {
        if i % 2 == 0 {
            out.extend(part.bytes());
            continue;
        }
        let digits: Vec<u32> = part
            .chars()
            .filter(|c| !c.is_whitespace())
            .map(|c| c.to_digit(16))
            .collect::<Option<_>>()?;
        for pair in digits.chunks(2) {
            let [high, low] = pair else { return None };
            out.push(u8::try_from(high * 16 + low).ok()?);
        }
    }
    Some(out)
}

/// Whether a word is an address, for lists of scripts.
pub(super) fn is_address(text: &str) -> bool {
    text.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_texts() {
        assert_eq!(hex_string("|4f 50|TIONS|20|").unwrap(), b"OPTIONS ");
        assert_eq!(hex_string("|4f5|"), None);
        assert_eq!(hex_string("|zz|"), None);
        assert_eq!(hex_string("plain").unwrap(), b"plain");
    }

    #[test]
    fn port_lists() {
        assert_eq!(ports("5060"), Some(vec![(5060, 5060)]));
        assert_eq!(ports("sip,5070:5080,:10"), Some(vec![(5060, 5060), (5070, 5080), (0, 10)]));
        assert_eq!(ports("9:1"), None);
        assert_eq!(ports("x"), None);
    }
}
