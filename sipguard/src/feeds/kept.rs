//! The last good version of a feed, on disk.

use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use ipnet::IpNet;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::sift::Skipped;
use crate::policy::{FeedSettings, net_text, parse_net};

/// Where they are, below the state directory.
pub const FOLDER: &str = "feeds";

/// How the first line begins.
const HEAD: &str = "# sipguard feed ";

/// The last line: what is cut off has none.
const END: &str = "# end";

/// By what a version is known again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// Where it was read from, and in which format.
    #[serde(default)]
    pub from: String,
    /// The other settings that it was read by.
    pub read_by: String,
    /// As the server named it; of a file, what it looks like from outside.
    pub etag: Option<String>,
    pub modified: Option<String>,
}

impl Version {
    /// One that nobody knows again.
    #[must_use]
    pub fn of(settings: &FeedSettings) -> Self {
        let FeedSettings { source, format, max_entries, max_bytes, .. } = settings;
        let (v4, v6) = (settings.min_prefix_v4, settings.min_prefix_v6);
        let from = format!("{source} {}", format.name());
        let read_by = format!("{max_entries} {max_bytes} {v4} {v6}");
        Self { from, read_by, etag: None, modified: None }
    }

    /// Whether it was read by these settings.
    #[must_use]
    pub fn is_of(&self, settings: &FeedSettings) -> bool {
        self.is_from(settings) && self.read_by == Self::of(settings).read_by
    }

    /// Whether these settings read the same, if with other limits.
    fn is_from(&self, settings: &FeedSettings) -> bool {
        self.from == Self::of(settings).from
    }
}

/// A version with what it holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    pub version: Version,
    /// When the source last said that this holds.
    pub last_ok: Timestamp,
    /// When it last said something else.
    pub changed: Timestamp,
    pub skipped: Skipped,
    /// How many of the lines behind belong to it.
    entries: usize,
    /// Sorted.
    #[serde(skip)]
    pub nets: Vec<IpNet>,
}

impl Kept {
    #[must_use]
    pub fn new(version: Version, skipped: Skipped, nets: Vec<IpNet>, now: Timestamp) -> Self {
        Self { version, last_ok: now, changed: now, skipped, entries: nets.len(), nets }
    }

    /// The same, of which the source has just said that it holds.
    #[must_use]
    pub fn confirmed(&self, now: Timestamp) -> Self {
        Self { last_ok: now, ..self.clone() }
    }

    /// What of it holds by these settings: nothing of what was read from
    /// elsewhere, and no network that is too wide by now. What has lost some is
    /// no version any more that a source could confirm.
    #[must_use]
    pub fn under(self: Arc<Self>, settings: &FeedSettings) -> Option<Arc<Self>> {
        if !self.version.is_from(settings) {
            return None;
        }
        let nets: Vec<IpNet> =
            self.nets.iter().copied().filter(|net| settings.takes(*net)).collect();
        let lost = self.nets.len() - nets.len();
        if lost == 0 {
            return Some(self);
        }
        let version = Version { from: self.version.from.clone(), ..Version::default() };
        let skipped = Skipped { wide: self.skipped.wide + lost, ..self.skipped };
        let (last_ok, changed) = (self.last_ok, self.changed);
        Some(Arc::new(Self { version, last_ok, changed, skipped, entries: nets.len(), nets }))
    }

    /// Writes it into the folder, at once or not at all.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn write(&self, folder: &Path, name: &str) -> io::Result<()> {
        fs::create_dir_all(folder)?;
        let path = path(folder, name);
        let new = path.with_extension("new");
        let mut file = io::BufWriter::new(fs::File::create(&new)?);
        let head = serde_json::to_string(self).map_err(io::Error::other)?;
        writeln!(file, "{HEAD}{head}")?;
        for net in &self.nets {
            writeln!(file, "{}", net_text(*net))?;
        }
        writeln!(file, "{END}")?;
        file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        fs::rename(new, path)
    }

    /// Reads it; `None` where there is none.
    ///
    /// # Errors
    /// The disk refuses, or the file is damaged.
    pub fn read(folder: &Path, name: &str) -> io::Result<Option<Self>> {
        let text = match fs::read_to_string(path(folder, name)) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let damaged = || io::Error::new(io::ErrorKind::InvalidData, "the file is damaged");
        let text = text.strip_suffix('\n').and_then(|text| text.strip_suffix(END));
        let mut lines = text.ok_or_else(damaged)?.lines();
        let head = lines.next().and_then(|line| line.strip_prefix(HEAD)).ok_or_else(damaged)?;
        let mut kept: Self = serde_json::from_str(head).map_err(|_| damaged())?;
        kept.nets =
            lines.map(|line| parse_net(line).map_err(|_| damaged())).collect::<Result<_, _>>()?;
        match kept.nets.len() == kept.entries && kept.nets.is_sorted() {
            true => Ok(Some(kept)),
            false => Err(damaged()),
        }
    }

    /// Removes the file of a feed that is no more.
    pub fn forget(folder: &Path, name: &str) {
        // Without it there is nothing to forget.
        let _ = fs::remove_file(path(folder, name));
    }
}

