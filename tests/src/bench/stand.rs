//! A wire whose receiving end can be measured.

use std::{
    collections::BTreeSet,
    fs, io,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use nix::{
    mount::{MsFlags, mount},
    net::if_::if_nametoindex,
    sched::{CloneFlags, unshare},
    unistd::Pid,
};

use super::machine::{self, RECEIVER};
use crate::rig::{
    lab::{Lab, WAN},
    namespace::Namespace,
    process,
    tool::Tool,
    wait,
};

/// The other end of the wire.
pub const FAR: &str = "far0";

/// Time limit of a tool, and of the kernel.
const PATIENCE: Duration = Duration::from_secs(10);

/// As a network card waits before it tells of a packet, in nanoseconds. A veth
/// has no such wait by itself, and wakes its thread for nearly every packet at
/// medium rates.
const MODERATION_NS: u32 = 50_000;

/// A lab whose server receives on a thread of its own, on [`RECEIVER`].
#[derive(Debug)]
pub struct Stand {
    lab: Lab,
    napi: Pid,
    far: u32,
    mac: [u8; 6],
}

/// Counters at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Snapshot {
    pub at: Instant,
    /// Frames that the server's interface has received, dropped ones too.
    pub received: u64,
    /// Run time of the NAPI thread.
    pub napi_ns: u64,
    /// Datagrams that a socket could not take.
    pub socket_full: u64,
}

impl Stand {
    /// Makes namespaces and wire.
    ///
    /// # Errors
    /// Where the kernel or a tool refuses.
    pub fn new() -> Result<Self> {
        let lab = Lab::new()?;
        // NAPI also without an XDP program, for filters that are none.
        for (namespace, interface) in [(lab.outside(), FAR), (lab.server(), WAN)] {
            let mut ethtool = namespace.command(Tool::Ethtool.path()?)?;
            process::run(ethtool.args(["-K", interface, "gro", "on"]), PATIENCE)?.success()?;
        }
        let before = napi_threads()?;
        set(lab.server(), "threaded", "1")?;
        let napi = wait::until("the NAPI thread", PATIENCE, || {
            Ok(napi_threads()?.difference(&before).copied().next())
        })?;
        let napi = Pid::from_raw(napi);
        machine::pin(napi, RECEIVER).context("cannot bind the NAPI thread to a CPU")?;
        machine::prefer(napi).context("cannot prefer the NAPI thread")?;
        let far = lab.outside().enter(|| Ok(if_nametoindex(FAR)?))?;
        let mac = mac(lab.server())?;
        Ok(Self { lab, napi, far, mac })
    }

    /// The namespaces.
    #[must_use]
    pub fn lab(&self) -> &Lab {
        &self.lab
    }

    /// The index of the interface that frames are sent out of.
    #[must_use]
    pub fn far(&self) -> u32 {
        self.far
    }

    /// The Ethernet address of the server.
    #[must_use]
    pub fn mac(&self) -> [u8; 6] {
        self.mac
    }

    /// Lets the server's interface wait a little before it tells of a packet,
    /// as a network card does.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn moderate(&self) -> Result<()> {
        set(self.lab.server(), "napi_defer_hard_irqs", "1")?;
        set(self.lab.server(), "gro_flush_timeout", &MODERATION_NS.to_string())
    }

    /// The counters now.
    ///
    /// # Errors
    /// Where the kernel does not tell.
    pub fn snapshot(&self) -> Result<Snapshot> {
        let (links, udp) = self.lab.server().enter(|| {
            Ok((
                fs::read_to_string("/proc/thread-self/net/dev")?,
                fs::read_to_string("/proc/thread-self/net/snmp")?,
            ))
        })?;
        Ok(Snapshot {
            napi_ns: machine::run_time(self.napi)?,
            at: Instant::now(),
            received: received(&links, WAN).with_context(|| format!("no {WAN} in {links}"))?,
            socket_full: udp_counter(&udp, "RcvbufErrors").context("no RcvbufErrors")?,
        })
    }

    /// Entries of the server's connection tracking.
    ///
    /// # Errors
    /// Where the kernel tells no number.
    pub fn tracked(&self) -> Result<u64> {
        let text = self
            .lab
            .server()
            .enter(|| fs::read_to_string("/proc/sys/net/netfilter/nf_conntrack_count"))?;
        text.trim().parse().context("entries of connection tracking")
    }
}

