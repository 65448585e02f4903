//! The filters that are compared, and how each is set up.

use std::{fmt::Write as _, fs, net::Ipv4Addr, path::Path, time::Duration};

use anyhow::{Context as _, Result, ensure};

use super::{
    policy,
    programs::{Programs, Yardstick},
    stand::Stand,
    traffic::{BLOCKED, MANY, PEER, STRANGERS, Sources},
};
use crate::rig::{
    lab::{TRUSTED, WAN},
    policy::Policy,
    process::{self, Process},
    sipguard::Sipguard,
    tool::Tool,
};

/// Time limit of setting up a filter.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the script of xdp-filter prints when the filter is there.
const READY: &str = "ready";

/// What stands between the wire and the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    /// Nothing.
    Nothing,
    /// A program that only drops: the limit.
    Drop,
    /// A program that only passes.
    Pass,
    /// An XDP program that drops known sources.
    SourceHash,
    /// xdp-filter of xdp-tools, with one known source.
    XdpTools,
    /// A set of known sources at nftables' ingress hook.
    NftSet,
    /// The script that guides on SIP scanners give, in iptables.
    Iptables,
    /// sipguard with the full policy.
    Sipguard,
}

impl Filter {
    /// As the tables call it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nothing => "no filter",
            Self::Drop => "XDP_DROP alone",
            Self::Pass => "XDP_PASS alone",
            Self::SourceHash => "XDP source hash",
            Self::XdpTools => "xdp-filter",
            Self::NftSet => "nft set at ingress",
            Self::Iptables => "iptables script",
            Self::Sipguard => "sipguard",
        }
    }

    /// Whether this machine has what it takes.
    #[must_use]
    pub fn is_there(self) -> bool {
        let tool = match self {
            Self::XdpTools => Tool::XdpFilter,
            Self::NftSet => Tool::Nft,
            Self::Iptables => Tool::Iptables,
            Self::Sipguard => Tool::Sipguard,
            Self::Nothing | Self::Drop | Self::Pass | Self::SourceHash => Tool::BenchObject,
        };
        tool.find().is_some()
    }
}

/// A filter in force. It goes away with this, or with the namespaces.
#[derive(Debug)]
pub struct Active<'a> {
    pub filter: Filter,
    pub stand: &'a Stand,
    held: Held<'a>,
}

#[derive(Debug)]
enum Held<'a> {
    Rules,
    Programs { _attached: Programs },
    Tool { _running: Process },
    Sipguard(Box<Sipguard<'a>>),
}

impl<'a> Active<'a> {
    /// Sets a filter up, sipguard with the full policy.
    ///
    /// # Errors
    /// Where it cannot be.
    pub fn set_up(filter: Filter, stand: &'a Stand) -> Result<Self> {
        let held = match filter {
            Filter::Nothing => Ok(Held::Rules),
            Filter::Drop => yardstick(stand, Yardstick::Drop),
            Filter::Pass => yardstick(stand, Yardstick::Pass),
            Filter::SourceHash => yardstick(stand, Yardstick::SourceHash),
            Filter::XdpTools => xdp_filter(stand),
            Filter::NftSet => nft_set(stand),
            Filter::Iptables => iptables(stand),
            Filter::Sipguard => sipguard(stand, &policy::full()),
        };
        let held = held.with_context(|| format!("setting up {}", filter.name()))?;
        Ok(Self { filter, stand, held })
    }

    /// Sets sipguard up with another policy.
    ///
    /// # Errors
    /// Where it does not start.
    pub fn sipguard_with(stand: &'a Stand, policy: &Policy) -> Result<Self> {
        Ok(Self { filter: Filter::Sipguard, stand, held: sipguard(stand, policy)? })
    }

    /// The daemon, where this is sipguard.
    ///
    /// # Errors
    /// Where it is something else.
    pub fn sipguard(&self) -> Result<&Sipguard<'a>> {
        match &self.held {
            Held::Sipguard(sipguard) => Ok(sipguard),
            _ => anyhow::bail!("{} is not sipguard", self.filter.name()),
        }
    }
}

/// The sources that filters by source know: all of the mixes.
fn known() -> impl Iterator<Item = Ipv4Addr> {
    [STRANGERS, BLOCKED].into_iter().flat_map(|first| Sources { first, count: MANY }.iter())
}

fn yardstick<'a>(stand: &Stand, yardstick: Yardstick) -> Result<Held<'a>> {
    let mut programs = Programs::load()?;
    if yardstick == Yardstick::SourceHash {
        programs.know(known())?;
    }
    programs.attach(stand.lab(), yardstick)?;
    Ok(Held::Programs { _attached: programs })
}

fn sipguard<'a>(stand: &'a Stand, policy: &Policy) -> Result<Held<'a>> {
    let sipguard = Sipguard::start(stand.lab(), policy, &["--iface", WAN])?;
    Ok(Held::Sipguard(Box::new(sipguard)))
}

