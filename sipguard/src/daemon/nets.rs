//! Networks compared as the lists of the kernel program hold them.

use ipnet::{IpNet, Ipv6Net};

use crate::policy::Target;

/// Bits before an IPv4 address that is mapped into IPv6.
const MAPPED_BITS: u8 = 96;

/// The network in the one address space of the lists, where IPv4 is mapped
/// into IPv6: only there can every two networks be compared.
fn mapped(net: IpNet) -> Ipv6Net {
    match net {
        IpNet::V6(net) => net,
        IpNet::V4(net) => {
            let bits = net.prefix_len().saturating_add(MAPPED_BITS);
            Ipv6Net::new(net.addr().to_ipv6_mapped(), bits).unwrap_or_default()
        }
    }
}

/// A network as users write it: a single address without its prefix length.
#[must_use]
pub(super) fn shown(net: IpNet) -> String {
    Target { net, port: None }.to_string()
}

/// Whether one network holds an address of the other.
#[must_use]
pub(super) fn overlap(a: IpNet, b: IpNet) -> bool {
    covers(a, b) || covers(b, a)
}

/// Whether `outer` holds every address of `inner`.
#[must_use]
pub(super) fn covers(outer: IpNet, inner: IpNet) -> bool {
    mapped(outer).contains(&mapped(inner))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::parse_net;

    fn net(text: &str) -> IpNet {
        parse_net(text).unwrap()
    }

    #[test]
    fn families_are_compared_in_one_space() {
        assert!(overlap(net("192.0.2.0/24"), net("192.0.2.7")));
        assert!(overlap(net("192.0.2.7"), net("192.0.2.0/24")));
        assert!(!overlap(net("192.0.2.0/24"), net("198.51.100.0/24")));
        assert!(!overlap(net("192.0.2.0/24"), net("2001:db8::/32")));
        assert!(overlap(net("192.0.2.0/24"), "::/64".parse().unwrap()));
        assert!(covers(net("0.0.0.0/0"), net("192.0.2.0/24")));
        assert!(covers(net("192.0.2.7"), net("192.0.2.7")));
        assert!(!covers(net("192.0.2.7"), net("192.0.2.0/24")));
    }
}
