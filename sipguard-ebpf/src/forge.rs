//! Turning a reply that tells too much into a challenge: whoever tries out
//! accounts then hears of each the same.
//!
//! The challenge is the server's own last one with another nonce, at the place
//! among the headers where the server puts it.

use aya_ebpf::{
    EbpfContext as _,
    bindings::{BPF_F_MARK_MANGLED_0, BPF_F_PSEUDO_HDR},
    helpers::generated::{
        bpf_csum_diff, bpf_get_prandom_u32, bpf_l3_csum_replace, bpf_l4_csum_replace,
        bpf_probe_read_kernel, bpf_skb_change_tail, bpf_skb_load_bytes, bpf_skb_store_bytes,
    },
    programs::TcContext,
};
use sipguard_common::{
    method::Method,
    opaque,
    scan::{self, PAYLOAD_MAX, Scratch, kind},
};

use crate::{learn, maps, payload, transactions};

/// Bytes of a challenge that are kept; a longer one is none to go by.
const LINE_MAX: u32 = 512;

/// Characters of a nonce that are drawn anew.
const DRAWN: u32 = 64;

/// Lines at most: more of them are no reply of a server.
const MAX_LINES: u32 = 64;

static UNAUTHORIZED: [u8; 26] = *b"SIP/2.0 401 Unauthorized\r\n";
static PROXY: [u8; 43] = *b"SIP/2.0 407 Proxy Authentication Required\r\n";

/// Which challenge belongs to a method, by number.
#[inline(always)]
const fn template(method: u32) -> u32 {
    (method != Method::Register as u32) as u32
}

/// Keeps the challenge in the scratch memory of the way out, of which the
/// parameters were just read: the position stands on its line's end.
///
/// # Safety
/// The scratch memory is that one.
#[inline(always)]
pub(crate) unsafe fn keep(scratch: *mut Scratch) {
    // SAFETY: as the caller promises; this CPU's own memory, and `LINE_MAX`
    // bytes behind a position in the payload lie in it.
    unsafe {
        let Some(kept) = maps::TEMPLATES.get_ptr_mut(template((*scratch).cseq_method)) else {
            return;
        };
        let Some(value) = scan::value_of(scratch, kind::CHALLENGE) else {
            return;
        };
        let status = (*scratch).status;
        let name = if status == 407 { 18 } else { 16 };
        let (end, nonce_at) = ((*scratch).position, (*scratch).nonce_at);
        let line = value.wrapping_sub(name);
        let len = end.wrapping_sub(line).wrapping_add(1);
        let nonce_at = nonce_at.wrapping_sub(line);
        if line > PAYLOAD_MAX || len > LINE_MAX || nonce_at >= len {
            return;
        }
        payload::count_lines(MAX_LINES, line);
        if (*scratch).position != line {
            return;
        }
        let from = (&raw const (*scratch).bytes).cast::<u8>();
        let from = from.add((opaque(u64::from(line)) & 2047) as usize);
        let fixed = if (*kept).len == 0 { FIXED } else { same(kept, from, nonce_at) };
        let challenge = Challenge { status, lines: (*scratch).found, nonce_at, len, fixed };
        write(kept, from, &challenge);
        if let Some(first) = maps::FIRST_TEMPLATES.get_ptr_mut(template((*scratch).cseq_method))
            && (*first).len == 0
        {
            write(first, from, &challenge);
        }
    }
}

/// What is kept of a challenge beside its line.
struct Challenge {
    status: u32,
    lines: u32,
    nonce_at: u32,
    len: u32,
    /// Characters at the start of its nonce that stay.
    fixed: u32,
}

/// How many stay as long as only one challenge was seen: where servers put the
/// time, it takes four bytes.
const FIXED: u32 = 5;

/// # Safety
/// The memory is a map value, and `LINE_MAX` bytes lie behind `from`.
#[inline(always)]
unsafe fn write(kept: *mut Scratch, from: *const u8, challenge: &Challenge) {
    // SAFETY: as the caller promises.
    unsafe {
        (*kept).len = 0;
        if bpf_probe_read_kernel((&raw mut (*kept).bytes).cast(), LINE_MAX, from.cast()) == 0 {
            (*kept).status = challenge.status;
            (*kept).lines = challenge.lines;
            (*kept).nonce_at = challenge.nonce_at;
            (*kept).seconds = challenge.fixed;
            (*kept).len = challenge.len;
        }
    }
}

