//! Attaching to interfaces and leaving them.

use std::io;

use aya::programs::{ProgramError, Xdp, XdpMode, loaded_programs, xdp::XdpLinkId};
use serde::Serialize;
use sipguard_common::abi::INTERFACE_SLOTS;

use super::{KernelError, netlink};
use crate::policy::Mode;

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

/// A protected interface.
#[derive(Clone, Debug, Serialize)]
pub struct Attached {
    pub name: String,
    pub ifindex: u32,
    pub mode: AttachedMode,
    /// Why the mode is generic though native was tried.
    pub note: Option<String>,
}

#[derive(Default)]
pub(super) struct Attachments {
    links: Vec<XdpLinkId>,
}

impl Attachments {
    /// Attaches `program`; `name_slot` gives the interface its counters before
    /// its first packet.
    pub(super) fn attach(
        &mut self,
        program: &mut Xdp,
        interface: &str,
        mode: Mode,
        name_slot: impl FnOnce(usize, u32) -> Result<(), KernelError>,
    ) -> Result<Attached, KernelError> {
        let slot = self.links.len() + 1;
        if slot >= INTERFACE_SLOTS {
            return Err(KernelError::TooManyInterfaces(INTERFACE_SLOTS - 1));
        }
        let ifindex = netlink::ifindex(interface)?;
        refuse_occupied(interface, ifindex)?;
        name_slot(slot, ifindex)?;
        let attached = |mode, note| Attached { name: interface.to_owned(), ifindex, mode, note };
        let first = match mode {
            Mode::Generic => AttachedMode::Generic,
            Mode::Auto | Mode::Native => AttachedMode::Native,
        };
        let refusal = match program.attach_to_if_index(ifindex, first.xdp()) {
            Ok(link) => {
                self.links.push(link);
                return Ok(attached(first, None));
            }
            Err(error) => error,
        };
        if mode != Mode::Auto || !driver_cannot(&refusal) {
            return Err(cannot_attach(interface, ifindex, first, refusal));
        }
        let generic = AttachedMode::Generic;
        match program.attach_to_if_index(ifindex, generic.xdp()) {
            Ok(link) => self.links.push(link),
            Err(error) => return Err(cannot_attach(interface, ifindex, generic, error)),
        }
        let note = format!(
            "the driver of {interface} cannot run XDP ({}): it runs in the network stack instead, where a dropped packet costs several times as much",
            reason(&refusal)
        );
        Ok(attached(generic, Some(note)))
    }

    pub(super) fn detach(&mut self, program: &mut Xdp) {
        for link in self.links.drain(..) {
            // Gone already where the interface is gone.
            let _ = program.detach(link);
        }
    }
}

/// Neither mode may be tried where any program is attached: a second one in
/// the other mode is refused by the kernel (EEXIST), but the netlink way that
/// aya falls back to would replace it.
fn refuse_occupied(interface: &str, ifindex: u32) -> Result<(), KernelError> {
    match netlink::xdp_program(ifindex)? {
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

fn errno(error: &ProgramError) -> Option<i32> {
    match error {
        ProgramError::SyscallError(error) => error.io_error.raw_os_error(),
        ProgramError::XdpError(_) => None,
        _ => None,
    }
}

const ERANGE: i32 = 34;
const EOPNOTSUPP: i32 = 95;
const EBUSY: i32 = 16;
const EEXIST: i32 = 17;
const EPERM: i32 = 1;

/// The driver has no XDP (EOPNOTSUPP), or not at this MTU (ERANGE).
fn driver_cannot(error: &ProgramError) -> bool {
    matches!(errno(error), Some(EOPNOTSUPP | ERANGE))
}

fn reason(error: &ProgramError) -> String {
    match errno(error) {
        Some(EOPNOTSUPP) => "it has no XDP support".to_owned(),
        Some(ERANGE) => "the MTU is too large for it".to_owned(),
        Some(code) => io::Error::from_raw_os_error(code).to_string(),
        None => error.to_string(),
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
