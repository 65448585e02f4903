//! Sends one stream at a steady rate, many packets with one system call.

use std::{
    io::IoSlice,
    net::UdpSocket,
    os::fd::AsRawFd as _,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, ensure};
use nix::{
    errno::Errno,
    sys::socket::{MsgFlags, MultiHeaders, SockaddrIn, sendmmsg},
};

use super::{Numbered, Stream};
use crate::rig::{
    lab::{Lab, SERVER, sip},
    wait,
};

/// Packets of one system call: far fewer than the wire's queue has room for.
const BATCH: usize = 32;

/// How long it sleeps where nothing is due.
const NAP: Duration = Duration::from_micros(300);

/// How much it makes up for at most, after it was kept from sending.
const DEBT: Duration = Duration::from_millis(20);

/// How long it may take to pause.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) struct Sender {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<Result<()>>>,
}

#[derive(Debug, Default)]
struct Shared {
    sent: AtomicU64,
    stop: AtomicBool,
    pause: AtomicBool,
    idle: AtomicBool,
}

impl Sender {
    pub(super) fn start(lab: &Lab, stream: &Stream) -> Result<Self> {
        let source = stream.source;
        let socket = lab.outside().enter(|| {
            let socket = UdpSocket::bind(source)?;
            socket.connect(sip(SERVER))?;
            Ok(socket)
        })?;
        ensure!(!stream.datagrams.is_empty(), "nothing to send");
        let (rate, datagrams) = (f64::from(stream.per_second), stream.datagrams.clone());
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        let thread = thread::spawn(move || {
            let sent = send(&socket, rate, &datagrams, &theirs);
            theirs.idle.store(true, Ordering::Release);
            sent
        });
        Ok(Self { shared, thread: Some(thread) })
    }

    pub(super) fn sent(&self) -> u64 {
        self.shared.sent.load(Ordering::Acquire)
    }

    /// Waits until it sends nothing.
    pub(super) fn pause(&self) -> Result<()> {
        self.shared.pause.store(true, Ordering::Release);
        wait::until("a sender that pauses", PATIENCE, || {
            Ok(self.shared.idle.load(Ordering::Acquire).then_some(()))
        })
    }

    pub(super) fn resume(&self) {
        self.shared.idle.store(false, Ordering::Release);
        self.shared.pause.store(false, Ordering::Release);
    }

    pub(super) fn stop(mut self) -> Result<()> {
        self.shared.stop.store(true, Ordering::Release);
        let thread = self.thread.take().context("stopped already")?;
        thread.join().map_err(|_| anyhow!("a sender has panicked"))?
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            // Only where the test has failed already.
            let _ = thread.join();
        }
    }
}

fn send(socket: &UdpSocket, rate: f64, datagrams: &[Numbered], shared: &Shared) -> Result<()> {
    let mut headers = MultiHeaders::preallocate(BATCH, None);
    let mut sent = 0_u64;
    let (mut origin, mut before) = (Instant::now(), 0_u64);
    while !shared.stop.load(Ordering::Acquire) {
        if shared.pause.load(Ordering::Acquire) {
            shared.idle.store(true, Ordering::Release);
            thread::sleep(NAP);
            (origin, before) = (Instant::now(), sent);
            continue;
        }
        let due = (before + (origin.elapsed().as_secs_f64() * rate) as u64).saturating_sub(sent);
        if due as f64 > rate * DEBT.as_secs_f64() + BATCH as f64 {
            (origin, before) = (Instant::now() - DEBT, sent);
            continue;
        }
        if due == 0 {
            thread::sleep(NAP);
            continue;
        }
        let numbers = sent + 1..=sent + due.min(BATCH as u64);
        sent += batch(socket, &mut headers, numbers.map(|number| of(datagrams, number)))?;
        shared.sent.store(sent, Ordering::Release);
    }
    Ok(())
}

fn of(datagrams: &[Numbered], number: u64) -> Vec<u8> {
    datagrams[number as usize % datagrams.len()].with(number)
}

/// How many of them went out, in their order.
fn batch(
    socket: &UdpSocket,
    headers: &mut MultiHeaders<SockaddrIn>,
    datagrams: impl Iterator<Item = Vec<u8>>,
) -> Result<u64> {
    let datagrams: Vec<Vec<u8>> = datagrams.collect();
    let slices: Vec<[IoSlice<'_>; 1]> =
        datagrams.iter().map(|bytes| [IoSlice::new(bytes)]).collect();
    let connected = vec![None; slices.len()];
    let flags = MsgFlags::empty();
    match sendmmsg(socket.as_raw_fd(), headers, &slices, connected, [], flags) {
        Ok(sent) => Ok(sent.count() as u64),
        // Nobody listened for a moment, or nothing has room: the same again.
        Err(Errno::ECONNREFUSED | Errno::ENOBUFS | Errno::EINTR) => {
            thread::sleep(NAP);
            Ok(0)
        }
        Err(error) => Err(error).context("cannot send"),
    }
}
