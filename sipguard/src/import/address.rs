//! Addresses as other programs write them.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use ipnet::{IpNet, Ipv4Subnets, Ipv6Subnets};

use crate::policy::net_text;

/// Networks with fewer bits are never carried over by themselves.
const WIDE_V4: u8 = 8;
const WIDE_V6: u8 = 16;

/// Reads an address, a network with a prefix length or a mask, or a range, as
/// the networks that it covers. Bits behind the prefix are cut off, for the
/// programs that are imported from do the same.
///
/// # Errors
/// Why it is none, for people.
pub(super) fn nets(text: &str) -> Result<Vec<IpNet>, String> {
    let text = text.trim();
    if let Some((first, last)) = text.split_once('-')
        && let (Some(first), Some(last)) = (address(first), address(last))
    {
        return range(first, last).ok_or_else(|| "is a range that runs backwards".to_owned());
    }
    net(text).map(|net| vec![net])
}

/// The same for one address or network.
pub(super) fn net(text: &str) -> Result<IpNet, String> {
    let text = text.trim();
    let (written, length) = match text.split_once('/') {
        Some((written, length)) => (written, Some(length)),
        None => (text, None),
    };
    let Some(address) = address(written) else { return Err(no_address(written)) };
    with_mask(address, length)
}

/// An address with a prefix length or mask, if there is one.
pub(super) fn with_mask(address: IpAddr, mask: Option<&str>) -> Result<IpNet, String> {
    let whole = if address.is_ipv4() { 32 } else { 128 };
    let length = match mask.map(str::trim) {
        None => whole,
        Some(mask) => length(mask)
            .filter(|length| *length <= whole)
            .ok_or_else(|| "has no prefix length or mask that is one".to_owned())?,
    };
    let net = IpNet::new(address, length).map_err(|error| error.to_string())?.trunc();
    Ok(canonical(net))
}

/// `::ffff:192.0.2.1` is IPv4 on the wire.
fn canonical(net: IpNet) -> IpNet {
    let IpNet::V6(v6) = net else { return net };
    let mapped = v6.addr().to_ipv4_mapped().zip(v6.prefix_len().checked_sub(96));
    let v4 = mapped.and_then(|(v4, length)| IpNet::new(IpAddr::V4(v4), length).ok());
    v4.unwrap_or(net)
}

/// An address, in brackets or not.
pub(super) fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    bare.unwrap_or(text).parse().ok()
}

fn length(mask: &str) -> Option<u8> {
    if !mask.is_empty() && mask.bytes().all(|byte| byte.is_ascii_digit()) {
        return mask.parse().ok();
    }
    match mask.parse::<IpAddr>().ok()? {
        IpAddr::V4(mask) => run_of_ones(u128::from(u32::from(mask)) << 96),
        IpAddr::V6(mask) => run_of_ones(u128::from(mask)),
    }
}

fn run_of_ones(bits: u128) -> Option<u8> {
    let ones = bits.leading_ones();
    (bits.count_ones() == ones).then(|| u8::try_from(ones).ok()).flatten()
}

/// Whether a text is meant as an address, so that a wrong one is told.
pub(super) fn no_address(text: &str) -> String {
    if text.is_empty() {
        return "names no address".to_owned();
    }
    let is_name = text.contains(|c: char| c.is_ascii_alphabetic() && !c.is_ascii_hexdigit());
    if is_name {
        "is a name: sipguard resolves none, for whoever owns the name would own the entry"
            .to_owned()
    } else {
        "is not an IP address or network".to_owned()
    }
}

/// The networks that a range covers, not more and not less.
pub(super) fn range(first: IpAddr, last: IpAddr) -> Option<Vec<IpNet>> {
    match (first, last) {
        (IpAddr::V4(first), IpAddr::V4(last)) if first <= last => {
            Some(Ipv4Subnets::new(first, last, 0).map(IpNet::V4).collect())
        }
        (IpAddr::V6(first), IpAddr::V6(last)) if first <= last => {
            Some(Ipv6Subnets::new(first, last, 0).map(IpNet::V6).map(canonical).collect())
        }
        _ => None,
    }
}

/// Why a network is carried over neither as trusted nor as blocked.
pub(super) fn refusal(net: IpNet, own: &[IpAddr]) -> Option<String> {
    let text = net_text(net);
    let (everybody, wide) = match net {
        IpNet::V4(_) => (net.prefix_len() == 0, WIDE_V4),
        IpNet::V6(v6) => {
            let v4 = Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0);
            (net.prefix_len() == 0 || v6.contains(&v4), WIDE_V6)
        }
    };
    if everybody {
        return Some(format!("`{text}` is everybody"));
    }
    if net.prefix_len() < wide {
        return Some(format!(
            "`{text}` is too large for one entry: sipguard takes /{wide} and longer"
        ));
    }
    let address = net.addr();
    let unused = |net: &IpNet| match net {
        IpNet::V4(v4) => {
            v4.addr().is_loopback()
                || v4.addr().is_multicast()
                || v4.addr() == Ipv4Addr::UNSPECIFIED
        }
        IpNet::V6(v6) => {
            v6.addr().is_loopback() || v6.addr().is_multicast() || v6.addr().is_unspecified()
        }
    };
    if unused(&net) {
        return Some(format!("`{text}` never sends over a wire"));
    }
    let own = own.iter().map(IpAddr::to_canonical).find(|own| *own == address || net.contains(own));
    own.map(|own| {
        if net.addr() == own {
            format!("`{own}` is an address of this host")
        } else {
            format!("`{text}` holds {own}, an address of this host")
        }
    })
}

