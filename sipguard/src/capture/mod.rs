//! Captures: packets as the kernel program got them, each with what became of
//! it, as pcapng.
//!
//! The daemon makes one stream of blocks ([`Pcapng`]), which is a whole file by
//! itself. The command line takes it apart again at the borders of blocks
//! ([`Blocks`]), so that its files are whole whenever they end.

mod blocks;
mod clock;
mod end;
mod frame;
mod pcapng;
mod wish;

pub use self::{
    blocks::{Block, Blocks, Counts},
    clock::{monotonic_ns, to_wall_ns},
    end::End,
    frame::{Frame, Seen},
    pcapng::{Pcapng, STATISTICS_MAX, statistics},
    wish::{
        DURATION, MAX_DURATION, MAX_PER_SECOND, MIN_SIZE, MIN_SNAPLEN, PER_SECOND, SIZE, Wish,
        WishError,
    },
};
