//! Counts of the past: written down every few minutes, and asked for.

mod ask;
mod assemble;
mod recorder;

pub use self::ask::report;
pub(super) use self::recorder::{Recorder, record, write_down};
