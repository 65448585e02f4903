//! FreeSWITCH: the lists of acl.conf.xml.

use ipnet::IpNet;
use roxmltree::{Document, Node, ParsingOptions};

use super::{
    Aim, ImportError, Options,
    address::{self, Nets},
    draft::{Draft, Origin, Part},
    firewall::Use,
    lists::{Listed, Member, emit},
};

/// Elements of a file; a real one has hundreds.
const MAX_NODES: u32 = 1_000_000;

/// Words in the names of lists of SIP peers.
const ABOUT_SIP: [&str; 10] =
    ["sip", "gateway", "gw", "trunk", "carrier", "provider", "peer", "domains", "inbound", "proxy"];

/// Whether a text looks like it.
pub(super) fn is_it(text: &str) -> bool {
    text.trim_start().starts_with('<')
}

/// Reads it.
pub(super) fn read(text: &str, options: &Options, draft: &mut Draft) -> Result<(), ImportError> {
    let settings =
        ParsingOptions { allow_dtd: false, nodes_limit: MAX_NODES, ..Default::default() };
    let document = Document::parse_with_options(text, settings).map_err(|error| {
        let line = usize::try_from(error.pos().row).unwrap_or(0);
        let what = format!("this is not XML: {error}");
        ImportError::damaged(line, &what, "import acl.conf.xml itself")
    })?;
    let lines: Vec<&str> = text.lines().collect();
    let starts: Vec<usize> = std::iter::once(0)
        .chain(text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1))
        .collect();
    let origin = |node: Node<'_, '_>| {
        let line = starts.partition_point(|start| *start <= node.range().start);
        Origin::new(line, lines.get(line.saturating_sub(1)).copied().unwrap_or(""))
    };
    let lists = document.descendants().filter(|node| node.has_tag_name("list"));
    for list in lists {
        read_list(list, &origin, options, draft);
    }
    Ok(())
}

fn read_list(
    list: Node<'_, '_>,
    origin: &dyn Fn(Node<'_, '_>) -> Origin,
    options: &Options,
    draft: &mut Draft,
) {
    let name = list.attribute("name").unwrap_or("");
    let allows = list.attribute("default").is_some_and(is_allow);
    let chosen = !options.lists.is_empty();
    let lower = name.to_ascii_lowercase();
    let is_about_sip = chosen || ABOUT_SIP.iter().any(|word| lower.contains(word));
    let nodes: Vec<Node<'_, '_>> =
        list.children().filter(|node| node.has_tag_name("node")).collect();
    // The longest network decides, so what is denied within what is allowed
    // would be lost.
    let mut denied = Nets::default();
    for node in nodes.iter().filter(|node| !is_allowed(**node)) {
        for net in nets(*node).unwrap_or_default() {
            denied.add(net, origin(*node).line);
        }
    }
    for node in nodes {
        let allowed = is_allowed(node);
        let nets = nets(node);
        let inner = nets.iter().flatten().find_map(|net| denied.within(*net));
        let doubt = if !is_about_sip {
            Some(format!(
                "the list `{name}` may be for something else than SIP gateways: choose it by \
                 --list if it is for them"
            ))
        } else if node.has_attribute("ports") || node.has_attribute("protocol") {
            Some(
                "it holds for some ports or one protocol only, an entry of sipguard for all"
                    .to_owned(),
            )
        } else if allowed && let Some((net, line)) = inner {
            Some(format!("line {line} denies {net} within it: trust would win over that"))
        } else {
            None
        };
        let at = origin(node);
        if options.into.is_none() {
            // What a list does anyway says nothing.
            if allowed && allows {
                draft.left(Part::Trusted, &at, "the list allows everybody: no trust");
                continue;
            }
            if !allowed && !allows {
                draft.left(Part::Blacklist, &at, "the list denies everybody: no block");
                continue;
            }
        }
        let port = node.attribute("port").and_then(|port| port.parse().ok());
        let member = Member { origin: at.clone(), nets, until: None, port, doubt };
        let label = format!("freeswitch {name}");
        let listed = Listed { origin: at, name: name.to_owned(), label, members: vec![member] };
        let what = match options.into {
            Some(Aim::Trusted) => Use::Trust,
            Some(Aim::Blacklist) => Use::Block,
            None if allowed => Use::Trust,
            None => Use::Block,
        };
        emit(listed, what, options, draft);
    }
}

fn is_allowed(node: Node<'_, '_>) -> bool {
    node.attribute("type").is_some_and(is_allow)
}

fn is_allow(word: &str) -> bool {
    matches!(word.trim().to_ascii_lowercase().as_str(), "allow" | "true" | "yes" | "1")
}

/// `cidr`, or `host` with `mask`.
fn nets(node: Node<'_, '_>) -> Result<Vec<IpNet>, String> {
    if let Some(domain) = node.attribute("domain") {
        return Err(format!(
            "it allows the users of the domain {domain}, not an address: sipguard knows them once \
             the server has accepted them"
        ));
    }
    let text = match (node.attribute("cidr"), node.attribute("host"), node.attribute("mask")) {
        (Some(cidr), ..) => cidr.to_owned(),
        (None, Some(host), Some(mask)) => format!("{host}/{mask}"),
        (None, Some(host), None) => host.to_owned(),
        (None, None, _) => return Err("it has neither cidr nor host".to_owned()),
    };
    if text.contains("$$") || text.contains("${") {
        return Err("its address is a variable of FreeSWITCH".to_owned());
    }
    // Several, since 1.10.
    let mut all = Vec::new();
    for one in text.split(',') {
        all.extend(address::nets(one)?);
    }
    Ok(all)
}
