//! TCP connections to the SIP port, as real sockets make them, and segments
//! that no socket has made.

use std::{
    collections::BTreeMap,
    fs,
    io::{ErrorKind, Read as _, Write as _},
    net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream},
    os::fd::AsRawFd as _,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU16, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context as _, Result};
use nix::sys::{
    socket::{
        AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn, SockaddrStorage,
        bind, connect, sendto, setsockopt, socket,
        sockopt::{SendTimeout, TcpNoDelay},
    },
    time::{TimeVal, TimeValLike as _},
};

use super::{lab::Lab, wait};

/// How long threads sleep at most before they look whether to stop.
const NAP: Duration = Duration::from_millis(20);

/// How long anything of TCP on a wire of this machine may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long a connection that is not answered is tried: two SYNs.
const VAIN_TRY_SECONDS: i64 = 2;

/// Each connection has a port of its own, so that what was heard of one is not
/// taken for what was heard of another.
static NEXT_PORT: AtomicU16 = AtomicU16::new(20_000);

/// Bytes of Ethernet before the IP header.
const ETHERNET: usize = 14;

/// From linux/tcp.h's states, as /proc/net/tcp has them.
const LISTEN: &str = "0A";
const TIME_WAIT: &str = "06";

/// How a connection ended, as the server's socket heard it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The other side has said that it is done.
    Closed,
    /// ECONNRESET.
    Reset,
}

/// What the server's socket heard of one connection.
#[derive(Clone, Debug, Default)]
pub struct Heard {
    pub bytes: Vec<u8>,
    /// `None` while it is open.
    pub end: Option<End>,
}

type Connections = Arc<Mutex<BTreeMap<SocketAddr, Heard>>>;

/// Accepts connections in the server's namespace, in place of a SIP server,
/// reads what comes and says nothing.
#[derive(Debug)]
pub struct Server {
    connections: Connections,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    address: SocketAddr,
}

impl Server {
    /// Listens.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn start(lab: &Lab, address: SocketAddr) -> Result<Self> {
        let listener = lab.server().enter(|| TcpListener::bind(address))?;
        listener.set_nonblocking(true)?;
        let (connections, stop) = (Connections::default(), Arc::new(AtomicBool::new(false)));
        let (kept, stopped) = (Arc::clone(&connections), Arc::clone(&stop));
        let thread = thread::spawn(move || accept(&listener, &kept, &stopped));
        Ok(Self { connections, stop, thread: Some(thread), address })
    }

    /// Waits until something holds of what was heard from a client.
    ///
    /// # Errors
    /// Where it does not come to hold.
    pub fn wait(
        &self,
        client: SocketAddr,
        what: &str,
        holds: impl Fn(&Heard) -> bool,
    ) -> Result<Heard> {
        wait::until(&format!("{what} of {client}"), PATIENCE, || {
            Ok(self.heard(client).filter(|heard| holds(heard)))
        })
        .with_context(|| format!("heard: {:?}", self.heard(client)))
    }

    /// Waits until this many bytes of a client were heard, or it has ended.
    ///
    /// # Errors
    /// Where it does not come to that: the connection stalls.
    pub fn wait_for_bytes(&self, client: SocketAddr, count: usize) -> Result<Heard> {
        let what = format!("{count} bytes or the end");
        self.wait(client, &what, |heard| heard.bytes.len() >= count || heard.end.is_some())
    }

    /// What was heard so far, if the connection was ever there.
    #[must_use]
    pub fn heard(&self, client: SocketAddr) -> Option<Heard> {
        lock(&self.connections).get(&client).cloned()
    }

    /// The states of the sockets that the kernel keeps of connections with this
    /// client, as in /proc/net/tcp; without those that only wait for the end of
    /// a connection that both sides have closed.
    ///
    /// # Errors
    /// Where the kernel does not tell.
    pub fn sockets(&self, lab: &Lab, client: SocketAddr) -> Result<Vec<String>> {
        let table = lab.server().enter(|| fs::read_to_string("/proc/thread-self/net/tcp"))?;
        let (here, there) = (in_table(self.address), in_table(client));
        let state = |line: &str| {
            let mut words = line.split_whitespace().skip(1);
            let (local, remote, state) = (words.next()?, words.next()?, words.next()?);
            let is_it = Some(local) == here.as_deref() && Some(remote) == there.as_deref();
            (is_it && state != LISTEN && state != TIME_WAIT).then(|| state.to_owned())
        };
        Ok(table.lines().skip(1).filter_map(state).collect())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It ends after its nap; if it has panicked, the test knows.
            let _ = thread.join();
        }
    }
}

