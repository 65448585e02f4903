//! What outlives the daemon: maps and links in a directory of bpffs.
//!
//! ```text
//! DIR/maps/NAME       the maps of the programs that are attached
//! DIR/next/NAME       those of a load that is on its way; else not there
//! DIR/links/in-INDEX  what holds the ingress program at an interface
//! DIR/links/out-INDEX the same of the egress program
//! ```
//!
//! A load takes over what was learned and counted, fills lists and policy of its
//! own, and then replaces the program at each link: for a packet all of it
//! changes at once, and there is no moment without a program. Whoever dies on
//! the way leaves a filter that judges by one policy or by the other.
//!
//! The directory is locked by whoever uses it. Nothing else in it is touched.

mod layout;
mod names;

use std::{
    ffi::OsStr,
    fs::{self, DirBuilder, File},
    io,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use aya::{
    EbpfLoader,
    maps::{Map, MapData},
    programs::links::{FdLink, PinnedLink},
};
use nix::{
    fcntl::{Flock, FlockArg},
    mount::{MsFlags, mount},
    sys::statfs::{BPF_FS_MAGIC, statfs},
};
use sipguard_common::abi::{ABI_VERSION, Record, padded, unpadded};

use super::{
    KernelError,
    maps::{ArrayMap, Maps, typed},
};

/// Where pins are by default.
pub const DEFAULT_PINS: &str = "/sys/fs/bpf/sipguard";

/// The one place that we mount a bpffs at, as systemd does at each boot.
const BPFFS: &str = "/sys/fs/bpf";

/// How long another user of the directory is waited for.
const PATIENCE: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(20);

const MAPS: &str = "maps";
const NEXT: &str = "next";
const LINKS: &str = "links";

/// The way that a pinned program's packets go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    In,
    Out,
}

impl Way {
    const fn name(self) -> &'static str {
        match self {
            Self::In => "in",
            Self::Out => "out",
        }
    }
}

/// What an earlier load has left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Earlier {
    Nothing,
    /// Maps that this program can go on with.
    Same,
    /// Others, and why they are no use.
    Other(String),
}

/// The directory, for one user at a time.
#[derive(Debug)]
pub struct Pins {
    path: PathBuf,
    _lock: Flock<File>,
}

impl Pins {
    /// Opens the directory and makes what is missing of it.
    ///
    /// # Errors
    /// It is not on a bpffs, somebody else uses it, or the kernel refuses.
    pub fn make(path: &Path) -> Result<Self, KernelError> {
        if path.starts_with(BPFFS) && !is_bpffs(Path::new(BPFFS)) {
            // Where this fails, the next question says what is wrong.
            let none: Option<&str> = None;
            let _ = mount(Some("bpf"), BPFFS, Some("bpf"), MsFlags::empty(), none);
        }
        let there = path.ancestors().find(|part| part.exists()).unwrap_or(path);
        if !is_bpffs(there) {
            return Err(KernelError::NoBpffs(path.to_owned()));
        }
        make_directory(path)?;
        let pins = Self::lock(path)?;
        for part in [MAPS, LINKS] {
            make_directory(&path.join(part))?;
        }
        Ok(pins)
    }

    /// Opens the directory, if it is there.
    ///
    /// # Errors
    /// Somebody else uses it, or the kernel refuses.
    pub fn find(path: &Path) -> Result<Option<Self>, KernelError> {
        match path.join(MAPS).try_exists() {
            Ok(true) => Self::lock(path).map(Some),
            Ok(false) => Ok(None),
            Err(error) => Err(unusable(path)(error)),
        }
    }

