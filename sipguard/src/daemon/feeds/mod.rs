//! Feeds in the running daemon: when they are read, and what is in force of
//! them.

mod book;
mod desk;
mod refresh;
mod restore;
mod task;
mod turns;

pub use refresh::refresh;

pub(super) use self::{
    book::{Feed, Feeds, difference},
    desk::Desk,
    restore::{AllKept, put, read_kept, restore},
    task::run,
};
