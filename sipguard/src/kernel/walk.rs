//! Every entry of a hash in the kernel that packets change meanwhile.

use std::{borrow::Borrow, collections::HashMap as Found, hash::Hash};

use aya::{
    Pod,
    maps::{HashMap, IterableMap as _, MapData, MapError},
    sys::SyscallError,
};

use super::batch;

/// Reads a whole map. An entry that moves meanwhile is kept once.
pub(super) fn entries<M: Borrow<MapData>, K: Pod + Eq + Hash, V: Pod>(
    map: &HashMap<M, K, V>,
) -> Result<Found<K, V>, MapError> {
    let entries = batch::entries(map.map()).map_err(failed)?;
    Ok(entries.into_iter().collect())
}

/// What the library says of its own calls.
pub(super) fn failed(io_error: std::io::Error) -> MapError {
    MapError::SyscallError(SyscallError { call: "BPF_MAP_LOOKUP_BATCH", io_error })
}
