//! Whole packets out of the kernel program, for captures.

use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd};

use aya::maps::{MapData, PerCpuArray, RingBuf};
use ipnet::IpNet;
use sipguard_common::{
    abi::{
        Address, SNAPLEN_MAX, TAPS, Tap, TapBuffer, TapCounts, TapSpec, TappedHead, V4_PREFIX_BITS,
        verdict,
    },
    bucket::Limit,
    rule::Rule,
};

use super::{
    KernelError, bans,
    maps::{ArrayMap, Maps, typed},
};

/// Which packets a tap gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TapWish {
    /// Judged by one of these, or nearly dropped by one; empty for any.
    pub rules: Vec<Rule>,
    /// From one of these addresses.
    pub source: Option<IpNet>,
    /// Also what passes, and no rule in mode observe would have dropped.
    pub all: bool,
    /// Bytes of each frame, [`SNAPLEN_MAX`] at most.
    pub snaplen: u32,
    /// Packets a second, and at once.
    pub per_second: Option<u32>,
}

impl TapWish {
    fn spec(&self) -> TapSpec {
        let rules = self.rules.iter().fold(0, |bits, rule| bits | rule.bit());
        let dropped = 1 << verdict::DROPPED | 1 << verdict::WOULD_DROP;
        let (address, mask) = self.source.map_or_else(Default::default, network);
        TapSpec {
            mask,
            address,
            rules: if rules == 0 { u64::MAX } else { rules },
            limit: self.per_second.map_or_else(Limit::default, limit),
            verdicts: if self.all { dropped | 1 << verdict::PASSED } else { dropped },
            snaplen: self.snaplen.min(SNAPLEN_MAX),
        }
    }
}

/// A network as addresses are compared with it.
fn network(net: IpNet) -> (Address, [u64; 2]) {
    let head = if net.addr().is_ipv4() { V4_PREFIX_BITS } else { 0 };
    let bits = head + u32::from(net.prefix_len());
    let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
    let Address(mask) = Address::from_octets(mask.to_be_bytes());
    (bans::key(net.network()), mask)
}

fn limit(per_second: u32) -> Limit {
    let interval_ns = 1_000_000_000 / u64::from(per_second.max(1));
    Limit { interval_ns, tolerance_ns: interval_ns * u64::from(per_second.max(1) - 1) }
}

pub(super) struct Taps {
    open: ArrayMap<u32>,
    specs: ArrayMap<TapSpec>,
    buffers: PerCpuArray<MapData, TapBuffer>,
}

impl Taps {
    pub(super) fn take(maps: &mut impl Maps) -> Result<Self, KernelError> {
        Ok(Self {
            open: typed(maps, "TAPPING")?,
            specs: typed(maps, "TAPS")?,
            buffers: typed(maps, "TAP_BUFFERS")?,
        })
    }

    /// Opens a tap for what is wished, or closes it.
    pub(super) fn set(&mut self, tap: Tap, wish: Option<&TapWish>) -> Result<(), KernelError> {
        let failed = || KernelError::map("setting a tap");
        let open = self.open.get(&0, 0).map_err(failed())?;
        // Closed while its wish changes. A packet that is under way meanwhile may
        // meet half of each, and come once too often or not at all.
        self.open.set(0, open & !tap.bit(), 0).map_err(failed())?;
        let Some(wish) = wish else { return Ok(()) };
        self.specs.set(tap as u32, wish.spec(), 0).map_err(failed())?;
        self.open.set(0, open | tap.bit(), 0).map_err(failed())
    }

    /// Closes all of them.
    pub(super) fn close(&mut self) -> Result<(), KernelError> {
        self.open.set(0, 0, 0).map_err(KernelError::map("closing taps"))
    }

    /// What the taps did not get, since the program was loaded.
    pub(super) fn counts(&self) -> Result<TapCounts, KernelError> {
        let per_cpu = self.buffers.get(&0, 0).map_err(KernelError::map("reading taps"))?;
        let mut sum = TapCounts::default();
        for TapBuffer { counts, .. } in per_cpu.iter() {
            for tap in 0..TAPS {
                sum.held_back[tap] += counts.held_back[tap];
                sum.lost[tap] += counts.lost[tap];
            }
        }
        Ok(sum)
    }
}

/// A packet as it came, or its start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tapped {
    pub head: TappedHead,
    /// From the first byte of the Ethernet header on.
    pub frame: Vec<u8>,
}

/// Takes packets out of the taps' ring buffer. Readable, for whoever waits, when
/// there is one.
pub struct TappedReader(RingBuf<MapData>);

impl TappedReader {
    pub(super) fn take(maps: &mut impl Maps) -> Result<Self, KernelError> {
        let ring = RingBuf::try_from(maps.take("TAPPED")?);
        Ok(Self(ring.map_err(KernelError::map("opening a ring buffer"))?))
    }

    /// The oldest packet that was not taken yet.
    pub fn next_packet(&mut self) -> Option<Tapped> {
        loop {
            let record = self.0.next()?;
            let Some((head, bytes)) = record.split_at_checked(size_of::<TappedHead>()) else {
                continue;
            };
            // SAFETY: as long as a head, of which every bit pattern is valid.
            let head = unsafe { head.as_ptr().cast::<TappedHead>().read_unaligned() };
            if let Some(frame) = bytes.get(..head.captured as usize) {
                return Some(Tapped { head, frame: frame.to_vec() });
            }
        }
    }
}

impl AsFd for TappedReader {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the ring buffer, and with it the descriptor, lives as long
        // as self.
        unsafe { BorrowedFd::borrow_raw(self.0.as_raw_fd()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_in(address: &str, net: &str) -> bool {
        let (wanted, mask) = network(net.parse().unwrap());
        let Address([head, tail]) = bans::key(address.parse().unwrap());
        [head & mask[0], tail & mask[1]] == wanted.0
    }

    #[test]
    fn networks_hold_their_addresses() {
        assert!(is_in("192.0.2.7", "192.0.2.0/24") && !is_in("192.0.3.7", "192.0.2.0/24"));
        assert!(is_in("192.0.2.7", "192.0.2.7/32") && !is_in("192.0.2.6", "192.0.2.7/32"));
        assert!(is_in("192.0.2.7", "0.0.0.0/0") && !is_in("2001:db8::1", "0.0.0.0/0"));
        assert!(is_in("2001:db8::1", "2001:db8::/33") && !is_in("2001:db9::1", "2001:db8::/33"));
        assert!(is_in("2001:db8::1", "::/0"));
    }

    #[test]
    fn without_wishes_it_is_everything_that_is_dropped() {
        let wish =
            TapWish { rules: vec![], source: None, all: false, snaplen: 1 << 20, per_second: None };
        let spec = wish.spec();
        assert_eq!((spec.rules, spec.mask, spec.address.0), (u64::MAX, [0; 2], [0; 2]));
        assert_eq!(
            (spec.verdicts, spec.snaplen, spec.limit),
            (0b110, SNAPLEN_MAX, Limit::default())
        );
        let wish = TapWish { rules: vec![Rule::Options], all: true, per_second: Some(100), ..wish };
        let spec = wish.spec();
        assert_eq!((spec.rules, spec.verdicts), (Rule::Options.bit(), 0b111));
        assert_eq!(spec.limit, Limit { interval_ns: 10_000_000, tolerance_ns: 990_000_000 });
    }
}
