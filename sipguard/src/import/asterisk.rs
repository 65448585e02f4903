//! Asterisk: sections `identify` of pjsip.conf, and peers of sip.conf.

use std::collections::HashMap;

use super::{
    address,
    draft::{Draft, Origin, Part},
};
use crate::policy::Target;

/// Sections that are read; real files have thousands.
const MAX_SECTIONS: usize = 200_000;

/// Keys of all sections, with the inherited ones.
const MAX_PAIRS: usize = 2_000_000;

/// Keys that are asked for.
const KEYS: [&str; 12] = [
    "type",
    "endpoint",
    "match",
    "match_header",
    "host",
    "port",
    "insecure",
    "permit",
    "deny",
    "acl",
    "contactpermit",
    "contactdeny",
];

/// `key = value` with its line.
#[derive(Clone, Debug)]
struct Pair {
    line: usize,
    key: String,
    value: String,
}

/// `[name](template,...)`
#[derive(Clone, Debug)]
struct Section {
    line: usize,
    name: String,
    is_template: bool,
    pairs: Vec<Pair>,
}

impl Section {
    fn last(&self, key: &str) -> Option<&str> {
        let same = |pair: &&Pair| pair.key == key;
        self.pairs.iter().rev().find(same).map(|pair| pair.value.as_str())
    }

    fn all<'s>(&'s self, key: &'s str) -> impl Iterator<Item = &'s Pair> + 's {
        self.pairs.iter().filter(move |pair| pair.key == key)
    }
}

/// Which of the two a text looks like: pjsip.conf has types that sip.conf has
/// not.
pub(super) fn kind(text: &str) -> Option<Kind> {
    let pairs: Vec<(String, String)> = text.lines().filter_map(pair).collect();
    let has = |key: &str, values: &[&str]| {
        pairs.iter().any(|(k, v)| k == key && values.contains(&v.to_ascii_lowercase().as_str()))
    };
    if has("type", &["identify", "endpoint", "aor", "transport"]) {
        return Some(Kind::Pjsip);
    }
    has("type", &["peer", "friend", "user"]).then_some(Kind::Sip)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Pjsip,
    Sip,
}

/// Reads pjsip.conf.
pub(super) fn read_pjsip(text: &str, draft: &mut Draft) {
    for section in sections(text, draft) {
        let kind = section.last("type").unwrap_or("").to_ascii_lowercase();
        let whole = Origin::new(section.line, &format!("[{}]", section.name));
        match kind.as_str() {
            _ if section.is_template => {}
            "identify" => identify(&section, draft),
            "acl" => {
                let why = "an access list says who may come, not who is a peer: no trust";
                draft.left(Part::Trusted, &whole, why);
            }
            "endpoint" | "aor" | "auth" | "registration" | "transport" | "global" | "system"
            | "contact" | "domain_alias" | "phoneprov" | "outbound-publish" | "resource_list" => {}
            _ => {
                let why = "no section of a type that names addresses of peers";
                draft.left(Part::Trusted, &whole, why);
            }
        }
    }
}

fn identify(section: &Section, draft: &mut Draft) {
    let name = section.last("endpoint").unwrap_or(&section.name).to_owned();
    let label = format!("pjsip {name}");
    let has_header = section.last("match_header").is_some();
    let mut any = false;
    for pair in section.all("match") {
        for value in pair.value.split(',').map(str::trim).filter(|value| !value.is_empty()) {
            any = true;
            let origin = Origin::new(pair.line, &format!("match = {value}"));
            trust(draft, &origin, &label, value, None, None);
        }
    }
    for pair in section.all("match_header") {
        let origin = Origin::new(pair.line, &format!("match_header = {}", pair.value));
        draft.left(Part::Trusted, &origin, "anybody can write a header: no trust");
    }
    if !any && !has_header {
        let origin = Origin::new(section.line, &format!("[{}]", section.name));
        draft.left(Part::Trusted, &origin, "it matches no address");
    }
}

/// Reads sip.conf.
pub(super) fn read_sip(text: &str, draft: &mut Draft) {
    for section in sections(text, draft) {
        if section.is_template || section.name == "general" || section.name == "authentication" {
            continue;
        }
        let origin = Origin::new(section.line, &format!("[{}]", section.name));
        let kind = section.last("type").unwrap_or("").to_ascii_lowercase();
        if kind == "user" {
            draft.left(Part::Trusted, &origin, "a user is known by its name, from anywhere");
            continue;
        }
        let label = format!("sip.conf {}", section.name);
        let Some(host) = section.all("host").last() else {
            draft.left(Part::Trusted, &origin, "it has no host");
            continue;
        };
        let at = Origin::new(host.line, &format!("[{}] host = {}", section.name, host.value));
        if host.value.eq_ignore_ascii_case("dynamic") {
            let why = "a phone that registers from anywhere: no trust. sipguard knows it once the \
                       server has accepted it";
            draft.left(Part::Trusted, &at, why);
        } else if !matches!(kind.as_str(), "peer" | "friend") {
            draft.left(Part::Trusted, &at, "neither a peer nor a friend");
        } else {
            let insecure = section.last("insecure").unwrap_or("").to_ascii_lowercase();
            let any_port =
                insecure.split(',').any(|word| matches!(word.trim(), "port" | "very" | "yes"));
            let port = section.last("port").filter(|_| !any_port);
            trust(draft, &at, &label, &host.value, port, None);
        }
        for pair in section.pairs.iter().filter(|pair| is_access(&pair.key)) {
            let origin = Origin::new(pair.line, &format!("{} = {}", pair.key, pair.value));
            let why = "it says from where this peer may come, not that it is trusted";
            draft.left(Part::Trusted, &origin, why);
        }
    }
}