/// How many characters the nonce of a new challenge begins with that the last
/// one's has, too: there the time stands, or nothing in common.
///
/// # Safety
/// As above.
#[inline(always)]
unsafe fn same(kept: *mut Scratch, from: *const u8, nonce_at: u32) -> u32 {
    // SAFETY: as the caller promises; masked.
    unsafe {
        let at = (opaque(u64::from(nonce_at)) & u64::from(LINE_MAX - 1)) as usize;
        let old = (&raw const (*kept).bytes).cast::<u8>().add(at).cast::<u64>().read_unaligned();
        let new = from.add(at).cast::<u64>().read_unaligned();
        let differ = u64::from_le(old ^ new);
        let mut same = 0;
        while same < 8 {
            if differ >> (8 * same) & 0xff != 0 {
                break;
            }
            same += 1;
        }
        // The very same nonce once more: nothing new is known.
        if same == 8 { (*kept).seconds } else { same }
    }
}

/// Draws the nonce anew, behind the characters that stay: digits, and letters up
/// to f, or where there are others, all letters, each of its kind. A subprogram:
/// the verifier walks it once and not once for each way to it.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn draw_nonce(which: u32) -> u32 {
    let Some(kept) = maps::TEMPLATES.get_ptr_mut(which) else {
        return 0;
    };
    // SAFETY: this CPU's own memory; positions are masked.
    unsafe {
        let bytes = (&raw mut (*kept).bytes).cast::<u8>();
        let at = |i: u32| bytes.add((opaque(u64::from(i)) & u64::from(LINE_MAX - 1)) as usize);
        (*kept).state = 6;
        for pass in 0..2 {
            (&raw mut (*kept).position).write_volatile((*kept).nonce_at + (*kept).seconds);
            for _ in 0..DRAWN {
                let position = (&raw const (*kept).position).read_volatile();
                let byte = at(position);
                if *byte == b'"' {
                    break;
                }
                (&raw mut (*kept).position).write_volatile(position + 1);
                let folded = *byte | 0x20;
                if pass == 0 {
                    if folded > b'f' && folded <= b'z' {
                        (&raw mut (*kept).state).write_volatile(26);
                    }
                    continue;
                }
                let random = bpf_get_prandom_u32();
                if (*byte).is_ascii_digit() {
                    *byte = b'0' + (random % 10) as u8;
                } else if folded.is_ascii_lowercase() {
                    let letters = (&raw const (*kept).state).read_volatile();
                    let letter = if letters == 6 { random % 6 } else { random % 26 };
                    *byte = (*byte & 0x20) | (b'A' + letter as u8);
                }
            }
        }
    }
    0
}

/// What the reply becomes: pieces with their lengths, in order.
struct Pieces {
    status: u32,
    /// Of the reply: behind its first line, where the challenge goes, where it
    /// goes on then, and the end.
    first: u32,
    insert: u32,
    rest: u32,
    end: u32,
    line: u32,
}

/// Turns the UDP reply in the scratch memory of the way out, and in the frame,
/// into a challenge; `None` where that cannot be.
#[inline(always)]
pub(crate) fn forge(context: &TcContext) -> Option<()> {
    match forge_reply(context.as_ptr().cast()) {
        1 => Some(()),
        _ => None,
    }
}

