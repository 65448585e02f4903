//! sipguard.toml: how the filter works.

use std::{collections::BTreeSet, ops::Range};

use sipguard_common::{abi::KEEPALIVES, method::Method};
use toml::de::{DeTable, DeValue};

use super::{
    choices::{FailMode, Fragments, Mode, OptionsRule, Posture, Stealth},
    modes::RuleMode,
    plan::{Plan, Ports},
    reader::{Reader, Value},
    source::Problems,
    target::parse_net,
};

pub(super) mod alerts;
pub(super) mod auth;
pub(super) mod crowdsec;
pub(super) mod events;
pub(super) mod feeds;
pub(super) mod limits;
pub(super) mod mirror;
pub(super) mod rules;
pub(super) mod values;
pub(super) mod web;

pub(crate) use alerts::unsafe_program;

/// Protected destinations at most.
pub const MAX_PROTECTED: usize = 4096;

/// Sections of sipguard.toml.
pub(super) const SECTIONS: &[&str] = &[
    "interfaces",
    "sip",
    "policy",
    "auth",
    "limits",
    "rules",
    "events",
    "control",
    "state",
    "web",
    "mirror",
    "alerts",
    "feeds",
    "crowdsec",
];
pub(super) const INTERFACES: &[&str] = &["names", "mode"];
pub(super) const SIP: &[&str] = &["ports", "tls_ports", "addresses", "keepalives"];
pub(super) const POLICY: &[&str] =
    &["posture", "options", "stealth", "fragments", "mode", "fail_mode"];
pub(super) const CONTROL: &[&str] = &["socket"];
pub(super) const STATE: &[&str] = &["directory"];

/// More protected ports than this are no SIP server's.
const MANY_PORTS: usize = 100;

/// An office of ten phones behind one address, all switched on at once, sends
/// this many REGISTERs: one without and one with credentials each.
const SMALL_OFFICE: u64 = 20;

/// Bytes of an interface's name (IFNAMSIZ less the zero byte).
const MAX_INTERFACE: usize = 15;

/// Bytes of a unix socket's path (sun_path less the zero byte).
const MAX_SOCKET: usize = 107;

/// Reads sipguard.toml into `plan`, which holds the defaults.
pub(super) fn read(table: &DeTable<'_>, plan: &mut Plan, problems: &mut Problems<'_>) {
    let root = Reader::new(table, 0..0, SECTIONS);
    if let Some(section) = root.section("interfaces", INTERFACES, problems) {
        interfaces(section, plan, problems);
    }
    if let Some(section) = root.section("sip", SIP, problems) {
        sip(section, plan, problems);
    }
    if let Some(section) = root.section("policy", POLICY, problems) {
        policy(section, plan, problems);
    }
    if let Some(section) = root.section("auth", auth::AUTH, problems) {
        auth::auth(section, plan, problems);
    }
    if let Some(section) = root.section("limits", limits::LIMITS, problems) {
        limits::limits(section, plan, problems);
    }
    if let Some(section) = root.section("rules", rules::RULES, problems) {
        rules::rules(section, plan, problems);
    }
    if let Some(section) = root.section("events", events::EVENTS, problems) {
        events::events(section, plan, problems);
    }
    if let Some(section) = root.section("control", CONTROL, problems) {
        control(section, plan, problems);
    }
    if let Some(section) = root.section("state", STATE, problems) {
        state(section, plan, problems);
    }
    if let Some(section) = root.section("web", web::WEB, problems) {
        web::web(section, plan, problems);
    }
    if let Some(section) = root.section("mirror", mirror::MIRROR, problems) {
        mirror::mirror(section, plan, problems);
    }
    if let Some(section) = root.section("alerts", alerts::ALERTS, problems) {
        alerts::alerts(section, plan, problems);
    }
    if let Some(section) = root.section("feeds", feeds::FEEDS, problems) {
        feeds::feeds(section, plan, problems);
    }
    if let Some(section) = root.section("crowdsec", crowdsec::CROWDSEC, problems) {
        crowdsec::crowdsec(section, plan, problems);
    }
    root.finish(problems);
}

