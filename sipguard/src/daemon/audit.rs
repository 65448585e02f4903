//! What the log says about actions: who, what, old and new.

use std::{fmt, time::Instant};

use nix::unistd::Uid;
use tracing::{info, warn};

use super::{control::MAX_REASON, entries::Entry};
use crate::sanitise::{sanitise, sanitise_lines};

/// Characters of a warning that are logged.
pub(super) const MAX_NOTE: usize = 4000;

/// Who asks for something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// A caller of the control socket.
    Uid(u32),
    /// Somebody with the token of the web page.
    Web,
    /// A signal; the kernel does not tell us whose.
    Signal,
    /// The daemon itself, because a time has come.
    Timer,
    /// The daemon itself, because it must not be so.
    Safety,
}

impl By {
    /// Whoever runs this very command, without a daemon between.
    #[must_use]
    pub fn caller() -> Self {
        Self::Uid(Uid::current().as_raw())
    }

    /// The user in whose name an entry is kept: who has no name of his own acts
    /// as the daemon's user.
    pub(super) fn uid(self) -> u32 {
        match self {
            Self::Uid(uid) => uid,
            Self::Web | Self::Signal | Self::Timer | Self::Safety => Uid::effective().as_raw(),
        }
    }
}

impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uid(uid) => write!(f, "uid:{uid}"),
            Self::Web => f.write_str("web"),
            Self::Signal => f.write_str("signal"),
            Self::Timer => f.write_str("timer"),
            Self::Safety => f.write_str("safety"),
        }
    }
}

/// One line per action, in words that are safe for a log.
pub(super) fn audit(by: By, action: &str, target: &str, old: &str, new: &str) {
    info!(target: "sipguard::audit", %by, action, target, old, new);
}

/// An entry in such words.
pub(super) fn described(entry: Option<&Entry>, now: Instant) -> String {
    let Some(entry) = entry else { return "none".to_owned() };
    let until =
        entry.until(now).map_or_else(|| "without end".to_owned(), |until| format!("until {until}"));
    match &entry.reason {
        None => until,
        Some(reason) => format!("{until}: {}", sanitise(reason, MAX_REASON)),
    }
}

/// Logs a warning about the policy, which may have several lines.
pub(super) fn log_note(note: &str) {
    warn!("{}", sanitise_lines(note.strip_prefix("warning: ").unwrap_or(note), MAX_NOTE));
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn the_audit_line_has_no_room_for_forgery() {
        let reason = Some("x\n2026 INFO forged\u{1b}[0m".to_owned());
        let entry = Entry { added: Timestamp::now(), deadline: None, reason, uid: 0 };
        let line = described(Some(&entry), Instant::now());
        assert_eq!(line, "without end: x\\u{a}2026 INFO forged\\u{1b}[0m");
        assert_eq!(described(None, Instant::now()), "none");
    }
}
