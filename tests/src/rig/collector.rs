//! A collector of mirrored packets: sngrep, which listens for HEP and writes
//! what it has taken out of it to a capture.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use anyhow::Result;
use nix::sys::signal::Signal;

use super::{lab::Lab, process::Process, tool::Tool, wait};

/// How long sngrep may take to start, or to end.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running collector in the outside namespace.
#[derive(Debug)]
pub struct Collector {
    sngrep: Process,
    file: PathBuf,
}

impl Collector {
    /// Listens at an address. Where there is a `password`, it takes nothing
    /// that comes without it.
    ///
    /// # Errors
    /// Where sngrep does not listen in time.
    pub fn start(lab: &Lab, address: SocketAddr, password: Option<&str>) -> Result<Self> {
        let file = lab.folder().join("collected.pcap");
        let config = lab.folder().join("sngreprc");
        let password = password.map(|password| format!("set eep.listen.pass {password}\n"));
        std::fs::write(&config, password.unwrap_or_default())?;
        let mut command = lab.outside().command(Tool::Sngrep.path()?)?;
        command.args(["-F", "-f"]).arg(&config).args(["-N", "-q", "-O"]).arg(&file);
        command.arg("-L").arg(format!("udp:{address}"));
        let sngrep = Process::start(&mut command)?;
        let taken = || lab.outside().enter(|| std::net::UdpSocket::bind(address)).is_err();
        wait::until("a collector", PATIENCE, || Ok(taken().then_some(())))?;
        Ok(Self { sngrep, file })
    }

    /// Ends it; gives the capture of what it has taken.
    ///
    /// # Errors
    /// Where it does not end.
    pub fn stop(self) -> Result<PathBuf> {
        self.sngrep.signal(Signal::SIGTERM)?;
        self.sngrep.finish(PATIENCE)?;
        Ok(self.file)
    }
}
