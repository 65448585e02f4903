//! Where a capture goes: whole blocks, and so a whole file whenever it ends.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{self, Seek as _, SeekFrom, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use crate::{
    capture::{Block, Counts, End, STATISTICS_MAX, statistics},
    cli::exit::{Exit, Failure},
};

/// What is being written.
pub(super) struct Output {
    place: Place,
    /// Bytes of one of two files.
    rotate: Option<u64>,
    /// What every file starts with.
    head: Vec<u8>,
    /// Whole blocks that are not written yet.
    pending: Vec<u8>,
    /// Bytes and packets of the present file, pending ones, too.
    size: u64,
    packets: u64,
    /// Packets of the file before.
    before: u64,
    /// What the daemon has said last.
    told: Counts,
    end: Option<End>,
}

enum Place {
    Stdout,
    File {
        path: PathBuf,
        /// `None` until the capture has begun, where another file has to go.
        file: Option<File>,
        /// Bytes of whole blocks in it.
        whole: u64,
    },
}

/// What has become of a capture.
#[derive(Clone, Copy, Debug)]
pub(super) struct Written {
    /// `packets` are those in the files.
    pub(super) counts: Counts,
    /// Why the daemon has ended it.
    pub(super) end: Option<End>,
    /// Packets of files that had to go.
    pub(super) rotated: u64,
}

impl Output {
    /// Makes the file, before anything else is done. One that is there goes
    /// only where `force` says so, and only once the capture has begun. Nothing
    /// is written through a symbolic link.
    pub(super) fn open(path: &Path, rotate: Option<u64>, force: bool) -> Result<Self, Failure> {
        let place = if path == Path::new("-") {
            Place::Stdout
        } else {
            for path in [Some(path.to_owned()), rotate.map(|_| second(path))].into_iter().flatten()
            {
                may_go(&path, force)?;
            }
            let file = match create(path) {
                Ok(file) => Some(file),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && force => None,
                Err(error) => return Err(refused(path, &error)),
            };
            Place::File { path: path.to_owned(), file, whole: 0 }
        };
        Ok(Self {
            place,
            rotate,
            head: Vec::new(),
            pending: Vec::new(),
            size: 0,
            packets: 0,
            before: 0,
            told: Counts::default(),
            end: None,
        })
    }

    /// The capture has begun: now an older file has to go.
    pub(super) fn begin(&mut self) -> Result<(), Failure> {
        let Place::File { path, file, .. } = &mut self.place else { return Ok(()) };
        let older =
            self.rotate.map(|_| second(path)).filter(|path| path.symlink_metadata().is_ok());
        if let Some(older) = older {
            fs::remove_file(&older).map_err(|error| refused(&older, &error))?;
        }
        if file.is_none() {
            fs::remove_file(&*path).map_err(|error| refused(path, &error))?;
            *file = Some(create(path).map_err(|error| refused(path, &error))?);
        }
        Ok(())
    }

    /// The capture has not begun: the file goes that was made for it.
    pub(super) fn abandon(self) {
        if let Place::File { path, file: Some(_), .. } = self.place {
            // An empty file is no harm.
            let _ = fs::remove_file(path);
        }
    }

    /// Takes a block, to be written by [`Self::flush`].
    pub(super) fn add(&mut self, block: Block, bytes: &[u8]) -> Result<(), Failure> {
        match block {
            Block::Statistics(counts, end) => {
                // There is one, at the end.
                (self.told, self.end) = (counts, end);
                return Ok(());
            }
            Block::Head => self.head.extend_from_slice(bytes),
            Block::Packet => {
                let after = self.size + bytes.len() as u64 + STATISTICS_MAX;
                if self.packets > 0 && self.rotate.is_some_and(|max| after > max) {
                    self.turn()?;
                }
                self.packets += 1;
            }
            Block::Other => {}
        }
        self.pending.extend_from_slice(bytes);
        self.size += bytes.len() as u64;
        Ok(())
    }

    /// Writes what was taken.
    pub(super) fn flush(&mut self) -> Result<(), Failure> {
        let Self { place, pending, .. } = self;
        match place {
            Place::Stdout => {
                let mut stdout = io::stdout().lock();
                stdout.write_all(pending)?;
                stdout.flush()?;
            }
            Place::File { path, file, whole } => {
                let Some(file) = file else { return Ok(()) };
                if let Err(error) = file.write_all(pending) {
                    // What was written in part goes, so that the file is whole.
                    let _ = file.set_len(*whole).and_then(|()| file.seek(SeekFrom::Start(*whole)));
                    return Err(refused(path, &error));
                }
                *whole += pending.len() as u64;
            }
        }
        pending.clear();
        Ok(())
    }

    /// The present file becomes the one before.
    fn turn(&mut self) -> Result<(), Failure> {
        self.pending.extend(statistics(self.told, None));
        self.flush()?;
        let Place::File { path, file, whole } = &mut self.place else { return Ok(()) };
        fs::rename(&*path, second(path)).map_err(|error| refused(path, &error))?;
        *file = Some(create(path).map_err(|error| refused(path, &error))?);
        *whole = 0;
        self.pending.clone_from(&self.head);
        self.size = self.head.len() as u64;
        self.before = std::mem::take(&mut self.packets);
        Ok(())
    }

    /// Writes the last block; `last` is what is known better than by the stream.
    pub(super) fn finish(&mut self, last: Option<Counts>, all: u64) -> Result<Written, Failure> {
        let told = last.unwrap_or(self.told);
        let packets = self.before + self.packets;
        let counts = Counts { packets, ..told };
        self.pending.extend(statistics(counts, self.end));
        self.flush()?;
        Ok(Written { counts, end: self.end, rotated: all.saturating_sub(packets) })
    }
}

/// The name of the file before.
pub(super) fn second(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(".1");
    name.into()
}

/// Readable by its owner alone, for there are names and passwords' hashes in it.
fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// Whether what has this name may be removed, if there is anything.
fn may_go(path: &Path, force: bool) -> Result<(), Failure> {
    let kind = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(refused(path, &error)),
        Ok(found) => found.file_type(),
    };
    let (message, hint) = if !kind.is_file() && !kind.is_symlink() {
        ("is there, and is no file", "write to another name, or to stdout: -w -")
    } else if !force {
        ("is there already", "write to another name, or overwrite it by --force")
    } else {
        return Ok(());
    };
    let message = format!("{} {message}", path.display());
    Err(Failure::new(Exit::Failure, message, Some(hint.to_owned())))
}

fn refused(path: &Path, error: &io::Error) -> Failure {
    Failure::new(Exit::Failure, format!("cannot write {}: {error}", path.display()), None)
}

#[cfg(test)]
mod tests;