fn is_access(key: &str) -> bool {
    matches!(key, "permit" | "deny" | "acl" | "contactpermit" | "contactdeny")
}

fn trust(
    draft: &mut Draft,
    origin: &Origin,
    label: &str,
    value: &str,
    port: Option<&str>,
    doubt: Option<&str>,
) {
    // `match = 192.0.2.1:5062` has a source port.
    let with_port = || value.parse::<Target>().ok().filter(|target| target.port.is_some());
    let target = match (address::net(value), port.map(str::parse::<u16>)) {
        (Err(why), _) => match with_port() {
            Some(target) => target,
            None => return draft.left(Part::Trusted, origin, &why),
        },
        (Ok(_), Some(Err(_) | Ok(0))) => {
            return draft.left(Part::Trusted, origin, "its port is none");
        }
        (Ok(net), port) => Target { net, port: port.and_then(Result::ok) },
    };
    match doubt {
        Some(why) => draft.doubt_trust(origin, label, target, why),
        None => draft.trust(origin, label, target),
    }
}

/// `key = value` or `key => value`, without the comment.
fn pair(line: &str) -> Option<(String, String)> {
    let line = uncommented(line);
    let (key, value) = line.split_once('=')?;
    let value = value.strip_prefix('>').unwrap_or(value);
    let key = key.trim().trim_end_matches('+').trim_end().to_ascii_lowercase();
    (!key.is_empty() && !key.starts_with('[')).then(|| (key, value.trim().to_owned()))
}

/// A `;` starts a comment unless a backslash stands before it.
fn uncommented(line: &str) -> &str {
    let mut escaped = false;
    for (at, c) in line.char_indices() {
        if c == ';' && !escaped {
            return line.get(..at).unwrap_or("");
        }
        escaped = c == '\\';
    }
    line
}

/// All sections, with what they inherit.
fn sections(text: &str, draft: &mut Draft) -> Vec<Section> {
    let mut all: Vec<Section> = Vec::new();
    let mut templates: HashMap<String, Vec<Pair>> = HashMap::new();
    let (mut in_comment, mut room) = (false, MAX_PAIRS);
    for (i, line) in text.lines().enumerate() {
        let line = line.trim();
        let origin = Origin::new(i + 1, line);
        if in_comment {
            in_comment = !line.contains("--;");
            continue;
        }
        if let Some(rest) = line.strip_prefix(";--").filter(|rest| !rest.starts_with('-')) {
            in_comment = !rest.contains("--;");
            continue;
        }
        if line.starts_with('#') {
            let why = "another file: import it as well";
            draft.left(Part::Trusted, &origin, why);
        } else if line.starts_with('[') {
            remember(&all, &mut templates);
            if all.len() == MAX_SECTIONS {
                let why = format!("more than {MAX_SECTIONS} sections are not read");
                draft.left(Part::Trusted, &origin, &why);
                break;
            }
            match head(line, i + 1, &templates) {
                Ok(section) if section.pairs.len() > room => {
                    let why = "the sections inherit too much: the rest is not read";
                    draft.left(Part::Trusted, &origin, why);
                    break;
                }
                Ok(section) => {
                    room -= section.pairs.len();
                    all.push(section);
                }
                Err(why) => draft.left(Part::Trusted, &origin, &why),
            }
        } else if let Some((key, value)) = pair(line)
            && KEYS.contains(&key.as_str())
            && let Some(section) = all.last_mut().filter(|_| room > 0)
        {
            room -= 1;
            section.pairs.push(Pair { line: i + 1, key, value });
        }
    }
    all
}

/// The section that has just ended may be a template of others.
fn remember(all: &[Section], templates: &mut HashMap<String, Vec<Pair>>) {
    if let Some(last) = all.last() {
        templates.insert(last.name.clone(), last.pairs.clone());
    }
}

fn head(
    line: &str,
    number: usize,
    templates: &HashMap<String, Vec<Pair>>,
) -> Result<Section, String> {
    let line = uncommented(line).trim();
    let (name, rest) = line
        .strip_prefix('[')
        .and_then(|rest| rest.split_once(']'))
        .ok_or("the head of a section ends with `]`")?;
    let options = rest.trim().strip_prefix('(').and_then(|rest| rest.split_once(')'));
    let mut section = Section {
        line: number,
        name: name.trim().to_owned(),
        is_template: false,
        pairs: Vec::new(),
    };
    for option in options.map_or("", |(options, _)| options).split(',').map(str::trim) {
        match option {
            "" => {}
            "!" => section.is_template = true,
            "+" => {
                let mine = templates.get(&section.name).cloned().unwrap_or_default();
                section.pairs.extend(mine);
            }
            template => match templates.get(template) {
                Some(pairs) => section.pairs.extend(pairs.iter().cloned()),
                None => {
                    return Err(format!(
                        "it inherits from [{template}], which is not in this file"
                    ));
                }
            },
        }
        if section.pairs.len() > MAX_PAIRS {
            return Err("it inherits too much".to_owned());
        }
    }
    Ok(section)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_pairs() {
        assert_eq!(pair("host => 192.0.2.1 ; x"), Some(("host".into(), "192.0.2.1".into())));
        assert_eq!(pair("secret=a\\;b"), Some(("secret".into(), "a\\;b".into())));
        assert_eq!(pair("; host=1"), None);
    }
}
