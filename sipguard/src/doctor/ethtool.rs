//! What drivers say through ethtool's system call (linux/ethtool.h). It asks
//! for this network namespace, where /sys may show another.

use std::{collections::BTreeMap, io, os::fd::AsRawFd as _, os::unix::net::UnixDatagram};

use nix::libc;

const GDRVINFO: u32 = 0x03;
const GRINGPARAM: u32 = 0x10;
const GSTRINGS: u32 = 0x1b;
const GRXFH: u32 = 0x29;
const GSSET_INFO: u32 = 0x37;
const GFEATURES: u32 = 0x3a;
const GCHANNELS: u32 = 0x3c;
/// The set of the names of features.
const FEATURES: u32 = 4;
/// Bytes of a name.
const NAME: usize = 32;
const UDP_V4_FLOW: u32 = 2;
/// Both halves of the ports.
const HASH_PORTS: u64 = 1 << 6 | 1 << 7;
/// Words of `struct ethtool_rxnfc` and `ethtool_drvinfo`.
const RXNFC_WORDS: usize = 48;
const DRVINFO_WORDS: usize = 49;

/// What a driver tells; `None` where it does not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ethtool {
    pub(super) driver: Option<String>,
    /// Receive queues, now and at most.
    pub(super) queues: Option<(u32, u32)>,
    /// Whether there are queues for both ways only (`combined`).
    pub(super) combined: bool,
    /// Packets in a receive queue, now and at most.
    pub(super) ring: Option<(u32, u32)>,
    /// Whether UDP packets are spread over the queues by their ports, too.
    pub(super) hashes_ports: Option<bool>,
    pub(super) features: BTreeMap<String, bool>,
}

impl Ethtool {
    pub(super) fn ask(interface: &str) -> Self {
        let Ok(line) = Line::new(interface) else { return Self::default() };
        let channels = line.channels();
        Self {
            driver: line.driver(),
            queues: channels.map(|(now, most, _)| (now, most)),
            combined: channels.is_some_and(|(.., combined)| combined),
            ring: line.ring(),
            hashes_ports: line.hashes_ports(),
            features: line.features().unwrap_or_default(),
        }
    }

    /// Whether an offload is on, by its name in `ethtool -k`'s long form.
    pub(super) fn has(&self, feature: &str) -> bool {
        self.features.get(feature).copied().unwrap_or_default()
    }
}

/// A way to ask about one interface.
struct Line {
    socket: UnixDatagram,
    name: [libc::c_char; libc::IFNAMSIZ],
}

impl Line {
    fn new(interface: &str) -> io::Result<Self> {
        let mut name = [0; libc::IFNAMSIZ];
        if interface.len() >= name.len() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        for (place, byte) in name.iter_mut().zip(interface.bytes()) {
            *place = libc::c_char::from_ne_bytes([byte]);
        }
        // Any socket will do; this one has no address and reaches nobody.
        Ok(Self { socket: UnixDatagram::unbound()?, name })
    }

    /// Asks with what begins with a command, and is filled in.
    fn ask(&self, buffer: &mut [u32]) -> Option<()> {
        // SAFETY: all of it is numbers, for which zero is a value.
        let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
        request.ifr_name = self.name;
        request.ifr_ifru.ifru_data = buffer.as_mut_ptr().cast();
        // SAFETY: `buffer` is as long as the command writes (its callers see to
        // that), and both live until the call returns.
        let answer = unsafe {
            libc::ioctl(self.socket.as_raw_fd(), libc::SIOCETHTOOL as _, &raw mut request)
        };
        (answer >= 0).then_some(())
    }

    fn driver(&self) -> Option<String> {
        let mut info = [0; DRVINFO_WORDS];
        info[0] = GDRVINFO;
        self.ask(&mut info)?;
        let name = text(info.get(1..=NAME / 4)?);
        (!name.is_empty()).then_some(name)
    }

    /// Receive queues now and at most, and whether they are combined.
    fn channels(&self) -> Option<(u32, u32, bool)> {
        let mut all = [0; 9];
        all[0] = GCHANNELS;
        self.ask(&mut all)?;
        let [_, max_rx, _, _, max_combined, rx, _, _, combined] = all;
        Some((rx + combined, max_rx.max(max_combined), max_combined > 0)).filter(|all| all.0 > 0)
    }

    fn ring(&self) -> Option<(u32, u32)> {
        let mut all = [0; 9];
        all[0] = GRINGPARAM;
        self.ask(&mut all)?;
        Some((all[5], all[1])).filter(|(_, most)| *most > 0)
    }

    fn hashes_ports(&self) -> Option<bool> {
        let mut all = [0; RXNFC_WORDS];
        (all[0], all[1]) = (GRXFH, UDP_V4_FLOW);
        self.ask(&mut all)?;
        let fields = u64::from(all[2]) | u64::from(all[3]) << 32;
        Some(fields & HASH_PORTS == HASH_PORTS).filter(|_| fields != 0)
    }

    fn features(&self) -> Option<BTreeMap<String, bool>> {
        let mut set = [GSSET_INFO, 0, 1 << FEATURES, 0, 0];
        self.ask(&mut set)?;
        let count = usize::try_from(set[4]).ok().filter(|count| (1..=1024).contains(count))?;
        let mut names = vec![0; 3 + count * NAME / 4];
        (names[0], names[1], names[2]) = (GSTRINGS, FEATURES, set[4]);
        self.ask(&mut names)?;
        // Of each 32 features: available, requested, active, never changed.
        let blocks = count.div_ceil(32);
        let mut states = vec![0; 2 + 4 * blocks];
        (states[0], states[1]) = (GFEATURES, u32::try_from(blocks).ok()?);
        self.ask(&mut states)?;
        let active = |number: usize| {
            states.get(2 + 4 * (number / 32) + 2).is_some_and(|bits| bits >> (number % 32) & 1 == 1)
        };
        let names = names.get(3..)?.chunks(NAME / 4).enumerate();
        Some(names.map(|(number, name)| (text(name), active(number))).collect())
    }
}

/// Text up to its first NUL.
fn text(words: &[u32]) -> String {
    let bytes: Vec<u8> =
        words.iter().flat_map(|word| word.to_ne_bytes()).take_while(|byte| *byte != 0).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_has_features_and_what_is_missing_tells_nothing() {
        // Loopback names no driver in some kernels, but always its features.
        let lo = Ethtool::ask("lo");
        assert!(lo.has("rx-checksum"), "{lo:?}");
        assert!(!lo.has("no-such-feature"));
        assert_eq!(Ethtool::ask("no-such-if"), Ethtool::default());
        assert_eq!(Ethtool::ask("a-name-that-is-far-too-long"), Ethtool::default());
    }

    #[test]
    fn text_ends_at_its_first_nul() {
        let words = [u32::from_ne_bytes(*b"veth"), u32::from_ne_bytes(*b"\0xyz")];
        assert_eq!(text(&words), "veth");
    }
}
