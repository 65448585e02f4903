//! What the kernel program tells of single packets: read, kept for a while,
//! passed on to whoever follows, and summed up in the log.

mod digest;
mod journal;
mod pump;
mod told;

pub(super) use self::{digest::Drops, pump::pump, told::wall_time};
pub use self::{
    journal::{BEHIND, Journal, KEPT_PER_RULE, Recent, Wanted},
    told::Told,
};

#[cfg(test)]
pub(crate) use told::sample;
