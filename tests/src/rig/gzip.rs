//! Gzip (RFC 1952) by hand: for answers that are packed well, and badly.

const HEAD: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3];

/// Bytes, packed as they are (RFC 1951 section 3.2.4); 65,535 at most.
#[must_use]
pub fn stored(bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
    let mut packed = HEAD.to_vec();
    packed.push(1);
    packed.extend(length.to_le_bytes());
    packed.extend((!length).to_le_bytes());
    packed.extend(bytes);
    packed.extend(crc32(bytes).to_le_bytes());
    packed.extend(u32::from(length).to_le_bytes());
    packed
}

/// Line feeds that unpack to a hundred and more times as many; without an end.
#[must_use]
pub fn bomb(unpacked: usize) -> Vec<u8> {
    let mut bits = Bits::default();
    // The last block, with fixed codes (section 3.2.6).
    bits.number(1, 1);
    bits.number(1, 2);
    bits.code(0x30 + u32::from(b'\n'), 8);
    for _ in 0..unpacked / 258 {
        // 258 bytes, each like the one before it.
        bits.code(0b1100_0101, 8);
        bits.code(0, 5);
    }
    [&HEAD[..], &bits.bytes].concat()
}

#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    used: u32,
}

impl Bits {
    fn bit(&mut self, bit: u32) {
        if self.used.is_multiple_of(8) {
            self.bytes.push(0);
        }
        if let Some(last) = self.bytes.last_mut() {
            *last |= ((bit & 1) as u8) << (self.used % 8);
        }
        self.used += 1;
    }

    /// Numbers begin with their lowest bit.
    fn number(&mut self, number: u32, bits: u32) {
        (0..bits).for_each(|at| self.bit(number >> at));
    }

    /// Codes begin with their highest bit.
    fn code(&mut self, code: u32, bits: u32) {
        (0..bits).rev().for_each(|at| self.bit(code >> at));
    }
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 }
        })
    })
}
