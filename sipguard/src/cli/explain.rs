//! `sipguard explain`

use std::{
    fs::File,
    io::{self, Read},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
};

use clap::ArgGroup;
use ipnet::IpNet;
use serde::Serialize;

use super::{
    exit::{Exit, Failure},
    out::{print, print_json, say},
    target,
};
use crate::{
    api::{
        client::{Client, ClientError},
        wire::{self, Listed, Lists, Origin},
    },
    daemon::config_dir,
    explain::{self, Banned, Entered, Explanation, Known, MAX_MESSAGE, Running, Step, Via},
    policy::{self, Places, Plan, Posture, Target, parse_net},
    replay::MAX_FRAME,
    sanitise::sanitise,
};

/// Say why a packet passes or is dropped, or what holds for a source
///
/// Step by step, with the line of the configuration that decides. It needs no
/// rights; a running sipguard is asked for what was entered by hand.
#[derive(Debug, clap::Args)]
#[command(group = ArgGroup::new("what").required(true).args(["source", "packet", "message"]))]
pub(super) struct Args {
    /// A source: what the lists say of it, and which limits hold for it
    #[arg(value_name = "ADDR", value_parser = source)]
    source: Option<Target>,
    /// A whole Ethernet frame in hexadecimal digits; white space, colons and
    /// hyphens between them are skipped
    #[arg(long, value_name = "HEX", value_parser = hex)]
    packet: Option<Frame>,
    /// A file with one SIP message, or - for stdin
    #[arg(long, value_name = "FILE")]
    message: Option<PathBuf>,
    /// Who sends the message [default: 198.51.100.1:5060, a stranger]
    #[arg(long, value_name = "ADDR[:PORT]", value_parser = source, conflicts_with_all = ["source", "packet"])]
    from: Option<Target>,
    /// The message comes over TCP
    #[arg(long, conflicts_with_all = ["source", "packet"])]
    tcp: bool,
    /// The configuration directory [default: /etc/sipguard if it exists, else
    /// ./config]
    #[arg(long, value_name = "DIR")]
    config: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Who sends a message unless told (RFC 5737).
const STRANGER: Target =
    Target { net: host(IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1))), port: None };

/// Where the server is where sipguard.toml does not say (RFC 5737, RFC 3849).
const SERVER_V4: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 1);
const SERVER_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, 1);

/// The source port unless told.
const PORT: u16 = 5060;

/// Characters of a step, which may quote a packet.
const MAX_STEP: usize = 400;

pub(super) fn run(args: &Args, socket: Option<PathBuf>) -> Result<(), Failure> {
    let dir = config_dir(args.config.as_deref())?;
    let (mut plan, _) =
        policy::load(&dir).map_err(|diagnostics| Failure::configuration(&diagnostics))?;
    let places = Places::new(&dir);
    let client = Client::new(socket.unwrap_or_else(|| plan.socket.clone()));
    let (running, silence) = match ask(&client, &mut plan) {
        Ok(running) => (Some(running), None),
        Err(error) => (None, Some(error)),
    };
    let known = Known { plan: &plan, places: &places, running: running.as_ref() };
    let explanation = match (&args.source, &args.packet, &args.message) {
        (Some(source), ..) => explain::address(known, source.net.addr(), source.port),
        (_, Some(Frame(frame)), _) => explain::packet(known, frame),
        (_, _, Some(file)) => explain::packet(known, &frame(args, file, &plan)?),
        (None, None, None) => Explanation::default(),
    };
    if args.json {
        return print_json(&answer(&plan, &explanation, running.is_some()));
    }
    if let Some(silence) = silence {
        say(&unasked(&silence));
    }
    print(&text(&explanation))
}

fn unasked(error: &ClientError) -> String {
    format!("note: only the files were asked, not what was done at run time: {error}")
}

/// Asks a running filter for what was done at run time; a posture that an
/// operator has chosen becomes the plan's.
fn ask(client: &Client, plan: &mut Plan) -> Result<Running, ClientError> {
    let Lists { blocked, trusted, banned, .. } = client.lists(None)?;
    let wire::Posture { posture, origin, .. } = client.posture()?;
    let chosen = Posture::ALL.into_iter().find(|one| one.name() == posture);
    let chosen = chosen.filter(|_| origin == Origin::Operator);
    if let Some(posture) = chosen {
        plan.posture = posture;
        plan.write_settings();
    }
    // A ban of a single port is not one of its source.
    let ban = |ban: wire::Banned| {
        if ban.port.is_some() {
            return None;
        }
        let net = parse_net(&ban.source).ok()?;
        Some(Banned { net, rule: ban.rule, signature: ban.signature, until: ban.until })
    };
    Ok(Running {
        trusted: entered(trusted),
        blocked: entered(blocked),
        banned: banned.into_iter().flatten().filter_map(ban).collect(),
        chose_posture: chosen.is_some(),
    })
}

/// The entries of operators and feeds.
fn entered(list: Option<Vec<Listed>>) -> Vec<Entered> {
    let entry = |listed: Listed| {
        let target = listed.target.parse().ok().filter(|_| listed.origin != Origin::File)?;
        let feed = listed.name.filter(|_| listed.origin == Origin::Feed);
        Some(Entered { target, reason: listed.reason, feed, until: listed.until })
    };
    list.into_iter().flatten().filter_map(entry).collect()
}

