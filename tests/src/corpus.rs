//! The corpus: packets, the policy and state that each needs, and the one rule
//! that it must be counted under.
//!
//! Every case is judged alone, on fresh state, against a shared base policy:
//! the defaults of sipguard.toml (posture guarded, OPTIONS of strangers
//! dropped, port 5060), the default signatures, [`TRUSTED`] and [`BLOCKED`].
//! [`Setup`] names what differs. Only documentation addresses are used
//! (RFC 5737, RFC 3849); strangers come from 198.51.100.0/24 and
//! 2001:db8:5::/48.

mod agents;
mod evasions;
mod fingerprints;
mod forms;
mod harmless;
mod keepalives;
mod limits;
mod lists;
mod not_sip;
mod options;
mod policy;
mod postures;
mod responses;
mod scanners;
mod signatures;
pub mod stories;
mod tcp;
mod torture;
mod verified;

use sipguard::kernel::Action;
use sipguard_common::{
    abi::{Address, Endpoint},
    frame,
    method::{Budget, Class, Method},
    rule::{Rule, Verdict},
};

use crate::{layout, packet::Packet};

pub use signatures::{DEFAULT_SIGNATURES, DefaultSignature, FINGERPRINTS, Match};

/// Entries of the trusted list, in the form of trusted.toml.
pub const TRUSTED: &[&str] = &[
    "192.0.2.10",
    "192.0.2.64/26",
    "192.0.2.20:5060",
    "2001:db8:1::10",
    "2001:db8:1:64::/64",
    "[2001:db8:1::20]:5060",
];

/// Entries of the blocked list, in the form of blacklist.toml. 192.0.2.70 lies
/// in a trusted network, and trusted wins.
pub const BLOCKED: &[&str] =
    &["203.0.113.66", "203.0.113.128/25", "2001:db8:bad::/48", "2001:db8::bad", "192.0.2.70"];

/// The keepalive of [`Setup::Keepalives`].
pub const KEEPALIVE: &str = "PING-KEEPALIVE";

/// The protected address of [`Setup::ProtectedAddress`].
pub const PROTECTED: &str = "203.0.113.1";

/// The protected ports of [`Setup::TwoPorts`].
pub const TWO_PORTS: [u16; 2] = [5060, 5070];

/// The peer of [`Setup::OverCps`].
pub const CAPPED: &str = "192.0.2.30";

/// The settings of [`Setup::PortsExhausted`].
pub const PORTS_LIMITED: &str = "[limits.ports]\nmax = 5\n";

/// How policy or state differ from the base.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Setup {
    /// Not at all.
    Base,
    /// `policy.options = "limit"`.
    OptionsLimit,
    /// `policy.options = "pass"`.
    OptionsPass,
    /// `policy.posture = "closed"`.
    Closed,
    /// `policy.posture = "open"`.
    Open,
    /// `sip.addresses = [PROTECTED]`.
    ProtectedAddress,
    /// `sip.ports = TWO_PORTS`.
    TwoPorts,
    /// [`KEEPALIVE`] is configured.
    Keepalives,
    /// This sipguard.toml.
    Settings(&'static str),
    /// [`CAPPED`] is trusted with the class `small`, and has called too often.
    OverCps,
    /// The source of the packet is banned.
    Banned,
    /// The source has tried too many passwords.
    TriesExhausted,
    /// Who sends it ([`Case::sender`]) is verified.
    Verified,
    /// The same, and its bucket for this class is over its limit.
    VerifiedExhausted(Class),
    /// The source is banned, and who sends it is verified.
    VerifiedBanned,
    /// Others of its source are verified.
    Site,
    /// The same under `policy.posture = "closed"`.
    SiteClosed,
    /// The bucket of the packet's source ([`Case::source`]) for this class is
    /// over its limit; its other buckets are untouched.
    Exhausted(Class),
    /// The bucket of the source's network is over its limit.
    SubnetExhausted,
    /// The source has sent from too many ports, under [`PORTS_LIMITED`].
    PortsExhausted,
    /// All strangers together are over this limit.
    BudgetExhausted(Budget),
}

