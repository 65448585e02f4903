//! The section `[events]`: how many packets the kernel program tells of.

use super::rate::RateLimit;

/// What is told of packets that were dropped, or would have been.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventSettings {
    /// Events of one rule; `Unlimited` is not among the choices.
    pub rule: RateLimit,
    /// Events of one source.
    pub source: RateLimit,
    /// Whether the daemon logs a line for each rule that dropped, once a
    /// minute.
    pub log: bool,
}

impl Default for EventSettings {
    /// The reasons for these numbers stand in config/sipguard.toml.
    fn default() -> Self {
        Self { rule: RateLimit::fixed(10, 50), source: RateLimit::fixed(1, 5), log: true }
    }
}
