//! What may keep sipguard from protecting here, or from doing it well. Reads
//! only: nothing is attached, sent or changed.
//!
//! A file for each group of findings. Each first gathers what is there, below a
//! root that tests make themselves, and then judges it.

mod clock;
mod configuration;
mod daemon;
mod drivers;
mod ethtool;
mod finding;
mod interface;
mod kernel;
mod machine;
mod memory;
mod neighbours;
mod programs;
mod queues;
mod rights;
mod state;

use std::path::PathBuf;

pub use self::finding::{Check, Finding, Level};
use self::{configuration::Configuration, daemon::Running, machine::Machine};

/// What to examine.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// With none, those of the configuration, else those of default routes.
    pub interfaces: Vec<String>,
    /// The configuration directory, else the usual ones.
    pub config: Option<PathBuf>,
    /// The control socket, else the configuration's.
    pub socket: Option<PathBuf>,
}

/// Everything that is found, group by group.
#[must_use]
pub fn examine(asked: &Asked) -> Vec<Finding> {
    let machine = Machine::real();
    let configuration = Configuration::read(asked.config.as_deref());
    let plan = configuration.plan();
    let running = Running::ask(asked.socket.as_deref().unwrap_or(&plan.socket));

    let mut findings = kernel::examine(&machine);
    findings.extend(rights::examine(&machine, running.is_there()));
    findings.extend(memory::examine(&machine, running.is_there()));
    findings.extend(configuration.examine());
    let interfaces = configuration::interfaces(asked, plan, &running, &machine);
    findings.extend(interfaces.finding());
    for name in &interfaces.names {
        findings.extend(interface::examine(name, &machine, &running));
    }
    findings.extend(neighbours::examine(&machine, plan));
    findings.extend(clock::examine());
    findings.extend(state::examine(&machine, plan));
    findings.extend(running.examine());
    findings
}
