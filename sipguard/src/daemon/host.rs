//! The host's own addresses and default gateways: what must never be blocked,
//! or the host cuts itself off.

use std::{
    fs, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// Addresses that belong to the network namespace of the daemon.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Host {
    /// Of every interface.
    pub addresses: Vec<IpAddr>,
    /// Next hops of the default routes in the main table.
    pub gateways: Vec<IpAddr>,
}

impl Host {
    /// Reads them as they are now.
    ///
    /// # Errors
    /// The kernel did not tell.
    pub fn read() -> io::Result<Self> {
        let interfaces = nix::ifaddrs::getifaddrs()?;
        let addresses = interfaces
            .filter_map(|interface| {
                let address = interface.address?;
                let v4 = address.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
                v4.or_else(|| address.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip())))
            })
            .collect();
        let mut gateways = ipv4_gateways(&read_table("/proc/net/route")?);
        gateways.extend(ipv6_gateways(&read_table("/proc/net/ipv6_route")?));
        Ok(Self { addresses, gateways })
    }
}

/// A kernel without IPv6 has no such file.
fn read_table(path: &str) -> io::Result<String> {
    match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        other => other,
    }
}

/// `/proc/net/route`: gateway and mask are the third and the eighth column, 32-bit words in hexadecimal as the host reads them.
fn ipv4_gateways(table: &str) -> Vec<IpAddr> {
    let gateway = |line: &str| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let (gateway, mask) = (columns.get(2)?, columns.get(7)?);
        let is_default = is_zero(mask) && !is_zero(gateway);
        let word = u32::from_str_radix(gateway, 16).ok().filter(|_| is_default)?;
        Some(IpAddr::V4(Ipv4Addr::from(word.to_ne_bytes())))
    };
    table.lines().skip(1).filter_map(gateway).collect()
}

/// `/proc/net/ipv6_route`: prefix length and next hop are the second and the
/// fifth column, in hexadecimal and network order.
fn ipv6_gateways(table: &str) -> Vec<IpAddr> {
    let gateway = |line: &str| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let (bits, hop) = (columns.get(1)?, columns.get(4)?);
        let is_default = is_zero(bits) && !is_zero(hop);
        let word = u128::from_str_radix(hop, 16).ok().filter(|_| is_default)?;
        Some(IpAddr::V6(Ipv6Addr::from(word)))
    };
    table.lines().filter_map(gateway).collect()
}

fn is_zero(hex: &str) -> bool {
    hex.bytes().all(|digit| digit == b'0')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_endian = "little")]
    fn ipv4_default_routes_have_a_gateway() {
        let table = "\
Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0
eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
eth1\t006433C6\tFE0200C0\t0003\t0\t0\t0\t00FFFFFF\t0\t0\t0
ppp0\t00000000\t00000000\t0001\t0\t0\t0\t00000000\t0\t0\t0
tun0\t00000000\t090200C0\t0003\t0\t0\t0\t00000080\t0\t0\t0
";
        assert_eq!(ipv4_gateways(table), ["192.0.2.1".parse::<IpAddr>().unwrap()]);
    }

    #[test]
    fn ipv6_default_routes_have_a_gateway() {
        let table = "\
20010db8000000000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000001 00000000 00000001 eth0
00000000000000000000000000000000 00 00000000000000000000000000000000 00 fe800000000000000000000000000001 00000400 00000001 00000000 00000003 eth0
00000000000000000000000000000000 00 00000000000000000000000000000000 00 00000000000000000000000000000000 ffffffff 00000001 00000000 00200200 lo
";
        assert_eq!(ipv6_gateways(table), ["fe80::1".parse::<IpAddr>().unwrap()]);
    }

    #[test]
    fn broken_tables_have_none() {
        for table in ["", "\n\n", "x", "h\neth0 00000000", "h\neth0 00000000 zz 0 0 0 0 00000000"] {
            assert_eq!(ipv4_gateways(table), [] as [IpAddr; 0]);
            assert_eq!(ipv6_gateways(table), [] as [IpAddr; 0]);
        }
    }

    #[test]
    fn loopback_is_an_own_address() {
        let host = Host::read().unwrap();
        assert!(host.addresses.contains(&IpAddr::V4(Ipv4Addr::LOCALHOST)), "{host:?}");
    }
}
