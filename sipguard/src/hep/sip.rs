//! The SIP message in a frame.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use sipguard_common::{
    abi::Address,
    frame::{Packet, Transport, parse},
    message::{Start, classify},
};

/// A message and how it went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sip<'a> {
    pub source: SocketAddr,
    pub destination: SocketAddr,
    /// The protocol number of IP: 6 is TCP, 17 UDP.
    pub protocol: u8,
    /// From its first line on, as far as the frame goes.
    pub message: &'a [u8],
}

/// The message that an Ethernet frame holds the beginning of. `None` where it
/// is something else, such as a keepalive or a later fragment.
#[must_use]
pub fn sip(frame: &[u8]) -> Option<Sip<'_>> {
    let mut packet = Packet::ZERO;
    let transport = parse(frame, &mut packet)?;
    if !matches!(transport, Transport::Udp | Transport::Tcp) {
        return None;
    }
    let start = packet.payload as usize;
    let payload = frame.get(start..start.checked_add(packet.len as usize)?)?;
    // Servers ignore line ends before a message.
    let ends = payload.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    let message = payload.get(ends..)?;
    Some(Sip {
        source: place(packet.source, packet.source_port),
        destination: place(packet.destination, packet.destination_port),
        protocol: u8::try_from(packet.protocol).ok()?,
        message: is_sip(message).then_some(message)?,
    })
}

/// Whether it starts like a message of a method that is known here, or its
/// first line names SIP.
fn is_sip(message: &[u8]) -> bool {
    let word = |at: usize| {
        let mut word = [0; 8];
        for (to, from) in word.iter_mut().zip(message.iter().skip(at)) {
            *to = *from;
        }
        u64::from_le_bytes(word)
    };
    match classify(word(0), word(8)) {
        Start::Request(_) | Start::Response => true,
        _ => {
            let line = message.split(|byte| matches!(byte, b'\r' | b'\n')).next();
            line.is_some_and(|line| line.to_ascii_uppercase().ends_with(b" SIP/2.0"))
        }
    }
}

fn place(address: Address, port: [u8; 2]) -> SocketAddr {
    let ip = IpAddr::V6(Ipv6Addr::from(address.octets())).to_canonical();
    SocketAddr::new(ip, u16::from_be_bytes(port))
}
