//! The language of nftables, as far as `nft list` speaks it.

use jiff::Timestamp;

use super::{MAX_ELEMENTS, Ruled, Set, member, until};
use crate::import::{
    ImportError, address,
    draft::{Draft, Origin, Part},
    firewall::{Action, Limit, Path, Rule, Sources, Tests, Transport},
    lists::Member,
};

/// A word with its line. Braces, commas and ends of statements are words.
#[derive(Clone, Debug)]
struct Word<'t> {
    text: &'t str,
    line: usize,
    quoted: bool,
}

const END: &str = "\n";

fn words(text: &str) -> Vec<Word<'_>> {
    let mut all = Vec::new();
    for (i, line) in text.lines().enumerate() {
        let number = i + 1;
        let mut rest = line;
        loop {
            rest = rest.trim_start();
            let Some(first) = rest.chars().next() else { break };
            let length = match first {
                '#' => break,
                '"' => {
                    rest.get(1..).and_then(|rest| rest.find('"')).map_or(rest.len(), |at| at + 2)
                }
                '{' | '}' | ',' | ';' => 1,
                _ => rest
                    .find(|c: char| c.is_whitespace() || matches!(c, '{' | '}' | ',' | ';' | '"'))
                    .unwrap_or(rest.len()),
            };
            let (word, behind) = rest.split_at_checked(length).unwrap_or((rest, ""));
            let quoted = first == '"';
            let text = if quoted { word.trim_matches('"') } else { word };
            let text = if text == ";" && !quoted { END } else { text };
            all.push(Word { text, line: number, quoted });
            rest = behind;
        }
        all.push(Word { text: END, line: number, quoted: false });
    }
    all
}

struct Reader<'t, 'd> {
    words: Vec<Word<'t>>,
    lines: Vec<&'t str>,
    at: usize,
    now: Timestamp,
    ruled: Ruled,
    draft: &'d mut Draft,
}

pub(super) fn read(text: &str, now: Timestamp, draft: &mut Draft) -> Result<Ruled, ImportError> {
    let (words, lines) = (words(text), text.lines().collect());
    let mut reader = Reader { words, lines, at: 0, now, ruled: Ruled::default(), draft };
    while let Some(word) = reader.next() {
        match word.text {
            END => {}
            "table" => reader.table()?,
            _ => {
                let origin = reader.origin(word.line);
                reader.skip_statement();
                let why = "this is not what `nft list` prints: import the output of `nft list \
                           ruleset`";
                reader.draft.left(Part::Sipguard, &origin, why);
            }
        }
    }
    Ok(reader.ruled)
}

