//! One event with everything that the kernel program says by number.

use std::{
    fmt::Write as _,
    net::{IpAddr, Ipv6Addr},
};

use jiff::{SignedDuration, Timestamp, Unit};
use nix::time::{ClockId, clock_gettime};
use sipguard_common::{
    abi::{Address, BanMade, EVENT_BYTES, Endpoint, Event, outcome},
    method::Method,
    rule::Rule,
};

use crate::{api::wire, sanitise::sanitise_lines};

/// A packet that was dropped, or would have been; or a ban, likewise.
#[derive(Clone, Debug)]
pub struct Told {
    pub rule: Rule,
    pub time: Timestamp,
    pub interface: String,
    /// The name of the signature that matched.
    pub signature: Option<String>,
    event: Event,
    is_ban: bool,
}

impl Told {
    /// `None` for a rule that this version does not know.
    #[must_use]
    pub fn new(event: Event, interface: String, signature: Option<String>) -> Option<Self> {
        let rule = Rule::from_number(event.rule.into())?;
        let time = wall_time(event.time_ns);
        Some(Self { rule, time, interface, signature, event, is_ban: false })
    }

    /// A ban as an event: without a packet, and where a whole source is banned
    /// without a port.
    #[must_use]
    pub fn of_ban(made: &BanMade, interface: String, signature: Option<String>) -> Option<Self> {
        let rule = Rule::from_number(made.rule)?;
        let would = made.outcome == u32::from(outcome::WOULD_DROP);
        let event = Event {
            time_ns: made.time_ns,
            source: made.endpoint.address,
            destination: made.server,
            ifindex: made.ifindex,
            source_port: made.endpoint.port(),
            destination_port: [0; 2],
            rule: rule as u8,
            method: Method::Unknown as u8,
            outcome: if would { outcome::WOULD_DROP } else { outcome::DROPPED },
            protocol: made.endpoint.protocol(),
            signature: made.signature,
            len: 0,
            captured: 0,
            bytes: [0; EVENT_BYTES],
        };
        let time = wall_time(made.time_ns);
        Some(Self { rule, time, interface, signature, event, is_ban: true })
    }

    /// Where the packet came from.
    #[must_use]
    pub fn source(&self) -> IpAddr {
        ip(self.event.source)
    }

    /// The method of the request, where one was read.
    #[must_use]
    pub fn method(&self) -> Option<Method> {
        let number = usize::from(self.event.method);
        Method::ALL.get(number).copied().filter(|method| *method != Method::Unknown)
    }

    /// Whether it is a ban, and not a packet.
    #[must_use]
    pub fn is_ban(&self) -> bool {
        self.is_ban
    }

    /// Whether the rule only observes.
    #[must_use]
    pub fn would(&self) -> bool {
        self.event.outcome == outcome::WOULD_DROP
    }

    /// The address, with port and protocol number of IP where there are any.
    pub(in crate::daemon) fn place(&self) -> (IpAddr, Option<(u16, u8)>) {
        let port = self.port(self.event.source_port).map(|port| (port, self.event.protocol));
        (self.source(), port)
    }

    /// The key of a ban.
    pub(in crate::daemon) fn endpoint(&self) -> Endpoint {
        let Event { source, source_port, protocol, .. } = self.event;
        match protocol {
            0 => Endpoint::whole(source),
            _ => Endpoint::new(source, source_port, protocol),
        }
    }

    /// As the control socket tells it.
    #[must_use]
    pub fn wire(&self) -> wire::Event {
        let event = &self.event;
        let captured = event.captured.min(event.len) as usize;
        let bytes = &event.bytes[..captured.min(EVENT_BYTES)];
        wire::Event {
            time: self.time,
            interface: self.interface.clone(),
            source: self.source(),
            source_port: self.port(event.source_port),
            destination: ip(event.destination),
            destination_port: self.port(event.destination_port).filter(|_| !self.is_ban),
            transport: self.transport().map(str::to_owned),
            method: self.method().map(|method| method.name().to_owned()),
            rule: self.rule.name().to_owned(),
            signature: self.signature.clone(),
            outcome: self.outcome().to_owned(),
            length: event.len,
            text: text(bytes),
            hex: hex(bytes),
        }
    }

    /// Later fragments have no ports.
    fn port(&self, port: [u8; 2]) -> Option<u16> {
        self.transport().map(|_| u16::from_be_bytes(port))
    }

    fn transport(&self) -> Option<&'static str> {
        match self.event.protocol {
            6 => Some("tcp"),
            17 => Some("udp"),
            _ => None,
        }
    }

    fn outcome(&self) -> &'static str {
        match (self.is_ban, self.event.outcome) {
            (true, outcome::WOULD_DROP) => "would ban",
            (true, _) => "banned",
            (false, outcome::WOULD_DROP) => "would drop",
            (false, outcome::RESET) => "reset",
            (false, _) => "dropped",
        }
    }
}

fn ip(address: Address) -> IpAddr {
    IpAddr::V6(Ipv6Addr::from(address.octets())).to_canonical()
}

/// A time of CLOCK_MONOTONIC on the wall clock as it stands now, to the
/// millisecond.
pub(in crate::daemon) fn wall_time(time_ns: u64) -> Timestamp {
    let wall = Timestamp::now();
    let ago = clock_gettime(ClockId::CLOCK_MONOTONIC).ok().and_then(|now| {
        let now_ns = i128::from(now.tv_sec()) * 1_000_000_000 + i128::from(now.tv_nsec());
        i64::try_from(now_ns - i128::from(time_ns)).ok()
    });
    let then = ago.and_then(|ago| wall.checked_sub(SignedDuration::from_nanos(ago)).ok());
    let then = then.unwrap_or(wall);
    then.round(Unit::Millisecond).unwrap_or(then)
}

