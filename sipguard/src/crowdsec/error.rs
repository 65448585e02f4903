//! Why a local API is of no use just now. What it had decided stays then.

use std::{io, path::PathBuf};

/// Whether a request has come to somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Nobody has heard of it: what was not told is told next time.
    Nobody,
    /// Somebody may have: what he has told is lost.
    Perhaps,
}

/// What went wrong. What others have written is shown without what acts on a
/// terminal; keys, passwords and tokens are never shown.
#[derive(Debug, thiserror::Error)]
pub enum CrowdsecError {
    #[error("nobody listens: {0}")]
    Unreached(String),
    #[error("{0}")]
    Http(String),
    #[error("no answer in time: {0}")]
    Timeout(String),
    #[error("the answer is none of a local API's: {0}")]
    NotLapi(String),
    #[error("the answer has more than {0} bytes")]
    TooLarge(u64),
    #[error("it refuses the {what} (status {status})")]
    Denied { what: &'static str, status: u16 },
    #[error("what it decides cannot be held: {0}")]
    NotHeld(String),
    #[error("it answers with status {0}")]
    Status(u16),
    #[error("cannot read the {what} in {}: {source}", path.display())]
    Secret { what: &'static str, path: PathBuf, source: io::Error },
    #[error("{} holds no {what}", path.display())]
    NoSecret { what: &'static str, path: PathBuf },
}

impl CrowdsecError {
    /// Whether somebody may have answered what did not arrive.
    #[must_use]
    pub fn reach(&self) -> Reach {
        match self {
            Self::Unreached(_) | Self::Secret { .. } | Self::NoSecret { .. } => Reach::Nobody,
            _ => Reach::Perhaps,
        }
    }
}
