//! Phones and trunks, played by SIPp.

use std::{net::IpAddr, time::Duration};

use anyhow::{Result, bail};

use super::{
    lab::{Lab, SERVER, SERVER_V6, sip},
    process::{self, Finished},
    tool::{Tool, fixture},
};

/// How long a phone tries, which is enough for several retransmissions.
const TRIES: &str = "8s";
/// How long one tries that expects no answer: three times.
const VAIN_TRIES: &str = "2s";
/// Time limit of SIPp itself.
const LIMIT: Duration = Duration::from_secs(30);
/// Another than the scanners' port.
const PORT: &str = "5062";
/// What SIPp says after its `-timeout`; its exit code is that of other errors.
const SIPP_TIMED_OUT: &str = "timed out after";

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
        let sipp = self.sipp(action, times, TRIES, lab)?;
        match sipp.code() {
            Some(0) => Ok(()),
            _ => bail!("{action:?} from {} did not succeed:\n{sipp}", self.address),
        }
    }

    /// Whether it is left without an answer, tries as it may.
    ///
    /// # Errors
    /// Where SIPp is missing or fails otherwise than by that.
    pub fn is_ignored(&self, action: Action, lab: &Lab) -> Result<bool> {
        let sipp = self.sipp(action, 1, VAIN_TRIES, lab)?;
        match sipp.code() {
            Some(0) => Ok(false),
            _ if sipp.words().contains(SIPP_TIMED_OUT) => Ok(true),
            _ => bail!("SIPp has failed:\n{sipp}"),
        }
    }

    /// Registers `phones` phones behind this address at once, each from a port
    /// of its own.
    ///
    /// # Errors
    /// Where SIPp is missing, or one of them does not succeed.
    pub fn office_registers(&self, phones: u32, lab: &Lab) -> Result<()> {
        let phones = phones.to_string();
        let sipp = process::run(
            lab.outside()
                .command(Tool::Sipp.path()?)?
                .arg("-sf")
                .arg(fixture("register.xml"))
                .args(["-i", &self.address.to_string(), "-t", "un", "-max_socket", "1000"])
                .args(["-key", "agent", self.user_agent, "-key", "user", "alice"])
                .args(["-m", &phones, "-l", &phones, "-r", &phones, "-rp", "100"])
                .args(["-timeout", TRIES, "-timeout_error", "-nostdin"])
                .arg(sip(SERVER).to_string())
                .env("TERM", "dumb")
                .current_dir(lab.folder()),
            LIMIT,
        )?;
        match sipp.code() {
            Some(0) => Ok(()),
            _ => bail!("not all of {phones} phones have registered:\n{sipp}"),
        }
    }

    fn sipp(&self, action: Action, times: u32, tries: &str, lab: &Lab) -> Result<Finished> {
        let scenario = match action {
            Action::Register => "register.xml",
            Action::Call => "call.xml",
            Action::Keepalive => "keepalive.xml",
        };
        let server = if self.address.is_ipv6() { SERVER_V6 } else { SERVER };
        process::run(
            lab.outside()
                .command(Tool::Sipp.path()?)?
                .arg("-sf")
                .arg(fixture(scenario))
                .args(["-i", &self.address.to_string(), "-p", PORT])
                .args(["-key", "agent", self.user_agent, "-key", "user", "alice"])
                .args(["-m", &times.to_string(), "-l", "1", "-r", "20"])
                .args(["-timeout", tries, "-timeout_error", "-nostdin"])
                .arg(sip(server).to_string())
                .env("TERM", "dumb")
                .current_dir(lab.folder()),
            LIMIT,
        )
    }
}
