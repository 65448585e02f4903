//! Captures: pcap and pcapng, packet by packet, in bounded memory.
//!
//! Read by hand, and not strictly: what matters is to judge every packet that
//! can be read, and to say at which byte of the file that ended.

mod bytes;
mod pcap;
mod pcapng;

use std::{io, io::Read};

use jiff::Timestamp;
use thiserror::Error;

use self::{
    bytes::{Bytes, Order},
    pcap::Pcap,
    pcapng::PcapNg,
};
use super::link;

/// Bytes of one packet at most; libpcap itself takes a quarter of it.
const MAX_PACKET: u32 = 1 << 20;

/// Which way a packet went, seen from the capturing host, where the capture
/// says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    In,
    Out,
}

/// A packet as it stands in the capture.
#[derive(Clone, Copy, Debug)]
pub struct Captured<'a> {
    /// When it was seen; a simple packet of pcapng does not say.
    pub time: Option<Timestamp>,
    /// LINKTYPE number, see <https://www.tcpdump.org/linktypes.html>.
    pub link: u32,
    pub direction: Option<Direction>,
    pub data: &'a [u8],
    /// Bytes that it had on the wire: more than there are where it was cut.
    pub len: u32,
}

/// Where and why reading a capture ended before its end.
#[derive(Debug, Error)]
#[error("byte {at}: {damage}")]
pub struct CaptureError {
    /// Offset in the file, in bytes from 0.
    pub at: u64,
    pub damage: Damage,
}

/// What is wrong with a capture.
#[derive(Debug, Error)]
pub enum Damage {
    #[error("the file is empty")]
    Empty,
    #[error("this is no capture but {0}")]
    Foreign(&'static str),
    #[error("version {major}.{minor} of the format is unknown")]
    Version { major: u16, minor: u16 },
    #[error("the file ends in the middle of {0}")]
    CutOff(&'static str),
    #[error("the file is damaged: {0}")]
    Corrupt(String),
    #[error("link type {0} ({name}) cannot be replayed", name = link::name(*.0))]
    LinkType(u32),
    #[error("cannot read: {0}")]
    Io(#[from] io::Error),
}

impl CaptureError {
    const fn new(at: u64, damage: Damage) -> Self {
        Self { at, damage }
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        Some(match &self.damage {
            Damage::Empty => "no packet was written: capture again, and end tcpdump with Ctrl-C",
            Damage::Foreign(bytes::COMPRESSED) => {
                "unpack it first, or on the way: sipguard replay <(zcat FILE)"
            }
            Damage::Foreign(_) | Damage::Version { .. } => {
                "replay reads pcap and pcapng, as `tcpdump -w FILE` and Wireshark write them"
            }
            Damage::CutOff(_) => {
                "the capture was copied before its end, the disk was full, or tcpdump was killed: what came before is judged, capture again for the rest"
            }
            Damage::Corrupt(_) => {
                "what came before is judged; copy the file again in binary mode, or capture again"
            }
            Damage::LinkType(_) => {
                "capture on an Ethernet interface, or on all with `tcpdump -i any`"
            }
            Damage::Io(_) => return None,
        })
    }
}

/// A capture that is being read.
#[derive(Debug)]
pub struct Capture<R> {
    bytes: Bytes<R>,
    format: Format,
    /// Of the packet that was read last.
    buffer: Vec<u8>,
    /// After an error nothing more can be found.
    ended: bool,
}

#[derive(Debug)]
enum Format {
    Pcap(Pcap),
    PcapNg(PcapNg),
}

/// A packet whose bytes lie in a part of the buffer.
#[derive(Clone, Copy, Debug)]
struct Found {
    time: Option<Timestamp>,
    link: u32,
    direction: Option<Direction>,
    start: usize,
    end: usize,
    len: u32,
}

impl<R: Read> Capture<R> {
    /// Reads the head of a capture of either format.
    ///
    /// # Errors
    /// Where it is none, or of a link type that cannot be replayed.
    pub fn new(reader: R) -> Result<Self, CaptureError> {
        let mut bytes = Bytes::new(reader);
        let mut magic = [0; 4];
        let format = match bytes.start(&mut magic)? {
            0 => return Err(CaptureError::new(0, Damage::Empty)),
            4 => match magic {
                [0xa1, 0xb2, 0xc3, 0xd4] => pcap::head(&mut bytes, Order::Big, pcap::MICRO)?,
                [0xd4, 0xc3, 0xb2, 0xa1] => pcap::head(&mut bytes, Order::Little, pcap::MICRO)?,
                [0xa1, 0xb2, 0x3c, 0x4d] => pcap::head(&mut bytes, Order::Big, pcap::NANO)?,
                [0x4d, 0x3c, 0xb2, 0xa1] => pcap::head(&mut bytes, Order::Little, pcap::NANO)?,
                [0x0a, 0x0d, 0x0d, 0x0a] => pcapng::head(&mut bytes)?,
                _ => return Err(CaptureError::new(0, Damage::Foreign(bytes::foreign(&magic)))),
            },
            short => {
                let foreign = bytes::foreign(magic.get(..short).unwrap_or_default());
                return Err(CaptureError::new(0, Damage::Foreign(foreign)));
            }
        };
        Ok(Self { bytes, format, buffer: Vec::new(), ended: false })
    }

    /// The next packet, or `None` at the end.
    ///
    /// # Errors
    /// Where the capture is damaged, or the packet is of a link type that
    /// cannot be replayed. Nothing more comes then.
    #[expect(clippy::should_implement_trait, reason = "a packet borrows from the capture")]
    pub fn next(&mut self) -> Option<Result<Captured<'_>, CaptureError>> {
        if self.ended {
            return None;
        }
        let found = match &mut self.format {
            Format::Pcap(pcap) => pcap.next(&mut self.bytes, &mut self.buffer),
            Format::PcapNg(pcapng) => pcapng.next(&mut self.bytes, &mut self.buffer),
        };
        match found {
            Ok(Some(Found { time, link, direction, start, end, len })) => {
                let data = self.buffer.get(start..end).unwrap_or_default();
                Some(Ok(Captured { time, link, direction, data, len }))
            }
            Ok(None) => {
                self.ended = true;
                None
            }
            Err(error) => {
                self.ended = true;
                Some(Err(error))
            }
        }
    }
}

#[cfg(test)]
mod tests;
