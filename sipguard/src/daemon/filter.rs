//! What the running daemon asks of the kernel room, so that everything above
//! it can be tested without a kernel.

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use ipnet::IpNet;
use sipguard_common::abi::{Endpoint, Policy, Tap, TapCounts};

use crate::{
    kernel::{
        Acquaintance, BanEntry, EventLosses, InterfaceCounters, InterfaceReplies, Kernel, PastBan,
        SourceTally, Standing, TapWish, Tended, VerifiedEntry,
    },
    offender::Offender,
    policy::{Plan, Target},
};

/// Why the kernel refused. Its message names the cause and the remedy.
pub type FilterError = Box<dyn std::error::Error + Send + Sync>;

/// The loaded program and its maps. Times to live are counted from now.
pub trait Filter: Send {
    /// Replaces everything that comes from files; all or nothing. Entries made
    /// by [`Filter::block`] and [`Filter::allow`] stay.
    ///
    /// # Errors
    /// The kernel refused; the former policy still holds.
    fn apply(&mut self, plan: &Plan) -> Result<(), FilterError>;

    /// Adds or replaces the operator's block.
    ///
    /// # Errors
    /// The kernel refused, for example because the list is full.
    fn block(&mut self, net: IpNet, ttl: Option<Duration>) -> Result<(), FilterError>;

    /// Removes the operator's block; that of a file stays.
    ///
    /// # Errors
    /// The kernel refused.
    fn unblock(&mut self, net: IpNet) -> Result<(), FilterError>;

    /// Blocks networks that somebody else has decided about or, with `None`, no
    /// longer. Gives those for which there is no room.
    ///
    /// # Errors
    /// The kernel refused.
    fn decide(&mut self, changes: &[(IpNet, Option<Duration>)]) -> Result<Vec<IpNet>, FilterError>;

    /// Adds or replaces the operator's trust.
    ///
    /// # Errors
    /// The kernel refused, for example because the list is full.
    fn allow(&mut self, target: Target, ttl: Option<Duration>) -> Result<(), FilterError>;

    /// Removes the operator's trust; that of a file stays.
    ///
    /// # Errors
    /// The kernel refused.
    fn disallow(&mut self, target: &Target) -> Result<(), FilterError>;

    /// Counters of every interface since the program was loaded.
    ///
    /// # Errors
    /// The kernel refused.
    fn counters(&self) -> Result<Vec<InterfaceCounters>, FilterError>;

    /// Packets that matched each enabled signature, by its name.
    ///
    /// # Errors
    /// The kernel refused.
    fn signature_hits(&self) -> Result<BTreeMap<String, u64>, FilterError>;

    /// The name of the signature in an event or a ban; `None` for 0, and where
    /// the signature is gone.
    fn signature_name(&self, slot: u32) -> Option<&str>;

    /// Events that never came out of the program.
    ///
    /// # Errors
    /// The kernel refused.
    fn event_losses(&self) -> Result<EventLosses, FilterError>;

    /// The bans that hold, in no order.
    ///
    /// # Errors
    /// The kernel refused.
    fn bans(&self) -> Result<Vec<BanEntry>, FilterError>;

    /// Lifts every ban that hits an address of this network; gives how many.
    ///
    /// # Errors
    /// The kernel refused.
    fn unban(&mut self, net: IpNet) -> Result<usize, FilterError>;

    /// Lifts one ban; gives whether there was one.
    ///
    /// # Errors
    /// The kernel refused.
    fn lift_ban(&mut self, who: Offender) -> Result<bool, FilterError>;

    /// Whether a ban holds.
    ///
    /// # Errors
    /// The kernel refused.
    fn holds_ban(&self, who: Offender) -> Result<bool, FilterError>;

    /// Puts off the end of a ban that holds, to a time in nanoseconds of
    /// CLOCK_MONOTONIC; false where there is none, or it ends later anyway.
    ///
    /// # Errors
    /// The kernel refused.
    fn extend_ban(&mut self, who: Offender, until_ns: u64) -> Result<bool, FilterError>;

