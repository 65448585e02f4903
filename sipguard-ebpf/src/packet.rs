//! The only access to packet bytes.

use core::cell::Cell;

use aya_ebpf::{
    EbpfContext as _,
    helpers::generated::{bpf_xdp_get_buff_len, bpf_xdp_load_bytes, bpf_xdp_store_bytes},
    programs::XdpContext,
};
use sipguard_common::{
    abi::EVENT_BYTES,
    frame::{Frame, Packet},
    message::{MIN_MESSAGE, MIN_METHOD},
    opaque,
    scan::{self, PAYLOAD_MAX, Scratch},
};

/// The flags of TCP that a reset must not have, or need not: all but ECN's.
const TCP_FLAGS: u32 = 0x3f;
const TCP_RST: u32 = 0x04;

mod egress;

pub(crate) use self::egress::Egress;

/// What a frame is made of: a linear part, and perhaps others. Headers are read in
/// place; what lies in another part, through a helper.
pub(crate) trait Parts {
    /// Where the linear part starts, and ends.
    fn linear(&self) -> (usize, usize);
    /// Copies `len` bytes at `offset`, which may lie in any part of the frame.
    fn gather(&self, offset: u32, into: *mut u8, len: u32) -> Option<()>;

    /// Where `len` bytes at `offset` lie in the linear part of the frame.
    #[inline(always)]
    fn in_place(&self, offset: u32, len: usize) -> Option<*const u8> {
        let (start, end_of_part) = self.linear();
        let start = start + offset as usize;
        // LLVM would turn `start + len > end` into a comparison that tells the
        // verifier nothing.
        let end = opaque((start + len) as u64) as usize;
        (end <= end_of_part).then_some(start as *const u8)
    }

    /// As [`Frame::word`].
    #[inline(always)]
    fn read_word(&self, offset: u32) -> Option<u32> {
        if let Some(bytes) = self.in_place(offset, 4) {
            // SAFETY: compared with the end of the linear part.
            return Some(u32::from_be(unsafe { bytes.cast::<u32>().read_unaligned() }));
        }
        let mut word = 0u32;
        self.gather(offset, (&raw mut word).cast(), 4)?;
        Some(u32::from_be(word))
    }

    /// As [`Frame::load`].
    #[inline(always)]
    fn read_words<const N: usize>(&self, offset: u32, into: &mut [u32; N]) -> Option<()> {
        let Some(bytes) = self.in_place(offset, 4 * N) else {
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
}

/// Reading the payload of a frame.
pub(crate) trait Payload: Frame + Parts {
    /// Copies the payload of the packet in the scratch memory there, and seals
    /// it. What cannot be read counts as empty, and gives `None`.
    #[inline(always)]
    fn copy_payload(&self, scratch: *mut Scratch) -> Option<()> {
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

    /// Whether the byte before `end` is a letter.
    #[inline(always)]
    fn ends_in_a_letter(&self, end: u32) -> bool {
        // No payload starts within the first four bytes of a frame. The mask is
        // for the verifier, which asks for a bound of each offset.
        let offset = opaque(u64::from(end.wrapping_sub(4))) as u32 & 0x3fff;
        (self.word(offset).unwrap_or(0) as u8).is_ascii_alphabetic()
    }
}

/// A frame in the kernel. Headers are read in place; where a driver left them
/// in a fragment of the frame, through the helper.
pub(crate) struct Ingress<'a> {
    context: &'a XdpContext,
    /// Bytes in the linear part, where that is known to hold all that matters:
    /// the call for the true length is dear. 0 where it is not.
    whole: Cell<u32>,
}

impl<'a> Ingress<'a> {
    #[inline(always)]
    pub(crate) fn new(context: &'a XdpContext) -> Self {
        Self { context, whole: Cell::new(0) }
    }

    /// For the log macros.
    #[inline(always)]
    pub(crate) fn context(&self) -> &XdpContext {
        self.context
    }

    /// The context, for helpers that take it.
    #[inline(always)]
    pub(crate) fn raw(&self) -> *mut core::ffi::c_void {
        self.context.as_ptr().cast()
    }
}

impl Ingress<'_> {
    /// Copies the first [`EVENT_BYTES`] of the `len` bytes at `offset`, or all
    /// of them; gives how many.
    #[inline(always)]
    pub(crate) fn copy_start(&self, offset: u32, len: u32, into: *mut u8) -> u32 {
        let max = EVENT_BYTES as u64;
        let len = u64::from(len);
        let len = opaque(if len > max { max } else { len });
        // Two checks with a barrier between them, as in `copy_payload`.
        if len > max {
            return 0;
        }
        let len = opaque(len);
        // Signed, for of an unsigned one LLVM makes a comparison with 0, from
        // which Linux 6.1 learns no lower bound.
        if (len as i64) < 1 || self.gather(offset, into, len as u32).is_none() {
            return 0;
        }
        len as u32
    }

    /// Turns a TCP segment of which the header starts at `offset` into a reset
    /// at the same place of the stream, payload and all (RFC 9293 section
    /// 3.5.3; RFC 1122 section 4.2.2.12 lets a reset carry text). The receiver
    /// closes its half of the connection, if the place is where it stands.
    #[inline(always)]
    pub(crate) fn reset(&self, offset: u32) -> Option<()> {
        let mut word = self.word(offset + 12)?;
        let checksum = self.word(offset + 16)? >> 16;
        let old = word >> 16;
        let new = (old & !TCP_FLAGS) | TCP_RST;
        word = (word & 0xffff) | new << 16;
        // RFC 1624, equation 3. Where the network card is to fill the checksum
        // in, nobody looks at it.
        let mut sum = (!checksum & 0xffff) + (!old & 0xffff) + new;
        sum = (sum & 0xffff) + (sum >> 16);
        sum = (sum & 0xffff) + (sum >> 16);
        let urgent = self.word(offset + 16)? & 0xffff;
        self.put(offset + 12, word)?;
        self.put(offset + 16, (!sum & 0xffff) << 16 | urgent)
    }

    /// Writes a word in network byte order.
    #[inline(always)]
    fn put(&self, offset: u32, word: u32) -> Option<()> {
        let mut word = word.to_be();
        // SAFETY: the helper checks the frame's bounds. Linux 5.18.
        let result = unsafe {
            bpf_xdp_store_bytes(
                self.context.as_ptr().cast(),
                offset,
                (&raw mut word).cast(),
                size_of::<u32>() as u32,
            )
        };
        (result == 0).then_some(())
    }
}

impl Payload for Ingress<'_> {}

impl Parts for Ingress<'_> {
    #[inline(always)]
    fn linear(&self) -> (usize, usize) {
        (self.context.data(), self.context.data_end())
    }

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
        self.read_word(offset)
    }

    #[inline(always)]
    fn load<const N: usize>(&self, offset: u32, into: &mut [u32; N]) -> Option<()> {
        self.read_words(offset, into)
    }

    #[inline(always)]
    fn len(&self) -> u32 {
        let whole = self.whole.get();
        if whole != 0 {
            return whole;
        }
        // SAFETY: the context is the program's own. Linux 5.18.
        unsafe { bpf_xdp_get_buff_len(self.context.as_ptr().cast()) as u32 }
    }

    /// A frame whose packet ends in the linear part has no other part.
    #[inline(always)]
    fn clip(&self, end: u32) -> u32 {
        let linear = opaque((self.context.data_end() - self.context.data()) as u64) as u32;
        if end <= linear {
            self.whole.set(linear);
            return end;
        }
        let len = self.len();
        if end < len { end } else { len }
    }
}
