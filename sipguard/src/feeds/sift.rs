//! What of a feed is taken: readable, narrow enough, and nobody's own.

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::{
    error::FeedError,
    ranges::{Ranges, special},
};
use crate::{
    policy::{FeedSettings, TargetError, parse_net},
    sanitise::sanitise,
};

/// Characters of a line that are shown.
const SHOWN: usize = 60;

/// How many entries were left out, and why.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    /// No address and no network.
    pub unreadable: usize,
    /// Wider than `min_prefix_v4` and `min_prefix_v6` allow.
    pub wide: usize,
    /// Private, multicast and other addresses that nobody sends from across the
    /// internet.
    pub special: usize,
}

/// What a feed holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Read {
    /// Sorted, each once.
    pub nets: Vec<IpNet>,
    pub skipped: Skipped,
    /// Whether there was anything, be it a comment.
    pub has_text: bool,
}

/// Takes entries one by one.
pub(super) struct Sieve<'a> {
    settings: &'a FeedSettings,
    special: Ranges,
    read: Read,
    seen: usize,
    first_unreadable: Option<(usize, String)>,
}

impl<'a> Sieve<'a> {
    pub(super) fn new(settings: &'a FeedSettings) -> Self {
        Self {
            settings,
            special: special(),
            read: Read::default(),
            seen: 0,
            first_unreadable: None,
        }
    }

    /// How many entries were taken so far, some perhaps twice.
    pub(super) fn taken(&self) -> usize {
        self.read.nets.len()
    }

    /// Something stands there, if only a comment.
    pub(super) fn note_text(&mut self) {
        self.read.has_text = true;
    }

    /// What stands where an entry is expected, and in which line.
    pub(super) fn take(&mut self, word: &str, line: usize) {
        self.seen += 1;
        self.note_text();
        let net = match parse_net(word) {
            Ok(net) => net,
            // As others read it, who are the authors' measure: by its prefix.
            Err(TargetError::HostBits { network, .. }) => network,
            Err(TargetError::CoversIpv4(_)) => {
                self.read.skipped.wide += 1;
                return;
            }
            Err(_) => {
                self.read.skipped.unreadable += 1;
                self.first_unreadable.get_or_insert_with(|| (line, sanitise(word, SHOWN)));
                return;
            }
        };
        if !self.settings.takes(net) {
            self.read.skipped.wide += 1;
        } else if self.special.touch(net) {
            self.read.skipped.special += 1;
        } else {
            self.read.nets.push(net);
        }
    }

    /// All that was taken.
    ///
    /// # Errors
    /// Most of it is unreadable, or it is too much: then none of it counts.
    pub(super) fn finish(self) -> Result<Read, FeedError> {
        let Self { settings, mut read, seen, first_unreadable, .. } = self;
        let unreadable = read.skipped.unreadable;
        if let Some((line, text)) = first_unreadable
            && unreadable > seen - unreadable
        {
            return Err(FeedError::NotAList { unreadable, lines: seen, line, text });
        }
        read.nets.sort_unstable();
        read.nets.dedup();
        let (entries, max) = (read.nets.len(), settings.max_entries);
        if entries > max {
            return Err(FeedError::TooMany { entries, max });
        }
        Ok(read)
    }
}