    fn lock(path: &Path) -> Result<Self, KernelError> {
        let mut file = File::open(path).map_err(unusable(path))?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(lock) => return Ok(Self { path: path.to_owned(), _lock: lock }),
                Err(_) if Instant::now() >= deadline => {
                    return Err(KernelError::PinsInUse(path.to_owned()));
                }
                Err((unlocked, _)) => file = unlocked,
            }
            thread::sleep(POLL);
        }
    }

    /// What an earlier load has left there.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn earlier(&self) -> Result<Earlier, KernelError> {
        let record = self.path.join(MAPS).join(names::RECORD);
        match record.try_exists() {
            Ok(true) => {}
            Ok(false) => return Ok(Earlier::Nothing),
            Err(error) => return Err(unusable(&record)(error)),
        }
        if let Some(wrong) = layout::wrong_record(&open_map(&record)?)? {
            return Ok(Earlier::Other(wrong));
        }
        let record = self.record()?;
        if record.abi != ABI_VERSION {
            let by = text(&record.version);
            let theirs = record.abi;
            return Ok(Earlier::Other(format!(
                "they are of sipguard {by} with layout {theirs}, this one has layout {ABI_VERSION}"
            )));
        }
        for (name, map) in layout::of_object()? {
            if !names::KEPT.contains(&name.as_str()) {
                continue;
            }
            let path = self.path.join(MAPS).join(&name);
            if !path.exists() {
                return Ok(Earlier::Other(format!("the map {name} is missing")));
            }
            if let Some(wrong) = layout::wrong(&open_map(&path)?, &map)? {
                return Ok(Earlier::Other(format!("the map {name} has {wrong}")));
            }
        }
        Ok(Earlier::Same)
    }

    /// Whose maps are there.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn record(&self) -> Result<Record, KernelError> {
        let mut kept = Kept(self);
        let record: ArrayMap<Record> = typed(&mut kept, names::RECORD)?;
        record.get(&0, 0).map_err(KernelError::map("reading whose maps these are"))
    }

    /// Makes place for the maps of a coming load, with those in it that it takes
    /// over.
    pub(super) fn prepare(&self, takes_over: bool) -> Result<Next, KernelError> {
        let next = self.path.join(NEXT);
        remove_maps(&next)?;
        make_directory(&next)?;
        if takes_over {
            for name in names::KEPT {
                let map = open_map(&self.path.join(MAPS).join(name))?;
                map.pin(next.join(name)).map_err(KernelError::pin("keeping a map"))?;
            }
        }
        Ok(Next { path: next })
    }

    /// From now on the maps of the coming load are those of the programs that
    /// are attached.
    pub(super) fn settle(&self, next: &Next) -> Result<(), KernelError> {
        let maps = self.path.join(MAPS);
        let exchange = nix::fcntl::RenameFlags::RENAME_EXCHANGE;
        nix::fcntl::renameat2(
            nix::fcntl::AT_FDCWD,
            &next.path,
            nix::fcntl::AT_FDCWD,
            &maps,
            exchange,
        )
        .map_err(|errno| unusable(&maps)(errno.into()))?;
        remove_maps(&next.path)
    }

    /// The load comes to nothing.
    pub(super) fn give_up(&self, next: &Next) -> Result<(), KernelError> {
        remove_maps(&next.path)
    }

    /// Where the link of an interface is pinned. No name, for bpffs takes no
    /// dots in it.
    pub(super) fn link(&self, way: Way, ifindex: u32) -> PathBuf {
        self.path.join(LINKS).join(format!("{}-{ifindex}", way.name()))
    }

    /// Interfaces with a pinned link.
    pub(super) fn links(&self) -> Result<Vec<(Way, u32)>, KernelError> {
        let path = self.path.join(LINKS);
        let mut links = Vec::new();
        for entry in fs::read_dir(&path).map_err(unusable(&path))? {
            let name = entry.map_err(unusable(&path))?.file_name();
            links.extend(link_of(&name));
        }
        Ok(links)
    }

    /// Opens the link of an interface, if one is pinned.
    pub(super) fn pinned_link(
        &self,
        way: Way,
        ifindex: u32,
    ) -> Result<Option<PinnedLink>, KernelError> {
        let path = self.link(way, ifindex);
        if !path.exists() {
            return Ok(None);
        }
        match PinnedLink::from_pin(&path) {
            Ok(link) => Ok(Some(link)),
            Err(error) => Err(unusable(&path)(io::Error::other(error))),
        }
    }

    /// Pins a link; one of the same name, which no longer holds anything, goes.
    pub(super) fn pin_link(
        &self,
        link: FdLink,
        way: Way,
        ifindex: u32,
    ) -> Result<PinnedLink, KernelError> {
        let path = self.link(way, ifindex);
        remove_file(&path)?;
        link.pin(&path).map_err(KernelError::pin("keeping a program attached"))
    }

    /// Removes the pin of a link: what it holds ends with the last of its file
    /// descriptors.
    pub(super) fn forget_link(&self, way: Way, ifindex: u32) -> Result<(), KernelError> {
        remove_file(&self.link(way, ifindex))
    }

    /// Removes everything of ours, and the directory if nothing else is in it.
    pub(super) fn clear(&self) -> Result<(), KernelError> {
        for (way, ifindex) in self.links()? {
            self.forget_link(way, ifindex)?;
        }
        self.clear_maps()?;
        // What is not ours stays, and with it the directory.
        let _ = fs::remove_dir(self.path.join(LINKS));
        let _ = fs::remove_dir(&self.path);
        Ok(())
    }

    fn clear_maps(&self) -> Result<(), KernelError> {
        [NEXT, MAPS].into_iter().try_for_each(|part| remove_maps(&self.path.join(part)))
    }

    /// The number of a map there, by which programs know it.
    pub(super) fn map_id(&self, name: &str) -> Result<u32, KernelError> {
        let map = open_map(&self.path.join(MAPS).join(name))?;
        map.info().map(|info| info.id()).map_err(KernelError::map("asking for a map's number"))
    }

    /// The maps there, by their names.
    pub(super) const fn maps(&self) -> Kept<'_> {
        Kept(self)
    }
}