fn path(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.list"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{FeedFormat, FeedSource};

    fn kept() -> Kept {
        let settings = FeedSettings::of(FeedSource::Url("https://lists.example/x".to_owned()));
        let etag = Some("W/\"x\"".to_owned());
        let version = Version { etag, ..Version::of(&settings) };
        let nets = ["192.0.2.7", "198.51.100.0/24", "2001:db8::/32"];
        let nets = nets.map(|net| parse_net(net).unwrap()).to_vec();
        let skipped = Skipped { unreadable: 1, wide: 2, special: 3 };
        Kept::new(version, skipped, nets, "2026-01-02T03:04:05Z".parse().unwrap())
    }

    #[test]
    fn what_was_written_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("feeds");
        assert_eq!(Kept::read(&folder, "x").unwrap(), None);
        kept().write(&folder, "x").unwrap();
        assert_eq!(Kept::read(&folder, "x").unwrap(), Some(kept()));
        Kept::forget(&folder, "x");
        assert_eq!(Kept::read(&folder, "x").unwrap(), None);
    }

    /// Tightened settings act on what is held.
    #[test]
    fn what_is_too_wide_or_from_elsewhere_does_not_hold() {
        let url = |url: &str| FeedSettings::of(FeedSource::Url(url.to_owned()));
        let settings = url("https://lists.example/x");
        let left = |settings: &FeedSettings| {
            Arc::new(kept()).under(settings).map(|kept| (kept.nets.len(), kept.skipped.wide))
        };
        assert_eq!(Arc::new(kept()).under(&settings).as_deref(), Some(&kept()));
        let other = FeedSettings { max_entries: 1, max_bytes: 1, ..settings.clone() };
        assert_eq!(left(&other), Some((3, 2)), "it is refused when it is read");
        assert_eq!(left(&FeedSettings { min_prefix_v4: 24, ..settings.clone() }), Some((3, 2)));
        assert_eq!(left(&FeedSettings { min_prefix_v6: 33, ..settings.clone() }), Some((2, 3)));
        let tight = FeedSettings { min_prefix_v4: 25, ..settings.clone() };
        assert_eq!(left(&tight), Some((2, 3)));
        // Whichever settings come next, it is read anew.
        let narrowed = Arc::new(kept()).under(&tight).unwrap();
        assert!(!narrowed.version.is_of(&tight) && !narrowed.version.is_of(&settings));
        assert_eq!(narrowed.version.etag, None);
        assert_eq!(left(&url("https://lists.example/y")), None);
        let path = FeedSettings::of(FeedSource::Path("/lists/x".into()));
        assert_eq!(left(&path), None);
        assert_eq!(left(&FeedSettings { format: FeedFormat::Apiban, ..settings }), None);
    }

    #[test]
    fn damaged_files_are_no_lists() {
        let dir = tempfile::tempdir().unwrap();
        kept().write(dir.path(), "x").unwrap();
        let path = path(dir.path(), "x");
        let whole = fs::read_to_string(&path).unwrap();
        for end in 0..whole.trim_end().len() {
            fs::write(&path, &whole[..end]).unwrap();
            assert!(Kept::read(dir.path(), "x").is_err(), "{end} bytes");
        }
        fs::write(&path, format!("{whole}192.0.2.1\n")).unwrap();
        assert!(Kept::read(dir.path(), "x").is_err());
    }
}
