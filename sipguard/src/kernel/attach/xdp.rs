//! The ingress program at an interface.

use aya::programs::{ProgramError, Xdp, XdpMode, loaded_programs, xdp::XdpLinkId};
use serde::Serialize;

use super::error::{self, EBUSY, EEXIST, EOPNOTSUPP, EPERM, ERANGE, errno};
use crate::{
    kernel::{KernelError, netlink::link},
    policy::Mode,
};

/// Where the program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AttachedMode {
    /// In the driver.
    Native,
    /// In the network stack: after the kernel has made a socket buffer.
    Generic,
}

impl AttachedMode {
    /// As shown to users.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Generic => "generic",
        }
    }

    const fn xdp(self) -> XdpMode {
        match self {
            Self::Native => XdpMode::Driver,
            Self::Generic => XdpMode::Skb,
        }
    }
}

pub(super) type Link = XdpLinkId;

/// An attached ingress program.
pub(super) struct Done {
    pub(super) link: Link,
    pub(super) mode: AttachedMode,
    /// Why the mode is generic though native was tried.
    pub(super) note: Option<String>,
}

/// Attaches the ingress program, in the driver if it can be.
pub(super) fn attach(
    program: &mut Xdp,
    interface: &str,
    ifindex: u32,
    wanted: Mode,
) -> Result<Done, KernelError> {
    let first = match wanted {
        Mode::Generic => AttachedMode::Generic,
        Mode::Auto | Mode::Native => AttachedMode::Native,
    };
    let refusal = match program.attach_to_if_index(ifindex, first.xdp()) {
        Ok(link) => return Ok(Done { link, mode: first, note: None }),
        Err(error) => error,
    };
    if wanted != Mode::Auto || !driver_cannot(&refusal) {
        return Err(cannot_attach(interface, ifindex, first, refusal));
    }
    let mode = AttachedMode::Generic;
    let link = program
        .attach_to_if_index(ifindex, mode.xdp())
        .map_err(|error| cannot_attach(interface, ifindex, mode, error))?;
    let note = format!(
        "the driver of {interface} cannot run XDP ({}): it runs in the network stack instead, where a dropped packet costs several times as much",
        reason(&refusal)
    );
    Ok(Done { link, mode, note: Some(note) })
}

/// Detaches the ingress program from an interface, if that is still there.
pub(super) fn detach(program: &mut Xdp, link: Link) {
    let _ = program.detach(link);
}

/// Neither mode may be tried where any program is attached: a second one in
/// the other mode is refused by the kernel (EEXIST), but the netlink way that
/// aya falls back to would replace it.
pub(super) fn refuse_occupied(interface: &str, ifindex: u32) -> Result<(), KernelError> {
    match link::xdp_program(ifindex)? {
        Some(id) => Err(KernelError::Occupied {
            interface: interface.to_owned(),
            program: program_name(id),
        }),
        None => Ok(()),
    }
}

fn program_name(id: u32) -> String {
    let name = loaded_programs()
        .filter_map(Result::ok)
        .find(|info| info.id() == id)
        .and_then(|info| info.name_as_str().map(|name| crate::sanitise::sanitise(name, 32)));
    match name {
        Some(name) if !name.is_empty() => format!("`{name}` (id {id})"),
        _ => format!("with id {id}"),
    }
}

/// The driver has no XDP (EOPNOTSUPP), or not at this MTU (ERANGE).
fn driver_cannot(error: &ProgramError) -> bool {
    matches!(errno(error), Some(EOPNOTSUPP | ERANGE))
}

fn reason(error: &ProgramError) -> String {
    match errno(error) {
        Some(EOPNOTSUPP) => "it has no XDP support".to_owned(),
        Some(ERANGE) => "the MTU is too large for it".to_owned(),
        _ => error::reason(error),
    }
}

fn cannot_attach(
    interface: &str,
    ifindex: u32,
    mode: AttachedMode,
    error: ProgramError,
) -> KernelError {
    match errno(&error) {
        Some(EPERM) => KernelError::NotPermitted,
        // Somebody was faster.
        Some(EBUSY | EEXIST) => {
            refuse_occupied(interface, ifindex).err().unwrap_or(KernelError::Occupied {
                interface: interface.to_owned(),
                program: "of somebody else".to_owned(),
            })
        }
        _ => KernelError::CannotAttach {
            interface: interface.to_owned(),
            mode: mode.name(),
            reason: reason(&error),
        },
    }
}
