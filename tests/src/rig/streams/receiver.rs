//! Reads all streams from the SIP port of the server.

use std::{
    fs,
    io::IoSliceMut,
    net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket},
    os::fd::AsRawFd as _,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow};
use nix::{
    errno::Errno,
    sys::socket::{MsgFlags, MultiHeaders, SockaddrIn, recvmmsg, setsockopt, sockopt::RcvBufForce},
};

use super::{Numbers, numbered};
use crate::rig::{
    lab::{Lab, SERVER, sip},
    traffic::request,
    wait,
};

/// Packets of one system call.
const BATCH: usize = 64;

/// Bytes of a packet that are looked at.
const HEAD: usize = 64;

/// Bytes of the socket's buffer: a second and more of all that arrives, for a
/// machine that is busy with something else.
const ROOM: usize = 400 << 20;

/// How long it sleeps at most before it looks whether to stop.
const NAP: Duration = Duration::from_millis(20);

#[derive(Debug)]
pub(super) struct Receiver {
    socket: Arc<UdpSocket>,
    numbers: Arc<Mutex<Vec<Numbers>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<()>>>,
}

impl Receiver {
    /// Listens to these sources, each of which is one stream.
    pub(super) fn start(lab: &Lab, sources: Vec<IpAddr>) -> Result<Self> {
        let socket = lab.server().enter(|| {
            let socket = UdpSocket::bind(sip(SERVER))?;
            socket.set_read_timeout(Some(NAP))?;
            setsockopt(&socket, RcvBufForce, &ROOM)?;
            Ok(socket)
        })?;
        let socket = Arc::new(socket);
        let numbers = Arc::new(Mutex::new(vec![Numbers::default(); sources.len()]));
        let stop = Arc::new(AtomicBool::new(false));
        let (theirs, kept, stopped) =
            (Arc::clone(&socket), Arc::clone(&numbers), Arc::clone(&stop));
        let thread = thread::spawn(move || receive(&theirs, &sources, &kept, &stopped));
        Ok(Self { socket, numbers, stop, thread: Some(thread) })
    }

    /// Lets the server send a request to somebody, who is known to it then.
    pub(super) fn call(&self, whom: SocketAddr) -> Result<()> {
        self.socket.send_to(&request("OPTIONS", b"server", 0), whom)?;
        Ok(())
    }

    /// What has arrived of a stream so far.
    pub(super) fn numbers(&self, of: usize) -> Numbers {
        lock(&self.numbers).get(of).cloned().unwrap_or_default()
    }

    /// Waits until nothing has come for `quiet`.
    pub(super) fn settle(&self, quiet: Duration, limit: Duration) -> Result<()> {
        let all = || lock(&self.numbers).iter().map(Numbers::arrived).sum::<u64>();
        let (mut before, mut since) = (all(), Instant::now());
        wait::until("the end of what is under way", limit, || {
            let now = all();
            if now != before {
                (before, since) = (now, Instant::now());
            }
            Ok((since.elapsed() >= quiet).then_some(()))
        })
    }

    /// Packets for which a socket of the server's namespace had no room. Those
    /// with a wrong checksum, which count as drops of the socket, are others.
    pub(super) fn overflows(&self, lab: &Lab) -> Result<u64> {
        let table = lab.server().enter(|| fs::read_to_string("/proc/thread-self/net/snmp"))?;
        overflows(&table).with_context(|| format!("no counter in {table}"))
    }

    pub(super) fn stop(mut self) -> Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take().context("stopped already")?;
        thread.join().map_err(|_| anyhow!("the receiver has panicked"))?
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // Only where the test has failed already.
            let _ = thread.join();
        }
    }
}

fn lock(numbers: &Mutex<Vec<Numbers>>) -> MutexGuard<'_, Vec<Numbers>> {
    numbers.lock().unwrap_or_else(PoisonError::into_inner)
}

fn receive(
    socket: &UdpSocket,
    sources: &[IpAddr],
    numbers: &Mutex<Vec<Numbers>>,
    stop: &AtomicBool,
) -> Result<()> {
    let mut headers = MultiHeaders::<SockaddrIn>::preallocate(BATCH, None);
    let mut heads = vec![[0; HEAD]; BATCH];
    while !stop.load(Ordering::Relaxed) {
        let mut slices: Vec<[IoSliceMut<'_>; 1]> =
            heads.iter_mut().map(|head| [IoSliceMut::new(head)]).collect();
        let flags = MsgFlags::MSG_WAITFORONE;
        let packets: Vec<(Option<Ipv4Addr>, usize)> =
            match recvmmsg(socket.as_raw_fd(), &mut headers, slices.iter_mut(), flags, None) {
                Ok(packets) => packets
                    .map(|packet| (packet.address.map(|from| from.ip()), packet.bytes))
                    .collect(),
                Err(Errno::EAGAIN | Errno::EINTR) => continue,
                Err(error) => return Err(error).context("cannot receive"),
            };
        let mut numbers = lock(numbers);
        for (head, (source, bytes)) in heads.iter().zip(packets) {
            let of = sources.iter().position(|one| source.is_some_and(|from| *one == from));
            let number = numbered::number(head.get(..bytes.min(HEAD)).unwrap_or_default());
            if let (Some(numbers), Some(number)) = (of.and_then(|of| numbers.get_mut(of)), number) {
                numbers.note(number);
            }
        }
    }
    Ok(())
}

/// What the kernel's counters of UDP say: a line of names and one of numbers.
fn overflows(counters: &str) -> Option<u64> {
    let mut udp = counters.lines().filter_map(|line| line.strip_prefix("Udp: "));
    let at = udp.next()?.split(' ').position(|name| name == "RcvbufErrors")?;
    udp.next()?.split(' ').nth(at)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::overflows;

    #[test]
    fn overflows_are_those_of_udp() {
        let counters = "Ip: RcvbufErrors\nIp: 1\nUdp: InDatagrams NoPorts RcvbufErrors X\n\
             Udp: 5 6 77 8\nUdpLite: InDatagrams RcvbufErrors\nUdpLite: 0 3\n";
        assert_eq!(overflows(counters), Some(77));
        assert_eq!(overflows(""), None);
    }
}
