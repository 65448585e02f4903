//! Traffic at a high rate in which every packet has a number: who must arrive
//! arrives whole, and who must not does not arrive at all.
//!
//! ```text
//!  a thread for each stream                     one thread
//!  sendmmsg ── far0 ─ wan0 ── sipguard ── UDP ── recvmmsg
//! ```
//!
//! A packet can also be lost where no filter is: on the wire, whose queue holds
//! 256 frames, and in the socket of the receiver. Both are counted by the
//! kernel, so that neither passes for a fault of sipguard, nor hides one.

mod numbered;
mod numbers;
mod receiver;
mod sender;

use std::{
    env, fmt,
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};

pub use self::{numbered::Numbered, numbers::Numbers};
use self::{receiver::Receiver, sender::Sender};
use super::{
    lab::{Lab, STRANGER, STRANGERS, TRUSTED},
    sipguard::Sipguard,
    wait,
};

/// Packets a second of [`Streams::usual`], all streams together.
pub const USUAL_RATE: u32 = 100_000;

/// Another rate, for machines that cannot hold the usual one.
const RATE: &str = "SIPGUARD_TEST_RATE";

/// How long a stream that must arrive may be under way.
const UNDER_WAY: Duration = Duration::from_secs(30);

/// After how long without any more the receiver has read all.
const QUIET: Duration = Duration::from_millis(300);

/// Ranges of lost numbers that are named.
const NAMED: usize = 10;

/// The phone's port.
const PHONE_PORT: u16 = 5062;

/// What must become of the packets of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Must {
    /// All arrive.
    Arrive,
    /// None does.
    End,
    /// That is for the caller to judge.
    Vary,
}

/// A stream to be sent.
#[derive(Clone, Debug)]
pub struct Stream {
    pub name: &'static str,
    /// Port 0 is any.
    pub source: SocketAddr,
    pub per_second: u32,
    /// They take turns.
    pub datagrams: Vec<Numbered>,
    pub must: Must,
}

/// The name of the trusted peer's stream in [`Streams::usual`].
pub const PEER: &str = "trusted peer";
/// That of the scanner's.
pub const SCANNER: &str = "scanner";
/// That of a phone which the server has called, and so is verified.
pub const PHONE: &str = "phone";

/// Streams that are being sent and received.
#[derive(Debug)]
pub struct Streams<'a> {
    lab: &'a Lab,
    receiver: Receiver,
    senders: Vec<(Stream, Sender)>,
    lost_before: u64,
    started: Instant,
}

