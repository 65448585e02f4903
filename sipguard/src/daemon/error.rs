//! Why a request fails.

use std::{io, path::PathBuf};

use jiff::Timestamp;

use super::{FilterError, Refusal, control::MAX_REASON};
use crate::{api::wire::Holder, policy::Diagnostics};

/// Why a request failed. Nothing has changed then.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error("the reason is longer than {MAX_REASON} characters")]
    LongReason,
    #[error("{target} is {list} by {file}, not by an operator")]
    OnlyInFile { target: String, list: &'static str, file: PathBuf },
    #[error("{target} is blocked by the feed {feed}, not by an operator")]
    OnlyInFeed { target: String, feed: String },
    #[error("{target} is blocked by a decision of CrowdSec ({origin}), not by an operator")]
    OnlyDecided { target: String, origin: String },
    #[error("there is no feed `{0}`")]
    NoFeed(String),
    #[error("the feed {0} is switched off")]
    FeedIsOff(String),
    #[error("{target} is not {list}")]
    NotListed { target: String, list: &'static str },
    #[error("{target} is not {list} by itself: {} covers it", holder.target)]
    Covered { target: String, list: &'static str, holder: Holder, undo: String },
    #[error("the configuration has errors")]
    Configuration(Box<Diagnostics>),
    #[error("the kernel refused: {0}")]
    Filter(FilterError),
    #[error("cannot read this host's addresses: {0}")]
    Host(#[from] io::Error),
    #[error("uid {uid} takes a capture since {since:.0}; there is one at a time")]
    Capturing { uid: u32, since: Timestamp },
    #[error("the history does not answer: its disk may stand still")]
    History,
}

impl Error {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Refused(refusal) => Some(refusal.hint()),
            Self::OnlyInFile { file, .. } => {
                Some(format!("remove it from {} and run `sipguard reload`", file.display()))
            }
            Self::OnlyInFeed { target, .. } => Some(freed(target)),
            Self::OnlyDecided { target, .. } => Some(undecided(target)),
            Self::NoFeed(_) => Some("`sipguard feeds` shows them all".to_owned()),
            Self::FeedIsOff(name) => {
                Some(format!("take enabled = false from {name} and run `sipguard reload`"))
            }
            Self::NotListed { list, .. } => Some(format!("see `sipguard list {list}`")),
            Self::Covered { undo, .. } => Some(undo.clone()),
            Self::Configuration(_) => {
                Some("the last good policy stays: correct the files and reload again".to_owned())
            }
            Self::Capturing { .. } => {
                Some("wait for its end, or end it: `sipguard status` shows it".to_owned())
            }
            Self::LongReason | Self::Filter(_) | Self::Host(_) | Self::History => None,
        }
    }
}

/// What helps against a feed: its next version would have it again.
pub(super) fn freed(target: &str) -> String {
    format!("run `sipguard allow {target}`: trust wins over feeds")
}

/// What helps against a decision of CrowdSec.
#[must_use]
pub fn undecided(target: &str) -> String {
    let what = if target.contains('/') { "range" } else { "ip" };
    format!(
        "run `cscli decisions delete --{what} {target}` there, or `sipguard allow {target}` here: trust wins over decisions"
    )
}
