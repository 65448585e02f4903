//! What the generator sends.

use std::net::Ipv4Addr;

use crate::{
    packet::Packet,
    rig::lab::SERVER,
    sip::{self, Message},
};

/// Sources are this far apart, as a power of two: each stands for a network of
/// up to 16 addresses.
pub const APART: u32 = 4;
/// The first stranger.
pub const STRANGERS: Ipv4Addr = Ipv4Addr::new(100, 64, 0, 0);
/// The first blocked network.
pub const BLOCKED: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 0);
/// A trusted peer, in the first trusted prefix.
pub const PEER: Ipv4Addr = Ipv4Addr::new(172, 16, 0, 10);
/// "100k sources".
pub const MANY: u32 = 100_000;

/// What the scanners of the mixes call themselves: each matches a signature, and
/// one of the five patterns of the iptables script.
pub const AGENTS: [&str; 5] =
    ["friendly-scanner", "sipvicious", "VaxSIPUserAgent/3.1", "sipcli/v1.8", "SIPScan"];
/// What a phone calls itself.
pub const PHONE: &str = "Yealink SIP-T46S 66.85.0.5";

/// Of so many packets, one is a trusted peer's in [`Mix::Hidden`].
pub const HIDDEN_IN: u64 = 256;

/// Its place among them.
const HIDDEN_AT: usize = 100;

/// How many of the first `sent` packets of [`Mix::Hidden`] are the trusted
/// peer's.
#[must_use]
pub const fn hidden_among(sent: u64) -> u64 {
    (sent + HIDDEN_IN - 1 - HIDDEN_AT as u64) / HIDDEN_IN
}

/// How many of the first `sent` packets of [`Mix::Quarters`] are the trusted
/// peer's: the first of each four.
#[must_use]
pub const fn trusted_among(sent: u64) -> u64 {
    sent.div_ceil(4)
}

/// One kind of traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mix {
    /// OPTIONS of a scanner, of one stranger or of many.
    Options(u32),
    /// REGISTER with a scanner's User-Agent, of one stranger.
    Scanner,
    /// REGISTER with a phone's User-Agent.
    Register(u32),
    /// REGISTER of blocked sources: one of each of so many networks.
    Blocked(u32),
    /// Scanners of both kinds from 10,000 sources.
    Scanners,
    /// The same, and a trusted peer's OPTIONS
    /// as one packet of [`HIDDEN_IN`].
    Hidden,
    /// A quarter each: a trusted peer, a blocked source, OPTIONS of strangers,
    /// REGISTER with a scanner's User-Agent.
    Quarters,
}

/// A frame to send.
#[derive(Clone, Debug)]
pub struct Template {
    pub frame: Vec<u8>,
    /// Whether the source stays as it is.
    pub fixed: bool,
}

/// Sources that take each other's place at random.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sources {
    pub first: Ipv4Addr,
    pub count: u32,
}

impl Sources {
    /// Every one of them.
    pub fn iter(self) -> impl Iterator<Item = Ipv4Addr> {
        (0..self.count).map(move |number| source(self.first, number))
    }
}

/// Neighbours in number lie far apart, as sources of the internet do. Odd, so
/// that each number has a place of its own.
pub const SPREAD: u32 = 0x9e37_79b1;

/// Places of sources from `first` on, less one: those of 10.0.0.0/8, and those
/// of 100.64.0.0/10.
#[must_use]
pub fn last_place(first: Ipv4Addr) -> u32 {
    let bits = if first == BLOCKED { 24 } else { 22 };
    (1 << (bits - APART)) - 1
}

/// The source of this number.
#[must_use]
pub fn source(first: Ipv4Addr, number: u32) -> Ipv4Addr {
    let place = number.wrapping_mul(SPREAD) & last_place(first);
    Ipv4Addr::from_bits(first.to_bits() + (place << APART))
}

impl Mix {
    /// As a person calls it.
    #[must_use]
    pub fn name(self) -> String {
        let of = |what: &str, count: u32| match count {
            1 => format!("{what}, 1 source"),
            MANY => format!("{what}, 100k sources"),
            count => format!("{what}, {count} sources"),
        };
        match self {
            Self::Options(count) => of("OPTIONS", count),
            Self::Scanner => "scanner-UA REGISTER".to_owned(),
            Self::Register(count) => of("plain REGISTER", count),
            Self::Blocked(count) => of("blocked", count),
            Self::Scanners => "mixed scanners".to_owned(),
            Self::Hidden => "mixed scanners with a trusted peer".to_owned(),
            Self::Quarters => "trusted, blocked, OPTIONS and scanners".to_owned(),
        }
    }

    /// The sources, where there is more than one.
    #[must_use]
    pub fn sources(self) -> Option<Sources> {
        let (first, count) = match self {
            Self::Options(count) | Self::Register(count) => (STRANGERS, count),
            Self::Blocked(count) => (BLOCKED, count),
            Self::Scanners | Self::Hidden => (STRANGERS, 10_000),
            Self::Scanner | Self::Quarters => return None,
        };
        (count > 1).then_some(Sources { first, count })
    }

