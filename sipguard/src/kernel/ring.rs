//! Ring buffers: what the kernel program tells, record by record.

use std::{
    marker::PhantomData,
    os::fd::{AsFd, AsRawFd as _, BorrowedFd},
};

use aya::{
    Pod,
    maps::{MapData, RingBuf},
};
use sipguard_common::abi::{BanMade, Event};

use super::{KernelError, maps::Maps};

/// Takes records out of a ring buffer of the kernel program. Readable, for
/// whoever waits, when there is one.
pub struct RingReader<T> {
    ring: RingBuf<MapData>,
    record: PhantomData<fn() -> T>,
}

/// Packets that were dropped, or would have been.
pub type EventReader = RingReader<Event>;

/// Bans that were made, or would have been.
pub type BanReader = RingReader<BanMade>;

impl<T: Pod> RingReader<T> {
    pub(super) fn take(maps: &mut impl Maps, name: &'static str) -> Result<Self, KernelError> {
        let ring = RingBuf::try_from(maps.take(name)?)
            .map_err(KernelError::map("opening a ring buffer"))?;
        Ok(Self { ring, record: PhantomData })
    }

    /// The oldest record that was not taken yet.
    pub fn next_event(&mut self) -> Option<T> {
        loop {
            let item = self.ring.next()?;
            if item.len() >= size_of::<T>() {
                // SAFETY: as long as a record, of which every bit pattern is
                // valid.
                return Some(unsafe { item.as_ptr().cast::<T>().read_unaligned() });
            }
        }
    }
}

impl<T> AsFd for RingReader<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the ring buffer, and with it the descriptor, lives as long
        // as self.
        unsafe { BorrowedFd::borrow_raw(self.ring.as_raw_fd()) }
    }
}
