//! What the filter would have done with a capture: every packet goes through
//! the real kernel program by TEST_RUN, under the capture's own clock. No
//! interface and no running daemon is touched.

mod capture;
mod clock;
mod link;
mod run;
mod side;
mod summary;

pub use capture::{Capture, CaptureError, Captured, Damage, Direction};
pub use link::{name as link_name, to_ethernet};
pub use run::{MAX_FRAME, Outcome, Replay, Seen, Taught};
pub use summary::{MAX_SOURCES, Notes, RuleCount, SourceCount, Summary};
