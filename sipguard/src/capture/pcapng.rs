//! Frames as pcapng (draft-ietf-opsawg-pcapng): one section, an interface block
//! for each interface, enhanced packet blocks with a comment, and statistics.

use std::{borrow::Cow, time::Duration};

use jiff::Timestamp;
use pcap_file::{
    DataLink, Endianness, PcapResult,
    pcapng::{
        PcapNgWriter,
        blocks::{
            enhanced_packet::{EnhancedPacketBlock, EnhancedPacketOption},
            interface_description::{InterfaceDescriptionBlock, InterfaceDescriptionOption},
            interface_statistics::{InterfaceStatisticsBlock, InterfaceStatisticsOption},
            section_header::{SectionHeaderBlock, SectionHeaderOption},
        },
    },
};

use super::{Counts, End, Frame, to_wall_ns};

/// Bytes of the largest block of statistics.
pub const STATISTICS_MAX: u64 = 128;

/// if_tsresol: 10^-9 s.
const NANOSECONDS: u8 = 9;

/// Bits 0 and 1 of epb_flags: inbound.
const INBOUND: u32 = 1;

/// Bytes of an enhanced packet block beside the packet and its comment: the
/// block's own frame, its fixed fields, heads of the options, padding.
const PACKET_HEAD: u64 = 12 + 20 + 3 + 4 + 3 + 8 + 4;

/// Makes blocks, to be [taken](Self::take) away.
pub struct Pcapng {
    writer: PcapNgWriter<Vec<u8>>,
    /// The interface's index, where its number in the section is the place.
    interfaces: Vec<u32>,
    snaplen: u32,
    /// From CLOCK_MONOTONIC to the wall clock. The same throughout, so that no
    /// change of the clock bends the times between packets.
    to_wall_ns: i128,
    taken: u64,
}

impl Pcapng {
    /// Begins with the head and a block for each interface: index and name.
    ///
    /// # Errors
    /// Never in practice: it writes to memory.
    pub fn new(interfaces: &[(u32, String)], snaplen: u32) -> PcapResult<Self> {
        let name = concat!("sipguard ", env!("CARGO_PKG_VERSION"));
        let section = SectionHeaderBlock {
            endianness: Endianness::Little,
            options: vec![SectionHeaderOption::UserApplication(Cow::Borrowed(name))],
            ..SectionHeaderBlock::default()
        };
        let writer = PcapNgWriter::with_section_header(Vec::new(), section)?;
        let mut pcapng =
            Self { writer, interfaces: Vec::new(), snaplen, to_wall_ns: to_wall_ns(), taken: 0 };
        for (ifindex, name) in interfaces {
            pcapng.add_interface(*ifindex, name)?;
        }
        Ok(pcapng)
    }

    fn add_interface(&mut self, ifindex: u32, name: &str) -> PcapResult<()> {
        let options = vec![
            InterfaceDescriptionOption::IfName(Cow::Borrowed(name)),
            InterfaceDescriptionOption::IfTsResol(NANOSECONDS),
        ];
        let (linktype, snaplen) = (DataLink::ETHERNET, self.snaplen);
        self.interfaces.push(ifindex);
        self.writer.write_pcapng_block(InterfaceDescriptionBlock { linktype, snaplen, options })?;
        Ok(())
    }

    /// Bytes that [`Self::packet`] writes at most.
    #[must_use]
    pub fn room_for(&self, frame: &Frame) -> u64 {
        let captured = frame.bytes.len().min(self.snaplen as usize) as u64;
        captured + frame.comment().len() as u64 + PACKET_HEAD
    }

    /// Adds a packet.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn packet(&mut self, frame: &Frame) -> PcapResult<()> {
        let number = self.interfaces.iter().position(|ifindex| *ifindex == frame.ifindex);
        let number = match number {
            Some(number) => number,
            None => {
                self.add_interface(frame.ifindex, "other")?;
                self.interfaces.len() - 1
            }
        };
        // Where another tap has asked for more of it.
        let captured = frame.bytes.len().min(self.snaplen as usize);
        let data = frame.bytes.get(..captured).unwrap_or_default();
        self.writer.write_pcapng_block(EnhancedPacketBlock {
            interface_id: u32::try_from(number).unwrap_or_default(),
            timestamp: self.wall(frame.time_ns),
            original_len: frame.length,
            data: Cow::Borrowed(data),
            options: vec![
                EnhancedPacketOption::Comment(Cow::Owned(frame.comment())),
                EnhancedPacketOption::Flags(INBOUND),
            ],
        })?;
        Ok(())
    }

    /// Adds what was counted up to now; at the end with the reason.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn statistics(&mut self, counts: Counts, end: Option<End>) -> PcapResult<()> {
        let now = u64::try_from(Timestamp::now().as_nanosecond()).unwrap_or_default();
        let mut options = vec![
            InterfaceStatisticsOption::IsbIfDrop(counts.held_back),
            InterfaceStatisticsOption::IsbOsDrop(counts.lost),
            InterfaceStatisticsOption::IsbUsrDeliv(counts.packets),
        ];
        options.extend(end.map(|end| InterfaceStatisticsOption::Comment(end.name().into())));
        self.writer.write_pcapng_block(InterfaceStatisticsBlock {
            interface_id: 0,
            // The higher word comes first, in any byte order; pcap-file writes a
            // number of 64 bits.
            timestamp: now.rotate_left(32),
            options,
        })?;
        Ok(())
    }

    /// Takes the whole blocks that were made since the last time.
    pub fn take(&mut self) -> Vec<u8> {
        let blocks = std::mem::take(self.writer.get_mut());
        self.taken += blocks.len() as u64;
        blocks
    }

    /// Bytes so far, taken or not.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.taken + self.writer.get_ref().len() as u64
    }

    /// Whether everything so far was taken.
    #[must_use]
    pub fn is_taken(&self) -> bool {
        self.writer.get_ref().is_empty()
    }

    fn wall(&self, time_ns: u64) -> Duration {
        let wall = i128::from(time_ns) + self.to_wall_ns;
        Duration::from_nanos(u64::try_from(wall).unwrap_or_default())
    }
}

/// A block of statistics by itself, of the first interface.
#[must_use]
pub fn statistics(counts: Counts, end: Option<End>) -> Vec<u8> {
    let made = Pcapng::new(&[(0, String::new())], 0).and_then(|mut pcapng| {
        pcapng.take();
        pcapng.statistics(counts, end).map(|()| pcapng.take())
    });
    // It writes to memory.
    made.unwrap_or_default()
}

#[cfg(test)]
mod tests;
