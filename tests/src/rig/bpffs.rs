//! A bpffs of a test's own: what is pinned there is gone when the test is.

use std::{
    fs::{self, File},
    io,
    os::{fd::AsFd as _, unix::process::CommandExt as _},
    path::{Path, PathBuf},
    process::Command,
    thread,
};

use anyhow::{Context as _, Result, anyhow};
use aya::maps::{Array, Map, MapData};
use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, setns, unshare},
};
use sipguard_common::abi::Record;

/// A mount namespace with a bpffs in it that nobody else sees. Both end with
/// this and with the last process in it, however they end.
#[derive(Debug)]
pub struct Bpffs {
    namespace: File,
    path: PathBuf,
}

impl Bpffs {
    /// Makes one below this folder.
    ///
    /// # Errors
    /// Where the kernel refuses, such as without CAP_SYS_ADMIN.
    pub fn new(folder: &Path) -> Result<Self> {
        let path = folder.join("bpf");
        fs::create_dir_all(&path)?;
        let namespace = on_a_thread(|| {
            alone()?;
            let none: Option<&str> = None;
            mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
            mount(Some("bpf"), &path, Some("bpf"), MsFlags::empty(), none)?;
            File::open("/proc/thread-self/ns/mnt")
        });
        let namespace = namespace.context("cannot mount a bpffs")?;
        Ok(Self { namespace, path })
    }

    /// Where sipguard shall pin: a directory that it has to make.
    #[must_use]
    pub fn pins(&self) -> PathBuf {
        self.path.join("sipguard")
    }

    /// Lets a command see it.
    ///
    /// # Errors
    /// Where the namespace's handle cannot be doubled.
    pub fn show(&self, command: &mut Command) -> Result<()> {
        let namespace = self.namespace.try_clone().context("cannot double a handle")?;
        // SAFETY: between fork and exec; this is a bare system call.
        unsafe {
            command.pre_exec(move || Ok(setns(namespace.as_fd(), CloneFlags::CLONE_NEWNS)?));
        }
        Ok(())
    }

    /// Runs `work` on a thread that sees it.
    ///
    /// # Errors
    /// Where it cannot be entered, or those of `work`.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> io::Result<T> + Send) -> Result<T> {
        on_a_thread(|| {
            alone()?;
            setns(self.namespace.as_fd(), CloneFlags::CLONE_NEWNS)?;
            work()
        })
    }

    /// Lets whoever sees it find another file at the place of one.
    ///
    /// # Errors
    /// Where one of them is missing.
    pub fn put_in_place_of(&self, file: &Path, other: &Path) -> Result<()> {
        self.enter(|| {
            let none: Option<&str> = None;
            Ok(mount(Some(other), file, none, MsFlags::MS_BIND, none)?)
        })
        .with_context(|| format!("cannot put {} there", other.display()))
    }

    /// Makes what is pinned the work of a sipguard with another layout.
    ///
    /// # Errors
    /// Where there is no record, or the kernel refuses.
    pub fn make_older(&self) -> Result<()> {
        let record = self.pins().join("maps/RECORD");
        self.enter(move || {
            let map = MapData::from_pin(record).map_err(io::Error::other)?;
            let map = Map::from_map_data(map).map_err(io::Error::other)?;
            let mut map: Array<MapData, Record> = map.try_into().map_err(io::Error::other)?;
            let record = map.get(&0, 0).map_err(io::Error::other)?;
            map.set(0, Record { abi: 1, ..record }, 0).map_err(io::Error::other)
        })
    }

    /// What is pinned, as paths below the directory of pins, sorted.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn pinned(&self) -> Result<Vec<String>> {
        let pins = self.pins();
        self.enter(move || {
            let mut found = Vec::new();
            walk(&pins, &pins, &mut found)?;
            found.sort();
            Ok(found)
        })
    }
}

/// A thread that has a root and a directory of its own may change its mounts.
fn alone() -> io::Result<()> {
    Ok(unshare(CloneFlags::CLONE_FS | CloneFlags::CLONE_NEWNS)?)
}

fn walk(root: &Path, path: &Path, found: &mut Vec<String>) -> io::Result<()> {
    let entries = match fs::read_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            walk(root, &entry.path(), found)?;
        } else {
            let path = entry.path();
            let path = path.strip_prefix(root).unwrap_or(&path).display().to_string();
            found.push(path);
        }
    }
    Ok(())
}

fn on_a_thread<T: Send>(work: impl FnOnce() -> io::Result<T> + Send) -> Result<T> {
    let result = thread::scope(|scope| scope.spawn(work).join());
    Ok(result.map_err(|_| anyhow!("a thread with mounts of its own has panicked"))??)
}
