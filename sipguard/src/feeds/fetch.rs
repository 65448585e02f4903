//! A feed from its source to what it holds: all of it, or nothing.

use std::{
    fs::File,
    io::{self, Read as _},
    os::unix::fs::MetadataExt as _,
    path::Path,
    thread,
};

pub use super::http::Patience;
use super::{
    apiban::{self, Page},
    error::FeedError,
    http::Http,
    kept::Version,
    list,
    sift::{Read, Sieve},
};
use crate::policy::{FeedFormat, FeedSettings, FeedSource, KEY_MARK};

/// Pages of one feed: 250 addresses each.
const MAX_PAGES: usize = 200;

/// Bytes of a file that holds a key.
const MAX_KEY_FILE: u64 = 4096;

/// What came of it.
#[derive(Debug, PartialEq, Eq)]
pub enum Fetched {
    /// The same as the version that is known.
    Unchanged,
    New(Read, Version),
}

/// Reads a feed, or finds that it has not changed since `known`. Blocks for as
/// long as [`Patience`] says.
///
/// # Errors
/// It cannot be read as a whole, or must not be believed.
pub fn fetch(settings: &FeedSettings, known: Option<&Version>) -> Result<Fetched, FeedError> {
    fetch_within(settings, known, &Patience::default())
}

/// As [`fetch`], with another patience.
///
/// # Errors
/// As there.
pub fn fetch_within(
    settings: &FeedSettings,
    known: Option<&Version>,
    patience: &Patience,
) -> Result<Fetched, FeedError> {
    // Read under other settings, the same bytes hold something else.
    let known = known.filter(|version| version.is_of(settings));
    match (&settings.source, settings.format) {
        (FeedSource::Path(path), format) => {
            let version = Version { etag: Some(stamp(path)?), ..Version::of(settings) };
            if known == Some(&version) {
                return Ok(Fetched::Unchanged);
            }
            let bytes = read_file(path, settings.max_bytes)?;
            let read = match format {
                FeedFormat::List => list::read(&bytes, settings)?,
                FeedFormat::Apiban => one_page(&bytes, settings)?,
            };
            Ok(Fetched::New(read, version))
        }
        (FeedSource::Url(url), format) => {
            let key = settings.key_file.as_deref().map(read_key).transpose()?;
            let http = Http::new(patience, settings.max_bytes, key.is_some());
            let whole = key.as_ref().map(|key| url.replace(KEY_MARK, key));
            let whole = whole.as_deref().unwrap_or(url);
            let fetched = match format {
                FeedFormat::List => one_list(&http, whole, settings, known),
                FeedFormat::Apiban => all_pages(&http, whole, settings, patience),
            };
            fetched.map_err(|error| match &key {
                Some(key) => error.without(key),
                None => error,
            })
        }
    }
}

fn one_list(
    http: &Http<'_>,
    url: &str,
    settings: &FeedSettings,
    known: Option<&Version>,
) -> Result<Fetched, FeedError> {
    let answer = http.get(url, known)?;
    match answer.status {
        200 => {
            let read = list::read(&answer.body, settings)?;
            // Somebody's disk was full. Who has nobody to name says so.
            if !read.has_text {
                return Err(FeedError::Empty);
            }
            let (etag, modified) = (answer.etag, answer.modified);
            Ok(Fetched::New(read, Version { etag, modified, ..Version::of(settings) }))
        }
        304 if known.is_some() => Ok(Fetched::Unchanged),
        status => Err(FeedError::Status(status)),
    }
}

fn all_pages(
    http: &Http<'_>,
    url: &str,
    settings: &FeedSettings,
    patience: &Patience,
) -> Result<Fetched, FeedError> {
    let mut sieve = Sieve::new(settings);
    let mut ids: Vec<String> = Vec::new();
    for number in 1..=MAX_PAGES {
        let url = match ids.last() {
            None => url.to_owned(),
            Some(id) => format!("{}/{id}", url.trim_end_matches('/')),
        };
        if number > patience.pages_at_once {
            thread::sleep(patience.pace);
        }
        let answer = http.get(&url, None)?;
        match apiban::page(number, answer.status, &answer.body)? {
            Page::End => return Ok(Fetched::New(sieve.finish()?, Version::of(settings))),
            Page::Next { id, .. } if ids.contains(&id) => {
                return Err(FeedError::Circle { page: number });
            }
            Page::Next { words, id } => {
                for word in &words {
                    sieve.take(word.trim(), sieve.taken() + 1);
                }
                ids.push(id);
            }
        }
        // Twice of them may be the same; more are not worth another page.
        if sieve.taken() > settings.max_entries.saturating_mul(2) {
            let entries = sieve.taken();
            return Err(FeedError::TooMany { entries, max: settings.max_entries });
        }
    }
    Err(FeedError::TooManyPages(MAX_PAGES))
}

