//! What an entry of a list stands for: an address or a network, in trusted.toml
//! also with a source port.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
    str::FromStr,
};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde::{Serialize, Serializer};

/// An address or network, optionally with one source port.
///
/// IPv4 addresses that are written as IPv6 (`::ffff:192.0.2.1`) are IPv4 here,
/// for on the wire they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Target {
    /// No host bits are set.
    pub net: IpNet,
    /// Source port; `None` stands for every port. Never 0.
    pub port: Option<u16>,
}

/// Why a text is no [`Target`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    #[error("`{0}` is not an IP address or network")]
    NotAnAddress(String),
    #[error("`{0}` is not a prefix length between 0 and {1}")]
    PrefixLength(String, u8),
    #[error("`{written}` has bits set behind its prefix")]
    HostBits { written: String, network: IpNet, address: IpAddr },
    #[error("`{0}` is not a port between 1 and 65535")]
    Port(String),
    #[error("no source port can stand here")]
    PortNotAllowed { without: IpNet },
    #[error("`{0}` would cover every IPv4 address, too")]
    CoversIpv4(Ipv6Net),
}

impl TargetError {
    /// What to do about it.
    #[must_use]
    pub fn remedy(&self) -> String {
        match self {
            Self::NotAnAddress(text) if text.contains('*') => {
                "write networks with a prefix length, such as 198.51.100.0/24".to_owned()
            }
            Self::NotAnAddress(text) if looks_like_a_name(text) => {
                "names are not resolved: write the addresses themselves, such as 203.0.113.10"
                    .to_owned()
            }
            Self::NotAnAddress(_) => {
                "write an address such as 203.0.113.10 or 2001:db8::1, or a network such as \
                 198.51.100.0/24"
                    .to_owned()
            }
            Self::PrefixLength(_, longest) => {
                format!("write a prefix length of 0 to {longest}, or none for a single address")
            }
            Self::HostBits { network, address, .. } => {
                format!("did you mean the network {network} or the address {address}?")
            }
            Self::Port(_) => {
                "write a port of 1 to 65535, or no port at all for every port".to_owned()
            }
            Self::PortNotAllowed { without } => format!("write {}", net_text(*without)),
            Self::CoversIpv4(_) => {
                "write 2000::/3 for all of the IPv6 internet, 0.0.0.0/0 for all of IPv4".to_owned()
            }
        }
    }
}

fn looks_like_a_name(text: &str) -> bool {
    text.contains(|c: char| c.is_ascii_alphabetic() && !c.is_ascii_hexdigit())
}

impl Target {
    /// A single address with every port.
    #[must_use]
    pub fn address(address: IpAddr) -> Self {
        Self { net: IpNet::from(address.to_canonical()), port: None }
    }

    /// Whether this is one address, not a network.
    #[must_use]
    pub fn is_address(&self) -> bool {
        is_address(self.net)
    }
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        let (net, port) = split_port(text)?;
        let port = port.map(parse_port).transpose()?;
        Ok(Self { net: read_net(net)?, port })
    }
}

/// Reads an address or network that cannot have a port.
///
/// # Errors
/// Says what is wrong and, by [`TargetError::remedy`], what to write.
pub fn parse_net(text: &str) -> Result<IpNet, TargetError> {
    let target: Target = text.parse()?;
    if target.port.is_some() {
        return Err(TargetError::PortNotAllowed { without: target.net });
    }
    Ok(target.net)
}

/// Splits `a.b.c.d:port`, `a.b.c.d/n:port`, `[v6]:port`, `[v6/n]:port`.
fn split_port(text: &str) -> Result<(&str, Option<&str>), TargetError> {
    let not_an_address = || TargetError::NotAnAddress(text.to_owned());
    if let Some(rest) = text.strip_prefix('[') {
        let (net, tail) = rest.split_once(']').ok_or_else(not_an_address)?;
        if !net.contains(':') {
            return Err(not_an_address());
        }
        if tail.is_empty() {
            return Ok((net, None));
        }
        let port = tail.strip_prefix(':').ok_or_else(not_an_address)?;
        return Ok((net, Some(port)));
    }
    match text.split_once(':') {
        // More than one colon: an IPv6 address without brackets has no port.
        Some((_, tail)) if tail.contains(':') => Ok((text, None)),
        Some((net, port)) if net.contains('.') => Ok((net, Some(port))),
        _ => Ok((text, None)),
    }
}

fn parse_port(text: &str) -> Result<u16, TargetError> {
    // u16's own parser takes a plus sign.
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(port) if digits && port != 0 => Ok(port),
        _ => Err(TargetError::Port(text.to_owned())),
    }
}

fn read_net(text: &str) -> Result<IpNet, TargetError> {
    let (address, length) = match text.split_once('/') {
        Some((address, length)) => (address, Some(length)),
        None => (text, None),
    };
    let address: IpAddr =
        address.parse().map_err(|_| TargetError::NotAnAddress(text.to_owned()))?;
    let longest = if address.is_ipv4() { 32 } else { 128 };
    let length = match length {
        Some(written) => parse_length(written, longest)?,
        None => longest,
    };
    let host_bits = |network: IpNet| TargetError::HostBits {
        written: text.to_owned(),
        network,
        address: address.to_canonical(),
    };
    let net = match address {
        IpAddr::V4(v4) => IpNet::V4(
            Ipv4Net::new(v4, length)
                .map_err(|_| TargetError::PrefixLength(length.to_string(), longest))?,
        ),
        IpAddr::V6(v6) => canonical(v6, length)?,
    };
    if net.trunc() != net {
        return Err(host_bits(net.trunc()));
    }
    match net {
        IpNet::V6(v6) if v6.contains(&Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0)) => {
            Err(TargetError::CoversIpv4(v6))
        }
        _ => Ok(net),
    }
}

