//! Alerts on their way from what is seen to those who are told.

mod board;
mod courier;
mod exec;
mod gather;
mod notice;
mod watch;
mod webhook;

pub use self::board::{Board, KEPT as ALERTS_KEPT};
pub(super) use self::watch::watch;

/// Why an action has not told anybody; worth another try or not.
#[derive(Debug, PartialEq, Eq)]
enum Trouble {
    Passing(String),
    Lasting(String),
}

impl Trouble {
    fn message(self) -> String {
        match self {
            Self::Passing(message) | Self::Lasting(message) => message,
        }
    }
}
