//! What the files may say, but hardly mean.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use ipnet::IpNet;
use sipguard_common::automaton::{DEAD, Field, NO_ROOT, Table, step};

use super::{
    blocks,
    plan::Peer,
    signature::Match,
    signatures,
    source::Problems,
    target::{Target, net_text},
};

/// Shorter texts match too much.
const SHORT_CONTAINS: usize = 6;
const SHORT_PREFIX: usize = 4;

/// Words that each have cut off real phones or gateways somewhere.
const NEVER: &[&str] = &[
    "friendly",
    "scanner",
    "x",
    "system",
    "bot",
    "cisco-sipgateway",
    "fpbx",
    "asterisk pbx",
    "linksys",
    "zoiper",
];

/// What phones, gateways and servers call themselves.
pub(super) const GENUINE: &[&str] = &[
    "3CXPhoneSystem",
    "Asterisk PBX",
    "Asterisk PBX 18.10.0",
    "OpenSIPS (3.4.2 (x86_64/linux))",
    "FPBX-2.8.1(1.8.20.0)",
    "Grandstream GXP2140 1.0.9.14",
    "Z 5.5.5 rv2.10.16.6",
    "Zoiper rv2.10.3.2",
    "X-Lite release 1103k stamp 53621",
    "eyeBeam release 1011d stamp 40820",
    "PolycomVVX-VVX_411-UA/5.9.0.9373",
    "FreeSWITCH-mod_sofia/1.10.7-release",
    "MicroSIP/3.21.3",
    "Telephone/1.6",
    "VoIP My ID Mediaserver",
    "Cisco-SIPGateway/IOS-12.x",
    "Linksys/SPA942-6.1.5(a)",
    "Yealink SIP-T46S 66.85.0.5",
    "snomD785/10.1.64.14",
    "kamailio (5.5.4 (x86_64/linux))",
];

/// Warns of blocks that block nothing, or everything.
pub(super) fn blocks(
    entries: &[blocks::Placed],
    trusted: &BTreeMap<Target, Peer>,
    problems: &mut Problems<'_>,
) {
    let whole: HashMap<IpNet, &Peer> = trusted
        .iter()
        .filter(|(target, _)| target.port.is_none())
        .map(|(target, peer)| (target.net, peer))
        .collect();
    // Trusted networks have few different lengths, so that a million blocks
    // need few lookups each.
    let lengths: BTreeSet<(bool, u8)> =
        whole.keys().map(|net| (is_v4(net), net.prefix_len())).collect();
    for (net, span, _) in entries {
        if net.prefix_len() == 0 {
            problems.warning(
                span.clone(),
                format!("`{net}` blocks every IPv4 address that is not trusted"),
                "use posture = \"closed\" to admit trusted sources only",
            );
        }
        let covering = lengths
            .iter()
            .filter(|(v4, length)| *v4 == is_v4(net) && *length <= net.prefix_len())
            .filter_map(|(_, length)| IpNet::new(net.addr(), *length).ok())
            .map(|wide| wide.trunc())
            .find_map(|wide| whole.get(&wide));
        if let Some(peer) = covering {
            problems.warning(
                span.clone(),
                format!("`{}` is trusted as `{}`: trust wins", net_text(*net), peer.name),
                "remove the block, or narrow the trust in trusted.toml",
            );
        }
    }
}

fn is_v4(net: &IpNet) -> bool {
    matches!(net, IpNet::V4(_))
}

/// Warns of signatures that match too much, or never. `table` is compiled from
/// them.
pub(super) fn signatures(
    entries: &[signatures::Placed],
    table: &Table,
    problems: &mut Problems<'_>,
) {
    for (signature, span) in entries {
        let text = signature.text.to_ascii_lowercase();
        let shortest = match signature.kind {
            Match::Exact => 0,
            Match::Prefix => SHORT_PREFIX,
            Match::Contains => SHORT_CONTAINS,
        };
        if NEVER.contains(&text.as_str()) {
            problems.warning(
                span.clone(),
                format!("`{}` matches real phones, gateways or servers", signature.text),
                "remove it: limits and the OPTIONS rule stop what it was meant for",
            );
        } else if text.chars().count() < shortest {
            problems.warning(
                span.clone(),
                format!(
                    "`{}` is short for `{}`: it matches too much",
                    signature.text, signature.kind
                ),
                format!("write at least {shortest} characters, or match = \"exact\""),
            );
        }
        // A value that holds just the text shows who comes first.
        if let Some((winner, _)) = run(table, signature.field, &signature.text)
            .and_then(|winner| entries.get(winner))
            .filter(|(winner, _)| winner.name != signature.name)
        {
            problems.warning(
                span.clone(),
                format!("this signature never matches: `{}` matches before it", winner.name),
                "remove one of the two",
            );
        }
    }
    for value in GENUINE {
        let Some((signature, span)) =
            run(table, Field::UserAgent, value).and_then(|index| entries.get(index)).filter(
                |(signature, _)| !NEVER.contains(&signature.text.to_ascii_lowercase().as_str()),
            )
        else {
            continue;
        };
        problems.warning(
            span.clone(),
            format!("`{}` matches a genuine User-Agent: `{value}`", signature.name),
            "write a longer text, or match = \"exact\"",
        );
    }
}

/// The signature that matches a value.
pub(super) fn run(table: &Table, field: Field, value: &str) -> Option<usize> {
    let mut state = table.roots.get(field as usize).copied().filter(|root| *root != NO_ROOT)?;
    for byte in std::iter::once(b':').chain(value.bytes()).chain(*b"\r") {
        // SAFETY: a reference points to a whole table.
        state = unsafe { step(table, table.shift, state, byte) };
        if state >= table.accept_from {
            return Some((state - table.accept_from) as usize);
        }
        if state == u32::from(DEAD) {
            return None;
        }
    }
    None
}