/// A subprogram: the verifier walks it once and not once for each way to it.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn forge_reply(context: *mut aya_ebpf::bindings::__sk_buff) -> u32 {
    let Some(scratch) = maps::EGRESS.get_ptr_mut(0) else {
        return 0;
    };
    // SAFETY: this CPU's own memory, sealed and scanned.
    unsafe {
        let Some(kept) = maps::TEMPLATES.get_ptr_mut(template((*scratch).cseq_method)) else {
            return 0;
        };
        if (*kept).len == 0 {
            let Some(first) = maps::FIRST_TEMPLATES.get_ptr(template((*scratch).cseq_method))
            else {
                return 0;
            };
            if (*first).len == 0
                || bpf_probe_read_kernel(kept.cast(), size_of::<Scratch>() as u32, first.cast())
                    != 0
            {
                return 0;
            }
        }
        learn::reply_lines();
        let len = (*scratch).len;
        // What has a body is another kind of reply.
        if (*scratch).header_end() != len || len != (*scratch).packet.len {
            return 0;
        }
        payload::count_lines(1, len);
        let first = (*scratch).position;
        let (insert, rest) = match scan::value_of(scratch, kind::CHALLENGE) {
            // In the place of the challenge that is there.
            Some(value) => {
                payload::count_lines(MAX_LINES, value);
                let insert = (*scratch).position;
                let lines = (*scratch).found;
                payload::count_lines(lines + 1, len);
                (insert, (*scratch).position)
            }
            // Where there are fewer headers, before the empty line.
            None => {
                payload::count_lines((*kept).lines, len.wrapping_sub(2));
                ((*scratch).position, (*scratch).position)
            }
        };
        draw_nonce(template((*scratch).cseq_method));
        transactions::remember_forged(scratch, kept);
        let pieces =
            Pieces { status: (*kept).status, first, insert, rest, end: len, line: (*kept).len };
        u32::from(rewrite(context.cast(), scratch, kept, &pieces).is_some())
    }
}

type Context = *mut aya_ebpf::bindings::__sk_buff;

/// # Safety
/// The context is the program's own, the scratch memory holds the frame's
/// payload.
#[inline(always)]
unsafe fn rewrite(
    context: Context,
    scratch: *mut Scratch,
    kept: *mut Scratch,
    pieces: &Pieces,
) -> Option<()> {
    let is_proxy = pieces.status == 407;
    let head = if is_proxy { PROXY.len() } else { UNAUTHORIZED.len() } as u32;
    let middle = pieces.insert.wrapping_sub(pieces.first);
    let tail = pieces.end.wrapping_sub(pieces.rest);
    let new = head + middle + pieces.line + tail;
    if new > PAYLOAD_MAX {
        return None;
    }
    // SAFETY: as the caller promises.
    unsafe {
        let packet = &raw const (*scratch).packet;
        let payload = (*packet).payload();
        let old_sum = sum(scratch, pieces.end)?;
        if bpf_skb_change_tail(context, payload + new, 0) != 0 {
            return None;
        }
        let line = payload + head + middle;
        if is_proxy {
            store(context, payload, PROXY.as_ptr(), PROXY.len() as u32)?;
        } else {
            store(context, payload, UNAUTHORIZED.as_ptr(), UNAUTHORIZED.len() as u32)?;
        }
        store(context, payload + head, bytes(scratch, pieces.first), middle)?;
        store(context, line, bytes(kept, 0), pieces.line)?;
        store(context, line + pieces.line, bytes(scratch, pieces.rest), tail)?;
        lengths(context, packet, pieces.end, new)?;
        // The scratch memory is free now: the new payload is summed up there.
        let length = opaque(u64::from(new));
        if length > u64::from(PAYLOAD_MAX) || (length as i64) < 16 {
            return None;
        }
        let into = (&raw mut (*scratch).bytes).cast();
        if bpf_skb_load_bytes(context.cast(), payload, into, length as u32) != 0 {
            return None;
        }
        let new_sum = sum(scratch, new)?;
        // Of an unfinished checksum, which the card fills in, this changes
        // nothing; of none, neither.
        let difference = u64::from(new_sum.wrapping_add(!old_sum))
            + u64::from(new_sum.checked_add(!old_sum).is_none());
        let flags = u64::from(BPF_F_MARK_MANGLED_0);
        let at = (*packet).transport() + 6;
        (bpf_l4_csum_replace(context, at, 0, difference, flags) == 0).then_some(())
    }
}

