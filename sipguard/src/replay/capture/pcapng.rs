//! pcapng (draft-ietf-opsawg-pcapng): blocks of a type, a length, a body and
//! the length again. A section has a byte order and interfaces of its own.

use std::io::Read;

use jiff::Timestamp;

use super::{
    Bytes, CaptureError, Damage, Direction, Format, Found, MAX_PACKET, Order,
    link::{self, is_known},
};

const SECTION: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
/// Obsolete, in old captures only.
const PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const ENHANCED_PACKET: u32 = 6;

const BLOCK: &str = "a block";

/// Bytes of a block that is read: a packet with its options.
const MAX_BLOCK: u32 = MAX_PACKET * 2;

/// Interfaces of a section at most.
const MAX_INTERFACES: usize = 65_536;

/// The block's type and its two lengths.
const FRAME: u32 = 12;

#[derive(Debug)]
pub(super) struct PcapNg {
    order: Order,
    interfaces: Vec<Interface>,
}

#[derive(Clone, Copy, Debug)]
struct Interface {
    link: u32,
    /// Bytes of a packet that are stored; 0 for all.
    snap: u32,
    /// Units of time in a second; `None` where there are more than can be told
    /// apart.
    units: Option<u128>,
    /// Seconds to add to each time.
    offset: i64,
}

/// Reads the first block, behind its type.
pub(super) fn head<R: Read>(bytes: &mut Bytes<R>) -> Result<Format, CaptureError> {
    let mut pcapng = PcapNg { order: Order::Little, interfaces: Vec::new() };
    pcapng.section(bytes, 0)?;
    Ok(Format::PcapNg(pcapng))
}

impl PcapNg {
    pub(super) fn next<R: Read>(
        &mut self,
        bytes: &mut Bytes<R>,
        buffer: &mut Vec<u8>,
    ) -> Result<Option<Found>, CaptureError> {
        loop {
            let at = bytes.at();
            let mut kind = [0; 4];
            if !bytes.head(&mut kind, BLOCK)? {
                return Ok(None);
            }
            let kind = self.order.u32(&kind, 0).unwrap_or_default();
            if kind == SECTION {
                self.section(bytes, at)?;
                continue;
            }
            let mut len = [0; 4];
            bytes.exact(&mut len, BLOCK)?;
            let len = self.order.u32(&len, 0).unwrap_or_default();
            let body = body_len(at, len)?;
            let is_read = matches!(kind, INTERFACE | PACKET | SIMPLE_PACKET | ENHANCED_PACKET);
            if !is_read {
                bytes.skip(body, BLOCK)?;
            } else if len > MAX_BLOCK {
                let what = format!("a packet of {body} bytes; no network has such");
                return Err(CaptureError::new(at, Damage::Corrupt(what)));
            } else {
                bytes.body(buffer, body, BLOCK)?;
            }
            self.end(bytes, at, len)?;
            let found = match kind {
                INTERFACE => {
                    self.interface(at, buffer)?;
                    continue;
                }
                ENHANCED_PACKET => self.enhanced(buffer),
                PACKET => self.obsolete(buffer),
                SIMPLE_PACKET => self.simple(buffer),
                _ => continue,
            };
            let found = found.map_err(|what| CaptureError::new(at, Damage::Corrupt(what)))?;
            if !is_known(found.link) {
                return Err(CaptureError::new(at, Damage::LinkType(found.link)));
            }
            return Ok(Some(Found { link: link::canonical(found.link), ..found }));
        }
    }

    /// A section's head, behind its type, which reads the same in both orders.
    fn section<R: Read>(&mut self, bytes: &mut Bytes<R>, at: u64) -> Result<(), CaptureError> {
        let mut head = [0; 12];
        bytes.exact(&mut head, BLOCK)?;
        self.order = match head.get(4..8) {
            Some([0x1a, 0x2b, 0x3c, 0x4d]) => Order::Big,
            Some([0x4d, 0x3c, 0x2b, 0x1a]) => Order::Little,
            _ => {
                let what = "a section has no byte order".to_owned();
                return Err(CaptureError::new(at, Damage::Corrupt(what)));
            }
        };
        let len = self.order.u32(&head, 0).unwrap_or_default();
        let major = self.order.u16(&head, 8).unwrap_or_default();
        let minor = self.order.u16(&head, 10).unwrap_or_default();
        if major != 1 {
            return Err(CaptureError::new(at, Damage::Version { major, minor }));
        }
        let body = body_len(at, len)?;
        let Some(rest) = body.checked_sub(8) else {
            let what = format!("a section's head of {len} bytes");
            return Err(CaptureError::new(at, Damage::Corrupt(what)));
        };
        bytes.skip(rest, BLOCK)?;
        self.end(bytes, at, len)?;
        self.interfaces.clear();
        Ok(())
    }

    /// The length that stands behind each block.
    fn end<R: Read>(&self, bytes: &mut Bytes<R>, at: u64, len: u32) -> Result<(), CaptureError> {
        let mut again = [0; 4];
        bytes.exact(&mut again, BLOCK)?;
        let again = self.order.u32(&again, 0).unwrap_or_default();
        if again == len {
            return Ok(());
        }
        let what = format!("a block of {len} bytes ends as one of {again}");
        Err(CaptureError::new(at, Damage::Corrupt(what)))
    }