/// One packet and what must become of it.
#[derive(Clone, Debug)]
pub struct Case {
    /// Unique; lower case with underscores.
    pub name: &'static str,
    /// The requirement that the case shows, such as `L33`; may be empty.
    pub id: &'static str,
    /// The whole frame.
    pub frame: Vec<u8>,
    /// The rule that the packet is counted under.
    pub expect: Rule,
    /// The method, where the packet is judged as a request of a known one;
    /// `None` stands for [`Method::Unknown`] in the counters.
    pub method: Option<Method>,
    /// The name of the default signature that matches.
    pub signature: Option<&'static str>,
    /// Rules in mode observe that would have dropped it.
    pub would: &'static [Rule],
    /// The policy and state that the case needs.
    pub setup: Setup,
}

impl Case {
    /// What becomes of the frame: a rule that drops for what was said closes
    /// the connection of a TCP segment.
    #[must_use]
    pub fn action(&self) -> Action {
        let is_tcp = layout::layout(&self.frame).is_some_and(|layout| layout.udp.is_none());
        match (self.expect, self.expect.verdict()) {
            (_, Verdict::Pass) => Action::Pass,
            (Rule::Signature | Rule::Options | Rule::Oversize, _) if is_tcp => Action::Reset,
            _ => Action::Drop,
        }
    }

    /// A packet that the base policy counts under `expect`.
    fn new(name: &'static str, id: &'static str, expect: Rule, frame: impl Into<Vec<u8>>) -> Self {
        let (method, signature, setup) = (None, None, Setup::Base);
        Self { name, id, frame: frame.into(), expect, method, signature, would: &[], setup }
    }

    fn method(mut self, method: Method) -> Self {
        self.method = Some(method);
        self
    }

    fn signature(mut self, name: &'static str) -> Self {
        self.signature = Some(name);
        self
    }

    fn would(mut self, rules: &'static [Rule]) -> Self {
        self.would = rules;
        self
    }

    fn setup(mut self, setup: Setup) -> Self {
        self.setup = setup;
        self
    }

    /// The endpoint that sends it; `None` where the filter reads none.
    #[must_use]
    pub fn sender(&self) -> Option<Endpoint> {
        let mut packet = frame::Packet::ZERO;
        frame::parse(&self.frame[..], &mut packet)?;
        Some(packet.sender())
    }

    /// The source address; `None` where the frame holds no whole IP header.
    #[must_use]
    pub fn source(&self) -> Option<Address> {
        layout::source(&self.frame)
    }
}

/// Every case.
#[must_use]
pub fn corpus() -> Vec<Case> {
    [
        not_sip::cases(),
        lists::cases(),
        postures::cases(),
        policy::cases(),
        forms::cases(),
        tcp::cases(),
        keepalives::cases(),
        responses::cases(),
        signatures::cases(),
        agents::cases(),
        scanners::cases(),
        evasions::cases(),
        fingerprints::cases(),
        options::cases(),
        limits::cases(),
        harmless::cases(),
        torture::cases(),
        verified::cases(),
    ]
    .concat()
}

/// The stranger that most cases come from.
const STRANGER: &str = "198.51.100.7:5061";
const STRANGER_V6: &str = "[2001:db8:5::7]:5061";
/// The SIP server, on its protected port.
const SERVER: &str = "203.0.113.1:5060";
const SERVER_V6: &str = "[2001:db8:2::1]:5060";

/// A datagram of a stranger to the server.
fn stranger(payload: impl AsRef<[u8]>) -> Packet {
    Packet::udp(STRANGER, SERVER).payload(payload)
}

