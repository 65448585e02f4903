//! Finding CSeq and Call-ID, and nothing else: for most replies that is all.

use super::{Scratch, first_byte, first_of, kind, line_feeds, masked, starts, steps, word};

/// Calls that the search may take.
pub const CALLS: u32 = super::SCAN_CALLS;

/// Puts the search on the start line; it ends once the [`kind`]s of the mask are
/// seen.
///
/// # Safety
/// `scratch` is valid, its payload sealed and [`super::content`] known.
#[inline(always)]
pub unsafe fn begin(scratch: *mut Scratch, need: u32) {
    // SAFETY: as the caller promises.
    unsafe {
        store!(scratch.position = load!(scratch.start));
        store!(scratch.need = need);
    }
}

/// One step: two words without line end, or a line. True at the end.
///
/// # Safety
/// `scratch` is valid and its payload sealed.
#[inline(always)]
unsafe fn step(scratch: *mut Scratch) -> bool {
    // SAFETY: as the caller promises.
    unsafe {
        let mut position = masked(load!(scratch.position));
        let mut ends = line_feeds(word(scratch, position));
        if ends == 0 {
            position += 8;
            ends = line_feeds(word(scratch, position));
            if ends == 0 {
                store!(scratch.position = position + 8);
                return false;
            }
        }
        let line = masked(position + first_byte(ends) + 1);
        let head = word(scratch, line);
        store!(scratch.position = line);
        match head as u8 | 0x20 {
            b'c' => {
                if starts(head, b"cseq") {
                    first_of(scratch, kind::CSEQ, line + 4);
                } else if starts(head, b"call-id") {
                    first_of(scratch, kind::CALL_ID, line + 7);
                }
            }
            b'i' if starts(head, b"i") => first_of(scratch, kind::CALL_ID, line + 1),
            // The empty line: CR or LF, with the bit that folds letters.
            0x2a | 0x2d if head as u8 == b'\n' || head & 0xffff == 0x0a0d => return true,
            _ => {}
        }
        let need = load!(scratch.need);
        load!(scratch.named) & need == need
    }
}

/// [`STEPS`] steps. True at the end.
///
/// # Safety
/// `scratch` is valid and its payload sealed.
#[inline(always)]
pub unsafe fn call(scratch: *mut Scratch) -> bool {
    // SAFETY: as the caller promises.
    unsafe { steps(scratch, step) }
}