/// What happened between two snapshots.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    pub seconds: f64,
    pub received: u64,
    pub napi_ns: u64,
}

impl Span {
    /// From one to the other.
    #[must_use]
    pub fn between(from: &Snapshot, to: &Snapshot) -> Self {
        Self {
            seconds: (to.at - from.at).as_secs_f64(),
            received: to.received - from.received,
            napi_ns: to.napi_ns - from.napi_ns,
        }
    }

    /// Run time of the NAPI thread for each packet.
    ///
    /// # Errors
    /// Where there was none.
    pub fn cost(&self) -> Result<f64> {
        ensure!(self.received > 0, "no packet has arrived");
        Ok(self.napi_ns as f64 / self.received as f64)
    }

    /// How much of its CPU the NAPI thread has had.
    #[must_use]
    pub fn busy(&self) -> f64 {
        self.napi_ns as f64 / 1e9 / self.seconds
    }

    /// Millions of packets a second.
    #[must_use]
    pub fn mpps(&self) -> f64 {
        self.received as f64 / self.seconds / 1e6
    }
}

/// Writes a setting of the server's interface. /sys shows the interfaces of the
/// namespace in which it was mounted, so a thread of its own mounts one.
fn set(namespace: &Namespace, name: &str, value: &str) -> Result<()> {
    let setting = Path::new("/sys/class/net").join(WAN).join(name);
    namespace
        .enter(|| {
            unshare(CloneFlags::CLONE_NEWNS)?;
            let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
            mount(None::<&str>, "/", None::<&str>, private, None::<&str>)?;
            mount(Some("sysfs"), "/sys", Some("sysfs"), MsFlags::empty(), None::<&str>)?;
            fs::write(&setting, value)
        })
        .with_context(|| format!("cannot write {}", setting.display()))
}

fn mac(namespace: &Namespace) -> Result<[u8; 6]> {
    let mut ip = namespace.command(Tool::Ip.path()?)?;
    let answer = process::run(ip.args(["-json", "link", "show", "dev", WAN]), PATIENCE)?;
    let links: serde_json::Value = serde_json::from_slice(&answer.success()?.stdout)?;
    let text = links[0]["address"].as_str().context("no address")?;
    let bytes: Vec<u8> = text
        .split(':')
        .map(|byte| u8::from_str_radix(byte, 16))
        .collect::<Result<_, _>>()
        .with_context(|| format!("the Ethernet address {text}"))?;
    bytes.try_into().ok().with_context(|| format!("the Ethernet address {text}"))
}

/// The kernel's threads for interfaces of the server's name, in all namespaces.
fn napi_threads() -> Result<BTreeSet<i32>> {
    let prefix = format!("napi/{WAN}-");
    let mut found = BTreeSet::new();
    for process in fs::read_dir("/proc")? {
        let process = process?;
        let Some(id) = process.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        match fs::read_to_string(process.path().join("comm")) {
            Ok(name) if name.starts_with(&prefix) => {
                found.insert(id);
            }
            // It may have ended meanwhile.
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) if error.raw_os_error() == Some(nix::libc::ESRCH) => {}
            Err(error) => return Err(error).context("the names of processes"),
        }
    }
    Ok(found)
}

/// Packets received, in the words of /proc/net/dev.
fn received(links: &str, interface: &str) -> Option<u64> {
    let line = links.lines().find_map(|line| line.trim().strip_prefix(interface));
    line?.strip_prefix(':')?.split_whitespace().nth(1)?.parse().ok()
}

/// A counter of UDP, in the words of /proc/net/snmp: a line of names, and one of
/// numbers.
fn udp_counter(text: &str, name: &str) -> Option<u64> {
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("Udp: "));
    let place = lines.next()?.split(' ').position(|word| word == name)?;
    lines.next()?.split(' ').nth(place)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{received, udp_counter};

    #[test]
    fn counters_of_the_kernel() {
        let links = "Inter-| Receive\n face |bytes packets\n    lo: 1 2 3\n  wan0: 100 7 0 0 0\n";
        assert_eq!(received(links, "wan0"), Some(7));
        assert_eq!(received(links, "wan"), None);
        let snmp = "Ip: A\nIp: 1\nUdp: InDatagrams NoPorts RcvbufErrors\nUdp: 5 6 7\nUdpLite: X\n";
        assert_eq!(udp_counter(snmp, "RcvbufErrors"), Some(7));
        assert_eq!(udp_counter(snmp, "Other"), None);
    }
}