impl<'t> Reader<'t, '_> {
    fn next(&mut self) -> Option<Word<'t>> {
        let word = self.words.get(self.at).cloned();
        self.at += usize::from(word.is_some());
        word
    }

    fn peek(&self) -> Option<&Word<'t>> {
        self.words.get(self.at)
    }

    fn origin(&self, line: usize) -> Origin {
        Origin::new(line, self.lines.get(line.saturating_sub(1)).copied().unwrap_or(""))
    }

    fn unclosed(&self, line: usize) -> ImportError {
        ImportError::Damaged {
            line,
            what: "a `{` is not closed".to_owned(),
            remedy: "import the whole output of `nft list ruleset`".to_owned(),
        }
    }

    /// To the end of a statement, with the blocks in it.
    fn skip_statement(&mut self) {
        let mut open = 0_usize;
        while let Some(word) = self.next() {
            match word.text {
                "{" if !word.quoted => open += 1,
                "}" if !word.quoted && open <= 1 => return,
                "}" if !word.quoted => open -= 1,
                END if open == 0 => return,
                _ => {}
            }
        }
    }

    /// Words up to the `{` of a block, without it.
    fn head(&mut self) -> Result<Vec<Word<'t>>, ImportError> {
        let mut head = Vec::new();
        while let Some(word) = self.next() {
            match word.text {
                "{" if !word.quoted => return Ok(head),
                END => break,
                _ => head.push(word),
            }
        }
        let line = head.last().map_or(self.lines.len(), |word| word.line);
        Err(ImportError::Damaged {
            line,
            what: "a block begins with `{`".to_owned(),
            remedy: "import the whole output of `nft list ruleset`".to_owned(),
        })
    }

    fn table(&mut self) -> Result<(), ImportError> {
        let head = self.head()?;
        let line = head.first().map_or(1, |word| word.line);
        let table: Vec<&str> = head.iter().map(|word| word.text).collect();
        let table = table.join(" ");
        loop {
            let Some(word) = self.next() else { return Err(self.unclosed(line)) };
            match word.text {
                "}" if !word.quoted => return Ok(()),
                END => {}
                "set" => self.set()?,
                "chain" => {
                    let name = self.head()?.first().map_or("", |word| word.text).to_owned();
                    self.chain(&table, &name, word.line)?;
                }
                _ => {
                    let origin = self.origin(word.line);
                    if word.text != "comment" && word.text != "flags" {
                        let why = format!("sipguard has nothing like `{}`", word.text);
                        self.draft.left(Part::Sipguard, &origin, &why);
                    }
                    self.skip_statement();
                }
            }
        }
    }

    fn set(&mut self) -> Result<(), ImportError> {
        let head = self.head()?;
        let (name, line) = head.first().map_or(("", 1), |word| (word.text, word.line));
        let mut set = Set { name: name.to_owned(), line, members: Vec::new(), unusable: None };
        let mut dynamic = false;
        loop {
            let Some(word) = self.next() else { return Err(self.unclosed(line)) };
            match word.text {
                "}" if !word.quoted => break,
                END => {}
                "type" | "typeof" => {
                    let what = self.statement();
                    let address = ["ipv4_addr", "ipv6_addr", "ip saddr", "ip6 saddr", "ip daddr"];
                    if !address.contains(&what.as_str()) {
                        set.unusable =
                            Some(format!("its elements are `{what}`, not addresses alone"));
                    }
                }
                "flags" => dynamic = self.statement().contains("dynamic"),
                "elements" => {
                    let _ = self.head()?;
                    self.elements(&mut set, line)?;
                }
                _ => {
                    self.statement();
                }
            }
        }
        if dynamic && set.members.is_empty() {
            // It remembers packets; what for, its rule says.
            return Ok(());
        }
        self.ruled.sets.push(set);
        Ok(())
    }

    /// The rest of a statement as text.
    fn statement(&mut self) -> String {
        let mut all = Vec::new();
        while let Some(word) = self.peek() {
            if word.text == END || word.text == "}" {
                break;
            }
            all.push(word.text);
            self.at += 1;
        }
        all.join(" ")
    }

    fn elements(&mut self, set: &mut Set, line: usize) -> Result<(), ImportError> {
        loop {
            let mut element: Vec<Word<'t>> = Vec::new();
            let end = loop {
                let Some(word) = self.next() else { return Err(self.unclosed(line)) };
                match word.text {
                    "," | "}" if !word.quoted => break word.text,
                    END => {}
                    _ => element.push(word),
                }
            };
            if let Some(first) = element.first() {
                self.ruled.elements += 1;
                if self.ruled.elements <= MAX_ELEMENTS {
                    set.members.push(self.element(first, &element));
                }
            }
            if end == "}" {
                return Ok(());
            }
        }
    }

    fn element(&self, first: &Word<'t>, words: &[Word<'t>]) -> Member {
        let after = |key: &str| {
            let at = words.iter().position(|word| word.text == key && !word.quoted)?;
            words.get(at + 1).map(|word| word.text)
        };
        let ends = after("expires").or_else(|| after("timeout")).and_then(seconds);
        let nets = if words.get(1).is_some_and(|word| word.text == ".") {
            Err("has more than an address".to_owned())
        } else {
            address::nets(first.text)
        };
        let ends = ends.and_then(|seconds| until(self.now, seconds));
        member(first.line, first.text, nets, ends)
    }

    fn chain(&mut self, table: &str, name: &str, line: usize) -> Result<(), ImportError> {
        let key = format!("{table} {name}");
        self.ruled.chain(&key);
        loop {
            let Some(word) = self.peek().cloned() else { return Err(self.unclosed(line)) };
            match word.text {
                "}" if !word.quoted => {
                    self.at += 1;
                    return Ok(());
                }
                END => self.at += 1,
                "type" => self.base(&key),
                "policy" => {
                    let drops = self.statement().contains("drop");
                    let origin = self.origin(word.line);
                    self.ruled.chain(&key).drops = drops.then_some(origin);
                }
                _ => {
                    let rule = self.rule(table, name)?;
                    self.ruled.chain(&key).rules.push(rule);
                }
            }
        }
    }

    /// `type filter hook input priority filter; policy accept;`
    fn base(&mut self, key: &str) {
        let text = self.statement();
        let words: Vec<&str> = text.split_whitespace().collect();
        let after = |key: &str| {
            let at = words.iter().position(|word| *word == key)?;
            words.get(at + 1).copied()
        };
        // `filter - 1`
        let offset = words.iter().position(|word| *word == "priority").and_then(|at| {
            let sign = match *words.get(at + 2)? {
                "+" => 1,
                "-" => -1,
                _ => return None,
            };
            words.get(at + 3)?.parse::<i64>().ok()?.checked_mul(sign)
        });
        let priority: i64 = match after("priority") {
            Some("raw") => -300,
            Some("mangle") => -150,
            Some("dstnat") => -100,
            Some("security") => 50,
            Some(number) => number.parse().unwrap_or(0),
            None => 0,
        };
        // Only chains that filter can accept for good.
        if words.first() != Some(&"type") || after("type") != Some("nat") {
            let priority = priority.saturating_add(offset.unwrap_or(0));
            self.ruled.chain(key).hook = after("hook").map(|hook| (hook.to_owned(), priority));
        }
    }

    fn rule(&mut self, table: &str, chain: &str) -> Result<Rule, ImportError> {
        let mut words = Vec::new();
        let mut open = 0_usize;
        let line = self.peek().map_or(1, |word| word.line);
        loop {
            let Some(word) = self.peek().cloned() else { return Err(self.unclosed(line)) };
            match word.text {
                "{" if !word.quoted => open += 1,
                "}" if !word.quoted && open == 0 => break,
                "}" if !word.quoted => open -= 1,
                END if open == 0 => break,
                _ => {}
            }
            self.at += 1;
            if word.text != END {
                words.push(word);
            }
        }
        let mut rule = Statement { words: &words, at: 0, tests: Tests::default() };
        let (action, comment) = rule.read(table);
        let label = comment.unwrap_or_else(|| format!("nft {chain}"));
        Ok(Rule { origin: self.origin(line), label, tests: rule.tests, action })
    }
}

