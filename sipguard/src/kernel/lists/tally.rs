//! How many entries a list has, by how they are looked up.

use std::collections::HashMap;

use ipnet::{IpNet, Ipv6Net};
use sipguard_common::networks;

use crate::policy::Target;

/// Kept up with each entry: with a million of them nobody counts again.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) exact: u32,
    pub(super) prefix: u32,
    /// Of the two above, those with a source port.
    pub(super) exact_port: u32,
    pub(super) prefix_port: u32,
    /// IPv6 networks wider than a /32, which fall into no one class.
    wide_v6: u32,
    /// Other IPv6 entries by their class in the index.
    classes_v6: HashMap<u32, u32>,
}

/// Bits of an IPv6 network that its class is made of.
const CLASS_BITS: u8 = 32;

/// The class of an IPv6 network in the index; `None` where it has several.
pub(super) fn class_v6(net: Ipv6Net) -> Option<u32> {
    let [a, b, c, d, ..] = net.addr().octets();
    (net.prefix_len() >= CLASS_BITS).then(|| networks::slot_v6(u32::from_be_bytes([a, b, c, d])))
}

impl Tally {
    pub(super) fn entries(&self) -> u32 {
        self.exact.saturating_add(self.prefix)
    }

    /// Whether an entry touches this class of IPv6 networks.
    pub(super) fn touches_v6(&self, class: u32) -> bool {
        self.wide_v6 > 0 || self.classes_v6.contains_key(&class)
    }

    pub(super) fn add(&mut self, target: Target) {
        self.each(target, |count| *count = count.saturating_add(1));
    }

    pub(super) fn remove(&mut self, target: Target) {
        self.each(target, |count| *count = count.saturating_sub(1));
    }

    fn each(&mut self, target: Target, change: impl Fn(&mut u32)) {
        let (all, with_port) = if target.is_address() {
            (&mut self.exact, &mut self.exact_port)
        } else {
            (&mut self.prefix, &mut self.prefix_port)
        };
        change(all);
        if target.port.is_some() {
            change(with_port);
        }
        let IpNet::V6(net) = target.net else { return };
        let Some(class) = class_v6(net) else {
            change(&mut self.wide_v6);
            return;
        };
        let count = self.classes_v6.entry(class).or_default();
        change(count);
        if *count == 0 {
            self.classes_v6.remove(&class);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_and_goes_leaves_nothing() {
        let targets = ["192.0.2.1", "192.0.2.0/24:5060", "[2001:db8::1]:5060", "2001:db8::/48"];
        let targets = targets.map(|text| text.parse::<Target>().unwrap());
        let mut tally = Tally::default();
        targets.into_iter().for_each(|target| tally.add(target));
        assert_eq!((tally.exact, tally.prefix, tally.entries()), (2, 2, 4));
        assert_eq!((tally.exact_port, tally.prefix_port), (1, 1));
        let class = networks::slot_v6(0x2001_0db8);
        tally.remove(targets[2]);
        assert!(tally.touches_v6(class) && !tally.touches_v6(class ^ 1));
        tally.add("2000::/3".parse().unwrap());
        assert!(tally.touches_v6(class ^ 1));
        for text in ["2000::/3", "192.0.2.1", "192.0.2.0/24:5060", "2001:db8::/48"] {
            tally.remove(text.parse().unwrap());
        }
        assert_eq!((tally.entries(), tally.exact_port, tally.prefix_port), (0, 0, 0));
        assert!(!tally.touches_v6(class) && tally.classes_v6.is_empty());
    }
}
