//! The mirror: messages that were dropped go to a collector, and nobody waits
//! for it.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use tokio::{
    net::{UdpSocket, lookup_host},
    sync::{mpsc, watch},
    time::{Instant, sleep_until, timeout},
};

use super::Taps;
use crate::{
    capture::{Frame, to_wall_ns},
    daemon::{Place, Shared},
    hep::{self, Sender},
    policy::{Collector, MirrorSettings, Password, Ports},
};

/// How long the name of a collector may take to be looked up.
const LOOK_UP: Duration = Duration::from_secs(10);

/// After how long a name is looked up again.
const AGAIN: Duration = Duration::from_secs(300);

/// After how long a collector that cannot be sent to is tried again.
const RETRY: Duration = Duration::from_secs(30);

/// What the mirror has to know of the policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::daemon) struct Wanted {
    pub(in crate::daemon) settings: MirrorSettings,
    /// The protected ports.
    pub(in crate::daemon) ports: Ports,
}

/// Sends what comes for the mirror, for as long as the daemon runs.
pub(in crate::daemon) async fn mirror(shared: Shared) {
    let taps = shared.taps().clone();
    let mut packets = taps.mirrored();
    let mut wanted = shared.daemon().await.open_mirror();
    loop {
        let now = wanted.borrow_and_update().clone();
        let Some(collector) = &now.settings.collector else {
            taps.note(|mirroring| mirroring.problem = None);
            if wanted.changed().await.is_err() {
                return;
            }
            continue;
        };
        // What came when there was no collector, or another.
        while packets.try_recv().is_ok() {}
        let way = Way { taps: &taps, place: shared.place(), wanted: &now, collector };
        if run(&way, &mut packets, &mut wanted).await.is_err() {
            return;
        }
    }
}

/// From here to a collector.
struct Way<'a> {
    taps: &'a Taps,
    place: &'a Place,
    wanted: &'a Wanted,
    collector: &'a Collector,
}

/// Sends to one collector until another one is wanted.
async fn run(
    way: &Way<'_>,
    packets: &mut mpsc::Receiver<Arc<Frame>>,
    wanted: &mut watch::Receiver<Wanted>,
) -> Result<(), watch::error::RecvError> {
    let (mut socket, mut due) = way.open().await;
    loop {
        tokio::select! {
            changed = wanted.changed() => return changed,
            () = sleep_until(due) => (socket, due) = way.open().await,
            Some(frame) = packets.recv() => way.send(socket.as_ref(), &frame),
        }
    }
}

impl Way<'_> {
    /// A socket that sends to the collector, and when to look for it again.
    async fn open(&self) -> (Option<UdpSocket>, Instant) {
        let opened = self.connect().await;
        let after = if opened.is_ok() { AGAIN } else { RETRY };
        let problem = opened.as_ref().err().cloned();
        self.taps.note(|mirroring| mirroring.problem = problem);
        (opened.ok(), Instant::now() + after)
    }

    async fn connect(&self) -> Result<UdpSocket, String> {
        let address = self.look_up().await?;
        self.check(address)?;
        let any: IpAddr = match address {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let words = |error: io::Error| format!("cannot send to {address}: {error}");
        let socket = UdpSocket::bind((any, 0)).await.map_err(words)?;
        socket.connect(address).await.map_err(words)?;
        Ok(socket)
    }

    async fn look_up(&self) -> Result<SocketAddr, String> {
        let Collector { host, port } = self.collector;
        let found = timeout(LOOK_UP, lookup_host((host.as_str(), *port))).await;
        match found.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
            Err(error) => Err(format!("cannot look up {host}: {error}")),
            Ok(mut addresses) => addresses.next().ok_or_else(|| format!("{host} has no address")),
        }
    }

    /// Whether what is sent there would come back as SIP.
    fn check(&self, address: SocketAddr) -> Result<(), String> {
        if !self.wanted.ports.iter().any(|port| port == address.port()) {
            return Ok(());
        }
        let ip = address.ip().to_canonical();
        let is_here = match self.place.host() {
            Ok(host) => ip.is_loopback() || host.addresses.contains(&ip),
            Err(error) => return Err(format!("cannot read this host's addresses: {error}")),
        };
        match is_here {
            true => Err(format!("{address} is this host at a protected port")),
            false => Ok(()),
        }
    }

    fn send(&self, socket: Option<&UdpSocket>, frame: &Frame) {
        let sender = Sender {
            id: self.wanted.settings.id,
            password: self.wanted.settings.password.as_ref().map(Password::reveal),
        };
        let wall_ns = i128::from(frame.time_ns) + to_wall_ns();
        let since_1970 = Duration::from_nanos(u64::try_from(wall_ns).unwrap_or_default());
        let datagram = hep::sip(&frame.bytes).and_then(|sip| hep::encode(&sip, since_1970, sender));
        let Some(datagram) = datagram else {
            self.taps.note(|mirroring| mirroring.not_sip += 1);
            return;
        };
        let sent = match socket {
            // Why there is none is noted already.
            None => return self.taps.note(|mirroring| mirroring.failed += 1),
            Some(socket) => socket.try_send(&datagram),
        };
        self.taps.note(|mirroring| match sent {
            Ok(_) => {
                mirroring.sent += 1;
                mirroring.problem = None;
            }
            Err(error) => {
                mirroring.failed += 1;
                mirroring.problem = Some(format!("cannot send to {}: {error}", self.collector));
            }
        });
    }
}
