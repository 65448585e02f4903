//! Why a feed cannot be read. Its last good version stays then.

use std::{io, path::PathBuf};

use crate::policy::KEY_MARK;

/// Why nothing new came of a feed. What others have written is shown without
/// what acts on a terminal, and a key is never shown.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    #[error(
        "this is no list of addresses: {unreadable} of {lines} lines are none, such as line \
         {line}, `{text}`"
    )]
    NotAList { unreadable: usize, lines: usize, line: usize, text: String },
    #[error("{entries} entries are more than max_entries, {max}")]
    TooMany { entries: usize, max: usize },
    #[error("it is larger than max_bytes, {max}")]
    TooLarge { max: u64 },
    #[error("the server sent nothing at all")]
    Empty,
    #[error("the server answers with status {0}")]
    Status(u16),
    #[error("the server says `{text}` (status {status})")]
    Refused { status: u16, text: String },
    #[error("page {page} is none of APIBAN's: {why}")]
    NotAPage { page: usize, why: &'static str },
    #[error("the pages lead in a circle: page {page} names one that was read")]
    Circle { page: usize },
    #[error("more than {0} pages")]
    TooManyPages(usize),
    #[error("redirected {0} times")]
    TooManyRedirects(usize),
    #[error("redirected to {0}")]
    BadRedirect(&'static str),
    #[error("no answer in time: {0}")]
    Timeout(String),
    #[error("{0}")]
    Http(String),
    #[error("cannot read {}: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("cannot read the key in {}: {source}", path.display())]
    KeyFile { path: PathBuf, source: io::Error },
    #[error("{} holds no key: letters, digits and -._~ on one line", path.display())]
    NoKey { path: PathBuf },
}

impl FeedError {
    /// The same without the key: a server may repeat what it was asked.
    pub(super) fn without(mut self, key: &str) -> Self {
        if let Self::NotAList { text, .. } | Self::Refused { text, .. } | Self::Http(text) =
            &mut self
        {
            *text = text.replace(key, KEY_MARK);
        }
        self
    }
}
