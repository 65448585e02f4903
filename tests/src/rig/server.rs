//! A small real SIP server: Kamailio, and SIPp that answers its calls.

use std::net::IpAddr;

use anyhow::Result;

use super::{
    kamailio::{Kamailio, is_own},
    lab::{Lab, SERVER},
    process::Process,
    tool::Tool,
};

/// Where SIPp answers calls.
const CALLEE_PORT: &str = "5070";

/// A request that reached the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    pub method: String,
    pub source: IpAddr,
}

/// Kamailio that takes any user, and an answering machine.
#[derive(Debug)]
pub struct Server {
    kamailio: Kamailio,
    _callee: Process,
}

impl Server {
    /// Starts it and waits until it answers.
    ///
    /// # Errors
    /// Where it does not start.
    pub fn start(lab: &Lab) -> Result<Self> {
        let kamailio = Kamailio::start(lab, "kamailio.cfg", &[], &["udp"])?;
        let callee = Process::start(
            lab.server()
                .command(Tool::Sipp.path()?)?
                .args(["-sn", "uas", "-nostdin", "-i", &SERVER.to_string(), "-p", CALLEE_PORT])
                .current_dir(lab.folder()),
        )?;
        Ok(Self { kamailio, _callee: callee })
    }

    /// The requests from outside that reached it so far, in order.
    ///
    /// # Errors
    /// Where it does not answer any more.
    pub fn seen(&mut self) -> Result<Vec<Seen>> {
        let said = self.kamailio.said()?;
        Ok(said.lines().filter_map(seen).filter(|seen| !is_own(seen.source)).collect())
    }
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
