//! The JSON of `nft -j`.

use jiff::Timestamp;
use serde_json::Value;

use super::{
    MAX_ELEMENTS, Ruled, Set, member,
    text::{sources, transports},
    until,
};
use crate::import::{
    ImportError, address,
    draft::{Draft, Origin, Part},
    firewall::{Action, Limit, Path, Rule, Sources, Tests},
    lists::Member,
};

pub(super) fn read(text: &str, now: Timestamp, draft: &mut Draft) -> Result<Ruled, ImportError> {
    let value: Value = serde_json::from_str(text).map_err(|error| ImportError::json(&error))?;
    let mut ruled = Ruled::default();
    let objects = value.get("nftables").and_then(Value::as_array);
    for object in objects.into_iter().flatten() {
        let Some((kind, body)) = object.as_object().and_then(|object| object.iter().next()) else {
            continue;
        };
        let word = |key: &str| body.get(key).and_then(Value::as_str).unwrap_or("");
        match kind.as_str() {
            "metainfo" | "table" => {}
            "chain" => {
                let chain = ruled.chain(&key(body, word("name")));
                if body.get("hook").is_some() && word("type") != "nat" {
                    let priority = body.get("prio").and_then(Value::as_i64).unwrap_or(0);
                    chain.hook = Some((word("hook").to_owned(), priority));
                }
                if word("policy") == "drop" {
                    let text = format!("chain {}, policy drop", word("name"));
                    chain.drops = Some(Origin::new(0, &text));
                }
            }
            "rule" => {
                let rule = rule(body);
                ruled.chain(&key(body, word("chain"))).rules.push(rule);
            }
            "set" => {
                if let Some(set) = set(body, now, &mut ruled.elements) {
                    ruled.sets.push(set);
                }
            }
            _ => {
                let origin = Origin::new(0, &format!("{kind} {}", word("name")));
                let why = format!("sipguard has nothing like `{kind}`");
                draft.left(Part::Sipguard, &origin, &why);
            }
        }
    }
    Ok(ruled)
}

fn key(body: &Value, chain: &str) -> String {
    let word = |key: &str| body.get(key).and_then(Value::as_str).unwrap_or("");
    format!("{} {} {chain}", word("family"), word("table"))
}

fn set(body: &Value, now: Timestamp, count: &mut usize) -> Option<Set> {
    let name = body.get("name").and_then(Value::as_str).unwrap_or("").to_owned();
    let kind = body.get("type");
    let is_address = matches!(kind.and_then(Value::as_str), Some("ipv4_addr" | "ipv6_addr"));
    let unusable = (!is_address).then(|| {
        let kind = kind.map(Value::to_string).unwrap_or_default();
        format!("its elements are {kind}, not addresses alone")
    });
    let elements = body.get("elem").and_then(Value::as_array);
    if elements.is_none() && unusable.is_none() {
        // Empty, or filled by packets.
        return None;
    }
    let mut members = Vec::new();
    for element in elements.into_iter().flatten() {
        *count += 1;
        if *count <= MAX_ELEMENTS {
            members.push(self::element(element, now));
        }
    }
    Some(Set { name, line: 0, members, unusable })
}

fn element(value: &Value, now: Timestamp) -> Member {
    let (value, ends) = match value.get("elem") {
        Some(inner) => {
            let number = |key: &str| inner.get(key).and_then(Value::as_u64);
            (inner.get("val").unwrap_or(inner), number("expires").or_else(|| number("timeout")))
        }
        None => (value, None),
    };
    let shown = text_of(value).unwrap_or_else(|| value.to_string());
    let nets = match text_of(value) {
        Some(text) => address::nets(&text),
        None => Err("has more than an address".to_owned()),
    };
    member(0, &shown, nets, ends.and_then(|seconds| until(now, seconds)))
}

/// A value as the text language writes it.
fn text_of(value: &Value) -> Option<String> {
    if let Some(text) = value.as_str() {
        return Some(text.to_owned());
    }
    if let Some(number) = value.as_u64() {
        return Some(number.to_string());
    }
    if let Some(prefix) = value.get("prefix") {
        let (address, length) = (prefix.get("addr")?.as_str()?, prefix.get("len")?.as_u64()?);
        return Some(format!("{address}/{length}"));
    }
    let range = value.get("range")?.as_array()?;
    let [first, last] = range.as_slice() else { return None };
    // Ranges within ranges would recurse; there are none.
    let end = |value: &Value| {
        value.as_str().map(str::to_owned).or_else(|| Some(value.as_u64()?.to_string()))
    };
    Some(format!("{}-{}", end(first)?, end(last)?))
}

/// One value or a list of them.
fn texts(value: &Value) -> Option<Vec<String>> {
    let list = value.get("set").unwrap_or(value);
    match list.as_array() {
        Some(list) => list.iter().map(text_of).collect(),
        None => text_of(list).map(|one| vec![one]),
    }
}

