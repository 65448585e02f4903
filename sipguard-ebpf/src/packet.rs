//! The only access to packet bytes.

use aya_ebpf::{
    EbpfContext as _,
    helpers::generated::{bpf_xdp_get_buff_len, bpf_xdp_load_bytes},
    programs::XdpContext,
};
use sipguard_common::{
    frame::Frame,
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

    /// Copies up to `len` bytes of payload from `offset` on into the scratch
    /// memory and seals them. What cannot be read counts as empty.
    #[inline(always)]
    pub(crate) fn copy_payload(&self, offset: u32, len: u32, scratch: *mut Scratch) {
        // SAFETY: the scratch memory comes from a map lookup.
        unsafe {
            scan::begin(scratch);
            let bounded = opaque(u64::from(if len > PAYLOAD_MAX { PAYLOAD_MAX } else { len }));
            if bounded == 0 || bounded > u64::from(PAYLOAD_MAX) {
                return;
            }
            let bytes = (&raw mut (*scratch).bytes).cast::<u8>();
            // Linux 5.18.
            let copied = bpf_xdp_load_bytes(
                self.context.as_ptr().cast(),
                offset,
                bytes.cast(),
                bounded as u32,
            );
            if copied == 0 {
                scan::seal(scratch, bounded as u32);
            }
        }
    }
}

impl Frame for Ingress<'_> {
    #[inline(always)]
    fn read<const N: usize>(&self, offset: u32) -> Option<[u8; N]> {
        let start = self.context.data() + offset as usize;
        // LLVM would turn `start + N > end` into a comparison that tells the
        // verifier nothing.
        let end = opaque((start + N) as u64) as usize;
        if end <= self.context.data_end() {
            // SAFETY: compared with the end of the packet just above.
            return Some(unsafe { (start as *const [u8; N]).read_unaligned() });
        }
        if offset + N as u32 > self.len {
            return None;
        }
        let mut bytes = [0; N];
        // SAFETY: the helper checks the bounds of the frame itself.
        let copied = unsafe {
            bpf_xdp_load_bytes(
                self.context.as_ptr().cast(),
                offset,
                bytes.as_mut_ptr().cast(),
                N as u32,
            )
        };
        (copied == 0).then_some(bytes)
    }

    #[inline(always)]
    fn len(&self) -> u32 {
        self.len
    }
}