/// The same over IPv6.
fn stranger_v6(payload: impl AsRef<[u8]>) -> Packet {
    Packet::udp(STRANGER_V6, SERVER_V6).payload(payload)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use etherparse::SlicedPacket;

    use super::*;

    #[test]
    fn names_are_unique_and_plain() {
        let mut seen = HashSet::new();
        for case in corpus() {
            let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
            assert!(case.name.chars().all(plain), "{}", case.name);
            assert!(seen.insert(case.name), "{} stands twice", case.name);
        }
        assert!(seen.len() >= 150, "only {} cases", seen.len());
    }

    #[test]
    fn every_requirement_of_single_packets_has_a_case() {
        let ids: HashSet<_> = corpus().iter().map(|case| case.id).collect();
        for id in [
            "L11", "L12", "L13", "L14", "L26", "L32", "L33", "D03", "D04", "D05", "D06", "D12",
            "A01", "A02", "A07", "A08", "A09", "F01", "F05", "F02", "F12", "RFC4475",
        ] {
            assert!(ids.contains(id), "{id}");
        }
    }

    #[test]
    fn every_rule_is_expected_by_a_case() {
        let expected: HashSet<_> = corpus().iter().map(|case| case.expect).collect();
        // Those of the way out have stories.
        for rule in Rule::ALL.iter().filter(|rule| !rule.is_egress()) {
            assert!(expected.contains(rule), "{}", rule.name());
        }
    }

    #[test]
    fn every_fingerprint_is_expected_by_a_case() {
        let expected: HashSet<_> = corpus().iter().filter_map(|case| case.signature).collect();
        for name in FINGERPRINTS {
            assert!(expected.contains(name), "{name}");
        }
    }

    /// Traffic that must never be harmed is never expected to be dropped.
    #[test]
    fn harmless_cases_pass() {
        for case in corpus().iter().filter(|case| case.id.starts_with('L')) {
            assert_eq!(case.expect.verdict(), Verdict::Pass, "{}", case.name);
        }
    }

    #[test]
    fn signature_and_method_agree_with_the_rule() {
        for case in corpus() {
            let is_hit = case.expect == Rule::Signature || case.would.contains(&Rule::Signature);
            assert_eq!(is_hit, case.signature.is_some(), "{}", case.name);
            if let Some(name) = case.signature {
                let mut agents = DEFAULT_SIGNATURES.iter().map(|signature| signature.name);
                let known = agents.any(|agent| agent == name) || FINGERPRINTS.contains(&name);
                assert!(known, "{}: {name} is no default signature", case.name);
            }
            match case.expect {
                Rule::Options => assert_eq!(case.method, Some(Method::Options), "{}", case.name),
                Rule::Unparsed
                | Rule::Keepalive
                | Rule::Response
                | Rule::NotSip
                | Rule::Trusted
                | Rule::Blocked
                | Rule::Banned
                | Rule::Closed
                | Rule::SynRate
                | Rule::FragmentStranger
                | Rule::Fragment => assert_eq!(case.method, None, "{}", case.name),
                Rule::TrustedCps => assert_eq!(case.method, Some(Method::Invite), "{}", case.name),
                Rule::Signature
                | Rule::Oversize
                | Rule::RateMethod
                | Rule::RateAuth
                | Rule::RateSource
                | Rule::RateSubnet
                | Rule::Fanout
                | Rule::RateStrangers
                | Rule::RateVerified
                | Rule::Greylist
                | Rule::Verified
                | Rule::Stranger => {}
                Rule::Auth | Rule::Harvest | Rule::Stealth => {
                    panic!("{}: no packet that comes in is under this rule", case.name)
                }
            }
            if let Setup::Exhausted(_) = case.setup {
                assert!(case.source().is_some(), "{} has no source", case.name);
            }
        }
    }

    /// Frames that are not broken on purpose are read by an independent parser,
    /// to the last byte: it finds the same source as our own reader.
    #[test]
    fn well_formed_frames_are_read_by_an_independent_parser() {
        let mut read = 0;
        for case in corpus() {
            let Ok(packet) = SlicedPacket::from_ethernet(&case.frame) else {
                assert!(
                    matches!(case.id, "F12" | "L26"),
                    "{} is broken and not a case of packet forms",
                    case.name
                );
                continue;
            };
            let source = match packet.net {
                Some(etherparse::NetSlice::Ipv4(ip)) => Some(Address::v4(ip.header().source())),
                Some(etherparse::NetSlice::Ipv6(ip)) => {
                    Some(Address::from_octets(ip.header().source()))
                }
                _ => None,
            };
            if let Some(source) = source {
                assert_eq!(case.source(), Some(source), "{}", case.name);
                read += 1;
            }
        }
        assert!(read >= 150, "{read}");
    }
}
