//! Feeds on the control socket.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{feeds::Skipped, ttl::Ttl};

/// Answer to `GET /v1/feeds` and `POST /v1/feeds/refresh`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Feeds {
    pub feeds: Vec<Feed>,
}

/// A block list of somebody else's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Feed {
    pub name: String,
    /// Its URL, without the key, or its path.
    pub source: String,
    /// `list` or `apiban`.
    pub format: String,
    pub enabled: bool,
    /// `ok`, `reading`, `failing` (what it had holds), `over` (what it had was
    /// too old), `empty` (nothing was ever read) or `off`.
    pub state: String,
    /// Entries in force.
    pub entries: usize,
    /// Those that do not hold for a trusted peer.
    pub trusted: usize,
    /// Those left out because they would hit this host or its gateway.
    pub own: usize,
    /// Those left out for what they are.
    pub skipped: Skipped,
    /// Seconds since the source last said that they hold.
    pub age: Option<u64>,
    pub interval: Ttl,
    /// How long they hold without a word of the source.
    pub max_age: Ttl,
    /// When the source last said that they hold.
    pub last_ok: Option<Timestamp>,
    /// When it last said something else.
    pub changed: Option<Timestamp>,
    /// Why the last try failed.
    pub last_error: Option<String>,
}

/// Body of `POST /v1/feeds/refresh`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeedsWish {
    /// Which feed; none for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}
