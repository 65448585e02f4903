//! What buckets still hold.

use aya::{
    Ebpf,
    maps::{Array, HashMap, MapData},
};
use sipguard_common::{
    abi::{Address, Policy, Site, Source},
    admission::raised,
    bucket::Limit,
    method::{BUCKETS, Budget, Class},
};

use super::{KernelError, error::found, maps::view};

/// How full a bucket is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level {
    /// Packets that would pass now, one after the other.
    pub left: u64,
    /// Packets that fit.
    pub burst: u64,
}

/// The buckets that a packet of a stranger meets. Those without a limit are
/// left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StrangerLevels {
    /// Of its source.
    pub source: Vec<(Class, Level)>,
    /// Of its network.
    pub subnet: Option<Level>,
    /// Of all strangers together.
    pub all: Vec<(Budget, Level)>,
    /// Of what they send again while the first of these is spent.
    pub reserve: Option<Level>,
}

/// `None` where there is no limit.
fn level(tat_ns: u64, now_ns: u64, limit: Limit) -> Option<Level> {
    let Limit { interval_ns, tolerance_ns } = limit;
    let burst = tolerance_ns.checked_div(interval_ns)? + 1;
    // Packets pass while the word lies within the tolerance.
    let left = match now_ns.saturating_add(tolerance_ns).checked_sub(tat_ns.max(now_ns)) {
        Some(ahead) => ahead / interval_ns + 1,
        None => 0,
    };
    Some(Level { left, burst })
}

/// The buckets of somebody, by class.
pub(super) fn levels(
    tat_ns: &[u64; BUCKETS],
    now_ns: u64,
    limits: &[Limit; BUCKETS],
) -> Vec<(Class, Level)> {
    let of = |class: Class| {
        let slot = class as usize;
        Some((class, level(tat_ns[slot], now_ns, limits[slot])?))
    };
    Class::ALL.into_iter().filter_map(of).collect()
}

/// The limits of strangers on a site.
pub(super) fn on_site(policy: &Policy, site: &Site) -> [Limit; BUCKETS] {
    policy.limits.map(|limit| raised(limit, site.shift))
}

/// What the buckets hold that a stranger at this address would meet.
pub(super) fn stranger(
    ebpf: &Ebpf,
    address: Address,
    policy: &Policy,
    site: Option<&Site>,
    now_ns: u64,
) -> Result<StrangerLevels, KernelError> {
    let sources: HashMap<&MapData, Address, Source> = view(ebpf, "STRANGERS")?;
    let subnets: HashMap<&MapData, Address, u64> = view(ebpf, "SUBNETS")?;
    let budgets: Array<&MapData, u64> = view(ebpf, "BUDGETS")?;
    let source = found(sources.get(&address.source(policy.source_mask), 0))?;
    let subnet = address.subnet(policy.subnet_mask, policy.subnet_mask_v4);
    let subnet = found(subnets.get(&subnet, 0))?.unwrap_or(0);
    let tat_ns = source.unwrap_or(Source::NEW).tat_ns;
    let mut met = StrangerLevels {
        source: match site {
            Some(site) => levels(&tat_ns, now_ns, &on_site(policy, site)),
            None => levels(&tat_ns, now_ns, &policy.limits),
        },
        ..StrangerLevels::default()
    };
    // On a site, only the limits of the source hold.
    if site.is_some() {
        return Ok(met);
    }
    met.subnet = level(subnet, now_ns, policy.subnet);
    for budget in Budget::ALL {
        let slot = budget as u32;
        let tat_ns = budgets.get(&slot, 0).map_err(KernelError::map("reading a budget"))?;
        let limit = policy.strangers[budget as usize];
        met.all.extend(level(tat_ns, now_ns, limit).map(|level| (budget, level)));
    }
    let reserve: Array<&MapData, u64> = view(ebpf, "RESERVE")?;
    let tat_ns = reserve.get(&0, 0).map_err(KernelError::map("reading a budget"))?;
    met.reserve = level(tat_ns, now_ns, policy.reserve);
    Ok(met)
}

#[cfg(test)]
mod tests {
    use sipguard_common::bucket::{Step, step};

    use super::*;

    const S: u64 = 1_000_000_000;

    /// As many packets pass as the level says, and not one more.
    #[test]
    fn levels_are_what_passes() {
        let limit = Limit::new(5, S, 10).unwrap();
        let now = 1000 * S;
        for tat in [0, now - 1, now, now + S / 10, now + S, now + 2 * S, now + 100 * S] {
            let mut passed = 0;
            let mut word = tat;
            while let Step::Take(next) = step(word, now, limit) {
                (word, passed) = (next, passed + 1);
            }
            assert_eq!(level(tat, now, limit), Some(Level { left: passed, burst: 10 }), "{tat}");
        }
        assert_eq!(level(0, now, Limit::UNLIMITED), None);
    }

    #[test]
    fn a_site_has_more_than_a_stranger() {
        let mut plan = crate::policy::Plan::default();
        plan.policy.limits = [Limit::new(1, S, 4).unwrap(); BUCKETS];
        plan.policy.limits[0] = Limit::UNLIMITED;
        let limits = on_site(&plan.policy, &Site { shift: 3, ..Site::default() });
        assert_eq!(limits[0], Limit::UNLIMITED);
        assert_eq!(limits[1].interval_ns, S / 8);
        let full = levels(&[0; BUCKETS], 10 * S, &limits);
        assert_eq!(full.len(), BUCKETS - 1);
        assert_eq!(full[0].1, Level { left: 32, burst: 32 });
    }
}
