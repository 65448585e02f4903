//! A frame on its way out.

use aya_ebpf::{EbpfContext as _, helpers::generated::bpf_skb_load_bytes, programs::TcContext};
use sipguard_common::{frame::Frame, opaque};

use super::Gather;

/// A socket buffer. Of TCP often only the headers are linear.
pub(crate) struct Egress<'a> {
    context: &'a TcContext,
}

impl<'a> Egress<'a> {
    #[inline(always)]
    pub(crate) fn new(context: &'a TcContext) -> Self {
        Self { context }
    }

    /// Where `len` bytes at `offset` lie in the linear part of the frame.
    #[inline(always)]
    fn linear(&self, offset: u32, len: usize) -> Option<*const u8> {
        let start = self.context.data() + offset as usize;
        // As on the way in.
        let end = opaque((start + len) as u64) as usize;
        (end <= self.context.data_end()).then_some(start as *const u8)
    }
}

impl Gather for Egress<'_> {
    #[inline(always)]
    fn gather(&self, offset: u32, into: *mut u8, len: u32) -> Option<()> {
        // SAFETY: the helper checks the frame's bounds, the caller gives room
        // for `len` bytes. Linux 4.5.
        let result =
            unsafe { bpf_skb_load_bytes(self.context.as_ptr().cast(), offset, into.cast(), len) };
        (result == 0).then_some(())
    }
}

impl Frame for Egress<'_> {
    #[inline(always)]
    fn word(&self, offset: u32) -> Option<u32> {
        if let Some(bytes) = self.linear(offset, 4) {
            // SAFETY: compared with the end of the linear part.
            return Some(u32::from_be(unsafe { bytes.cast::<u32>().read_unaligned() }));
        }
        let mut word = 0u32;
        self.gather(offset, (&raw mut word).cast(), 4)?;
        Some(u32::from_be(word))
    }

    #[inline(always)]
    fn load<const N: usize>(&self, offset: u32, into: &mut [u32; N]) -> Option<()> {
        let Some(bytes) = self.linear(offset, 4 * N) else {
            return self.gather(offset, into.as_mut_ptr().cast(), 4 * N as u32);
        };
        let words = bytes.cast::<u32>();
        let mut i = 0;
        while i < N {
            // SAFETY: `4 * N` bytes were compared with the end of the linear
            // part. Word by word: LLVM makes a loop over bytes of a copy.
            unsafe { *into.get_unchecked_mut(i) = words.add(i).read_unaligned() };
            i += 1;
        }
        Some(())
    }

    #[inline(always)]
    fn len(&self) -> u32 {
        self.context.len()
    }
}