/// Has the server's namespace track connections, as on a machine with a
/// stateful firewall.
///
/// # Errors
/// Where nft refuses.
pub fn track_connections(stand: &Stand) -> Result<()> {
    let text = "table inet tracking {\n chain input {\n  type filter hook input priority 0\n  \
                ct state established,related accept\n }\n}\n";
    rules(stand, Tool::Nft, &["-f"], text).map(drop)
}

/// Runs a tool over a file of rules.
fn rules<'a>(stand: &Stand, tool: Tool, arguments: &[&str], text: &str) -> Result<Held<'a>> {
    let file = stand.lab().folder().join("rules");
    fs::write(&file, text)?;
    let mut command = stand.lab().server().command(tool.path()?)?;
    process::run(command.args(arguments).arg(&file), PATIENCE)?.success()?;
    Ok(Held::Rules)
}

fn nft_set<'a>(stand: &Stand) -> Result<Held<'a>> {
    let mut text =
        "table netdev filter {\n set known {\n  type ipv4_addr\n  elements = {".to_owned();
    for source in known() {
        // A String takes every write.
        let _ = write!(text, "{source}, ");
    }
    let _ = write!(
        text,
        "}}\n }}\n chain ingress {{\n  type filter hook ingress device {WAN} priority 0\n  \
         udp dport 5060 ip saddr @known drop\n }}\n}}\n"
    );
    rules(stand, Tool::Nft, &["-f"], &text)
}

/// In the order in which guides give it: what is established, administration,
/// trusted peers, strings of scanners, limits, media, and nothing else.
fn iptables<'a>(stand: &Stand) -> Result<Held<'a>> {
    let strings = ["OPTIONS sip:", "friendly-scanner", "VaxSIPUserAgent", "sipvicious", "SIPScan"]
        .iter()
        .chain(&["sipcli"])
        .fold(String::new(), |text, string| {
            text + &format!("-A SCANNERS -m string --string \"{string}\" --algo bm -j DROP\n")
        });
    let text = format!(
        "*filter\n:INPUT ACCEPT\n:FORWARD ACCEPT\n:OUTPUT ACCEPT\n\
         :TRUSTED -\n:SCANNERS -\n:LIMITS -\n\
         -A INPUT -i lo -j ACCEPT\n\
         -A INPUT -m state --state ESTABLISHED,RELATED -j ACCEPT\n\
         -A INPUT -p tcp -s {PEER} --dport 22 -j ACCEPT\n\
         -A INPUT -p tcp -s {PEER} --dport 80 -j ACCEPT\n\
         -A INPUT -p tcp -s {PEER} --dport 8080 -j ACCEPT\n\
         -A TRUSTED -s {PEER} -j ACCEPT\n\
         -A TRUSTED -s {TRUSTED} -j ACCEPT\n\
         -A INPUT -p udp --dport 5060 -j TRUSTED\n\
         {strings}\
         -A INPUT -p udp --dport 5060 -j SCANNERS\n\
         -A LIMITS -p udp --dport 5060 -m connlimit --connlimit-above 10 --connlimit-mask 32 \
         -j DROP\n\
         -A LIMITS -m recent --set --name sip\n\
         -A LIMITS -m recent --update --seconds 60 --hitcount 20 --name sip -j DROP\n\
         -A LIMITS -j ACCEPT\n\
         -A INPUT -p udp --dport 5060 -j LIMITS\n\
         -A INPUT -p udp --dport 10000:20000 -j ACCEPT\n\
         -A INPUT -j DROP\n\
         COMMIT\n"
    );
    rules(stand, Tool::Iptables, &[], &text)
}

/// Knows the one source of the mixes with one. It pins its program and maps, so
/// it gets a bpf file system of its own, which is gone with the process that
/// holds it.
fn xdp_filter<'a>(stand: &Stand) -> Result<Held<'a>> {
    let tool = Tool::XdpFilter.path()?;
    let tool = Path::new(&tool).display();
    let script = format!(
        "mount -t bpf bpf /sys/fs/bpf && {tool} load {WAN} -f ipv4,udp -p allow -m native && \
         {tool} ip -m src {STRANGERS} && {tool} ip -m src {BLOCKED} && echo {READY} && \
         exec sleep 900"
    );
    let mut command = stand.lab().server().command(Tool::Unshare.path()?)?;
    let process =
        Process::start(command.args(["--mount", "--propagation", "private", "sh", "-c", &script]))?;
    process
        .stdout()
        .line(PATIENCE, |line| line == READY)
        .with_context(|| format!("xdp-filter said: {}", process.stderr().text()))?;
    ensure!(stand.lab().xdp_program(WAN)?.is_some(), "xdp-filter has attached nothing");
    Ok(Held::Tool { _running: process })
}
