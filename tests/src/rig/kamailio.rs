//! Kamailio in the server's namespace, and how one knows that it has seen all
//! that came before.

use std::{
    net::{IpAddr, SocketAddr, UdpSocket},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};

use super::{
    lab::{Lab, SERVER, SERVER_V6, SIP, sip},
    process::Process,
    tool::{Tool, fixture},
    wait,
};

/// How long it may take to start, or to answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long one marker's answer is waited for before the next marker.
const ANSWER: Duration = Duration::from_millis(200);

/// Kamailio on [`SERVER`] and [`SERVER_V6`].
#[derive(Debug)]
pub struct Kamailio {
    process: Process,
    /// In the server's own namespace, past every filter.
    marker: UdpSocket,
    markers: u32,
}

impl Kamailio {
    /// Starts it with a file of tests/fixtures and definitions for it, at these
    /// transports, and waits until it answers. The file must have one worker
    /// for each socket, answer OPTIONS from its own addresses, and log their
    /// Call-IDs.
    ///
    /// # Errors
    /// Where it does not start.
    pub fn start(
        lab: &Lab,
        config: &str,
        definitions: &[String],
        transports: &[&str],
    ) -> Result<Self> {
        let mut command = lab.server().command(Tool::Unshare.path()?)?;
        command
            // In a PID namespace, so that its workers end with it.
            .args(["--pid", "--fork", "--kill-child=KILL", "--"])
            .arg(Tool::Kamailio.path()?)
            .args(["-DD", "-E", "-f"])
            .arg(fixture(config))
            .arg("-Y")
            .arg(lab.folder());
        for definition in definitions {
            command.args(["-A", definition]);
        }
        for transport in transports {
            for address in [SERVER, SERVER_V6] {
                command.args(["-l", &format!("{transport}:{}", SocketAddr::new(address, SIP))]);
            }
        }
        let process = Process::start(&mut command)?;
        let marker = lab.server().enter(|| {
            let socket = UdpSocket::bind("[::]:0")?;
            socket.set_read_timeout(Some(ANSWER))?;
            Ok(socket)
        })?;
        let mut kamailio = Self { process, marker, markers: 0 };
        kamailio.settle().context("the SIP server does not start")?;
        Ok(kamailio)
    }

    /// All that it has logged, once it has seen everything that had come over
    /// UDP.
    ///
    /// # Errors
    /// Where it does not answer any more.
    pub fn said(&mut self) -> Result<String> {
        self.settle()?;
        Ok(self.process.stderr().text())
    }

    /// Waits until it has seen all that has come so far: its one worker of each
    /// address sees our own request after all others.
    fn settle(&mut self) -> Result<()> {
        for address in [SERVER, SERVER_V6] {
            self.markers += 1;
            let id = format!("marker-{}-end", self.markers);
            let mut answer = [0; 2048];
            wait::until("an answer of the SIP server", PATIENCE, || {
                // Refused while it does not listen yet.
                let _ = self.marker.send_to(own_options(address, &id).as_bytes(), mapped(address));
                let count = self.marker.recv(&mut answer).unwrap_or(0);
                let text = String::from_utf8_lossy(answer.get(..count).unwrap_or_default());
                if let Some(status) = self.process.ended()? {
                    bail!("Kamailio {status}: {}", self.process.stderr().text());
                }
                Ok(text.contains(&id).then_some(()))
            })?;
            self.process.stderr().line(PATIENCE, |line| line.contains(&id))?;
        }
        Ok(())
    }
}

/// Whether a request is the rig's own.
#[must_use]
pub fn is_own(source: IpAddr) -> bool {
    source == SERVER || source == SERVER_V6
}

/// As a socket for both families wants it.
fn mapped(address: IpAddr) -> SocketAddr {
    match address {
        IpAddr::V4(v4) => sip(v4.to_ipv6_mapped().into()),
        IpAddr::V6(_) => sip(address),
    }
}

fn own_options(address: IpAddr, id: &str) -> String {
    let address = sip(address);
    format!(
        "OPTIONS sip:{address} SIP/2.0\r\nVia: SIP/2.0/UDP {address};branch=z9hG4bK{id};rport\r\n\
         From: <sip:rig@{address}>;tag={id}\r\nTo: <sip:{address}>\r\nCall-ID: {id}\r\n\
         CSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
    )
}
