//! Reading a packet in user space: the steps of the scan in plain loops, where
//! the kernel program has its loop helper.

use super::{
    MATCH_CALLS, PAYLOAD_MAX, SCAN_CALLS, SKIP_CALLS, Scratch, begin, body_begin, body_call, find,
    match_begin, match_call, match_end, needs_skip, scan_begin, scan_call, scan_end, seal,
    skip_call,
};
use crate::{
    abi::Policy,
    automaton::Table,
    frame::Packet,
    message::{MIN_MESSAGE, is_options},
};

/// The payload of a packet, as much of it as is in its frame.
#[must_use]
pub fn payload<'f>(frame: &'f [u8], packet: &Packet) -> &'f [u8] {
    let behind = frame.get(packet.payload as usize..).unwrap_or(&[]);
    behind.get(..packet.len as usize).unwrap_or(behind)
}

/// Whether a payload is a message that starts with `OPTIONS `, letters in any
/// case.
#[must_use]
pub fn starts_with_options(payload: &[u8]) -> bool {
    payload.len() >= MIN_MESSAGE as usize
        && payload.first_chunk().is_some_and(|first| is_options(u64::from_le_bytes(*first)))
}

/// Takes a payload into the scratch memory.
pub fn read(scratch: &mut Scratch, payload: &[u8]) {
    let payload = payload.get(..PAYLOAD_MAX as usize).unwrap_or(payload);
    let scratch = &raw mut *scratch;
    // SAFETY: the scratch memory is the caller's, and takes PAYLOAD_MAX bytes.
    unsafe {
        begin(scratch);
        if !payload.is_empty() {
            for (to, from) in (*scratch).bytes.iter_mut().zip(payload) {
                *to = *from;
            }
            seal(scratch, payload.len() as u32);
        }
    }
}

/// Skips the line ends before a message, behind [`read`].
pub fn skip(scratch: &mut Scratch) {
    let scratch = &raw mut *scratch;
    // SAFETY: the scratch memory is the caller's; `read` has sealed it.
    unsafe {
        if needs_skip(scratch) {
            let _ = (0..SKIP_CALLS).any(|_| skip_call(scratch));
        }
    }
}

/// What the message is that starts here, behind [`read`], as
/// [`crate::decide::Content::encode`] gives it.
pub fn content(scratch: &mut Scratch, policy: &Policy) -> u32 {
    skip(scratch);
    // SAFETY: as above.
    unsafe { super::content(&raw mut *scratch, policy).encode() }
}

/// Finds the headers of these [`super::kind`]s, of CSeq and Call-ID, behind
/// [`content`].
pub fn find(scratch: &mut Scratch, need: u32) {
    let scratch = &raw mut *scratch;
    // SAFETY: as above.
    unsafe {
        find::begin(scratch, need);
        let _ = (0..find::CALLS).any(|_| find::call(scratch));
    }
}

/// Finds every header.
pub fn lines(scratch: &mut Scratch) {
    let scratch = &raw mut *scratch;
    // SAFETY: as above.
    unsafe {
        super::scan_all(scratch);
        let _ = (0..SCAN_CALLS).any(|_| scan_call(scratch));
    }
}

/// Finds every header, and the end of the message.
pub fn scan(scratch: &mut Scratch) {
    lines(scratch);
    // SAFETY: as above.
    unsafe { scan_end(&raw mut *scratch) }
}

/// The signature that matches the message, behind [`content`], by index plus
/// one, or 0.
pub fn signature(scratch: &mut Scratch, table: &Table) -> u32 {
    let scratch = &raw mut *scratch;
    // SAFETY: as above.
    unsafe {
        scan_begin(scratch, table);
        let _ = (0..SCAN_CALLS).any(|_| scan_call(scratch));
        scan_end(scratch);
        if body_begin(scratch) {
            let _ = (0..SCAN_CALLS).any(|_| body_call(scratch));
        }
        if match_begin(scratch, table, 0) {
            let _ = (0..MATCH_CALLS).any(|_| match_call(scratch, table));
        }
        match_end(scratch, table)
    }
}

/// Whether the message is over the limits on size and header lines, behind
/// [`signature`].
#[must_use]
pub fn is_oversize(scratch: &Scratch, policy: &Policy) -> bool {
    // SAFETY: the scratch memory is the caller's, and the line scan has run.
    unsafe { super::is_oversize(scratch, policy) }
}

/// Goes on to the next message of the payload; false where there is none.
pub fn advance(scratch: &mut Scratch) -> bool {
    // SAFETY: the scratch memory is the caller's; `read` has sealed it.
    unsafe { super::advance(scratch) }
}
