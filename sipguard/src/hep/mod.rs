//! HEP version 3, the Homer encapsulation protocol, by which collectors of SIP
//! traffic take packets: "HEP3", the length of all in two bytes, then chunks of
//! a vendor, a type, a length and a value. Every number is in network byte
//! order.

mod sip;

use std::{
    net::{IpAddr, Ipv6Addr, SocketAddr},
    time::Duration,
};

pub use self::sip::{Sip, sip};

/// Bytes of a datagram of UDP over IPv4 at most.
const MAX: usize = 65_507;

/// Bytes before the value of a chunk.
const CHUNK_HEAD: usize = 6;

/// `AF_INET` and `AF_INET6` as Linux numbers them, which the protocol took.
const INET: u8 = 2;
const INET6: u8 = 10;

/// The protocol type of SIP.
const SIP: u8 = 1;

/// Types of chunks of vendor 0.
mod chunk {
    pub(super) const FAMILY: u16 = 1;
    pub(super) const PROTOCOL: u16 = 2;
    pub(super) const SOURCE_V4: u16 = 3;
    pub(super) const DESTINATION_V4: u16 = 4;
    pub(super) const SOURCE_V6: u16 = 5;
    pub(super) const DESTINATION_V6: u16 = 6;
    pub(super) const SOURCE_PORT: u16 = 7;
    pub(super) const DESTINATION_PORT: u16 = 8;
    pub(super) const SECONDS: u16 = 9;
    pub(super) const MICROSECONDS: u16 = 10;
    pub(super) const TYPE: u16 = 11;
    pub(super) const CAPTURE_ID: u16 = 12;
    pub(super) const AUTHENTICATE_KEY: u16 = 14;
    pub(super) const PAYLOAD: u16 = 15;
}

/// Who sends to the collector.
#[derive(Clone, Copy, Debug)]
pub struct Sender<'a> {
    /// The capture id.
    pub id: u32,
    /// The authenticate key.
    pub password: Option<&'a str>,
}

/// The datagram for one message that was seen `since_1970`. `None` where it
/// would be too long for one.
#[must_use]
pub fn encode(sip: &Sip<'_>, since_1970: Duration, sender: Sender<'_>) -> Option<Vec<u8>> {
    let mut packet = Packet::new();
    let Sip { source, destination, protocol, message } = *sip;
    addresses(&mut packet, source, destination)?;
    packet.add(chunk::PROTOCOL, &[protocol])?;
    packet.add(chunk::SOURCE_PORT, &source.port().to_be_bytes())?;
    packet.add(chunk::DESTINATION_PORT, &destination.port().to_be_bytes())?;
    // 32 bits of seconds last until 2106.
    let seconds = u32::try_from(since_1970.as_secs()).unwrap_or(u32::MAX);
    packet.add(chunk::SECONDS, &seconds.to_be_bytes())?;
    packet.add(chunk::MICROSECONDS, &since_1970.subsec_micros().to_be_bytes())?;
    packet.add(chunk::TYPE, &[SIP])?;
    packet.add(chunk::CAPTURE_ID, &sender.id.to_be_bytes())?;
    if let Some(password) = sender.password {
        packet.add(chunk::AUTHENTICATE_KEY, password.as_bytes())?;
    }
    packet.add(chunk::PAYLOAD, message)?;
    packet.finish()
}

fn addresses(packet: &mut Packet, source: SocketAddr, destination: SocketAddr) -> Option<()> {
    match (source.ip(), destination.ip()) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            packet.add(chunk::FAMILY, &[INET])?;
            packet.add(chunk::SOURCE_V4, &source.octets())?;
            packet.add(chunk::DESTINATION_V4, &destination.octets())
        }
        // In a packet of IPv6 one of them may be an IPv4 address mapped into it.
        (source, destination) => {
            packet.add(chunk::FAMILY, &[INET6])?;
            packet.add(chunk::SOURCE_V6, &mapped(source).octets())?;
            packet.add(chunk::DESTINATION_V6, &mapped(destination).octets())
        }
    }
}

fn mapped(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    }
}

/// A datagram that is being made.
struct Packet(Vec<u8>);

impl Packet {
    fn new() -> Self {
        Self(b"HEP3\0\0".to_vec())
    }

    fn add(&mut self, kind: u16, value: &[u8]) -> Option<()> {
        let len = u16::try_from(CHUNK_HEAD + value.len()).ok()?;
        // The vendor of all types that everybody knows.
        self.0.extend([0, 0]);
        self.0.extend(kind.to_be_bytes());
        self.0.extend(len.to_be_bytes());
        self.0.extend(value);
        Some(())
    }

    /// Writes the length of all.
    fn finish(mut self) -> Option<Vec<u8>> {
        let len = u16::try_from(self.0.len()).ok().filter(|len| usize::from(*len) <= MAX)?;
        self.0.get_mut(4..6)?.copy_from_slice(&len.to_be_bytes());
        Some(self.0)
    }
}

#[cfg(test)]
mod tests;
