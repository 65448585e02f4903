//! The maps of what the server's own messages have taught.

use aya::maps::{HashMap, MapData, MapError, PerCpuArray};
use sipguard_common::{
    abi::{Address, Endpoint, Failures, Replies, Site, Verified},
    known,
};

use super::{
    KernelError,
    error::is_missing,
    maps::{ArrayMap, Maps, typed},
    replies::{self, InterfaceReplies},
    walk::entries,
};

pub(super) struct LearnedMaps {
    endpoints: HashMap<MapData, Endpoint, Verified>,
    unproven: HashMap<MapData, Endpoint, Verified>,
    sites: HashMap<MapData, Address, Site>,
    failures: HashMap<MapData, Endpoint, Failures>,
    known: ArrayMap<u64>,
    replies: PerCpuArray<MapData, Replies>,
}

impl LearnedMaps {
    pub(super) fn take(maps: &mut impl Maps) -> Result<Self, KernelError> {
        Ok(Self {
            endpoints: typed(maps, "ENDPOINTS")?,
            unproven: typed(maps, "ENDPOINTS_UNPROVEN")?,
            sites: typed(maps, "SITES")?,
            failures: typed(maps, "FAILURES")?,
            known: typed(maps, "KNOWN")?,
            replies: typed(maps, "REPLIES")?,
        })
    }

    /// What is kept of an endpoint, whether it still holds or not, and whether
    /// the evidence cannot be forged.
    pub(super) fn endpoint(
        &self,
        endpoint: &Endpoint,
    ) -> Result<Option<(Verified, bool)>, KernelError> {
        if let Some(verified) = get(&self.endpoints, endpoint).map_err(reading())? {
            return Ok(Some((verified, true)));
        }
        let unproven = get(&self.unproven, endpoint).map_err(reading())?;
        Ok(unproven.map(|verified| (verified, false)))
    }

    pub(super) fn set_endpoint(
        &mut self,
        endpoint: Endpoint,
        verified: Verified,
        is_proven: bool,
    ) -> Result<(), KernelError> {
        self.make_known(endpoint.address)?;
        let map = if is_proven { &mut self.endpoints } else { &mut self.unproven };
        map.insert(endpoint, verified, 0).map_err(KernelError::map("verifying an endpoint"))
    }

    /// What is kept of a source.
    pub(super) fn site(&self, source: &Address) -> Result<Option<Site>, KernelError> {
        get(&self.sites, source).map_err(reading())
    }

    pub(super) fn set_site(&mut self, source: Address, site: Site) -> Result<(), KernelError> {
        self.make_known(source)?;
        self.sites.insert(source, site, 0).map_err(KernelError::map("making a site"))
    }

    /// What was refused to an endpoint, or to a whole source.
    pub(super) fn failures(&self, who: &Endpoint) -> Result<Option<Failures>, KernelError> {
        get(&self.failures, who).map_err(reading())
    }

    pub(super) fn set_failures(
        &mut self,
        who: Endpoint,
        failures: Failures,
    ) -> Result<(), KernelError> {
        self.failures.insert(who, failures, 0).map_err(KernelError::map("setting failures"))
    }

    /// From now on the program looks for the address.
    fn make_known(&mut self, address: Address) -> Result<(), KernelError> {
        let (word, bit) = known::bit(address);
        let bits = self.known.get(&word, 0).map_err(KernelError::map("reading who is known"))?;
        self.known.set(word, bits | bit, 0).map_err(KernelError::map("making an address known"))
    }

    /// What has left the interface of a slot, summed over CPUs.
    pub(super) fn replies(&self, slot: u32) -> Result<Replies, KernelError> {
        replies::of_slot(&self.replies, slot)
    }

    /// What has left the interfaces in these slots, the first of which is for
    /// all others.
    pub(super) fn replies_of(
        &self,
        names: &[String],
    ) -> Result<Vec<InterfaceReplies>, KernelError> {
        let of = |(slot, name): (u32, &String)| {
            let replies = replies::of_slot(&self.replies, slot)?;
            Ok(InterfaceReplies { name: name.clone(), replies })
        };
        (0..).zip(names).map(of).collect()
    }

    /// Every endpoint that is kept, whether it still holds or not, and whether
    /// the evidence cannot be forged. Walks large maps.
    pub(super) fn endpoints(&self) -> Result<Vec<(Endpoint, Verified, bool)>, KernelError> {
        let mut all = Vec::new();
        for (map, is_proven) in [(&self.endpoints, true), (&self.unproven, false)] {
            let kept = entries(map).map_err(reading())?;
            all.extend(kept.into_iter().map(|(key, value)| (key, value, is_proven)));
        }
        Ok(all)
    }

    /// All that was refused to somebody. Walks a large map.
    pub(super) fn all_failures(&self) -> Result<Vec<(Endpoint, Failures)>, KernelError> {
        let kept = entries(&self.failures).map_err(reading())?;
        Ok(kept.into_iter().collect())
    }

    /// Forgets all of it, but for the counts and for whom to look.
    pub(super) fn forget(&mut self) -> Result<(), KernelError> {
        let mut all = || {
            forget(&mut self.endpoints)?;
            forget(&mut self.unproven)?;
            forget(&mut self.sites)?;
            forget(&mut self.failures)
        };
        all().map_err(KernelError::map("forgetting what was learned"))
    }
}

fn reading() -> impl FnOnce(MapError) -> KernelError {
    KernelError::map("reading what was learned")
}

/// The value of a key, if there is one.
pub(super) fn get<K: aya::Pod, V: aya::Pod>(
    map: &HashMap<MapData, K, V>,
    key: &K,
) -> Result<Option<V>, MapError> {
    match map.get(key, 0) {
        Ok(value) => Ok(Some(value)),
        Err(error) if is_missing(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Removes every entry.
pub(super) fn forget<K: aya::Pod, V: aya::Pod>(
    map: &mut HashMap<MapData, K, V>,
) -> Result<(), MapError> {
    let keys: Vec<K> = map.keys().collect::<Result<_, _>>()?;
    keys.iter().try_for_each(|key| map.remove(key))
}