fn interfaces(section: Reader<'_, '_>, plan: &mut Plan, problems: &mut Problems<'_>) {
    let names = section.get("names").and_then(|value| value.list(r#"["eth0"]"#, problems));
    for value in names.into_iter().flatten() {
        let Some(name) = value.text(r#"["eth0"]"#, problems) else { continue };
        if let Some(wrong) = wrong_interface(name) {
            problems.error(
                value.span(),
                format!("`{name}` cannot be an interface: {wrong}"),
                "`ip link` shows the names",
            );
        } else if plan.interfaces.iter().any(|other| other == name) {
            twice(value.span(), name, problems);
        } else {
            plan.interfaces.push(name.to_owned());
        }
    }
    let mode = section.get("mode");
    if let Some(mode) = mode.and_then(|value| value.choice(&Mode::ALL, Mode::name, problems)) {
        plan.mode = mode;
    }
    section.finish(problems);
}

fn wrong_interface(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        Some("it is empty")
    } else if name.len() > MAX_INTERFACE {
        Some("it is longer than 15 bytes")
    } else if name == "." || name == ".." || name.contains(['/', ':']) {
        Some("it would be a path")
    } else if name.contains(|c: char| c.is_whitespace() || c.is_control()) {
        Some("it holds white space or control characters")
    } else {
        None
    }
}

fn twice(span: Range<usize>, what: &str, problems: &mut Problems<'_>) {
    problems.error(span, format!("`{what}` stands here twice"), "remove one of the two");
}

fn sip(section: Reader<'_, '_>, plan: &mut Plan, problems: &mut Problems<'_>) {
    if let Some(value) = section.get("ports")
        && let Some(ports) = port_set(value, problems)
    {
        set_ports(ports, value, plan, problems);
    }
    if let Some(ports) = section.get("tls_ports").and_then(|value| port_set(value, problems)) {
        plan.tls_ports = ports.into_iter().collect::<Ports>();
    }
    let addresses = section.get("addresses");
    let addresses = addresses.and_then(|value| value.list(r#"["203.0.113.1"]"#, problems));
    for value in addresses.into_iter().flatten() {
        let Some(text) = value.text(r#"["203.0.113.1"]"#, problems) else { continue };
        match parse_net(text) {
            Err(error) => problems.error(value.span(), &error, error.remedy()),
            Ok(net) if !plan.protected.insert(net) => twice(value.span(), text, problems),
            Ok(_) if plan.protected.len() == MAX_PROTECTED + 1 => problems.error(
                value.span(),
                format!("more than {MAX_PROTECTED} protected addresses"),
                "join neighbouring addresses to networks, or protect every address: addresses = []",
            ),
            Ok(_) => {}
        }
    }
    if let Some(value) = section.get("keepalives") {
        keepalives(value, plan, problems);
    }
    section.finish(problems);
}

const PORTS_EXAMPLE: &str = r#"[5060, "5070-5080"]"#;

/// Ports and ranges of ports; `None` where one is wrong.
fn port_set(value: Value<'_, '_>, problems: &mut Problems<'_>) -> Option<BTreeSet<u16>> {
    let items = value.list(PORTS_EXAMPLE, problems)?;
    let mut ports = BTreeSet::new();
    let mut complete = true;
    for item in items {
        match item.raw() {
            DeValue::String(text) => match port_range(text) {
                Some(range) => ports.extend(range),
                None => {
                    complete = false;
                    problems.error(
                        item.span(),
                        format!("`{text}` is not a range of ports"),
                        "write the lower and the higher port, 1 to 65535: \"5060-5080\"",
                    );
                }
            },
            _ => match item.number(1..=65_535, problems).map(u16::try_from) {
                Some(Ok(port)) => {
                    ports.insert(port);
                }
                _ => complete = false,
            },
        }
    }
    complete.then_some(ports)
}

fn set_ports(
    ports: BTreeSet<u16>,
    value: Value<'_, '_>,
    plan: &mut Plan,
    problems: &mut Problems<'_>,
) {
    if ports.is_empty() {
        problems.error(value.span(), "no port is protected", "write ports = [5060]");
        return;
    }
    if ports.len() > MANY_PORTS {
        problems.warning(
            value.span(),
            format!("{} ports are protected: packets to all of them count as SIP", ports.len()),
            "list only the ports of the SIP server; RTP on a protected port is limited like SIP",
        );
    }
    plan.ports = ports.into_iter().collect::<Ports>();
}

/// `5060-5080`.
fn port_range(text: &str) -> Option<std::ops::RangeInclusive<u16>> {
    let (low, high) = text.split_once('-')?;
    let port = |text: &str| {
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<u16>().ok().filter(|port| digits && *port != 0)
    };
    let (low, high) = (port(low.trim())?, port(high.trim())?);
    (low <= high).then_some(low..=high)
}

fn keepalives(value: Value<'_, '_>, plan: &mut Plan, problems: &mut Problems<'_>) {
    let Some(items) = value.list(r#"["HELLO"]"#, problems) else { return };
    if items.len() > KEEPALIVES {
        problems.error(
            value.span(),
            format!("{} keepalives, {KEEPALIVES} fit", items.len()),
            "payloads under 12 bytes, STUN and CR, LF and NUL need no entry",
        );
    }
    for item in items {
        let Some(text) = item.text(r#"["HELLO"]"#, problems) else { continue };
        if !(4..=16).contains(&text.len()) {
            problems.error(
                item.span(),
                format!("a keepalive has 4 to 16 bytes, this one {}", text.len()),
                "write the first bytes of its payload",
            );
        } else if let Some(message) = could_start(text) {
            problems.error(
                item.span(),
                format!("payloads with this start could be SIP: `{message}...`"),
                "scanners could use it to pass unread: write more bytes, or leave it out",
            );
        } else if plan.keepalives.iter().any(|other| other == text.as_bytes()) {
            twice(item.span(), text, problems);
        } else {
            plan.keepalives.push(text.as_bytes().to_vec());
        }
    }
}

/// The SIP message that a payload with this start could be.
fn could_start(text: &str) -> Option<String> {
    // Line ends before a message are ignored by servers.
    let text = text.trim_start_matches(['\r', '\n']).to_ascii_uppercase();
    Method::ALL
        .into_iter()
        .filter(|method| *method != Method::Unknown)
        .map(|method| format!("{} ", method.name()))
        .chain(["SIP/2.0 ".to_owned()])
        .find(|start| text.starts_with(start.as_str()) || start.starts_with(text.as_str()))
}

fn policy(section: Reader<'_, '_>, plan: &mut Plan, problems: &mut Problems<'_>) {
    let posture = section.get("posture");
    let posture = posture.and_then(|value| value.choice(&Posture::ALL, Posture::name, problems));
    if let Some(posture) = posture {
        plan.posture = posture;
    }
    let options = section.get("options");
    let options =
        options.and_then(|value| value.choice(&OptionsRule::ALL, OptionsRule::name, problems));
    if let Some(options) = options {
        plan.options = options;
    }
    if let Some(value) = section.get("stealth")
        && let Some(stealth) = value.choice(&Stealth::ALL, Stealth::name, problems)
    {
        plan.stealth = stealth;
        if stealth == Stealth::None {
            problems.warning(
                value.span(),
                "no new phone can register: the challenge to its first request is dropped, too",
                "write \"challenges\", unless every phone is in trusted.toml",
            );
        }
    }
    let fragments = section.get("fragments");
    let fragments =
        fragments.and_then(|value| value.choice(&Fragments::ALL, Fragments::name, problems));
    if let Some(fragments) = fragments {
        plan.fragments = fragments;
    }
    let mode = section.get("mode");
    if let Some(mode) =
        mode.and_then(|value| value.choice(&RuleMode::ALL, RuleMode::name, problems))
    {
        plan.modes.all = mode;
    }
    let fail_mode = section.get("fail_mode");
    if let Some(fail_mode) =
        fail_mode.and_then(|value| value.choice(&FailMode::ALL, FailMode::name, problems))
    {
        plan.fail_mode = fail_mode;
    }
    section.finish_without(&[("ban", "auth")], problems);
}

fn control(section: Reader<'_, '_>, plan: &mut Plan, problems: &mut Problems<'_>) {
    let example = r#""/run/sipguard/control.sock""#;
    let value = section.get("socket");
    if let Some((value, path)) =
        value.and_then(|value| Some((value, value.text(example, problems)?)))
    {
        let wrong = if !path.starts_with('/') {
            Some("is not absolute")
        } else if path.len() > MAX_SOCKET {
            Some("is longer than 107 bytes")
        } else if path.contains(char::is_control) {
            Some("holds control characters")
        } else if path.ends_with('/') {
            Some("names a directory")
        } else {
            None
        };
        match wrong {
            None => plan.socket = path.into(),
            Some(wrong) => problems.error(
                value.span(),
                format!("the path of the socket {wrong}"),
                format!("write for example socket = {example}"),
            ),
        }
    }
    section.finish(problems);
}

fn state(section: Reader<'_, '_>, plan: &mut Plan, problems: &mut Problems<'_>) {
    let example = r#""/var/lib/sipguard""#;
    let value = section.get("directory");
    if let Some((value, path)) =
        value.and_then(|value| Some((value, value.text(example, problems)?)))
    {
        let wrong = if !path.starts_with('/') {
            Some("is not absolute")
        } else if path.contains(char::is_control) {
            Some("holds control characters")
        } else {
            None
        };
        match wrong {
            None => plan.state = path.into(),
            Some(wrong) => problems.error(
                value.span(),
                format!("the state directory {wrong}"),
                format!("write for example directory = {example}"),
            ),
        }
    }
    section.finish(problems);
}
