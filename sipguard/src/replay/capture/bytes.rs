//! Bytes of a file by their offset, and numbers in either byte order.

use std::io::{BufReader, ErrorKind, Read};

use super::{CaptureError, Damage};

/// In which order the bytes of a number stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Big,
    Little,
}

impl Order {
    /// The number at `at`, or `None` where the bytes end before.
    pub(super) fn u16(self, bytes: &[u8], at: usize) -> Option<u16> {
        let bytes = *bytes.get(at..)?.first_chunk()?;
        Some(match self {
            Self::Big => u16::from_be_bytes(bytes),
            Self::Little => u16::from_le_bytes(bytes),
        })
    }

    /// As [`Self::u16`].
    pub(super) fn u32(self, bytes: &[u8], at: usize) -> Option<u32> {
        let bytes = *bytes.get(at..)?.first_chunk()?;
        Some(match self {
            Self::Big => u32::from_be_bytes(bytes),
            Self::Little => u32::from_le_bytes(bytes),
        })
    }

    /// As [`Self::u16`].
    pub(super) fn i64(self, bytes: &[u8], at: usize) -> Option<i64> {
        let bytes = *bytes.get(at..)?.first_chunk()?;
        Some(match self {
            Self::Big => i64::from_be_bytes(bytes),
            Self::Little => i64::from_le_bytes(bytes),
        })
    }
}

/// What [`foreign`] calls a compressed file.
pub(super) const COMPRESSED: &str = "a compressed file";

/// What a file that starts with these bytes is.
pub(super) fn foreign(start: &[u8]) -> &'static str {
    match start {
        [0x1f, 0x8b, ..]
        | [0x28, 0xb5, 0x2f, 0xfd]
        | [0xfd, b'7', b'z', b'X']
        | [b'B', b'Z', b'h', _]
        | [0x04, 0x22, 0x4d, 0x18]
        | [b'P', b'K', 3, 4] => COMPRESSED,
        [b's', b'n', b'o', b'o'] => "a capture of snoop",
        [b'G' | b'R', b'M' | b'T', b'B' | b'S', _] => "a capture of Network Monitor",
        [0xa1, 0xb2, 0xcd, 0x34] | [0x34, 0xcd, 0xb2, 0xa1] => "a capture of a patched libpcap",
        [0x7f, b'E', b'L', b'F'] => "a program",
        text if text.iter().all(|byte| matches!(byte, b'\t' | b'\n' | b'\r' | 0x20..=0x7e)) => {
            "text"
        }
        _ => "something else",
    }
}

/// A file that is read from start to end.
#[derive(Debug)]
pub(super) struct Bytes<R> {
    reader: BufReader<R>,
    at: u64,
}

impl<R: Read> Bytes<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { reader: BufReader::with_capacity(1 << 18, reader), at: 0 }
    }

    /// Offset of the next byte.
    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// Fills `into` as far as the file goes; gives how many bytes there were.
    pub(super) fn start(&mut self, into: &mut [u8]) -> Result<usize, CaptureError> {
        let mut have = 0;
        while let Some(rest) = into.get_mut(have..).filter(|rest| !rest.is_empty()) {
            match self.reader.read(rest) {
                Ok(0) => break,
                Ok(count) => {
                    have += count;
                    self.at += count as u64;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(CaptureError::new(self.at, Damage::Io(error))),
            }
        }
        Ok(have)
    }

    /// Fills `into`, a part of `what`; at the end of the file gives false.
    pub(super) fn head(
        &mut self,
        into: &mut [u8],
        what: &'static str,
    ) -> Result<bool, CaptureError> {
        match self.start(into)? {
            0 => Ok(false),
            count if count == into.len() => Ok(true),
            _ => Err(CaptureError::new(self.at, Damage::CutOff(what))),
        }
    }

    /// Fills `into`, a part of `what` that must be there.
    pub(super) fn exact(
        &mut self,
        into: &mut [u8],
        what: &'static str,
    ) -> Result<(), CaptureError> {
        match self.head(into, what)? {
            true => Ok(()),
            false => Err(CaptureError::new(self.at, Damage::CutOff(what))),
        }
    }

    /// Reads `len` bytes of `what` in place of what is in `into`. Takes no more
    /// memory than the file has bytes, whatever `len` says.
    pub(super) fn body(
        &mut self,
        into: &mut Vec<u8>,
        len: u32,
        what: &'static str,
    ) -> Result<(), CaptureError> {
        into.clear();
        let read = self.reader.by_ref().take(u64::from(len)).read_to_end(into);
        self.at += into.len() as u64;
        match read {
            Ok(count) if count as u64 == u64::from(len) => Ok(()),
            Ok(_) => Err(CaptureError::new(self.at, Damage::CutOff(what))),
            Err(error) => Err(CaptureError::new(self.at, Damage::Io(error))),
        }
    }

    /// Skips `len` bytes of `what`.
    pub(super) fn skip(&mut self, len: u32, what: &'static str) -> Result<(), CaptureError> {
        let mut part = self.reader.by_ref().take(u64::from(len));
        match std::io::copy(&mut part, &mut std::io::sink()) {
            Ok(count) => {
                self.at += count;
                if count == u64::from(len) {
                    return Ok(());
                }
                Err(CaptureError::new(self.at, Damage::CutOff(what)))
            }
            Err(error) => Err(CaptureError::new(self.at, Damage::Io(error))),
        }
    }
}
