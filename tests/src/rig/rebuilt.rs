//! sipguard as another build would have it: the same program in other
//! instructions, which the kernel tells apart by its tag.

use std::{fs, io, path::Path};

use anyhow::{Context as _, Result, ensure};
use object::{Object as _, ObjectSection as _, SectionKind, elf};

/// Bytes of an instruction, and its operation in the first one.
const INSTRUCTION: usize = 8;
/// `dst = imm`, of all 64 bits, and of 32 with zeros above: the same for what is
/// not negative.
const MOVE_64: u8 = 0xb7;
const MOVE_32: u8 = 0xb4;

/// Bytes of a header of ELF.
const HEADER: usize = 64;

/// Writes a copy of a binary in which each program that lies in it has one
/// instruction for another that does the same.
///
/// # Errors
/// Where there is no such instruction, or the file system refuses.
pub fn rebuild(binary: &Path, copy: &Path) -> Result<()> {
    let mut bytes = fs::read(binary)?;
    let mut changed = 0;
    for start in objects(&bytes) {
        let places = places(&bytes[start..])?;
        for place in &places {
            bytes[start + place] = MOVE_32;
        }
        changed += places.len();
    }
    ensure!(changed > 1, "no programs in {}", binary.display());
    fs::write(copy, bytes)?;
    fs::set_permissions(copy, fs::metadata(binary)?.permissions())
        .map_err(io::Error::other)
        .with_context(|| format!("cannot write {}", copy.display()))
}

/// Where an object for BPF begins.
fn objects(bytes: &[u8]) -> Vec<usize> {
    let is_bpf =
        |head: &[u8]| head.starts_with(&elf::ELFMAG) && head[18..20] == elf::EM_BPF.to_le_bytes();
    let heads = bytes.windows(HEADER).enumerate();
    heads.filter(|(_, head)| is_bpf(head)).map(|(start, _)| start).collect()
}

/// The first fitting instruction of each section of code.
fn places(object: &[u8]) -> Result<Vec<usize>> {
    let file = object::File::parse(object).context("an object for BPF")?;
    let code = file.sections().filter(|section| section.kind() == SectionKind::Text);
    let first = |section: object::Section<'_, '_>| {
        let (start, _) = section.file_range()?;
        let code = section.data().ok()?;
        let fits = |instruction: &[u8]| {
            // Registers, no offset, and a number that is not negative.
            instruction[0] == MOVE_64 && instruction[2..4] == [0, 0] && instruction[7] < 0x80
        };
        let at = code.chunks_exact(INSTRUCTION).position(fits)?;
        Some(start as usize + at * INSTRUCTION)
    };
    Ok(code.filter_map(first).collect())
}