fn parse_length(text: &str, longest: u8) -> Result<u8, TargetError> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(length) if digits && length <= longest => Ok(length),
        _ => Err(TargetError::PrefixLength(text.to_owned(), longest)),
    }
}

/// An IPv6 network, as IPv4 where it lies within `::ffff:0:0/96`.
fn canonical(address: Ipv6Addr, length: u8) -> Result<IpNet, TargetError> {
    let wrong = || TargetError::PrefixLength(length.to_string(), 128);
    match (address.to_ipv4_mapped(), length.checked_sub(96)) {
        (Some(v4), Some(length)) => Ipv4Net::new(v4, length).map(IpNet::V4).map_err(|_| wrong()),
        _ => Ipv6Net::new(address, length).map(IpNet::V6).map_err(|_| wrong()),
    }
}

fn is_address(net: IpNet) -> bool {
    net.prefix_len() == net.max_prefix_len()
}

/// A network as users write it: without a prefix length where it is one
/// address.
pub(crate) fn net_text(net: IpNet) -> String {
    if is_address(net) { net.addr().to_string() } else { net.to_string() }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let net = net_text(self.net);
        match (self.net, self.port) {
            (_, None) => f.pad(&net),
            (IpNet::V4(_), Some(port)) => f.pad(&format!("{net}:{port}")),
            (IpNet::V6(_), Some(port)) => f.pad(&format!("[{net}]:{port}")),
        }
    }
}

impl Serialize for Target {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(text: &str) -> String {
        text.parse::<Target>().unwrap().to_string()
    }

    #[test]
    fn every_form_reads_and_shows() {
        for text in [
            "203.0.113.10",
            "198.51.100.0/24",
            "203.0.113.20:5060",
            "198.51.100.0/24:5060",
            "2001:db8::1",
            "2001:db8::/32",
            "[2001:db8::1]:5060",
            "[2001:db8::/32]:5060",
            "0.0.0.0/0",
        ] {
            assert_eq!(shown(text), text);
        }
        assert_eq!(shown("[2001:db8::1]"), "2001:db8::1");
        assert_eq!(shown("192.0.2.1/32"), "192.0.2.1");
        assert_eq!(shown("2001:DB8:0::1/128"), "2001:db8::1");
    }

    #[test]
    fn mapped_ipv4_is_ipv4() {
        assert_eq!(shown("::ffff:192.0.2.1"), "192.0.2.1");
        assert_eq!(shown("[::ffff:192.0.2.1]:5060"), "192.0.2.1:5060");
        assert_eq!(shown("::ffff:192.0.2.0/120"), "192.0.2.0/24");
        assert_eq!(shown("::ffff:0:0/96"), "0.0.0.0/0");
        assert_eq!(Target::address("::ffff:192.0.2.1".parse().unwrap()).to_string(), "192.0.2.1");
    }

    #[test]
    fn host_bits_are_refused_with_both_readings() {
        let error = "198.51.100.7/24".parse::<Target>().unwrap_err();
        assert_eq!(error.to_string(), "`198.51.100.7/24` has bits set behind its prefix");
        assert_eq!(
            error.remedy(),
            "did you mean the network 198.51.100.0/24 or the address 198.51.100.7?"
        );
        assert!("2001:db8::1/64".parse::<Target>().is_err());
        assert!("::ffff:192.0.2.1/120".parse::<Target>().is_err());
    }

    /// In the kernel's lists IPv4 lies within ::/80, so a block of `::/0`
    /// would cut off IPv4 as well.
    #[test]
    fn ipv6_networks_around_ipv4_are_refused() {
        for text in ["::/0", "::/64", "::/80"] {
            assert!(matches!(text.parse::<Target>(), Err(TargetError::CoversIpv4(_))), "{text}");
        }
        assert!("2000::/3".parse::<Target>().is_ok());
        assert!("::/96".parse::<Target>().is_ok());
    }

    #[test]
    fn rubbish_is_refused_with_a_remedy() {
        for text in [
            "",
            " 192.0.2.1",
            "192.0.2.1 ",
            "192.0.2",
            "192.0.2.256",
            "192.0.2.01",
            "192.0.2.0/33",
            "192.0.2.0/",
            "192.0.2.0/+8",
            "192.0.2.0/24/24",
            "192.0.2.1:",
            "192.0.2.1:0",
            "192.0.2.1:+5",
            "192.0.2.1:65536",
            "192.0.2.*",
            "[192.0.2.1]:5060",
            "[2001:db8::1",
            "[2001:db8::1]5060",
            "2001:db8::/129",
            "fe80::1%eth0",
            "sip.example.com",
            "sip.example.com:5060",
        ] {
            let error = text.parse::<Target>().expect_err(text);
            assert!(!error.remedy().is_empty());
        }
        assert!(matches!(parse_net("192.0.2.1:5060"), Err(TargetError::PortNotAllowed { .. })));
    }

    proptest! {
        #[test]
        fn never_panics(text in "[0-9a-f.:/\\[\\]%]{0,40}") {
            let _ = text.parse::<Target>();
        }

        #[test]
        fn display_reads_back(address in any::<IpAddr>(), length in 0u8..=128, port in any::<u16>()) {
            let address = address.to_canonical();
            let longest = if address.is_ipv4() { 32 } else { 128 };
            let net = IpNet::new(address, length.min(longest)).unwrap().trunc();
            prop_assume!(!matches!(net, IpNet::V6(v6) if v6.addr().is_unspecified()));
            let target = Target { net, port: (port != 0).then_some(port) };
            prop_assert_eq!(target.to_string().parse::<Target>().unwrap(), target);
        }
    }
}
