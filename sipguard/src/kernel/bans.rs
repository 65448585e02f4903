//! The map of bans: blocks that sipguard makes by itself.

use std::{
    net::{IpAddr, Ipv6Addr},
    time::Duration,
};

use aya::{
    Ebpf,
    maps::{HashMap, MapData, MapError},
};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use jiff::{SignedDuration, Timestamp, Unit};
use sipguard_common::{
    abi::{Address, Ban, Endpoint, bans_made},
    rule::Rule,
};

use super::{
    ArrayMap, KernelError,
    error::is_missing,
    learned::{forget, get},
    lists::{after, now},
    typed,
};

/// A ban that holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BanEntry {
    /// The banned source: an address, or an IPv6 network; of a single endpoint
    /// its address.
    pub source: IpNet,
    /// Where only an endpoint is banned, its port and the protocol number of IP.
    pub port: Option<(u16, u8)>,
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
    pub(super) fn take(ebpf: &mut Ebpf) -> Result<Self, KernelError> {
        Ok(Self {
            map: typed(ebpf, "BANNED")?,
            made: typed(ebpf, "BANS_MADE")?,
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
        for key in self.keys_in(net)? {
            match self.map.remove(&key) {
                Ok(()) => lifted += 1,
                // The LRU made room meanwhile.
                Err(error) if is_missing(&error) => {}
                Err(error) => return Err(KernelError::map("lifting a ban")(error)),
            }
        }
        Ok(lifted)
    }

    fn keys_in(&self, net: IpNet) -> Result<Vec<Endpoint>, KernelError> {
        let keys: Result<Vec<Endpoint>, MapError> = self.map.keys().collect();
        let mut keys = keys.map_err(KernelError::map("reading bans"))?;
        keys.retain(|key| {
            let source = self.network(*key);
            net.contains(&source) || source.contains(&net)
        });
        Ok(keys)
    }

    /// Every ban that holds. Walks the whole map: not for each scrape.
    pub(super) fn all(&self) -> Result<Vec<BanEntry>, KernelError> {
        let (now, wall) = (now(), Timestamp::now());
        let mut bans = Vec::new();
        for item in self.map.iter() {
            let (key, ban) = item.map_err(KernelError::map("reading bans"))?;
            if ban.expires_ns <= now {
                continue;
            }
            let Some(rule) = Rule::from_number(ban.rule) else { continue };
            bans.push(BanEntry {
                source: self.network(key),
                port: (!key.is_whole()).then(|| (u16::from_be_bytes(key.port()), key.protocol())),
                expires: at(wall, now, ban.expires_ns),
                since: at(wall, now, ban.since_ns),
                rule,
                signature: ban.signature,
                failures: ban.failures,
                proven: ban.proven != 0,
            });
        }
        Ok(bans)
    }

    /// The network that a key of the map stands for.
    fn network(&self, key: Endpoint) -> IpNet {
        let [head, tail] = self.source_mask;
        let bits = (head.count_ones() + tail.count_ones()) as u8;
        let bits = if key.is_whole() { bits } else { 128 };
        match IpAddr::V6(Ipv6Addr::from(key.address.octets())).to_canonical() {
            IpAddr::V4(address) => IpNet::V4(Ipv4Net::from(address)),
            IpAddr::V6(address) => {
                IpNet::V6(Ipv6Net::new(address, bits).unwrap_or_else(|_| address.into()))
            }
        }
    }
}

fn key(address: IpAddr) -> Address {
    match address.to_canonical() {
        IpAddr::V4(address) => Address::v4(address.octets()),
        IpAddr::V6(address) => Address::from_octets(address.octets()),
    }
}

/// A time of the program's clock on the wall clock.
fn at(wall: Timestamp, now_ns: u64, then_ns: u64) -> Timestamp {
    let nanoseconds = i128::from(then_ns) - i128::from(now_ns);
    let away = SignedDuration::from_nanos(i64::try_from(nanoseconds).unwrap_or(i64::MAX));
    wall.checked_add(away).and_then(|then| then.round(Unit::Second)).unwrap_or(Timestamp::MAX)
}