/// One rule.
struct Statement<'r, 't> {
    words: &'r [Word<'t>],
    at: usize,
    tests: Tests,
}

impl Statement<'_, '_> {
    fn next(&mut self) -> Option<&str> {
        let word = self.words.get(self.at)?;
        self.at += 1;
        Some(word.text)
    }

    fn peek(&self) -> &str {
        self.words.get(self.at).map_or("", |word| word.text)
    }

    fn read(&mut self, table: &str) -> (Action, Option<String>) {
        let mut action = Action::Other("no verdict".to_owned());
        let mut comment = None;
        while let Some(word) = self.next().map(str::to_owned) {
            match word.as_str() {
                "counter" => {
                    if self.peek() == "packets" {
                        self.at += 4;
                    }
                }
                "comment" => comment = self.next().map(str::to_owned),
                "accept" => action = Action::Accept,
                "drop" => action = Action::Drop,
                "reject" => {
                    action = Action::Drop;
                    self.at = self.words.len();
                }
                "return" => action = Action::Return,
                "jump" | "goto" => {
                    let chain = self.next().unwrap_or("").to_owned();
                    action = Action::Jump(format!("{table} {chain}"), word == "jump");
                }
                "continue" => {}
                "log" => {
                    while matches!(self.peek(), "prefix" | "level" | "flags" | "group" | "snaplen")
                    {
                        self.at += 2;
                    }
                    action = Action::Other("log".to_owned());
                }
                "ip" | "ip6" => self.address(&word),
                "udp" | "tcp" | "th" => self.port(&word),
                "meta" => self.meta(),
                "iif" | "iifname" => self.interface(),
                "ct" => self.state(),
                "limit" => self.rate(),
                other => {
                    self.tests.others.push(format!("`{other}`"));
                    self.skip_unknown();
                }
            }
        }
        (action, comment)
    }

