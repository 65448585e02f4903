//! Which packets the server has sent: the filter sees those that come in, a
//! capture holds both. Phones and carriers have port 5060, too, so that a port
//! alone says little.

use std::{collections::HashSet, net::IpAddr};

use super::Direction;
use crate::{endpoint::Endpoint, policy::Plan};

/// Addresses that are learned at most.
const MAX_LEARNED: usize = 65_536;

/// What is known about the server's side.
#[derive(Debug)]
pub(super) struct Sides {
    /// `addresses` of sipguard.toml.
    protected: Vec<ipnet::IpNet>,
    /// The host's own, and what strangers have sent to a protected port of.
    server: HashSet<IpAddr>,
    ports: [u64; 1024],
}

impl Sides {
    pub(super) fn new(plan: &Plan, own: impl IntoIterator<Item = IpAddr>) -> Self {
        Self {
            protected: plan.protected.iter().copied().collect(),
            server: own.into_iter().collect(),
            ports: plan.policy.ports,
        }
    }

    /// Whether the server has sent this packet. `told` is what the capture
    /// says, which holds.
    pub(super) fn is_outgoing(
        &mut self,
        told: Option<Direction>,
        source: Endpoint,
        destination: Endpoint,
    ) -> bool {
        if let Some(direction) = told {
            return direction == Direction::Out;
        }
        let from_server = self.is_server(source.address) && !self.is_server(destination.address);
        let (from_port, to_port) = (self.is_port(source), self.is_port(destination));
        if from_server || from_port && !to_port {
            return true;
        }
        if to_port && !from_port && self.server.len() < MAX_LEARNED {
            self.server.insert(destination.address);
        }
        false
    }

    fn is_server(&self, address: IpAddr) -> bool {
        match self.protected.as_slice() {
            [] => self.server.contains(&address),
            protected => protected.iter().any(|net| net.contains(&address)),
        }
    }

    fn is_port(&self, endpoint: Endpoint) -> bool {
        let word = |port: u16| self.ports.get(usize::from(port >> 6));
        endpoint
            .port
            .is_some_and(|port| word(port).is_some_and(|word| word >> (port & 63) & 1 == 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PHONE: &str = "198.51.100.7:40000";
    const TRUNK: &str = "192.0.2.10:5060";
    const SERVER: &str = "203.0.113.1:5060";

    fn endpoint(text: &str) -> Endpoint {
        let address: std::net::SocketAddr = text.parse().unwrap();
        Endpoint { address: address.ip(), port: Some(address.port()) }
    }

    fn is_outgoing(sides: &mut Sides, source: &str, destination: &str) -> bool {
        sides.is_outgoing(None, endpoint(source), endpoint(destination))
    }

    #[test]
    fn the_capture_knows_best() {
        let mut sides = Sides::new(&Plan::default(), []);
        let told = |direction| Some(direction);
        let (phone, server) = (endpoint(PHONE), endpoint(SERVER));
        assert!(sides.is_outgoing(told(Direction::Out), phone, server));
        assert!(!sides.is_outgoing(told(Direction::In), server, phone));
    }

    #[test]
    fn between_two_protected_ports_the_server_is_who_strangers_send_to() {
        let mut sides = Sides::new(&Plan::default(), []);
        assert!(!is_outgoing(&mut sides, TRUNK, SERVER));
        assert!(!is_outgoing(&mut sides, SERVER, TRUNK), "nothing is known yet");
        assert!(!is_outgoing(&mut sides, PHONE, SERVER));
        assert!(is_outgoing(&mut sides, SERVER, PHONE));
        assert!(!is_outgoing(&mut sides, TRUNK, SERVER));
        assert!(is_outgoing(&mut sides, SERVER, TRUNK));
    }

    #[test]
    fn the_hosts_own_addresses_are_the_servers() {
        let mut sides = Sides::new(&Plan::default(), [endpoint(SERVER).address]);
        assert!(is_outgoing(&mut sides, SERVER, TRUNK));
        assert!(is_outgoing(&mut sides, "203.0.113.1:37000", TRUNK), "a client of a carrier");
        assert!(!is_outgoing(&mut sides, TRUNK, SERVER));
    }

    #[test]
    fn configured_addresses_count_alone() {
        let plan =
            Plan { protected: ["203.0.113.0/24".parse().unwrap()].into(), ..Plan::default() };
        let mut sides = Sides::new(&plan, [endpoint(TRUNK).address]);
        assert!(is_outgoing(&mut sides, SERVER, TRUNK));
        assert!(!is_outgoing(&mut sides, TRUNK, SERVER));
        assert!(!is_outgoing(&mut sides, "203.0.113.2:5060", SERVER), "of the same house");
    }
}
