//! A carrier at which the server has an account: SIPp that takes the server's
//! registration, asks whether it lives, and sends it a call.

use std::{net::SocketAddr, time::Duration};

use anyhow::Result;

use super::{
    lab::{Lab, SERVER, sip},
    process::Process,
    tool::{Tool, fixture},
};

/// How long the server may take to register.
const PATIENCE: Duration = Duration::from_secs(20);

/// The carrier, from the registration of the server to the end of the call.
#[derive(Debug)]
pub struct Carrier(Process);

impl Carrier {
    /// Waits for the server's registration at an address and port of the outside
    /// namespace, then asks it and calls this user of it from there.
    ///
    /// # Errors
    /// Where SIPp is missing.
    pub fn start(lab: &Lab, place: SocketAddr, user: u32) -> Result<Self> {
        let process = Process::start(
            lab.outside()
                .command(Tool::Sipp.path()?)?
                .arg("-sf")
                .arg(fixture("carrier.xml"))
                .args(["-i", &place.ip().to_string(), "-p", &place.port().to_string()])
                .args(["-key", "user", &user.to_string(), "-m", "1"])
                .args(["-timeout", "20s", "-timeout_error", "-nostdin"])
                .arg(sip(SERVER).to_string())
                .env("TERM", "dumb")
                .current_dir(lab.folder()),
        )?;
        Ok(Self(process))
    }

    /// Waits until all of it has gone well.
    ///
    /// # Errors
    /// Where it has not.
    pub fn succeeds(self) -> Result<()> {
        self.0.finish(2 * PATIENCE)?.success().map(drop)
    }
}
