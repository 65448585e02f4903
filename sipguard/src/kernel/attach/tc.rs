//! The egress program at an interface.

use aya::programs::{
    LinkOrder, ProgramError, SchedClassifier, TcAttachType,
    links::FdLink,
    tc::{SchedClassifierLink, SchedClassifierLinkId, TcAttachOptions},
};
use serde::Serialize;

use super::{
    Hold,
    clsact::{self, Discipline, Room},
    error::{ENOLINK, EPERM, ERANGE, errno, reason},
};
use crate::kernel::{KernelError, pins::Way};

/// How what leaves an interface is seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum EgressMode {
    /// By a link of BPF, as one among others. Linux 6.6.
    Tcx,
    /// By a filter of traffic control.
    Clsact,
}

impl EgressMode {
    /// As shown to users.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcx => "tcx",
            Self::Clsact => "clsact",
        }
    }
}

/// What holds the egress program at an interface.
pub(super) enum Link {
    /// We do: it leaves with the process, and what we have made for it.
    Held(SchedClassifierLinkId, Option<Discipline>),
    /// Its pin.
    Pinned,
    /// A filter in a discipline, until somebody removes it.
    Stays,
}

/// Attaches the egress program behind all others, so that these see packets as
/// they did without it; or in the place of one that an earlier run has left.
pub(super) fn attach(
    program: &mut SchedClassifier,
    interface: &str,
    ifindex: u32,
    mode: EgressMode,
    hold: Hold<'_>,
) -> Result<Link, KernelError> {
    match mode {
        EgressMode::Tcx => attach_link(program, interface, ifindex, hold),
        EgressMode::Clsact => attach_filter(program, interface, ifindex, hold),
    }
}

fn attach_link(
    program: &mut SchedClassifier,
    interface: &str,
    ifindex: u32,
    hold: Hold<'_>,
) -> Result<Link, KernelError> {
    let refused = |error: ProgramError| cannot_attach(interface, EgressMode::Tcx, &error);
    if let Some(id) = take_over_link(program, interface, ifindex, hold)? {
        if hold.keep {
            // The pin holds it.
            drop(take_link(program, id)?);
            return Ok(Link::Pinned);
        }
        hold.forget(Way::Out, ifindex);
        return Ok(Link::Held(id, None));
    }
    let last = TcAttachOptions::TcxOrder(LinkOrder::last());
    let id = program.attach_with_options(interface, TcAttachType::Egress, last).map_err(refused)?;
    let Some(pins) = hold.keeping() else { return Ok(Link::Held(id, None)) };
    let link = take_link(program, id)?;
    pins.pin_link(link, Way::Out, ifindex)?;
    Ok(Link::Pinned)
}

/// Replaces the program that an earlier run has left, in one step.
fn take_over_link(
    program: &mut SchedClassifier,
    interface: &str,
    ifindex: u32,
    hold: Hold<'_>,
) -> Result<Option<SchedClassifierLinkId>, KernelError> {
    let Some(pins) = hold.pins else { return Ok(None) };
    let Some(link) = pins.pinned_link(Way::Out, ifindex)? else { return Ok(None) };
    let Ok(link) = SchedClassifierLink::try_from(FdLink::from(link)) else {
        pins.forget_link(Way::Out, ifindex)?;
        return Ok(None);
    };
    match program.attach_to_link(link) {
        Ok(id) => Ok(Some(id)),
        // It holds nothing any more.
        Err(error) if errno(&error) == Some(ENOLINK) => {
            pins.forget_link(Way::Out, ifindex)?;
            Ok(None)
        }
        Err(error) => Err(cannot_attach(interface, EgressMode::Tcx, &error)),
    }
}

fn take_link(
    program: &mut SchedClassifier,
    id: SchedClassifierLinkId,
) -> Result<FdLink, KernelError> {
    let link = program.take_link(id).map_err(KernelError::program("holding a program"))?;
    FdLink::try_from(link).map_err(|error| KernelError::Io {
        what: "holding a program",
        source: std::io::Error::other(error),
    })
}

/// A filter is no file descriptor: it stays until it is removed, which for one
/// that shall outlive us is what we want.
fn attach_filter(
    program: &mut SchedClassifier,
    interface: &str,
    ifindex: u32,
    hold: Hold<'_>,
) -> Result<Link, KernelError> {
    let refused = |error: ProgramError| cannot_attach(interface, EgressMode::Clsact, &error);
    let Room { options, discipline, taken } = clsact::prepare(interface, ifindex)?;
    let id = if taken {
        let (priority, handle) = (options.priority, options.handle);
        let link = SchedClassifierLink::attached(
            interface,
            TcAttachType::Egress,
            priority,
            handle,
            options.classid,
        );
        let link = link.map_err(KernelError::io("looking up an interface"))?;
        program.attach_to_link(link).map_err(refused)?
    } else {
        let options = TcAttachOptions::Netlink(options);
        program.attach_with_options(interface, TcAttachType::Egress, options).map_err(refused)?
    };
    if !hold.keep {
        return Ok(Link::Held(id, Some(discipline)));
    }
    let link = program.take_link(id).map_err(KernelError::program("holding a program"))?;
    // Dropped, it would go.
    std::mem::forget(link);
    discipline.leave();
    Ok(Link::Stays)
}

/// Detaches the egress program from an interface, if that is still there.
pub(super) fn detach(program: &mut SchedClassifier, link: Link, ifindex: u32, hold: Hold<'_>) {
    match link {
        Link::Held(id, discipline) => {
            let _ = program.detach(id);
            drop(discipline);
        }
        Link::Pinned => hold.forget(Way::Out, ifindex),
        Link::Stays => {
            if let Err(error) = clsact::remove_ours(ifindex) {
                tracing::warn!("what reads the server's replies stays: {error}");
            }
        }
    }
}

fn cannot_attach(interface: &str, mode: EgressMode, error: &ProgramError) -> KernelError {
    match errno(error) {
        Some(EPERM) => KernelError::NotPermitted,
        code => KernelError::CannotAttachEgress {
            interface: interface.to_owned(),
            mode: mode.name(),
            reason: match (mode, code) {
                (EgressMode::Clsact, _) => clsact::reason(code).unwrap_or_else(|| reason(error)),
                (EgressMode::Tcx, Some(ERANGE)) => {
                    "it has as many programs as the kernel takes".to_owned()
                }
                (EgressMode::Tcx, _) => reason(error),
            },
        },
    }
}
