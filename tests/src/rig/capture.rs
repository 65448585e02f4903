//! Captures, taken by tcpdump.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result};
use nix::sys::signal::Signal;

use super::{lab::Lab, namespace::Namespace, process::Process, tool::Tool};

/// How long tcpdump may take to start, or to end.
const PATIENCE: Duration = Duration::from_secs(20);

/// A capture that is being taken.
#[derive(Debug)]
pub struct Recording {
    tcpdump: Process,
    file: PathBuf,
}

impl Recording {
    /// Records what an interface (or `any`) of a namespace of the lab sees and
    /// the filter takes, as of now.
    ///
    /// # Errors
    /// Where tcpdump does not start.
    pub fn start(lab: &Lab, place: &Namespace, interface: &str, filter: &str) -> Result<Self> {
        // Its AppArmor profile in Debian allows this ending.
        let file = lab.folder().join(format!("{interface}.pcap"));
        let tcpdump = Process::start(
            place
                .command(Tool::Tcpdump.path()?)?
                // As root, for the folder is root's; each packet at once.
                .args(["-i", interface, "-n", "-s", "0", "-U", "--immediate-mode", "-Z", "root"])
                .arg("-w")
                .arg(&file)
                .arg(filter),
        )?;
        tcpdump
            .stderr()
            .line(PATIENCE, |line| line.contains("listening on"))
            .with_context(|| format!("tcpdump said: {}", tcpdump.stderr().text()))?;
        Ok(Self { tcpdump, file })
    }

    /// Ends it; gives the file.
    ///
    /// # Errors
    /// Where tcpdump does not end well, or has lost packets.
    pub fn stop(self) -> Result<PathBuf> {
        self.tcpdump.signal(Signal::SIGINT)?;
        let end = self.tcpdump.finish(PATIENCE)?.success()?;
        let words = end.words();
        anyhow::ensure!(words.contains("\n0 packets dropped by kernel"), "packets lost:\n{words}");
        Ok(self.file)
    }
}

/// Its first bytes, as a capture that was cut off.
///
/// # Errors
/// Where the files cannot be read or written.
pub fn cut(file: &Path, len: usize) -> Result<PathBuf> {
    let bytes = std::fs::read(file)?;
    let cut = file.with_extension("cut.pcap");
    std::fs::write(&cut, bytes.get(..len).context("it is shorter than that")?)?;
    Ok(cut)
}
