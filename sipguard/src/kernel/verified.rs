//! What the server's replies have taught: who is verified, and who was refused.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv6Addr},
};

use aya::Ebpf;
use jiff::Timestamp;
use sipguard_common::{
    abi::{Address, Endpoint, Policy, SITE_WORDS, Site, Verified, how},
    method::{BUCKETS, Class},
};

use super::{
    KernelError,
    buckets::{self, Level, StrangerLevels},
    clock::Clock,
    learned::LearnedMaps,
};

/// Why an endpoint is verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// The server has accepted its REGISTER.
    Register,
    /// The server has accepted its INVITE.
    Invite,
    /// The server has sent it a request.
    Contacted,
}

impl How {
    /// As shown to users.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Register => "register",
            Self::Invite => "invite",
            Self::Contacted => "contacted",
        }
    }

    const fn of(number: u32) -> Self {
        match number {
            how::REGISTER => Self::Register,
            how::INVITE => Self::Invite,
            _ => Self::Contacted,
        }
    }
}

#[cfg(test)]
impl VerifiedEntry {
    /// A phone that has registered at 5061/udp.
    pub(crate) fn for_tests(address: IpAddr, since: Timestamp, until: Timestamp) -> Self {
        Self {
            address,
            port: 5061,
            protocol: 17,
            how: How::Register,
            proven: true,
            since,
            until,
            reply: Some(Reply { status: 200, at: since }),
            tat_ns: [0; BUCKETS],
        }
    }
}

/// The last reply to somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Such as 401.
    pub status: u32,
    /// To the second; so are all times here.
    pub at: Timestamp,
}

/// An endpoint that is verified now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedEntry {
    pub address: IpAddr,
    pub port: u16,
    /// The protocol number of IP.
    pub protocol: u8,
    pub how: How,
    /// Whether the evidence cannot be forged.
    pub proven: bool,
    pub since: Timestamp,
    pub until: Timestamp,
    pub reply: Option<Reply>,
    /// Its buckets, theoretical arrival times by class.
    tat_ns: [u64; BUCKETS],
}

/// A source with verified endpoints, now or within the last day or two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SiteEntry {
    /// How many accounts were accepted there, about: they are counted by a
    /// hash, so that 1,000 and more look alike.
    pub accounts: u32,
    /// How many times the limits of a stranger its strangers have.
    pub times: u32,
    /// The latest end of its endpoints.
    pub until: Timestamp,
}

/// What was refused to somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailuresEntry {
    /// The port and the protocol number of IP; `None` is the whole source.
    pub port: Option<(u16, u8)>,
    /// Wrong passwords in the window that began at `since`.
    pub passwords: u32,
    /// Challenges and unknown users in the same window.
    pub harvest: u32,
    pub since: Timestamp,
    /// Wrong passwords in the hour that began at `hour_since`.
    pub hour: u32,
    pub hour_since: Timestamp,
    pub reply: Option<Reply>,
}

/// What the kernel program knows of an address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Its verified endpoints, by port, each with its buckets.
    pub verified: Vec<(VerifiedEntry, Vec<(Class, Level)>)>,
    pub site: Option<SiteEntry>,
    pub failures: Vec<FailuresEntry>,
    /// What a stranger there would meet.
    pub levels: StrangerLevels,
}

/// Everybody who is verified. Walks two large maps: for commands of operators.
pub(super) fn all(learned: &LearnedMaps) -> Result<Vec<VerifiedEntry>, KernelError> {
    let clock = Clock::read();
    let kept = learned.endpoints()?;
    let holds = kept.iter().filter(|(_, verified, _)| clock.now_ns() < verified.expires_ns);
    Ok(unique(holds.map(|(key, value, proven)| entry(*key, value, *proven, clock)).collect()))
}

/// An endpoint may be in both maps: then what cannot be forged counts.
fn unique(verified: Vec<VerifiedEntry>) -> Vec<VerifiedEntry> {
    let mut by_place: BTreeMap<(IpAddr, u16, u8), VerifiedEntry> = BTreeMap::new();
    for one in verified {
        let place = (one.address, one.port, one.protocol);
        match by_place.get(&place) {
            Some(other) if other.proven => {}
            _ => drop(by_place.insert(place, one)),
        }
    }
    by_place.into_values().collect()
}

fn entry(key: Endpoint, value: &Verified, proven: bool, clock: Clock) -> VerifiedEntry {
    VerifiedEntry {
        address: ip(key.address),
        port: u16::from_be_bytes(key.port()),
        protocol: key.protocol(),
        how: How::of(value.how),
        proven,
        since: clock.at(value.since_ns),
        until: clock.at(value.expires_ns),
        reply: reply(value.status, value.status_ns, clock),
        tat_ns: value.tat_ns,
    }
}

fn reply(status: u32, at_ns: u64, clock: Clock) -> Option<Reply> {
    (status != 0).then(|| Reply { status, at: clock.at(at_ns) })
}

