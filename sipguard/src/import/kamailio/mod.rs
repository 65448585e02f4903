//! Kamailio and OpenSIPS: the table `address` of their module permissions, in
//! every form in which it leaves them.

mod sql;
mod tables;

use std::num::NonZeroU16;

use serde_json::Value;

use super::{
    Aim, ImportError, Options, address,
    draft::{Draft, Origin, Part},
    firewall::Use,
    lists::{Listed, Member, emit},
};

/// Names of columns, in the order of the table where they are not named.
const KAMAILIO: [&str; 6] = ["id", "grp", "ip_addr", "mask", "port", "tag"];
const OPENSIPS: [&str; 8] = ["id", "grp", "ip", "mask", "port", "proto", "pattern", "context_info"];

/// Words in a tag that say the opposite of trust.
const HOSTILE: [&str; 8] = ["block", "black", "deny", "denied", "ban", "drop", "attack", "fraud"];

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Proxy {
    Kamailio,
    OpenSips,
}

impl Proxy {
    fn name(self) -> &'static str {
        match self {
            Self::Kamailio => "kamailio",
            Self::OpenSips => "opensips",
        }
    }

    fn columns(self) -> &'static [&'static str] {
        match self {
            Self::Kamailio => &KAMAILIO,
            Self::OpenSips => &OPENSIPS,
        }
    }
}

/// A row, as far as it matters.
#[derive(Debug, Default)]
struct Row {
    origin: Origin,
    group: String,
    address: String,
    mask: String,
    port: String,
    protocol: String,
    pattern: String,
    tag: String,
}

impl Row {
    /// Puts a value into its column; other columns do not matter.
    fn put(&mut self, column: &str, value: &str) {
        let value = value.trim();
        let value = if value.eq_ignore_ascii_case("null") { "" } else { value };
        let place = match column.to_ascii_lowercase().as_str() {
            "grp" | "group" | "group_id" => &mut self.group,
            "ip_addr" | "ip" | "src_ip" | "address" => &mut self.address,
            "mask" | "netmask" => &mut self.mask,
            "port" => &mut self.port,
            "proto" => &mut self.protocol,
            "pattern" | "from_pattern" | "ruri_pattern" => &mut self.pattern,
            "tag" | "context_info" | "info" => &mut self.tag,
            _ => return,
        };
        if place.is_empty() {
            value.clone_into(place);
        }
    }
}

/// Whether a text looks like one, and like whose.
pub(super) fn kind(text: &str) -> Option<Proxy> {
    let head: String = text.chars().take(100_000).collect();
    let lower = head.to_ascii_lowercase();
    if lower.contains("context_info") || lower.contains("proto,pattern") {
        return Some(Proxy::OpenSips);
    }
    let marks = ["ip_addr", "insert into `address`", "insert into address", "\"item\"", "item: {"];
    if marks.iter().any(|mark| lower.contains(mark)) {
        return Some(Proxy::Kamailio);
    }
    let is_record = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        words.len() >= 2
            && words.first().is_some_and(|group| group.parse::<u32>().is_ok())
            && words.get(1).is_some_and(|text| address::address(text).is_some())
    };
    let mut lines =
        head.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.next().is_some_and(is_record).then_some(Proxy::Kamailio)
}

/// Reads any of the forms.
pub(super) fn read(
    text: &str,
    proxy: Proxy,
    options: &Options,
    draft: &mut Draft,
) -> Result<(), ImportError> {
    let start = text.trim_start();
    let rows = if start.starts_with("{\"") || start.starts_with('[') || is_json(start) {
        json(text)?
    } else if start.starts_with('{') {
        tables::blocks(text)
    } else if sql::is_it(text) {
        sql::read(text, proxy.columns(), draft)
    } else {
        tables::read(text, proxy.columns(), draft)
    };
    for row in rows {
        one(row, proxy, options, draft);
    }
    Ok(())
}

fn one(row: Row, proxy: Proxy, options: &Options, draft: &mut Draft) {
    let group = if row.group.is_empty() { "1".to_owned() } else { row.group };
    let label = if row.tag.is_empty() {
        format!("{} group {group}", proxy.name())
    } else {
        format!("{} group {group} {}", proxy.name(), row.tag)
    };
    let nets = match (address::address(&row.address), row.mask.as_str()) {
        (Some(address), "") => address::with_mask(address, None).map(|net| vec![net]),
        (Some(address), mask) => address::with_mask(address, Some(mask)).map(|net| vec![net]),
        // A network in one text.
        (None, _) => address::nets(&row.address),
    };
    let port = match row.port.as_str() {
        "" => Ok(None),
        // 0 stands for every port.
        port => port.parse().map(NonZeroU16::new).map_err(|_| "its port is none".to_owned()),
    };
    let (nets, port) = match port {
        Ok(port) => (nets, port),
        Err(why) => (Err(why), None),
    };
    let lower = row.tag.to_ascii_lowercase();
    let hostile = HOSTILE.iter().find(|word| lower.contains(**word));
    let doubt = if let Some(word) = hostile.filter(|_| options.into.is_none()) {
        Some(format!("its tag says `{word}`: hardly a peer"))
    } else if !row.pattern.is_empty() && row.pattern != ".*" {
        Some("it holds for some requests only (a pattern), trust for all".to_owned())
    } else {
        None
    };
    let doubt = doubt.filter(|_| options.into != Some(Aim::Blacklist));
    let member = Member { origin: row.origin.clone(), nets, until: None, port, doubt };
    let list = Listed { origin: row.origin, name: group, label, members: vec![member] };
    emit(list, Use::Trust, options, draft);
}

/// `{` and a key in quotes behind white space.
fn is_json(start: &str) -> bool {
    start.strip_prefix('{').is_some_and(|rest| rest.trim_start().starts_with('"'))
}

/// The answer to `permissions.addressDump` or `address_dump`: objects that
/// have an address, however deep.
fn json(text: &str) -> Result<Vec<Row>, ImportError> {
    let value: Value = serde_json::from_str(text).map_err(|error| ImportError::json(&error))?;
    let mut rows = Vec::new();
    objects(&value, "", &mut rows);
    Ok(rows)
}

/// The parser has bounded the depth.
fn objects(value: &Value, group: &str, rows: &mut Vec<Row>) {
    match value {
        Value::Array(all) => all.iter().for_each(|one| objects(one, group, rows)),
        Value::Object(object) => {
            let mine = object.iter().find_map(|(key, value)| {
                matches!(key.as_str(), "group" | "grp").then(|| plain(value)).flatten()
            });
            let group = mine.as_deref().unwrap_or(group);
            let mut row = Row { group: group.to_owned(), ..Row::default() };
            for (key, value) in object {
                match plain(value) {
                    Some(text) => row.put(key, &text),
                    None => objects(value, group, rows),
                }
            }
            if !row.address.is_empty() {
                row.origin = Origin::new(0, &format!("group {group}, {}", row.address));
                rows.push(row);
            }
        }
        _ => {}
    }
}

fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Null => Some(String::new()),
        _ => None,
    }
}

/// Lines of permissions.allow: what requests write, not where they come from.
fn is_pattern(line: &str) -> bool {
    line.contains(" : ") && (line.contains('"') || line.contains("ALL"))
}

fn left_pattern(draft: &mut Draft, origin: &Origin) {
    let why = "it compares what stands in From or in the URI, which anybody can write: no trust";
    draft.left(Part::Trusted, origin, why);
}
