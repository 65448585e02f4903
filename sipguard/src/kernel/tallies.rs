//! Who sends, and how much: the kernel program's table, read as memory.

use std::{cmp::Reverse, num::NonZeroUsize, os::fd::AsFd as _, ptr::NonNull};

use aya::maps::{Map, MapData};
use ipnet::IpNet;
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};
use sipguard_common::{
    abi::{Address, TALLY_SETS, Tally, TallySet},
    method::Method,
    rule::Rule,
};

use super::{KernelError, maps::Maps};

/// What one source has sent since the program took notice of it. In a flood
/// some packets stand for others: then these are estimates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceTally {
    /// An address, or an IPv6 network that counts as one source.
    pub source: IpNet,
    /// Packets at a protected port, and bytes of their frames.
    pub packets: u64,
    pub bytes: u64,
    /// Those of them that were dropped.
    pub dropped: u64,
    /// Requests by method, where the method was read.
    pub options: u64,
    pub register: u64,
    pub invite: u64,
    /// Packets that were looked at: fewer than `packets` in an estimate.
    pub samples: u64,
    /// When the last one was, in nanoseconds of CLOCK_MONOTONIC.
    pub last_ns: u64,
    /// What the last one was judged by.
    pub rule: Rule,
    /// Of the last request.
    pub method: Option<Method>,
}

/// The table, mapped into our memory.
pub(super) struct Tallies {
    table: NonNull<TallySet>,
    bytes: NonZeroUsize,
    /// Keeps the map.
    _map: MapData,
}

// SAFETY: memory that we only read, and that is ours until the end.
unsafe impl Send for Tallies {}
// SAFETY: as above.
unsafe impl Sync for Tallies {}

impl Tallies {
    pub(super) fn take(maps: &mut impl Maps) -> Result<Self, KernelError> {
        let Map::Array(map) = maps.take("TALLIES")? else {
            return Err(KernelError::Missing { what: "array", name: "TALLIES" });
        };
        let bytes = const { NonZeroUsize::new(TALLY_SETS as usize * size_of::<TallySet>()) };
        let bytes = bytes.ok_or(KernelError::Missing { what: "room in map", name: "TALLIES" })?;
        // SAFETY: the kernel chooses the place, and rounds the length up to
        // whole pages, as the map has them.
        let table = unsafe {
            mmap(None, bytes, ProtFlags::PROT_READ, MapFlags::MAP_SHARED, map.fd().as_fd(), 0)
        };
        let table = table.map_err(|errno| KernelError::Io {
            what: "mapping the table of sources",
            source: errno.into(),
        })?;
        Ok(Self { table: table.cast(), bytes, _map: map })
    }

    /// Every source that was seen and not forgotten, once: where two CPUs made
    /// room for the same one at the same time, the one that is still counted in.
    pub(super) fn read(&self, name: impl Fn(Address) -> IpNet) -> Vec<SourceTally> {
        let sets = (0..TALLY_SETS as usize).flat_map(|set| {
            // SAFETY: within the mapping. The program writes meanwhile: numbers
            // may be of different moments.
            unsafe { self.table.add(set).read_volatile() }.0
        });
        let mut all: Vec<SourceTally> = sets
            .filter(|tally| tally.last_ns != 0)
            .filter_map(|tally| named(&tally, &name))
            .collect();
        all.sort_unstable_by_key(|tally| (tally.source, Reverse(tally.last_ns)));
        all.dedup_by_key(|tally| tally.source);
        all
    }
}

impl Drop for Tallies {
    fn drop(&mut self) {
        // SAFETY: our own mapping, which nothing points into any more. An error
        // would leave it to the end of the process.
        let _ = unsafe { munmap(self.table.cast(), self.bytes.get()) };
    }
}

/// `None` for a rule that this version does not know.
fn named(tally: &Tally, name: impl Fn(Address) -> IpNet) -> Option<SourceTally> {
    let method = Method::ALL.get(tally.method as usize).copied();
    Some(SourceTally {
        source: name(tally.source),
        packets: tally.packets,
        bytes: tally.bytes,
        dropped: tally.dropped,
        options: tally.options,
        register: tally.register,
        invite: tally.invite,
        samples: tally.samples,
        last_ns: tally.last_ns,
        rule: Rule::from_number(tally.rule)?,
        method: method.filter(|method| *method != Method::Unknown),
    })
}
