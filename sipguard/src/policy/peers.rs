//! trusted.toml: whom the filter never touches.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Range,
};

use ipnet::IpNet;
use toml::de::DeTable;

use super::{
    cps::CpsClass,
    plan::{MAX_TRUSTED, Peer},
    reader::{Reader, Value},
    source::Problems,
    target::Target,
};

pub(super) const FILE: &[&str] = &["peer"];
pub(super) const PEER: &[&str] = &["name", "address", "class"];

const ADDRESS_EXAMPLE: &str = r#"["203.0.113.10", "198.51.100.0/24", "203.0.113.20:5060"]"#;

/// Networks with fewer bits are warned of.
const WIDE_V4: u8 = 8;
const WIDE_V6: u8 = 16;

/// Reads trusted.toml.
pub(super) fn read(table: &DeTable<'_>, problems: &mut Problems<'_>) -> BTreeMap<Target, Peer> {
    let root = Reader::new(table, 0..0, FILE);
    let mut peers = Peers::default();
    for peer in root.sections("peer", PEER, problems) {
        peers.add(peer, problems);
    }
    root.finish(problems);
    peers.trusted
}

#[derive(Default)]
struct Peers<'t> {
    /// Where each name stands.
    names: HashMap<&'t str, Range<usize>>,
    /// Where each target stands.
    places: HashMap<Target, Range<usize>>,
    trusted: BTreeMap<Target, Peer>,
}

impl<'t> Peers<'t> {
    fn add(&mut self, reader: Reader<'t, '_>, problems: &mut Problems<'_>) {
        let name = reader.need("name", r#""carrier""#, problems);
        let name = name.and_then(|value| {
            let name = value.label(r#""carrier""#, problems)?;
            self.claim_name(name, value.span(), problems);
            Some(name)
        });
        let class = reader
            .get("class")
            .and_then(|value| value.choice(&CpsClass::ALL, CpsClass::name, problems));
        if let Some(value) = reader.need("address", ADDRESS_EXAMPLE, problems) {
            let items = value.one_or_more();
            if items.is_empty() {
                problems.error(
                    value.span(),
                    "this peer has no address",
                    format!("write for example address = {ADDRESS_EXAMPLE}"),
                );
            }
            for item in items {
                let name = name.unwrap_or("a peer without a name").to_owned();
                self.add_target(Peer { name, class }, item, problems);
            }
        }
        reader.finish(problems);
    }

    fn claim_name(&mut self, name: &'t str, span: Range<usize>, problems: &mut Problems<'_>) {
        match self.names.get(name) {
            Some(earlier) => {
                let line = problems.line(earlier.start);
                problems.error(
                    span,
                    format!("another peer is called `{name}`, in line {line}"),
                    "give each peer a name of its own, or one peer a list of addresses",
                );
            }
            None => {
                self.names.insert(name, span);
            }
        }
    }

    fn add_target(&mut self, peer: Peer, item: Value<'_, '_>, problems: &mut Problems<'_>) {
        let Some(text) = item.text(ADDRESS_EXAMPLE, problems) else { return };
        let target = match text.parse::<Target>() {
            Ok(target) => target,
            Err(error) => {
                problems.error(item.span(), &error, error.remedy());
                return;
            }
        };
        if let Some(earlier) = self.places.get(&target) {
            let line = problems.line(earlier.start);
            let owner = self.trusted.get(&target).map_or("", |peer| &peer.name);
            problems.error(
                item.span(),
                format!("`{target}` is trusted already, as `{owner}` in line {line}"),
                "remove one of the two",
            );
            return;
        }
        lint(target, item.span(), problems);
        self.places.insert(target, item.span());
        self.trusted.insert(target, peer);
        if self.trusted.len() == MAX_TRUSTED + 1 {
            problems.error(
                item.span(),
                format!("more than {MAX_TRUSTED} trusted addresses and networks"),
                "join neighbouring addresses to networks",
            );
        }
    }
}

/// Warns of trust that is wider than any one peer.
fn lint(target: Target, span: Range<usize>, problems: &mut Problems<'_>) {
    let wide = match target.net {
        IpNet::V4(_) => WIDE_V4,
        IpNet::V6(_) => WIDE_V6,
    };
    let bits = target.net.prefix_len();
    if bits == 0 {
        problems.warning(
            span,
            format!("`{target}` trusts every IPv4 address: nothing is filtered"),
            "list the addresses of your peers; to switch the filter off, use posture = \"open\"",
        );
    } else if bits < wide {
        problems.warning(
            span,
            format!("`{target}` trusts a very large network"),
            format!("list the networks of your peers; /{wide} and longer are not warned of"),
        );
    }
}
