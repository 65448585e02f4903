//! What the files may say, but hardly mean.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use ipnet::IpNet;
use sipguard_common::automaton::{DEAD, Field, NO_ROOT, Table, step};

use super::{
    blocks,
    plan::Peer,
    signature::{Condition, Match},
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

/// What phones, gateways and servers send, by field.
pub(super) const GENUINE: &[(Field, &[&str])] = &[
    (
        Field::UserAgent,
        &[
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
        ],
    ),
    (
        Field::From,
        &[
            "<sip:200@203.0.113.1>;tag=5d1f",
            "\"Reception\" <sip:200@pbx.example.com>;tag=1928301774",
            "\"200\" <sip:200@203.0.113.1:5060>;tag=1570046183",
            "<sip:200@203.0.113.1>;tag=4d3f1bd6-2c5f-4b5c-8a3e-6f5a1c2d3e4f",
            "<sip:200@203.0.113.1;transport=udp>;tag=31373031333233343536",
            "\"A > B\" <sips:200@[2001:db8::1]:5061>;tag=as6f0a2c1b",
            "<sip:200@203.0.113.1>;tag=63623030373130313133633402323933",
            "<sip:200@203.0.113.1>;tag=3fa2c1e07b1d4e6f9a8b7c6d5e4f3a2b",
            "<sip:200@203.0.113.1>;tag=000af4b2c3d4011e5a6b7c8d-31323334",
            "sip:200@203.0.113.1;tag=2043151887",
            "<tel:+441632960000>;tag=gK0c8a1f2e",
            "\"sipvicious-lab\" <sip:sipvicious-lab@203.0.113.1>;tag=rQ1e",
            "\"Anonymous\" <sip:anonymous@anonymous.invalid>;tag=1c14",
            "<sip:1.1.1.1@203.0.113.1>;tag=7",
        ],
    ),
    (
        Field::To,
        &[
            "<sip:100@203.0.113.1>",
            "<sip:smapper@203.0.113.1>",
            "\"1.1.1.1\" <sip:100@203.0.113.1>;tag=as70c00e8d",
            "<tel:+441632960000;phone-context=example.com>",
        ],
    ),
    (
        Field::Contact,
        &[
            "<sip:200@198.51.100.7:5061>",
            "<sip:200@198.51.100.7:5061;transport=udp>;expires=3600",
            "<sip:200@192.168.1.20:5060;line=8a2c1f>;reg-id=1;+sip.instance=\"<urn:uuid:0>\"",
            "sip:200@198.51.100.7",
            "*",
        ],
    ),
    (
        Field::CallId,
        &[
            "b1c4e6@198.51.100.7",
            "1738205516-5060-1@BJC.BGI.B.CAE",
            "0_2891734512@192.168.1.20",
            "3c26700857a87f84@10.0.0.1",
            "a84b4c76e66710@pc33.example.com",
            "314159-271828",
        ],
    ),
    (
        Field::Via,
        &[
            "SIP/2.0/UDP 198.51.100.7:5061;branch=z9hG4bK-77a1;rport",
            "SIP/2.0/UDP 198.51.100.7:5061;rport;branch=z9hG4bKPj8c2d1f6a7b3e4c5d",
            "SIP/2.0/UDP 192.168.1.20:5060;branch=z9hG4bK-d8754z-1a2b3c4d5e6f7a8b-1---d8754z-;rport",
            "SIP/2.0/UDP 198.51.100.7;branch=z9hG4bK57384157",
            "SIP/2.0/TLS 198.51.100.7:5061;branch=z9hG4bK1893482912;alias",
        ],
    ),
    (
        Field::CSeq,
        &["1 REGISTER", "42 INVITE", "102 OPTIONS", "34523450 REGISTER", "3452345678 INVITE"],
    ),
    (Field::Subject, &["Performance review", "Call me"]),
    (
        Field::RequestUri,
        &["sip:203.0.113.1", "sip:100@203.0.113.1;user=phone", "tel:+441632960000"],
    ),
    (Field::StartLine, &["REGISTER sip:203.0.113.1 SIP/2.0", "INVITE sip:nm2@203.0.113.1 SIP/2.0"]),
    (
        Field::Body,
        &[
            "v=0",
            "o=- 4711 1 IN IP4 198.51.100.7",
            "o=- 16264 18300 IN IP4 198.51.100.7",
            "s=call",
            "s=SIP Call",
            "c=IN IP4 198.51.100.7",
            "t=0 0",
            "m=audio 4000 RTP/AVP 8 0 101",
            "a=rtpmap:8 PCMA/8000",
        ],
    ),
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
        // What is joined may be as short or as common as it likes.
        let Some(Condition { field, kind, text }) = signature.only() else { continue };
        let is_never = *field == Field::UserAgent && is_never(text);
        let shortest = match kind {
            Match::Exact | Match::Regex => 0,
            Match::Prefix => SHORT_PREFIX,
            Match::Contains => SHORT_CONTAINS,
        };
        if is_never {
            problems.warning(
                span.clone(),
                format!("`{text}` matches real phones, gateways or servers"),
                "remove it: limits and the OPTIONS rule stop what it was meant for",
            );
        } else if text.chars().count() < shortest {
            problems.warning(
                span.clone(),
                format!("`{text}` is short for `{kind}`: it matches too much"),
                format!("write at least {shortest} characters, or match = \"exact\""),
            );
        }
        if *kind == Match::Regex {
            continue;
        }
        // A value that holds just the text shows who comes first.
        if let Some((winner, _)) = run(table, *field, text)
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
    for (field, values) in GENUINE {
        for value in *values {
            let Some((signature, span)) =
                run(table, *field, value).and_then(|index| entries.get(index)).filter(
                    |(signature, _)| !signature.only().is_some_and(|only| is_never(&only.text)),
                )
            else {
                continue;
            };
            problems.warning(
                span.clone(),
                format!("`{}` matches a genuine {}: `{value}`", signature.name, title(*field)),
                "write a longer text, or match = \"exact\"",
            );
        }
    }
}

fn is_never(text: &str) -> bool {
    NEVER.contains(&text.to_ascii_lowercase().as_str())
}

/// The field as people write it.
const fn title(field: Field) -> &'static str {
    match field {
        Field::UserAgent => "User-Agent",
        Field::From => "From",
        Field::To => "To",
        Field::Contact => "Contact",
        Field::CallId => "Call-ID",
        Field::Via => "Via",
        Field::CSeq => "CSeq",
        Field::Subject => "Subject",
        Field::RequestUri => "Request-URI",
        Field::StartLine => "start line",
        Field::Body => "line of a body",
    }
}

/// The signature that matches a value.
pub(super) fn run(table: &Table, field: Field, value: &str) -> Option<usize> {
    let mut state = table.roots.get(field as usize).copied().filter(|root| *root != NO_ROOT)?;
    let before: &[u8] = match field {
        Field::RequestUri => b"REGISTER ",
        _ if field.is_header() => b":",
        _ => b"",
    };
    for byte in before.iter().copied().chain(value.bytes()).chain(*b"\r") {
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