    /// Makes a ban of an earlier run again; false where the policy no longer
    /// calls that a source.
    ///
    /// # Errors
    /// The kernel refused.
    fn restore_ban(&mut self, ban: &PastBan<'_>) -> Result<bool, FilterError>;

    /// Whom the key of a ban stands for.
    fn offender(&self, key: Endpoint) -> Offender;

    /// Everybody who is verified, by address and port.
    ///
    /// # Errors
    /// The kernel refused.
    fn verified(&self) -> Result<Vec<VerifiedEntry>, FilterError>;

    /// What is known of an endpoint, port and protocol number of IP, or without
    /// one of the source alone.
    ///
    /// # Errors
    /// The kernel refused.
    fn acquaintance(
        &self,
        address: IpAddr,
        port: Option<(u16, u8)>,
        policy: &Policy,
    ) -> Result<Acquaintance, FilterError>;

    /// What is known of an address under the policy in force.
    ///
    /// # Errors
    /// The kernel refused.
    fn standing(&self, address: IpAddr, policy: &Policy) -> Result<Standing, FilterError>;

    /// What has left every interface since the program was loaded.
    ///
    /// # Errors
    /// The kernel refused.
    fn replies(&self) -> Result<Vec<InterfaceReplies>, FilterError>;

    /// Who has sent what, as far as it is remembered.
    fn tallies(&self) -> Vec<SourceTally>;

    /// Opens a tap for the packets that are wished, or closes it.
    ///
    /// # Errors
    /// The kernel refused.
    fn set_tap(&mut self, tap: Tap, wish: Option<&TapWish>) -> Result<(), FilterError>;

    /// What the taps did not get, since the program was loaded.
    ///
    /// # Errors
    /// The kernel refused.
    fn tap_counts(&self) -> Result<TapCounts, FilterError>;

    /// Follows interfaces that have gone, come back or lost the program.
    ///
    /// # Errors
    /// The kernel refused.
    fn tend(&mut self) -> Result<Vec<Tended>, FilterError>;

    /// Whether the program outlives the daemon.
    fn keeps(&self) -> bool;

    /// Takes the program off all interfaces it was attached to by us, unless it
    /// outlives the daemon.
    fn leave(&mut self);
}

impl Filter for Kernel {
    fn apply(&mut self, plan: &Plan) -> Result<(), FilterError> {
        Ok(self.apply(plan)?)
    }

    fn block(&mut self, net: IpNet, ttl: Option<Duration>) -> Result<(), FilterError> {
        Ok(self.block(net, ttl)?)
    }

    fn unblock(&mut self, net: IpNet) -> Result<(), FilterError> {
        Ok(self.unblock(net)?)
    }

    fn decide(&mut self, changes: &[(IpNet, Option<Duration>)]) -> Result<Vec<IpNet>, FilterError> {
        Ok(self.decide(changes)?)
    }

    fn allow(&mut self, target: Target, ttl: Option<Duration>) -> Result<(), FilterError> {
        Ok(self.allow(target, ttl)?)
    }

    fn disallow(&mut self, target: &Target) -> Result<(), FilterError> {
        Ok(self.disallow(target)?)
    }

    fn counters(&self) -> Result<Vec<InterfaceCounters>, FilterError> {
        Ok(self.counters()?)
    }

    fn signature_hits(&self) -> Result<BTreeMap<String, u64>, FilterError> {
        Ok(self.signature_hits()?)
    }

    fn signature_name(&self, slot: u32) -> Option<&str> {
        self.signature_name(slot)
    }

    fn event_losses(&self) -> Result<EventLosses, FilterError> {
        Ok(self.event_losses()?)
    }

    fn bans(&self) -> Result<Vec<BanEntry>, FilterError> {
        Ok(self.bans()?)
    }

    fn unban(&mut self, net: IpNet) -> Result<usize, FilterError> {
        Ok(self.unban(net)?)
    }

    fn lift_ban(&mut self, who: Offender) -> Result<bool, FilterError> {
        Ok(self.lift_ban(who)?)
    }

    fn holds_ban(&self, who: Offender) -> Result<bool, FilterError> {
        Ok(self.holds_ban(who)?)
    }

    fn extend_ban(&mut self, who: Offender, until_ns: u64) -> Result<bool, FilterError> {
        Ok(self.extend_ban(who, until_ns)?)
    }

    fn restore_ban(&mut self, ban: &PastBan<'_>) -> Result<bool, FilterError> {
        Ok(self.restore_ban(ban)?)
    }

    fn offender(&self, key: Endpoint) -> Offender {
        self.offender(key)
    }

    fn verified(&self) -> Result<Vec<VerifiedEntry>, FilterError> {
        Ok(self.verified()?)
    }

    fn acquaintance(
        &self,
        address: IpAddr,
        port: Option<(u16, u8)>,
        policy: &Policy,
    ) -> Result<Acquaintance, FilterError> {
        Ok(self.acquaintance(address, port, policy)?)
    }

    fn standing(&self, address: IpAddr, policy: &Policy) -> Result<Standing, FilterError> {
        Ok(self.standing(address, policy)?)
    }

    fn replies(&self) -> Result<Vec<InterfaceReplies>, FilterError> {
        Ok(self.replies()?)
    }

    fn tallies(&self) -> Vec<SourceTally> {
        self.tallies()
    }

    fn set_tap(&mut self, tap: Tap, wish: Option<&TapWish>) -> Result<(), FilterError> {
        Ok(self.set_tap(tap, wish)?)
    }

    fn tap_counts(&self) -> Result<TapCounts, FilterError> {
        Ok(self.tap_counts()?)
    }

    fn tend(&mut self) -> Result<Vec<Tended>, FilterError> {
        Ok(self.tend()?)
    }

    fn keeps(&self) -> bool {
        self.keeps()
    }

    fn leave(&mut self) {
        self.leave();
    }
}