fn lock(connections: &Connections) -> MutexGuard<'_, BTreeMap<SocketAddr, Heard>> {
    connections.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One thread for all: connections of tests are few.
fn accept(listener: &TcpListener, connections: &Connections, stop: &AtomicBool) {
    let mut open: Vec<(TcpStream, SocketAddr)> = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let mut is_idle = true;
        while let Ok((stream, client)) = listener.accept() {
            if stream.set_nonblocking(true).is_ok() {
                lock(connections).insert(client, Heard::default());
                open.push((stream, client));
                is_idle = false;
            }
        }
        open.retain_mut(|(stream, client)| {
            let (mut buffer, mut end) = ([0; 4096], None);
            let count = match stream.read(&mut buffer) {
                Ok(0) => {
                    end = Some(End::Closed);
                    0
                }
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return true,
                Err(_) => {
                    end = Some(End::Reset);
                    0
                }
            };
            is_idle = false;
            if let Some(heard) = lock(connections).get_mut(client) {
                heard.bytes.extend(buffer.iter().take(count));
                heard.end = end;
            }
            end.is_none()
        });
        if is_idle {
            thread::sleep(Duration::from_millis(1).min(NAP));
        }
    }
}

/// An address and port as /proc/net/tcp has them: the address as a number in
/// the machine's byte order.
fn in_table(address: SocketAddr) -> Option<String> {
    let IpAddr::V4(ip) = address.ip() else { return None };
    Some(format!("{:08X}:{:04X}", u32::from_ne_bytes(ip.octets()), address.port()))
}

/// A client's side of a connection.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    address: SocketAddr,
}

impl Client {
    /// Connects from `source`; gives `None` where nobody answers.
    ///
    /// # Errors
    /// Where the kernel refuses, or the server does.
    pub fn try_connect(lab: &Lab, source: IpAddr, to: SocketAddr) -> Result<Option<Self>> {
        let connected = lab.outside().enter(|| {
            let family = if source.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
            let socket = socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
            setsockopt(&socket, TcpNoDelay, &true)?;
            setsockopt(&socket, SendTimeout, &TimeVal::seconds(VAIN_TRY_SECONDS))?;
            let port = NEXT_PORT.fetch_add(1, Ordering::Relaxed);
            bind(socket.as_raw_fd(), &SockaddrStorage::from(SocketAddr::new(source, port)))?;
            connect(socket.as_raw_fd(), &SockaddrStorage::from(to))?;
            Ok(TcpStream::from(socket))
        });
        let stream = match connected {
            Ok(stream) => stream,
            Err(error) if is_vain(&error) => return Ok(None),
            Err(error) => return Err(error.context(format!("{source} cannot connect to {to}"))),
        };
        let address = stream.local_addr()?;
        Ok(Some(Self { stream, address }))
    }

    /// Connects from `source`.
    ///
    /// # Errors
    /// As [`Self::try_connect`], and where nobody answers.
    pub fn connect(lab: &Lab, source: IpAddr, to: SocketAddr) -> Result<Self> {
        Self::try_connect(lab, source, to)?
            .with_context(|| format!("{source} gets no connection to {to}"))
    }

    /// Where it comes from.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sends bytes, as a segment of their own where the last ones have arrived.
    ///
    /// # Errors
    /// Where the connection has ended.
    pub fn send(&mut self, bytes: &[u8]) -> Result<()> {
        Ok(self.stream.write_all(bytes)?)
    }

    /// Says that it is done.
    ///
    /// # Errors
    /// Where the connection has ended.
    pub fn close(self) -> Result<()> {
        Ok(self.stream.shutdown(Shutdown::Both)?)
    }
}

fn is_vain(error: &anyhow::Error) -> bool {
    let kind = error.downcast_ref::<std::io::Error>().map(std::io::Error::raw_os_error);
    matches!(
        kind.flatten(),
        Some(nix::libc::EINPROGRESS | nix::libc::EAGAIN | nix::libc::ETIMEDOUT)
    )
}

/// Sends a frame over IPv4 from the outside namespace, without its Ethernet
/// header, whoever it says that it comes from.
///
/// # Errors
/// Where the kernel refuses.
pub fn forge(lab: &Lab, frame: &[u8], to: SocketAddr) -> Result<()> {
    let packet = frame.get(ETHERNET..).context("no packet in the frame")?;
    let SocketAddr::V4(to) = to else { anyhow::bail!("{to} is not of IPv4") };
    lab.outside().enter(|| {
        let raw =
            socket(AddressFamily::Inet, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::Raw)?;
        sendto(raw.as_raw_fd(), packet, &SockaddrIn::from(to), MsgFlags::empty())?;
        Ok(())
    })
}
