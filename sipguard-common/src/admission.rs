//! The buckets of strangers: which of them a packet must pass, and in which
//! order.

use crate::{
    abi::Policy,
    bucket::Limit,
    decide::standing,
    method::{Budget, Class},
    rule::Rule,
};

/// The state behind the limits. Each method gives true while within the limit,
/// and then has spent a token where it says so.
pub trait Buckets {
    /// The [`standing`] of the sender.
    fn standing(&self) -> u32;
    /// By how many bits the limits of a site's strangers are raised.
    fn shift(&self) -> u32;
    /// Spends a token of the verified endpoint, by class number.
    fn endpoint(&mut self, class: u32, limit: Limit) -> bool;
    /// Whether all strangers together have a token left; spends none.
    fn has_budget(&mut self, budget: u32, limit: Limit) -> bool;
    /// Spends a token of all strangers.
    fn budget(&mut self, budget: u32, limit: Limit) -> bool;
    /// Spends a token of the source, by class number.
    fn source(&mut self, class: u32, limit: Limit) -> bool;
    /// Spends a token of the source's network.
    fn subnet(&mut self, limit: Limit) -> bool;
    /// Whether the source may send from this port.
    fn port(&mut self, max: u32, window_ns: u64) -> bool;
    /// Whether the request was seen before, and long enough ago to be sent
    /// again; remembers it.
    fn is_repeated(&mut self) -> bool;
    /// Spends a token of the repeated requests of all strangers.
    fn reserve(&mut self, limit: Limit) -> bool;
    /// Notes that a rule in mode observe would have dropped the packet.
    fn would(&mut self, rule: Rule);
}

/// A request that was kept back may pass once this time has gone by: a little
/// less than T1 of RFC 3261, after which it is sent again.
pub const REPEAT_AFTER_MS: u32 = 400;

/// And no longer than this after: Timer B and F.
pub const REPEAT_WITHIN_MS: u32 = 32_000;

/// The word of the map `GREYLIST` of a request that is kept back at this time:
/// part of its hash, and the time in milliseconds.
#[inline(always)]
#[must_use]
pub const fn kept_back(hash: u64, now_ns: u64) -> u64 {
    hash & !0xffff_ffff | (now_ns / 1_000_000) & 0xffff_ffff
}

/// Whether the word of a slot says that the request of this hash was kept back
/// some time ago: then it may pass. `None` where it says nothing about it that
/// still counts.
#[inline(always)]
#[must_use]
pub const fn was_kept_back(word: u64, hash: u64, now_ns: u64) -> Option<bool> {
    if (word ^ hash) >> 32 != 0 || word == 0 {
        return None;
    }
    let age_ms = (kept_back(hash, now_ns) as u32).wrapping_sub(word as u32);
    if age_ms > REPEAT_WITHIN_MS {
        return None;
    }
    Some(age_ms >= REPEAT_AFTER_MS)
}

/// The limit of a source with so many times the customers.
#[inline(always)]
#[must_use]
pub const fn raised(limit: Limit, shift: u32) -> Limit {
    let interval_ns = limit.interval_ns >> (shift & 15);
    // The burst grows, too: (burst x n - 1) x interval / n.
    Limit { interval_ns, tolerance_ns: limit.tolerance_ns + limit.interval_ns - interval_ns }
}

/// The rule that drops the packet, by number, or 0.
///
/// The budget of all strangers is looked at first, for that costs next to
/// nothing, and spent last, so that a source over its own limit spends none of
/// it. While it is gone, a flood from ever new sources touches no state of
/// sources.
///
/// # Safety
/// `policy` is valid and `class` the number of a [`Class`].
#[inline(always)]
pub unsafe fn admit<B: Buckets>(buckets: &mut B, policy: *const Policy, class: u32) -> u32 {
    // SAFETY: as the caller promises; budgets are numbered below their slots.
    unsafe {
        let budget = budget_of(class);
        let is_request = budget == Budget::Total as u32 || budget == Budget::Other as u32;
        if standing::is_verified(buckets.standing()) {
            return of_endpoint(buckets, policy, class, is_request);
        }
        let shift = buckets.shift();
        let is_site = buckets.standing() != standing::STRANGER;
        // The mask is for the verifier: what it lets through lies in the policy.
        let of_class = |class: u32| {
            let class = (crate::opaque(u64::from(class)) & 15) as usize;
            raised((&raw const (*policy).limits).cast::<Limit>().add(class).read(), shift)
        };
        let of_budget =
            (&raw const (*policy).strangers).cast::<Limit>().add(budget as usize).read();
        let mut in_budget = true;
        if !is_site && !buckets.has_budget(budget, of_budget) {
            in_budget = false;
            // Only requests are sent again.
            let greylists = budget == Budget::Total as u32;
            if greylists && is_on(policy, Rule::Greylist) {
                if !buckets.is_repeated() {
                    if over(buckets, policy, Rule::Greylist) {
                        return Rule::Greylist.number();
                    }
                } else if !buckets.reserve((*policy).reserve)
                    && over(buckets, policy, Rule::RateStrangers)
                {
                    return Rule::RateStrangers.number();
                }
            } else if over(buckets, policy, Rule::RateStrangers) {
                return Rule::RateStrangers.number();
            }
        }
        if !buckets.source(class, of_class(class)) {
            if class == Class::Syn as u32 {
                if over(buckets, policy, Rule::SynRate) {
                    return Rule::SynRate.number();
                }
            } else if over(buckets, policy, Rule::RateMethod) {
                return Rule::RateMethod.number();
            }
        }
        if is_request {
            let total = Class::Total as u32;
            if !buckets.source(total, of_class(total)) && over(buckets, policy, Rule::RateSource) {
                return Rule::RateSource.number();
            }
        }
        if is_site {
            return 0;
        }
        if is_request || class == Class::Syn as u32 {
            if !buckets.subnet((*policy).subnet) && over(buckets, policy, Rule::RateSubnet) {
                return Rule::RateSubnet.number();
            }
            let max = (*policy).max_ports;
            if max != 0
                && !buckets.port(max, (*policy).ports_window_ns)
                && over(buckets, policy, Rule::Fanout)
            {
                return Rule::Fanout.number();
            }
        }
        if in_budget
            && !buckets.budget(budget, of_budget)
            && over(buckets, policy, Rule::RateStrangers)
        {
            return Rule::RateStrangers.number();
        }
    }
    0
}

