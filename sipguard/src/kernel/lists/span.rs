//! Which bytes of the index a target touches.

use ipnet::{IpNet, Ipv4Net};
use sipguard_common::networks::{CHUNK, CHUNKS, CHUNKS_V4};

use super::tally::class_v6;
use crate::policy::Target;

/// Neighbouring bytes of one value of the index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Span {
    /// Which value.
    pub(super) chunk: usize,
    /// The first byte and the last one.
    pub(super) first: usize,
    pub(super) last: usize,
}

impl Span {
    pub(super) const fn whole(chunk: usize) -> Self {
        Self { chunk, first: 0, last: CHUNK - 1 }
    }

    /// The bytes of this span that an IPv4 network touches.
    pub(super) fn common(&self, net: Ipv4Net) -> std::ops::Range<usize> {
        let start = self.chunk * CHUNK;
        let (first, last) = slots(net);
        let first = first.saturating_sub(start).max(self.first);
        let end = (last + 1).saturating_sub(start).min(self.last + 1);
        first..end.max(first)
    }
}

/// The first byte for an IPv4 network, and the last, counted over all values.
fn slots(net: Ipv4Net) -> (usize, usize) {
    let slot = |address: std::net::Ipv4Addr| (u32::from(address) >> 8) as usize;
    (slot(net.network()), slot(net.broadcast()))
}

/// The bytes that a target touches.
pub(super) fn spans(target: Target) -> impl Iterator<Item = Span> {
    let (first, last) = match target.net {
        IpNet::V4(net) => slots(net),
        IpNet::V6(net) => {
            let start = CHUNKS_V4 * CHUNK;
            match class_v6(net) {
                Some(class) => (start + class as usize, start + class as usize),
                None => (start, CHUNKS * CHUNK - 1),
            }
        }
    };
    (first / CHUNK..=last / CHUNK).map(move |chunk| Span {
        chunk,
        first: if chunk == first / CHUNK { first % CHUNK } else { 0 },
        last: if chunk == last / CHUNK { last % CHUNK } else { CHUNK - 1 },
    })
}

/// Values of the index that have to be written again.
pub(super) struct Dirty([bool; CHUNKS]);

impl Dirty {
    pub(super) fn of<'a>(targets: impl Iterator<Item = &'a Target>) -> Self {
        let mut dirty = [false; CHUNKS];
        for span in targets.flat_map(|target| spans(*target)) {
            dirty[span.chunk] = true;
        }
        Self(dirty)
    }

    pub(super) fn spans(&self) -> impl Iterator<Item = Span> + '_ {
        (0..CHUNKS).filter(|chunk| self.0[*chunk]).map(Span::whole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Vec<Span> {
        spans(text.parse().unwrap()).collect()
    }

    #[test]
    fn a_target_touches_its_own_bytes() {
        let [span] = &of("198.51.100.7")[..] else { panic!("several") };
        assert_eq!((span.chunk, span.first, span.last), (0xc63, 0x364, 0x364));
        let [span] = &of("198.51.100.0/22:5060")[..] else { panic!("several") };
        assert_eq!((span.chunk, span.first, span.last), (0xc63, 0x364, 0x367));
        assert_eq!(of("10.0.0.0/8"), (0x0a0..0x0b0).map(Span::whole).collect::<Vec<_>>());
        assert_eq!(of("0.0.0.0/0").len(), CHUNKS_V4);
        assert_eq!(of("2000::/3").len(), CHUNKS - CHUNKS_V4);
        assert_eq!(of("2001:db8::1"), of("2001:db8:ffff::/48"));
    }

    #[test]
    fn what_a_network_and_a_span_have_in_common() {
        let span = Span { chunk: 0x0a0, first: 16, last: 31 };
        let common = |net: &str| span.common(net.parse().unwrap());
        assert_eq!(common("10.0.0.0/8"), 16..32);
        assert_eq!(common("10.0.20.0/24"), 20..21);
        assert_eq!(common("10.0.20.128/25"), 20..21);
        assert_eq!(common("10.0.0.0/19"), 16..32);
        assert!(common("10.0.32.0/24").is_empty());
        assert!(common("9.0.0.0/8").is_empty());
    }
}
