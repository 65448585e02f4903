//! Phones of the registrar, played by SIPp: many at one address, each with a
//! user, a password and mostly a port of its own.

use std::{
    fs,
    net::IpAddr,
    ops::Range,
    path::PathBuf,
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};

use super::{
    lab::{Lab, SERVER, SERVER_V6, sip},
    process::{Finished, Process},
    registrar::password,
    tool::{Tool, fixture},
};

/// What the phones call themselves.
pub const AGENT: &str = "Grandstream GXP2140 1.0.9.14";

/// Time SIPp may take longer than its own limit.
const GRACE: Duration = Duration::from_secs(20);

/// Each run has files of its own.
static RUNS: AtomicU32 = AtomicU32::new(0);

/// How phones reach the registrar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    Udp,
    Tcp,
}

/// What phones do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// Register, and renew that until it was done so often.
    Register(u32),
    /// Try so often to register with a password that is not theirs any more.
    Guess(u32),
    /// Call another user, and end that after a while.
    Call(u32),
    /// Answer one call.
    Answer,
}

/// Phones at one address.
#[derive(Clone, Debug)]
pub struct Subscribers {
    pub address: IpAddr,
    pub users: Range<u32>,
    pub transport: Transport,
    /// The one port of all of them; else each has its own.
    pub port: Option<u16>,
    /// In how much time all of them begin.
    pub within: Duration,
    /// Between what they do and what they do next.
    pub pause: Duration,
    /// For how long they register, in seconds.
    pub expires: u32,
    /// How long they try at most.
    pub patience: Duration,
}

impl Subscribers {
    /// The users at an address, over UDP.
    #[must_use]
    pub fn new(address: IpAddr, users: Range<u32>) -> Self {
        Self {
            address,
            users,
            transport: Transport::Udp,
            port: None,
            within: Duration::from_millis(100),
            pause: Duration::from_millis(500),
            expires: 300,
            patience: Duration::from_secs(20),
        }
    }

    /// One user at an address and port.
    #[must_use]
    pub fn one(address: IpAddr, port: u16, user: u32) -> Self {
        Self { port: Some(port), ..Self::new(address, user..user + 1) }
    }

    /// Does something to the end.
    ///
    /// # Errors
    /// Where SIPp is missing, or one of them does not succeed.
    pub fn does(&self, deed: Deed, lab: &Lab) -> Result<()> {
        self.start(deed, lab)?.succeeds()
    }

    /// Does something in vain.
    ///
    /// # Errors
    /// Where SIPp is missing, or all of them succeed.
    pub fn fails(&self, deed: Deed, lab: &Lab) -> Result<()> {
        let end = self.start(deed, lab)?.end()?;
        if end.code() == Some(0) {
            bail!("{deed:?} from {} has succeeded:\n{end}", self.address);
        }
        Ok(())
    }

    /// Begins to do something.
    ///
    /// # Errors
    /// Where SIPp is missing.
    pub fn start(&self, deed: Deed, lab: &Lab) -> Result<Doing> {
        let run = RUNS.fetch_add(1, Ordering::Relaxed);
        let folder = lab.folder().join(format!("sipp-{run}"));
        fs::create_dir(&folder).context("cannot make a folder for SIPp")?;
        let mut command = lab.outside().command(Tool::Sipp.path()?)?;
        self.describe(deed, &self.write_users(deed, folder.clone())?, &mut command);
        let process = Process::start(command.current_dir(folder))?;
        let limit = self.patience + GRACE;
        Ok(Doing { process, limit, what: format!("{deed:?} from {}", self.address) })
    }

    /// The users and what makes SIPp answer their challenges, as it reads them.
    fn write_users(&self, deed: Deed, folder: PathBuf) -> Result<PathBuf> {
        let mut users = "SEQUENTIAL\n".to_owned();
        for user in self.users.clone() {
            let password = match deed {
                Deed::Guess(_) => "forgotten".to_owned(),
                _ => password(user),
            };
            users += &format!("{user};[authentication username={user} password={password}]\n");
        }
        let file = folder.join("users.csv");
        fs::write(&file, users).context("cannot write the users")?;
        Ok(file)
    }

    fn describe(&self, deed: Deed, users: &PathBuf, command: &mut Command) {
        let (scenario, rounds, peer) = match deed {
            Deed::Register(rounds) => ("subscriber.xml", Some(rounds), 0),
            Deed::Guess(rounds) => ("stubborn.xml", Some(rounds), 0),
            Deed::Call(peer) => ("caller.xml", None, peer),
            Deed::Answer => ("callee.xml", None, 0),
        };
        let transport = match (self.transport, self.port) {
            (Transport::Udp, Some(_)) => "u1",
            (Transport::Udp, None) => "un",
            (Transport::Tcp, Some(_)) => "t1",
            (Transport::Tcp, None) => "tn",
        };
        let count = self.users.len().to_string();
        let server = if self.address.is_ipv6() { SERVER_V6 } else { SERVER };
        command
            .arg("-sf")
            .arg(fixture(scenario))
            .arg("-inf")
            .arg(users)
            .args(["-i", &self.address.to_string(), "-t", transport, "-max_socket", "2000"])
            .args(["-key", "agent", AGENT, "-key", "expires", &self.expires.to_string()])
            .args(["-key", "peer", &peer.to_string()])
            .args(["-m", &count, "-l", &count, "-r", &count])
            .args(["-rp", &self.within.as_millis().to_string()])
            .args(["-d", &self.pause.as_millis().to_string()])
            .args(["-timeout", &format!("{}s", self.patience.as_secs()), "-timeout_error"])
            .args(["-nostdin", &sip(server).to_string()])
            .env("TERM", "dumb");
        if let Some(port) = self.port {
            command.args(["-p", &port.to_string()]);
        }
        if let Some(rounds) = rounds {
            command.args(["-set", "rounds", &rounds.to_string()]);
        }
    }
}

/// What phones are doing.
#[derive(Debug)]
pub struct Doing {
    process: Process,
    limit: Duration,
    what: String,
}

impl Doing {
    /// Waits until it is done.
    ///
    /// # Errors
    /// Where one of the phones does not succeed.
    pub fn succeeds(self) -> Result<()> {
        let what = self.what.clone();
        let end = self.end()?;
        match end.code() {
            Some(0) => Ok(()),
            _ => bail!("{what} did not succeed:\n{end}"),
        }
    }

    /// Waits for its end, well or not.
    ///
    /// # Errors
    /// Where it does not end.
    pub fn end(self) -> Result<Finished> {
        self.process.finish(self.limit)
    }
}
