//! The two kernel maps of one list.

use aya::maps::{HashMap, IterableMap as _, LpmTrie, MapData, MapError, lpm_trie::Key};
use sipguard_common::abi::{LIST_KEY_HEAD_BITS, ListEntry, ListKey};

use super::key::{key, target};
use crate::{
    kernel::{
        KernelError, batch,
        error::{is_missing, map_io},
        maps::{Maps, typed},
        walk::failed,
    },
    policy::Target,
};

const ENOSPC: i32 = 28;
const E2BIG: i32 = 7;

/// Addresses in a hash, networks in a trie.
pub(super) struct ListMaps {
    name: &'static str,
    exact: HashMap<MapData, ListKey, ListEntry>,
    prefix: LpmTrie<MapData, ListKey, ListEntry>,
    /// Of each of the two.
    capacity: usize,
}

impl ListMaps {
    pub(super) fn take(
        maps: &mut impl Maps,
        name: &'static str,
        [exact, prefix]: [&'static str; 2],
        capacity: usize,
    ) -> Result<Self, KernelError> {
        Ok(Self { name, exact: typed(maps, exact)?, prefix: typed(maps, prefix)?, capacity })
    }

    pub(super) fn get(&self, target: Target) -> Result<Option<ListEntry>, KernelError> {
        let (key, bits) = key(target);
        let entry = if target.is_address() {
            self.exact.get(&key, 0)
        } else {
            self.prefix.get(&Key::new(u32::from(bits), key), 0)
        };
        match entry {
            Ok(entry) => Ok(Some(entry)),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(KernelError::map("reading a list")(error)),
        }
    }

    /// Every entry. Walks large maps.
    pub(super) fn all(&self) -> Result<Vec<(Target, ListEntry)>, KernelError> {
        const WHOLE: u32 = 128;
        let reading = || KernelError::map("reading a list");
        let exact = batch::entries::<ListKey, ListEntry>(self.exact.map())
            .map_err(failed)
            .map_err(reading())?;
        let exact = exact.into_iter().map(|(key, entry)| (target(key, WHOLE), entry));
        let mut all: Vec<(Option<Target>, ListEntry)> = exact.collect();
        for entry in self.prefix.iter() {
            let (key, entry) = entry.map_err(reading())?;
            let bits = key.prefix_len().saturating_sub(LIST_KEY_HEAD_BITS);
            all.push((target(key.data(), bits), entry));
        }
        Ok(all.into_iter().filter_map(|(target, entry)| Some((target?, entry))).collect())
    }

    /// Writes an entry, or removes it.
    pub(super) fn set(
        &mut self,
        target: Target,
        entry: Option<ListEntry>,
    ) -> Result<(), KernelError> {
        let (key, bits) = key(target);
        let trie_key = Key::new(u32::from(bits), key);
        let done = match (entry, target.is_address()) {
            (Some(entry), true) => self.exact.insert(key, entry, 0),
            (Some(entry), false) => self.prefix.insert(&trie_key, entry, 0),
            (None, true) => self.exact.remove(&key),
            (None, false) => self.prefix.remove(&trie_key),
        };
        match done {
            Err(error) if entry.is_none() && is_missing(&error) => Ok(()),
            Err(error) if entry.is_none() => Err(KernelError::map("removing from a list")(error)),
            other => other.map_err(|error| self.insert_error(target, error)),
        }
    }

    fn insert_error(&self, target: Target, error: MapError) -> KernelError {
        match map_io(&error).and_then(std::io::Error::raw_os_error) {
            Some(ENOSPC | E2BIG) => KernelError::ListFull {
                list: self.name,
                kind: if target.is_address() { "addresses" } else { "networks" },
                capacity: self.capacity,
            },
            _ => KernelError::map("adding to a list")(error),
        }
    }
}
