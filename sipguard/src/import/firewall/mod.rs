//! Rules of a packet filter, whichever language they come from, and what of
//! them sipguard can do.

mod limits;
mod walk;

use std::collections::HashMap;

use ipnet::IpNet;

use super::draft::Origin;

pub(super) use walk::{Use, walk};

/// Ports that count as SIP unless the user names others.
pub(super) const SIP_PORTS: [u16; 2] = [5060, 5061];

/// A chain that packets to this host go through, with what its end means.
#[derive(Clone, Debug)]
pub(super) struct Hook {
    pub(super) chain: String,
    /// Whether to be accepted here is to be accepted for good.
    pub(super) is_last: bool,
}

/// A rule set.
#[derive(Debug, Default)]
pub(super) struct Ruleset {
    /// By table and name.
    pub(super) chains: HashMap<String, Vec<Rule>>,
    /// In the order that packets meet them.
    pub(super) hooks: Vec<Hook>,
}

/// What a rule does with a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Accept,
    Drop,
    Return,
    /// A chain, and whether packets come back from it.
    Jump(String, bool),
    /// None of these: it counts, logs, marks.
    Other(String),
}

/// A rule.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub(super) origin: Origin,
    /// What to call its peers: a comment, else the chain.
    pub(super) label: String,
    pub(super) tests: Tests,
    pub(super) action: Action,
}

/// A transport that SIP uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    Udp,
    Tcp,
}

/// A test of the protocol or of a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Path {
    /// These transports; none of them where it is another protocol.
    Protocol { not: bool, is: Vec<Transport> },
    /// The destination port.
    Port { not: bool, ranges: Vec<(u16, u16)> },
}

/// A test of the source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Sources {
    Nets(Vec<IpNet>),
    /// Everybody else.
    Not(Vec<IpNet>),
    /// A set that is listed elsewhere.
    Set {
        name: String,
        not: bool,
    },
    /// Why it cannot be read.
    Unreadable(String),
}

/// A limit, as a test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Limit {
    /// A token bucket for each network of this many bits.
    PerSource { rate: String, burst: u64, bits: u8, over: bool },
    /// Packets that a source may send within some seconds.
    Recent { seconds: u64, hits: u64 },
    /// The first half of the former: it remembers the source.
    Remember,
    /// Connections at once.
    Connections { max: u64, bits: u8, over: bool },
    /// A token bucket for all.
    All { rate: String, burst: u64, over: bool },
    /// Any other, and why not.
    Unclear(String),
}

/// All tests of a rule: they hold together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tests {
    pub(super) sources: Vec<Sources>,
    pub(super) paths: Vec<Path>,
    /// The source port, where it is just one.
    pub(super) source_port: Option<u16>,
    pub(super) loopback: bool,
    /// Only packets of connections that exist.
    pub(super) established: bool,
    /// Only packets that open a connection of TCP.
    pub(super) syn: bool,
    /// Texts in the packet, and whether they must be missing.
    pub(super) texts: Vec<(Vec<u8>, bool)>,
    pub(super) limit: Option<Limit>,
    /// What else it tests, which sipguard cannot or which is not clear.
    pub(super) others: Vec<String>,
}

impl Tests {
    /// Whether a packet to a port may match, as far as that decides.
    pub(super) fn reaches(&self, transport: Transport, port: u16) -> bool {
        (!self.syn || transport == Transport::Tcp)
            && self.paths.iter().all(|path| match path {
                Path::Protocol { not, is } => is.contains(&transport) != *not,
                Path::Port { not, ranges } => {
                    ranges.iter().any(|(low, high)| (*low..=*high).contains(&port)) != *not
                }
            })
    }

    /// Nothing but protocol and ports.
    pub(super) fn is_plain(&self) -> bool {
        let paths = self.paths.clone();
        *self == Self { paths, ..Self::default() }
    }

    /// Both together.
    pub(super) fn and(&self, other: &Self) -> Self {
        let join = |a: &Vec<_>, b: &Vec<_>| a.iter().chain(b).cloned().collect();
        let mut others: Vec<String> = self.others.iter().chain(&other.others).cloned().collect();
        let limit = match (&self.limit, &other.limit) {
            (Some(_), Some(_)) => {
                others.push("two limits at once".to_owned());
                self.limit.clone()
            }
            (one, two) => one.as_ref().or(two.as_ref()).cloned(),
        };
        let source_port = match (self.source_port, other.source_port) {
            (Some(one), Some(two)) if one != two => {
                others.push("two source ports at once".to_owned());
                Some(one)
            }
            (one, two) => one.or(two),
        };
        Self {
            sources: self.sources.iter().chain(&other.sources).cloned().collect(),
            paths: self.paths.iter().chain(&other.paths).cloned().collect(),
            source_port,
            loopback: self.loopback || other.loopback,
            established: self.established || other.established,
            syn: self.syn || other.syn,
            texts: join(&self.texts, &other.texts),
            limit,
            others,
        }
    }
}
