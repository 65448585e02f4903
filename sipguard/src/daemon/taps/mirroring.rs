//! What the mirror has done.

/// Since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::daemon) struct Mirroring {
    pub(in crate::daemon) sent: u64,
    /// The kernel refused to send them, or the collector's host said that
    /// nobody listens.
    pub(in crate::daemon) failed: u64,
    /// Dropped packets without a message, which no collector takes.
    pub(in crate::daemon) not_sip: u64,
    /// Without room on their way to the mirror.
    pub(in crate::daemon) lost: u64,
    /// Why nothing is sent.
    pub(in crate::daemon) problem: Option<String>,
}
