//! Inputs beside the seeds, without a fuzzer and the same on every machine: for
//! tests, which look a little beyond what is known.

use tests::random::Random;

use crate::Seed;

/// Bytes that mean something in texts, and ends of ranges.
const TELLING: &[u8] = b"\0\x01\x7f\x80\xff\r\n \t\"'\\/[]{}()<>#=,;:.-%@*09aA";

/// A seed with some changes, or parts of two.
pub(crate) fn shaken(random: &mut Random, seeds: &[Seed]) -> Vec<u8> {
    let mut bytes = random.pick(seeds).bytes.clone();
    for _ in 0..=random.below(6) {
        change(random, &mut bytes, seeds);
    }
    bytes
}

fn change(random: &mut Random, bytes: &mut Vec<u8>, seeds: &[Seed]) {
    let at = random.below(bytes.len() + 1);
    let end = (at + 1 + random.below(24)).min(bytes.len());
    match random.below(8) {
        0 => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << random.below(8);
            }
        }
        1 => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = *random.pick(TELLING);
            }
        }
        2 => bytes.insert(at, *random.pick(TELLING)),
        3 => drop(bytes.drain(at.min(end)..end)),
        4 => {
            let part = bytes[at.min(end)..end].to_vec();
            bytes.splice(at..at, part.repeat(1 + random.below(6)));
        }
        5 => bytes.truncate(at),
        6 => {
            let other = &random.pick(seeds).bytes;
            bytes.truncate(at);
            bytes.extend_from_slice(&other[random.below(other.len() + 1)..]);
        }
        _ => {
            // A number becomes one at an end of its range.
            let number = *random.pick(&["0", "-1", "65536", "4294967296", "18446744073709551616"]);
            bytes.splice(at.min(end)..end, number.bytes());
        }
    }
}