/// The same of a verified endpoint.
#[inline(always)]
unsafe fn of_endpoint<B: Buckets>(
    buckets: &mut B,
    policy: *const Policy,
    class: u32,
    is_request: bool,
) -> u32 {
    // SAFETY: the caller's policy is valid; the mask is for the verifier.
    unsafe {
        let of_class = |class: u32| {
            let class = (crate::opaque(u64::from(class)) & 15) as usize;
            (&raw const (*policy).verified).cast::<Limit>().add(class).read()
        };
        if !buckets.endpoint(class, of_class(class)) && over(buckets, policy, Rule::RateVerified) {
            return Rule::RateVerified.number();
        }
        let total = Class::Total as u32;
        if is_request
            && !buckets.endpoint(total, of_class(total))
            && over(buckets, policy, Rule::RateVerified)
        {
            return Rule::RateVerified.number();
        }
    }
    0
}

/// Whether the rule is not off.
#[inline(always)]
unsafe fn is_on(policy: *const Policy, rule: Rule) -> bool {
    // SAFETY: the caller's policy is valid.
    unsafe { ((*policy).enforced | (*policy).observed) & rule.bit() != 0 }
}

/// Whether the rule drops; notes it where the rule only observes.
#[inline(always)]
unsafe fn over<B: Buckets>(buckets: &mut B, policy: *const Policy, rule: Rule) -> bool {
    // SAFETY: the caller's policy is valid.
    let (enforced, observed) = unsafe { ((*policy).enforced, (*policy).observed) };
    if enforced & rule.bit() != 0 {
        return true;
    }
    if observed & rule.bit() != 0 {
        buckets.would(rule);
    }
    false
}

#[inline(always)]
const fn budget_of(class: u32) -> u32 {
    // By number: the kernel has no table lookups.
    match class {
        5 => Budget::Response as u32,
        6 => Budget::Keepalive as u32,
        7 => Budget::Other as u32,
        9 => Budget::Syn as u32,
        _ => Budget::Total as u32,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    #[test]
    fn a_raised_limit_is_that_of_so_many_customers() {
        let one = Limit::new(5, S, 10).unwrap();
        for shift in 0..=10 {
            let many = Limit::new(5 << shift, S, 10 << shift).unwrap();
            let raised = raised(one, shift);
            assert!(raised.interval_ns.abs_diff(many.interval_ns) <= 1, "{shift}");
            assert!(raised.tolerance_ns.abs_diff(many.tolerance_ns) <= 1, "{shift}");
        }
        assert_eq!(raised(Limit::UNLIMITED, 3), Limit::UNLIMITED);
    }

    #[test]
    fn a_request_may_pass_when_it_comes_again() {
        let hash = 0x1234_5678_9abc_def0;
        for now in [S, 5_000_000 * S, u64::from(u32::MAX) * 1_000_000] {
            let word = kept_back(hash, now);
            assert_eq!(was_kept_back(word, hash, now), Some(false));
            assert_eq!(was_kept_back(word, hash, now + S / 10), Some(false));
            assert_eq!(was_kept_back(word, hash, now + S / 2), Some(true));
            assert_eq!(was_kept_back(word, hash, now + 31 * S), Some(true));
            assert_eq!(was_kept_back(word, hash, now + 33 * S), None);
            assert_eq!(was_kept_back(word, hash ^ 1 << 40, now + S), None);
        }
        assert_eq!(was_kept_back(0, 7, 0), None);
    }

    #[test]
    fn budgets_by_number_are_the_classes_budgets() {
        for class in Class::ALL {
            let budget = match class {
                Class::Response => Budget::Response,
                Class::Keepalive => Budget::Keepalive,
                Class::Syn => Budget::Syn,
                Class::Other => Budget::Other,
                _ => Budget::Total,
            };
            assert_eq!(budget_of(class as u32), budget as u32);
        }
    }
}