impl<'a> Streams<'a> {
    /// A trusted peer whose packets look like a scanner's, a scanner, and a
    /// verified phone, at the rate that the environment says, else
    /// [`USUAL_RATE`]. A sipguard that trusts [`TRUSTED`] must protect the
    /// server already.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn usual(lab: &'a Lab) -> Result<Self> {
        Self::usual_at(lab, rate()?)
    }

    /// The same at so many packets a second, whatever the environment says.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn usual_at(lab: &'a Lab, rate: u32) -> Result<Self> {
        Self::start(lab, usual(rate))
    }

    /// Begins to receive, then to send.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn start(lab: &'a Lab, streams: Vec<Stream>) -> Result<Self> {
        let receiver = Receiver::start(lab, streams.iter().map(|one| one.source.ip()).collect())?;
        let lost_before = lab.lost()?;
        let started = Instant::now();
        let mut senders = Vec::with_capacity(streams.len());
        for stream in streams {
            if stream.name == PHONE {
                receiver.call(stream.source)?;
            }
            let sender = Sender::start(lab, &stream)?;
            senders.push((stream, sender));
        }
        Ok(Self { lab, receiver, senders, lost_before, started })
    }

    /// How many packets of a stream were sent so far.
    ///
    /// # Errors
    /// Where there is no such stream.
    pub fn sent(&self, name: &str) -> Result<u64> {
        let found = self.senders.iter().find(|(stream, _)| stream.name == name);
        Ok(found.with_context(|| format!("no stream {name}"))?.1.sent())
    }

    /// What of a stream has arrived so far.
    ///
    /// # Errors
    /// Where there is no such stream.
    pub fn arrived(&self, name: &str) -> Result<Numbers> {
        let of = self.senders.iter().position(|(stream, _)| stream.name == name);
        Ok(self.receiver.numbers(of.with_context(|| format!("no stream {name}"))?))
    }

    /// Waits until so many packets more of a stream were sent.
    ///
    /// # Errors
    /// Where they are not sent in time.
    pub fn more(&self, name: &str, count: u64) -> Result<()> {
        let until = self.sent(name)? + count;
        wait::until("more packets", UNDER_WAY, || Ok((self.sent(name)? >= until).then_some(())))
    }

    /// Waits until so many packets more of each stream were sent.
    ///
    /// # Errors
    /// Where they are not sent in time.
    pub fn more_of_all(&self, count: u64) -> Result<()> {
        let until: Vec<u64> = self.senders.iter().map(|(_, one)| one.sent() + count).collect();
        wait::until("more packets", UNDER_WAY, || {
            let mut all = self.senders.iter().zip(&until);
            Ok(all.all(|((_, one), until)| one.sent() >= *until).then_some(()))
        })
    }

    /// Sends nothing until [`Self::resume`], and waits until all that was sent
    /// is judged.
    ///
    /// # Errors
    /// Where a sender has failed.
    pub fn pause(&self) -> Result<()> {
        for (_, sender) in &self.senders {
            sender.pause()?;
        }
        self.receiver.settle(QUIET, UNDER_WAY)
    }

    /// Goes on after [`Self::pause`].
    pub fn resume(&self) {
        for (_, sender) in &self.senders {
            sender.resume();
        }
    }

    /// Lets the server send a request to the source of a stream, which is
    /// verified then.
    ///
    /// # Errors
    /// Where there is no such stream, or the kernel refuses.
    pub fn call(&self, name: &str) -> Result<()> {
        let found = self.senders.iter().find(|(stream, _)| stream.name == name);
        self.receiver.call(found.with_context(|| format!("no stream {name}"))?.0.source)
    }

    /// The state of affairs. Packets that are under way count as missing; see
    /// [`Self::pause`].
    ///
    /// # Errors
    /// Where the kernel does not tell.
    pub fn outcome(&self) -> Result<Outcome> {
        let streams = self.senders.iter().enumerate().map(|(of, (stream, sender))| Fate {
            name: stream.name,
            must: stream.must,
            sent: sender.sent(),
            numbers: self.receiver.numbers(of),
        });
        Ok(Outcome {
            streams: streams.collect(),
            on_the_wire: self.lab.lost()?.saturating_sub(self.lost_before),
            in_the_socket: self.receiver.overflows(self.lab)?,
            took: self.started.elapsed(),
        })
    }

    /// Stops sending, and waits for what is under way.
    ///
    /// # Errors
    /// Where a sender or the receiver has failed.
    pub fn stop(self) -> Result<Outcome> {
        self.pause()?;
        let outcome = self.outcome()?;
        for (_, sender) in self.senders {
            sender.stop()?;
        }
        self.receiver.stop()?;
        Ok(outcome)
    }
}

/// Packets of each of the large streams without which nothing is shown.
const HARDLY_ANY: u64 = 10_000;

impl Streams<'_> {
    /// Stops [`Self::usual`] streams that this sipguard has judged, or daemons
    /// before it whose counters it has: each has had its fate, and each packet
    /// was counted.
    ///
    /// # Errors
    /// Names the packets of which that is not so.
    pub fn finish(self, sipguard: &Sipguard<'_>) -> Result<Outcome> {
        let (outcome, stats) = (self.stop()?, sipguard.stats()?);
        println!("{outcome}");
        outcome.check()?;
        let (peer, scanner) = (outcome.of(PEER)?.sent, outcome.of(SCANNER)?.sent);
        ensure!(peer >= HARDLY_ANY && scanner >= HARDLY_ANY, "hardly any traffic: {outcome}");
        let [trusted, signature, options] =
            [stats.packets("trusted")?, stats.packets("signature")?, stats.packets("options")?];
        let lost = outcome.on_the_wire;
        ensure!(trusted + lost >= peer, "{trusted} of the peer were counted; {outcome}");
        ensure!(signature + options + lost >= scanner, "not all were counted: {stats}; {outcome}");
        Ok(outcome)
    }
}

