//! What can be known of an interface without attaching to it or changing it.

use aya::programs::{SchedClassifier, TcAttachType, loaded_programs};

use super::{
    KernelError, features,
    netlink::{link, netdev, tc},
    object,
};
use crate::sanitise::sanitise;

/// Bits of `enum netdev_xdp_act` (linux/netdev.h).
const BASIC: u64 = 1;
const FRAGMENTS: u64 = 1 << 5;

/// What the driver itself says of XDP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct XdpFeatures {
    /// A program can run in the driver.
    pub native: bool,
    /// Also with packets that do not lie in one piece.
    pub fragments: bool,
}

/// A program that is attached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    pub id: u32,
    /// Where this user may know it.
    pub name: Option<String>,
}

/// An interface as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Survey {
    pub ifindex: u32,
    /// Bytes.
    pub mtu: u32,
    pub up: bool,
    /// Of virtual interfaces: `veth`, `vlan`, `bond`, `bridge`, ...
    pub kind: Option<String>,
    /// None where the kernel does not tell (before Linux 6.3).
    pub features: Option<XdpFeatures>,
    pub xdp: Option<Seen>,
    /// Programs at the way out, first to last, by tcx.
    pub tcx: Vec<Seen>,
    /// The queueing discipline at the place of clsact.
    pub discipline: Option<String>,
    /// BPF filters in it at the way out, by name.
    pub filters: Vec<String>,
}

/// Asks the kernel about an interface of this network namespace.
///
/// # Errors
/// There is no such interface, or the kernel does not tell.
pub fn survey(interface: &str) -> Result<Survey, KernelError> {
    let link::Facts { ifindex, mtu, up, kind } = link::facts(interface)?;
    let features = netdev::xdp_features(ifindex)
        .ok()
        .map(|bits| XdpFeatures { native: bits & BASIC != 0, fragments: bits & FRAGMENTS != 0 });
    let discipline = tc::discipline(ifindex).map_err(KernelError::io("asking for disciplines"))?;
    let filters = match &discipline {
        Some(_) => tc::filters(ifindex, tc::Side::Out).unwrap_or_default(),
        None => Vec::new(),
    };
    // Who may not ask sees none.
    let tcx = SchedClassifier::query_tcx(interface, TcAttachType::Egress).unwrap_or_default().1;
    let tcx = tcx
        .iter()
        .map(|one| Seen { id: one.id(), name: one.name_as_str().map(|name| sanitise(name, 32)) });
    Ok(Survey {
        ifindex,
        mtu,
        up,
        kind,
        features,
        xdp: link::xdp_program(ifindex)?.map(|xdp| Seen { id: xdp.id, name: name_of(xdp.id) }),
        tcx: tcx.collect(),
        discipline,
        filters: filters.into_iter().filter_map(|filter| filter.program).collect(),
    })
}

/// Whether this kernel can run the programs.
///
/// # Errors
/// It cannot, and what it lacks.
pub fn check_kernel() -> Result<(), KernelError> {
    features::check()
}

/// Whether the build has put the programs into this binary.
#[must_use]
pub fn has_program() -> bool {
    object::is_there()
}

/// The name of a loaded program, for those who may know it.
fn name_of(id: u32) -> Option<String> {
    let found = loaded_programs().filter_map(Result::ok).find(|info| info.id() == id)?;
    found.name_as_str().map(|name| sanitise(name, 32))
}