/// A page that somebody has saved.
fn one_page(bytes: &[u8], settings: &FeedSettings) -> Result<Read, FeedError> {
    let mut sieve = Sieve::new(settings);
    sieve.note_text();
    if let Page::Next { words, .. } = apiban::page(1, 200, bytes)? {
        for word in &words {
            sieve.take(word.trim(), sieve.taken() + 1);
        }
    }
    sieve.finish()
}

/// What changes when a file does.
fn stamp(path: &Path) -> Result<String, FeedError> {
    let error = |source| FeedError::File { path: path.to_owned(), source };
    let data = path.metadata().map_err(error)?;
    // Before it is opened: opening a FIFO waits for a writer.
    if !data.is_file() {
        return Err(error(io::Error::other("this is not a regular file")));
    }
    let (inode, length) = (data.ino(), data.len());
    Ok(format!("{inode}-{length}-{}.{:09}", data.mtime(), data.mtime_nsec()))
}

fn read_file(path: &Path, max: u64) -> Result<Vec<u8>, FeedError> {
    let error = |source| FeedError::File { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(error)?;
    file.take(max.saturating_add(1)).read_to_end(&mut bytes).map_err(error)?;
    match bytes.len() as u64 > max {
        true => Err(FeedError::TooLarge { max }),
        false => Ok(bytes),
    }
}

fn read_key(path: &Path) -> Result<String, FeedError> {
    let error = |source| FeedError::KeyFile { path: path.to_owned(), source };
    if !path.metadata().map_err(error)?.is_file() {
        return Err(error(io::Error::other("this is not a regular file")));
    }
    let mut text = String::new();
    File::open(path).map_err(error)?.take(MAX_KEY_FILE).read_to_string(&mut text).map_err(error)?;
    let key = text.trim();
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    match !key.is_empty() && key.bytes().all(is_plain) {
        true => Ok(key.to_owned()),
        false => Err(FeedError::NoKey { path: path.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn of(path: &Path) -> FeedSettings {
        FeedSettings::of(FeedSource::Path(path.to_owned()))
    }

    #[test]
    fn files_are_read_again_when_they_or_the_settings_change() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("list.txt");
        fs::write(&path, "192.0.2.1\n192.0.2.2\n").unwrap();
        let settings = of(&path);
        let Fetched::New(read, version) = fetch(&settings, None).unwrap() else { panic!() };
        assert_eq!(read.nets.len(), 2);
        assert_eq!(fetch(&settings, Some(&version)).unwrap(), Fetched::Unchanged);
        let other = FeedSettings { max_entries: 1, ..settings.clone() };
        assert!(matches!(fetch(&other, Some(&version)), Err(FeedError::TooMany { .. })));
        fs::write(&path, "192.0.2.1\n").unwrap();
        assert!(matches!(fetch(&settings, Some(&version)), Ok(Fetched::New(..))));
        // One's own file may be empty.
        fs::write(&path, "").unwrap();
        assert!(matches!(fetch(&settings, Some(&version)), Ok(Fetched::New(..))));
    }

    #[test]
    fn odd_files_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("list.txt");
        assert!(matches!(fetch(&of(&path), None), Err(FeedError::File { .. })));
        assert!(matches!(fetch(&of(dir.path()), None), Err(FeedError::File { .. })));
        fs::write(&path, "192.0.2.1\n".repeat(200)).unwrap();
        let settings = FeedSettings { max_bytes: 1024, ..of(&path) };
        assert!(matches!(fetch(&settings, None), Err(FeedError::TooLarge { max: 1024 })));
    }

    #[test]
    fn a_key_is_one_plain_word() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        assert!(matches!(read_key(&path), Err(FeedError::KeyFile { .. })));
        for (text, good) in [
            ("abc123\n", true),
            (" a-b._~ \r\n", true),
            ("", false),
            ("a b", false),
            ("a/b", false),
        ] {
            fs::write(&path, text).unwrap();
            assert_eq!(read_key(&path).is_ok(), good, "{text:?}");
        }
    }
}