/// The message as a packet to the server.
fn frame(args: &Args, file: &Path, plan: &Plan) -> Result<Vec<u8>, Failure> {
    let failure = |error: &dyn std::fmt::Display| {
        Failure::new(Exit::Failure, format!("{}: {error}", file.display()), None)
    };
    let text = read(file).map_err(|error| failure(&error))?;
    let Target { net, port } = args.from.unwrap_or(STRANGER);
    let from = SocketAddr::new(net.addr(), port.unwrap_or(PORT));
    let to = SocketAddr::new(server(plan, from.ip()), plan.ports.iter().next().unwrap_or(PORT));
    let via = if args.tcp { Via::Tcp } else { Via::Udp };
    explain::message(&text, from, to, via).map_err(|error| failure(&error))
}

/// An address that is protected, of the family of `source`.
fn server(plan: &Plan, source: IpAddr) -> IpAddr {
    let is_same = |net: &&IpNet| net.addr().is_ipv4() == source.is_ipv4();
    match (plan.protected.iter().find(is_same), source) {
        (Some(net), _) => net.addr(),
        (None, IpAddr::V4(_)) => SERVER_V4.into(),
        (None, IpAddr::V6(_)) => SERVER_V6.into(),
    }
}

/// A little more than what fits a packet, which is refused then.
fn read(file: &Path) -> io::Result<Vec<u8>> {
    let most = MAX_MESSAGE as u64 + 1;
    let mut text = Vec::new();
    match file == Path::new("-") {
        true => io::stdin().lock().take(most).read_to_end(&mut text)?,
        false => File::open(file)?.take(most).read_to_end(&mut text)?,
    };
    Ok(text)
}

/// The whole answer as JSON.
#[derive(Serialize)]
struct Answer<'a> {
    source: Option<String>,
    destination: Option<String>,
    /// Whether a running filter was asked for its entries.
    running: bool,
    steps: &'a [Step],
    method: Option<&'static str>,
    signature: Option<&'a str>,
    would: Vec<&'static str>,
    rule: Option<&'static str>,
    verdict: Option<&'static str>,
}

fn answer<'a>(plan: &'a Plan, explanation: &'a Explanation, running: bool) -> Answer<'a> {
    let signature = explanation.signature.and_then(|index| plan.signatures.get(index));
    Answer {
        source: explanation.source.map(|end| end.to_string()),
        destination: explanation.destination.map(|end| end.to_string()),
        running,
        steps: &explanation.steps,
        method: explanation.method.map(sipguard_common::method::Method::name),
        signature: signature.map(|signature| signature.name.as_str()),
        would: explanation.would().map(sipguard_common::rule::Rule::name).collect(),
        rule: explanation.decision.map(|decision| decision.rule.name()),
        verdict: explanation.decision.map(|decision| decision.action.name()),
    }
}

fn text(explanation: &Explanation) -> String {
    let ends = match (explanation.source, explanation.destination) {
        (Some(source), Some(destination)) => Some(format!("from {source} to {destination}")),
        (Some(source), None) => Some(format!("source {source}")),
        (None, _) => None,
    };
    let steps = explanation.steps.iter().map(|step| sanitise(&step.to_string(), MAX_STEP));
    let would: Vec<_> = explanation.would().map(sipguard_common::rule::Rule::name).collect();
    let would = (!would.is_empty()).then(|| format!("would drop: {}", would.join(", ")));
    let verdict = match explanation.decision {
        Some(decision) => {
            let (action, rule) = (decision.action.name(), decision.rule);
            format!("verdict: {action}, rule {}: {}", rule.name(), rule.help())
        }
        None => "verdict: as its packets are, see --packet and --message".to_owned(),
    };
    ends.into_iter().chain(steps).chain(would).chain([verdict]).collect::<Vec<_>>().join("\n")
}

const fn host(address: IpAddr) -> IpNet {
    match address {
        IpAddr::V4(address) => IpNet::V4(ipnet::Ipv4Net::new_assert(address, 32)),
        IpAddr::V6(address) => IpNet::V6(ipnet::Ipv6Net::new_assert(address, 128)),
    }
}

/// Reads an address, with or without a port.
fn source(text: &str) -> Result<Target, String> {
    let target = target::target(text)?;
    match target.is_address() {
        true => Ok(target),
        false => Err("a packet comes from one address, not from a network".to_owned()),
    }
}

/// Bytes of a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Frame(Vec<u8>);

fn hex(text: &str) -> Result<Frame, String> {
    let skipped = |c: &char| c.is_ascii_whitespace() || matches!(c, ':' | '-');
    let mut digits = Vec::with_capacity(text.len());
    for c in text.chars().filter(|c| !skipped(c)) {
        let digit = c.to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        digits.push(digit.ok_or_else(|| {
            sanitise(&format!("`{c}` is no hexadecimal digit: write a frame such as `tcpdump -xx` shows it, without the offsets"), 200)
        })?);
    }
    if digits.is_empty() || digits.len() % 2 != 0 {
        return Err(format!("{} digits are no whole bytes", digits.len()));
    }
    let bytes: Vec<u8> =
        digits.chunks(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit)).collect();
    match bytes.len() > MAX_FRAME {
        true => Err(format!("{} bytes are more than a packet has", bytes.len())),
        false => Ok(Frame(bytes)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_digits_make_bytes() {
        assert_eq!(hex("00:1f FF-a0\n"), Ok(Frame(vec![0, 0x1f, 0xff, 0xa0])));
        for text in ["", "0", "0x00", "zz", "00\u{1b}[1m"] {
            let refused = hex(text).unwrap_err();
            assert!(!refused.contains('\u{1b}'), "{refused}");
        }
        assert!(hex(&"00".repeat(MAX_FRAME + 1)).is_err());
    }

    #[test]
    fn a_source_is_one_address() {
        assert_eq!(source("198.51.100.1"), Ok(STRANGER));
        assert!(source("[2001:db8::1]:5060").is_ok());
        assert!(source("198.51.100.0/24").is_err());
    }
}
