//! What the running daemon asks of the kernel room, so that everything above
//! it can be tested without a kernel.

use std::time::Duration;

use ipnet::IpNet;

use crate::{
    kernel::{InterfaceCounters, Kernel},
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

    fn detach(&mut self) {
        self.detach();
    }
}
