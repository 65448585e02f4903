//! Keys, values and times as the kernel program reads them.

use std::time::Duration;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use jiff::Timestamp;
use nix::time::{ClockId, clock_gettime};
use sipguard_common::abi::{
    Address, LIST_KEY_HEAD_BITS, ListEntry, ListKey, Origin, V4_PREFIX_BITS, cps,
};

use crate::policy::Target;

/// An entry of a list without a class.
pub(in crate::kernel) fn entry(expires_ns: u64, bits: u8, origin: Origin) -> ListEntry {
    ListEntry { expires_ns, peer: 0, bits, origin: origin as u8, class: cps::NONE, pad: 0 }
}

/// The key of a target, and its length in bits in a trie.
pub(in crate::kernel) fn key(target: Target) -> (ListKey, u8) {
    const HEAD: u8 = LIST_KEY_HEAD_BITS as u8;
    const V4: u8 = V4_PREFIX_BITS as u8;
    let port = target.port.unwrap_or(0).to_be_bytes();
    let (address, bits) = match target.net {
        IpNet::V4(net) => (Address::v4(net.addr().octets()), V4 + net.prefix_len()),
        IpNet::V6(net) => (Address::from_octets(net.addr().octets()), net.prefix_len()),
    };
    (ListKey::new(address, port), HEAD + bits)
}

/// The target of a key, which has so many bits of an address in a trie.
pub(super) fn target(key: ListKey, address_bits: u32) -> Option<Target> {
    let [high, low, ..] = key.port.to_ne_bytes();
    let port = u16::from_be_bytes([high, low]);
    let bits = |bits: u32| u8::try_from(bits).ok();
    let net = match key.address.octets() {
        [.., a, b, c, d] if key.address.is_v4() && address_bits >= V4_PREFIX_BITS => {
            let bits = bits(address_bits - V4_PREFIX_BITS)?;
            IpNet::V4(Ipv4Net::new([a, b, c, d].into(), bits).ok()?)
        }
        octets => IpNet::V6(Ipv6Net::new(octets.into(), bits(address_bits)?).ok()?),
    };
    Some(Target { net, port: (port != 0).then_some(port) })
}

/// Nanoseconds of CLOCK_MONOTONIC, the program's clock.
pub(in crate::kernel) fn now() -> u64 {
    clock_gettime(ClockId::CLOCK_MONOTONIC)
        .map_or(0, |time| u64::try_from(Duration::from(time).as_nanos()).unwrap_or(u64::MAX))
}

/// The time on the program's clock that is `left` from now on; never 0.
pub(in crate::kernel) fn after(left: Duration) -> u64 {
    now().saturating_add(u64::try_from(left.as_nanos()).unwrap_or(u64::MAX)).max(1)
}

/// What the program's clock shows at a wall-clock time, where it is not
/// CLOCK_MONOTONIC.
#[derive(Clone, Copy, Debug)]
pub(in crate::kernel) struct Epoch {
    pub(in crate::kernel) wall: Timestamp,
    pub(in crate::kernel) clock_ns: u64,
}

/// A wall-clock time on the program's clock; in the past it is 1, not 0.
pub(super) fn expiry(until: Timestamp, epoch: Option<Epoch>) -> u64 {
    let Epoch { wall, clock_ns } =
        epoch.unwrap_or_else(|| Epoch { wall: Timestamp::now(), clock_ns: now() });
    let left = until.duration_since(wall).as_nanos();
    u64::try_from((i128::from(clock_ns) + left).max(1)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_hold_port_and_mapped_address() {
        let of = |text: &str| key(text.parse().expect("a target"));
        let (v4, bits) = of("198.51.100.0/24:5060");
        assert_eq!(v4.address, Address::v4([198, 51, 100, 0]));
        assert_eq!((v4.port.to_ne_bytes(), bits), ([0x13, 0xc4, 0, 0, 0, 0, 0, 0], 64 + 96 + 24));
        let (v6, bits) = of("2001:db8::/32");
        assert_eq!(
            (v6.address.octets()[..2].to_vec(), v6.port, bits),
            (vec![0x20, 0x01], 0, 64 + 32)
        );
    }

    #[test]
    fn keys_lead_back_to_their_targets() {
        for text in [
            "192.0.2.7",
            "198.51.100.0/24:5060",
            "0.0.0.0/0",
            "2001:db8::/32",
            "2000::/3",
            "[2001:db8::1]:5061",
        ] {
            let wanted: Target = text.parse().expect("a target");
            let (key, bits) = key(wanted);
            assert_eq!(target(key, u32::from(bits) - LIST_KEY_HEAD_BITS), Some(wanted), "{text}");
        }
    }

    #[test]
    fn times_in_the_past_are_not_for_ever() {
        assert_eq!(expiry(Timestamp::UNIX_EPOCH, None), 1);
        assert!(expiry(Timestamp::now(), None) > 1);
    }

    #[test]
    fn times_follow_the_epoch() {
        let wall = Timestamp::UNIX_EPOCH;
        let epoch = Some(Epoch { wall, clock_ns: 5_000 });
        let after = |nanoseconds| Timestamp::from_nanosecond(nanoseconds).expect("a time");
        assert_eq!(expiry(after(700), epoch), 5_700);
        assert_eq!(expiry(after(-700), epoch), 4_300);
        assert_eq!(expiry(after(-7_000), epoch), 1);
        assert_eq!(expiry(Timestamp::MAX, epoch), u64::MAX);
    }
}
