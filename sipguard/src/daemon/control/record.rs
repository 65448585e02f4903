//! What the daemon does, told to the log and to the history.

use std::time::Instant;

use ipnet::IpNet;

use super::Daemon;
use crate::{
    daemon::{
        By,
        audit::{audit, described},
        entries::Entry,
        nets::shown,
    },
    history::{History, Kind, Line, List},
    policy::Target,
};

impl Daemon {
    /// Lets it tell this history from now on.
    #[must_use]
    pub fn with_history(mut self, history: History) -> Self {
        self.history = history;
        self
    }

    /// Where it tells what it does.
    #[must_use]
    pub fn history(&self) -> &History {
        &self.history
    }

    /// The operator's entry of a list is now another one, or gone.
    pub(super) fn record_entry(
        &self,
        by: By,
        list: List,
        target: Target,
        old: Option<&Entry>,
        new: Option<&Entry>,
    ) {
        let now = Instant::now();
        let kind = match (list, new) {
            (List::Blocked, Some(_)) => Kind::Block,
            (List::Blocked, None) => Kind::Unblock,
            (List::Trusted, Some(_)) => Kind::Allow,
            (List::Trusted, None) => Kind::Disallow,
        };
        let (before, after) = (described(old, now), described(new, now));
        audit(by, kind.name(), &target.to_string(), &before, &after);
        let kept = new.map(|entry| entry.kept(now));
        self.history.add(Line {
            target: Some(target.to_string()),
            net: Some(target.net),
            until: kept.as_ref().and_then(|kept| kept.until),
            old: Some(before),
            new: Some(after),
            ..Line::new(kind, by.to_string())
        });
        self.history.set_entry(list, target, kept);
    }

    /// The same of a block that stood in blacklist.toml.
    pub(super) fn record_ended_block(&self, net: IpNet, file: &str) {
        audit(By::Timer, Kind::Unblock.name(), &shown(net), file, "none");
        self.history.add(Line {
            target: Some(shown(net)),
            net: Some(net),
            old: Some(file.to_owned()),
            new: Some("none".to_owned()),
            ..Line::new(Kind::Unblock, By::Timer.to_string())
        });
    }

    /// Something that is about nobody in particular.
    pub(super) fn record(&self, by: By, kind: Kind, old: Option<String>, new: String) {
        self.history.add(Line { old, new: Some(new), ..Line::new(kind, by.to_string()) });
    }
}
