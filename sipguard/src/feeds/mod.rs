//! Block lists that somebody else keeps: how they are fetched and read, and how
//! their last good version is kept.
//!
//! Nothing here knows the daemon or the kernel. What comes from the net is
//! hostile: it is bounded in size and time, and believed only as far as
//! [`crate::policy::FeedSettings`] say.

mod apiban;
mod error;
mod fetch;
mod http;
mod kept;
mod list;
mod ranges;
mod redirect;
mod sift;
mod status;
#[cfg(feature = "testing")]
pub mod testing;

pub use self::{
    error::FeedError,
    fetch::{Fetched, Patience, fetch, fetch_within},
    kept::{FOLDER, Kept, Version},
    ranges::Ranges,
    sift::{Read, Skipped},
    status::Status,
};
