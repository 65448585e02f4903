//! One end of a packet, as its headers name it.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr, SocketAddr},
};

use sipguard_common::{
    abi::Address,
    frame::{Packet, Transport},
};

/// An address and a port. Later fragments have no port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoint {
    pub address: IpAddr,
    pub port: Option<u16>,
}

impl Endpoint {
    /// Where a packet comes from.
    #[must_use]
    pub fn source(packet: &Packet, transport: Transport) -> Self {
        Self::new(packet.source, packet.source_port, transport)
    }

    /// Where it goes.
    #[must_use]
    pub fn destination(packet: &Packet, transport: Transport) -> Self {
        Self::new(packet.destination, packet.destination_port, transport)
    }

    fn new(address: Address, port: [u8; 2], transport: Transport) -> Self {
        let has_port = transport != Transport::LaterFragment;
        Self {
            address: Ipv6Addr::from(address.octets()).to_canonical(),
            port: has_port.then_some(u16::from_be_bytes(port)),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => SocketAddr::new(self.address, port).fmt(f),
            None => self.address.fmt(f),
        }
    }
}
