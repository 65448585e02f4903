//! Waiting for what the kernel program puts into its ring buffers.

use std::{
    io,
    os::fd::{AsFd, AsRawFd, RawFd},
};

use tokio::io::{Interest, unix::AsyncFd};

/// A reader as tokio waits for it.
pub(super) struct Ring<R>(R);

impl<R: AsFd> Ring<R> {
    /// Readable whenever there is a record.
    pub(super) fn watch(reader: R) -> io::Result<AsyncFd<Self>> {
        // SAFETY: the ring buffer's one descriptor is open as long as the reader.
        let ring = unsafe { AsyncFd::register_with_interest(Self(reader), Interest::READABLE) };
        Ok(ring?)
    }

    pub(super) fn reader(&mut self) -> &mut R {
        &mut self.0
    }
}

impl<R: AsFd> AsRawFd for Ring<R> {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}
