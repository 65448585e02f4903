//! Datagrams by the hundred thousand, from whoever they say that they come.

use std::{
    io::IoSlice,
    net::SocketAddr,
    os::fd::{AsRawFd as _, OwnedFd},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, bail};
use nix::sys::socket::{
    AddressFamily, MsgFlags, MultiHeaders, SockFlag, SockProtocol, SockType, SockaddrIn, sendmmsg,
    socket,
};

use super::lab::Lab;
use crate::packet::Packet;

/// In a payload, what is replaced by the number of the datagram in hexadecimal:
/// of the same length.
pub const NUMBER: &str = "########";

/// Bytes of Ethernet, which the kernel makes anew.
const ETHERNET: usize = 14;
/// Where an IPv4 header has the source. Its checksum is the kernel's work.
const SOURCE: std::ops::Range<usize> = 12..16;

/// Datagrams that are sent at once.
const BATCH: usize = 64;

/// How long it sends at most, whoever forgets it.
const LIMIT: Duration = Duration::from_secs(60);

/// Sends forged datagrams until it is stopped or dropped.
#[derive(Debug)]
pub struct Forger {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicU32>,
    thread: Option<JoinHandle<Result<()>>>,
}

impl Forger {
    /// Sends a packet over IPv4 again and again, `per_second` times a second or
    /// as often as this machine can, from the sources that `source` gives for
    /// each number, in host byte order.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn start(
        lab: &Lab,
        packet: &Packet,
        to: SocketAddr,
        per_second: u32,
        source: impl Fn(u32) -> u32 + Send + 'static,
    ) -> Result<Self> {
        let SocketAddr::V4(to) = to else { bail!("{to} is not of IPv4") };
        let frame = packet.build();
        let packet = frame.get(ETHERNET..).context("no packet in the frame")?.to_vec();
        let number_at = packet.windows(NUMBER.len()).position(|window| window == NUMBER.as_bytes());
        let raw = lab.outside().enter(|| {
            Ok(socket(
                AddressFamily::Inet,
                SockType::Raw,
                SockFlag::SOCK_CLOEXEC,
                SockProtocol::Raw,
            )?)
        })?;
        let (stop, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
        let (stopped, counted) = (Arc::clone(&stop), Arc::clone(&sent));
        let thread = thread::spawn(move || {
            let template = Template { packet, number_at };
            send(&raw, &template, to.into(), per_second, source, &stopped, &counted)
        });
        Ok(Self { stop, sent, thread: Some(thread) })
    }

    /// How many were sent so far.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed).into()
    }

    /// Stops it; gives how many were sent.
    ///
    /// # Errors
    /// Where one of them could not be sent.
    pub fn stop(mut self) -> Result<u64> {
        self.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take().context("stopped already")?;
        thread.join().map_err(|_| anyhow!("the forger has panicked"))??;
        Ok(self.sent())
    }
}

impl Drop for Forger {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // Only where the test has failed already.
            let _ = thread.join();
        }
    }
}

struct Template {
    packet: Vec<u8>,
    number_at: Option<usize>,
}

impl Template {
    fn write(&self, into: &mut Vec<u8>, number: u32, source: u32) {
        into.clear();
        into.extend_from_slice(&self.packet);
        if let Some(place) = into.get_mut(SOURCE) {
            place.copy_from_slice(&source.to_be_bytes());
        }
        let place = self.number_at.and_then(|at| into.get_mut(at..at + NUMBER.len()));
        for (digit, place) in place.into_iter().flatten().enumerate() {
            let nibble = (number >> (28 - 4 * digit)) as usize & 0xf;
            *place = b"0123456789abcdef"[nibble];
        }
    }
}

fn send(
    raw: &OwnedFd,
    template: &Template,
    to: SockaddrIn,
    per_second: u32,
    source: impl Fn(u32) -> u32,
    stop: &AtomicBool,
    sent: &AtomicU32,
) -> Result<()> {
    let mut headers = MultiHeaders::preallocate(BATCH, None);
    let mut packets = vec![Vec::new(); BATCH];
    let destinations = [Some(to); BATCH];
    let (start, mut number) = (Instant::now(), 0_u32);
    while !stop.load(Ordering::Relaxed) && start.elapsed() < LIMIT {
        let due = (start.elapsed().as_secs_f64() * f64::from(per_second)) as u32;
        // What was late stays unsent: a burst of it would be another flood.
        let batch = (due.saturating_sub(number) as usize).min(BATCH);
        if batch == 0 {
            thread::sleep(Duration::from_micros(200));
            continue;
        }
        for packet in packets.iter_mut().take(batch) {
            template.write(packet, number, source(number));
            number += 1;
        }
        let slices: Vec<[IoSlice<'_>; 1]> =
            packets.iter().take(batch).map(|packet| [IoSlice::new(packet)]).collect();
        sendmmsg(
            raw.as_raw_fd(),
            &mut headers,
            &slices,
            destinations.get(..batch).unwrap_or_default(),
            [],
            MsgFlags::empty(),
        )?;
        sent.store(number, Ordering::Relaxed);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{ETHERNET, NUMBER, Template};
    use crate::packet::Packet;

    #[test]
    fn number_and_source_are_written() {
        let packet = Packet::udp("192.0.2.1:1", "203.0.113.1:5060").payload(NUMBER).build();
        let packet = packet[ETHERNET..].to_vec();
        let template = Template { packet: packet.clone(), number_at: Some(28) };
        let mut written = Vec::new();
        template.write(&mut written, 0x0123_abcd, 0xc633_6407);
        assert_eq!(written[12..16], [198, 51, 100, 7]);
        assert_eq!(&written[28..36], b"0123abcd");
        assert_eq!(written[16..28], packet[16..28]);
    }
}