/// The maps of the programs that are attached.
pub(super) struct Kept<'a>(&'a Pins);

impl Maps for Kept<'_> {
    fn take(&mut self, name: &'static str) -> Result<Map, KernelError> {
        let map = open_map(&self.0.path.join(MAPS).join(name))?;
        Map::from_map_data(map).map_err(KernelError::map("opening a map"))
    }
}

/// The maps of a load that is on its way.
#[derive(Debug)]
pub(super) struct Next {
    path: PathBuf,
}

impl Next {
    /// Lets a load pin its maps here, and use those that are here.
    pub(super) fn offer(&self, loader: &mut EbpfLoader<'_>) {
        for name in names::all() {
            loader.map_pin_path(name, self.path.join(name));
        }
    }
}

/// What stands in a record for the one who comes next.
pub(super) fn record(before: &Record, state: &Path, now: u64) -> Record {
    use std::os::unix::ffi::OsStrExt as _;
    let since = if before.abi == ABI_VERSION { before.since } else { now };
    Record {
        abi: ABI_VERSION,
        pad: 0,
        since,
        version: padded(env!("CARGO_PKG_VERSION").as_bytes()).unwrap_or([0; 32]),
        state: padded(state.as_os_str().as_bytes()).unwrap_or([0; 256]),
    }
}

/// The state directory of a record.
#[must_use]
pub fn state_of(record: &Record) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStrExt as _;
    let path = unpadded(&record.state);
    (!path.is_empty()).then(|| PathBuf::from(OsStr::from_bytes(path)))
}

fn text(bytes: &[u8]) -> String {
    crate::sanitise::sanitise(&String::from_utf8_lossy(unpadded(bytes)), 32)
}

fn link_of(name: &OsStr) -> Option<(Way, u32)> {
    let (way, ifindex) = name.to_str()?.split_once('-')?;
    let way = [Way::In, Way::Out].into_iter().find(|one| one.name() == way)?;
    Some((way, ifindex.parse().ok()?))
}

fn is_bpffs(path: &Path) -> bool {
    statfs(path).is_ok_and(|found| found.filesystem_type() == BPF_FS_MAGIC)
}

fn make_directory(path: &Path) -> Result<(), KernelError> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(unusable(path))
}

fn open_map(path: &Path) -> Result<MapData, KernelError> {
    MapData::from_pin(path).map_err(KernelError::map("opening a pinned map"))
}

/// Removes a directory of maps, but for what is not ours.
fn remove_maps(path: &Path) -> Result<(), KernelError> {
    for name in names::all() {
        remove_file(&path.join(name))?;
    }
    match fs::remove_dir(path) {
        Err(error)
            if !matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::DirectoryNotEmpty
            ) =>
        {
            Err(unusable(path)(error))
        }
        _ => Ok(()),
    }
}

fn remove_file(path: &Path) -> Result<(), KernelError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(unusable(path)(error)),
        _ => Ok(()),
    }
}

fn unusable(path: &Path) -> impl FnOnce(io::Error) -> KernelError {
    let path = path.to_owned();
    move |source| KernelError::Pins { path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_our_making_are_links_of_ours() {
        let of = |name: &str| link_of(OsStr::new(name));
        assert_eq!(of("in-7"), Some((Way::In, 7)));
        assert_eq!(of("out-12"), Some((Way::Out, 12)));
        for other in ["in", "in-", "in-x", "up-7", "links"] {
            assert_eq!(of(other), None, "{other}");
        }
    }

    #[test]
    fn a_record_keeps_the_beginning_of_what_it_goes_on_with() {
        let none = Record { abi: 0, pad: 0, since: 0, version: [0; 32], state: [0; 256] };
        let first = record(&none, Path::new("/var/lib/sipguard"), 100);
        assert_eq!((first.abi, first.since), (ABI_VERSION, 100));
        assert_eq!(state_of(&first), Some(PathBuf::from("/var/lib/sipguard")));
        let second = record(&first, Path::new(&"x".repeat(300)), 200);
        assert_eq!((second.since, state_of(&second)), (100, None));
        let older = Record { abi: ABI_VERSION - 1, ..first };
        assert_eq!(record(&older, Path::new("/s"), 300).since, 300);
    }
}
