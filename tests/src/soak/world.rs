//! The lab of a soak, and what happens in it.

use std::{
    fs,
    io::Write as _,
    net::{SocketAddr, TcpStream},
    os::unix::net::UnixStream,
    path::PathBuf,
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use sipguard::api::{
    client::{Client, ClientError, EventsQuery, LogQuery},
    wire::{Entry, PostureWish},
};

use super::{deeds::Deed, desk::Desk, frames::Frames};
use crate::{
    packet::Packet,
    random::Random,
    rig::{
        bpffs::Bpffs,
        forger::Forger,
        lab::{Lab, SERVER, STRANGERS, TRUSTED, WAN, sip},
        mount::Mount,
        policy::Policy,
        process::Process,
        sipguard::{Sipguard, command_of_kept},
        streams::{Outcome, PHONE, Streams},
        wait,
    },
};

/// Where the dashboard is, in the server's namespace.
const WEB: &str = "127.0.0.1:9061";

const ARGUMENTS: &[&str] = &["--iface", WAN, "--web", WEB];

/// Entries that the operator has at most, and the room of their addresses.
const ENTRIES: usize = 200;

/// Mutated packets at once.
const FRAMES: usize = 300;

/// Packets a second of a flood, and how long it lasts.
const FLOOD: u32 = 10_000;
const FLOODED: Duration = Duration::from_millis(500);

/// Signals at once.
const HANG_UPS: usize = 50;

/// Callers that hang at once at most.
const HUNG: usize = 40;

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// The filter is alone so long, or up to three times.
const ALONE: Duration = Duration::from_millis(300);

/// How long the interface is down.
const DOWN: Duration = Duration::from_millis(200);

pub(super) struct World<'a> {
    lab: &'a Lab,
    disk: &'a Mount,
    bpffs: &'a Bpffs,
    policy: Policy,
    daemon: Option<Sipguard<'a>>,
    streams: Streams<'a>,
    desk: Desk,
    frames: Frames,
    random: Random,
    hung: Vec<UnixStream>,
    captures: Vec<Process>,
    is_full: bool,
    /// Bytes that daemons before this one have logged.
    logged: usize,
}

impl<'a> World<'a> {
    pub(super) fn new(
        lab: &'a Lab,
        disk: &'a Mount,
        bpffs: &'a Bpffs,
        rate: u32,
        random: Random,
    ) -> Result<Self> {
        let policy = Policy::usual()?;
        let daemon = Sipguard::start_kept(lab, bpffs, &policy, ARGUMENTS)?;
        Ok(Self {
            desk: Desk::open(lab)?,
            frames: Frames::new(lab)?,
            streams: Streams::usual_at(lab, rate)?,
            daemon: Some(daemon),
            hung: Vec::new(),
            captures: Vec::new(),
            is_full: false,
            logged: 0,
            lab,
            disk,
            bpffs,
            policy,
            random,
        })
    }

