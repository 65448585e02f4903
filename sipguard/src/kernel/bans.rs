//! The map of bans: blocks that sipguard makes by itself.

use std::{
    net::{IpAddr, Ipv6Addr},
    time::Duration,
};

use aya::maps::{HashMap, MapData};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use jiff::Timestamp;
use sipguard_common::{
    abi::{Address, Ban, Endpoint, bans_made},
    rule::Rule,
};

use super::{
    KernelError,
    clock::Clock,
    error::is_missing,
    learned::{forget, get},
    lists::{after, now},
    maps::{ArrayMap, Maps, typed},
    walk::entries,
};
use crate::offender::Offender;

/// A ban that holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BanEntry {
    pub who: Offender,
    /// When it ends, on the wall clock as it stands now, to the second.
    pub expires: Timestamp,
    /// When it was made or last renewed, likewise.
    pub since: Timestamp,
    /// The reason.
    pub rule: Rule,
    /// The signature that was the reason, as `Kernel::signature_name` takes it;
    /// 0 for none.
    pub signature: u32,
    /// How many wrong passwords, or challenges and unknown users.
    pub failures: u32,
    /// Whether the evidence cannot be forged.
    pub proven: bool,
}

pub(super) struct Bans {
    map: HashMap<MapData, Endpoint, Ban>,
    made: ArrayMap<u64>,
    /// The policy's.
    source_mask: [u64; 2],
}

impl Bans {
    pub(super) fn take(maps: &mut impl Maps) -> Result<Self, KernelError> {
        Ok(Self {
            map: typed(maps, "BANNED")?,
            made: typed(maps, "BANS_MADE")?,
            source_mask: [u64::MAX; 2],
        })
    }

    /// What a source is from now on. Bans of IPv6 sources that were made under
    /// another mask are found no more, and end unseen.
    pub(super) fn set_source_mask(&mut self, mask: [u64; 2]) {
        self.source_mask = mask;
    }

    /// Writes a ban of a whole source, with times on the program's clock.
    pub(super) fn set(&mut self, address: IpAddr, ban: Ban) -> Result<(), KernelError> {
        self.set_endpoint(Endpoint::whole(key(address).source(self.source_mask)), ban)
    }

    /// Writes a ban of an endpoint or of a whole source, likewise.
    pub(super) fn set_endpoint(&mut self, endpoint: Endpoint, ban: Ban) -> Result<(), KernelError> {
        self.map.insert(endpoint, ban, 0).map_err(KernelError::map("banning"))?;
        // Behind the ban: from then on packets look for it.
        let made = if endpoint.is_whole() { bans_made::SOURCES } else { bans_made::ENDPOINTS };
        let before = self.made.get(&0, 0).map_err(KernelError::map("banning"))?;
        self.made.set(0, before | made, 0).map_err(KernelError::map("banning"))
    }

    /// The ban of a whole source or of an endpoint, whether it still holds or
    /// not.
    pub(super) fn get(&self, who: &Endpoint) -> Result<Option<Ban>, KernelError> {
        get(&self.map, who).map_err(KernelError::map("reading bans"))
    }

    /// Lifts all of them.
    pub(super) fn forget(&mut self) -> Result<(), KernelError> {
        forget(&mut self.map).map_err(KernelError::map("lifting bans"))
    }

    pub(super) fn ban(
        &mut self,
        address: IpAddr,
        ttl: Duration,
        rule: Rule,
    ) -> Result<(), KernelError> {
        let ban = Ban {
            expires_ns: after(ttl),
            since_ns: now(),
            rule: rule.number(),
            proven: 1,
            ..Ban::default()
        };
        self.set(address, ban)
    }

    /// Lifts the bans that hit an address of this network. Gives how many.
    pub(super) fn unban(&mut self, net: IpNet) -> Result<usize, KernelError> {
        let mut lifted = 0;
        for key in self.walk()?.into_keys() {
            let source = self.who(key).source;
            if net.contains(&source) || source.contains(&net) {
                lifted += usize::from(self.remove(key)?);
            }
        }
        Ok(lifted)
    }

