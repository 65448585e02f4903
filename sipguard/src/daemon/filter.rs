//! What the running daemon asks of the kernel room, so that everything above
//! it can be tested without a kernel.

use std::{collections::BTreeMap, time::Duration};

use ipnet::IpNet;

use crate::{
    kernel::{BanEntry, EventLosses, InterfaceCounters, Kernel},
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

    /// Takes the program off all interfaces it was attached to by us.
    fn detach(&mut self);
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

    fn detach(&mut self) {
        self.detach();
    }
}
