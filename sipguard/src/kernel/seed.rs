//! The key of the kernel program's hashes: nobody outside may know which slot of
//! a table a request takes.

use std::hash::{BuildHasher as _, RandomState};

use super::{
    KernelError,
    maps::{ArrayMap, Maps, typed},
};

pub(super) struct Seed {
    map: ArrayMap<u64>,
}

impl Seed {
    /// Draws the first key, unless an earlier run has.
    pub(super) fn take(maps: &mut impl Maps) -> Result<Self, KernelError> {
        let mut seed = Self { map: typed(maps, "SEED")? };
        if seed.get()? == 0 {
            seed.draw()?;
        }
        Ok(seed)
    }

    /// Draws a key, of the system's randomness. What was noted under the one
    /// before is found no more: requests that wait for their answer or shall
    /// come again, and challenges.
    pub(super) fn draw(&mut self) -> Result<(), KernelError> {
        let key = RandomState::new().hash_one(std::process::id());
        self.map.set(0, key, 0).map_err(KernelError::map("drawing a key"))
    }

    /// The key in use.
    pub(super) fn get(&self) -> Result<u64, KernelError> {
        self.map.get(&0, 0).map_err(KernelError::map("reading the key"))
    }
}
