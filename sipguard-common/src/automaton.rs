//! The signature automaton: its table and its step.
//!
//! A case-folding byte-class DFA, compiled in user space from all signatures
//! of the policy. It starts right behind the part of a header name that the
//! line scan compared, and itself reads the rest of the name, white space, the
//! colon, more white space, and then the value. State 0 is dead; the states
//! from `accept_from` on are absorbing, one per signature.

/// Entries of the table: 1.5 million, 3 MiB.
pub const TABLE_LEN: usize = 3 << 19;

/// The state from which nothing can match any more.
pub const DEAD: u16 = 0;

/// Signatures at most (limit of the accept states, far below the table's).
pub const MAX_SIGNATURES: usize = 4096;

/// A part of a message that signatures look at. The number is the root's place
/// in [`Table::roots`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Field {
    UserAgent = 0,
}

/// Slots for fields.
pub const FIELD_SLOTS: usize = 16;

/// No signature looks at this field.
pub const NO_ROOT: u32 = u32::MAX;

/// The compiled automaton.
#[repr(C)]
pub struct Table {
    /// Start state of each field, [`NO_ROOT`] where there is none.
    pub roots: [u32; FIELD_SLOTS],
    /// First accepting state; state minus this is the signature's index.
    pub accept_from: u32,
    /// A row holds `1 << shift` entries.
    pub shift: u32,
    /// Class of each byte.
    pub classes: [u8; 256],
    /// Next state by `(state << shift) + class`.
    pub next: [u16; TABLE_LEN],
}

/// One byte further. A state or class outside of the table is dead.
///
/// # Safety
/// `table` points to a whole [`Table`].
#[inline(always)]
#[must_use]
pub unsafe fn step(table: *const Table, shift: u32, state: u32, byte: u8) -> u32 {
    // SAFETY: a byte indexes 256 classes, the other index is compared.
    unsafe {
        let class = *(&raw const (*table).classes).cast::<u8>().add(byte as usize);
        let index = crate::opaque((u64::from(state) << (shift & 15)) + u64::from(class));
        if index >= TABLE_LEN as u64 {
            return DEAD as u32;
        }
        u32::from(*(&raw const (*table).next).cast::<u16>().add(index as usize))
    }
}
