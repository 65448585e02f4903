//! Where the daemon lives: the files that tell it what to do, and the host that
//! it must not cut off.

use std::{io, path::PathBuf};

use jiff::Timestamp;

use super::{Error, Host, nets::shown, safety};
use crate::policy::{self, Plan};

/// The daemon's surroundings.
#[derive(Clone, Debug)]
pub struct Place {
    /// The configuration directory.
    pub config: PathBuf,
    /// [`Host::read`]; tests have a host of their own.
    pub read_host: fn() -> io::Result<Host>,
}

impl Place {
    /// A configuration directory on this host.
    #[must_use]
    pub fn new(config: PathBuf) -> Self {
        Self { config, read_host: Host::read }
    }

    /// The host's addresses as they are now.
    ///
    /// # Errors
    /// The kernel did not tell.
    pub fn host(&self) -> io::Result<Host> {
        (self.read_host)()
    }

    /// The files' policy as it can be applied on this host, and warnings: what
    /// was wrong with it without being an error.
    ///
    /// # Errors
    /// The files have errors, or this host's addresses cannot be read.
    pub fn load(&self) -> Result<(Plan, Vec<String>), Error> {
        let (mut plan, warnings) = policy::load(&self.config)
            .map_err(|diagnostics| Error::Configuration(Box::new(diagnostics)))?;
        let mut notes: Vec<String> = warnings.iter().map(ToString::to_string).collect();
        for refusal in safety::protect_host(&mut plan, &self.host()?) {
            notes.push(format!("warning: blacklist.toml: left out: {refusal}"));
        }
        for net in safety::drop_ended(&mut plan, Timestamp::now()) {
            let net = shown(net);
            notes.push(format!("warning: blacklist.toml: left out: the block of {net} has ended"));
        }
        Ok((plan, notes))
    }
}