    pub(super) fn daemon(&self) -> Result<&Sipguard<'a>> {
        self.daemon.as_ref().context("there is no daemon")
    }

    pub(super) fn streams(&self) -> &Streams<'a> {
        &self.streams
    }

    pub(super) fn client(&self) -> Result<Client> {
        let daemon = self.daemon.as_ref().context("there is no daemon")?;
        Ok(Client::new(daemon.socket().to_owned()))
    }

    /// Bytes that were logged so far.
    pub(super) fn logged(&self) -> usize {
        self.logged + self.daemon.as_ref().map_or(0, |daemon| daemon.output().len())
    }

    /// Bytes in the state directory.
    pub(super) fn kept(&self) -> Result<u64> {
        let mut sum = 0;
        for file in fs::read_dir(self.disk.path())? {
            let file = file?;
            // A file may be gone by now; what fills the disk is ours.
            if file.file_name() != Mount::BALLAST
                && let Ok(data) = file.metadata()
            {
                sum += data.len();
            }
        }
        Ok(sum)
    }

    /// A page of the control API as text.
    pub(super) fn page(&self, path: &str) -> Result<String> {
        let socket = self.daemon()?.socket().to_owned();
        let mut stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        ask(&mut stream, path)
    }

    pub(super) fn do_it(&mut self, deed: Deed) -> Result<()> {
        match deed {
            Deed::Block => self.block(),
            Deed::Unblock => self.unblock(),
            Deed::Allow => self.allow(),
            Deed::Disallow => self.disallow(),
            Deed::Reload => self.reload(),
            Deed::BrokenReload => self.broken_reload(),
            Deed::Posture => self.posture(),
            Deed::Capture => self.capture(),
            Deed::Stats => Ok(self.client()?.stats().map(drop)?),
            Deed::Why => Ok(self.client()?.why(*self.random.pick(&STRANGERS)).map(drop)?),
            Deed::Lists => Ok(self.client()?.lists(None).map(drop)?),
            Deed::Log => {
                let query = LogQuery { ip: None, since: None, kind: None, limit: 100 };
                Ok(self.client()?.log(&query).map(drop)?)
            }
            Deed::Report => Ok(self.client()?.report("1h".parse()?).map(drop)?),
            Deed::Events => {
                let query = EventsQuery { follow: false, ..EventsQuery::default() };
                self.client()?.events::<ClientError>(&query, |_| Ok(()))?;
                Ok(())
            }
            Deed::Dashboard => self.dashboard(),
            Deed::Frames => {
                let spared = [TRUSTED, STRANGERS[0], STRANGERS[1], SERVER];
                self.frames.send(&mut self.random, &spared, FRAMES);
                Ok(())
            }
            Deed::Flood => self.flood(),
            Deed::Guesses => self.guesses(),
            Deed::Kill => self.again(true),
            Deed::Restart => self.again(false),
            Deed::HangUps => {
                let pid = self.daemon()?.pid();
                (0..HANG_UPS).try_for_each(|_| Ok(kill(pid, Signal::SIGHUP)?))
            }
            Deed::FullDisk => {
                self.disk.fill()?;
                self.is_full = true;
                Ok(())
            }
            Deed::EmptyDisk => self.empty_disk(),
            Deed::Hang => self.hang(),
            Deed::LinkDown => self.link_down(),
        }
    }

    fn entry(&mut self) -> Entry {
        let number = self.random.below(ENTRIES);
        let length = *self.random.pick(&[24, 28, 32]);
        let ttl = self.random.once_in(2).then(|| "5s".parse().ok()).flatten();
        Entry { target: format!("10.7.{number}.0/{length}"), ttl, reason: None }
    }

    fn block(&mut self) -> Result<()> {
        if self.random.once_in(5) {
            // What must not be blocked is refused, or loses against trust.
            let entry = Entry { target: TRUSTED.to_string(), ..self.entry() };
            return refused(self.client()?.block(&entry));
        }
        let entry = self.entry();
        refused(self.client()?.block(&entry))
    }

    fn unblock(&mut self) -> Result<()> {
        let entry = self.entry();
        refused(self.client()?.unblock(&entry.target))
    }

    fn allow(&mut self) -> Result<()> {
        let mut entry = self.entry();
        entry.target = entry.target.replacen("10.7.", "10.8.", 1);
        refused(self.client()?.allow(&entry))
    }

    fn disallow(&mut self) -> Result<()> {
        let entry = self.entry();
        let target = entry.target.replacen("10.7.", "10.8.", 1);
        refused(self.client()?.disallow(&target))
    }

    fn reload(&mut self) -> Result<()> {
        let policy = self.policy.variant(self.random.below(1_000));
        policy.write(self.daemon()?.folder())?;
        Ok(self.client()?.reload().map(drop)?)
    }

    fn broken_reload(&mut self) -> Result<()> {
        let (name, text) = *self.random.pick(&[
            ("blacklist.toml", "[[block]]\naddres = \"10.0.0.1\"\n"),
            ("trusted.toml", "[[peer]\n"),
            ("sipguard.toml", "[policy]\nposture = \"asleep\"\n"),
            ("signatures.toml", "\u{0}"),
        ]);
        self.daemon()?.folder().put(name, text)?;
        match self.client()?.reload() {
            Err(ClientError::Failed { .. }) => {}
            other => bail!("a broken {name} was taken: {other:?}"),
        }
        // A signal that is on its way takes it again.
        self.policy.write(self.daemon()?.folder())
    }

    fn posture(&mut self) -> Result<()> {
        let posture = *self.random.pick(&["guarded", "attack", "closed", "file"]);
        Ok(self.client()?.set_posture(&PostureWish { posture: posture.to_owned() }).map(drop)?)
    }

    /// One at a time is allowed, and nobody waits for it.
    fn capture(&mut self) -> Result<()> {
        self.captures.retain_mut(|capture| matches!(capture.ended(), Ok(None)));
        let file: PathBuf = self.lab.folder().join("capture.pcapng");
        let daemon = self.daemon.as_ref().context("there is no daemon")?;
        let file = file.to_string_lossy().into_owned();
        let wish = ["capture", "-w", &file, "--force", "--duration", "5s", "--max-size", "1M"];
        self.captures.push(daemon.start_command(&wish)?);
        Ok(())
    }

    /// It listens a moment after the protection is on.
    fn dashboard(&mut self) -> Result<()> {
        let path = *self.random.pick(&["/", "/metrics", "/v1/stats", "/v1/nothing", "/../etc"]);
        let mut stream = wait::until("the dashboard", PATIENCE, || {
            match self.lab.server().enter(|| TcpStream::connect(WEB)) {
                Ok(stream) => Ok(Some(stream)),
                Err(error) if is_refused(&error) => Ok(None),
                Err(error) => Err(error),
            }
        })?;
        stream.set_read_timeout(Some(PATIENCE))?;
        ask(&mut stream, path).map(drop)
    }

    fn flood(&mut self) -> Result<()> {
        let payload = "REGISTER sip:203.0.113.1 SIP/2.0\r\nVia: SIP/2.0/UDP 11.0.0.1;branch=z9hG4bK\r\n\
             From: <sip:1@a>;tag=1\r\nTo: <sip:1@a>\r\nCall-ID: ########\r\nCSeq: 1 REGISTER\r\n\r\n";
        let packet =
            Packet::udp("11.0.0.1:5062", "203.0.113.1:5060").no_checksum().payload(payload);
        let seed = self.random.next() as u32;
        let source = move |number: u32| crate::crowd::spoofed(number.wrapping_add(seed));
        let forger = Forger::start(self.lab, &packet, sip(SERVER), FLOOD, source)?;
        thread::sleep(FLOODED);
        forger.stop().map(drop)
    }

    fn guesses(&mut self) -> Result<()> {
        let port = 6_000 + self.random.below(1_000) as u16;
        self.desk.ask(self.lab, SocketAddr::new(STRANGERS[2], port), false, 10)?;
        self.desk.ask(self.lab, SocketAddr::new(STRANGERS[3], port), true, 1)
    }

    /// Ends the daemon, and starts another one after a while; the filter goes on
    /// alone.
    fn again(&mut self, killed: bool) -> Result<()> {
        self.logged = self.logged();
        self.hung.clear();
        self.captures.clear();
        let daemon = self.daemon.take().context("there is no daemon")?;
        match killed {
            true => drop(daemon.kill()?),
            false => drop(daemon.stop()?.success()?),
        }
        thread::sleep(ALONE * self.random.below(4) as u32);
        self.daemon = Some(Sipguard::start_kept(self.lab, self.bpffs, &self.policy, ARGUMENTS)?);
        Ok(())
    }

    fn empty_disk(&mut self) -> Result<()> {
        if self.is_full {
            self.disk.empty()?;
            self.is_full = false;
        }
        Ok(())
    }

    /// Half a request, and one whose answer nobody reads.
    fn hang(&mut self) -> Result<()> {
        let socket = self.daemon()?.socket().to_owned();
        for text in ["GET /v1/st", "GET /v1/pulse?follow=true&last=300 HTTP/1.1\r\nHost: a\r\n\r\n"]
        {
            let mut stream = UnixStream::connect(&socket)?;
            stream.write_all(text.as_bytes())?;
            self.hung.push(stream);
        }
        let gone = self.hung.len().saturating_sub(HUNG);
        self.hung.drain(..gone);
        Ok(())
    }

    fn link_down(&mut self) -> Result<()> {
        self.streams.pause()?;
        self.lab.ip_server(&["link", "set", "dev", WAN, "down"])?;
        thread::sleep(DOWN);
        self.lab.ip_server(&["link", "set", "dev", WAN, "up"])?;
        self.lab.ip_server(&["route", "replace", "default", "via", "203.0.113.126"])?;
        wait::until("the interface", PATIENCE, || {
            self.streams.call(PHONE)?;
            Ok(self.lab.is_up()?.then_some(()))
        })?;
        self.streams.resume();
        Ok(())
    }

    /// Stops everything; what became of the streams, and whether they have had
    /// their fate.
    pub(super) fn end(mut self) -> Result<(Outcome, Result<()>)> {
        self.captures.clear();
        let outcome = self.streams.stop()?;
        let unharmed = outcome.check();
        ensure!(self.desk.asked() > 0, "no registration has come");
        if let Some(daemon) = self.daemon.take() {
            daemon.stop()?.success()?;
        }
        command_of_kept(self.lab, self.bpffs, &["detach"])?.success()?;
        ensure!(self.lab.xdp_program(WAN)?.is_none(), "a program is still attached");
        ensure!(self.bpffs.pinned()?.is_empty(), "still pinned: {:?}", self.bpffs.pinned()?);
        Ok((outcome, unharmed))
    }
}

/// What was refused with words is no fault.
fn refused<T>(answer: Result<T, ClientError>) -> Result<()> {
    match answer {
        Ok(_) | Err(ClientError::Failed { forbidden: false, .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn is_refused(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<std::io::Error>()
        .is_some_and(|error| error.kind() == std::io::ErrorKind::ConnectionRefused)
}

/// Asks for a page; gives all that is said.
fn ask(stream: &mut (impl std::io::Read + std::io::Write), path: &str) -> Result<String> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {WEB}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    ensure!(answer.starts_with("HTTP/1.1 "), "{path} says {answer}");
    Ok(answer)
}
