//! File systems that only a test and its children see.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use nix::{
    mount::{MntFlags, MsFlags, mount, umount2},
    sched::{CloneFlags, unshare},
};

/// A file system that is gone when this is, or the thread that has mounted it
/// and all that this has started.
#[derive(Debug)]
pub struct Mount {
    place: PathBuf,
    kind: &'static str,
}

impl Mount {
    /// The file of [`Self::fill`].
    pub const BALLAST: &str = "ballast";

    /// Mounts a new file system of some kind, with options such as `size=1m`,
    /// where only this thread and what it starts from now on see it.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn new(kind: &'static str, place: PathBuf, options: &str) -> Result<Self> {
        unshare(CloneFlags::CLONE_NEWNS).context("cannot have mounts of our own")?;
        let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
        mount(None::<&str>, "/", None::<&str>, private, None::<&str>)?;
        fs::create_dir_all(&place)?;
        mount(Some(kind), &place, Some(kind), MsFlags::empty(), Some(options))
            .with_context(|| format!("cannot mount {kind} at {}", place.display()))?;
        Ok(Self { place, kind })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.place
    }

    /// Nobody can write to it any more, or can again.
    ///
    /// # Errors
    /// Where the kernel refuses, as while a file is open for writing.
    pub fn set_read_only(&self, read_only: bool) -> Result<()> {
        let flags = if read_only { MsFlags::MS_RDONLY } else { MsFlags::empty() };
        let flags = flags | MsFlags::MS_REMOUNT;
        mount(Some(self.kind), &self.place, Some(self.kind), flags, None::<&str>)
            .with_context(|| format!("cannot remount {}", self.place.display()))
    }

    /// Writes a file until there is no room left.
    ///
    /// # Errors
    /// Where it ends otherwise.
    pub fn fill(&self) -> Result<()> {
        let chunk = [0; 4096];
        let mut file = fs::File::create(self.ballast())?;
        loop {
            match std::io::Write::write_all(&mut file, &chunk) {
                Ok(()) => {}
                Err(error) if error.raw_os_error() == Some(nix::libc::ENOSPC) => return Ok(()),
                Err(error) => return Err(error).context("cannot fill the disk"),
            }
        }
    }

    /// Makes room again after [`Self::fill`].
    ///
    /// # Errors
    /// Where it was not full.
    pub fn empty(&self) -> Result<()> {
        Ok(fs::remove_file(self.ballast())?)
    }

    fn ballast(&self) -> PathBuf {
        self.place.join(Self::BALLAST)
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // On another thread nothing of ours is mounted there.
        let _ = umount2(&self.place, MntFlags::MNT_DETACH);
    }
}
