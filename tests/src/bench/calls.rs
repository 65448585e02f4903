//! Calls of a trusted trunk through a real SIP server, idle and under a flood.

use std::{
    io::ErrorKind,
    net::{SocketAddr, UdpSocket},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, anyhow, bail};
use nix::unistd::Pid;

use super::{
    filter::{Active, Filter, track_connections},
    generator::{Generator, Pace},
    machine::{self, RECEIVER, SENDER},
    numbers::percentile,
    stand::Stand,
    traffic::{Mix, PHONE},
};
use crate::{
    rig::{
        lab::{SERVER, TRUSTED, sip},
        server::Server,
    },
    sip::{Message, sdp},
};

/// Packets a second of the flood.
pub const FLOOD: u32 = 300_000;
/// The caller's port: the same for all calls, which are one connection then.
const PORT: u16 = 5062;
/// From one call to the next.
const PERIOD: Duration = Duration::from_millis(20);
/// How long an answer is waited for before the request is sent again (T1 of
/// RFC 3261).
const RETRANSMISSION: Duration = Duration::from_millis(500);
/// How often a request is sent.
const TRIES: u32 = 7;
/// How long a flood goes on before it is measured.
const SETTLE: Duration = Duration::from_millis(200);

/// How calls were set up.
#[derive(Clone, Debug)]
pub struct Calls {
    /// Milliseconds from INVITE to 200, of each call.
    pub set_up_ms: Vec<f64>,
    /// Datagrams that a socket of the server could not take.
    pub socket_full: u64,
    /// Entries of the server's connection tracking at the end.
    pub tracked: u64,
    /// Packets of the flood.
    pub flood: u64,
    /// How long the calls took together.
    pub seconds: f64,
}

impl Calls {
    /// 99 of 100 calls were set up within so many milliseconds.
    #[must_use]
    pub fn p99(&self) -> Option<f64> {
        percentile(&self.set_up_ms, 0.99)
    }

    /// Half of the calls were.
    #[must_use]
    pub fn p50(&self) -> Option<f64> {
        percentile(&self.set_up_ms, 0.5)
    }
}

/// So many calls without and with a flood of scanners, behind sipguard.
///
/// # Errors
/// Where something cannot be measured, or a call fails.
pub fn idle_and_flooded(calls: u32) -> Result<(Calls, Calls)> {
    let stand = Stand::new()?;
    stand.moderate()?;
    track_connections(&stand)?;
    let active = Active::set_up(Filter::Sipguard, &stand)?;
    // Its children inherit the CPU.
    machine::pin(Pid::from_raw(0), RECEIVER)?;
    let server = Server::start(active.stand.lab());
    machine::unpin(Pid::from_raw(0))?;
    let _server = server?;
    Ok((call(&stand, calls, None)?, call(&stand, calls, Some(FLOOD))?))
}

fn call(stand: &Stand, calls: u32, flood: Option<u32>) -> Result<Calls> {
    let generator = match flood {
        Some(rate) => Some(Generator::start(stand, Mix::Scanners, Pace::Yielding(rate))?),
        None => None,
    };
    thread::sleep(SETTLE);
    let before = stand.snapshot()?;
    let set_up_ms = set_up_times(stand, calls)?;
    let after = stand.snapshot()?;
    let tracked = stand.tracked()?;
    let flood = generator.map_or(Ok(0), Generator::stop)?;
    Ok(Calls {
        set_up_ms,
        socket_full: after.socket_full - before.socket_full,
        tracked,
        flood,
        seconds: (after.at - before.at).as_secs_f64(),
    })
}

/// Calls one after the other from the trunk's address; gives the milliseconds
/// from INVITE to 200 of each.
///
/// A caller of our own, for SIPp's clock counts whole milliseconds.
fn set_up_times(stand: &Stand, calls: u32) -> Result<Vec<f64>> {
    let caller = stand.lab().outside().spawn(move || {
        machine::pin(Pid::from_raw(0), SENDER)?;
        machine::prefer(Pid::from_raw(0))?;
        let socket = UdpSocket::bind((TRUSTED, PORT))?;
        socket.connect(sip(SERVER))?;
        socket.set_read_timeout(Some(RETRANSMISSION))?;
        let mut times = Vec::new();
        for number in 0..calls {
            let started = Instant::now();
            let call = Call { local: socket.local_addr()?, number };
            let answer = ask(&socket, &call, "INVITE", "")?;
            times.push(started.elapsed().as_secs_f64() * 1e3);
            let tag = tag(&answer);
            socket.send(&call.request("ACK", &tag))?;
            ask(&socket, &call, "BYE", &tag)?;
            thread::sleep(PERIOD.saturating_sub(started.elapsed()));
        }
        Ok(times)
    })?;
    caller.join().map_err(|_| anyhow!("the caller has panicked"))?
}

