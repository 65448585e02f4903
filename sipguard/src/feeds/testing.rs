//! What a server may send, read without a server: for fuzzing.

use super::{FeedError, Read, apiban, list};
use crate::policy::FeedSettings;

/// Reads a list.
///
/// # Errors
/// As a feed does.
pub fn list(bytes: &[u8], settings: &FeedSettings) -> Result<Read, FeedError> {
    list::read(bytes, settings)
}

/// Reads a page of APIBAN; gives how many words it has, and the `ID` of the next
/// one. `None` is the end of the pages.
///
/// # Errors
/// As a feed does.
pub fn page(status: u16, body: &[u8]) -> Result<Option<(usize, String)>, FeedError> {
    Ok(match apiban::page(1, status, body)? {
        apiban::Page::Next { words, id } => Some((words.len(), id)),
        apiban::Page::End => None,
    })
}
