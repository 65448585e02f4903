//! When operators are told that something is wrong, and when that it is over.
//!
//! Pure: what is seen comes in once a second with the time, what has changed
//! goes out. Who is told by which way is the daemon's business.

mod baseline;
mod engine;
mod judge;
mod observation;
mod window;

pub use self::{
    baseline::{Hourly, baseline, hour},
    engine::{Alert, Change, Engine, MAX_SUBJECTS, OTHERS, Transition},
    observation::{AccountBan, FeedAge, Fill, Moment, Observation, SourceSeen, WouldHurt},
};

#[cfg(test)]
mod tests;