/// Where the bytes of the payload start that stand at a position.
///
/// # Safety
/// The memory is a map value.
#[inline(always)]
unsafe fn bytes(scratch: *const Scratch, position: u32) -> *const u8 {
    let at = (opaque(u64::from(position)) & 1023) as usize;
    // SAFETY: masked.
    unsafe { (&raw const (*scratch).bytes).cast::<u8>().add(at) }
}

/// Writes up to 1,023 bytes into the frame.
///
/// # Safety
/// As many bytes lie behind `from`.
#[inline(always)]
unsafe fn store(context: Context, offset: u32, from: *const u8, len: u32) -> Option<()> {
    let len = opaque(u64::from(len));
    if len > 1023 || (len as i64) < 1 {
        return None;
    }
    // SAFETY: as the caller promises; the helper checks the frame's bounds.
    let result = unsafe { bpf_skb_store_bytes(context, offset, from.cast(), len as u32, 0) };
    (result == 0).then_some(())
}

/// The sum of the first bytes of the scratch memory, for checksums.
///
/// # Safety
/// The memory is a map value. The four bytes behind are cleared.
#[inline(always)]
unsafe fn sum(scratch: *mut Scratch, len: u32) -> Option<u32> {
    const CHUNK: u32 = 512;
    // SAFETY: as the caller promises; masked.
    unsafe {
        let start = (&raw mut (*scratch).bytes).cast::<u8>();
        let end = (opaque(u64::from(len)) & 2047) as usize;
        start.add(end).cast::<u32>().write_unaligned(0);
        let mut sum = 0i64;
        let mut at = 0;
        while at < 3 * CHUNK {
            // What is left of the chunk, in whole words.
            let left = len.saturating_sub(at).wrapping_add(3) & !3;
            let left = opaque(u64::from(if left > CHUNK { CHUNK } else { left }));
            if left > u64::from(CHUNK) {
                return None;
            }
            let chunk = start.add(at as usize).cast();
            sum = bpf_csum_diff(core::ptr::null_mut(), 0, chunk, left as u32 & 0x3fc, sum as u32);
            if sum < 0 {
                return None;
            }
            at += CHUNK;
        }
        Some(sum as u32)
    }
}

/// Writes the lengths of IP and UDP, with what hangs on them.
///
/// # Safety
/// The context is the program's own.
#[inline(always)]
unsafe fn lengths(
    context: Context,
    packet: *const sipguard_common::frame::Packet,
    old: u32,
    new: u32,
) -> Option<()> {
    const UDP: u32 = 8;
    // SAFETY: as the caller promises; the helpers check the frame's bounds.
    unsafe {
        let transport = (*packet).transport();
        let udp = ((new + UDP) as u16).to_be();
        let old_udp = ((old + UDP) as u16).to_be();
        let network = (*packet).network();
        if (*packet).source.is_v4() {
            let header = transport.wrapping_sub(network);
            let total = ((new + UDP + header) as u16).to_be();
            let old_total = ((old + UDP + header) as u16).to_be();
            if bpf_l3_csum_replace(context, network + 10, u64::from(old_total), u64::from(total), 2)
                != 0
            {
                return None;
            }
            store_u16(context, network + 2, total)?;
        } else {
            // Extension headers are part of the payload.
            let headers = transport.wrapping_sub(network).wrapping_sub(40);
            store_u16(context, network + 4, ((new + UDP + headers) as u16).to_be())?;
        }
        let at = transport + 6;
        let mangled = u64::from(BPF_F_MARK_MANGLED_0);
        let pseudo = u64::from(BPF_F_PSEUDO_HDR) | mangled | 2;
        if bpf_l4_csum_replace(context, at, u64::from(old_udp), u64::from(udp), pseudo) != 0
            || bpf_l4_csum_replace(context, at, u64::from(old_udp), u64::from(udp), mangled | 2)
                != 0
        {
            return None;
        }
        store_u16(context, transport + 4, udp)
    }
}

#[inline(always)]
unsafe fn store_u16(context: Context, offset: u32, word: u16) -> Option<()> {
    let mut word = word;
    // SAFETY: the helper checks the frame's bounds.
    let result = unsafe { bpf_skb_store_bytes(context, offset, (&raw mut word).cast(), 2, 0) };
    (result == 0).then_some(())
}