    /// Lifts one ban. Gives whether there was one.
    pub(super) fn lift(&mut self, who: Offender) -> Result<bool, KernelError> {
        self.remove(endpoint(who))
    }

    fn remove(&mut self, key: Endpoint) -> Result<bool, KernelError> {
        match self.map.remove(&key) {
            Ok(()) => Ok(true),
            // The LRU may have made room meanwhile.
            Err(error) if is_missing(&error) => Ok(false),
            Err(error) => Err(KernelError::map("lifting a ban")(error)),
        }
    }

    /// Whether a ban holds.
    pub(super) fn holds(&self, who: Offender) -> Result<bool, KernelError> {
        Ok(self.get(&endpoint(who))?.is_some_and(|ban| now() < ban.expires_ns))
    }

    /// Puts the end of a ban that holds off until this time on the program's
    /// clock. Gives false where there is none, or it ends later anyway.
    pub(super) fn extend(&mut self, who: Offender, until_ns: u64) -> Result<bool, KernelError> {
        let key = endpoint(who);
        let Some(ban) = self.get(&key)? else { return Ok(false) };
        if ban.expires_ns >= until_ns || ban.expires_ns <= now() {
            return Ok(false);
        }
        self.set_endpoint(key, Ban { expires_ns: until_ns, ..ban })?;
        Ok(true)
    }

    /// Makes a ban of an earlier run again. Gives false for a source that the
    /// policy no longer calls one.
    pub(super) fn restore(&mut self, who: Offender, ban: Ban) -> Result<bool, KernelError> {
        let key = endpoint(who);
        if self.who(key) != who {
            return Ok(false);
        }
        self.set_endpoint(key, ban)?;
        Ok(true)
    }

    /// Every ban that holds. Walks the whole map: not for each scrape.
    pub(super) fn all(&self) -> Result<Vec<BanEntry>, KernelError> {
        let clock = Clock::read();
        let entry = |(key, ban): (Endpoint, Ban)| {
            Some(BanEntry {
                who: self.who(key),
                expires: clock.at(ban.expires_ns),
                since: clock.at(ban.since_ns),
                rule: Rule::from_number(ban.rule)?,
                signature: ban.signature,
                failures: ban.failures,
                proven: ban.proven != 0,
            })
        };
        let holds = |(_, ban): &(Endpoint, Ban)| ban.expires_ns > clock.now_ns();
        Ok(self.walk()?.into_iter().filter(holds).filter_map(entry).collect())
    }

    fn walk(&self) -> Result<std::collections::HashMap<Endpoint, Ban>, KernelError> {
        entries(&self.map).map_err(KernelError::map("reading bans"))
    }

    /// Whom a key of the map stands for.
    pub(super) fn who(&self, key: Endpoint) -> Offender {
        let [head, tail] = self.source_mask;
        let bits = (head.count_ones() + tail.count_ones()) as u8;
        let bits = if key.is_whole() { bits } else { 128 };
        let source = match IpAddr::V6(Ipv6Addr::from(key.address.octets())).to_canonical() {
            IpAddr::V4(address) => IpNet::V4(Ipv4Net::from(address)),
            IpAddr::V6(address) => {
                IpNet::V6(Ipv6Net::new(address, bits).unwrap_or_else(|_| address.into()))
            }
        };
        let port = (!key.is_whole()).then(|| (u16::from_be_bytes(key.port()), key.protocol()));
        Offender { source, port }
    }
}

fn endpoint(who: Offender) -> Endpoint {
    let address = key(who.address());
    match who.port {
        None => Endpoint::whole(address),
        Some((port, protocol)) => Endpoint::new(address, port.to_be_bytes(), protocol),
    }
}

/// An address as the maps hold it.
pub(super) fn key(address: IpAddr) -> Address {
    match address.to_canonical() {
        IpAddr::V4(address) => Address::v4(address.octets()),
        IpAddr::V6(address) => Address::from_octets(address.octets()),
    }
}
