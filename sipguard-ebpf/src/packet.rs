//! The only access to packet bytes.

use aya_ebpf::{
    EbpfContext as _,
    helpers::generated::{bpf_xdp_get_buff_len, bpf_xdp_load_bytes},
    programs::XdpContext,
};
use sipguard_common::{
    frame::{Frame, Packet},
    message::{MIN_MESSAGE, MIN_METHOD},
    opaque,
    scan::{self, PAYLOAD_MAX, Scratch},
};

/// A frame in the kernel. Headers are read in place; where a driver left them
/// in a fragment of the frame, through the helper.
pub(crate) struct Ingress<'a> {
    context: &'a XdpContext,
    len: u32,
}

impl<'a> Ingress<'a> {
    #[inline(always)]
    pub(crate) fn new(context: &'a XdpContext) -> Self {
        // SAFETY: the context is the program's own. Linux 5.18.
        let len = unsafe { bpf_xdp_get_buff_len(context.as_ptr().cast()) };
        Self { context, len: len as u32 }
    }

    /// For the log macros.
    #[inline(always)]
    pub(crate) fn context(&self) -> &XdpContext {
        self.context
    }

    /// Copies the payload of the packet in the scratch memory there, and seals
    /// it. What cannot be read counts as empty, and gives `None`.
    #[inline(always)]
    pub(crate) fn copy_payload(&self, scratch: *mut Scratch) -> Option<()> {
        // SAFETY: the scratch memory comes from a map lookup.
        unsafe {
            scan::begin(scratch);
            let Packet { payload, len, .. } = (*scratch).packet;
            // What is shorter is a keepalive, but for a bare method word, which
            // ends in a letter: most keepalives end in a line feed.
            if len < MIN_MESSAGE && !(len >= MIN_METHOD && self.ends_in_a_letter(payload + len)) {
                return Some(());
            }
            // The second check is one of its own, in 64 bits, for Linux 6.1:
            // LLVM would make one comparison of the two, and that verifier
            // learns no lower bound from it ("invalid zero-sized read").
            let bounded = opaque(u64::from(if len > PAYLOAD_MAX { PAYLOAD_MAX } else { len }));
            if bounded > u64::from(PAYLOAD_MAX) {
                return Some(());
            }
            let bounded = opaque(bounded);
            if bounded < u64::from(MIN_METHOD) {
                return Some(());
            }
            let bytes = (&raw mut (*scratch).bytes).cast::<u8>();
            self.gather(payload, bytes, bounded as u32)?;
            scan::seal(scratch, bounded as u32);
        }
        Some(())
    }
}

impl Ingress<'_> {
    /// Where `len` bytes at `offset` lie in the linear part of the frame.
    #[inline(always)]
    fn linear(&self, offset: u32, len: usize) -> Option<*const u8> {
        let start = self.context.data() + offset as usize;
        // LLVM would turn `start + len > end` into a comparison that tells the
        // verifier nothing.
        let end = opaque((start + len) as u64) as usize;
        (end <= self.context.data_end()).then_some(start as *const u8)
    }

    /// Whether the byte before `end` is a letter.
    #[inline(always)]
    fn ends_in_a_letter(&self, end: u32) -> bool {
        // No payload starts within the first four bytes of a frame. The mask is
        // for the verifier, which asks for a bound of each offset.
        let offset = opaque(u64::from(end.wrapping_sub(4))) as u32 & 0x3fff;
        (self.word(offset).unwrap_or(0) as u8).is_ascii_alphabetic()
    }

    /// The same bytes by the helper, which knows all parts of a frame.
    #[inline(always)]
    fn gather(&self, offset: u32, into: *mut u8, len: u32) -> Option<()> {
        // SAFETY: the helper checks the frame's bounds, the caller gives room
        // for `len` bytes. Linux 5.18.
        let result =
            unsafe { bpf_xdp_load_bytes(self.context.as_ptr().cast(), offset, into.cast(), len) };
        (result == 0).then_some(())
    }
}

impl Frame for Ingress<'_> {
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
        self.len
    }
}
