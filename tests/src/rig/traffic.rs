//! Datagrams by the hundred, each with a number, and who of them arrives.

use std::{
    collections::BTreeSet,
    io::ErrorKind,
    net::{IpAddr, SocketAddr, UdpSocket},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Result, anyhow};
use nix::sys::socket::{setsockopt, sockopt::RcvBufForce};

use super::{
    lab::{Lab, TRUSTED, sip},
    wait,
};

/// How long a receiver sleeps at most before it looks whether to stop.
const NAP: Duration = Duration::from_millis(20);

/// Bytes of a receiver's buffer: seconds of what tests send, for a machine that
/// is busy with something else.
const ROOM: usize = 16 << 20;

/// As many a second as this machine can send.
pub const FLOOD: u32 = u32::MAX;

/// How long what was sent may be under way, on the slowest machine.
const UNDER_WAY: Duration = Duration::from_secs(30);

/// After how long a marker counts as lost: a wire whose queue is full drops.
const LOST: Duration = Duration::from_secs(1);

/// The number of a listener's own datagrams.
const MARKER: u64 = u64::MAX;

/// A request with a method, a User-Agent and a number.
#[must_use]
pub fn request(method: &str, user_agent: &[u8], number: u64) -> Vec<u8> {
    let head = format!(
        "{method} sip:100@203.0.113.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.77;branch=z9hG4bK{number}\r\n\
         From: <sip:100@203.0.113.1>;tag=t{number}\r\nTo: <sip:100@203.0.113.1>\r\n\
         Call-ID: number-{number}-end\r\nCSeq: 1 {method}\r\nUser-Agent: "
    );
    [head.as_bytes(), user_agent, b"\r\nContent-Length: 0\r\n\r\n"].concat()
}

/// A socket in the outside namespace that sends from `source`.
///
/// # Errors
/// Where the kernel refuses.
pub fn sender(lab: &Lab, source: IpAddr) -> Result<UdpSocket> {
    lab.outside().enter(|| UdpSocket::bind(SocketAddr::new(source, 0)))
}

/// A datagram that has arrived.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    pub source: IpAddr,
    pub number: u64,
    pub at: Instant,
}

/// Listens on the SIP port in the server's namespace, in place of a SIP server.
#[derive(Debug)]
pub struct Listener {
    arrivals: Arc<Mutex<Vec<Arrival>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    /// Sends what every filter lets pass.
    marker: UdpSocket,
    address: IpAddr,
}

