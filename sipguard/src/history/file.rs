//! The file in its directory.

use std::{
    fs::{self, DirBuilder},
    io,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use super::store::{Store, StoreError};

/// The file's name in the state directory.
pub const FILE: &str = "history.db";

/// It tells who called whom, and whom operators know.
const DIRECTORY_MODE: u32 = 0o750;

/// What SQLite puts beside a file.
const BESIDE: [&str; 2] = ["-wal", "-shm"];

/// Why there is no file to write to.
#[derive(Debug, thiserror::Error)]
pub(super) enum FileError {
    #[error("cannot make {}: {source}", path.display())]
    Directory { path: PathBuf, source: io::Error },
    #[error("cannot set {} aside: {source}", path.display())]
    SetAside { path: PathBuf, source: io::Error },
    #[error("cannot use {}: {source}", path.display())]
    Store { path: PathBuf, source: StoreError },
}

/// Opens the file, with its directory. One whose content cannot be used is set
/// aside, and another one begins; `set_aside` hears of it. The file has room for
/// so many pages.
pub(super) fn open(
    path: &Path,
    pages: u32,
    set_aside: impl FnOnce(&Path, &StoreError),
) -> Result<Store, FileError> {
    if let Some(directory) = path.parent() {
        let made = DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(directory);
        made.map_err(|source| FileError::Directory { path: directory.to_owned(), source })?;
    }
    let unusable = |source| FileError::Store { path: path.to_owned(), source };
    match Store::open(path, pages) {
        Ok(store) => Ok(store),
        Err(error) if error.is_of_content() => {
            let new = put_aside(path, &error)?;
            set_aside(&new, &error);
            Store::open(path, pages).map_err(unusable)
        }
        Err(error) => Err(unusable(error)),
    }
}

/// Renames a file, and what belongs to it. One that was set aside before goes:
/// there is room for one.
pub(super) fn put_aside(path: &Path, why: &StoreError) -> Result<PathBuf, FileError> {
    let suffix = match why {
        StoreError::Version(version) => format!(".version-{version}"),
        _ => ".damaged".to_owned(),
    };
    let failed = |source| FileError::SetAside { path: path.to_owned(), source };
    let new = with_suffix(path, &suffix);
    fs::rename(path, &new).map_err(failed)?;
    for beside in BESIDE {
        match fs::rename(with_suffix(path, beside), with_suffix(&new, beside)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
    }
    Ok(new)
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