    /// `!=`, then one value or a list in braces.
    fn values(&mut self) -> (bool, Vec<String>) {
        let not = self.peek() == "!=";
        if not || self.peek() == "==" {
            self.at += 1;
        }
        if self.peek() != "{" {
            return (not, self.next().map(str::to_owned).into_iter().collect());
        }
        self.at += 1;
        let mut all = Vec::new();
        while let Some(word) = self.next() {
            match word {
                "}" => break,
                "," => {}
                value => all.push(value.to_owned()),
            }
        }
        (not, all)
    }

    fn address(&mut self, family: &str) {
        let key = self.next().unwrap_or("").to_owned();
        match key.as_str() {
            "saddr" => {
                let (not, values) = self.values();
                self.tests.sources.push(sources(not, &values));
            }
            "protocol" | "nexthdr" => {
                let (not, values) = self.values();
                self.tests.paths.push(Path::Protocol { not, is: transports(&values) });
            }
            _ => {
                self.values();
                self.tests.others.push(format!("`{family} {key}`"));
            }
        }
    }

    fn port(&mut self, protocol: &str) {
        let key = self.next().unwrap_or("").to_owned();
        if protocol != "th" {
            let is = transports(&[protocol.to_owned()]);
            self.tests.paths.push(Path::Protocol { not: false, is });
        }
        let (not, values) = self.values();
        let ranges = ranges(&values);
        match (key.as_str(), ranges) {
            ("dport", Some(ranges)) => self.tests.paths.push(Path::Port { not, ranges }),
            ("sport", Some(ranges)) if !not => match ranges.as_slice() {
                [(low, high)] if low == high && *low != 0 => self.tests.source_port = Some(*low),
                _ => self.tests.others.push("a range of source ports".to_owned()),
            },
            ("flags", _) => self.tests.others.push("flags of TCP".to_owned()),
            _ => self.tests.others.push(format!("`{protocol} {key}`")),
        }
    }

    fn meta(&mut self) {
        let key = self.next().unwrap_or("").to_owned();
        match key.as_str() {
            "l4proto" => {
                let (not, values) = self.values();
                self.tests.paths.push(Path::Protocol { not, is: transports(&values) });
            }
            "iif" | "iifname" => self.interface(),
            "nfproto" => {
                self.values();
            }
            _ => {
                self.values();
                self.tests.others.push(format!("`meta {key}`"));
            }
        }
    }

    fn interface(&mut self) {
        let (not, values) = self.values();
        match (not, values.as_slice()) {
            (false, [lo]) if lo == "lo" => self.tests.loopback = true,
            (true, [lo]) if lo == "lo" => {}
            _ => self.tests.others.push(format!("the interface {}", values.join(", "))),
        }
    }

    fn state(&mut self) {
        let key = self.next().unwrap_or("").to_owned();
        if key == "count" {
            let over = self.peek() == "over";
            self.at += usize::from(over);
            let max = self.next().and_then(|max| max.parse().ok());
            self.tests.limit = Some(match max {
                // For each source only within a set, which says so itself.
                Some(max) => Limit::Connections { max, bits: 0, over },
                None => Limit::Unclear("a count of connections without a number".to_owned()),
            });
            return;
        }
        let mut all: Vec<String> = Vec::new();
        let not = self.peek() == "!=";
        self.at += usize::from(not);
        if self.peek() == "{" {
            all = self.values().1;
        } else {
            loop {
                all.extend(self.next().map(str::to_owned));
                if self.peek() != "," {
                    break;
                }
                self.at += 1;
            }
        }
        let new = all.iter().flat_map(|one| one.split(',')).any(|state| state == "new");
        if key == "state" {
            self.tests.established |= new == not;
        } else {
            self.tests.others.push(format!("`ct {key}`"));
        }
    }

    /// `limit rate over 20/minute burst 5 packets`, for all sources together.
    fn rate(&mut self) {
        if self.peek() == "rate" {
            self.at += 1;
        }
        let over = self.peek() == "over";
        self.at += usize::from(over);
        let rate = self.next().unwrap_or("").to_owned();
        let mut burst = 5;
        if self.peek() == "burst" {
            self.at += 1;
            burst = self.next().and_then(|burst| burst.parse().ok()).unwrap_or(5);
        }
        if self.peek() == "packets" || self.peek() == "bytes" {
            self.at += 1;
        }
        self.tests.limit = Some(Limit::All { rate, burst, over });
    }

