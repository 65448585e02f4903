//! What must survive a restart.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use sipguard_common::{abi::BANS, rule::Rule};

use super::{Line, Period};
use crate::{offender::Offender, policy::Target};

/// How long after the end of a ban another one is a repetition.
pub const OFFENCE_MEMORY: SignedDuration = SignedDuration::from_hours(24);

/// Hours whose medians are kept: a week and the hour that it ends with.
pub(super) const KEPT_HOURS: i64 = 7 * 24 + 1;

/// A list of operators' entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum List {
    Blocked,
    Trusted,
}

impl List {
    /// The word for it in the file.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Blocked => "blocked",
            Self::Trusted => "trusted",
        }
    }

    pub(super) fn from_name(name: &str) -> Option<Self> {
        [Self::Blocked, Self::Trusted].into_iter().find(|list| list.name() == name)
    }
}

/// An operator's entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    pub added: Timestamp,
    /// To the millisecond.
    pub until: Option<Timestamp>,
    pub reason: Option<String>,
    pub uid: u32,
}

/// The last ban of somebody: one that holds, or one that is remembered because
/// the next one would be longer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ban {
    pub since: Timestamp,
    /// To the millisecond.
    pub until: Timestamp,
    pub rule: Rule,
    pub signature: Option<String>,
    pub failures: u32,
    /// Whether the evidence cannot be forged.
    pub proven: bool,
    /// How many such bans with proof came before, each within
    /// [`OFFENCE_MEMORY`] of the end of the one before it.
    pub repeated: u32,
    /// When the last of those with proof ends, or ended.
    pub offended: Option<Timestamp>,
}

impl Ban {
    /// Whether there is nothing left to remember.
    fn is_over(&self, now: Timestamp) -> bool {
        let end = self.offended.map_or(self.until, |offended| {
            offended.saturating_add(OFFENCE_MEMORY).unwrap_or(Timestamp::MAX).max(self.until)
        });
        end <= now
    }
}

/// Everything that survives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    pub entries: BTreeMap<(List, Target), Kept>,
    pub bans: BTreeMap<Offender, Ban>,
    /// How many endpoints were verified, the median of each hour since 1970.
    pub hours: BTreeMap<i64, u64>,
}

/// Something to write down.
#[derive(Clone, Debug)]
pub(super) enum Change {
    Line(Line),
    Entry(List, Target, Option<Kept>),
    Ban(Offender, Option<Ban>),
    Hour(i64, u64),
    Period(Period),
}

impl State {
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.bans.is_empty() && self.hours.is_empty()
    }

    pub(super) fn apply(&mut self, change: &Change) {
        match change {
            Change::Line(_) | Change::Period(_) => {}
            Change::Entry(list, target, Some(kept)) => {
                self.entries.insert((*list, *target), kept.clone());
            }
            Change::Entry(list, target, None) => {
                self.entries.remove(&(*list, *target));
            }
            Change::Ban(who, Some(ban)) => {
                self.bans.insert(*who, ban.clone());
                if self.bans.len() > BANS + BANS / 8 {
                    self.tidy(Timestamp::now());
                }
            }
            Change::Ban(who, None) => {
                self.bans.remove(who);
            }
            Change::Hour(hour, verified) => {
                self.hours.insert(*hour, *verified);
                self.hours = self.hours.split_off(&(hour - KEPT_HOURS));
            }
        }
    }

    /// Takes in what an earlier run has left, where nothing newer is there.
    pub(super) fn merge(&mut self, earlier: &Self) {
        for (key, kept) in &earlier.entries {
            self.entries.entry(*key).or_insert_with(|| kept.clone());
        }
        for (who, ban) in &earlier.bans {
            self.bans.entry(*who).or_insert_with(|| ban.clone());
        }
        for (hour, verified) in &earlier.hours {
            self.hours.entry(*hour).or_insert(*verified);
        }
    }

    /// Forgets what is over, and those who end first where there are too many.
    pub(super) fn tidy(&mut self, now: Timestamp) {
        self.bans.retain(|_, ban| !ban.is_over(now));
        let Some(excess) = self.bans.len().checked_sub(BANS).filter(|excess| *excess > 0) else {
            return;
        };
        let mut ends: Vec<(Timestamp, Offender)> =
            self.bans.iter().map(|(who, ban)| (ban.until, *who)).collect();
        ends.sort_unstable();
        for (_, who) in ends.into_iter().take(excess) {
            self.bans.remove(&who);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ban(until: i64, offended: Option<i64>) -> Ban {
        let at = |second| Timestamp::from_second(second).unwrap();
        Ban {
            since: at(0),
            until: at(until),
            rule: Rule::Auth,
            signature: None,
            failures: 5,
            proven: true,
            repeated: 0,
            offended: offended.map(at),
        }
    }

    fn who(host: u32) -> Offender {
        let address = std::net::Ipv4Addr::from(0x0a00_0000 + host);
        Offender { source: ipnet::IpNet::from(std::net::IpAddr::V4(address)), port: None }
    }

    #[test]
    fn offences_are_remembered_for_a_day_and_forged_ones_are_not() {
        let mut state = State::default();
        state.apply(&Change::Ban(who(1), Some(ban(100, Some(100)))));
        state.apply(&Change::Ban(who(2), Some(ban(100, None))));
        let at = |second| Timestamp::from_second(second).unwrap();
        state.tidy(at(101));
        assert_eq!(state.bans.keys().copied().collect::<Vec<_>>(), [who(1)]);
        state.tidy(at(100 + 86_400));
        assert!(state.is_empty());
    }

    #[test]
    fn a_flood_of_bans_has_an_end() {
        let mut state = State::default();
        let far = Timestamp::now().as_second() + 1000;
        for host in 0..u32::try_from(BANS + BANS / 4).unwrap() {
            state.apply(&Change::Ban(who(host), Some(ban(far + i64::from(host), None))));
        }
        assert!(state.bans.len() <= BANS + BANS / 8);
        // Those that end first made room.
        assert!(!state.bans.contains_key(&who(0)));
        let last = u32::try_from(BANS + BANS / 4).unwrap() - 1;
        assert!(state.bans.contains_key(&who(last)));
    }

    #[test]
    fn what_is_newer_stays() {
        let (mut state, mut earlier) = (State::default(), State::default());
        state.apply(&Change::Ban(who(1), Some(ban(200, None))));
        earlier.apply(&Change::Ban(who(1), Some(ban(100, None))));
        earlier.apply(&Change::Ban(who(2), Some(ban(100, None))));
        state.merge(&earlier);
        assert_eq!(state.bans[&who(1)], ban(200, None));
        assert_eq!(state.bans.len(), 2);
    }
}
