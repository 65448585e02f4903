//! Ranges of addresses, to ask of many networks whether they touch one.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// Addresses in the one space of the lists, where IPv4 is mapped into IPv6.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ranges(Vec<(u128, u128)>);

impl Ranges {
    /// Whether any address of a network is among them.
    #[must_use]
    pub fn touch(&self, net: IpNet) -> bool {
        let (first, last) = ends(net);
        let next = self.0.partition_point(|(_, end)| *end < first);
        self.0.get(next).is_some_and(|(start, _)| *start <= last)
    }
}

impl FromIterator<IpNet> for Ranges {
    fn from_iter<I: IntoIterator<Item = IpNet>>(nets: I) -> Self {
        let mut all: Vec<(u128, u128)> = nets.into_iter().map(ends).collect();
        all.sort_unstable();
        let mut joined: Vec<(u128, u128)> = Vec::with_capacity(all.len());
        for (first, last) in all {
            match joined.last_mut() {
                Some((_, end)) if first <= *end => *end = last.max(*end),
                _ => joined.push((first, last)),
            }
        }
        Self(joined)
    }
}

/// The first and the last address of a network.
fn ends(net: IpNet) -> (u128, u128) {
    (number(net.network()), number(net.broadcast()))
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_ipv6_mapped()),
        IpAddr::V6(address) => u128::from(address),
    }
}

/// Nobody sends from there across the internet, or more than one sender does:
/// private, shared and link-local networks, loopback, multicast, what is
/// reserved. Lists of "bogons" are full of them, and an office behind such an
/// address would be cut off.
const SPECIAL_V4: [(Ipv4Addr, u8); 9] = [
    (Ipv4Addr::new(0, 0, 0, 0), 8),
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(224, 0, 0, 0), 3),
];

/// All but 2000::/3, the global unicast addresses, and IPv4, which is mapped
/// into the first of these.
const SPECIAL_V6: [(Ipv6Addr, u8); 4] = [
    (Ipv6Addr::UNSPECIFIED, 96),
    (Ipv6Addr::new(0x4000, 0, 0, 0, 0, 0, 0, 0), 2),
    (Ipv6Addr::new(0x8000, 0, 0, 0, 0, 0, 0, 0), 1),
    (Ipv6Addr::new(0x1000, 0, 0, 0, 0, 0, 0, 0), 4),
];

/// Addresses that no feed may block.
pub(super) fn special() -> Ranges {
    let v4 = SPECIAL_V4.map(|(address, bits)| IpNet::new(address.into(), bits));
    let v6 = SPECIAL_V6.map(|(address, bits)| IpNet::new(address.into(), bits));
    v4.into_iter().chain(v6).flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::parse_net;

    fn ranges(nets: &[&str]) -> Ranges {
        nets.iter().map(|net| parse_net(net).unwrap()).collect()
    }

    #[test]
    fn networks_touch_what_they_share_an_address_with() {
        let ranges =
            ranges(&["192.0.2.7", "198.51.100.0/24", "198.51.100.128/25", "2001:db8::/32"]);
        let touches = |net: &str| ranges.touch(parse_net(net).unwrap());
        for net in ["192.0.2.7", "192.0.2.0/24", "198.51.100.200", "198.51.0.0/16", "2001:db8::1"] {
            assert!(touches(net), "{net}");
        }
        for net in ["192.0.2.6", "192.0.2.8/29", "198.51.101.0/24", "2001:db9::/32", "9.0.0.0/8"] {
            assert!(!touches(net), "{net}");
        }
        assert!(!Ranges::default().touch(parse_net("0.0.0.0/0").unwrap()));
    }

    #[test]
    fn private_and_other_special_addresses_are_known() {
        let special = special();
        let touches = |net: &str| special.touch(parse_net(net).unwrap());
        for net in [
            "0.0.0.0/0",
            "10.1.2.3",
            "172.16.0.0/12",
            "192.168.1.0/24",
            "127.0.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "100.64.0.1",
            "169.254.1.1",
            "fe80::1",
            "fc00::/7",
            "ff02::1",
            "::1",
        ] {
            assert!(touches(net), "{net}");
        }
        for net in
            ["9.9.9.9", "172.32.0.0/16", "192.0.2.1", "2001:db8::1", "2600::/16", "223.1.1.1"]
        {
            assert!(!touches(net), "{net}");
        }
    }
}
