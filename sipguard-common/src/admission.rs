//! The buckets of strangers: which of them a packet must pass, and in which
//! order.

use crate::{
    abi::Policy,
    bucket::Limit,
    method::{Budget, Class},
    rule::Rule,
};

/// The state behind the limits. Each method gives true while within the limit,
/// and then has spent a token where it says so.
pub trait Buckets {
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
    /// Notes that a rule in mode observe would have dropped the packet.
    fn would(&mut self, rule: Rule);
}

/// The rule that drops the packet, by number, or 0.
///
/// The budget of all strangers is looked at first, for that costs next to
/// nothing, and spent last, so that a source over its own limit spends none of
/// it. While it is gone, a flood from ever new sources touches no state.
///
/// # Safety
/// `policy` is valid and `class` the number of a [`Class`].
#[inline(always)]
pub unsafe fn admit<B: Buckets>(buckets: &mut B, policy: *const Policy, class: u32) -> u32 {
    // SAFETY: as the caller promises; budgets are numbered below their slots.
    unsafe {
        // The mask is for the verifier: what it lets through lies in the policy.
        let of_class = |class: u32| {
            let class = (crate::opaque(u64::from(class)) & 15) as usize;
            (&raw const (*policy).limits).cast::<Limit>().add(class).read()
        };
        let budget = budget_of(class);
        let of_budget =
            (&raw const (*policy).strangers).cast::<Limit>().add(budget as usize).read();
        if !buckets.has_budget(budget, of_budget) && over(buckets, policy, Rule::RateStrangers) {
            return Rule::RateStrangers.number();
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
        let is_request = budget == Budget::Total as u32 || budget == Budget::Other as u32;
        if is_request {
            let total = Class::Total as u32;
            if !buckets.source(total, of_class(total)) && over(buckets, policy, Rule::RateSource) {
                return Rule::RateSource.number();
            }
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
        if !buckets.budget(budget, of_budget) && over(buckets, policy, Rule::RateStrangers) {
            return Rule::RateStrangers.number();
        }
    }
    0
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