    /// The frames that are sent in turns.
    #[must_use]
    pub fn templates(self) -> Vec<Template> {
        let strange = |payload: &[u8]| Template { frame: from(STRANGERS, payload), fixed: false };
        match self {
            // Of one source it is one message again and again, as svmap sends it.
            Self::Options(1) => vec![strange(&options(AGENTS[0], 0))],
            Self::Options(_) => (0..64).map(|i| strange(&options(AGENTS[0], i))).collect(),
            Self::Scanner => (0..60).map(|i| strange(&register(agent(i), i))).collect(),
            Self::Register(_) => (0..64).map(|i| strange(&register(PHONE, i))).collect(),
            Self::Blocked(_) => (0..64)
                .map(|i| Template { frame: from(BLOCKED, &register(PHONE, i)), fixed: false })
                .collect(),
            Self::Scanners | Self::Hidden => (0..HIDDEN_IN as usize)
                .map(|i| match i {
                    HIDDEN_AT if self == Self::Hidden => trusted(i),
                    _ if i % 2 == 0 => strange(&options(AGENTS[0], i)),
                    _ => strange(&register(agent(i), i)),
                })
                .collect(),
            Self::Quarters => (0..64)
                .map(|i| match i % 4 {
                    0 => trusted(i),
                    1 => Template { frame: from(BLOCKED, &register(PHONE, i)), fixed: true },
                    2 => strange(&options(PHONE, i)),
                    _ => strange(&register(agent(i / 4), i)),
                })
                .collect(),
        }
    }
}

fn agent(number: usize) -> &'static str {
    AGENTS[number % AGENTS.len()]
}

fn trusted(number: usize) -> Template {
    Template { frame: from(PEER, &options(PHONE, number)), fixed: true }
}

/// A frame to the SIP port, without UDP checksum: the generator changes the
/// source.
#[must_use]
pub fn from(source: Ipv4Addr, payload: &[u8]) -> Vec<u8> {
    Packet::udp(&format!("{source}:5062"), &format!("{SERVER}:5060"))
        .no_checksum()
        .payload(payload)
        .build()
}

fn options(agent: &str, number: usize) -> Vec<u8> {
    Message::request("OPTIONS", &format!("sip:100@{SERVER}"))
        .replace("Call-ID", &format!("{number:020}"))
        .header("Contact", "<sip:100@198.51.100.7:5060>")
        .header("Accept", "application/sdp")
        .agent(agent)
        .build()
}

fn register(agent: &str, number: usize) -> Vec<u8> {
    let extension = 100 + number;
    Message::request("REGISTER", &format!("sip:{SERVER}"))
        .replace("To", &format!("<sip:{extension}@{SERVER}>"))
        .replace("Call-ID", &format!("{number:020}"))
        .header("Contact", &format!("<sip:{extension}@198.51.100.7:5060>"))
        .header("Expires", "3600")
        .agent(agent)
        .build()
}

/// INVITE of a phone.
#[must_use]
pub fn invite() -> Vec<u8> {
    Message::request("INVITE", &format!("sip:100@{SERVER}"))
        .agent(PHONE)
        .body("application/sdp", sip::sdp())
        .build()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The counts are those of the frames.
    #[test]
    fn trusted_packets_are_counted() {
        let among = |mix: Mix, sent: u64| {
            let templates = mix.templates();
            (0..sent as usize).filter(|i| templates[i % templates.len()].frame[26] == 172).count()
        };
        for sent in [0, 1, 2, 4, 5, 100, 101, 256, 1_000] {
            assert_eq!(among(Mix::Hidden, sent) as u64, hidden_among(sent), "{sent}");
            assert_eq!(among(Mix::Quarters, sent) as u64, trusted_among(sent), "{sent}");
            assert_eq!(among(Mix::Scanners, sent), 0);
        }
    }

    #[test]
    fn one_packet_of_256_is_hidden() {
        let templates = Mix::Hidden.templates();
        assert_eq!(templates.len() as u64, HIDDEN_IN);
        assert_eq!(templates.iter().filter(|template| template.fixed).count(), 1);
    }

    #[test]
    fn sources_do_not_meet() {
        for (first, count, bits) in [(BLOCKED, 1_000_000, 8), (STRANGERS, MANY, 10)] {
            let sources: BTreeSet<_> = Sources { first, count }.iter().collect();
            assert_eq!(sources.len(), count as usize);
            let net = |address: &Ipv4Addr| address.to_bits() >> (32 - bits);
            assert!(sources.iter().all(|source| net(source) == net(&first)));
            assert!(sources.iter().all(|source| source.to_bits() % (1 << APART) == 0));
            assert_eq!(source(first, 0), first);
        }
    }
}
