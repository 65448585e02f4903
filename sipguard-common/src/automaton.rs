//! The signature automaton: its table and its step.
//!
//! A case-folding byte-class DFA, compiled in user space from all signatures
//! of the policy. In a header it starts right behind the name and itself reads
//! white space, the colon, more white space, and then the value. State 0 is
//! dead. From `note_from` on, states note that a condition holds and go on;
//! from `accept_from` on they are absorbing, one per signature.

/// Entries of the table: 1.5 million, 3 MiB.
pub const TABLE_LEN: usize = 3 << 19;

/// The state from which nothing can match any more.
pub const DEAD: u16 = 0;

/// Signatures at most (limit of the accept states, far below the table's).
pub const MAX_SIGNATURES: usize = 4096;

/// Slots that signatures are counted in: two policies' worth, for during a
/// reload there are old and new ones.
pub const SIGNATURE_SLOTS: usize = 2 * MAX_SIGNATURES;

/// Different conditions of all joined signatures at most: the bits of a word.
pub const MAX_CONDITIONS: usize = 64;

/// Signatures of several conditions at most: the kernel compares each.
pub const MAX_JOINED: usize = 64;

/// States that note conditions at most.
pub const MAX_NOTES: usize = 2048;

/// A part of a message that signatures look at. The number is the root's place
/// in [`Table::roots`], and the bit in [`Table::fields`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Field {
    UserAgent = 0,
    From = 1,
    To = 2,
    Contact = 3,
    CallId = 4,
    Via = 5,
    CSeq = 6,
    Subject = 7,
    /// What stands behind the method, up to white space.
    RequestUri = 8,
    /// The whole start line.
    StartLine = 9,
    /// A line of the body of an INVITE, such as `s=call`.
    Body = 10,
}

impl Field {
    /// Every field, by number.
    pub const ALL: [Self; 11] = [
        Self::UserAgent,
        Self::From,
        Self::To,
        Self::Contact,
        Self::CallId,
        Self::Via,
        Self::CSeq,
        Self::Subject,
        Self::RequestUri,
        Self::StartLine,
        Self::Body,
    ];

    /// Whether the automaton reads white space and a colon before the value.
    #[must_use]
    pub const fn is_header(self) -> bool {
        !matches!(self, Self::RequestUri | Self::StartLine | Self::Body)
    }
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
    /// A bit for each field that has a root.
    pub fields: u32,
    /// First state that notes conditions: those of state minus this in `notes`.
    pub note_from: u32,
    /// First accepting state; state minus this is the signature's index.
    pub accept_from: u32,
    /// A row holds `1 << shift` entries.
    pub shift: u32,
    /// A bit for each condition that holds.
    pub notes: [u64; MAX_NOTES],
    /// The conditions of the signatures that have several, and the indices of
    /// these signatures in rising order.
    pub joined: [u64; MAX_JOINED],
    pub joined_index: [u32; MAX_JOINED],
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

/// The conditions that a state from `note_from` on notes.
///
/// # Safety
/// `table` points to a whole [`Table`].
#[inline(always)]
#[must_use]
pub unsafe fn noted(table: *const Table, state: u32, note_from: u32) -> u64 {
    let index = crate::opaque(u64::from(state.wrapping_sub(note_from)));
    if index >= MAX_NOTES as u64 {
        return 0;
    }
    // SAFETY: the index was compared.
    unsafe { *(&raw const (*table).notes).cast::<u64>().add(index as usize) }
}