/// The rate that the environment says.
fn rate() -> Result<u32> {
    match env::var(RATE) {
        Ok(text) => text.parse().with_context(|| format!("{RATE} is no number: {text}")),
        Err(_) => Ok(USUAL_RATE),
    }
}

/// What a phone that is verified may send, with room to spare.
const PHONE_RATE: u32 = 20;

fn usual(rate: u32) -> Vec<Stream> {
    let half = rate.saturating_sub(PHONE_RATE).max(2) / 2;
    let at = |address: IpAddr, port| SocketAddr::new(address, port);
    vec![
        Stream {
            name: PEER,
            source: at(TRUSTED, 0),
            per_second: half,
            datagrams: vec![
                Numbered::request("OPTIONS", "sipcli/v1.8"),
                Numbered::request("INVITE", "friendly-scanner"),
            ],
            must: Must::Arrive,
        },
        Stream {
            name: SCANNER,
            source: at(STRANGER, 0),
            per_second: half,
            datagrams: vec![
                Numbered::request("OPTIONS", "Telephone/1.6"),
                Numbered::request("INVITE", "friendly-scanner"),
                Numbered::request("REGISTER", "sipcli/v1.8"),
            ],
            must: Must::End,
        },
        Stream {
            name: PHONE,
            source: at(STRANGERS[1], PHONE_PORT),
            per_second: PHONE_RATE,
            datagrams: vec![Numbered::request("OPTIONS", "Telephone/1.6")],
            must: Must::Arrive,
        },
    ]
}

/// What became of a stream.
#[derive(Clone, Debug)]
pub struct Fate {
    pub name: &'static str,
    pub must: Must,
    pub sent: u64,
    pub numbers: Numbers,
}

impl Fate {
    /// How many did not arrive.
    #[must_use]
    pub fn missing(&self) -> u64 {
        self.sent.saturating_sub(self.numbers.arrived())
    }
}

/// What became of all streams.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub streams: Vec<Fate>,
    /// Lost before sipguard.
    pub on_the_wire: u64,
    /// Lost behind it.
    pub in_the_socket: u64,
    pub took: Duration,
}

impl Outcome {
    /// What became of one.
    ///
    /// # Errors
    /// Where there is no such stream.
    pub fn of(&self, name: &str) -> Result<&Fate> {
        let found = self.streams.iter().find(|fate| fate.name == name);
        found.with_context(|| format!("no stream {name}"))
    }

    /// Packets of all streams.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.streams.iter().map(|fate| fate.sent).sum()
    }

    /// The same without packets that may be under way: those behind the last one
    /// that has arrived.
    #[must_use]
    pub fn so_far(mut self) -> Self {
        for fate in &mut self.streams {
            fate.sent = fate.numbers.last();
        }
        self
    }

    /// Each stream has had the fate that it must have.
    ///
    /// # Errors
    /// Names the packets that have not.
    pub fn check(&self) -> Result<()> {
        for fate in &self.streams {
            match fate.must {
                Must::Arrive => ensure!(
                    fate.missing() <= self.on_the_wire + self.in_the_socket,
                    "{} of {} packets of the {} are missing: {:?}; {self}",
                    fate.missing(),
                    fate.sent,
                    fate.name,
                    fate.numbers.missing(fate.sent).take(NAMED).collect::<Vec<_>>()
                ),
                Must::End => ensure!(
                    fate.numbers.arrived() == 0,
                    "{} of {} packets of the {} arrived: {:?}; {self}",
                    fate.numbers.arrived(),
                    fate.sent,
                    fate.name,
                    fate.numbers.first()
                ),
                Must::Vary => {}
            }
            ensure!(fate.numbers.again() == 0, "packets of the {} came twice", fate.name);
        }
        Ok(())
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.took.as_secs_f64();
        write!(f, "{:.1} s, {:.1} kpps", seconds, self.sent() as f64 / seconds / 1e3)?;
        for fate in &self.streams {
            write!(f, ", {}: {} of {} arrived", fate.name, fate.numbers.arrived(), fate.sent)?;
            if fate.numbers.late() > 0 {
                write!(f, " ({} out of order)", fate.numbers.late())?;
            }
        }
        write!(f, ", lost on the wire {}, in the socket {}", self.on_the_wire, self.in_the_socket)
    }
}