    /// What cannot be read: up to a verdict. `add @set { ip saddr limit rate
    /// over ... }` is understood.
    fn skip_unknown(&mut self) {
        let texts: Vec<String> = self
            .words
            .iter()
            .skip(self.at)
            .map(|word| word.text.to_owned())
            .take_while(|word| !is_verdict(word))
            .collect();
        self.at += texts.len();
        let before = self.at.checked_sub(texts.len() + 1).and_then(|at| self.words.get(at));
        let is_update = before.is_some_and(|word| matches!(word.text, "add" | "update"));
        let inner: Vec<Word<'_>> = self
            .words
            .iter()
            .skip(self.at - texts.len())
            .take(texts.len())
            .skip_while(|word| word.text != "{")
            .skip(1)
            .take_while(|word| word.text != "}")
            .cloned()
            .collect();
        if !is_update || inner.first().map(|word| word.text) != Some("ip") {
            return;
        }
        let mut meter =
            Statement { words: inner.get(2..).unwrap_or_default(), at: 0, tests: Tests::default() };
        meter.read("");
        let limit = match meter.tests.limit {
            Some(Limit::All { rate, burst, over }) => {
                Some(Limit::PerSource { rate, burst, bits: 32, over })
            }
            Some(Limit::Connections { max, over, .. }) => {
                Some(Limit::Connections { max, bits: 32, over })
            }
            other => other,
        };
        if limit.is_some() {
            self.tests.others.pop();
            self.tests.limit = limit;
        }
    }
}

fn is_verdict(word: &str) -> bool {
    matches!(word, "accept" | "drop" | "reject" | "return" | "jump" | "goto" | "log" | "comment")
}

/// The test of a source address.
pub(super) fn sources(not: bool, values: &[String]) -> Sources {
    if let [one] = values
        && let Some(name) = one.strip_prefix('@')
    {
        return Sources::Set { name: name.to_owned(), not };
    }
    let mut nets = Vec::new();
    for value in values {
        match address::nets(value) {
            Ok(more) => nets.extend(more),
            Err(why) => return Sources::Unreadable(format!("`{value}` {why}")),
        }
    }
    if not { Sources::Not(nets) } else { Sources::Nets(nets) }
}

/// Those of SIP.
pub(super) fn transports(values: &[String]) -> Vec<Transport> {
    values
        .iter()
        .filter_map(|value| match value.as_str() {
            "udp" | "17" => Some(Transport::Udp),
            "tcp" | "6" => Some(Transport::Tcp),
            _ => None,
        })
        .collect()
}

fn ranges(values: &[String]) -> Option<Vec<(u16, u16)>> {
    let port = |text: &str| match text {
        "sip" => Some(5060),
        "sips" | "sip-tls" => Some(5061),
        _ => text.parse().ok(),
    };
    values
        .iter()
        .map(|value| {
            if let Some(port) = port(value) {
                return Some((port, port));
            }
            let (low, high) = value.split_once('-')?;
            Some((port(low)?, port(high)?))
        })
        .collect()
}

/// `1h59m59s988ms`, whole seconds.
fn seconds(text: &str) -> Option<u64> {
    let mut total = 0_u64;
    let mut number = String::new();
    let mut unit = String::new();
    let mut add = |number: &mut String, unit: &mut String| -> Option<()> {
        let factor = match unit.as_str() {
            "w" => 7 * 86_400,
            "d" => 86_400,
            "h" => 3600,
            "m" => 60,
            "s" => 1,
            "ms" => 0,
            _ => return None,
        };
        total = total.checked_add(number.parse::<u64>().ok()?.checked_mul(factor)?)?;
        number.clear();
        unit.clear();
        Some(())
    };
    for c in text.chars() {
        if c.is_ascii_digit() {
            if !unit.is_empty() {
                add(&mut number, &mut unit)?;
            }
            number.push(c);
        } else {
            unit.push(c);
        }
    }
    add(&mut number, &mut unit)?;
    Some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        assert_eq!(seconds("1h59m59s988ms"), Some(7199));
        assert_eq!(seconds("59s"), Some(59));
        assert_eq!(seconds("1d"), Some(86_400));
        for text in ["", "5", "m", "5x", "99999999999999999999w"] {
            assert_eq!(seconds(text), None, "{text}");
        }
    }
}