fn rule(body: &Value) -> Rule {
    let word = |key: &str| body.get(key).and_then(Value::as_str);
    let chain = word("chain").unwrap_or("");
    let mut tests = Tests::default();
    let mut action = Action::Other("no verdict".to_owned());
    let expressions = body.get("expr").and_then(Value::as_array);
    for expression in expressions.into_iter().flatten() {
        let Some((kind, inner)) = expression.as_object().and_then(|one| one.iter().next()) else {
            continue;
        };
        let target = || {
            let chain = inner.get("target").and_then(Value::as_str).unwrap_or("");
            key(body, chain)
        };
        match kind.as_str() {
            "match" => compare(inner, &mut tests),
            "accept" => action = Action::Accept,
            "drop" | "reject" => action = Action::Drop,
            "return" => action = Action::Return,
            "jump" => action = Action::Jump(target(), true),
            "goto" => action = Action::Jump(target(), false),
            "counter" | "continue" => {}
            "log" => action = Action::Other("log".to_owned()),
            "limit" => tests.limit = Some(limit(inner)),
            "set" => meter(inner, &mut tests),
            other => tests.others.push(format!("`{other}`")),
        }
    }
    let number = body.get("handle").and_then(Value::as_u64).unwrap_or(0);
    let origin = Origin::new(0, &format!("chain {chain}, rule with handle {number}"));
    let label = word("comment").map_or_else(|| format!("nft {chain}"), str::to_owned);
    Rule { origin, label, tests, action }
}

fn compare(inner: &Value, tests: &mut Tests) {
    let not = inner.get("op").and_then(Value::as_str) == Some("!=");
    let (left, right) = (inner.get("left"), inner.get("right"));
    let values = right.and_then(texts).unwrap_or_default();
    let field = |kind: &str, key: &str| {
        left.and_then(|left| left.get(kind)?.get(key)?.as_str()).unwrap_or("")
    };
    let payload = (field("payload", "protocol"), field("payload", "field"));
    match (payload, field("meta", "key"), field("ct", "key")) {
        (("ip" | "ip6", "saddr"), ..) => {
            let found = sources(not, &values);
            let unread = values.is_empty() && matches!(found, Sources::Nets(_) | Sources::Not(_));
            tests.sources.push(if unread {
                Sources::Unreadable("the source cannot be read".to_owned())
            } else {
                found
            });
        }
        ((protocol @ ("udp" | "tcp" | "th"), "dport"), ..) => {
            if protocol != "th" {
                let is = transports(&[protocol.to_owned()]);
                tests.paths.push(Path::Protocol { not: false, is });
            }
            match ranges(&values) {
                Some(ranges) => tests.paths.push(Path::Port { not, ranges }),
                None => tests.others.push("a port that cannot be read".to_owned()),
            }
        }
        (("ip", "protocol") | ("ip6", "nexthdr"), ..) | (_, "l4proto", _) => {
            tests.paths.push(Path::Protocol { not, is: transports(&values) });
        }
        (_, "iif" | "iifname", _) => match (not, values.as_slice()) {
            (false, [lo]) if lo == "lo" => tests.loopback = true,
            (true, [lo]) if lo == "lo" => {}
            _ => tests.others.push(format!("the interface {}", values.join(", "))),
        },
        (_, "nfproto", _) => {}
        (_, _, "state") => {
            tests.established |= values.iter().any(|state| state == "new") == not;
        }
        _ => {
            let left = left.map(Value::to_string).unwrap_or_default();
            tests.others.push(format!("`{left}`"));
        }
    }
}

fn limit(inner: &Value) -> Limit {
    let number = |key: &str| inner.get(key).and_then(Value::as_u64);
    let per = inner.get("per").and_then(Value::as_str).unwrap_or("");
    let over = inner.get("inv").and_then(Value::as_bool).unwrap_or(false);
    match number("rate") {
        Some(rate) if inner.get("rate_unit").is_none() => {
            Limit::All { rate: format!("{rate}/{per}"), burst: number("burst").unwrap_or(5), over }
        }
        _ => Limit::Unclear("a limit that counts no packets".to_owned()),
    }
}

/// `add @set { ip saddr limit rate over ... }`
fn meter(inner: &Value, tests: &mut Tests) {
    let element = inner.get("elem").and_then(|elem| elem.get("payload"));
    let is_source = element.and_then(|one| one.get("field")?.as_str()) == Some("saddr");
    let statement = inner.get("stmt").and_then(Value::as_array).and_then(|all| all.first());
    let found = statement.and_then(|one| {
        if let Some(inner) = one.get("limit") {
            return Some(limit(inner));
        }
        let count = one.get("ct count")?;
        let over = count.get("inv").and_then(Value::as_bool).unwrap_or(false);
        Some(Limit::Connections { max: count.get("val")?.as_u64()?, bits: 32, over })
    });
    match (found, is_source) {
        (Some(Limit::All { rate, burst, over }), true) => {
            tests.limit = Some(Limit::PerSource { rate, burst, bits: 32, over });
        }
        (Some(found), true) => tests.limit = Some(found),
        _ => tests.others.push("a set that it fills".to_owned()),
    }
}

fn ranges(values: &[String]) -> Option<Vec<(u16, u16)>> {
    if values.is_empty() {
        return None;
    }
    values
        .iter()
        .map(|value| {
            let (low, high) = value.split_once('-').unwrap_or((value, value));
            Some((low.parse().ok()?, high.parse().ok()?))
        })
        .collect()
}
