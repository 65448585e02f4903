//! A frame on its way out.

use aya_ebpf::{EbpfContext as _, helpers::generated::bpf_skb_load_bytes, programs::TcContext};
use sipguard_common::frame::Frame;

use super::{Parts, Payload};

/// A socket buffer. Of TCP often only the headers are linear.
pub(crate) struct Egress<'a> {
    context: &'a TcContext,
}

impl<'a> Egress<'a> {
    #[inline(always)]
    pub(crate) fn new(context: &'a TcContext) -> Self {
        Self { context }
    }
}

impl Payload for Egress<'_> {}

impl Parts for Egress<'_> {
    #[inline(always)]
    fn linear(&self) -> (usize, usize) {
        (self.context.data(), self.context.data_end())
    }

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
        self.read_word(offset)
    }

    #[inline(always)]
    fn load<const N: usize>(&self, offset: u32, into: &mut [u32; N]) -> Option<()> {
        self.read_words(offset, into)
    }

    #[inline(always)]
    fn len(&self) -> u32 {
        self.context.len()
    }
}