impl Listener {
    /// Listens at one IPv4 address. Where there is a filter, it must trust
    /// [`TRUSTED`].
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn new(lab: &Lab, address: IpAddr) -> Result<Self> {
        let socket = lab.server().enter(|| {
            let socket = UdpSocket::bind(sip(address))?;
            socket.set_read_timeout(Some(NAP))?;
            setsockopt(&socket, RcvBufForce, &ROOM)?;
            Ok(socket)
        })?;
        let marker = sender(lab, TRUSTED)?;
        let arrivals = Arc::new(Mutex::new(Vec::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let (kept, stopped) = (Arc::clone(&arrivals), Arc::clone(&stop));
        let thread = thread::spawn(move || listen(&socket, &kept, &stopped));
        Ok(Self { arrivals, stop, thread: Some(thread), marker, address })
    }

    /// What has arrived so far from `source`, without our own markers.
    ///
    /// # Errors
    /// Where the listener does not listen any more.
    pub fn from(&self, source: IpAddr) -> Result<Vec<Arrival>> {
        self.settle()?;
        Ok(self.arrived(|arrival| arrival.source == source && arrival.number != MARKER))
    }

    /// The numbers that have arrived so far from `source`.
    ///
    /// # Errors
    /// Where the listener does not listen any more.
    pub fn numbers(&self, source: IpAddr) -> Result<BTreeSet<u64>> {
        Ok(self.from(source)?.iter().map(|arrival| arrival.number).collect())
    }

    /// Sends one datagram and says whether it arrives.
    ///
    /// # Errors
    /// Where it cannot be sent.
    pub fn receives(&self, from: &UdpSocket, datagram: &[u8]) -> Result<bool> {
        let source = from.local_addr()?.ip();
        let before = self.from(source)?.len();
        from.send_to(datagram, sip(self.address))?;
        Ok(self.from(source)?.len() > before)
    }

    fn arrived(&self, wanted: impl Fn(&Arrival) -> bool) -> Vec<Arrival> {
        let arrivals = self.arrivals.lock().unwrap_or_else(PoisonError::into_inner);
        arrivals.iter().filter(|arrival| wanted(arrival)).copied().collect()
    }

    /// Waits until our own datagram comes in, behind all that came before it:
    /// the wire has one queue.
    fn settle(&self) -> Result<()> {
        let markers = || self.arrived(|arrival| arrival.number == MARKER).len();
        let (before, mut due) = (markers(), Instant::now());
        wait::until("our own datagram", UNDER_WAY, || {
            if Instant::now() >= due {
                due = Instant::now() + LOST;
                self.marker.send_to(&request("OPTIONS", b"marker", MARKER), sip(self.address))?;
            }
            Ok((markers() > before).then_some(()))
        })
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It ends after its nap; if it has panicked, the test knows.
            let _ = thread.join();
        }
    }
}

fn listen(socket: &UdpSocket, arrivals: &Mutex<Vec<Arrival>>, stop: &AtomicBool) {
    let mut buffer = [0; 4096];
    while !stop.load(Ordering::Relaxed) {
        let (count, source) = match socket.recv_from(&mut buffer) {
            Ok(received) => received,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                continue;
            }
            Err(_) => return,
        };
        let number = number(buffer.get(..count).unwrap_or_default()).unwrap_or(0);
        let arrival = Arrival { source: source.ip(), number, at: Instant::now() };
        arrivals.lock().unwrap_or_else(PoisonError::into_inner).push(arrival);
    }
}

/// The number in a [`request`].
fn number(datagram: &[u8]) -> Option<u64> {
    let text = String::from_utf8_lossy(datagram);
    let (_, rest) = text.split_once("Call-ID: number-")?;
    rest.split_once("-end")?.0.parse().ok()
}

/// Sends numbered requests at a steady rate until it is stopped.
#[derive(Debug)]
pub struct Flow {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<u64>>>,
}

impl Flow {
    /// Sends what `datagram` makes of each number, from 1 on, `per_second` times
    /// a second, or somewhat less often.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn start(
        lab: &Lab,
        source: IpAddr,
        destination: IpAddr,
        per_second: u32,
        datagram: impl Fn(u64) -> Vec<u8> + Send + 'static,
    ) -> Result<Self> {
        let socket = sender(lab, source)?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let period = Duration::from_secs(1) / per_second;
        let thread = thread::spawn(move || {
            let mut sent = 0;
            while !stopped.load(Ordering::Relaxed) {
                socket.send_to(&datagram(sent + 1), sip(destination))?;
                sent += 1;
                thread::sleep(period);
            }
            Ok(sent)
        });
        Ok(Self { stop, thread: Some(thread) })
    }

    /// Stops it; returns how many were sent.
    ///
    /// # Errors
    /// Where one of them could not be sent.
    pub fn stop(mut self) -> Result<u64> {
        self.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take().ok_or_else(|| anyhow!("stopped already"))?;
        thread.join().map_err(|_| anyhow!("a sender has panicked"))?
    }
}

impl Drop for Flow {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // Only where the test has failed already.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{number, request};

    #[test]
    fn numbers_come_back() {
        assert_eq!(number(&request("OPTIONS", b"a\x1b\xff", 1234)), Some(1234));
        assert_eq!(number(b"\r\n"), None);
    }
}
