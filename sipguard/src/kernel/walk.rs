//! Every entry of a hash in the kernel that packets change meanwhile.

use std::{borrow::Borrow, collections::HashMap as Found, hash::Hash};

use aya::{
    Pod,
    maps::{HashMap, MapData, MapError},
};

/// Reads a whole map of at most `capacity` entries: two system calls for each,
/// so for an operator's command and never for a scrape. Where an entry goes
/// while it is the last one read, the kernel begins anew: entries are kept once,
/// and the walk ends by itself.
pub(super) fn entries<M: Borrow<MapData>, K: Pod + Eq + Hash, V: Pod>(
    map: &HashMap<M, K, V>,
    capacity: usize,
) -> Result<Found<K, V>, MapError> {
    map.iter().take(4 * capacity).collect()
}
