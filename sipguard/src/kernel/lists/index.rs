//! The index of the lists: `sipguard_common::networks`. Each byte is a function
//! of the entries that touch its network; none is remembered here.

use std::net::Ipv4Addr;

use aya::Ebpf;
use ipnet::{IpNet, Ipv4Net};
use sipguard_common::{
    abi::Address,
    networks::{self, CHUNK, CHUNKS_V4, Chunk, LOOK, NONE, WHOLE},
};

use super::{
    book::{Book, Sketch},
    planned::Planned,
    span::Span,
};
use crate::{
    kernel::{ArrayMap, KernelError, typed},
    policy::Target,
};

pub(super) struct Index {
    map: ArrayMap<Chunk>,
}

impl Index {
    pub(super) fn take(ebpf: &mut Ebpf) -> Result<Self, KernelError> {
        Ok(Self { map: typed(ebpf, "NETWORKS")? })
    }

    /// The byte that speaks for an address.
    pub(super) fn get(&self, address: Address) -> Result<u8, KernelError> {
        let slot = networks::slot(address) as usize;
        let chunk = self
            .map
            .get(&((slot / CHUNK) as u32), 0)
            .map_err(KernelError::map("reading the index of the lists"))?;
        Ok(chunk.0[slot % CHUNK])
    }

    /// Brings the bytes of a span to what the books say. One program writes,
    /// and a packet reads one byte: it meets the old state of its network or
    /// the new one.
    pub(super) fn write(
        &mut self,
        span: &Span,
        trusted: &Book<impl Planned>,
        blocked: &Book<impl Planned>,
    ) -> Result<(), KernelError> {
        let number = span.chunk as u32;
        let mut chunk = if span.is_whole() {
            Chunk::NONE
        } else {
            self.map.get(&number, 0).map_err(KernelError::map("reading the index of the lists"))?
        };
        let (of_trust, of_blocks) = (states(trusted, span), states(blocked, span));
        for at in span.first..=span.last {
            chunk.0[at] = networks::byte(of_trust[at], of_blocks[at]);
        }
        self.map.set(number, chunk, 0).map_err(KernelError::map("writing the index of the lists"))
    }
}

/// What one list says about each byte of a span; elsewhere undefined.
fn states(book: &Book<impl Planned>, span: &Span) -> [u8; CHUNK] {
    let Some(v6) = span.chunk.checked_sub(CHUNKS_V4) else { return states_v4(book, span) };
    let mut states = [NONE; CHUNK];
    for (state, class) in states[span.first..=span.last].iter_mut().zip(v6 * CHUNK + span.first..) {
        if book.tally().touches_v6(class as u32) {
            *state = LOOK;
        }
    }
    states
}

/// Some entry touches the network.
const TOUCHED: u8 = 1;
/// One covers it, at every time and from every port.
const COVERED: u8 = 2;
/// One makes a difference between those that it names and others.
const CLASSED: u8 = 4;

/// Longest prefix that covers a whole byte of the index.
const BYTE_BITS: u8 = 24;

fn states_v4(book: &Book<impl Planned>, span: &Span) -> [u8; CHUNK] {
    let mut marks = [0; CHUNK];
    touching(book, span, |net, entry| {
        let mut mark = TOUCHED;
        if entry.classed {
            mark |= CLASSED;
        } else if !entry.ends && entry.target.port.is_none() && net.prefix_len() <= BYTE_BITS {
            mark |= COVERED;
        }
        for of_byte in &mut marks[span.common(net)] {
            *of_byte |= mark;
        }
    });
    marks.map(|mark| match mark {
        0 => NONE,
        mark if mark & COVERED != 0 && mark & CLASSED == 0 => WHOLE,
        _ => LOOK,
    })
}

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
