//! What stands beside the maps, for whoever comes after the daemon that made them.

use super::INTERFACE_SLOTS;

/// Bytes of an interface's name with its end (IFNAMSIZ of linux/if.h).
pub const INTERFACE_NAME: usize = 16;

/// The interface of each counter slot. The program looks for the index only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Interfaces {
    /// 0 is an unused slot.
    pub ifindex: [u32; INTERFACE_SLOTS],
    /// Zeroes behind each name, and in an unused slot.
    pub names: [[u8; INTERFACE_NAME]; INTERFACE_SLOTS],
}

impl Interfaces {
    /// None.
    pub const NONE: Self =
        Self { ifindex: [0; INTERFACE_SLOTS], names: [[0; INTERFACE_NAME]; INTERFACE_SLOTS] };
}

/// Bytes of the path of the state directory that are kept.
pub const STATE_PATH: usize = 256;

/// Whose maps these are. Its own layout never changes, for it says whether
/// those of the others have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Record {
    /// [`super::ABI_VERSION`] of the program that counts in them; 0 is nobody's yet.
    pub abi: u32,
    pub pad: u32,
    /// When they began to count, in seconds since 1970.
    pub since: u64,
    /// The version of sipguard that wrote this, zeroes behind it.
    pub version: [u8; 32],
    /// The state directory, likewise; empty where it is longer.
    pub state: [u8; STATE_PATH],
}

/// The name of the signature that is counted in a slot, zeroes behind it; of a
/// name that is longer nothing.
pub type SignatureName = [u8; 256];

/// A text in so many bytes with zeroes behind it, or `None` where it is longer.
#[must_use]
pub fn padded<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    bytes.get_mut(..text.len()).filter(|_| text.len() < N)?.copy_from_slice(text);
    Some(bytes)
}

/// The bytes before the first zero.
#[must_use]
pub fn unpadded(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| *byte == 0).next().unwrap_or_default()
}

const _: () = {
    assert!(size_of::<Interfaces>() == 320);
    assert!(size_of::<Record>() == 304);
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_come_back_or_are_refused() {
        assert_eq!(padded::<4>(b"abc").map(|bytes| unpadded(&bytes) == b"abc"), Some(true));
        assert_eq!(padded::<4>(b"abcd"), None);
        assert_eq!(padded::<4>(b""), Some([0; 4]));
        assert_eq!(unpadded(b"abcd"), b"abcd");
    }
}
