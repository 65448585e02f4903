//! Phones and trunks, played by SIPp.

use std::{net::IpAddr, time::Duration};

use anyhow::{Result, bail};

use super::{
    lab::{Lab, SERVER, SERVER_V6, sip},
    process,
    tool::{Tool, fixture},
};

/// How long a phone tries, which is enough for several retransmissions.
const TRIES: &str = "8s";
/// Time limit of SIPp itself.
const LIMIT: Duration = Duration::from_secs(30);
/// Another than the scanners' port.
const PORT: &str = "5062";

/// Something that a phone does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// REGISTER, 401, REGISTER with credentials, 200.
    Register,
    /// INVITE, 200, ACK, BYE, 200.
    Call,
    /// OPTIONS, 200.
    Keepalive,
}

/// A phone or trunk at one address.
#[derive(Clone, Copy, Debug)]
pub struct Phone<'a> {
    pub address: IpAddr,
    pub user_agent: &'a str,
}

impl Phone<'_> {
    /// Does something `times` times, one after the other.
    ///
    /// # Errors
    /// Where SIPp is missing, or one of the times does not succeed.
    pub fn does(&self, action: Action, times: u32, lab: &Lab) -> Result<()> {
        let scenario = match action {
            Action::Register => "register.xml",
            Action::Call => "call.xml",
            Action::Keepalive => "keepalive.xml",
        };
        let server = if self.address.is_ipv6() { SERVER_V6 } else { SERVER };
        let sipp = process::run(
            lab.outside()
                .command(Tool::Sipp.path()?)?
                .arg("-sf")
                .arg(fixture(scenario))
                .args(["-i", &self.address.to_string(), "-p", PORT])
                .args(["-key", "agent", self.user_agent, "-key", "user", "alice"])
                .args(["-m", &times.to_string(), "-l", "1", "-r", "20"])
                .args(["-timeout", TRIES, "-timeout_error", "-nostdin"])
                .arg(sip(server).to_string())
                .env("TERM", "dumb")
                .current_dir(lab.folder()),
            LIMIT,
        )?;
        match sipp.code() {
            Some(0) => Ok(()),
            _ => bail!("{action:?} from {} did not succeed:\n{sipp}", self.address),
        }
    }
}
