//! A small real SIP server: Kamailio, and SIPp that answers its calls.

use std::{
    net::{IpAddr, SocketAddr, UdpSocket},
    time::Duration,
};

use anyhow::{Context as _, Result};

use super::{
    lab::{Lab, SERVER, SERVER_V6, SIP, sip},
    process::Process,
    tool::{Tool, fixture},
    wait,
};

/// How long Kamailio may take to start, or to answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long one marker's answer is waited for before the next marker.
const ANSWER: Duration = Duration::from_millis(200);

/// Where SIPp answers calls.
const CALLEE_PORT: &str = "5070";

/// A request that reached the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    pub method: String,
    pub source: IpAddr,
}

/// Kamailio on [`SERVER`] and [`SERVER_V6`].
#[derive(Debug)]
pub struct Server {
    kamailio: Process,
    _callee: Process,
    /// In the server's own namespace, past every filter.
    marker: UdpSocket,
    markers: u32,
}

impl Server {
    /// Starts it and waits until it answers.
    ///
    /// # Errors
    /// Where it does not start.
    pub fn start(lab: &Lab) -> Result<Self> {
        let kamailio = Process::start(
            // In a PID namespace, so that its workers end with it.
            lab.server()
                .command(Tool::Unshare.path()?)?
                .args(["--pid", "--fork", "--kill-child=KILL", "--"])
                .arg(Tool::Kamailio.path()?)
                .args(["-DD", "-E", "-f"])
                .arg(fixture("kamailio.cfg"))
                .arg("-Y")
                .arg(lab.folder())
                .args(["-l", &listen(SERVER), "-l", &listen(SERVER_V6)]),
        )?;
        let callee = Process::start(
            lab.server()
                .command(Tool::Sipp.path()?)?
                .args(["-sn", "uas", "-nostdin", "-i", &SERVER.to_string(), "-p", CALLEE_PORT])
                .current_dir(lab.folder()),
        )?;
        let marker = lab.server().enter(|| {
            let socket = UdpSocket::bind("[::]:0")?;
            socket.set_read_timeout(Some(ANSWER))?;
            Ok(socket)
        })?;
        let mut server = Self { kamailio, _callee: callee, marker, markers: 0 };
        server.settle().context("the SIP server does not start")?;
        Ok(server)
    }

    /// The requests from outside that reached it so far, in order.
    ///
    /// # Errors
    /// Where it does not answer any more.
    pub fn seen(&mut self) -> Result<Vec<Seen>> {
        self.settle()?;
        let said = self.kamailio.stderr().text();
        Ok(said.lines().filter_map(seen).filter(|seen| !is_own(seen.source)).collect())
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
                if let Some(status) = self.kamailio.ended()? {
                    anyhow::bail!("Kamailio {status}: {}", self.kamailio.stderr().text());
                }
                Ok(text.contains(&id).then_some(()))
            })?;
            self.kamailio.stderr().line(PATIENCE, |line| line.contains(&id))?;
        }
        Ok(())
    }
}

fn listen(address: IpAddr) -> String {
    format!("udp:{}", SocketAddr::new(address, SIP))
}

/// As a socket for both families wants it.
fn mapped(address: IpAddr) -> SocketAddr {
    match address {
        IpAddr::V4(v4) => sip(v4.to_ipv6_mapped().into()),
        IpAddr::V6(_) => sip(address),
    }
}

fn is_own(source: IpAddr) -> bool {
    source == SERVER || source == SERVER_V6
}

fn own_options(address: IpAddr, id: &str) -> String {
    let address = sip(address);
    format!(
        "OPTIONS sip:{address} SIP/2.0\r\nVia: SIP/2.0/UDP {address};branch=z9hG4bK{id};rport\r\n\
         From: <sip:rig@{address}>;tag={id}\r\nTo: <sip:{address}>\r\nCall-ID: {id}\r\n\
         CSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
    )
}

/// Reads a line of fixtures/kamailio.cfg.
fn seen(line: &str) -> Option<Seen> {
    let (_, rest) = line.split_once(": SEEN ")?;
    let mut words = rest.split(' ');
    let method = words.next()?.to_owned();
    let source = words.next()?.trim_matches(['[', ']']).parse().ok()?;
    Some(Seen { method, source })
}

#[cfg(test)]
mod tests {
    use super::{Seen, seen};

    #[test]
    fn lines_of_kamailio() {
        let expected = Seen { method: "OPTIONS".into(), source: [198, 51, 100, 7].into() };
        let line = " 1(2) ALERT: <script>: SEEN OPTIONS 198.51.100.7 58464 some id";
        assert_eq!(seen(line), Some(expected));
        assert_eq!(seen("Listening on udp: 203.0.113.1"), None);
    }
}
