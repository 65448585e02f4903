//! Blocks that somebody else decides, each with an end of its own: many of them
//! at once, and no plan is looked through for it.

use std::time::Duration;

use ipnet::IpNet;

use super::{Lists, Maker, after, span::Dirty};
use crate::{kernel::KernelError, policy::Target};

impl Lists {
    /// Blocks networks until their ends from now on or, with `None`, no longer.
    /// Gives those for which there is no room; they are as before, but for an end
    /// that they had.
    pub(in crate::kernel) fn decide(
        &mut self,
        changes: &[(IpNet, Option<Duration>)],
    ) -> Result<Vec<IpNet>, KernelError> {
        let targets: Vec<Target> =
            changes.iter().map(|(net, _)| Target { net: *net, port: None }).collect();
        for (target, (_, left)) in targets.iter().zip(changes) {
            self.blocked.book.set_made(Maker::Decision, *target, left.map(after));
        }
        // What comes is in its place before the index leads there, what goes
        // leaves after.
        self.write_sizes()?;
        let mut refused = Vec::new();
        for target in &targets {
            if self.blocked.book.wanted(*target).is_some() && self.blocked.sync(*target).is_err() {
                self.blocked.book.set_made(Maker::Decision, *target, None);
                refused.push(target.net);
            }
        }
        self.write_index(Dirty::of(targets.iter()).spans())?;
        for target in &targets {
            if self.blocked.book.wanted(*target).is_none() {
                self.blocked.sync(*target)?;
            }
        }
        self.write_sizes()?;
        Ok(refused)
    }
}
