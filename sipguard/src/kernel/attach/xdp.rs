//! The ingress program at an interface.

use aya::programs::{
    ProgramError, Xdp, XdpMode,
    links::FdLink,
    loaded_programs,
    xdp::{XdpLink, XdpLinkId},
};
use serde::Serialize;

use super::{
    Hold,
    error::{self, EBUSY, EEXIST, ENOLINK, EOPNOTSUPP, EPERM, ERANGE, errno},
};
use crate::{
    kernel::{
        KernelError,
        netlink::link::{self, XdpProgram},
        pins::{Pins, Way},
    },
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

/// What holds the program at an interface.
pub(super) enum Link {
    /// We do: it leaves with the process.
    Held(XdpLinkId),
    /// Its pin.
    Pinned,
}

/// An attached ingress program.
pub(super) struct Done {
    pub(super) link: Link,
    pub(super) mode: AttachedMode,
    /// Why the mode is generic though native was tried, or what else the
    /// operator should know.
    pub(super) note: Option<String>,
    /// It stands in the place of one that an earlier run has left.
    pub(super) taken_over: bool,
}

/// Attaches the ingress program, in the driver if it can be; in the place of
/// one that an earlier run has left, if there is such.
pub(super) fn attach(
    program: &mut Xdp,
    interface: &str,
    ifindex: u32,
    wanted: Mode,
    hold: Hold<'_>,
) -> Result<Done, KernelError> {
    if let Some(done) = take_over(program, interface, ifindex, wanted, hold)? {
        return Ok(done);
    }
    refuse_occupied(interface, ifindex)?;
    let (id, mode, note) = attach_anew(program, interface, ifindex, wanted)?;
    let link = match hold.keeping() {
        None => Link::Held(id),
        Some(pins) => {
            let link = take_link(program, id)?;
            pins.pin_link(link, Way::In, ifindex)?;
            Link::Pinned
        }
    };
    Ok(Done { link, mode, note, taken_over: false })
}

fn attach_anew(
    program: &mut Xdp,
    interface: &str,
    ifindex: u32,
    wanted: Mode,
) -> Result<(XdpLinkId, AttachedMode, Option<String>), KernelError> {
    let first = match wanted {
        Mode::Generic => AttachedMode::Generic,
        Mode::Auto | Mode::Native => AttachedMode::Native,
    };
    let refusal = match program.attach_to_if_index(ifindex, first.xdp()) {
        Ok(link) => return Ok((link, first, None)),
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
    Ok((link, mode, Some(note)))
}

/// The program that an earlier run has left at an interface, if it still is
/// there, and how it runs.
pub(super) fn kept(pins: &Pins, ifindex: u32) -> Result<Option<(AttachedMode, u32)>, KernelError> {
    let Some(link) = pins.pinned_link(Way::In, ifindex)? else { return Ok(None) };
    let held = FdLink::from(link).info().map(|info| info.program_id()).unwrap_or_default();
    // An interface that is gone leaves a pin that holds nothing.
    let there = link::xdp_program(ifindex).ok().flatten().filter(|there| there.id == held);
    Ok(there.map(|there| (mode_of(there), there.id)))
}

const fn mode_of(there: XdpProgram) -> AttachedMode {
    if there.is_generic { AttachedMode::Generic } else { AttachedMode::Native }
}

/// Whether a program has a map. So it is said where nobody may know.
pub(super) fn reads(program: u32, map: u32) -> bool {
    let found = loaded_programs().filter_map(Result::ok).find(|info| info.id() == program);
    let maps = found.and_then(|info| info.map_ids().ok().flatten());
    maps.is_none_or(|maps| maps.contains(&map))
}

/// Replaces the program that an earlier run has left, in one step. Its mode
/// stays, for no link can change it.
fn take_over(
    program: &mut Xdp,
    interface: &str,
    ifindex: u32,
    wanted: Mode,
    hold: Hold<'_>,
) -> Result<Option<Done>, KernelError> {
    let Some(pins) = hold.pins else { return Ok(None) };
    let Some(link) = pins.pinned_link(Way::In, ifindex)? else { return Ok(None) };
    let link = FdLink::from(link);
    let Some((mode, _)) = kept(pins, ifindex)? else {
        pins.forget_link(Way::In, ifindex)?;
        return Ok(None);
    };
    let other_mode = match wanted {
        Mode::Auto => false,
        Mode::Native => mode != AttachedMode::Native,
        Mode::Generic => mode != AttachedMode::Generic,
    };
    if other_mode {
        tracing::warn!(
            "{}: changes its mode: nothing is filtered for a moment",
            crate::sanitise::sanitise(interface, 64)
        );
        pins.forget_link(Way::In, ifindex)?;
        return Ok(None);
    }
    let link = XdpLink::try_from(link).map_err(|error| KernelError::CannotAttach {
        interface: interface.to_owned(),
        mode: mode.name(),
        reason: error.to_string(),
    })?;
    let id = match program.attach_to_link(link) {
        Ok(id) => id,
        Err(error) if errno(&error) == Some(ENOLINK) => {
            pins.forget_link(Way::In, ifindex)?;
            return Ok(None);
        }
        Err(error) => return Err(cannot_attach(interface, ifindex, mode, error)),
    };
    let link = if hold.keep {
        // The pin holds it.
        drop(take_link(program, id)?);
        Link::Pinned
    } else {
        pins.forget_link(Way::In, ifindex)?;
        Link::Held(id)
    };
    Ok(Some(Done { link, mode, note: None, taken_over: true }))
}

fn take_link(program: &mut Xdp, id: XdpLinkId) -> Result<FdLink, KernelError> {
    let link = program.take_link(id).map_err(KernelError::program("holding a program"))?;
    FdLink::try_from(link).map_err(|error| KernelError::Io {
        what: "holding a program",
        source: std::io::Error::other(error),
    })
}

/// Detaches the ingress program from an interface, if that is still there.
pub(super) fn detach(program: &mut Xdp, link: Link, ifindex: u32, hold: Hold<'_>) {
    match link {
        Link::Held(id) => {
            let _ = program.detach(id);
        }
        Link::Pinned => hold.forget(Way::In, ifindex),
    }
}

/// Neither mode may be tried where any program is attached: a second one in
/// the other mode is refused by the kernel (EEXIST), but the netlink way that
/// aya falls back to would replace it.
fn refuse_occupied(interface: &str, ifindex: u32) -> Result<(), KernelError> {
    match link::xdp_program(ifindex)? {
        Some(there) => Err(KernelError::Occupied {
            interface: interface.to_owned(),
            program: program_name(there.id),
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
