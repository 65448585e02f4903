//! Where members stand in the running kernel's structures, by its own types
//! (BTF; `Documentation/bpf/btf.rst` of Linux).

use std::fs;

/// The kernel's own types. Linux 5.4, where it is configured.
const VMLINUX: &str = "/sys/kernel/btf/vmlinux";

const MAGIC: u16 = 0xeb9f;
const STRUCT: u32 = 4;

/// Bytes from the start of a structure to each of its members, in the order
/// asked for. `None` where the kernel does not tell.
pub(super) fn offsets<const N: usize>(structure: &str, members: [&str; N]) -> Option<[u32; N]> {
    find(&fs::read(VMLINUX).ok()?, structure, members)
}

/// A part of the data, read word by word.
#[derive(Clone, Copy)]
struct Words<'a>(&'a [u8]);

impl<'a> Words<'a> {
    /// The next word, in the byte order of this machine.
    fn next(&mut self) -> Option<u32> {
        let (word, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u32::from_ne_bytes(*word))
    }

    fn skip(&mut self, words: usize) -> Option<()> {
        self.0 = self.0.get(4 * words..)?;
        Some(())
    }
}

fn find<const N: usize>(data: &[u8], structure: &str, members: [&str; N]) -> Option<[u32; N]> {
    let mut header = Words(data);
    if header.next()?.to_ne_bytes()[..2] != MAGIC.to_ne_bytes() {
        return None;
    }
    let part = |header: &mut Words<'_>| {
        Some((usize::try_from(header.next()?).ok()?, usize::try_from(header.next()?).ok()?))
    };
    let behind = usize::try_from(header.next()?).ok()?;
    let (types_at, types_len) = part(&mut header)?;
    let (strings_at, strings_len) = part(&mut header)?;
    let body = data.get(behind..)?;
    let strings = body.get(strings_at..)?.get(..strings_len)?;
    let name = |offset: u32| {
        let text = strings.get(usize::try_from(offset).ok()?..)?;
        text.split(|byte| *byte == 0).next()
    };
    let mut types = Words(body.get(types_at..)?.get(..types_len)?);
    while let Some(name_at) = types.next() {
        let info = types.next()?;
        types.skip(1)?;
        let (kind, is_bits, count) = (info >> 24 & 0x1f, info >> 31 == 1, info & 0xffff);
        let words = extra_words(kind, usize::try_from(count).ok()?)?;
        if kind == STRUCT && name(name_at) == Some(structure.as_bytes()) {
            let of = Words(types.0.get(..4 * words)?);
            let mut found = [0; N];
            for (offset, member) in found.iter_mut().zip(members) {
                *offset = member_at(of, is_bits, |at| name(at) == Some(member.as_bytes()))?;
            }
            return Some(found);
        }
        types.skip(words)?;
    }
    None
}

/// The offset in bytes of the member whose name fits.
fn member_at(mut members: Words<'_>, is_bits: bool, fits: impl Fn(u32) -> bool) -> Option<u32> {
    loop {
        let (name, _, offset) = (members.next()?, members.next()?, members.next()?);
        if fits(name) {
            // With bit fields about, the upper byte is the width in bits.
            let bits = if is_bits { offset & 0x00ff_ffff } else { offset };
            return Some(bits / 8);
        }
    }
}

/// Words that follow the three of every type.
fn extra_words(kind: u32, count: usize) -> Option<usize> {
    Some(match kind {
        // int, variable, declaration tag
        1 | 14 | 17 => 1,
        // array
        3 => 3,
        // structure, union, 64-bit enumeration
        4 | 5 | 19 => 3 * count,
        // enumeration, prototype
        6 | 13 => 2 * count,
        // section of data
        15 => 3 * count,
        // pointer, forward, typedef, volatile, const, restrict, function,
        // float, type tag
        2 | 7..=12 | 16 | 18 => 0,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Types as the kernel writes them: a word, then `struct pair`.
    fn made() -> Vec<u8> {
        let strings = b"\0pair\0first\0second\0";
        let types: [u32; 13] = [
            // An int without a name.
            0,
            1 << 24,
            4,
            32, //
            // A structure of 8 bytes with two members of type 1.
            1,
            STRUCT << 24 | 2,
            8,
            6,
            1,
            0,
            12,
            1,
            32,
        ];
        let types: Vec<u8> = types.into_iter().flat_map(u32::to_ne_bytes).collect();
        let head = [24, 0, types.len() as u32, types.len() as u32, strings.len() as u32];
        let mut data = u32::from(MAGIC).to_ne_bytes().to_vec();
        data.extend(head.into_iter().flat_map(u32::to_ne_bytes));
        [data, types, strings.to_vec()].concat()
    }

    #[test]
    fn members_are_found_by_name() {
        let data = made();
        assert_eq!(find(&data, "pair", ["second", "first"]), Some([4, 0]));
        assert_eq!(find(&data, "pair", ["third"]), None);
        assert_eq!(find(&data, "triple", ["first"]), None);
    }

    #[test]
    fn damage_is_no_panic() {
        let data = made();
        for len in 0..data.len() {
            let _ = find(&data[..len], "pair", ["second"]);
        }
        for at in 0..data.len() {
            let mut data = data.clone();
            data[at] ^= 0xff;
            let _ = find(&data, "pair", ["second"]);
        }
    }

    #[test]
    fn the_running_kernel_tells_where_a_connection_stands() {
        if !std::path::Path::new(VMLINUX).exists() {
            return;
        }
        let Some([rcv_nxt, snd_nxt]) = offsets("tcp_sock", ["rcv_nxt", "snd_nxt"]) else {
            panic!("no offsets");
        };
        assert!(rcv_nxt != snd_nxt && rcv_nxt % 4 == 0 && snd_nxt % 4 == 0);
    }
}