/// Everything that is known of an address under a policy. Walks large maps, as
/// above.
pub(super) fn standing(
    ebpf: &Ebpf,
    learned: &LearnedMaps,
    address: Address,
    policy: &Policy,
) -> Result<Standing, KernelError> {
    let clock = Clock::read();
    let source = address.source(policy.source_mask);
    let site = learned.site(&source)?.filter(|site| site.is_remembered(clock.now_ns()));
    let verified = all(learned)?.into_iter().filter(|one| one.address == ip(address)).map(|one| {
        let levels = buckets::levels(&one.tat_ns, clock.now_ns(), &policy.verified);
        (one, levels)
    });
    Ok(Standing {
        verified: verified.collect(),
        site: site.as_ref().map(|site| site_entry(site, clock)),
        failures: failures(learned, address, source, clock)?,
        levels: buckets::stranger(ebpf, address, policy, site.as_ref(), clock.now_ns())?,
    })
}

/// What is known of one endpoint: two look-ups.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Acquaintance {
    /// Since when it is verified, if it is.
    pub since: Option<Timestamp>,
    /// Whether endpoints of its source are verified, or were within a day.
    pub is_site: bool,
    /// Whether they are now.
    pub is_site_now: bool,
}

/// What is known of an endpoint, or without one of a source.
pub(super) fn acquaintance(
    learned: &LearnedMaps,
    address: Address,
    port: Option<(u16, u8)>,
    policy: &Policy,
) -> Result<Acquaintance, KernelError> {
    let clock = Clock::read();
    let site = learned.site(&address.source(policy.source_mask))?;
    let endpoint =
        port.map(|(port, protocol)| Endpoint::new(address, port.to_be_bytes(), protocol));
    let kept = endpoint.map(|endpoint| learned.endpoint(&endpoint)).transpose()?.flatten();
    let holds = kept.filter(|(verified, _)| clock.now_ns() < verified.expires_ns);
    Ok(Acquaintance {
        since: holds.map(|(verified, _)| clock.at(verified.since_ns)),
        is_site_now: site.as_ref().is_some_and(|site| clock.now_ns() < site.until_ns),
        is_site: site.is_some_and(|site| site.is_remembered(clock.now_ns())),
    })
}

fn site_entry(site: &Site, clock: Clock) -> SiteEntry {
    SiteEntry {
        accounts: accounts(site),
        times: 1u32.checked_shl(site.shift).unwrap_or(u32::MAX),
        until: clock.at(site.until_ns),
    }
}

/// Linear counting: so many accounts set so many bits on average. A full bitmap
/// counts as one with a last free bit.
fn accounts(site: &Site) -> u32 {
    const BITS: u32 = 64 * SITE_WORDS as u32;
    let words = site.seen.iter().zip(&site.before);
    let set: u32 = words.map(|(seen, before)| (seen | before).count_ones()).sum();
    let free = f64::from(BITS.saturating_sub(set).max(1)) / f64::from(BITS);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a small number that is not negative"
    )]
    let accounts = (-f64::from(BITS) * free.ln()).round() as u32;
    accounts
}

/// Of the whole source, and of each port of the address.
fn failures(
    learned: &LearnedMaps,
    address: Address,
    source: Address,
    clock: Clock,
) -> Result<Vec<FailuresEntry>, KernelError> {
    let all = learned.all_failures()?;
    let concerns = |key: &Endpoint| {
        if key.is_whole() { key.address == source } else { key.address == address }
    };
    let mut failures: Vec<FailuresEntry> = all
        .iter()
        .filter(|(key, _)| concerns(key))
        .map(|(key, value)| FailuresEntry {
            port: (!key.is_whole()).then(|| (u16::from_be_bytes(key.port()), key.protocol())),
            passwords: value.count,
            harvest: value.harvest,
            since: clock.at(value.since_ns),
            hour: value.hour,
            hour_since: clock.at(value.hour_since_ns),
            reply: reply(value.status, value.status_ns, clock),
        })
        .collect();
    failures.sort_by_key(|one| one.port);
    Ok(failures)
}

fn ip(address: Address) -> IpAddr {
    IpAddr::V6(Ipv6Addr::from(address.octets())).to_canonical()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_counted_by_their_bits() {
        let site = |seen: [u64; SITE_WORDS]| Site { seen, ..Site::default() };
        assert_eq!(accounts(&site([0; 4])), 0);
        assert_eq!(accounts(&site([1, 0, 0, 0])), 1);
        assert_eq!(accounts(&site([0xff, 0, 0, 0])), 8);
        assert_eq!(accounts(&site([u64::MAX, u64::MAX, 0, 0])), 177);
        assert_eq!(accounts(&site([u64::MAX; 4])), 1420);
    }

    #[test]
    fn what_cannot_be_forged_counts() {
        let clock = Clock::read();
        let key = Endpoint::new(Address::v4([198, 51, 100, 7]), [0x13, 0xc5], 17);
        let value = Verified { how: how::REGISTER, status: 200, ..Verified::default() };
        let (weak, strong) = (entry(key, &value, false, clock), entry(key, &value, true, clock));
        for both in [vec![weak.clone(), strong.clone()], vec![strong.clone(), weak.clone()]] {
            assert_eq!(unique(both), std::slice::from_ref(&strong));
        }
        assert_eq!(unique(vec![weak.clone()]), [weak]);
        assert_eq!((strong.port, strong.how.name()), (5061, "register"));
        assert_eq!(strong.reply.map(|reply| reply.status), Some(200));
    }
}