/// Lines of a message are lines of the text, whatever ends them; what is no
/// UTF-8 shows as U+FFFD.
fn text(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes).replace("\r\n", "\n");
    sanitise_lines(&text, EVENT_BYTES)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut hex, byte| {
        // Writing to a string cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// An event for tests: a payload over UDP that `rule` has dropped.
#[cfg(test)]
pub(crate) fn sample(rule: Rule, source: [u8; 4], payload: &[u8]) -> Event {
    let mut bytes = [0xee; EVENT_BYTES];
    let captured = payload.len().min(EVENT_BYTES);
    bytes[..captured].copy_from_slice(&payload[..captured]);
    Event {
        time_ns: 0,
        source: Address::v4(source),
        destination: Address::v4([203, 0, 113, 1]),
        ifindex: 2,
        source_port: 5061u16.to_be_bytes(),
        destination_port: 5060u16.to_be_bytes(),
        rule: rule as u8,
        method: Method::Register as u8,
        outcome: outcome::DROPPED,
        protocol: 17,
        signature: 0,
        len: payload.len() as u32,
        captured: captured as u32,
        bytes,
    }
}

#[cfg(test)]
mod tests {
    use sipguard_common::abi::Endpoint;

    use super::*;

    fn told(event: Event) -> Told {
        Told::new(event, "eth0".to_owned(), Some("friendly-scanner".to_owned())).unwrap()
    }

    #[test]
    fn an_event_has_everything_by_name() {
        let event = sample(Rule::Signature, [198, 51, 100, 7], b"REGISTER sip:x\r\nA: \xff\x1b[2J");
        let wire = told(event).wire();
        assert_eq!(wire.source, IpAddr::from([198, 51, 100, 7]));
        assert_eq!((wire.source_port, wire.destination_port), (Some(5061), Some(5060)));
        assert_eq!(wire.transport.as_deref(), Some("udp"));
        assert_eq!(wire.method.as_deref(), Some("REGISTER"));
        assert_eq!((wire.rule.as_str(), wire.outcome.as_str()), ("signature", "dropped"));
        assert_eq!(wire.signature.as_deref(), Some("friendly-scanner"));
        assert_eq!(wire.length, 24);
        assert_eq!(wire.text, "REGISTER sip:x\nA: \u{fffd}\\u{1b}[2J");
        assert_eq!(wire.hex, "5245474953544552207369703a780d0a413a20ff1b5b324a");
    }

    #[test]
    fn fragments_have_no_ports_and_unread_requests_no_method() {
        let event = sample(Rule::FragmentStranger, [198, 51, 100, 7], b"");
        let wire = told(Event { protocol: 0, method: 0, ..event }).wire();
        assert_eq!((wire.source_port, wire.destination_port), (None, None));
        assert_eq!((wire.transport, wire.method), (None, None));
        assert_eq!((wire.text, wire.hex), (String::new(), String::new()));
    }

    #[test]
    fn bans_are_events_without_a_packet() {
        let made = BanMade {
            time_ns: 0,
            expires_ns: 600_000_000_000,
            endpoint: Endpoint::new(Address::v4([198, 51, 100, 7]), [0x13, 0xc5], 17),
            server: Address::v4([203, 0, 113, 1]),
            ifindex: 2,
            rule: Rule::Auth.number(),
            signature: 0,
            failures: 5,
            proven: 1,
            outcome: u32::from(outcome::DROPPED),
        };
        let wire = |made: BanMade| Told::of_ban(&made, "eth0".to_owned(), None).unwrap().wire();
        let one = wire(made);
        assert_eq!((one.rule.as_str(), one.outcome.as_str()), ("auth", "banned"));
        assert_eq!((one.source_port, one.transport.as_deref()), (Some(5061), Some("udp")));
        assert_eq!((one.destination_port, one.method, one.length), (None, None, 0));
        let whole = Endpoint::whole(made.endpoint.address);
        let would = u32::from(outcome::WOULD_DROP);
        let one = wire(BanMade { endpoint: whole, outcome: would, ..made });
        assert_eq!(
            (one.source_port, one.transport, one.outcome.as_str()),
            (None, None, "would ban")
        );
        assert!(Told::of_ban(&BanMade { rule: 63, ..made }, String::new(), None).is_none());
    }

    #[test]
    fn numbers_from_nowhere_do_no_harm() {
        let event = sample(Rule::Options, [198, 51, 100, 7], b"x");
        assert!(Told::new(Event { rule: 63, ..event }, String::new(), None).is_none());
        let odd = Event { captured: u32::MAX, len: u32::MAX, method: 255, outcome: 9, ..event };
        let wire = told(odd).wire();
        assert_eq!(wire.hex.len(), 2 * EVENT_BYTES);
        assert_eq!((wire.method, wire.outcome.as_str()), (None, "dropped"));
    }

    #[test]
    fn the_time_is_that_of_the_packet() {
        let now = clock_gettime(ClockId::CLOCK_MONOTONIC).unwrap();
        let now_ns = now.tv_sec() as u64 * 1_000_000_000 + now.tv_nsec() as u64;
        let minute = 60_000_000_000;
        let ago = Timestamp::now().duration_since(wall_time(now_ns - minute)).as_secs();
        assert!((59..=62).contains(&ago), "{ago}");
    }
}
