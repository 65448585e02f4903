//! pcap (draft-ietf-opsawg-pcap): a head of 24 bytes, then records of a head
//! of 16 bytes and the packet.

use std::io::Read;

use jiff::Timestamp;

use super::{
    Bytes, CaptureError, Damage, Format, Found, MAX_PACKET, Order,
    link::{self, is_known},
};

/// Nanoseconds in the fraction's unit.
pub(super) const MICRO: u32 = 1_000;
pub(super) const NANO: u32 = 1;

const HEAD: &str = "its own head";
const PACKET: &str = "a packet";

#[derive(Debug)]
pub(super) struct Pcap {
    order: Order,
    /// Nanoseconds in the unit of a time's fraction.
    unit: u32,
    link: u32,
}

/// Reads what stands behind the first four bytes.
pub(super) fn head<R: Read>(
    bytes: &mut Bytes<R>,
    order: Order,
    unit: u32,
) -> Result<Format, CaptureError> {
    let mut head = [0; 20];
    bytes.exact(&mut head, HEAD)?;
    let number = |at| order.u16(&head, at).unwrap_or_default();
    let (major, minor) = (number(0), number(2));
    // Before 2.3 the two lengths of a packet stood the other way round.
    if major != 2 || minor < 3 {
        return Err(CaptureError::new(4, Damage::Version { major, minor }));
    }
    // The upper bits tell of check sequences behind the frames, which do no harm.
    let link = order.u32(&head, 16).unwrap_or_default() & 0xffff;
    if !is_known(link) {
        return Err(CaptureError::new(20, Damage::LinkType(link)));
    }
    Ok(Format::Pcap(Pcap { order, unit, link: link::canonical(link) }))
}

impl Pcap {
    pub(super) fn next<R: Read>(
        &mut self,
        bytes: &mut Bytes<R>,
        buffer: &mut Vec<u8>,
    ) -> Result<Option<Found>, CaptureError> {
        let at = bytes.at();
        let mut head = [0; 16];
        if !bytes.head(&mut head, PACKET)? {
            return Ok(None);
        }
        let number = |place| self.order.u32(&head, place).unwrap_or_default();
        let [seconds, fraction, stored, len] = [0, 4, 8, 12].map(number);
        let corrupt = |what: String| CaptureError::new(at, Damage::Corrupt(what));
        if stored > MAX_PACKET {
            return Err(corrupt(format!("a packet of {stored} bytes; no network has such")));
        }
        let nanoseconds = u64::from(fraction) * u64::from(self.unit);
        if nanoseconds >= 1_000_000_000 {
            return Err(corrupt(format!("a time with {nanoseconds} nanoseconds in its second")));
        }
        bytes.body(buffer, stored, PACKET)?;
        let since_1970 = i128::from(seconds) * 1_000_000_000 + i128::from(nanoseconds);
        Ok(Some(Found {
            time: Timestamp::from_nanosecond(since_1970).ok(),
            link: self.link,
            direction: None,
            start: 0,
            end: buffer.len(),
            len: len.max(stored),
        }))
    }
}
