//! How a feed is doing.

use std::time::Duration;

use jiff::Timestamp;

use super::sift::Skipped;
use crate::policy::FeedSettings;

/// The state of one feed, for whoever shows it or watches over it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    pub name: String,
    pub settings: FeedSettings,
    /// Entries in force.
    pub entries: usize,
    /// Those left out because they would hit this host or its gateway.
    pub own: usize,
    pub skipped: Skipped,
    /// How old the last good version is; `None` where there never was one.
    pub age: Option<Duration>,
    pub max_age: Duration,
    /// When the source last said that it holds.
    pub last_ok: Option<Timestamp>,
    /// When it last said something else.
    pub changed: Option<Timestamp>,
    /// Why the last try failed; `None` where it did not.
    pub last_error: Option<String>,
    /// It is being read just now.
    pub reading: bool,
    /// Its last good version is too old, and does not hold any more.
    pub is_over: bool,
}