/// Networks with the line of each, to ask what lies round and within.
#[derive(Debug, Default)]
pub(super) struct Nets {
    lines: BTreeMap<IpNet, usize>,
    lengths: BTreeSet<(bool, u8)>,
}

impl Nets {
    /// Adds one; the earlier line stays.
    pub(super) fn add(&mut self, net: IpNet, line: usize) {
        self.lines.entry(net).or_insert(line);
        self.lengths.insert((net.addr().is_ipv4(), net.prefix_len()));
    }

    /// The line of the network itself.
    pub(super) fn line(&self, net: IpNet) -> Option<usize> {
        self.lines.get(&net).copied()
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.lines.len()
    }

    /// A network that holds this one, or is it.
    pub(super) fn round(&self, net: IpNet) -> Option<(IpNet, usize)> {
        self.lengths
            .iter()
            .filter(|(v4, length)| *v4 == net.addr().is_ipv4() && *length <= net.prefix_len())
            .filter_map(|(_, length)| IpNet::new(net.addr(), *length).ok())
            .find_map(|wide| Some((wide.trunc(), self.line(wide.trunc())?)))
    }

    /// A network that lies within this one, or is it.
    pub(super) fn within(&self, net: IpNet) -> Option<(IpNet, usize)> {
        let first = IpNet::new(net.network(), 0).ok()?;
        let last = IpNet::new(net.broadcast(), net.max_prefix_len()).ok()?;
        let mut inside = self.lines.range(first..=last).filter(|(one, _)| net.contains(*one));
        inside.next().map(|(one, line)| (*one, *line))
    }

    /// Either.
    pub(super) fn touching(&self, net: IpNet) -> Option<(IpNet, usize)> {
        self.round(net).or_else(|| self.within(net))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Vec<String> {
        nets(text).unwrap().into_iter().map(net_text).collect()
    }

    #[test]
    fn foreign_forms() {
        assert_eq!(shown("192.0.2.7"), ["192.0.2.7"]);
        assert_eq!(shown("192.0.2.7/255.255.255.0"), ["192.0.2.0/24"]);
        assert_eq!(shown("192.0.2.7/24"), ["192.0.2.0/24"]);
        assert_eq!(shown("[2001:db8::1]"), ["2001:db8::1"]);
        assert_eq!(shown("2001:db8::1/ffff:ffff::"), ["2001:db8::/32"]);
        assert_eq!(shown("::ffff:192.0.2.1"), ["192.0.2.1"]);
        assert_eq!(
            shown("192.0.2.1-192.0.2.6"),
            ["192.0.2.1", "192.0.2.2/31", "192.0.2.4/31", "192.0.2.6"]
        );
        assert_eq!(shown("0.0.0.0-255.255.255.255"), ["0.0.0.0/0"]);
        for text in
            ["", "x", "192.0.2.1/33", "192.0.2.1/255.0.255.0", "192.0.2.6-192.0.2.1", "1/2/3"]
        {
            assert!(nets(text).is_err(), "{text}");
        }
        assert!(nets("sip.example.com").unwrap_err().contains("name"));
    }

    #[test]
    fn what_is_nobodys_peer() {
        let own = ["203.0.113.1".parse().unwrap()];
        let refused = |text| refusal(net(text).unwrap(), &own);
        for text in [
            "0.0.0.0/0",
            "::/0",
            "::/64",
            "10.0.0.0/7",
            "2000::/3",
            "127.0.0.1",
            "224.0.0.5",
            "203.0.113.1",
            "203.0.113.0/24",
            "::1",
        ] {
            assert!(refused(text).is_some(), "{text}");
        }
        for text in ["10.0.0.0/8", "203.0.113.2", "2001:db8::/32"] {
            assert_eq!(refused(text), None, "{text}");
        }
    }

    #[test]
    fn round_and_within() {
        let mut nets = Nets::default();
        let net = |text| net(text).unwrap();
        nets.add(net("198.51.100.0/24"), 3);
        nets.add(net("192.0.2.7"), 4);
        assert_eq!(nets.round(net("198.51.100.9")), Some((net("198.51.100.0/24"), 3)));
        assert_eq!(nets.round(net("198.51.0.0/16")), None);
        assert_eq!(nets.within(net("198.51.0.0/16")), Some((net("198.51.100.0/24"), 3)));
        assert_eq!(nets.within(net("192.0.2.0/24")), Some((net("192.0.2.7"), 4)));
        assert_eq!(nets.touching(net("203.0.113.0/24")), None);
    }
}
