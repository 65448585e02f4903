//! The index of the lists: `sipguard_common::networks`. What a word says of the
//! lists is a function of the entries that touch its network, and none is
//! remembered here.

use std::{
    collections::{BTreeSet, HashMap},
    net::Ipv4Addr,
};

use ipnet::{IpNet, Ipv4Net};
use sipguard_common::{
    abi::Address,
    networks::{self, BITS, Bits, CHUNK, CHUNKS_V4, Chunk, LOOK, NONE, WHOLE},
};

use super::{
    bits::BlockedBits,
    book::{Book, Sketch},
    planned::Planned,
    span::Span,
};
use crate::{
    kernel::{
        KernelError,
        maps::{ArrayMap, Maps, typed},
    },
    policy::Target,
};

pub(super) struct Index {
    map: ArrayMap<Chunk>,
    bits: BlockedBits,
}

impl Index {
    pub(super) fn take(maps: &mut impl Maps) -> Result<Self, KernelError> {
        Ok(Self { map: typed(maps, "NETWORKS")?, bits: BlockedBits::take(maps)? })
    }

    /// Takes over what the maps say.
    pub(super) fn read_back(&mut self) -> Result<(), KernelError> {
        let mut taken = BTreeSet::new();
        for number in 0..CHUNKS_V4 as u32 {
            taken.extend(self.read(number)?.0.into_iter().filter_map(bits_of));
        }
        self.bits.adopt(&taken);
        Ok(())
    }

    /// What it says of both lists about an address.
    pub(super) fn get(&self, address: Address) -> Result<u8, KernelError> {
        let slot = networks::slot(address) as usize;
        Ok(self.read((slot / CHUNK) as u32)?.0[slot % CHUNK] as u8)
    }

    fn read(&self, chunk: u32) -> Result<Chunk, KernelError> {
        self.map.get(&chunk, 0).map_err(KernelError::map("reading the index of the lists"))
    }

    /// Brings the words of a span to what the books say. One program writes, and
    /// a packet reads the byte of a word once: it meets the old state of its
    /// network or the new one. New bits are in their place before a word leads
    /// there, old ones leave it when none does any more.
    pub(super) fn write(
        &mut self,
        span: &Span,
        trusted: &Book<impl Planned>,
        blocked: &Book<impl Planned>,
    ) -> Result<(), KernelError> {
        let number = span.chunk as u32;
        let before = self.read(number)?;
        let (of_trust, of_blocks) = (States::of(trusted, span), States::of(blocked, span));
        let mut chunk = before;
        let mut left = Vec::new();
        for at in span.first..=span.last {
            let old = bits_of(before.0[at]);
            let new = match (of_blocks.bytes[at], old) {
                (BITS, Some(place)) => {
                    self.bits.change(place, of_blocks.bits(at))?;
                    old
                }
                (BITS, None) => self.bits.put(of_blocks.bits(at))?,
                _ => None,
            };
            left.extend(old.filter(|_| new.is_none()));
            let of_blocks = match of_blocks.bytes[at] {
                BITS if new.is_none() => LOOK,
                other => other,
            };
            // Trusted entries have a port, a class, and no bits.
            let of_trust = if of_trust.bytes[at] == BITS { LOOK } else { of_trust.bytes[at] };
            chunk.0[at] = networks::word(networks::byte(of_trust, of_blocks), new.unwrap_or(0));
        }
        self.map
            .set(number, chunk, 0)
            .map_err(KernelError::map("writing the index of the lists"))?;
        left.into_iter().try_for_each(|place| self.bits.give_back(place))
    }
}

/// The place of the bits that a word leads to.
fn bits_of(word: u32) -> Option<u32> {
    (networks::blocked(word as u8) == BITS).then(|| networks::place(word))
}

/// What one list says about each word of a span; elsewhere undefined.
struct States {
    bytes: [u8; CHUNK],
    /// For IPv4, which addresses its entries of parts of /24s name, whatever
    /// else they say.
    parts: HashMap<usize, Bits>,
}

impl States {
    /// What the entries of parts of a /24 name; only for one that has some.
    fn bits(&self, at: usize) -> Bits {
        self.parts.get(&at).copied().unwrap_or(Bits::NOBODY)
    }

    fn of(book: &Book<impl Planned>, span: &Span) -> Self {
        let Some(v6) = span.chunk.checked_sub(CHUNKS_V4) else { return Self::v4(book, span) };
        let mut bytes = [NONE; CHUNK];
        let classes = v6 * CHUNK + span.first..;
        for (byte, class) in bytes[span.first..=span.last].iter_mut().zip(classes) {
            if book.tally().touches_v6(class as u32) {
                *byte = LOOK;
            }
        }
        Self { bytes, parts: HashMap::new() }
    }

    fn v4(book: &Book<impl Planned>, span: &Span) -> Self {
        let mut marks = [0; CHUNK];
        let mut parts = HashMap::<usize, Bits>::new();
        touching(book, span, |net, entry| {
            let mut mark = TOUCHED;
            if entry.classed {
                mark |= CLASSED;
            }
            if entry.ends || entry.target.port.is_some() {
                mark |= VARIES;
            } else if net.prefix_len() <= BYTE_BITS && !entry.classed {
                mark |= COVERED;
            }
            for at in span.common(net) {
                marks[at] |= mark;
                if net.prefix_len() > BYTE_BITS {
                    let [.., first] = net.network().octets();
                    let [.., last] = net.broadcast().octets();
                    let slot = (span.chunk * CHUNK + at) as u32;
                    parts.entry(at).or_insert(Bits::of(slot)).block(first..=last);
                }
            }
        });
        let bytes = marks.map(|mark| match mark {
            0 => NONE,
            mark if mark & COVERED != 0 && mark & CLASSED == 0 => WHOLE,
            TOUCHED => BITS,
            _ => LOOK,
        });
        Self { bytes, parts }
    }
}

/// Some entry touches the network.
const TOUCHED: u8 = 1;
/// One covers it, at every time and from every port.
const COVERED: u8 = 2;
/// One makes a difference between those that it names and others.
const CLASSED: u8 = 4;
/// One holds at some times or from some ports only.
const VARIES: u8 = 8;

/// Longest prefix that covers a whole word of the index.
const BYTE_BITS: u8 = 24;

/// Every entry that touches the networks of a span.
fn touching(book: &Book<impl Planned>, span: &Span, mut each: impl FnMut(Ipv4Net, Sketch)) {
    let mut each = |entry: Sketch| {
        if let IpNet::V4(net) = entry.target.net {
            each(net, entry);
        }
    };
    let of = |net: Ipv4Net, port| Target { net: IpNet::V4(net), port };
    let address = |at: usize| Ipv4Addr::from(((span.chunk * CHUNK + at) as u32) << 8);
    let first = address(span.first);
    let last = Ipv4Addr::from(u32::from(address(span.last)) | 0xff);
    // Those that begin before the span: networks of which it is a part.
    for bits in 0..BYTE_BITS {
        let Ok(net) = Ipv4Net::new(first, bits).map(|net| net.trunc()) else { continue };
        if net.addr() != first {
            book.range(of(net, None)..=of(net, Some(u16::MAX))).for_each(&mut each);
        }
    }
    // Those that begin in it.
    let (Ok(from), Ok(to)) = (Ipv4Net::new(first, 0), Ipv4Net::new(last, 32)) else { return };
    book.range(of(from, None)..=of(to, Some(u16::MAX))).for_each(&mut each);
}
