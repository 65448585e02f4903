//! The egress program at an interface.

use aya::programs::{
    LinkOrder, ProgramError, SchedClassifier, TcAttachType,
    tc::{SchedClassifierLinkId, TcAttachOptions},
};
use serde::Serialize;

use super::{
    clsact::{self, Discipline},
    error::{EPERM, ERANGE, errno, reason},
};
use crate::kernel::KernelError;

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
pub(super) struct Link {
    link: SchedClassifierLinkId,
    /// Goes when this is dropped, if it is ours.
    discipline: Option<Discipline>,
}

/// Attaches the egress program behind all others, so that these see packets as
/// they did without it.
pub(super) fn attach(
    program: &mut SchedClassifier,
    interface: &str,
    ifindex: u32,
    mode: EgressMode,
) -> Result<Link, KernelError> {
    let (options, discipline) = match mode {
        EgressMode::Tcx => (TcAttachOptions::TcxOrder(LinkOrder::last()), None),
        EgressMode::Clsact => {
            let (options, discipline) = clsact::prepare(interface, ifindex)?;
            (TcAttachOptions::Netlink(options), Some(discipline))
        }
    };
    let link = program
        .attach_with_options(interface, TcAttachType::Egress, options)
        .map_err(|error| cannot_attach(interface, mode, &error))?;
    Ok(Link { link, discipline })
}

/// Detaches the egress program from an interface, if that is still there.
pub(super) fn detach(program: &mut SchedClassifier, link: Link) {
    let _ = program.detach(link.link);
    drop(link.discipline);
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
