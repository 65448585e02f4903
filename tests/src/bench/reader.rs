//! The application: reads what comes to the SIP port, and answers nothing.

use std::{
    io::ErrorKind,
    net::{IpAddr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use anyhow::{Result, anyhow};
use nix::{
    sys::socket::{setsockopt, sockopt::RcvBufForce},
    unistd::Pid,
};

use super::{
    machine::{self, RECEIVER},
    stand::Stand,
    traffic::PEER,
};
use crate::rig::lab::{SERVER, sip};

/// How long it sleeps at most before it looks whether to stop.
const NAP: Duration = Duration::from_millis(20);
/// Bytes of its buffer.
const ROOM: usize = 4 << 20;

/// A socket that is read on [`RECEIVER`].
#[derive(Debug)]
pub struct Reader {
    counts: Arc<Counts>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<()>>>,
}

#[derive(Debug, Default)]
struct Counts {
    all: AtomicU64,
    trusted: AtomicU64,
}

/// Datagrams that were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Read {
    pub all: u64,
    /// Of the trusted peer among them.
    pub trusted: u64,
}

impl Reader {
    /// Listens at the server's address.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn start(stand: &Stand) -> Result<Self> {
        let socket = stand.lab().server().enter(|| {
            let socket = UdpSocket::bind(sip(SERVER))?;
            socket.set_read_timeout(Some(NAP))?;
            setsockopt(&socket, RcvBufForce, &ROOM)?;
            Ok(socket)
        })?;
        let (counts, stop) = (Arc::new(Counts::default()), Arc::new(AtomicBool::new(false)));
        let (counted, stopped) = (Arc::clone(&counts), Arc::clone(&stop));
        let thread = stand.lab().server().spawn(move || {
            machine::pin(Pid::from_raw(0), RECEIVER)?;
            read(&socket, &counted, &stopped)
        })?;
        Ok(Self { counts, stop, thread: Some(thread) })
    }

    /// Stops it.
    ///
    /// # Errors
    /// Where it could not read.
    pub fn stop(mut self) -> Result<Read> {
        self.end()?;
        Ok(Read {
            all: self.counts.all.load(Ordering::Relaxed),
            trusted: self.counts.trusted.load(Ordering::Relaxed),
        })
    }

    fn end(&mut self) -> Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        let Some(thread) = self.thread.take() else { return Ok(()) };
        thread.join().map_err(|_| anyhow!("the reader has panicked"))?
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        // Only where something else has failed already.
        let _ = self.end();
    }
}

/// Reads until it is stopped and nothing is left.
fn read(socket: &UdpSocket, counts: &Counts, stop: &AtomicBool) -> Result<()> {
    let mut buffer = [0; 2048];
    loop {
        match socket.recv_from(&mut buffer) {
            Ok((_, source)) => {
                counts.all.fetch_add(1, Ordering::Relaxed);
                if source.ip() == IpAddr::V4(PEER) {
                    counts.trusted.fetch_add(1, Ordering::Relaxed);
                }
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                if stop.load(Ordering::Relaxed) {
                    return Ok(());
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
}