    fn interface(&mut self, at: u64, body: &[u8]) -> Result<(), CaptureError> {
        let order = self.order;
        let fields = || Some((order.u16(body, 0)?, order.u32(body, 4)?));
        let corrupt = |what: String| CaptureError::new(at, Damage::Corrupt(what));
        let (link, snap) = fields().ok_or_else(|| corrupt("a short interface".to_owned()))?;
        if self.interfaces.len() >= MAX_INTERFACES {
            return Err(corrupt(format!("more than {MAX_INTERFACES} interfaces")));
        }
        let options = body.get(8..).unwrap_or_default();
        // if_tsresol and if_tsoffset.
        let resolution = option(order, options, 9).and_then(|value| value.first().copied());
        let offset = option(order, options, 14).and_then(|value| order.i64(value, 0));
        self.interfaces.push(Interface {
            link: u32::from(link),
            snap,
            units: units(resolution.unwrap_or(6)),
            offset: offset.unwrap_or(0),
        });
        Ok(())
    }

    fn enhanced(&self, body: &[u8]) -> Result<Found, String> {
        let interface = self.order.u32(body, 0);
        self.packet(body, interface)
    }

    fn obsolete(&self, body: &[u8]) -> Result<Found, String> {
        let interface = self.order.u16(body, 0).map(u32::from);
        self.packet(body, interface)
    }

    /// Both kinds differ in how the interface is written only.
    fn packet(&self, body: &[u8], interface: Option<u32>) -> Result<Found, String> {
        const START: usize = 20;
        let order = self.order;
        let fields = || {
            let time = u64::from(order.u32(body, 4)?) << 32 | u64::from(order.u32(body, 8)?);
            Some((interface?, time, order.u32(body, 12)?, order.u32(body, 16)?))
        };
        let (number, time, stored, len) = fields().ok_or("a short packet block")?;
        let interface = self.interface_of(number)?;
        let end = START.saturating_add(stored as usize);
        if end > body.len() || stored > MAX_PACKET {
            return Err(format!("a packet of {stored} bytes in a block of {}", body.len()));
        }
        let options = body.get(end.next_multiple_of(4)..).unwrap_or_default();
        // epb_flags, bits 0 and 1.
        let flags = option(order, options, 2).and_then(|value| order.u32(value, 0));
        let direction = match flags.map(|flags| flags & 3) {
            Some(1) => Some(Direction::In),
            Some(2) => Some(Direction::Out),
            _ => None,
        };
        Ok(Found {
            time: interface.time(time),
            link: interface.link,
            direction,
            start: START,
            end,
            len: len.max(stored),
        })
    }

    fn simple(&self, body: &[u8]) -> Result<Found, String> {
        const START: usize = 4;
        let len = self.order.u32(body, 0).ok_or("a short packet block")?;
        let interface = self.interface_of(0)?;
        let snap = if interface.snap == 0 { u32::MAX } else { interface.snap };
        let stored = len.min(snap) as usize;
        let end = START.saturating_add(stored);
        if end > body.len() {
            return Err(format!("a packet of {stored} bytes in a block of {}", body.len()));
        }
        Ok(Found { time: None, link: interface.link, direction: None, start: START, end, len })
    }

    fn interface_of(&self, number: u32) -> Result<Interface, String> {
        let interface = self.interfaces.get(number as usize).copied();
        interface.ok_or_else(|| format!("a packet of interface {number}, which is not described"))
    }
}

impl Interface {
    fn time(self, units: u64) -> Option<Timestamp> {
        let nanoseconds = u128::from(units) * 1_000_000_000 / self.units?;
        let offset = i128::from(self.offset) * 1_000_000_000;
        let since_1970 = i128::try_from(nanoseconds).ok()?.checked_add(offset)?;
        Timestamp::from_nanosecond(since_1970).ok()
    }
}

/// Units in a second by if_tsresol: a power of ten, or with the first bit set
/// a power of two.
fn units(resolution: u8) -> Option<u128> {
    let power = u32::from(resolution & 0x7f);
    if resolution & 0x80 == 0 { 10u128.checked_pow(power) } else { 2u128.checked_pow(power) }
}

/// The length of a block's body, from that of the block.
fn body_len(at: u64, len: u32) -> Result<u32, CaptureError> {
    match len.checked_sub(FRAME) {
        Some(body) if len.is_multiple_of(4) => Ok(body),
        _ => Err(CaptureError::new(at, Damage::Corrupt(format!("a block of {len} bytes")))),
    }
}

/// The value of an option. What cannot be read counts as absent: options are
/// beside the point.
fn option(order: Order, mut options: &[u8], wanted: u16) -> Option<&[u8]> {
    loop {
        let (code, len) = (order.u16(options, 0)?, usize::from(order.u16(options, 2)?));
        if code == 0 {
            return None;
        }
        let value = options.get(4..4 + len)?;
        if code == wanted {
            return Some(value);
        }
        options = options.get(4 + len.next_multiple_of(4)..)?;
    }
}
