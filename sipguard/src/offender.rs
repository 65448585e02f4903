//! Whom a ban hits.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
};

use ipnet::IpNet;

use crate::policy::net_text;

/// The protocol numbers of IP.
const TCP: u8 = 6;
const UDP: u8 = 17;

/// A whole source, or one port of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Offender {
    /// An address, or an IPv6 network; of a single port always an address.
    pub source: IpNet,
    /// The port, and the protocol number of IP; `None` is the whole source.
    pub port: Option<(u16, u8)>,
}

impl Offender {
    /// Its address, or the first one of its network.
    #[must_use]
    pub fn address(&self) -> IpAddr {
        self.source.addr()
    }

    /// `udp` or `tcp`, where it is a single port.
    #[must_use]
    pub fn transport(&self) -> Option<&'static str> {
        Some(transport(self.port?.1))
    }
}

/// The name of a protocol that has ports.
#[must_use]
pub const fn transport(protocol: u8) -> &'static str {
    match protocol {
        TCP => "tcp",
        UDP => "udp",
        _ => "other",
    }
}

impl fmt::Display for Offender {
    /// `198.51.100.7`, `2001:db8:2::/64` or `198.51.100.7:5061/udp`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            None => f.pad(&net_text(self.source)),
            Some((port, protocol)) => {
                let place = SocketAddr::new(self.address(), port);
                f.pad(&format!("{place}/{}", transport(protocol)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_and_ports_are_told_apart() {
        let shown =
            |source: &str, port| Offender { source: source.parse().unwrap(), port }.to_string();
        assert_eq!(shown("198.51.100.7/32", None), "198.51.100.7");
        assert_eq!(shown("2001:db8:2::/64", None), "2001:db8:2::/64");
        assert_eq!(shown("198.51.100.7/32", Some((5061, UDP))), "198.51.100.7:5061/udp");
        assert_eq!(shown("2001:db8:2::7/128", Some((5061, TCP))), "[2001:db8:2::7]:5061/tcp");
    }
}