/// One call.
struct Call {
    local: SocketAddr,
    number: u32,
}

impl Call {
    /// A request of it; `tag` is the callee's parameter of To.
    fn request(&self, method: &str, tag: &str) -> Vec<u8> {
        let Self { local, number } = self;
        let sequence = if method == "BYE" { 2 } else { 1 };
        let request = Message::bare(format!("{method} sip:100@{SERVER} SIP/2.0"))
            .header("Via", &format!("SIP/2.0/UDP {local};branch=z9hG4bK-{number}-{method};rport"))
            .header("Max-Forwards", "70")
            .header("From", &format!("<sip:trunk@{local}>;tag=t{number}"))
            .header("To", &format!("<sip:100@{SERVER}>{tag}"))
            .header("Call-ID", &format!("{}@{local}", self.id()))
            .header("CSeq", &format!("{sequence} {method}"))
            .header("Contact", &format!("<sip:trunk@{local}>"))
            .agent(PHONE);
        match method {
            "INVITE" => request.body("application/sdp", sdp()).build(),
            _ => request.build(),
        }
    }

    fn id(&self) -> String {
        format!("call-{}-end", self.number)
    }
}

/// Sends a request until its 200 comes; gives the 200.
fn ask(socket: &UdpSocket, call: &Call, method: &str, tag: &str) -> Result<String> {
    let request = call.request(method, tag);
    let mut buffer = [0; 4096];
    for _ in 0..TRIES {
        socket.send(&request)?;
        let sent = Instant::now();
        while sent.elapsed() < RETRANSMISSION {
            let count = match socket.recv(&mut buffer) {
                Ok(count) => count,
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) =>
                {
                    break;
                }
                Err(error) => return Err(error.into()),
            };
            let answer = String::from_utf8_lossy(buffer.get(..count).unwrap_or_default());
            if is_ok(&answer, call, method) {
                return Ok(answer.into_owned());
            }
        }
    }
    bail!("{method} of call {} was not answered", call.number)
}

/// Whether this is the 200 to that request, not to an earlier one.
fn is_ok(answer: &str, call: &Call, method: &str) -> bool {
    let cseq = answer.lines().find(|line| line.starts_with("CSeq:")).unwrap_or_default();
    answer.starts_with("SIP/2.0 200 ") && answer.contains(&call.id()) && cseq.ends_with(method)
}

/// The callee's parameter of To, as requests after the first repeat it.
fn tag(answer: &str) -> String {
    let to = answer.lines().find(|line| line.starts_with("To:")).unwrap_or_default();
    to.split_once(";tag=").map_or(String::new(), |(_, tag)| format!(";tag={tag}"))
}

#[cfg(test)]
mod tests {
    use super::{Call, is_ok, tag};

    #[test]
    fn answers_belong_to_their_request() {
        let call = Call { local: "192.0.2.10:5062".parse().expect("an address"), number: 7 };
        let answer = "SIP/2.0 200 OK\r\nTo: <sip:100@203.0.113.1>;tag=9x\r\n\
                      Call-ID: call-7-end@192.0.2.10:5062\r\nCSeq: 1 INVITE\r\n\r\n";
        assert!(is_ok(answer, &call, "INVITE"));
        assert!(!is_ok(answer, &call, "BYE"));
        assert!(!is_ok(answer, &Call { number: 8, ..call }, "INVITE"));
        assert!(!is_ok(
            &answer.replace("200 OK", "100 Trying"),
            &Call { number: 7, ..call },
            "INVITE"
        ));
        assert_eq!(tag(answer), ";tag=9x");
        assert_eq!(tag("To: <sip:x>\r\n"), "");
    }
}
