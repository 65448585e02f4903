//! Counting the lines of a message.

use super::{Scratch, first_byte, line_feeds, masked, steps, word};

/// Puts the count on the start of the message. It ends behind so many lines, or
/// with the first line that does not end before the position `until`. Then
/// `Scratch::position` stands behind the last line that was counted, and
/// `Scratch::found` tells how many there were.
///
/// # Safety
/// `scratch` is valid and its payload sealed.
#[inline(always)]
pub unsafe fn begin(scratch: *mut Scratch, lines: u32, until: u32) {
    // SAFETY: as the caller promises.
    unsafe {
        store!(scratch.position = load!(scratch.start));
        store!(scratch.line = load!(scratch.start));
        store!(scratch.found = 0);
        store!(scratch.hit = lines);
        store!(scratch.state = until);
    }
}

/// Puts the position behind the last line that was counted.
///
/// # Safety
/// As above.
#[inline(always)]
pub unsafe fn end(scratch: *mut Scratch) {
    // SAFETY: as the caller promises.
    unsafe { store!(scratch.position = load!(scratch.line)) }
}

/// One step: a word without line end, or a line. True at the end.
///
/// # Safety
/// `scratch` is valid and its payload sealed.
#[inline(always)]
unsafe fn step(scratch: *mut Scratch) -> bool {
    // SAFETY: as the caller promises.
    unsafe {
        if load!(scratch.found) >= load!(scratch.hit) {
            return true;
        }
        let position = masked(load!(scratch.position));
        let ends = line_feeds(word(scratch, position));
        if ends == 0 {
            store!(scratch.position = position + 8);
            return position >= load!(scratch.state);
        }
        let line = masked(position + first_byte(ends) + 1);
        if line > load!(scratch.state) {
            return true;
        }
        store!(scratch.line = line);
        store!(scratch.position = line);
        store!(scratch.found = load!(scratch.found) + 1);
        false
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
