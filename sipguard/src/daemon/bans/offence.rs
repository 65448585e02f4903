//! How long those are banned who do it again.

use std::time::Duration;

use jiff::Timestamp;

use crate::{
    history::{Ban, OFFENCE_MEMORY},
    policy::Plan,
};

/// How long bans last on evidence that cannot be forged.
#[derive(Clone, Copy, Debug)]
pub(in crate::daemon) struct Terms {
    /// The first one.
    pub(in crate::daemon) ban: Duration,
    /// The longest one.
    pub(in crate::daemon) ban_max: Duration,
}

impl Terms {
    /// As the policy says.
    pub(in crate::daemon) fn of(plan: &Plan) -> Self {
        // With posture attack longer than written.
        let ban = Duration::from_nanos(plan.policy.ban_ns);
        Self { ban, ban_max: plan.auth.ban_max.duration() }
    }

    /// Twice as long each time.
    pub(in crate::daemon) fn ttl(self, repeated: u32) -> Duration {
        let factor = 1u32.checked_shl(repeated).unwrap_or(u32::MAX);
        self.ban.saturating_mul(factor).min(self.ban_max.max(self.ban))
    }
}

/// How many bans came before one that is made now, each within a day of the end
/// of the one before it. A ban that is made anew while it holds is the same one:
/// there were more replies under way.
pub(in crate::daemon) fn repeated(last: Option<&Ban>, now: Timestamp) -> u32 {
    let Some((last, end)) = last.and_then(|last| Some((last, last.offended?))) else { return 0 };
    if now < end {
        return last.repeated;
    }
    let is_remembered = end.checked_add(OFFENCE_MEMORY).is_ok_and(|until| now < until);
    if is_remembered { last.repeated.saturating_add(1) } else { 0 }
}

#[cfg(test)]
mod tests {
    use sipguard_common::rule::Rule;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn ban(repeated: u32, offended: Option<i64>) -> Ban {
        Ban {
            since: at(0),
            until: at(600),
            rule: Rule::Auth,
            signature: None,
            failures: 5,
            proven: true,
            repeated,
            offended: offended.map(at),
        }
    }

    /// F21: 600 s, doubling to a day.
    #[test]
    fn f21_bans_double_up_to_a_day() {
        let plan = Plan::default();
        let terms = Terms::of(&plan);
        let seconds: Vec<u64> = (0..10).map(|n| terms.ttl(n).as_secs()).collect();
        let expected = [600, 1200, 2400, 4800, 9600, 19_200, 38_400, 76_800, 86_400, 86_400];
        assert_eq!(seconds, expected);
        assert_eq!(terms.ttl(u32::MAX).as_secs(), 86_400);
    }

    /// The operator may ban for longer than a day at once.
    #[test]
    fn the_first_ban_is_never_shortened() {
        let week = Duration::from_secs(7 * 86_400);
        let terms = Terms { ban: week, ban_max: Duration::from_secs(86_400) };
        assert_eq!(terms.ttl(0), week);
        assert_eq!(terms.ttl(3), week);
    }

    #[test]
    fn a_day_without_offence_is_forgiven() {
        assert_eq!(repeated(None, at(0)), 0);
        let last = ban(2, Some(600));
        assert_eq!(repeated(Some(&last), at(599)), 2);
        assert_eq!(repeated(Some(&last), at(600)), 3);
        assert_eq!(repeated(Some(&last), at(600 + 86_399)), 3);
        assert_eq!(repeated(Some(&last), at(600 + 86_400)), 0);
        // Evidence that may be forged makes nobody an offender.
        assert_eq!(repeated(Some(&ban(0, None)), at(700)), 0);
    }
}
