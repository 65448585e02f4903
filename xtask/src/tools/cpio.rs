//! Writing a cpio archive ("newc"), the form in which Linux takes its first
//! root file system: see Documentation/driver-api/early-userspace/buffer-format.rst
//! of the Linux sources.

use std::{
    collections::BTreeSet,
    fs::File,
    io::{self, BufWriter, Write as _},
    path::{Component, Path},
};

use anyhow::{Context as _, Result, ensure};

const FOLDER: u32 = 0o040_755;
const PROGRAM: u32 = 0o100_755;
/// The name that ends an archive.
const TRAILER: &str = "TRAILER!!!";
/// Everything begins at a multiple of this many bytes.
const ALIGNMENT: usize = 4;

/// An archive in the making.
pub(crate) struct Archive {
    out: BufWriter<File>,
    names: BTreeSet<String>,
}

impl Archive {
    pub(crate) fn create(path: &Path) -> Result<Self> {
        let file = File::create(path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Self { out: BufWriter::new(file), names: BTreeSet::new() })
    }

    /// Adds an empty folder and those above it.
    pub(crate) fn folder(&mut self, path: &Path) -> Result<()> {
        let mut name = String::new();
        for component in path.components() {
            let Component::Normal(part) = component else { continue };
            if !name.is_empty() {
                name.push('/');
            }
            name.push_str(part.to_str().context("a path that is no text")?);
            if self.names.insert(name.clone()) {
                self.entry(&name, FOLDER, &[])?;
            }
        }
        Ok(())
    }

    /// Adds a file that everybody may read and run, and the folders above it. A
    /// second one at the same path is left out.
    pub(crate) fn file(&mut self, path: &Path, content: &[u8]) -> Result<()> {
        self.folder(path.parent().context("a file without a folder")?)?;
        let name = path.to_str().context("a path that is no text")?.trim_start_matches('/');
        ensure!(!name.is_empty(), "a file without a name");
        if self.names.insert(name.to_owned()) {
            self.entry(name, PROGRAM, content)?;
        }
        Ok(())
    }

    /// Ends the archive.
    pub(crate) fn finish(mut self) -> Result<()> {
        self.entry(TRAILER, 0, &[])?;
        self.out.flush().context("cannot write the archive")
    }

    fn entry(&mut self, name: &str, mode: u32, content: &[u8]) -> Result<()> {
        let number = u32::try_from(self.names.len())?;
        let size = u32::try_from(content.len()).context("a file of 4 GiB or more")?;
        write_entry(&mut self.out, name, mode, number, size, content)
            .context("cannot write the archive")
    }
}

fn write_entry(
    out: &mut impl io::Write,
    name: &str,
    mode: u32,
    number: u32,
    size: u32,
    content: &[u8],
) -> io::Result<()> {
    let name_size = u32::try_from(name.len() + 1).map_err(io::Error::other)?;
    // inode, mode, user, group, links, time, size, device, special device, name's
    // size with its NUL, checksum.
    let fields = [number, mode, 0, 0, 1, 0, size, 0, 0, 0, 0, name_size, 0];
    let mut header = String::from("070701");
    for field in fields {
        header.push_str(&format!("{field:08X}"));
    }
    out.write_all(header.as_bytes())?;
    out.write_all(name.as_bytes())?;
    out.write_all(b"\0")?;
    pad(out, header.len() + name.len() + 1)?;
    out.write_all(content)?;
    pad(out, content.len())
}

fn pad(out: &mut impl io::Write, written: usize) -> io::Result<()> {
    let missing = written.next_multiple_of(ALIGNMENT) - written;
    out.write_all(&[0; ALIGNMENT][..missing])
}

#[cfg(test)]
mod tests {
    use super::{PROGRAM, write_entry};

    #[test]
    fn an_entry_is_laid_out_as_linux_reads_it() {
        let mut out = Vec::new();
        write_entry(&mut out, "init", PROGRAM, 1, 3, b"abc").expect("a Vec takes every write");
        let text = String::from_utf8(out).expect("text");
        assert_eq!(text.len() % 4, 0);
        assert!(text.starts_with("07070100000001000081ED"), "{text}");
        // Size, then devices, the name's size with its NUL, and the checksum.
        assert_eq!(&text[54..62], "00000003");
        assert_eq!(&text[94..102], "00000005");
        assert_eq!(&text[110..], "init\0\0abc\0");
    }
}
