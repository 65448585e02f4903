//! What the tests need from the machine, and where it is.

use std::{
    env,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use nix::unistd::geteuid;

/// A program that tests run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tool {
    Baresip,
    Chromedriver,
    Chromium,
    /// CrowdSec itself; its command line lies beside it.
    Crowdsec,
    Curl,
    Ethtool,
    /// The server; its client lies beside it.
    Fail2ban,
    /// A library that gives a program a wall clock of its own.
    Faketime,
    Ip,
    Ipset,
    /// Restores a whole iptables rule set at once.
    Iptables,
    /// The one that needs no nftables.
    IptablesLegacy,
    Kamailio,
    Nft,
    Prometheus,
    /// Checks what is meant for Prometheus.
    Promtool,
    Setpriv,
    Sipp,
    Sipsak,
    /// The Python that has sipvicious.
    Sipvicious,
    Sipguard,
    Sngrep,
    /// Traffic control.
    Tc,
    Tcpdump,
    Tshark,
    Unshare,
    XdpFilter,
    /// The XDP programs of the benchmarks.
    BenchObject,
}

impl Tool {
    /// Where it is, if it is there.
    #[must_use]
    pub fn find(self) -> Option<PathBuf> {
        let path = match self {
            Self::Baresip => return on_path("baresip"),
            Self::Chromedriver => return on_path("chromedriver"),
            Self::Chromium => return on_path("chromium"),
            Self::Curl => return on_path("curl"),
            Self::Ethtool => return on_path("ethtool"),
            Self::Fail2ban => return on_path("fail2ban-server"),
            Self::Ipset => return on_path("ipset"),
            Self::IptablesLegacy => return on_path("iptables-legacy"),
            Self::Iptables => return on_path("iptables-legacy-restore"),
            Self::Nft => return on_path("nft"),
            Self::XdpFilter => return on_path("xdp-filter"),
            Self::Prometheus => return on_path("prometheus"),
            Self::Promtool => return on_path("promtool"),
            Self::Ip => return on_path("ip"),
            Self::Kamailio => return on_path("kamailio"),
            Self::Setpriv => return on_path("setpriv"),
            Self::Sipp => return on_path("sipp"),
            Self::Sipsak => return on_path("sipsak"),
            Self::Sngrep => return on_path("sngrep"),
            Self::Tc => return on_path("tc"),
            Self::Tcpdump => return on_path("tcpdump"),
            Self::Tshark => return on_path("tshark"),
            Self::Unshare => return on_path("unshare"),
            Self::Faketime => {
                let place = format!("/usr/lib/{}-linux-gnu/faketime", env::consts::ARCH);
                Path::new(&place).join("libfaketime.so.1")
            }
            Self::Sipvicious => tools().join("sipvicious/bin/python"),
            Self::Crowdsec => tools().join("crowdsec/usr/bin/crowdsec"),
            Self::BenchObject => env::var_os("SIPGUARD_BENCH_OBJECT")
                .map_or_else(|| root().join("target/bpf/bench.o"), PathBuf::from),
            Self::Sipguard => env::var_os("SIPGUARD_BIN")
                .map_or_else(|| root().join("target/release/sipguard"), PathBuf::from),
        };
        path.is_file().then_some(path)
    }

    /// Where it is.
    ///
    /// # Errors
    /// Where it is not there.
    pub fn path(self) -> Result<PathBuf> {
        self.find().with_context(|| format!("{self:?} is missing: {}", self.remedy()))
    }

    fn remedy(self) -> &'static str {
        match self {
            Self::Sipguard => "run `cargo xtask build`",
            _ => "run `cargo xtask test`, which installs what it needs",
        }
    }
}

/// Whether a test that needs root and these tools can run here. Where it
/// cannot, says so in the line by which it then counts as skipped.
#[must_use]
pub fn can_run(tools: &[Tool]) -> bool {
    let reason = match tools.iter().find(|tool| tool.find().is_none()) {
        _ if !geteuid().is_root() => "needs root".to_owned(),
        Some(missing) => format!("{missing:?} is missing: {}", missing.remedy()),
        None => return true,
    };
    eprintln!("SKIPPED: {reason}");
    false
}

/// Where the project's own tools are.
fn tools() -> PathBuf {
    env::var_os("SIPGUARD_TOOLS").map_or_else(|| root().join("target/tools"), PathBuf::from)
}

/// The work tree.
#[must_use]
pub fn root() -> PathBuf {
    env::var_os("SIPGUARD_ROOT")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join(".."), PathBuf::from)
}

/// A file of tests/fixtures.
#[must_use]
pub fn fixture(name: &str) -> PathBuf {
    root().join("tests/fixtures").join(name)
}

/// Also in the system's folders, which a user's PATH may lack.
fn on_path(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(["/usr/sbin", "/usr/bin", "/sbin", "/bin"].map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|candidate| candidate.is_file())
}
